"""Large movies are learned from their middle frames: what these tell holds for the rest, and the run says so."""

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import load_config
from trackdb.engine.costs.learned import learn, schedule
from trackdb.engine.costs.learned.sample import FEWEST_FRAMES
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.posterior.problem import priced_again
from trackdb.engine.progress import Silent
from trackdb.solvers import open_solver
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import run
from .learned_movies import f1, sheet
from .movies import write_rows


@pytest.fixture(scope="module")
def movie():
    """Some 2,800 points in 30 frames; the sheet drifts, cells divide, are missed, and some points are no cells."""
    return sheet(31, n_frames=30, side=9, drift=(2.0, 1.0), division=0.006, missed=0.02, false=0.02)


@pytest.fixture
def sampled(monkeypatch):
    """Movies of more than 1,500 cells are learned from 900."""
    monkeypatch.setattr(schedule, "SAMPLE", 900)
    return {"most_cells": 1500}


def solved(movie, **options):
    edges = link_nearest(movie.detections, max_gap=1)
    learned = learn(movie.detections, edges, **options)
    return learned, edges, open_solver("ilp").solve(learned.problem(movie.detections, edges))


def test_the_middle_frames_are_learned_from(movie, sampled):
    learned, _, _ = solved(movie, **sampled)
    first, last = learned.frames
    assert learned.sampled
    assert abs((first + last) - 29) <= 1
    frame = movie.detections.frame
    assert learned.n_learned == np.count_nonzero((frame >= first) & (frame <= last))
    assert 600 < learned.n_learned < 1200
    assert learned.estimates()["detections_learned_from"] == learned.n_learned


def test_a_sample_has_a_few_frames_however_full_they_are(movie, monkeypatch):
    monkeypatch.setattr(schedule, "SAMPLE", 10)
    first, last = solved(movie, most_cells=1500)[0].frames
    assert last - first + 1 == FEWEST_FRAMES


def test_the_rest_is_followed_as_well_as_if_all_had_been_learned_from(movie, sampled):
    whole, edges, found = solved(movie)
    part, _, followed = solved(movie, **sampled)
    assert not whole.sampled
    assert f1(movie, edges, followed) > f1(movie, edges, found) - 0.005 > 0.96
    assert part.model.motion.coefficient[3, 0] == pytest.approx(1, abs=0.15)  # the sheet drifts in every frame
    assert part.model.rates.miss == pytest.approx(0.02, abs=0.015)


def test_drift_and_births_are_those_of_the_whole_movie(movie, sampled):
    learned, _, _ = solved(movie, **sampled)
    late = movie.detections.frame > learned.frames[1]
    assert np.isfinite(learned.drift.backward[late]).mean() > 0.8
    assert learned.model.open[late].any()
    assert len(learned.model.hazard) == len(movie.detections)


def test_a_solve_says_from_which_frames_and_its_posterior_prices_alike(
    movie, sampled, tmp_path, monkeypatch, own_home_and_log
):
    points = movie.detections
    store = DuckDBStore(tmp_path / "sheet.trackdb")
    rows = [(*row, i) for i, row in enumerate(np.c_[points.frame, points.position_px].tolist())]
    ingest(write_rows(tmp_path / "sheet.csv", rows, header="t,y,x,id"), store)
    monkeypatch.setattr(schedule.learn, "__kwdefaults__", {**schedule.learn.__kwdefaults__, **sampled})
    said = run("solve", store.path).stderr
    assert "note: learned from frames " in said
    assert f"of {len(points):,} cells" in said
    kept = done(store, store.detection_set(), "solve")[-1].params["estimates"]
    assert kept["detections_learned_from"] < len(points)
    chosen, info = store.find_solution()
    again = priced_again(store, chosen, info, load_config(store.path), Silent())
    assert open_solver("ilp").solve(again.problem).objective == info.objective
