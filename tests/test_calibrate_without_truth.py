"""Calibrating on stores without their truth: for the movie itself and for others, and what is refused."""

import numpy as np
import pytest

from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.calibrating_unlabelled import calibrate_without_truth
from trackdb.engine.posterior.calibration_file import read_calibration
from trackdb.engine.posterior.problem import weighed
from trackdb.engine.progress import Silent
from trackdb.errors import CalibrationError, ConfigError, FormatError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer, refusal, run
from .movies import DIVIDING, copied, write_rows
from .test_calibrate import crowd, movies, solved_store


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    """Two stores of crowds, the second one larger; they are copied, never written."""
    folder = tmp_path_factory.mktemp("unlabelled")
    return [solved_store(folder, f"crowd{seed}", crowd(seed, n_frames=7 + seed)) for seed in range(2)]


@pytest.fixture
def stores(crowds, tmp_path):
    """Copies of the two."""
    return [DuckDBStore(copied(store.path, tmp_path / store.path.name)) for store in crowds]


def priced(store, name):
    return weighed(store, *store.find_solution(name=name), Config(), Silent()).problem


def test_what_a_movie_itself_says_is_for_that_movie_and_said_so(stores, tmp_path):
    """Links, new cells, ends and divisions cost what the file says more than they did, and the optimum is proven."""
    store, file = stores[0], tmp_path / "own.toml"
    told = answer("calibrate", store.path, "--without-truth", "-o", file)
    shifts = read_calibration(file).costs
    assert told["costs"]["shifts"]["appear"] == shifts.appear
    assert told["learned"]["crowd0"]["shifts"]["division"] == shifts.division
    assert [(movie["dataset"], movie["labelled"]) for movie in told["movies"]] == [("crowd0", False)]
    said = run("solve", store.path, "--calibration", file, "--name", "own").stderr
    assert "the costs were learned of crowd0 itself, without its truth" in said
    assert store.find_solution(name="own")[1].proven
    before, after = priced(store, "ilp-1"), priced(store, "own")
    frame = before.frame
    assert after.edge_cost == pytest.approx(before.edge_cost / shifts.temperature)
    assert (after.appear_cost - before.appear_cost)[frame > 0] == pytest.approx(shifts.appear)
    assert (after.disappear_cost - before.disappear_cost)[frame < frame.max()] == pytest.approx(shifts.end)


def test_it_is_for_other_movies_without_a_word(stores, tmp_path):
    file = tmp_path / "other.toml"
    run("calibrate", stores[0].path, "--without-truth", "-o", file)
    assert "learned of" not in run("solve", stores[1].path, "--calibration", file).stderr


def test_a_solution_with_learned_costs_is_learned_from_as_if_it_had_none(stores, tmp_path):
    """Shifts are counted from the fitted costs, whatever shifts the solution had."""
    store = stores[0]
    first = calibrate_without_truth(movies([store]), tmp_path / "first.toml")
    run("solve", store.path, "--calibration", tmp_path / "first.toml", "--name", "shifted")
    again = calibrate_without_truth([(store, *store.find_solution(name="shifted"))], tmp_path / "again.toml")
    assert again.shifts == first.shifts


def test_annotations_are_left_aside(stores, tmp_path):
    store = stores[0]
    before = calibrate_without_truth(movies([store]), tmp_path / "before.toml")
    cell = int(store.detections(store.detection_set()).id[0])
    run("annotate", store.path, cell, "--ends")
    assert calibrate_without_truth(movies([store]), tmp_path / "after.toml").shifts == before.shifts


def test_several_movies_are_averaged_by_their_cells(stores, tmp_path):
    both = calibrate_without_truth(movies(stores), tmp_path / "both.toml")
    alone = [calibrate_without_truth(movies([s]), tmp_path / f"{s.path.name}.toml") for s in stores]
    cells = [report.cells for report in alone]
    assert both.cells == sum(cells)
    assert cells[1] > cells[0]
    assert both.shifts.end == pytest.approx(np.average([report.shifts.end for report in alone], weights=cells))
    assert np.log(both.shifts.temperature) == pytest.approx(
        np.average([np.log(report.shifts.temperature) for report in alone], weights=cells)
    )
    assert [movie.daughters for movie in both.calibration.movies] == cells


def test_the_closing_line_says_what_was_learned_and_from_what(stores, tmp_path):
    said = run("calibrate", stores[0].path, "--without-truth", "-o", tmp_path / "own.toml").stdout
    assert "times as long), new cells" in said
    assert "learned without truth from" in said
    assert "cells of 1 movie in" in said


