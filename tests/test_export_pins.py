"""Pins go out with every format that can hold them: which links, ends and beginnings people decided, and who did.

The movie of `movies`: cells 1 and 2, then 3, 4 and 5, then 6, 7, 8 and 9 in frames 0 to 2.
"""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
import zarr

import trackdb
from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore

from .movies import write_ctc

PINNED = {(3, 9): "ana"}
DECIDED = {4: ("ends", "bob"), 7: ("begins", "cy"), 8: ("begins; ends", "bob; cy")}


@pytest.fixture(scope="module")
def solution(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pins")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_ctc(folder / "movie"), store)
    annotator = Annotator(store, store.detection_set())
    solve(store, store.detection_set())
    annotator.answer("choose", 3, [9], who="ana")
    annotator.answer("choose", 4, [], who="bob")
    annotator.answer("begins", 7, who="cy")
    annotator.answer("begins", 8, who="bob")
    annotator.answer("choose", 8, [], who="cy")
    annotator.answer("choose", 5, [], who="cy")
    annotator.undo(who="cy")
    report = solve(store, store.detection_set())
    return trackdb.open(store.path).solution(report.solution)


def decided(cells):
    what_and_who = (cells[name].fillna("").tolist() for name in ("decided", "decided_by"))
    told = zip(cells["id"].tolist(), *what_and_who, strict=True)
    return {cell: (what, who) for cell, what, who in told if what}


def links_of(links):
    told = zip(links["source"].tolist(), links["target"].tolist(), links["pinned_by"].fillna("").tolist(), strict=True)
    return {(source, target): who for source, target, who in told if who}


@pytest.mark.parametrize(("form", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_tables_tell_who_pinned_what(solution, tmp_path, form, read):
    solution.export(form, tmp_path / "tables")
    assert links_of(read(tmp_path / "tables" / f"links.{form}")) == PINNED
    assert decided(read(tmp_path / "tables" / f"cells.{form}")) == DECIDED
    solution.export(form, tmp_path / f"cells.{form}")
    one = read(tmp_path / f"cells.{form}")
    assert decided(one) == DECIDED
    assert one.set_index("id")["pinned_in_by"].dropna().replace("", np.nan).dropna().to_dict() == {9: "ana"}


def test_napari_tells_who_pinned_what(solution, tmp_path):
    solution.export("napari", tmp_path / "layer")
    table = pd.read_csv(tmp_path / "layer" / "tracks.csv")
    assert decided(table) == DECIDED
    assert table[table["pinned_in"]].set_index("id")["pinned_in_by"].to_dict() == {9: "ana"}


def test_geff_tells_who_pinned_what(solution, tmp_path):
    pytest.importorskip("geff")
    solution.export("geff", tmp_path / "movie.geff")
    group = zarr.open(tmp_path / "movie.geff")
    ends, who = group["edges/ids"][:].tolist(), group["edges/props/pinned_by/values"][:].tolist()
    assert {tuple(pair): name for pair, name in zip(ends, who, strict=True) if name} == PINNED
    nodes = {name: group[f"nodes/props/{name}/values"][:].tolist() for name in ("decided", "decided_by")}
    told = zip(group["nodes/ids"][:].tolist(), nodes["decided"], nodes["decided_by"], strict=True)
    assert {cell: (what, by) for cell, what, by in told if what} == DECIDED


def test_graphml_tells_who_pinned_what(solution, tmp_path):
    networkx = pytest.importorskip("networkx")
    solution.export("graphml", tmp_path / "movie.graphml")
    graph = networkx.read_graphml(tmp_path / "movie.graphml", node_type=int)
    pinned = {(a, b): told["pinned_by"] for a, b, told in graph.edges(data=True) if told.get("pinned_by")}
    assert pinned == PINNED
    assert {n: (t["decided"], t["decided_by"]) for n, t in graph.nodes(data=True) if t.get("decided")} == DECIDED


def test_trackmate_tells_which_links_are_pinned_and_what_it_leaves_out(solution, tmp_path):
    notes = solution.export("trackmate", tmp_path / "movie.xml").notes
    edges = ElementTree.parse(tmp_path / "movie.xml").getroot().iter("Edge")
    assert sum(float(edge.get("PINNED")) for edge in edges) == 1
    assert any("who did is left out" in note for note in notes)
    assert any("3 cells that it ends or begins" in note for note in notes)


def test_ctc_says_that_it_leaves_pins_out(solution, tmp_path):
    notes = solution.export("ctc", tmp_path / "movie").notes
    assert any("people pinned 1 link" in note for note in notes)
    assert any("3 cells that it ends or begins" in note for note in notes)
