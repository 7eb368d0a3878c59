"""The learned cost in windows: cut from the whole in a small movie, learned from the middle of a large one."""

from dataclasses import asdict

import numpy as np
import pytest

from trackdb.engine import costs
from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.costs.learned import sample
from trackdb.engine.costs.learned.sample import middle_frames
from trackdb.engine.evidence import LearnedConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.pipeline import solve
from trackdb.engine.progress import Recorded
from trackdb.storage.duckdb_store import DuckDBStore

from .learned_movies import sheet
from .movies import write_rows


@pytest.fixture(scope="module")
def movie():
    """Some 1,900 points in 30 frames; the sheet drifts, cells divide, are missed, and some points are no cells."""
    return sheet(31, n_frames=30, side=7, drift=(2.0, 1.0), division=0.006, missed=0.02, false=0.02)


@pytest.fixture
def store(movie, tmp_path):
    points = movie.detections
    store = DuckDBStore(tmp_path / "sheet.trackdb")
    rows = [(*row, i) for i, row in enumerate(np.c_[points.frame, points.position_px].tolist())]
    ingest(write_rows(tmp_path / "sheet.csv", rows, header="t,y,x,id"), store)
    return store


@pytest.fixture
def large(monkeypatch):
    """Movies of more than 1,000 cells are learned from 900 where they are solved in windows."""
    monkeypatch.setattr(costs, "MOST_CELLS", 1_000)
    monkeypatch.setattr(costs, "middle_frames", lambda n_frames, n_cells: middle_frames(n_frames, n_cells, 900))


def solved(store, name, window=0, context=10):
    """Return the report, the links by numbers of cells, and what was said."""
    told = Recorded()
    settings = Config(solve=SolveConfig(cost="learned", window=window, window_context=context))
    report = solve(store, store.detection_set(), settings, name=name, progress=told)
    _, info = store.find_solution(None, name)
    source, target = store.link_ends(info)
    return report, set(zip(source.tolist(), target.tolist(), strict=True)), "\n".join(told.notes)


def share(one, other):
    return 2 * len(one & other) / (len(one) + len(other))


def test_a_window_as_long_as_the_movie_finds_what_the_whole_finds(store):
    whole, links, _ = solved(store, "whole")
    cut, found, _ = solved(store, "cut", window=30)
    assert found == links
    assert (cut.objective, cut.lower_bound, cut.proven) == (whole.objective, whole.lower_bound, True)
    assert cut.divisions == whole.divisions > 0
    assert done(store, store.detection_set(), "solve")[-1].params["learned"] == asdict(LearnedConfig())


def test_short_windows_with_context_find_nearly_the_same_and_say_how_far_it_may_be(store):
    whole, links, _ = solved(store, "whole")
    cut, found, _ = solved(store, "cut", window=6, context=5)
    assert share(found, links) > 0.999
    assert whole.objective <= cut.objective + 1e-6
    assert cut.lower_bound <= whole.objective + 1e-6
    assert cut.objective - cut.lower_bound < 1e-3 * abs(cut.objective)
    hasty, _, told = solved(store, "hasty", window=1, context=4)
    assert hasty.lower_bound <= whole.objective + 1e-6 <= hasty.objective + 2e-6
    assert hasty.proven or "of the cost above the optimum" in told


def test_the_windows_of_a_large_movie_are_followed_each_by_itself(store, large):
    whole, links, _ = solved(store, "whole")
    cut, found, told = solved(store, "cut", window=8, context=6)
    assert "learned from frames " in told
    assert "are those of each window" in told
    assert share(found, links) > 0.99
    assert abs(cut.divisions - whole.divisions) <= 2
    assert cut.lower_bound <= cut.objective
    assert cut.objective - cut.lower_bound < 1e-3 * abs(cut.objective)
    kept = done(store, store.detection_set(), "solve")[-1].params["estimates"]
    assert kept["detections_learned_from"] < 1_000


def test_cells_cost_the_same_to_appear_in_every_window(movie, monkeypatch):
    monkeypatch.setattr(sample, "SAMPLE", 900)
    cells = movie.detections
    edges = link_nearest(cells, max_gap=1)
    learned = costs.learn(cells, edges, most_cells=1_000)
    place = cells.position_um
    whole = costs.Whole(place.min(axis=0), place.max(axis=0), np.unique(cells.frame))
    costly = {}
    for first, last in ((0, 12), (8, 20), (15, 29)):
        rows = np.flatnonzero((cells.frame >= first) & (cells.frame <= last))
        part, within = sample.part(cells, edges, rows[0], rows[-1] + 1)
        problem = whole.price(part, within, (), learned)
        for row, cost in zip(rows.tolist(), problem.appear_cost.tolist(), strict=True):
            assert costly.setdefault(row, cost) == cost
    begun = [costly[row] for row in np.flatnonzero(cells.frame == 0)]
    within = [costly[row] for row in np.flatnonzero(cells.frame == 15)]
    assert max(begun) < min(within), "the movie begins, not a window"
