"""Export: what is written keeps the rules of the challenge, and reading it again gives the same lineage."""

import networkx as nx
import numpy as np
import pytest
import tifffile

from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.exports.ctc import export_ctc, marker_radius_px
from trackdb.engine.handoff import to_networkx
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.progress import Recorded
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.writers import ctc as ctc_writer

from .movies import DIVIDING, dividing_cells, write_ctc, write_rows


def require_valid(folder, n_frames):
    """Hold a result to the rules: each mask has exactly the tracks alive, and parents end before their daughters."""
    tracks = np.loadtxt(folder / "res_track.txt", dtype=int, ndmin=2).reshape(-1, 4)
    label, first, last, parent = tracks.T
    assert len(set(label.tolist())) == len(label)
    assert np.all(label > 0)
    assert np.all(first <= last)
    end = dict(zip(label.tolist(), last.tolist(), strict=True))
    assert all(end[mother] < birth for mother, birth in zip(parent.tolist(), first.tolist(), strict=True) if mother)
    files = sorted(folder.glob("mask*.tif"))
    assert len(files) == n_frames
    for t, file in enumerate(files):
        mask = tifffile.imread(file)
        assert mask.dtype == np.uint16
        assert set(np.unique(mask).tolist()) - {0} == set(label[(first <= t) & (t <= last)].tolist())
    return tracks


def lineage(store, name=None):
    """The links of a solution by frame and rounded place of both cells."""
    chosen, info = store.find_solution(name=name)
    graph = to_networkx(store.solution(info), store.detections(chosen), *store.link_ends(info))
    place = {n: (d["t"], round(d["y"]), round(d["x"])) for n, d in graph.nodes(data=True)}
    return nx.relabel_nodes(graph, place)


def test_masks_carry_the_tracks_of_the_solution(solved, tmp_path):
    report = export_ctc(solved, *solved.find_solution(name="truth"), tmp_path / "01_RES")
    tracks = require_valid(tmp_path / "01_RES", 3)
    assert sorted((first, last, mother > 0) for _, first, last, mother in tracks.tolist()) == [
        (0, 0, False),
        (0, 2, False),
        (1, 2, True),
        (1, 2, True),
        (2, 2, False),
    ]
    assert (report.files, report.links, report.tracks) == (4, 6, 5)


@pytest.mark.parametrize("name", ["truth", "ilp-1"])
def test_reading_an_export_gives_the_same_lineage(solved, tmp_path, name):
    export_ctc(solved, *solved.find_solution(name=name), tmp_path / "01_RES")
    again = DuckDBStore(tmp_path / "again.trackdb")
    ingest(tmp_path / "01_RES", again)
    before, after = lineage(solved, name), lineage(again)
    assert set(before.nodes) == set(after.nodes)
    assert set(before.edges) == set(after.edges)


def test_points_are_painted_as_discs_that_do_not_touch(tmp_path):
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_rows(tmp_path / "points.csv", dividing_cells(n_frames=6, side=3), header=DIVIDING), store)
    progress = Recorded()
    export_ctc(store, *store.find_solution(), tmp_path / "01_RES", progress=progress)
    require_valid(tmp_path / "01_RES", 6)
    assert any("points" in note for note in progress.notes)
    assert any(note.startswith("the frame size is not known") for note in progress.notes)
    again = DuckDBStore(tmp_path / "again.trackdb")
    ingest(tmp_path / "01_RES", again)
    assert nx.is_isomorphic(lineage(store), lineage(again))


def test_volumes_of_points_are_painted_as_balls(tmp_path):
    rows = [(t, 5 + k, 10 + 12 * k, 10 + t) for t in range(3) for k in range(3)]
    store = DuckDBStore(tmp_path / "volume.trackdb")
    ingest(write_rows(tmp_path / "volume.csv", rows, header="t,z,y,x"), store)
    solve(store, store.detection_set())
    export_ctc(store, *store.find_solution(), tmp_path / "01_RES")
    require_valid(tmp_path / "01_RES", 3)
    assert tifffile.imread(tmp_path / "01_RES" / "mask000.tif").ndim == 3


def test_points_left_of_the_origin_are_moved_and_that_is_said(tmp_path):
    store = DuckDBStore(tmp_path / "negative.trackdb")
    ingest(write_rows(tmp_path / "negative.csv", [(0, -5.5, 3), (0, 20, 3), (1, -5.5, 4), (1, 20, 4)]), store)
    solve(store, store.detection_set())
    progress = Recorded()
    export_ctc(store, *store.find_solution(), tmp_path / "01_RES", progress=progress)
    require_valid(tmp_path / "01_RES", 2)
    assert any("origin" in note and "-6.0" in note for note in progress.notes)


