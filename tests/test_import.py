"""Someone's tracking as a solution: matched by overlap, by mask, by distance, by place; counted, refused whole."""

import numpy as np
import pytest
import tifffile

from trackdb.engine.check import check
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link
from trackdb.engine.progress import Recorded
from trackdb.errors import ConfigError, FormatError, StoreExistsError, StoreLockedError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import LabelLineage, Points, SourceOptions
from trackdb.storage.formats.points import point_source
from trackdb.storage.sandbox import ask

from .movies import CENTRES, TRACKS, own_copy, square_mask, write_ctc, write_rows


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """Stores that tests have copies of: the drawn movie as masks, and as points."""
    folder = tmp_path_factory.mktemp("ingested")
    masks, points = (DuckDBStore(folder / f"{name}.trackdb") for name in ("masks", "points"))
    ingest(write_ctc(folder / "movie"), masks, name="movie")
    rows = [(t, *centre) for t, frame in enumerate(CENTRES) for centre in frame.values()]
    ingest(write_rows(folder / "centres.csv", rows), points, name="movie")
    return masks, points


@pytest.fixture
def store(tmp_path, ingested):
    """The drawn movie as masks, with its truth, beside its files."""
    write_ctc(tmp_path / "movie")
    return own_copy(ingested[0], tmp_path)


@pytest.fixture
def points(tmp_path, ingested):
    """The centres of the drawn movie as points, without links; ids count from 1 in the order of `CENTRES`."""
    return own_copy(ingested[1], tmp_path)


def write_result(folder, frames, tracks):
    """Write masks and a track file as a result."""
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        tifffile.imwrite(folder / f"mask{t:03d}.tif", square_mask(frame))
    (folder / "res_track.txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in tracks))
    return folder


def test_a_result_goes_before_the_truth_that_came_with_it(tmp_path):
    movie = write_ctc(tmp_path / "movie")
    write_result(movie / "01_RES", CENTRES, TRACKS)
    store = DuckDBStore(tmp_path / "both.trackdb")
    ingest(movie / "01_RES", store)
    assert list(store.solutions(store.detection_set())) == ["01_RES", "truth"]
    assert store.find_solution()[1].name == "01_RES"
    assert store.find_solution(besides="01_RES")[1].name == "truth"


def bring(store, path, **options):
    """Import, and return the report, the links in (frame, label) of the detections, and the notes."""
    progress = Recorded()
    chosen = store.detection_set()
    report = import_tracking(path, store, chosen, progress=progress, **options)
    return report, links_of(store, report.solution), progress.notes


def links_of(store, name):
    detections = store.detections(store.detection_set())
    ends = store.link_ends(store.solutions(store.detection_set())[name])
    names = list(zip(detections.frame.tolist(), detections.label.tolist(), strict=True))
    return {(names[a], names[b]) for a, b in zip(*map(detections.row_of, ends), strict=True)}


def visible(store):
    """Everything that a failed import must leave as it was."""
    with store.reading() as connection:
        tables = ("meta", "run", "edge", "solution", "solution_node", "solution_edge", "track")
        return {name: connection.exec_driver_sql(f"from {name} order by all").fetchall() for name in tables}


TRUE_LINKS = {
    ((0, 1), (1, 1)),
    ((1, 1), (2, 1)),
    ((0, 2), (1, 3)),
    ((0, 2), (1, 4)),
    ((1, 3), (2, 3)),
    ((1, 4), (2, 4)),
}
# the same cells under other labels, 5 missing, cell 1 two pixels aside
SHIFTED = [
    {11: (10, 22), 12: (10, 50)},
    {11: (10, 23), 13: (9, 50), 14: (21, 51)},
    {11: (11, 24), 13: (9, 51), 14: (22, 51)},
]
SHIFTED_TRACKS = [(11, 0, 2, 0), (12, 0, 0, 0), (13, 1, 2, 12), (14, 1, 2, 12)]


def test_a_result_with_masks_is_matched_by_overlap(store, tmp_path):
    report, links, _ = bring(store, write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS))
    assert (report.solution, report.cells, report.links, report.dropped) == ("01_RES", 8, 6, 0)
    assert (report.dataset, report.frames, report.detections) == ("movie", 3, 9)
    assert links == TRUE_LINKS
    assert check(store) == []


def test_links_of_an_import_are_no_candidates_unless_they_were(store, tmp_path):
    res = write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS)
    bring(store, res, name="before")
    link(store, store.detection_set())
    n_candidates = store.count_candidates(store.detection_set())
    bring(store, res, name="after")
    assert store.count_candidates(store.detection_set()) == n_candidates
    rows = ask(store.path, "select solution, count(*) n, max(kind) k from links group by 1 order by 1").rows.to_pylist()
    assert [(r["solution"], r["n"]) for r in rows] == [("after", 6), ("before", 6), ("truth", 6)]
    assert check(store) == []


