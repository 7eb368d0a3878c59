"""A folder of tables that trackdb exported: read with all it tells, refused with file and place where it is broken."""

import json
import shutil

import duckdb
import numpy as np
import pytest

import trackdb
from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import detect, open_source
from trackdb.storage.formats.base import SourceOptions

from .command_line import refusal
from .exported import INTERVAL_S, LINKS, SCALE_UM, tracking


@pytest.fixture(scope="module")
def exported(rich, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for format in ("csv", "parquet"):
        trackdb.open(rich.path).solution("merged").export(format, folder / format)
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported / "csv", tmp_path / "tables")


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_all_that_was_told_comes_back(rich, exported, format):
    assert detect(exported / format) == "tables"
    source = open_source(exported / format)
    assert (source.name, source.n_frames, source.ndim) == ("rich", 4, 2)
    assert (source.scale_um, source.interval_s) == (SCALE_UM, INTERVAL_S)
    [lineage] = source.lineages
    assert (lineage.name, lineage.merges) == ("merged", True)
    pairs = zip(lineage.label[lineage.source].tolist(), lineage.label[lineage.target].tolist(), strict=True)
    assert {*pairs} == LINKS | {(7, 9)}
    points = [batch.points for batch in source.frames()]
    names = np.concatenate([p.properties["name"] for p in points])
    assert names.tolist() == tracking(rich).properties["name"].tolist()
    assert set(points[0].properties) == {"name", "brightness", "pinned_in"} - {"pinned_in"}


def test_numbers_of_cells_are_kept_where_labels_are_others(folder):
    cells = (folder / "cells.csv").read_text().splitlines()
    moved = [cells[0], *(f"{int(line.split(',')[0]) + 100},{line.split(',', 1)[1]}" for line in cells[1:7])]
    (folder / "cells.csv").write_text("\n".join(moved) + "\n")
    (folder / "links.csv").write_text("source,target\n101,103\n")
    first = next(open_source(folder).frames())
    assert first.points.label.tolist() == [1, 2]
    assert first.points.properties["id"].tolist() == [101, 102]


def broken(folder, file, old, new):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("about.json", '"t",', '"q"', "about.json does not tell"),
        ("about.json", '"y",', '"z",', "about.json: axes or voxel size are wrong"),
        ("about.json", "0.65", "-1", "about.json does not tell"),
        ("about.json", "0.65", "1e308", "about.json does not tell"),
        ("about.json", "0.65", "NaN", "about.json does not tell"),
        ("about.json", '"solution": "merged"', '"solution": ""', "about.json does not tell"),
        ("about.json", '"dataset"', '"data"', "about.json does not tell"),
        ("cells.csv", "id,t,y,x", "id,t,y,w", "cells.csv has no column"),
        ("cells.csv", "\n2,0,", "\n1,0,", r"cells.csv line 3: id 1 is there already"),
        ("cells.csv", "\n2,0,20,10,2,", "\n2,0,20,10,1,", r"cells.csv line 3: label 1 is in frame 0 already"),
        ("cells.csv", "\n1,0,10", "\n1,0,ten", "cells.csv line 2: column y needs"),
        ("links.csv", "source", "from", "links.csv has no column source"),
        ("links.csv", "\n1,3,", "\n1,99,", "links.csv line 2: target 99 is no cell"),
        ("links.csv", "\n1,3,", "\n2,4,", "links.csv line [34]: the link is there already"),
        ("links.csv", "\n1,3,", "\n3,1,", "links.csv: a link runs from frame 1"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_place(folder, file, old, new, message):
    broken(folder, file, old, new)
    with pytest.raises(FormatError, match=message):
        open_source(folder, "tables")


@pytest.mark.parametrize("lost", ["cells.csv", "links.csv", "about.json"])
def test_a_missing_file_is_named(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(FormatError, match=lost.split(".")[0]):
        open_source(folder, "tables")


def test_two_tables_of_one_name_are_refused(folder):
    (folder / "cells.parquet").write_bytes(b"")
    with pytest.raises(FormatError, match="holds 2 tables of cells"):
        open_source(folder, "tables")


def test_options_that_say_nothing_are_refused(folder):
    with pytest.raises(ConfigError, match="--links says nothing"):
        open_source(folder, options=SourceOptions(links=folder / "links.csv"))


def test_a_huge_or_nested_about_is_refused(folder):
    (folder / "about.json").write_text("[" * 100_000)
    with pytest.raises(FormatError, match="does not tell"):
        open_source(folder, "tables")
    (folder / "about.json").write_text(json.dumps({"x": "y" * (1 << 20)}))
    with pytest.raises(FormatError, match="too large"):
        open_source(folder, "tables")


@pytest.mark.usefixtures("own_home_and_log")
@pytest.mark.parametrize("kind", ["interval 1 hour", "map {'a': 1}", "union_value(a := 1)", "[1]", "'x'::blob"])
@pytest.mark.parametrize("column", ["x", "t"])
def test_a_column_of_another_kind_in_parquet_is_an_error_of_the_file(tmp_path, kind, column):
    """An error of the data, exit code 1, and not of the command."""
    file = tmp_path / "odd.parquet"
    rows = "select i // 2 as t, i * 1.0 as y, i * 1.0 as x from range(4) q(i)"
    duckdb.sql(f"copy (select * replace ({kind} as {column}) from ({rows})) to '{file}'")
    said = refusal("ingest", file, "-o", tmp_path / "a.trackdb", code=1)
    assert f"odd.parquet: column {column} holds" in said
    assert "expected  numbers" in said
    assert not (tmp_path / "a.trackdb").exists()
