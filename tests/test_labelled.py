"""Lineages told in labels: joined with drawn detections, bridged where one is missing, matched by overlap."""

from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trackdb.engine.imports.labelled import NO_LABEL, links_of, match_by_overlap, with_labels_of_detections
from trackdb.errors import FormatError
from trackdb.storage.formats.base import LabelLineage
from trackdb.storage.schema import Detections


def detections_of(cells):
    """Return detections named by (frame, label), in the order given."""
    frame, label = (np.array(c, dtype=np.int64) for c in (zip(*cells, strict=True) if cells else ([], [])))
    n = len(cells)
    return Detections(np.arange(n) + 100, frame, np.zeros((n, 2)), label, np.full(n, np.nan))


def lineage_of(cells, links, **options):
    """Return a lineage over cells (frame, label) and links between their names."""
    frame, label = (np.array(c, dtype=np.int64) for c in zip(*cells, strict=True))
    ends = np.array([[cells.index(a), cells.index(b)] for a, b in links], dtype=np.int64).reshape(-1, 2)
    return LabelLineage("truth", "man_track.txt", frame, label, ends[:, 0], ends[:, 1], **options)


CELLS = [(0, 1), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3)]
LINKS = [((0, 1), (1, 1)), ((1, 1), (2, 2)), ((1, 1), (2, 3)), ((2, 2), (3, 2)), ((2, 3), (3, 3))]
r"""A mother, label 1, and her daughters::

    frame  0    1    2    3
                     2 -- 2
           1 -- 1 <
                     3 -- 3
"""


def joined(cells, links, detected, **options):
    """Return the links found, as pairs of names, and the result."""
    detections = detections_of(detected)
    result = links_of(lineage_of(cells, links, **options), detections)
    pairs = zip(result.source.tolist(), result.target.tolist(), strict=True)
    return {(detected[a], detected[b]) for a, b in pairs}, result


def test_a_complete_lineage_finds_every_cell():
    detected = [(0, 1), (1, 1), (2, 3), (2, 2), (3, 2), (3, 3)]  # another order within frame 2
    links, result = joined(CELLS, LINKS, detected, complete=True)
    assert links == set(LINKS)
    assert result.row.tolist() == [0, 1, 2, 3, 4, 5]
    assert (result.n_dropped, result.n_bridged, result.n_cut) == (0, 0, 0)


def test_labels_may_be_huge():
    cells = [(t, 2**62 + i) for t, i in CELLS]
    links = [tuple((t, 2**62 + i) for t, i in link) for link in LINKS]
    assert joined(cells, links, cells, complete=True)[0] == set(links)


def test_a_cell_that_nobody_detected_is_bridged():
    links, result = joined(CELLS, LINKS, [(0, 1), (1, 9), (2, 2), (2, 3), (3, 3)])
    assert links == {((0, 1), (2, 2)), ((0, 1), (2, 3)), ((2, 3), (3, 3))}
    assert (result.n_dropped, result.n_bridged, result.n_cut) == (2, 2, 0)
    assert result.row.tolist() == [0, 2, 3, 4]  # label 9 is of no track


def test_a_cell_without_any_ancestor_left_begins_a_tree():
    links, result = joined(CELLS, LINKS, [(2, 2), (3, 2), (3, 3)])
    assert links == {((2, 2), (3, 2))}
    assert result.n_dropped == 3


def test_bridging_makes_no_third_daughter():
    cells = [*CELLS, (3, 4)]
    links = [*LINKS, ((2, 2), (3, 4))]  # daughter 2 divides at once, and is not detected
    found, result = joined(cells, links, [c for c in cells if c != (2, 2)])
    assert found == {((0, 1), (1, 1)), ((1, 1), (2, 3)), ((1, 1), (3, 2)), ((2, 3), (3, 3))}
    assert (result.n_bridged, result.n_cut) == (1, 1)


def test_nothing_detected_joins_nothing():
    links, result = joined(CELLS, LINKS, [])
    assert links == set()
    assert result.n_dropped == 6


