"""What trackdb writes comes back as the same solution, and what others wrote lies on its own detections."""

import pytest

from trackdb.engine.evaluate import evaluate
from trackdb.engine.exports import export
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .movies import DIVIDING, dividing_cells, write_ctc, write_rows

# name of what is written; the table formats are folders of tables
WRITTEN = {"ctc": "01_RES", "geff": "a.geff", "trackmate": "a.xml", "napari": "napari", "csv": "csv", "parquet": "pq"}


@pytest.fixture(params=["masks", "points", "scaled points"])
def movie(request, tmp_path):
    """A solved movie of dividing cells, and the solution."""
    store = DuckDBStore(tmp_path / "movie.trackdb")
    if request.param == "masks":
        ingest(write_ctc(tmp_path / "drawn"), store)
    else:
        scale = (0.5, 0.25) if request.param == "scaled points" else None
        table = write_rows(tmp_path / "cells.csv", dividing_cells(), header=DIVIDING)
        ingest(table, store, options=SourceOptions(scale_um=scale))
    solve(store, store.detection_set())
    return store, *store.find_solution()


@pytest.mark.parametrize("written", WRITTEN)
def test_what_is_written_comes_back_as_the_same_solution(movie, tmp_path, written):
    store, chosen, info = movie
    if written == "geff":
        pytest.importorskip("geff", reason="needs the extra `geff`")
    out = tmp_path / "out" / WRITTEN[written]
    out.parent.mkdir()
    export(written, *movie, out)
    report = import_tracking(out, store, chosen, name="again")
    assert (report.dropped, report.bridged, report.cut) == (0, 0, 0)
    again = evaluate(store, chosen, store.solutions(chosen)["again"], against=info.name)
    linked = {cell for ends in store.link_ends(info) for cell in ends.tolist()}
    lone = len(store.solution(info).node) - len(linked) if written == "trackmate" else 0  # its tracks have two spots
    assert again.corrections.aogm == 10 * lone
    assert (again.edges.fp, again.edges.fn) == (0, 0)
    assert (again.edges.tp, again.reference_divisions) == (report.links, again.divisions[0].tp)
    by_file = evaluate(store, chosen, info, against=out)
    assert by_file.corrections.aogm == lone


FIXTURES = (
    "trackmate_xml_laptrack/trackmate_tracks_with_gap_closing.xml",
    "trackmate_xml_laptrack/trackmate_tracks_with_splitting_merging.xml",
    "trackmate_xml_eslardet/FakeTracks2.xml",
    "geff_zarr/mouse-20250719.zarr",
    "btrack_examples/tracks.h5",
    "lineagetree_mamut/test-mamut.xml",
)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("path", FIXTURES)
def test_a_file_of_others_lies_on_its_own_detections(data_dir, tmp_path, path):
    if path.endswith(".h5"):
        pytest.importorskip("h5py", reason="needs h5py")
    source, store = data_dir / "format_fixtures" / path, DuckDBStore(tmp_path / "a.trackdb")
    brought = ingest(source, store)
    [(first, n_links)] = brought.links.items()
    chosen = store.detection_set()
    report = import_tracking(source, store, chosen, name="again")
    assert (report.links, report.dropped) == (n_links, 0)
    result = evaluate(store, chosen, store.solutions(chosen)["again"], against=first)
    assert (result.edges.tp, result.edges.fp, result.edges.fn) == (n_links, 0, 0)
    assert (result.corrections.aogm, result.target_effectiveness) == (0, 1.0)
    assert result.merges == result.reference_merges