def test_new_links_get_numbers_of_their_own(store, tmp_path):
    swapped = [(1, 0, 1, 0), (2, 0, 0, 0), (3, 1, 1, 2), (4, 1, 2, 2), (5, 2, 2, 1), (6, 2, 2, 3)]
    centres = [CENTRES[0], CENTRES[1], {5: (9, 51), 4: (22, 51), 6: (11, 22)}]
    _, links, _ = bring(store, write_result(tmp_path / "swapped", centres, swapped), file_format="ctc")
    assert links == TRUE_LINKS - {((1, 1), (2, 1)), ((1, 3), (2, 3))} | {((1, 1), (2, 3)), ((1, 3), (2, 1))}
    assert check(store) == []


def test_a_track_file_stands_for_its_folder_and_a_data_set_for_its_truth(store, tmp_path):
    movie = tmp_path / "movie"
    write_result(movie / "01_RES", SHIFTED, SHIFTED_TRACKS)
    assert bring(store, movie / "01_RES" / "res_track.txt")[0].solution == "01_RES"
    assert bring(store, movie, name="second")[1] == TRUE_LINKS
    with pytest.raises(StoreExistsError, match="named truth"):
        bring(store, movie / "01_GT" / "TRA" / "man_track.txt")


def test_damage_beside_the_result_does_not_matter(store, tmp_path):
    movie = tmp_path / "movie"
    res = write_result(movie / "01_RES", SHIFTED, SHIFTED_TRACKS)
    (movie / "01_GT" / "TRA" / "man_track.txt").write_text("damaged")
    report, _, notes = bring(store, res)
    assert (report.links, notes) == (6, [f"cells come from {res}"])


def test_points_in_masks_are_those_cells(store, tmp_path):
    """Two points lie in cell 1, and the nearer one is it; point 3 lies in cell 4, and point 5 in none."""
    rows = [(0, 11, 21, 1, ""), (0, 10, 20, 2, ""), (1, 22, 52, 3, ""), (1, 11, 22, 4, 2), (1, 40, 40, 5, 1)]
    report, links, notes = bring(store, write_rows(tmp_path / "walks.csv", rows, header="t,y,x,id,parent"))
    assert report.solution == "walks"
    assert links == {((0, 1), (1, 1))}
    assert (report.cells, report.dropped) == (3, 2)
    assert "walks: 2 of 5 cells have no detection" in notes


def test_a_given_distance_finds_detections_for_points_in_no_mask(store, tmp_path):
    rows = [(0, 10, 16, 1, ""), (1, 10, 17, 2, 1)]
    table = write_rows(tmp_path / "aside.csv", rows, header="t,y,x,id,parent")
    with pytest.raises(
        FormatError, match=r"aside.csv: none of its 2 cells is at a detection of movie.*--match-distance"
    ):
        bring(store, table)
    assert bring(store, table, match_distance=5.0)[1] == {((0, 1), (1, 1))}


def test_masks_around_points_are_those_points(points, tmp_path):
    report, links, _ = bring(points, write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS))
    assert (report.cells, report.links) == (8, 6)
    assert links == {
        ((0, 0), (1, 2)),
        ((1, 2), (2, 5)),
        ((0, 1), (1, 3)),
        ((0, 1), (1, 4)),
        ((1, 3), (2, 6)),
        ((1, 4), (2, 7)),
    }


def test_a_given_distance_finds_points_that_lie_in_no_mask(points, tmp_path):
    aside = [{k: (y, x + 4) for k, (y, x) in frame.items()} for frame in SHIFTED]
    res = write_result(tmp_path / "01_RES", aside, SHIFTED_TRACKS)
    with pytest.raises(FormatError, match="none of its 8 cells"):
        bring(points, res)
    report, *_ = bring(points, res, match_distance=7.0)
    assert (report.cells, report.links) == (8, 6)


def test_points_are_matched_one_to_one_within_a_radius_that_is_said(points, tmp_path):
    rows = [(t, y + 0.5, x - 0.5, f"{t}{k}", "") for t, f in enumerate(CENTRES) for k, (y, x) in f.items() if k < 3]
    rows[2] = (*rows[2][:4], "01")
    report, links, notes = bring(points, write_rows(tmp_path / "near.csv", rows, header="t,y,x,id,parent"))
    assert (report.cells, links) == (4, {((0, 0), (1, 2))})
    assert any("near.csv: cells are matched to detections within" in note for note in notes)
    with pytest.raises(FormatError, match="none of its 4 cells"):
        bring(points, tmp_path / "near.csv", match_distance=0.6, name="far")


