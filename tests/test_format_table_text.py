"""The outer form of text tables: encodings, separators, lines of header, quotes, and further columns."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import FormatError
from trackdb.storage.formats import SourceOptions, open_source

ROWS = "id,t,y,x,größe\n1,0,1.5,2,0.5\n2,1,1.5,3,1.5\n"
PLACES = {(0, 1, (1.5, 2.0)), (1, 2, (1.5, 3.0))}


def points_of(source):
    """Return (frame, label, position) of all points."""
    return {
        (b.frame, int(label), tuple(position))
        for b in source.frames()
        for label, position in zip(b.points.label, b.points.position_px.tolist(), strict=True)
    }


def properties_of(source):
    """Return every property of all points, in order of frames."""
    batches = [b.points.properties for b in source.frames()]
    return {name: np.concatenate([p[name] for p in batches]).tolist() for name in batches[0]}


def opened(path, content, **options):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_source(path, "table", SourceOptions(**options))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_any_encoding_tells_the_same(tmp_path, encoding, packed):
    bom = b"\xfe\xff" if encoding == "utf-16-be" else b""
    content = bom + ROWS.encode(encoding)
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    source = opened(path, gzip.compress(content) if packed else content, keep=("größe",))
    assert points_of(source) == PLACES
    assert properties_of(source) == {"größe": [0.5, 1.5]}
    assert any("is not UTF-8 and is read as Latin-1" in note for note in source.notes) == (encoding == "latin-1")


def test_rows_that_are_not_utf8_far_behind_a_plain_header_are_latin_1(tmp_path):
    content = "t,y,x,who\n" + "0,1,2,a\n" * 20_000 + "0,1,2,Zoë\n"
    source = opened(tmp_path / "a.csv", content.encode("latin-1"), keep=("who",))
    assert properties_of(source)["who"][-1] == "Zoë"
    assert "a.csv is not UTF-8 and is read as Latin-1" in source.notes


def test_text_of_two_bytes_without_a_mark_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"a.csv is no text table; got: zero bytes in the header; try: to save it as"):
        opened(tmp_path / "a.csv", ROWS.encode("utf-16-le"))


@pytest.mark.parametrize(
    "content",
    [
        ROWS.replace(",", ";"),
        ROWS.replace(",", ";").replace(".", ","),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", " "),
        ROWS.replace(",", "   "),
        "  id  t y x g\n  1  0 1.5 2 0\n 2   1  1.5 3 0  \n",
        "# " + ROWS,
        ROWS.replace(",", " , "),
        ROWS.replace("1.5", '"1.5"').replace("id", '"id"'),
        ROWS.replace("\n", "\r\n"),
        "\n\n" + ROWS.replace("\n", "\n\n"),
        'id,t,y,x,note\n1,0,1.5,2,"two\nlines, and ""quotes"""\n2,1,1.5,3,""\n',
    ],
    ids=["semicolon", "decimal comma", "tab", "space", "spaces", "aligned", "hash", "padded", "quotes", "crlf", "blank",
         "lines in quotes"],
)  # fmt: skip
def test_any_separator_tells_the_same(tmp_path, content):
    assert points_of(opened(tmp_path / "a.csv", content)) == PLACES


def test_an_empty_entry_between_two_spaces_is_empty(tmp_path):
    source = opened(tmp_path / "a.csv", "id t y x parent_id g\n1 0 1 1  5\n2 1 1 1 1 5\n")
    assert len(source.lineages[0].source) == 1


def test_a_comma_is_a_decimal_only_where_it_parts_no_columns(tmp_path):
    source = opened(tmp_path / "a.csv", "t;y;x\n0;1,5;2\n")
    assert points_of(source) == {(0, 0, (1.5, 2.0))}
    assert "a.csv: numbers may have a decimal comma" in source.notes
    with pytest.raises(FormatError, match=r"line 2: column y needs a number; got: '1,5'"):
        opened(tmp_path / "a.csv", "t\ty\tx\n0\t1,5\t2\n")
    with pytest.raises(FormatError, match=r"line 2: column y needs a number; got: '1,000,000'"):
        opened(tmp_path / "a.csv", "t;y;x\n0;1,000,000;2\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('t,y,x,note\n0,1,2,"a\nb"\n\n0,1,oops,c\n', 5),
        ("\n\nt,y,x\n0,1,2\n\n\n0,oops,2\n", 7),
        (" t  y x\n 0  1 2\n 0 1  oops\n", 3),
        ("Label,ID,Spot frame,Spot position,Spot position\n,,,X,Y\n,,,,\na,1,0,1,2\nb,2,0,oops,2\n", 5),
    ],
)  # fmt: skip
def test_the_line_that_is_named_is_the_line_of_the_file(tmp_path, content, line):
    with pytest.raises(FormatError, match=rf"a.csv line {line}: .* needs a number; got: 'oops'"):
        opened(tmp_path / "a.csv", content)


def test_names_that_look_like_formulas_or_entities_are_text(tmp_path):
    names = ["=cmd()", "&amp;", "<b>", "'; drop", "NA"]
    content = "t,y,x,name\n" + "".join(f"0,1,2,{name}\n" for name in names)
    assert properties_of(opened(tmp_path / "a.csv", content, keep=("name",)))["name"] == [*names[:-1], ""]


