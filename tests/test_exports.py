"""What every export promises: whole or nothing, nothing overwritten, nothing lost in silence."""

import os
import pathlib

import ilpy
import motile
import motile.constraints
import motile.costs
import pytest

import trackdb
from trackdb.engine.exports import FORMATS, export
from trackdb.engine.progress import Recorded
from trackdb.errors import ConfigError, FormatError, TrackdbError
from trackdb.storage import folders
from trackdb.storage.duckdb_store import DuckDBStore

from .exported import tracking
from .movies import copied

OUT = {"ctc": "01_RES", "geff": "out.geff", "trackmate": "out.xml", "graphml": "out.graphml"}


def out_of(folder, format):
    """Return a fitting place for an export."""
    return folder / OUT.get(format, f"out_{format}")


@pytest.fixture(params=FORMATS)
def format(request):
    return request.param


@pytest.fixture(scope="module")
def truth(rich):
    """The drawn solution with its detections."""
    return rich.find_solution(name="truth")


def test_a_dry_run_counts_as_much_and_writes_nothing(rich, truth, tmp_path, format):
    dry = export(format, rich, *truth, out_of(tmp_path / "new", format), dry_run=True)
    assert not list(tmp_path.iterdir())
    wet = export(format, rich, *truth, out_of(tmp_path / "new", format))
    assert (dry.files, dry.links, dry.tracks, dry.notes) == (0, wet.links, wet.tracks, wet.notes)
    written = out_of(tmp_path / "new", format)
    assert wet.files == (1 if written.is_file() else sum(f.is_file() for f in written.rglob("*")))
    assert wet.links == 7


@pytest.mark.parametrize("there", ["file", "folder", "link to nowhere"])
def test_what_stands_there_stays_as_it_is(rich, truth, tmp_path, format, there):
    out = out_of(tmp_path, format)
    if there == "file":
        out.write_text("mine")
    elif there == "folder":
        out.mkdir()
    else:
        out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FormatError, match=f"{out.name} exists already"):
        export(format, rich, *truth, out)
    assert list(tmp_path.iterdir()) == [out]
    assert there != "file" or out.read_text() == "mine"


def test_an_export_that_fails_at_the_last_moment_leaves_nothing(rich, truth, tmp_path, format, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for naming in ("rename", "hardlink_to"):  # of a folder, of a file
        monkeypatch.setattr(pathlib.Path, naming, full)
    with pytest.raises(OSError, match="No space left"):
        export(format, rich, *truth, out_of(tmp_path, format))
    assert not list(tmp_path.iterdir())


def test_what_comes_to_stand_there_while_it_is_written_stays_as_it_is(rich, truth, tmp_path, format, monkeypatch):
    out = out_of(tmp_path, format)
    flush = folders.flush

    def meanwhile(path):
        if not out.exists():
            out.write_text("mine")
        flush(path)

    monkeypatch.setattr(folders, "flush", meanwhile)
    with pytest.raises(FormatError, match=f"{out.name} exists already: it came meanwhile"):
        export(format, rich, *truth, out)
    assert out.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]


def test_a_place_that_cannot_be_written_leaves_nothing(rich, truth, tmp_path, format):
    (tmp_path / "file").write_text("mine")
    with pytest.raises((OSError, TrackdbError)):
        export(format, rich, *truth, out_of(tmp_path / "file", format))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_store_stays_as_it_was(rich, truth, tmp_path, format):
    before = {f: os.stat(f).st_mtime_ns for f in rich.path.rglob("*") if f.is_file()}
    export(format, rich, *truth, out_of(tmp_path, format))
    assert {f: os.stat(f).st_mtime_ns for f in rich.path.rglob("*") if f.is_file()} == before


LOST = {  # of the drawn store's solution in which cells merge; and of its truth
    "ctc": (
        ["gap", "cells that came", "--pixel-size", "name", "brightness", "points", "frame size"],
        ["posterior newer", "pinned"],
    ),
    "geff": ([], []),
    "trackmate": (["radius", "no track"], ["who did"]),
    "napari": (["--pixel-size", "apostrophe"], []),
    "csv": (["apostrophe"], []),
    "parquet": ([], []),
    "graphml": ([], []),
}


@pytest.mark.parametrize("name", ["merged", "truth"])
def test_what_a_format_cannot_hold_is_said(rich, tmp_path, format, name):
    progress = Recorded()
    report = export(format, rich, *rich.find_solution(name=name), out_of(tmp_path, format), progress=progress)
    assert [*report.notes] == progress.notes
    both, own = LOST[format]
    words = both if name == "merged" else [word for word in both if word != "cells that came"] + own
    for word in words:
        assert any(word in note for note in report.notes), (word, report.notes)
    assert len(report.notes) <= len(words) + 1
    assert bool(report.notes) == bool(words)


