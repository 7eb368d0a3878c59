"""Lineages thinned to the frames that are read: forests, and cells that merge."""

import numpy as np

from trackdb.storage.formats.base import LabelLineage
from trackdb.storage.formats.lineage import bridge, keep_frames


def lineage_of(frame, links, **options):
    """Return a lineage over cells labelled by their rows."""
    source, target = np.array(links, dtype=np.int64).reshape(-1, 2).T
    return LabelLineage("truth", "drawn", np.array(frame), np.arange(len(frame)), source, target, **options)


FUSED = lineage_of([0, 0, 1, 1, 2, 3], [(0, 2), (1, 3), (2, 4), (3, 4), (4, 5)], merges=True)
r"""Two cells that become one in frame 2::

    0 -- 2
           > 4 -- 5
    1 -- 3
"""


def links(lineage):
    return sorted(zip(lineage.label[lineage.source].tolist(), lineage.label[lineage.target].tolist(), strict=True))


def test_both_mothers_are_kept_where_every_frame_is_read():
    thinned, notes = keep_frames(FUSED, range(4), renumber=False)
    assert (links(thinned), notes) == (links(FUSED), ())


def test_a_merge_in_a_frame_that_is_skipped_leads_to_both_grandmothers():
    thinned, _ = keep_frames(FUSED, [0, 3], renumber=True)
    assert links(thinned) == [(0, 5), (1, 5)]
    assert thinned.frame.tolist() == [0, 0, 1]


def test_a_mother_of_both_mothers_is_tied_once():
    split_and_fused = lineage_of([0, 1, 1, 2], [(0, 1), (0, 2), (1, 3), (2, 3)], merges=True)
    thinned, _ = keep_frames(split_and_fused, [0, 2], renumber=True)
    assert links(thinned) == [(0, 3)]


def test_a_long_way_over_merges_that_are_left_out_is_walked():
    """A ladder: each cell of a frame has both cells of the frame before as mothers."""
    n_frames = 50
    frame = np.repeat(np.arange(n_frames), 2)
    pairs = [(2 * t + a, 2 * t + 2 + b) for t in range(n_frames - 1) for a in (0, 1) for b in (0, 1)]
    source, target = np.array(pairs).T
    kept = (frame == 0) | (frame == n_frames - 1)
    found = bridge(source, target, kept)
    assert found.source.tolist() == [0, 1, 0, 1]
    assert found.target.tolist() == [98, 98, 99, 99]
    assert found.over.all()