def test_as_many_cells_as_can_be_find_a_detection(tmp_path):
    """Both cells are nearest to the left detection; one of them has to take the right one."""
    store = DuckDBStore(tmp_path / "two.trackdb")
    ingest(write_rows(tmp_path / "two.csv", [(0, 0, 0), (0, 0, 10)]), store)
    table = write_rows(tmp_path / "cells.csv", [(0, 0, 4, 1, 1), (0, 0, -1, 2, 2)], header="t,y,x,id,track")
    report, *_ = bring(store, table, match_distance=6.5)
    assert report.cells == 2


def test_the_very_place_comes_before_the_mask_and_the_label_decides_between_two(tmp_path):
    """A ring around a cell: the centre of the ring lies in the other cell."""
    mask = np.zeros((21, 21), dtype=np.uint16)
    mask[2:19, 2:19] = 1
    mask[5:16, 5:16] = 0
    mask[9:12, 9:12] = 2
    tifffile.imwrite(tmp_path / "rings.tif", np.stack([mask, mask]))
    store = DuckDBStore(tmp_path / "rings.trackdb")
    ingest(tmp_path / "rings.tif", store, options=SourceOptions())
    tracks = write_rows(
        tmp_path / "rings.csv",
        [(t, 10, 10, label, label) for t in (0, 1) for label in (2, 1)],
        header="t,y,x,label,track",
    )
    assert bring(store, tracks)[1] == {((0, 1), (1, 1)), ((0, 2), (1, 2))}


def test_cells_that_merge_come_with_all_their_mothers(points, tmp_path, monkeypatch):
    rows = [(0, 10, 20), (0, 10, 50), (1, 10, 21)]
    frame, position = np.array([r[0] for r in rows]), np.array([r[1:] for r in rows], dtype=float)
    source, target = np.array([(0, 2), (1, 2)]).T
    lineage = LabelLineage("truth", "fused.xml", frame, np.arange(3), source, target, merges=True)
    fused = point_source(
        "fused", SourceOptions(), frame, Points(np.arange(3), position, np.full(3, np.nan)), lineages=[lineage]
    )
    monkeypatch.setattr("trackdb.engine.imports.reference.open_source", lambda *_: fused)
    report, links, notes = bring(points, tmp_path / "fused.xml")
    assert (report.solution, report.merges, links) == ("fused", 1, {((0, 0), (1, 2)), ((0, 1), (1, 2))})
    assert any("fused: 1 merges" in note for note in notes)
    assert check(points) == []


def test_parents_of_the_tracks_of_a_table_come_from_a_track_file(points, tmp_path):
    rows = [(t, *centre, k) for t, frame in enumerate(CENTRES) for k, centre in frame.items()]
    table = write_rows(tmp_path / "tracks.csv", rows, header="t,y,x,track")
    options = SourceOptions(truth=tmp_path / "movie" / "01_GT")
    write_ctc(tmp_path / "movie")
    assert bring(points, table, options=options)[0].links == 6
    assert bring(points, table, name="without")[0].links == 4


def test_positions_in_micrometres_are_compared_in_micrometres(tmp_path):
    store = DuckDBStore(tmp_path / "um.trackdb")
    rows = [(t, 10, 10 * k) for t in (0, 1) for k in range(5)]
    ingest(write_rows(tmp_path / "px.csv", rows), store, options=SourceOptions(scale_um=(0.5, 0.25)))
    table = write_rows(
        tmp_path / "um.csv", [(t, 5, 2.5 * k, k) for t in (0, 1) for k in range(5)], header="t,y,x,track"
    )
    report, *_ = bring(store, table, options=SourceOptions(scale_um=(1.0, 1.0)))
    assert (report.cells, report.links) == (10, 5)
    assert any("no voxel size is known" in note for note in bring(store, table, name="px", match_distance=9.0)[2])


def test_a_name_that_is_taken_is_refused_before_any_work(store, tmp_path):
    before = visible(store)
    with pytest.raises(StoreExistsError, match="already a solution named truth"):
        bring(store, tmp_path / "nowhere", name="truth")
    assert visible(store) == before


def test_the_frames_of_the_dataset_can_be_chosen(tmp_path):
    write_ctc(tmp_path / "movie")
    store = DuckDBStore(tmp_path / "late.trackdb")
    ingest(tmp_path / "movie" / "01_GT", store, name="movie", options=SourceOptions(frames=slice(1, None)))
    with pytest.raises(
        FormatError, match=r"01_RES has more frames than dataset movie; expected: 2; got: 3; try: --frames"
    ):
        bring(store, write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS))
    report, *_ = bring(store, tmp_path / "01_RES", options=SourceOptions(frames=slice(1, None)))
    assert report.links == 3


def cut(folder):
    (folder / "mask001.tif").unlink()


