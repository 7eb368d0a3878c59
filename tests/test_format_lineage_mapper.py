"""Reading results of NIST's Lineage Mapper: masks, births and deaths, divisions and fusions."""

import numpy as np
import pytest

from trackdb.errors import FormatError
from trackdb.storage.formats import detect, open_source

from .list_files import write_lineage_mapper

#  frame  1    2    3    4
#         1 -- 1 -- 3 -- 3 \\ 5
#                \_ 4 __/     frame 5: 3 and 4 have fused into 5;  cell 2 lives alone
LIVES = "Cell ID,Birth Frame,Death Frame\n1,1,2\n2,1,5\n3,3,4\n4,3,3\n5,5,5\n"
DIVISIONS = "t (time),Mother ID @t,Daughter ID @t+1,Daughter ID @t+1\n3,1,3,4\n"
FUSIONS = "t (time),Fused ID @t+1,Fusion ID @t,Fusion ID @t\n4,5,3,4\n"
ALIVE = {1: [1, 2], 2: [1, 2], 3: [2, 3, 4], 4: [2, 3], 5: [2, 5]}


@pytest.fixture
def folder(tmp_path):
    tables = {"birth-death": LIVES, "division": DIVISIONS, "fusion": FUSIONS}
    return write_lineage_mapper(tmp_path, ALIVE, tables)


def links_of(source):
    (lineage,) = source.lineages
    cell = list(zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True))
    return {(cell[s], cell[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}


ALONG = {((0, 1), (1, 1)), ((2, 3), (3, 3)), *(((t, 2), (t + 1, 2)) for t in range(4))}
DIVIDED = {((1, 1), (2, 3)), ((1, 1), (2, 4))}
FUSED = {((3, 3), (4, 5)), ((2, 4), (4, 5))}


def test_tracks_divide_and_fuse(folder):
    assert detect(folder) == "lineage_mapper"
    source = open_source(folder)
    assert (source.n_frames, links_of(source)) == (5, ALONG | DIVIDED | FUSED)
    assert source.lineages[0].merges
    assert [sorted(set(np.unique(b.mask)) - {0}) for b in source.frames()] == list(ALIVE.values())
    assert "frame 1 of the files is frame 0 here" in source.notes


def test_divisions_and_fusions_may_be_missing(folder):
    (folder / "trk-fusion.csv").unlink()
    assert links_of(open_source(folder)) == ALONG | DIVIDED
    (folder / "trk-division.csv").unlink()
    assert links_of(open_source(folder)) == ALONG


BAD = {
    "birth-death": [
        ("1,1,9\n", r"birth-death.csv line 2: track 1 lives from frame 1 to 9; expected: frames 1 to 5"),
        ("1,2,1\n", r"birth-death.csv line 2: track 1 ends at frame 1 but begins at 2"),
        ("1,1,2\n1,3,3\n", r"birth-death.csv line 3: label 1 has a line already"),
        ("1,1\n", r"birth-death.csv line 2 is wrong; expected: 3 whole numbers or more; got: 1,1"),
        ("1,1,x\n", r"birth-death.csv line 2 is wrong; .*got: 1,1,x"),
        ("1,-1,2\n", r"birth-death.csv line 2 is wrong"),
        ("1,1,99999999999999999999\n", r"birth-death.csv line 2 is wrong"),
    ],
    "division": [
        ("3,1,3,9\n", r"division.csv line 2 names cell 9, which has no line in trk-birth-death.csv"),
        ("3,9,3,4\n", r"division.csv line 2 names cell 9"),
        ("3,1,3,3\n", r"division.csv line 2 names a cell twice"),
        ("3,1,3,4\n3,2,3,5\n", r"division.csv line 3: cell 3 has two mothers"),
        ("3,2,3,4\n", r"birth-death.csv line 4: parent 2 ends at frame 5, child 3 begins at 3"),
    ],
    "fusion": [
        ("4,5,3,9\n", r"fusion.csv line 2 names cell 9"),
        ("4,5,3,2\n", r"fusion.csv line 2: cell 2 lives until frame 5, what it fused into from frame 5"),
        ("4,5,3,3\n", r"fusion.csv line 2 names a cell twice"),
    ],
}


@pytest.mark.parametrize(
    ("name", "rows", "message"), [(name, *bad) for name, all_bad in BAD.items() for bad in all_bad]
)
def test_bad_tables_are_refused_with_their_line(folder, name, rows, message):
    (folder / f"trk-{name}.csv").write_text("header\n" + rows)
    with pytest.raises(FormatError, match=message):
        open_source(folder)


def test_masks_that_are_missing_are_refused(folder):
    (folder / "trk-seg_003.tif").unlink()
    with pytest.raises(FormatError, match="3"):
        open_source(folder)