def test_a_single_table_says_that_it_loses_merges(rich, tmp_path):
    report = export("csv", rich, *rich.find_solution(name="merged"), tmp_path / "cells.csv")
    assert any("2 links into cells that came of several" in note for note in report.notes)
    assert any("--pixel-size 0.65,0.5 --frame-interval 30.0" in note for note in report.notes)


def test_detections_that_are_no_cells_of_the_solution_are_left_out_and_counted(rich, tmp_path, format):
    store = DuckDBStore(copied(rich.path, tmp_path / "rich.trackdb"))
    chosen, info = store.find_solution(name="truth")
    alone = int(tracking(store).cells.id[tracking(store).cells.label == 8][0])
    with store.writing() as connection:
        track = f"select track_id from solution_node where det_id = {alone} and solution_id = {info.id}"
        connection.exec_driver_sql(f"delete from track where solution_id = {info.id} and track_id in ({track})")
        connection.exec_driver_sql(f"delete from solution_node where det_id = {alone} and solution_id = {info.id}")
    report = export(format, store, chosen, info, out_of(tmp_path / "out", format))
    assert "1 detection is not part of truth and left out" in report.notes


@pytest.fixture(scope="module")
def empty(rich, tmp_path_factory):
    """The drawn store, with nothing left in its solutions."""
    store = DuckDBStore(copied(rich.path, tmp_path_factory.mktemp("empty") / "empty.trackdb"))
    with store.writing() as connection:
        for table in ("solution_node", "solution_edge", "track"):
            connection.exec_driver_sql(f"delete from {table}")
    return store


def test_an_empty_solution_is_written_as_such(empty, tmp_path, format):
    report = export(format, empty, *empty.find_solution(), out_of(tmp_path, format))
    assert (report.links, report.tracks) == (0, 0)
    assert report.files >= 1
    assert "10 detections are not part of" in report.notes[0]


def test_an_unknown_format_is_named_with_those_that_are_known(rich, truth, tmp_path):
    with pytest.raises(ConfigError, match="no export format 'excel'") as error:
        export("excel", rich, *truth, tmp_path / "out")
    assert "trackmate" in error.value.details["known"]


def test_masks_beside_a_graph_are_for_geff_alone(rich, truth, tmp_path):
    with pytest.raises(ConfigError, match="csv holds no label masks"):
        export("csv", rich, *truth, tmp_path / "out", masks=True)
    with pytest.raises(FormatError, match="no label masks to write"):
        export("geff", rich, *truth, tmp_path / "out", masks=True)
    assert not list(tmp_path.iterdir())


def test_a_solution_in_python_is_written_by_its_name(rich, tmp_path):
    report = trackdb.open(rich.path).solution("merged").export("csv", tmp_path / "cells.csv")
    assert (report.format, report.files, report.links) == ("csv", 1, 8)
    assert (tmp_path / "cells.csv").exists()


def test_a_solution_in_python_becomes_a_graph_of_motile(rich):
    graph = trackdb.open(rich.path).solution("merged").to_motile()
    found = tracking(rich, "merged")
    assert graph.get_frames() == (0, 4)
    assert set(graph.nodes) == set(found.cells.id.tolist())
    pairs = zip(found.cells.id[found.source].tolist(), found.cells.id[found.target].tolist(), strict=True)
    assert set(graph.edges) == set(pairs)
    assert sorted(e["kind"] for e in graph.edges.values()).count("merge") == 2
    for row, cell in enumerate(found.cells.id.tolist()):
        assert graph.nodes[cell]["position"] == pytest.approx(found.cells.position_um[row])


def test_motile_solves_what_it_is_given(rich):
    """Going on pays: motile keeps every link that neither divides nor merges."""
    graph = trackdb.open(rich.path).solution("merged").to_motile()
    solver = motile.Solver(graph)
    solver.add_cost(motile.costs.EdgeDistanceCost("position", weight=1.0, constant=-100.0))
    solver.add_constraint(motile.constraints.MaxParents(1))
    solver.add_constraint(motile.constraints.MaxChildren(2))
    solver.solve(backend=ilpy.Preference.Scip, verbose=False)
    going_on = {ends for ends, link in graph.edges.items() if link["kind"] == "continue"}
    assert going_on <= set(solver.get_selected_subgraph().edges)
    assert len(going_on) == 4


def test_an_empty_solution_is_an_empty_graph_of_motile_and_an_empty_layer(empty):
    solution = trackdb.open(empty.path).solution("truth")
    assert len(solution.to_motile().nodes) == 0
    data, graph, properties = solution.to_napari()
    assert (data.shape, graph) == ((0, 4), {})
    assert {len(column) for column in properties.values()} == {0}
