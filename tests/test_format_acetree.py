"""Reading AceTree: nuclei files with successors, and tables of cells with Sulston names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source
from trackdb.storage.formats.sulston import MOTHERS, mother_of

from .list_files import NUCLEI, zipped

#  time   1          2          3
#         ABa (1) -- ABa (2) -- ABal (1)
#                          \___ ABar (2)
#         P1  (2) -- P1  (1)
#         not valid (3)
LINKS = {((0, 1), (1, 2)), ((0, 2), (1, 1)), ((1, 2), (2, 1)), ((1, 2), (2, 2))}


def links_of(source):
    (lineage,) = source.lineages
    cell = list(zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True))
    return {(cell[s], cell[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}


def names_of(source):
    return [b.points.properties["name"].tolist() for b in source.frames()]


def refused(path, message, file_format="auto"):
    with pytest.raises(FormatError, match=message):
        open_source(path, file_format)


@pytest.mark.parametrize("folder", ["nuclei/", "", "my/nuclei/"])
def test_nuclei_are_linked_by_their_successors(tmp_path, folder):
    path = zipped(tmp_path / "my.zip", NUCLEI, folder, parameters="x", **{"parameters/a-parameters": "x"})
    assert detect(path) == "acetree"
    source = open_source(path)
    assert (source.name, source.n_frames, source.ndim, links_of(source)) == ("my", 3, 3, LINKS)
    assert names_of(source) == [["ABa", "P1"], ["P1", "ABa"], ["ABal", "ABar"]]
    first = next(source.frames()).points
    assert first.position_px.tolist() == [[3.5, 20.0, 10.0], [4.0, 60.0, 50.0]]
    assert first.properties["size"].tolist() == [8.0, 9.0]
    assert "nuclei that are not valid are left out: 1" in source.notes
    assert source.lineages[0].name == "truth"


@pytest.mark.parametrize("nested", [True, False])
def test_nuclei_may_lie_in_a_folder(tmp_path, nested):
    folder = tmp_path / "nuclei" if nested else tmp_path
    folder.mkdir(exist_ok=True)
    for time, text in NUCLEI.items():
        (folder / f"t{time:03d}-nuclei").write_text(text.replace("\n", "\r\n"))
    assert detect(tmp_path) == "acetree"
    assert links_of(open_source(tmp_path)) == LINKS


def test_successors_that_are_not_valid_are_left_out_and_said(tmp_path):
    gone = NUCLEI | {3: NUCLEI[3].replace("2, 1, 2", "2, 0, 2")}
    source = open_source(zipped(tmp_path / "a.zip", gone))
    assert links_of(source) == LINKS - {((1, 2), (2, 2))}
    assert "successors that are no valid nucleus, left out: 1" in source.notes
    other = NUCLEI | {3: NUCLEI[3].replace("2, 1, 2", "2, 1, 1")}
    source = open_source(zipped(tmp_path / "a.zip", other))
    assert links_of(source) == LINKS
    assert "successors of which the predecessor is another nucleus: 1" in source.notes


BAD = {
    "cut": ("1, 1, -1, -1", r"a.zip nuclei/t003-nuclei line 3 is cut off; expected: 10 entries; got: 1, 1, -1, -1"),
    "words": ("9, 1, -1, -1, -1, x, 1, 1, 1, a", r"nuclei/t003-nuclei line 3: x needs a number below 1e.15; got: 'x'"),
    "nan": ("9, 1, -1, -1, -1, 1, nan, 1, 1, a", r"line 3: y needs a number below 1e.15; got: 'nan'"),
    "huge": ("9, 1, -1, -1, -1, 1, 1, 1e99, 1, a", r"line 3: z needs a number below 1e.15; got: '1e99'"),
    "nothing": ("9, , -1, -1, -1, 1, 1, 1, 1, a", r"line 3: valid needs a number below 1e.15; got: ''"),
    "half": ("1.5, 1, -1, -1, -1, 1, 1, 1, 1, a", r"line 3: index needs a whole number; got: '1.5'"),
    "again": ("2, 1, -1, -1, -1, 1, 1, 1, 1, a", r"line 3: index needs a number of its own, from 1; got: '2'"),
    "zero": ("0, 1, -1, -1, -1, 1, 1, 1, 1, a", r"line 3: index needs a number of its own, from 1; got: '0'"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_refused_with_its_place(tmp_path, line, message):
    refused(zipped(tmp_path / "a.zip", NUCLEI | {3: NUCLEI[3] + line + "\n"}), message)


def test_two_mothers_are_refused(tmp_path):
    twice = NUCLEI | {2: NUCLEI[2].replace("1, 1, 2, -1", "1, 1, 2, 1")}
    refused(zipped(tmp_path / "a.zip", twice), r"time point 2, nucleus 2: cell 1 has two parents; .*got: ids 1, 2")


def test_zips_that_hold_no_nuclei_are_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {}, readme="x")
    refused(path, "looks like no format")
    refused(path, "a.zip holds no nuclei; expected: files like nuclei/t001-nuclei; got: readme", "acetree")
    refused(zipped(tmp_path / "a.zip", NUCLEI, **{"../t004-nuclei": "x"}), "leads out of it", "acetree")
    refused(zipped(tmp_path / "a.zip", NUCLEI, **{"t003-nuclei": "x"}), "a.zip holds time point 3 twice", "acetree")
    refused(zipped(tmp_path / "a.zip", {0: "", **NUCLEI}), "a.zip holds time point 0; expected: 1 and more", "acetree")
    bomb = zipped(tmp_path / "a.zip", NUCLEI | {4: " " * (1 << 23)})
    refused(bomb, r"nuclei/t004-nuclei unpacks to 8,388,608 bytes from [\d,]+; expected: .* 200 out of one")


def test_time_points_without_nuclei_are_frames_without_cells(tmp_path):
    source = open_source(zipped(tmp_path / "a.zip", {1: NUCLEI[3], 4: NUCLEI[3]}))
    assert [len(b.points.label) for b in source.frames()] == [2, 0, 0, 2]
    assert open_source(zipped(tmp_path / "a.zip", {1: ""})).n_frames == 0


#  time   1     2     3
#         AB -- ABa          P4 has no mother in the table
#           \__ ABp
#         P4 ------- P4      a gap
CELLS = "cellTime,cell,time,none,z,x,y\nAB:1,AB,1,7,3,1,2\nABa:2,ABa,2,7,3,1,3\nABp:2,ABp,2,7,4,1,4\n"
CELLS += "P4:1,P4,1,7,9,9,9\nP4:3,P4,3,7,9,9,8\n"


def table(tmp_path, content, name="CD1.csv"):
    (tmp_path / name).write_text(content)
    return tmp_path / name


def test_names_tell_the_mothers(tmp_path):
    path = table(tmp_path, CELLS)
    assert detect(path) == "sulston"
    source = open_source(path, options=SourceOptions(keep=("none",)))
    assert (source.n_frames, source.ndim, names_of(source)) == (3, 3, [["AB", "P4"], ["ABa", "ABp"], ["P4"]])
    assert links_of(source) == {((0, 0), (1, 1)), ((0, 0), (1, 2)), ((0, 3), (2, 4))}
    assert next(source.frames()).points.properties["none"].tolist() == [7.0, 7.0]
    assert "cells without a mother in the table: 2 (AB, P4)" in source.notes
    assert "time point 1 of the table is frame 0 here" in source.notes


def test_tables_from_time_0_keep_their_frames(tmp_path):
    path = table(tmp_path, "cell,time,z,x,y\nAB,0,1,1,1\nABa,1,1,1,2\nABp,1,2,2,2\n", "a.csv")
    assert detect(path) == "sulston"
    assert links_of(open_source(path)) == {((0, 0), (1, 1)), ((0, 0), (1, 2))}


def test_numbers_of_cells_are_no_names(tmp_path):
    assert detect(table(tmp_path, "cell,time,z,x,y\n7,0,1,1,1\n")) == "table"
    assert detect(table(tmp_path, "cell,time,z,x,y\n")) == "table"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ABa:2,ABa,2,7,1,1,1", r"CD1.csv line 7: track ABa is in frame 1 already; .*the same in line 3"),
        ("ABal:1,ABal,1,7,1,1,1", r"CD1.csv: ABal is a daughter of ABa: the table has parent ABa until frame 1, child"),
        (":1,,1,7,1,1,1", r"CD1.csv line 7: column cell needs the name of a cell; got: nothing"),
        ("Q:1,Q,1,7,1,x,1", r"CD1.csv line 7: column x needs a number; got: 'x'"),
        ("Q:1,Q,1,7", r"CD1.csv line 7: the row has 4 entries"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path, row, message):
    refused(table(tmp_path, CELLS + row + "\n"), message)


def test_options_that_say_nothing_are_refused(tmp_path):
    for path in (table(tmp_path, CELLS), zipped(tmp_path / "a.zip", NUCLEI)):
        with pytest.raises(ConfigError, match="--links says nothing about"):
            open_source(path, options=SourceOptions(links=path))


def test_founders_have_the_mothers_of_the_book():
    drawn = {"P0": ("AB", "P1"), "P1": ("EMS", "P2"), "EMS": ("MS", "E"), "P2": ("C", "P3"), "P3": ("D", "P4")}
    drawn["P4"] = ("Z2", "Z3")
    for mother, daughters in drawn.items():
        assert [mother_of(daughter) for daughter in daughters] == [mother, mother]
    assert (mother_of("P0"), mother_of("polar1"), mother_of("Nuc12"), mother_of("")) == (None, None, None, None)


@given(st.sampled_from(["AB", "MS", "E", "C", "D", "Z2"]), st.text("adlprv", min_size=1, max_size=9))
def test_a_name_without_its_last_letter_is_the_mother(founder, letters):
    name = founder + letters
    assert mother_of(name) == name[:-1]
    root = name
    while mother_of(root) is not None:
        root = mother_of(root)
    assert root == "P0"
    assert set(MOTHERS.values()) <= {"P0", *MOTHERS}
    assert np.all([mother_of(cell) is not None for cell in MOTHERS])