def test_further_columns_are_kept_as_numbers_or_as_text(tmp_path):
    content = "t,y,x,mass,kind,code,,flag\n0,1,2,0.5,cell,1,9,True\n1,1,2,,debris,x2,9,False\n"
    assert properties_of(opened(tmp_path / "a.csv", content, keep=("mass", "kind"))) == {
        "mass": [0.5, pytest.approx(np.nan, nan_ok=True)],
        "kind": ["cell", "debris"],
    }
    every = properties_of(opened(tmp_path / "a.csv", content, keep=("all",)))
    assert list(every) == ["mass", "kind", "code", "flag"]
    assert every["code"] == ["1", "x2"]
    with pytest.raises(FormatError, match="has no column size to keep; got: columns t, y, x, mass"):
        opened(tmp_path / "a.csv", content, keep=("size",))


def test_columns_of_parquet_are_kept_if_they_are_numbers_or_text(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"t": [0, 1], "y": [1, 1], "x": [2, 2], "ok": [True, None], "n": ["a", None], "box": [[1], [2]]}
    pq.write_table(pa.table(columns), path)
    source = open_source(path, options=SourceOptions(keep=("all",)))
    kept = properties_of(source)
    assert kept == {"ok": [1.0, pytest.approx(np.nan, nan_ok=True)], "n": ["a", ""]}
    assert any("not kept: " in note and "column box holds list" in note for note in source.notes)
    with pytest.raises(FormatError, match="column box holds list"):
        open_source(path, options=SourceOptions(keep=("box",)))


def test_long_text_is_not_kept(tmp_path):
    content = "t,y,x,essay\n0,1,2," + "a" * 300 + "\n"
    assert any("text of 300 letters" in note for note in opened(tmp_path / "a.csv", content, keep=("all",)).notes)
    with pytest.raises(FormatError, match="column essay holds text of 300 letters; expected: at most 256"):
        opened(tmp_path / "a.csv", content, keep=("essay",))


def test_units_of_a_header_line_are_no_rows(tmp_path):
    content = "ID,FRAME,POSITION_X,POSITION_Y\nID,Frame,X,Y\nID,Frame,X,Y\n,,(pixel),(pixel)\n"
    assert points_of(opened(tmp_path / "a.csv", content + "7,0,1.5,2.5\n")) == {(0, 7, (2.5, 1.5))}
    assert points_of(opened(tmp_path / "a.csv", content)) == set()


MICRONS = (
    "ID,FRAME,POSITION_X,POSITION_Y,AREA\nID,Frame,X,Y,A\nID,F,X,Y,A\n,,(micron),(micron),(micron^2)\n7,0,1.5,2.5,4\n"
)


def test_units_of_the_header_make_pixels_of_micrometres(tmp_path):
    source = opened(tmp_path / "a.csv", MICRONS)
    assert (source.scale_um, points_of(source)) == ((1.0, 1.0), {(0, 7, (2.5, 1.5))})
    assert any("one pixel is taken for 1 um" in note for note in source.notes)
    source = opened(tmp_path / "a.csv", MICRONS, scale_um=(0.5, 0.5))
    assert (source.scale_um, points_of(source)) == ((0.5, 0.5), {(0, 7, (5.0, 3.0))})
    assert next(source.frames()).points.area.tolist() == [16.0]
    with pytest.raises(FormatError, match="tells positions in several units; expected: one; got: micron, pixel"):
        opened(tmp_path / "a.csv", MICRONS.replace("(micron),(micron)", "(micron),(pixel)"))


def test_where_nobody_tells_a_unit_pixels_are_assumed_and_said(tmp_path):
    said = "no unit is told: positions are taken as pixels"
    assert said in opened(tmp_path / "a.csv", ROWS).notes
    assert said not in opened(tmp_path / "a.csv", ROWS, scale_um=(0.5, 0.5)).notes
    assert said not in opened(tmp_path / "a.csv", MICRONS.replace("micron", "pixel")).notes
    assert any(
        "'furlong' is none that is known" in n
        for n in opened(tmp_path / "a.csv", MICRONS.replace("micron", "furlong")).notes
    )


@settings(deadline=None)  # files are written and read
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_numbers_come_back_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "law.csv"
    for comma, point in ((",", "."), (";", ",")):
        lines = [comma.join(("0", repr(y).replace(".", point), repr(x).replace(".", point))) for y, x in rows]
        (batch,) = opened(path, "\n".join([comma.join("tyx"), *lines])).frames()
        assert batch.points.position_px.tolist() == [list(row) for row in rows]


BROKEN = {
    "row": (b"t,y,x,who\n0,1,2,a\n0,1,oops,\xff\n", "line 3: column x needs a number; got: 'oops'"),
    "short": (b"t,y,x,who\n0,1,2,\xff\n0,\xff,2\n", "line 3: the row has 3 entries"),
    "wide": (b"t,y,x\n0,1,9223372036854775807\n", r"line 2: column x needs a finite number below 1e.15"),
    "underscore": (b"t,y,x\n0,1,1_000\n", "line 2: column x needs a number; got: '1_000'"),
    "position": (b'time,pos\n0,"[1, 2]"\n0,"[1, 1_000]"\n', "line 3: column pos is no position"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_mutation_found_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(FormatError, match=rf"a.csv {message}"):
        opened(tmp_path / "a.csv", content)
