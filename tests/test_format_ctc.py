"""Reading Cell Tracking Challenge folders: which folder tells what, and what is refused."""

import numpy as np
import pytest
import tifffile

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, open_source
from trackdb.storage.formats.track_file import read_track_file

#  frame   0    1    2    3    4
#          1 -- 1 -- 1 .. 2 -- 2      1 divides into 2 and 3
#                       `. 3 -- 3
#          4 -- 4 ....... 5           5 is 4 again, after a gap
TRACKS = [(1, 0, 2, 0), (2, 3, 4, 1), (3, 3, 4, 1), (4, 0, 1, 0), (5, 3, 3, 4)]
N_FRAMES, SHAPE = 5, (6, 50)
LINKS = {
    ((0, 1), (1, 1)), ((1, 1), (2, 1)), ((2, 1), (3, 2)), ((2, 1), (3, 3)), ((3, 2), (4, 2)), ((3, 3), (4, 3)),
    ((0, 4), (1, 4)), ((1, 4), (3, 5)),
}  # fmt: skip


def draw(folder, *, prefix="man_track", tracks=TRACKS, first=0, shift=0, lines=None, dtype=np.uint16):
    """Write masks with a 3 x 3 block per cell, and the track file."""
    folder.mkdir(parents=True)
    for t in range(first, N_FRAMES):
        mask = np.zeros(SHAPE, dtype=dtype)
        for label, begin, end, _ in tracks:
            if begin <= t <= end:
                mask[1:4, 5 * label - 3 + shift : 5 * label + shift] = label
        tifffile.imwrite(folder / f"{prefix}{t:03d}.tif", mask, photometric="minisblack")
    name = "res_track.txt" if prefix == "mask" else "man_track.txt"
    text = "".join(" ".join(map(str, row)) + "\n" for row in tracks) if lines is None else lines
    (folder / name).write_text(text)
    return folder


@pytest.fixture
def dataset(tmp_path):
    draw(tmp_path / "hela" / "01_GT" / "TRA")
    return tmp_path / "hela"