def test_links_by_other_scores_keep_their_costs(stores, tmp_path):
    """The log densities of a table are those of distance, halved: nothing but rates is learned of them."""
    store = stores[0]
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    value = -(edges.distance**2) / 8 - 3
    ids = detections.id
    rows = zip(ids[edges.source].tolist(), ids[edges.target].tolist(), value.tolist(), strict=True)
    table = tmp_path / "own.csv"
    table.write_text("source,target,score\n" + "".join(f"{s},{t},{v}\n" for s, t, v in rows))
    run("score", store.path, "--by", table, "--scale", "log-density")
    run("solve", store.path, "--scores", store.runs()[-1].name, "--name", "by-table")
    done = run("calibrate", store.path, "--without-truth", "--solution", "by-table", "-o", tmp_path / "t.toml")
    assert "keep their costs: how far cells go is learned by distance alone" in done.stderr
    assert "times as long" not in done.stdout
    assert read_calibration(tmp_path / "t.toml").costs.temperature == pytest.approx(1.0)


def test_probabilities_have_no_rates_to_learn(stores, tmp_path):
    store = stores[0]
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    rows = zip(detections.id[edges.source].tolist(), detections.id[edges.target].tolist(), strict=True)
    table = tmp_path / "own.csv"
    table.write_text("source,target,score\n" + "".join(f"{s},{t},0.3\n" for s, t in rows))
    run("score", store.path, "--by", table, "--scale", "probability")
    run("solve", store.path, "--scores", store.runs()[-1].name, "--name", "by-table")
    with pytest.raises(CalibrationError, match="crowd0 is not priced by rates"):
        calibrate_without_truth([(store, *store.find_solution(name="by-table"))], tmp_path / "t.toml")
    for cost in ("two-distance", "learned"):
        run("solve", store.path, "--cost", cost, "--name", cost)
        said = refusal(
            "calibrate", store.path, "--without-truth", "--solution", cost, "-o", tmp_path / "t.toml", code=1
        )
        assert "crowd0 is not priced by rates" in said
        assert "a solution of `trackdb solve STORE --simple`" in said
    assert not (tmp_path / "t.toml").exists()


def test_too_few_cells_are_refused_with_the_name_of_the_movie(tmp_path):
    few = solved_store(tmp_path, "few", crowd(5, n_frames=3))
    said = refusal("calibrate", few.path, "--without-truth", "-o", tmp_path / "cal.toml", code=1)
    assert "few: " in said
    assert "cells with candidates are too few to learn from, 200 needed" in said
    assert not (tmp_path / "cal.toml").exists()


def test_a_store_without_a_solution_or_with_truth_alone_is_refused(tmp_path):
    store = DuckDBStore(tmp_path / "raw.trackdb")
    ingest(write_rows(tmp_path / "raw.csv", crowd(0), header=DIVIDING), store)
    for asked in (("calibrate", "--without-truth"), ("calibrate",)):
        said = refusal(asked[0], store.path, *asked[1:], "-o", tmp_path / "cal.toml", code=3)
        assert "holds no solution but truth" in said
        assert "trackdb solve" in said
    bare = DuckDBStore(tmp_path / "bare.trackdb")
    rows = [row[:4] for row in crowd(0)]
    ingest(write_rows(tmp_path / "bare.csv", rows, header="t,y,x,id"), bare)
    said = refusal("calibrate", bare.path, "--without-truth", "-o", tmp_path / "cal.toml", code=3)
    assert "holds no solution yet" in said


def test_without_candidates_there_is_nothing_to_learn_from(tmp_path):
    store = DuckDBStore(tmp_path / "raw.trackdb")
    ingest(write_rows(tmp_path / "raw.csv", crowd(0), header=DIVIDING), store)
    with pytest.raises(MissingRowsError, match="trackdb link"):
        calibrate_without_truth([(store, *store.find_solution())], tmp_path / "cal.toml")


def test_options_of_a_truth_a_movie_twice_and_places_that_cannot_be_are_refused(stores, tmp_path):
    file = tmp_path / "cal.toml"
    for option in (("--costs",), ("--method", "auto"), ("--against", "truth")):
        said = refusal("calibrate", stores[0].path, "--without-truth", *option, "-o", file, code=2)
        assert "no --method, --costs or --against" in said
    with pytest.raises(ConfigError, match="nothing to calibrate on"):
        calibrate_without_truth([], file)
    with pytest.raises(ConfigError, match="crowd0 stands twice"):
        calibrate_without_truth(movies([stores[0], stores[0]]), file)
    with pytest.raises(FormatError, match=r"there is no folder .*; try: mkdir -p .*nowhere"):
        calibrate_without_truth(movies(stores[:1]), tmp_path / "nowhere" / "cal.toml")
    with pytest.raises(FormatError, match="exists already"):
        calibrate_without_truth(movies(stores[:1]), tmp_path)


def test_next_to_no_divisions_are_said_to_be_kept(tmp_path):
    """Cells that neither divide nor are born: what a division costs stays."""
    far = solved_store(tmp_path, "far", crowd(1, ends=0.0, step=0.5))
    solve(far, far.detection_set(), Config(solve=SolveConfig(cost="density")))
    done = run("calibrate", far.path, "--without-truth", "-o", tmp_path / "cal.toml")
    assert "far: next to no divisions are expected: what one costs was not learned and kept" in done.stderr
    assert read_calibration(tmp_path / "cal.toml").costs.division == 0