def rewrite(text):
    return lambda folder: (folder / "res_track.txt").write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "frame 1"),
        (lambda f: (f / "mask002.tif").write_bytes(b"II*"), "mask002.tif"),
        (lambda f: (f / "mask002.tif").unlink(), "res_track.txt line 1: track 11 lives from frame 0 to 2"),
        (lambda f: tifffile.imwrite(f / "mask001.tif", np.zeros((9, 9), np.uint16)), "mask001.tif"),
        (
            lambda f: [tifffile.imwrite(f / f"mask{t:03d}.tif", np.zeros((9, 9), np.uint8)) for t in range(3)],
            "another size",
        ),
        (rewrite(""), "tells of no cells"),
        (rewrite("11 0 2 11\n"), "line 1: track 11 is its own parent"),
        (rewrite("11 0 2 0\n11 0 2 0\n"), "line 2: label 11 has a line already"),
        (rewrite("11 0 2 0\n"), "frame 0 holds label 12, but no track has it there"),
        (rewrite("11 0 2 0\n12 0 1 0\n13 1 2 0\n14 1 2 0\n"), "no mask of frame 1 holds it"),
        (lambda f: (f / "res_track.txt").unlink(), "tells of no tracking"),
    ],
)
def test_a_damaged_result_is_refused_and_leaves_no_trace(store, tmp_path, damage, message):
    folder = write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS)
    damage(folder)
    before = visible(store)
    with pytest.raises(FormatError, match=message):
        bring(store, folder, file_format="ctc")
    assert visible(store) == before


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("t,y,x,id,parent", [], "tells of no"),
        ("t,y,x,id,parent", [(0, 1, 1, 1, ""), (1, 1, 1, 2, 7)], "line 3.*names id 7"),
        ("t,y,x,id,parent", [(0, 1, 1, 1, 2), (1, 1, 1, 2, 1)], "runs from frame 1 to frame 0"),
        ("t,y,x,id,parent", [(0, 1, 1, 1, ""), (1, 1, 1, 1, "")], "line 3: id 1 is there already"),
        ("t,y,x", [(0, 1, 1)], "tells of no tracking"),
        ("t,y,x,track", [(9, 1, 1, 1)], "more frames than dataset movie; expected: 3; got: 10"),
        ("t,z,y,x,track", [(0, 1, 1, 1, 1), (0, 2, 1, 1, 2)], "other axes than dataset movie; expected: 2D; got: 3D"),
    ],
)
def test_a_wrong_table_is_refused_and_leaves_no_trace(store, tmp_path, header, rows, message):
    before = visible(store)
    with pytest.raises(FormatError, match=message):
        bring(store, write_rows(tmp_path / "wrong.csv", rows, header=header))
    assert visible(store) == before


def test_nothing_at_a_path_is_said(store, tmp_path):
    with pytest.raises(FormatError, match=r"there is nothing at .*nowhere"):
        bring(store, tmp_path / "nowhere")


@pytest.mark.parametrize("distance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_refused(store, tmp_path, distance):
    with pytest.raises(ConfigError, match="--match-distance must be positive"):
        bring(store, tmp_path, match_distance=distance)


def test_a_distance_between_masks_is_refused(store, tmp_path):
    with pytest.raises(ConfigError, match="has masks as the detections have, which need none"):
        bring(store, write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS), match_distance=3.0)


def test_an_import_whose_process_died_is_given_again(store, tmp_path, monkeypatch):
    res = write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DuckDBStore, "add_tracking", killed)
        with pytest.raises(KeyboardInterrupt):
            bring(store, res)
    assert [run.kind for run, alive in store.unfinished() if not alive] == ["import"]
    assert set(store.solutions(store.detection_set())) == {"truth"}
    assert bring(store, res)[0].links == 6
    assert store.unfinished() == []
    assert check(store) == []


def test_two_processes_do_not_bring_the_same(store, tmp_path):
    res = write_result(tmp_path / "01_RES", SHIFTED, SHIFTED_TRACKS)
    with store.running("import", "01_RES", {}, chosen=store.detection_set()), pytest.raises(StoreLockedError):
        bring(store, res)


def test_what_the_tracking_told_is_kept_with_its_run(store, tmp_path):
    gone = [{k: c for k, c in frame.items() if k != 14} for frame in SHIFTED]
    gone[1][15] = (30, 30)  # a cell that nobody detected, between 12 and its daughter
    gone[2][16] = (22, 51)
    tracks = [(11, 0, 2, 0), (12, 0, 0, 0), (13, 1, 2, 12), (15, 1, 1, 12), (16, 2, 2, 15)]
    report, links, _ = bring(store, write_result(tmp_path / "01_RES", gone, tracks))
    assert ((0, 2), (2, 4)) in links
    [run] = store.runs()[-1:]
    told = {"cells": 8, "links": 6, "dropped": 1, "bridged": 1, "cut": 0, "merges": 0, "only_daughters": 1}
    assert run.params["trackings"] == {"01_RES": told}
    assert (report.dropped, report.bridged, report.links) == (1, 1, 5)
