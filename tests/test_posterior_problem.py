"""A solution is priced again as its run priced it: to the last digit, whatever made it, and with later annotations."""

import numpy as np
import pytest

from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.config import Config, LinkConfig, ScoreConfig, SolveConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.problem import weighed
from trackdb.engine.progress import Recorded
from trackdb.errors import MissingRowsError
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.problem import objective
from trackdb.storage.duckdb_store import DuckDBStore

from .movies import DIVIDING, copied, dividing_cells, write_ctc, write_rows


@pytest.fixture(scope="module")
def linked(tmp_path_factory):
    """A store of dividing cells with candidates over a gap and scores by distance; it is copied, never written."""
    folder = tmp_path_factory.mktemp("linked")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", dividing_cells(n_frames=6, side=3), header=DIVIDING), store)
    solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=1)), name="first")
    return store


@pytest.fixture
def store(linked, tmp_path):
    """A copy of that store."""
    return DuckDBStore(copied(linked.path, tmp_path / "movie.trackdb"))


def priced_again(store, name=None, progress=None):
    """Return a solution, its movie priced again, and what its own links cost there."""
    chosen, info = store.find_solution(name=name)
    movie = weighed(store, chosen, info, Config(), progress or Recorded())
    table = store.solution(info)
    edge, node = np.isin(movie.edges.id, table.edge), np.isin(movie.detections.id, table.node)
    return info, movie, objective(movie.problem, edge, node)


@pytest.mark.parametrize(
    "settings",
    [
        SolveConfig(),
        SolveConfig(window=2, window_context=3),
        SolveConfig(cost="two-distance"),
        SolveConfig(linker="greedy"),
    ],
    ids=["whole", "windows", "pairs", "greedy"],
)
def test_a_solution_costs_what_its_run_says(store, settings):
    solve(store, store.detection_set(), Config(solve=settings), name="asked")
    info, movie, cost = priced_again(store, "asked")
    assert cost == info.objective
    if info.proven:
        assert IlpSolver().solve(movie.problem).objective == info.objective


def test_overlaps_are_worth_what_they_were(tmp_path):
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(write_ctc(tmp_path / "drawn"), store)
    for window in (0, 2):
        config = Config(score=ScoreConfig(by="overlap"), solve=SolveConfig(window=window))
        solve(store, store.detection_set(), config, name=f"w{window}")
        info, movie, cost = priced_again(store, f"w{window}")
        assert (cost, movie.score_run.name) == (info.objective, "overlap")


def test_later_annotations_are_honoured(store):
    _, before, _ = priced_again(store, "first")
    mother = int(before.detections.id[before.edges.source[0]])
    daughter = int(before.detections.id[before.edges.target[0]])
    Annotator(store, store.detection_set()).answer("choose", mother, [daughter], who="ana")
    info, movie, cost = priced_again(store, "first")
    assert (before.pins, movie.pins) == (0, 1)
    assert cost == info.objective  # the solution is what it was
    assert movie.left.forced[0]
    assert movie.left.problem.n_edges < movie.problem.n_edges == before.problem.n_edges
    solve(store, store.detection_set(), name="pinned")
    info, movie, cost = priced_again(store, "pinned")
    assert cost == info.objective
    assert IlpSolver().solve(movie.left.problem).objective == info.objective


@pytest.mark.parametrize("name", ["lap-1", "truth"])
def test_a_solution_without_costs_is_weighed_by_the_model(store, name):
    if name == "lap-1":
        solve(store, store.detection_set(), Config(solve=SolveConfig(linker="lap")))
    told = Recorded()
    _, movie, _ = priced_again(store, name, told)
    _, ours, _ = priced_again(store, "first")
    assert [note for note in told.notes if "does not go by costs" in note] == [
        f"{name} does not go by costs: its links are weighed by the model, with scores distance"
    ]
    for column in ("edge_cost", "appear_cost", "disappear_cost", "division_cost"):
        np.testing.assert_array_equal(getattr(movie.problem, column), getattr(ours.problem, column))


def test_a_movie_without_candidates_says_what_to_do(tmp_path):
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(write_ctc(tmp_path / "drawn"), store)
    with pytest.raises(MissingRowsError, match="trackdb link"):
        priced_again(store, "truth")