@pytest.mark.parametrize(
    ("cells", "links", "detected", "message"),
    [
        (CELLS, LINKS, CELLS[:-1], "label 3 lives in frames 2..3, but no mask of frame 3 holds it; missing: 1 of 6"),
        (CELLS, LINKS, [*CELLS, (3, 8)], "the mask of frame 3 holds label 8, but no track has it there; surplus: 1 of"),
        (CELLS, [*LINKS, ((0, 1), (2, 2))], CELLS, "label 2 of frame 2 has 2 mothers; expected: at most 1"),
        ([*CELLS, (3, 3)], LINKS, CELLS, "label 3 of frame 3 is named twice"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(cells, links, detected, message):
    with pytest.raises(FormatError, match=r"man_track.txt: .*" + message):
        joined(cells, links, detected, complete=True)


FUSED = [((0, 1), (1, 1)), ((0, 2), (1, 2)), ((1, 1), (2, 5)), ((1, 2), (2, 5)), ((2, 5), (3, 5))]
FUSED_CELLS = sorted({cell for link in FUSED for cell in link})
r"""Two cells that become one::

    frame  0    1    2    3
           1 -- 1
                   > 5 -- 5
           2 -- 2
"""


def test_a_cell_of_several_mothers_is_a_merge():
    links, result = joined(FUSED_CELLS, FUSED, FUSED_CELLS, merges=True)
    assert links == set(FUSED)
    assert result.merge.tolist() == [False, False, True, True, False]
    assert result.n_merges == 1


def test_a_merge_that_nobody_detected_moves_to_the_next_cell():
    links, result = joined(FUSED_CELLS, FUSED, [c for c in FUSED_CELLS if c != (2, 5)], merges=True)
    assert links == {*FUSED[:2], ((1, 1), (3, 5)), ((1, 2), (3, 5))}
    assert result.merge.tolist() == [False, False, True, True]
    assert (result.n_dropped, result.n_bridged, result.n_merges) == (1, 2, 1)


def test_a_merge_of_which_one_mother_is_left_is_none():
    detected = [(1, 2), (2, 5), (3, 5)]
    links, result = joined(FUSED_CELLS, FUSED, detected, merges=True)
    assert links == {((1, 2), (2, 5)), ((2, 5), (3, 5))}
    assert not result.merge.any()


def test_a_link_told_twice_is_no_merge():
    links, result = joined(CELLS, [*LINKS, LINKS[0]], CELLS, merges=True)
    assert (links, len(result.source), result.n_merges) == (set(LINKS), len(LINKS), 0)


@st.composite
def lineages(draw, most_mothers=1):
    """Draw cells in random frames under random labels, links between them, and which are detected."""
    cells = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=20, unique=True))
    daughters, links = dict.fromkeys(cells, 0), []
    for cell in cells:
        mothers = [c for c in cells if c[0] < cell[0] and daughters[c] < 2]
        chosen = draw(st.lists(st.sampled_from(mothers), max_size=most_mothers, unique=True)) if mothers else []
        for mother in chosen:
            links.append((mother, cell))
            daughters[mother] += 1
    return cells, links, sorted(c for c in cells if draw(st.booleans()))


@settings(max_examples=200, deadline=None)
@given(lineages(most_mothers=3))
def test_merges_lead_to_every_nearest_kept_ancestor(drawn):
    cells, links, detected = drawn
    found, result = joined(cells, links, detected, merges=True)
    graph = nx.DiGraph(links)
    graph.add_nodes_from(cells)
    expected = set()
    for cell in detected:
        above = [(mother, cell) for mother in graph.predecessors(cell)]
        while above:
            mother, _ = above.pop()
            if mother in detected:
                expected.add((mother, cell))
            else:
                above += [(grandmother, cell) for grandmother in graph.predecessors(mother)]
    assert found <= expected
    assert len(expected - found) == result.n_cut
    n_mothers = [[b for _, b in found].count(detected[row]) for row in result.target.tolist()]
    assert result.merge.tolist() == [n > 1 for n in n_mothers]


@settings(max_examples=200, deadline=None)
@given(lineages())
def test_links_lead_to_the_nearest_kept_ancestor(drawn):
    cells, links, detected = drawn
    found, result = joined(cells, links, detected)
    graph = nx.DiGraph(links)
    graph.add_nodes_from(cells)
    expected = set()
    for cell in detected:
        above = [a for a in nx.ancestors(graph, cell) if a in detected]
        if above:
            expected.add((max(above), cell))  # ancestors of a tree differ in frame: the largest is the nearest
    assert found <= expected
    assert len(expected - found) == result.n_cut
    assert result.n_dropped == len(cells) - len(detected)
    assert result.n_bridged == len(found - set(links))
    mothers = [a for a, _ in found]
    assert all(mothers.count(a) <= 2 for a in mothers)
    assert all(mothers.count(a) == 2 for a, _ in expected - found)


def test_overlap_wants_more_than_half_of_the_true_cell():
    truth = np.array([[1, 1, 1, 2, 2, 0], [3, 3, 3, 2, 2, 0], [0, 4, 4, 0, 5, 5]])
    mask_ = np.array([[7, 7, 0, 8, 8, 8], [9, 9, 9, 0, 0, 8], [0, 9, 9, 0, 0, 0]])
    # 1 by 7: 2 of 3;  2 by 8: 2 of 4, not more than half;  3 and 4 by 9: 3 and 2 pixels, the larger wins;  5 by none
    label_truth, label_detection = match_by_overlap(truth, mask_.astype(np.uint8))
    assert label_truth.tolist() == [1, 3]
    assert label_detection.tolist() == [7, 9]


MASK = hnp.arrays(np.int64, (5, 6), elements=st.sampled_from([0, 1, 2, 3, 2**40]))


@settings(max_examples=200, deadline=None)
@given(MASK, MASK)
def test_matches_are_those_counted_pixel_by_pixel(truth, mask):
    pairs = {}
    for a in np.unique(truth[truth > 0]):
        for b in np.unique(mask[mask > 0]):
            overlap = np.count_nonzero((truth == a) & (mask == b))
            if 2 * overlap > np.count_nonzero(truth == a) and overlap > pairs.get(b, (0, 0))[0]:
                pairs[b] = (overlap, a)
    found = zip(*match_by_overlap(truth, mask), strict=True)
    assert {b: a for a, b in found} == {b: a for b, (_, a) in pairs.items()}


def test_an_empty_truth_matches_nothing():
    assert [len(x) for x in match_by_overlap(np.zeros((2, 2), int), np.ones((2, 2), int))] == [0, 0]


def test_masks_of_other_shape_are_refused():
    with pytest.raises(FormatError, match="differ in shape"):
        match_by_overlap(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_a_lineage_with_masks_of_its_own_is_translated_and_joined():
    lineage = lineage_of(CELLS, LINKS, complete=True)
    lineage = replace(lineage, masks=(Path("a.tif"),), by_tracklet=True)
    ids = {0: {1: 50}, 1: {1: 10, 8: 4}, 2: {2: 20}, 3: {3: 31, 2: 30}}  # label 3 of frame 2 has no match
    matches = [(t, *(np.array(list(x)) for x in (m.keys(), m.values()))) for t, m in ids.items()]
    translated = with_labels_of_detections(lineage, matches)
    assert translated.label.tolist() == [50, 10, 20, NO_LABEL, 30, 31]
    assert (translated.complete, translated.by_tracklet, translated.masks) == (False, False, ())
    result = links_of(translated, detections_of([(0, 50), (1, 10), (2, 20), (3, 30), (3, 31)]))
    assert list(zip(result.source.tolist(), result.target.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3), (1, 4)]


def test_frames_without_a_match_leave_their_cells_unnamed():
    lineage = with_labels_of_detections(lineage_of(CELLS, LINKS), [])
    assert set(lineage.label.tolist()) == {NO_LABEL}
    assert links_of(lineage, detections_of(CELLS)).n_dropped == len(CELLS)