def test_a_gap_splits_a_track_whose_pieces_are_mother_and_daughter(tmp_path):
    rows = [(t, 20 * (k // 3), 20 * (k % 3) + t) for t in range(8) for k in range(9) if (t, k) != (4, 4)]
    store = DuckDBStore(tmp_path / "gap.trackdb")
    ingest(write_rows(tmp_path / "gap.csv", rows), store)
    assert solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=1))).tracks == 9
    report = export_ctc(store, *store.find_solution(), tmp_path / "01_RES")
    tracks = require_valid(tmp_path / "01_RES", 8)
    [(_, first, last, mother)] = [row for row in tracks.tolist() if row[3]]
    assert (first, last) == (5, 7)
    assert [row[1:3] for row in tracks.tolist() if row[0] == mother] == [[0, 3]]
    assert (report.tracks, len(tracks)) == (10, 10)


def test_more_tracks_than_the_masks_can_number_are_refused_before_anything_is_written(solved, tmp_path, monkeypatch):
    monkeypatch.setattr(ctc_writer, "MAX_TRACKS", 4)
    with pytest.raises(FormatError, match="5 tracks do not fit"):
        export_ctc(solved, *solved.find_solution(name="truth"), tmp_path / "out" / "01_RES")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_as_it_is(solved, tmp_path):
    (tmp_path / "01_RES").mkdir()
    (tmp_path / "01_RES" / "mine.txt").write_text("mine")
    with pytest.raises(FormatError, match="01_RES exists already"):
        export_ctc(solved, *solved.find_solution(), tmp_path / "01_RES")
    assert [p.name for p in (tmp_path / "01_RES").iterdir()] == ["mine.txt"]


def test_a_dry_run_counts_and_writes_nothing(solved, tmp_path):
    chosen = solved.find_solution(name="truth")
    before = sorted(tmp_path.iterdir())
    dry = export_ctc(solved, *chosen, tmp_path / "01_RES", dry_run=True)
    assert sorted(tmp_path.iterdir()) == before
    wet = export_ctc(solved, *chosen, tmp_path / "01_RES")
    assert (dry.tracks, dry.links, dry.files) == (wet.tracks, wet.links, 0)


def test_an_export_that_fails_leaves_nothing(solved, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise FormatError("stop")

    monkeypatch.setattr("trackdb.engine.exports.ctc.read_frame", broken)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FormatError, match="stop"):
        export_ctc(solved, *solved.find_solution(), tmp_path / "01_RES")
    assert sorted(tmp_path.iterdir()) == before


def test_frames_without_cells_are_empty_masks(tmp_path):
    store = DuckDBStore(tmp_path / "holes.trackdb")
    ingest(write_rows(tmp_path / "holes.csv", [(0, 5, 5), (2, 5, 5)]), store)
    solve(store, store.detection_set())
    export_ctc(store, *store.find_solution(), tmp_path / "01_RES")
    require_valid(tmp_path / "01_RES", 3)


def test_markers_are_never_larger_than_a_third_of_the_way_to_the_neighbour(tmp_path):
    store = DuckDBStore(tmp_path / "two.trackdb")
    ingest(write_rows(tmp_path / "two.csv", [(0, 0, 0), (0, 0, 10), (1, 0, 0)]), store)
    assert marker_radius_px(store.detections(store.detection_set())) == pytest.approx(3.0)


def test_detections_outside_the_solution_are_background(tmp_path):
    """A tracking of others that knows only cell 1: the masks hold cell 1 alone."""
    movie = write_ctc(tmp_path / "movie")
    (movie / "01_GT" / "TRA").rename(movie / "masks")
    (movie / "masks" / "man_track.txt").unlink()
    store = DuckDBStore(tmp_path / "movie.trackdb")
    ingest(movie / "masks", store, file_format="masks")
    solve(store, store.detection_set())
    chosen, info = store.find_solution()
    with store.writing() as connection:
        for table in ("solution_node", "track"):
            connection.exec_driver_sql(f"delete from {table} where track_id > 1")
        connection.exec_driver_sql(
            "delete from solution_edge where edge_id in (select edge_id from edge anti join solution_node v "
            "on v.det_id = edge.source)"
        )
    export_ctc(store, chosen, info, tmp_path / "01_RES")
    assert len(require_valid(tmp_path / "01_RES", 3)) == 1


def test_points_spread_too_wide_for_a_mask_are_refused(tmp_path):
    store = DuckDBStore(tmp_path / "wide.trackdb")
    (tmp_path / "wide.csv").write_text("t,y,x\n0,1e9,1e9\n1,0,0\n")
    ingest(tmp_path / "wide.csv", store)
    solve(store, store.detection_set())
    with pytest.raises(FormatError, match="the points spread over"):
        export_ctc(store, *store.find_solution(), tmp_path / "RES")
    assert not (tmp_path / "RES").exists()
