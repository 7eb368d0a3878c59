"""Writing Cell Tracking Challenge results: valid by the rules, and the same lineage when read again."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import FormatError, SchemaError
from trackdb.storage.formats import open_source
from trackdb.storage.formats.track_file import read_track_file
from trackdb.storage.writers.ctc import CtcTracks, relabel, split_at_gaps, write_ctc
from trackdb.storage.writers.paint import paint_points

#  frame      0    1    2    3    4
#  tracklet 0 a -- a -- a                 0 divides into 1 and 2
#  tracklet 1             `. d -- d
#  tracklet 2             `. e
#  tracklet 3 b ------- b -- b            a gap in frame 1
FRAME = np.array([0, 1, 2, 3, 4, 3, 0, 2, 3])
TRACKLET = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3])
PARENT = np.array([-1, 0, 0, -1])


def numbers(*values):
    return np.array(values, dtype=np.int64)


def require_valid(folder, n_frames):
    """Check a result by the rules of the challenge, read with nothing of ours."""
    rows = [tuple(map(int, line.split(" "))) for line in (folder / "res_track.txt").read_text().splitlines()]
    tracks = {label: (first, last, parent) for label, first, last, parent in rows}
    assert len(tracks) == len(rows)
    for label, (first, last, parent) in tracks.items():
        assert label > 0
        assert 0 <= first <= last < n_frames
        assert parent == 0 or tracks[parent][1] < first
    digits = max(3, len(str(n_frames - 1)))
    masks = sorted(folder.glob("*.tif"))
    assert [m.name for m in masks] == [f"mask{t:0{digits}d}.tif" for t in range(n_frames)]
    for t, path in enumerate(masks):
        mask = tifffile.imread(path)
        assert mask.dtype == np.uint16
        alive = {label for label, (first, last, _) in tracks.items() if first <= t <= last}
        assert set(np.unique(mask).tolist()) - {0} == alive


def test_a_gap_ends_one_track_and_begins_its_only_child():
    tracks, label = split_at_gaps(FRAME, TRACKLET, PARENT)
    assert tracks.label.tolist() == [1, 2, 3, 4, 5]
    assert tracks.first.tolist() == [0, 3, 3, 0, 2]
    assert tracks.last.tolist() == [2, 4, 3, 0, 3]
    assert tracks.parent.tolist() == [0, 1, 1, 0, 4]
    assert label.tolist() == [1, 1, 1, 2, 2, 3, 4, 5, 5]


def test_daughters_descend_from_the_last_piece_of_their_mother():
    tracks, _ = split_at_gaps(numbers(5, 0, 2), numbers(0, 1, 1), numbers(1, -1))
    assert tracks.parent.tolist() == [3, 0, 2]


def test_no_cells_make_no_tracks():
    empty = numbers()
    tracks, label = split_at_gaps(empty, empty, empty)
    assert len(tracks) == len(label) == 0


def test_tracklets_that_are_none_are_refused():
    with pytest.raises(SchemaError, match="tracklet 0 has two cells in frame 3"):
        split_at_gaps(numbers(3, 3), numbers(0, 0), numbers(-1))
    with pytest.raises(SchemaError, match="a parent without cells"):
        split_at_gaps(numbers(3), numbers(0), numbers(1, -1))


def draw_frames(tracks, n_frames):
    for t in range(n_frames):
        mask = np.zeros((4, max(len(tracks), 1)), dtype=np.uint16)
        alive = (tracks.first <= t) & (t <= tracks.last)
        mask[1:3, tracks.label[alive] - 1] = tracks.label[alive]
        yield t, mask


def test_what_is_written_is_valid_and_reads_the_same(tmp_path):
    tracks, _ = split_at_gaps(FRAME, TRACKLET, PARENT)
    folder = tmp_path / "out" / "01_RES"
    files = write_ctc(folder, draw_frames(tracks, 5), tracks, 5)
    assert len(files) == 6
    require_valid(folder, 5)
    (lineage,) = open_source(folder).lineages
    assert (len(lineage.frame), len(lineage.source)) == (9, 7)
    with tifffile.TiffFile(files[0]) as tif:
        assert tif.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


@st.composite
def forests(draw):
    """Return (frame, tracklet, parent) of a random lineage with divisions and gaps."""
    frames, parent = [], []
    for k in range(draw(st.integers(0, 7))):
        mother = draw(st.integers(-1, k - 1))
        if mother >= 0 and (parent.count(mother) > 1 or max(frames[mother]) >= 8):
            mother = -1
        lowest = max(frames[mother]) + 1 if mother >= 0 else 0
        frames.append(draw(st.sets(st.integers(lowest, 9), min_size=1)))
        parent.append(mother)
    cells = [(t, k) for k, mine in enumerate(frames) for t in mine]
    cells = draw(st.permutations(cells))
    frame, tracklet = np.array(cells, dtype=np.int64).reshape(-1, 2).T
    return frame, tracklet, np.array(parent, dtype=np.int64)


@given(forests())
@settings(max_examples=40)
def test_writing_then_reading_gives_the_lineage_again(tmp_path_factory, forest):
    frame, tracklet, parent = forest
    tracks, label = split_at_gaps(frame, tracklet, parent)
    folder = tmp_path_factory.mktemp("ctc") / "01_RES"
    write_ctc(folder, draw_frames(tracks, 10), tracks, 10)
    require_valid(folder, 10)
    (lineage,) = open_source(folder).lineages
    cell_of = {(t, n): cell for cell, (t, n) in enumerate(zip(frame.tolist(), label.tolist(), strict=True))}
    rows = [cell_of[t, n] for t, n in zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True)]
    assert sorted(rows) == list(range(len(frame)))
    found = {(rows[s], rows[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}
    expected = set()
    for cell, k in enumerate(tracklet):
        before = [c for c in np.flatnonzero(tracklet == k) if frame[c] < frame[cell]]
        if not before and parent[k] >= 0:
            before = list(np.flatnonzero(tracklet == parent[k]))
        if before:
            expected.add((int(max(before, key=lambda c: frame[c])), cell))
    assert found == expected


def test_more_than_999_frames_get_four_digits(tmp_path):
    tracks = CtcTracks(numbers(1), numbers(0), numbers(1000), numbers(0))
    mask = np.ones((1, 2), dtype=np.uint16)
    files = write_ctc(tmp_path / "01_RES", ((t, mask) for t in range(1001)), tracks, 1001)
    assert files[0].name == "mask0000.tif"
    assert open_source(tmp_path / "01_RES").n_frames == 1001


def test_more_tracks_than_16_bits_are_refused_before_anything_is_written(tmp_path):
    label = np.arange(1, 65537)
    zero = np.zeros_like(label)
    with pytest.raises(
        FormatError, match=r"65,536 tracks do not fit the 16-bit masks .*; expected: 65,535 .*; try: fewer"
    ):
        write_ctc(tmp_path / "01_RES", [], CtcTracks(label, zero, zero, zero), 0)
    with pytest.raises(FormatError, match="65,536 tracks"):
        relabel(np.ones((2, 2), dtype=np.uint8), numbers(1), numbers(65536))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    tracks = CtcTracks(*[numbers()] * 4)
    with pytest.raises(FormatError, match="is there already; try: another folder, or remove this one"):
        write_ctc(tmp_path, [], tracks, 0)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([(0, 1), (2, 1)], "frame 2 was given where frame 1 was due"),
        ([(0, 1)], "1 frames were given for a movie of 2"),
        ([(0, 1), (1, 0)], "the mask of frame 1 has no cell of track 1"),
        ([(0, 7), (1, 1)], "the mask of frame 0 has no cell of track 1"),
    ],
)
def test_a_result_that_would_not_be_valid_leaves_nothing_behind(tmp_path, frames, message):
    tracks = CtcTracks(numbers(1), numbers(0), numbers(1), numbers(0))
    masks = ((t, np.full((2, 2), label, dtype=np.uint16)) for t, label in frames)
    with pytest.raises(SchemaError, match=message):
        write_ctc(tmp_path / "01_RES", masks, tracks, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint32])
def test_labels_are_replaced_and_the_rest_is_background(dtype):
    mask = np.array([[0, 1, 2], [3, 3, 100]], dtype=dtype)
    new = relabel(mask, numbers(3, 1, 900), numbers(10, 20, 30))
    assert new.dtype == np.uint16
    assert new.tolist() == [[0, 20, 0], [10, 10, 0]]
    assert relabel(mask, numbers(), numbers()).max() == 0


@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.uint64])
def test_large_labels_are_replaced_too(dtype):
    mask = np.array([[0, 2**31 + 5, 7]], dtype=dtype)
    assert relabel(mask, numbers(7, 2**31 + 5), numbers(1, 2)).tolist() == [[0, 2, 1]]


def test_points_become_discs_and_the_nearer_centre_wins():
    mask = paint_points((5, 9), np.array([[2.0, 2.0], [2.0, 5.0]]), numbers(1, 2), 2)
    assert mask.tolist() == [
        [0, 0, 1, 0, 0, 2, 0, 0, 0],
        [0, 1, 1, 1, 2, 2, 2, 0, 0],
        [1, 1, 1, 1, 2, 2, 2, 2, 0],
        [0, 1, 1, 1, 2, 2, 2, 0, 0],
        [0, 0, 1, 0, 0, 2, 0, 0, 0],
    ]


def test_balls_may_be_flat():
    mask = paint_points((5, 5, 5), np.full((1, 3), 2.0), numbers(9), (1, 2, 2))
    assert [int(np.count_nonzero(plane)) for plane in mask] == [0, 1, 13, 1, 0]


def brute_force(shape, position, labels, radius):
    pixels = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    order = np.argsort(labels)
    distance = np.linalg.norm(pixels[..., None, :] - position[order], axis=-1)
    nearest = np.argmin(distance, axis=-1)
    return np.where(distance.min(axis=-1) <= radius, labels[order][nearest], 0)


@given(st.data(), st.integers(1, 8), st.sampled_from([(7, 9), (4, 5, 6)]), st.sampled_from([0.0, 0.5, 1.0, 2.5]))
@settings(max_examples=60)
def test_each_point_keeps_a_pixel_and_other_pixels_go_to_the_nearest(data, n, shape, radius):
    place = st.tuples(*[st.integers(-1, 2 * size + 1) for size in shape])
    position = np.array(data.draw(st.lists(place, min_size=n, max_size=n)), dtype=np.float64) / 2
    labels = np.array(data.draw(st.permutations(range(1, n + 1))), dtype=np.int64)
    mask = paint_points(shape, position, labels, radius)
    assert set(np.unique(mask).tolist()) - {0} == set(labels.tolist())
    expected = brute_force(shape, np.clip(position, 0, np.array(shape) - 1), labels, radius)
    assert np.count_nonzero(mask != expected) <= n
    shuffled = np.arange(n)[::-1]
    assert np.array_equal(paint_points(shape, position[shuffled], labels[shuffled], radius) > 0, mask > 0)


def test_points_in_one_pixel_move_apart_and_a_full_mask_is_refused():
    mask = paint_points((3, 3), np.ones((9, 2)), np.arange(1, 10), 0.5)
    assert sorted(mask.ravel().tolist()) == list(range(1, 10))
    with pytest.raises(SchemaError, match="10 points do not fit 9 pixels"):
        paint_points((3, 3), np.ones((10, 2)), np.arange(1, 11), 1)


def test_a_track_file_of_ours_reads_as_written(tmp_path):
    tracks, _ = split_at_gaps(FRAME, TRACKLET, PARENT)
    write_ctc(tmp_path / "01_RES", draw_frames(tracks, 5), tracks, 5)
    read = read_track_file(tmp_path / "01_RES" / "res_track.txt")
    for name in ("label", "first", "last", "parent"):
        np.testing.assert_array_equal(getattr(read, name), getattr(tracks, name))
