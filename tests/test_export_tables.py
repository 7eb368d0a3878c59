"""CSV and Parquet: pandas and trackdb itself read back what was written."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

import trackdb
from trackdb.engine.ingest import ingest
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.writers.tables import write_table

from .exported import INTERVAL_S, SCALE_UM, shape_of, tracking


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.fixture(scope="module", params=["csv", "parquet"])
def written(rich, tmp_path_factory, request):
    """A folder with the solution as one table and as a folder of tables, and the suffix."""
    folder = tmp_path_factory.mktemp("tables")
    solution = trackdb.open(rich.path).solution("merged")
    solution.export(request.param, folder / f"cells.{request.param}")
    solution.export(request.param, folder / "tables")
    return folder, f".{request.param}"


def test_trackdb_reads_its_own_table_again(rich, written, tmp_path):
    folder, suffix = written
    again = DuckDBStore(tmp_path / "again.trackdb")
    options = SourceOptions(scale_um=SCALE_UM, interval_s=INTERVAL_S, keep=("name", "brightness"))
    ingest(folder / f"cells{suffix}", again, options=options)
    before, after = tracking(rich, "merged"), tracking(again)
    cells, links = shape_of(before)
    assert shape_of(after)[0] == cells
    assert {(a[0], b[0]) for a, b in links - shape_of(after)[1]} == {(2, 3)}  # the two links that merge
    assert len(links & shape_of(after)[1]) == len(links) - 2 == len(after.source)
    np.testing.assert_array_equal(after.properties["brightness"], before.properties["brightness"])
    assert np.array_equal(after.cells.label, before.cells.id)
    assert (after.movie.scale_um, after.movie.interval_s) == (SCALE_UM, INTERVAL_S)


def test_a_table_of_cells_tells_place_family_and_whatever_is_known(rich, written):
    folder, suffix = written
    found, table = tracking(rich, "merged"), read(folder / f"cells{suffix}")
    head = ["id", "t", "y", "x", "label", "area", "track", "parent", "lineage", "parent_id"]
    assert table.columns[: len(head)].tolist() == head
    position = table[["y", "x"]].to_numpy()
    np.testing.assert_array_equal(position.astype(np.float32), found.position_px)
    np.testing.assert_allclose(table[["y_um", "x_um"]], found.cells.position_um, rtol=1e-6)
    np.testing.assert_array_equal(table["time_s"], found.cells.frame * INTERVAL_S)
    np.testing.assert_array_equal(table["brightness"], found.properties["brightness"])
    mother = found.parent
    known = np.where(mother >= 0, found.cells.id[mother], -1)
    assert table["parent_id"].fillna(-1).tolist() == known.tolist()
    of_track = dict(zip(found.tracks.id.tolist(), found.tracks.parent.tolist(), strict=True))
    assert table["parent"].fillna(0).tolist() == [of_track[k] for k in found.track.tolist()]


def test_a_folder_of_tables_tells_everything(rich, written):
    folder, suffix = written
    found = tracking(rich, "merged")
    names = {f"cells{suffix}", f"links{suffix}", f"tracks{suffix}", "about.json"}
    assert {f.name for f in (folder / "tables").iterdir()} == names
    links = read(folder / "tables" / f"links{suffix}")
    pairs = zip(found.cells.id[found.source].tolist(), found.cells.id[found.target].tolist(), strict=True)
    assert [*zip(links["source"], links["target"], strict=True)] == [*pairs]
    assert links["kind"].tolist().count("merge") == 2
    assert links["dt"].tolist().count(2) == 1
    assert links["solution_truth"].tolist() == found.evidence.also_in["truth"].tolist()
    tracks = read(folder / "tables" / f"tracks{suffix}")
    assert tracks["track"].tolist() == found.tracks.id.tolist()
    assert tracks["n_children"].tolist() == found.tracks.n_children.tolist()
    about = json.loads((folder / "tables" / "about.json").read_text())
    assert (about["scale_um"], about["frame_interval_s"], about["solution"]) == ([*SCALE_UM], INTERVAL_S, "merged")


def test_probabilities_and_pins_stand_with_the_links(rich, tmp_path):
    trackdb.open(rich.path).solution("truth").export("parquet", tmp_path / "tables")
    found, links = tracking(rich), pd.read_parquet(tmp_path / "tables" / "links.parquet")
    np.testing.assert_array_equal(links["probability"], found.evidence.probability)
    assert links["pinned_by"].fillna("").tolist() == found.evidence.pinned_by.tolist()
    trackdb.open(rich.path).solution("truth").export("parquet", tmp_path / "cells.parquet")
    cells = pd.read_parquet(tmp_path / "cells.parquet").set_index("label")
    assert (cells["probability_in"][4], cells["pinned_in"][4], cells["pinned_in"][7]) == (0.75, True, False)


def test_parquet_keeps_texts_and_tells_the_scale_beside_the_rows(rich, written):
    folder, suffix = written
    if suffix == ".csv":
        pytest.skip("CSV guards texts and has no metadata")
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "cells.parquet")
    names = [name or "" for name in table["name"].to_pylist()]
    assert names == tracking(rich).properties["name"].tolist()
    assert json.loads(table.schema.metadata[b"trackdb"])["scale_um"] == [*SCALE_UM]


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx", "'=1", "''-1"]
HARMLESS = ["-", "+", "=", "a=b", "'", "'a=1", "naïve 🐭", 'say "hi", twice', "two\nlines", ""]


def test_a_spreadsheet_runs_no_text_and_numbers_stay_numbers(tmp_path):
    texts = np.array(FORMULAS + HARMLESS)
    write_table(tmp_path / "t.csv", {"=name": texts, "number": -np.arange(len(texts), dtype=float)}, {})
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.reader(file)]
    assert rows[0] == ["'=name", "number"]
    assert [row[0] for row in rows[1:]] == [f"'{text}" for text in FORMULAS] + HARMLESS
    assert [float(row[1]) for row in rows[1:]] == [-float(i) for i in range(len(texts))]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_name_that_ends_in_capitals_is_one_table(rich, tmp_path, format):
    out = tmp_path / f"cells.{format.upper()}"
    trackdb.open(rich.path).solution("merged").export(format, out)
    frame = pd.read_csv(out) if format == "csv" else pd.read_parquet(out)
    assert {"id", "t", "track"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("format", "out"), [("csv", "cells.parquet"), ("parquet", "cells.csv"), ("parquet", "cells.CSV")]
)
def test_a_name_that_promises_the_other_format_is_refused(rich, tmp_path, format, out):
    with pytest.raises(FormatError, match="is named like"):
        trackdb.open(rich.path).solution().export(format, tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_an_empty_table_has_a_header(tmp_path):
    write_table(tmp_path / "t.csv", {"a": np.empty(0), "b,c": np.empty(0, dtype="<U1")}, {})
    assert (tmp_path / "t.csv").read_text() == 'a,"b,c"\n'