def links_of(lineage):
    cells = list(zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True))
    return {(cells[s], cells[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}


def cells_of(source):
    return {(b.frame, int(label)) for b in source.frames() for label in np.unique(b.mask) if label}


def test_a_data_set_folder_gives_detections_and_truth(dataset):
    source = open_source(dataset)
    assert (source.name, source.n_frames, source.ndim, source.shape_px) == ("hela", 5, 2, SHAPE)
    (truth,) = source.lineages
    assert truth.name == "truth"
    assert truth.complete
    assert truth.masks == ()
    assert links_of(truth) == LINKS
    assert set(zip(truth.frame.tolist(), truth.label.tolist(), strict=True)) == cells_of(source)
    assert "01_GT/TRA" in source.notes[0]


@pytest.mark.parametrize("inside", ["", "01_GT", "01_GT/TRA"])
def test_any_of_its_folders_opens_the_same_movie(dataset, inside):
    source = open_source(dataset / inside)
    assert source.name == "hela"
    assert links_of(source.lineages[0]) == LINKS


def test_a_result_comes_with_the_truth_beside_it(dataset):
    draw(dataset / "01_RES", prefix="mask", shift=1, tracks=TRACKS[:3])
    for path in (dataset, dataset / "01_RES"):
        source = open_source(path)
        result, truth = source.lineages
        assert (result.name, truth.name) == ("01_RES", "truth")
        assert len(result.frame) == 7
        assert result.masks == ()
        assert [m.name for m in truth.masks] == [f"man_track{t:03d}.tif" for t in range(5)]
        assert links_of(truth) == LINKS
        assert "01_RES" in source.notes[0]
        assert len(cells_of(source)) == 7


def test_truth_from_elsewhere_is_read_beside_the_detections(dataset, tmp_path):
    result = draw(tmp_path / "mine" / "res", prefix="mask", tracks=TRACKS[:1])
    for truth in (dataset / "01_GT", dataset / "01_GT" / "TRA" / "man_track.txt"):
        source = open_source(result, options=SourceOptions(truth=truth))
        assert [lineage.name for lineage in source.lineages] == ["res", "truth"]
        assert len(source.lineages[1].masks) == 5


def test_truth_of_masks_that_count_from_1_is_paired_by_rank(dataset, tmp_path):
    (tmp_path / "masks").mkdir()
    for t in range(N_FRAMES):
        tifffile.imwrite(tmp_path / "masks" / f"m{t + 1}.tif", np.ones(SHAPE, dtype=np.uint8), photometric="minisblack")
    source = open_source(tmp_path / "masks", options=SourceOptions(truth=dataset / "01_GT", frames=slice(2, None)))
    (truth,) = source.lineages
    assert [m.name for m in truth.masks] == [f"man_track{t:03d}.tif" for t in range(1, 5)]
    assert links_of(truth) == {((a - 1, k), (b - 1, m)) for (a, k), (b, m) in LINKS if a > 0}
    assert any("frame 0 there is taken for frame 1 of the masks" in note for note in source.notes)


def test_truth_beyond_the_last_mask_is_left_out_and_noted(dataset):
    (draw(dataset / "01_RES", prefix="mask", tracks=[(9, 0, 3, 0)]) / "mask004.tif").unlink()
    source = open_source(dataset)
    assert int(source.lineages[1].frame.max()) == 3
    assert "truth: cells in frames without a mask, left out: 2" in source.notes


def test_a_result_without_track_file_is_detections_alone(dataset):
    (draw(dataset / "01_RES", prefix="mask") / "res_track.txt").unlink()
    source = open_source(dataset)
    assert [lineage.name for lineage in source.lineages] == ["truth"]
    assert any("no res_track.txt" in note for note in source.notes)


def test_several_sequences_need_a_choice(dataset):
    draw(dataset / "02_GT" / "TRA", tracks=TRACKS[:1])
    with pytest.raises(ConfigError, match=r"several sequences; expected: --sequence NN; got: 01, 02"):
        open_source(dataset)
    with pytest.raises(ConfigError, match=r"no sequence 03; expected: 01, 02"):
        open_source(dataset, options=SourceOptions(sequence="03"))
    source = open_source(dataset, options=SourceOptions(sequence="02"))
    assert source.name == "hela-02"
    assert len(source.lineages[0].frame) == 3


def test_images_of_the_sequence_are_a_channel(dataset):
    (dataset / "01").mkdir()
    for t in range(N_FRAMES):
        tifffile.imwrite(dataset / "01" / f"t{t:03d}.tif", np.full(SHAPE, t, dtype=np.uint8), photometric="minisblack")
    batches = list(open_source(dataset).frames(first=2))
    assert [b.frame for b in batches] == [2, 3, 4]
    assert [int(b.images["image"].max()) for b in batches] == [2, 3, 4]
    (dataset / "01" / "t004.tif").unlink()
    with pytest.raises(FormatError, match=r"channel image in .* has no frame 4; expected: frames 0 to 4"):
        open_source(dataset)


def test_images_of_another_size_are_refused(dataset, tmp_path):
    tifffile.imwrite(tmp_path / "gfp.tif", np.zeros((5, 9, 9), dtype=np.uint8), photometric="minisblack")
    with pytest.raises(FormatError, match=r"channel gfp in .*size than the masks; expected: \(6, 50\); got: \(9, 9\)"):
        open_source(dataset, options=SourceOptions(images={"gfp": tmp_path / "gfp.tif"}))


def test_frames_before_the_first_file_are_empty(dataset, tmp_path):
    result = draw(dataset / "01_RES", prefix="mask", first=3, tracks=[(2, 3, 4, 0), (3, 3, 4, 0)])
    images = tmp_path / "gfp.tif"
    tifffile.imwrite(images, np.ones((2, *SHAPE), dtype=np.uint8), photometric="minisblack")
    source = open_source(result, options=SourceOptions(images={"gfp": images}))
    batches = list(source.frames())
    assert [int(b.images["gfp"].max()) for b in batches] == [0, 0, 0, 1, 1]
    assert [b.frame for b in batches] == [0, 1, 2, 3, 4]
    assert [int(b.mask.max()) for b in batches] == [0, 0, 0, 3, 3]
    assert [b.frame for b in source.frames(first=2)] == [2, 3, 4]
    assert len(source.lineages[1].masks) == 5
    assert "frames 0 to 2 have no file and are empty" in source.notes


def test_a_stop_alone_keeps_the_numbers(dataset):
    source = open_source(dataset, options=SourceOptions(frames=slice(None, 3)))
    assert source.n_frames == 3
    assert links_of(source.lineages[0]) == {link for link in LINKS if link[1][0] < 3}


def test_a_step_ties_cells_over_the_frames_skipped(dataset):
    options = SourceOptions(frames=slice(1, None, 2), interval_s=60.0)
    source = open_source(dataset, options=options)
    assert (source.n_frames, source.interval_s) == (2, 120.0)
    assert cells_of(source) == {(0, 1), (0, 4), (1, 2), (1, 3), (1, 5)}
    assert links_of(source.lineages[0]) == {((0, 1), (1, 2)), ((0, 1), (1, 3)), ((0, 4), (1, 5))}
    assert "frame 1 of the files is frame 0 here" in source.notes


def test_a_mother_with_more_than_two_grandchildren_loses_their_links(tmp_path):
    # 1 divides into 2 and 3 after frame 0, 2 into 4 and 5 after frame 1: frame 2 has three grandchildren of 1
    tracks = [(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 2, 1), (4, 2, 4, 2), (5, 2, 4, 2)]
    folder = draw(tmp_path / "01_GT" / "TRA", tracks=tracks)
    source = open_source(folder, options=SourceOptions(frames=slice(None, None, 2)))
    assert links_of(source.lineages[0]) == {((1, 4), (2, 4)), ((1, 5), (2, 5))}
    assert any("divided more than once" in note and "label 1 in frame 0" in note for note in source.notes)


def test_three_daughters_are_read_and_noted(tmp_path):
    tracks = [(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1), (4, 1, 1, 1)]
    source = open_source(draw(tmp_path / "01_GT" / "TRA", tracks=tracks))
    assert len(source.lineages[0].source) == 3
    assert any("more than two daughters: 1 (label 1 in frame 0)" in note for note in source.notes)


BAD = {
    "words": ("1 0 2 0\n2 3 x 1\n", r"man_track.txt line 2: E is not a whole number; expected: L B E P; got: x"),
    "fraction": ("1 0 2.5 0\n", r"line 1: E is not a whole number; .*got: 2.5"),
    "columns": ("1 0 2\n", r"line 1 does not have four columns; expected: L B E P; got: 3 columns: 1 0 2"),
    "duplicate": ("1 0 2 0\n\n1 3 4 0\n", r"line 3: label 1 has a line already; expected: one line per label"),
    "label 0": ("0 0 2 0\n", r"line 1: label 0 is not a track; expected: a label of at least 1; got: L=0 B=0 E=2 P=0"),
    "negative label": ("-4 0 2 0\n", r"line 1: label -4 is not a track"),
    "B > E": ("1 3 2 0\n", r"line 1: track 1 ends at frame 2 but begins at 3; expected: B <= E"),
    "negative begin": ("1 -1 2 0\n", r"line 1: track 1 begins at frame -1; expected: frames from 0"),
    "unknown parent": ("1 0 2 0\n2 3 4 9\n", r"line 2: the parent of track 2 is 9, which has no line"),
    "negative parent": ("2 3 4 -1\n", r"line 1: the parent of track 2 is -1; expected: 0 for none"),
    "late parent": ("1 0 3 0\n2 3 4 1\n", r"line 2: parent 1 ends at frame 3, child 2 begins at 3; expected: a child"),
    "self": ("1 0 3 1\n", r"line 1: track 1 is its own parent"),
    "beyond": ("1 0 2 0\n2 3 9 0\n", r"line 2: track 2 lives from frame 3 to 9; expected: frames 0 to 4, for which"),
    "huge": (f"1 0 {10**30} 0\n", r"line 1: E is too large"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_track_file_is_refused_with_its_line(tmp_path, lines, message):
    folder = draw(tmp_path / "01_GT" / "TRA", lines=lines)
    with pytest.raises(FormatError, match=message):
        open_source(folder)


def test_tabs_blank_lines_and_windows_lines_are_read(tmp_path):
    path = tmp_path / "man_track.txt"
    path.write_bytes(b"\xef\xbb\xbf1\t0\t2\t0\r\n\r\n 2  3 4 1 \r\n")
    tracks = read_track_file(path)
    assert tracks.label.tolist() == [1, 2]
    assert tracks.line.tolist() == [1, 3]
    assert tracks.parent_row.tolist() == [-1, 0]


def test_a_file_that_is_no_text_is_refused(tmp_path):
    folder = draw(tmp_path / "01_GT" / "TRA")
    (folder / "man_track.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FormatError, match="cannot be read as text"):
        open_source(folder)


def test_truth_without_track_file_or_masks_is_refused(dataset):
    tra = dataset / "01_GT" / "TRA"
    for mask in tra.glob("*.tif"):
        mask.rename(mask.with_name("x" + mask.name))
    with pytest.raises(FormatError, match=r"holds no label masks; expected: man_track000.tif"):
        open_source(dataset)
    for mask in tra.glob("*.tif"):
        mask.rename(mask.with_name(mask.name[1:]))
    (tra / "man_track.txt").unlink()
    with pytest.raises(FormatError, match=r"holds no man_track.txt; expected: the track file beside the masks"):
        open_source(dataset)


def test_a_missing_frame_is_refused_by_number(dataset):
    (dataset / "01_GT" / "TRA" / "man_track002.tif").unlink()
    with pytest.raises(FormatError, match=r"frame 2 is missing; expected: a file for each frame 0 to 4; got: 4 files"):
        open_source(dataset)


def test_truth_that_lacks_a_frame_of_the_result_is_refused(dataset):
    draw(dataset / "01_RES", prefix="mask")
    (dataset / "01_GT" / "TRA" / "man_track004.tif").unlink()
    with pytest.raises(FormatError, match=r"the ground truth in .*TRA has no frame 4; expected: frames 0 to 4"):
        open_source(dataset)


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(FormatError, match="expected: folders like 01_GT or 01_RES"):
        open_source(tmp_path, "ctc")
    (tmp_path / "a.csv").write_text("t,y,x\n")
    with pytest.raises(FormatError, match="is no folder"):
        open_source(tmp_path / "a.csv", "ctc")


@pytest.mark.parametrize(
    ("said", "alone"), [({"columns": {"t": "frame"}}, False), ({"links": "a.csv"}, False), ({"truth": "01_GT"}, True)]
)
def test_options_of_other_formats_are_refused(dataset, said, alone):
    with pytest.raises(ConfigError, match=f"--{next(iter(said))} says nothing about"):
        open_source(dataset, options=SourceOptions(**said, alone=alone))
