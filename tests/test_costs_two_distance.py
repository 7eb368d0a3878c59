"""The two-distance cost: by hand, against every selection in turn, and through a store."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from trackdb.engine.candidates import edges_of, link_nearest
from trackdb.engine.config import Config, LinkConfig, SolveConfig, TwoDistanceConfig, load_config
from trackdb.engine.costs import two_distance_problem
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.pipeline import solve
from trackdb.engine.scorers import Scores, ScoreScale
from trackdb.errors import ConfigError, SchemaError
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.motile_bridge import MotileSolver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask
from trackdb.testing.movies import cells, walk

from .command_line import answer, refusal, run
from .movies import write_rows
from .oracles import cheapest_by_trying_all

pytestmark = pytest.mark.usefixtures("own_home_and_log")

ONLY_DISTANCE = TwoDistanceConfig(score=0.0)


def shares(value):
    return Scores(np.asarray(value, dtype=np.float64), ScoreScale.PROBABILITY)


@pytest.fixture
def family():
    """A mother at x = 0 and what could be her daughters, at x = -3, 1 and 2; frame 3 comes after an empty one."""
    movie = cells([0, 1, 1, 1, 3], [[0, 0], [0, -3], [0, 1], [0, 2], [0, 2]])
    return movie, edges_of(movie, np.zeros(3, dtype=np.int64), np.array([1, 2, 3]))


def test_distances_are_told_in_standard_scores_and_a_division_by_the_midpoint(family):
    r"""Distances 3, 1, 2 have mean 2 and variance 2/3; midpoints -1, -0.5 and 1.5 are 1, 0.5, 1.5 from the mother."""
    problem = two_distance_problem(*family, shares([0.2, 0.2, 0.2]), ONLY_DISTANCE).problem
    assert problem.edge_cost == pytest.approx(np.array([1, -1, 0]) * 1.5**0.5)
    rows = np.column_stack([problem.pairs.first, problem.pairs.second]).tolist()
    by_pair = dict(zip(map(frozenset, rows), problem.pairs.cost, strict=True))
    assert by_pair == pytest.approx({frozenset({0, 1}): 0, frozenset({0, 2}): -(1.5**0.5), frozenset({1, 2}): 1.5**0.5})


def test_scores_are_told_in_standard_scores_and_a_division_by_their_mean(family):
    """Scores 0.1, 0.3, 0.5 have deviation 0.4 / sqrt 6; means 0.2, 0.3, 0.4 have half of it, and pairs are apart."""
    config = TwoDistanceConfig(distance=0.0, score=-2.0)
    problem = two_distance_problem(*family, shares([0.1, 0.3, 0.5]), config).problem
    assert problem.edge_cost == pytest.approx(-2 * np.array([-1, 0, 1]) * 1.5**0.5)
    assert np.sort(problem.pairs.cost) == pytest.approx(-2 * np.array([1, 0, -1]) * 1.5**0.5)


def test_the_constants_are_added(family):
    zero = two_distance_problem(*family, shares([0.1, 0.3, 0.5]), TwoDistanceConfig()).problem
    config = TwoDistanceConfig(bias=0.5, division_bias=2.0)
    more = two_distance_problem(*family, shares([0.1, 0.3, 0.5]), config).problem
    assert more.edge_cost - zero.edge_cost == pytest.approx(0.5)
    assert more.pairs.cost - zero.pairs.cost == pytest.approx(2.5)


def test_an_end_is_free_where_no_neighbouring_frame_has_cells(family):
    problem = two_distance_problem(*family, shares([0.1, 0.3, 0.5]), TwoDistanceConfig(appear=3, disappear=2)).problem
    assert problem.appear_cost.tolist() == [0, 3, 3, 3, 0]
    assert problem.disappear_cost.tolist() == [2, 0, 0, 0, 0]
    assert (problem.pinned_node == 1).all()


def test_scores_that_are_all_the_same_say_nothing(family):
    problem = two_distance_problem(*family, shares([0.2, 0.2, 0.2]), TwoDistanceConfig(distance=0.0)).problem
    assert not problem.edge_cost.any()
    assert not problem.pairs.cost.any()


def test_daughters_are_of_one_frame():
    movie = cells([0, 1, 2, 2], [[0, 0], [0, 1], [0, 1], [0, 2]])
    edges = edges_of(movie, np.zeros(3, dtype=np.int64), np.array([1, 2, 3]))
    pairs = two_distance_problem(movie, edges, shares([0.3, 0.3, 0.4]), ONLY_DISTANCE).problem.pairs
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([1], [2])


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_two_candidates_of_a_cell_are_listed_once(ndim):
    edges = link_nearest(walk(1, n_frames=4, n_cells=12, ndim=ndim, sigma=1.0), neighbors=5)
    pairs = two_distance_problem(
        walk(1, n_frames=4, n_cells=12, ndim=ndim, sigma=1.0), edges, shares(np.zeros(len(edges))), ONLY_DISTANCE
    ).problem.pairs
    of_mother = np.bincount(edges.source)
    assert len(pairs) == (of_mother * (of_mother - 1) // 2).sum()


def test_the_unit_of_length_does_not_matter():
    movie = walk(2, n_frames=4, n_cells=12, sigma=1.0)
    larger = replace(movie, position_px=8 * movie.position_px)
    rng = np.random.default_rng(0)
    here, there = link_nearest(movie), link_nearest(larger)
    score = shares(rng.random(len(here)) / 20)
    one, other = (
        two_distance_problem(m, e, score, TwoDistanceConfig()).problem for m, e in ((movie, here), (larger, there))
    )
    assert other.edge_cost == pytest.approx(one.edge_cost)
    assert other.pairs.cost == pytest.approx(one.pairs.cost)


@pytest.mark.parametrize("seed", range(12))
def test_the_optimum_is_that_of_all_selections(seed):
    movie = walk(seed, n_frames=3, n_cells=2 + seed % 2, sigma=2.0)
    edges = link_nearest(movie, neighbors=2)
    assert len(edges) <= 12
    score = shares(np.random.default_rng(seed).random(len(edges)) / 4)
    problem = two_distance_problem(movie, edges, score, TwoDistanceConfig(division_bias=-1.0)).problem
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == pytest.approx(cheapest_by_trying_all(problem), abs=1e-5)  # which rounds at the end
    assert chosen.objective == pytest.approx(MotileSolver().solve(problem).objective, abs=1e-6)
    assert chosen.proven


def test_a_movie_without_candidates_is_priced():
    movie = cells([0, 0], [[5, 5], [15, 15]])
    problem = two_distance_problem(movie, link_nearest(movie), shares([]), TwoDistanceConfig()).problem
    assert (problem.n_edges, len(problem.pairs)) == (0, 0)


def test_each_candidate_needs_a_score(family):
    with pytest.raises(SchemaError, match="wanted: 3; got: 2"):
        two_distance_problem(*family, shares([0.1, 0.2]), TwoDistanceConfig())


# Cells and their column: 1 divides into 4 and 5, 2 goes on as 6, 3 as 7.
ROWS = [(0, 0, 0, 1), (0, 0, 20, 2), (0, 0, 40, 3), (1, 0, -4, 4), (1, 0, 4, 5), (1, 0, 21, 6), (1, 0, 39, 7)]


@pytest.fixture
def store(tmp_path):
    made = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(write_rows(tmp_path / "drawn.csv", ROWS, header="t,y,x,id"), made)
    return made


def links(store, solution):
    query = """select a.label as a, b.label as b from links l join cells a on a.cell = l.source
        join cells b on b.cell = l.target where solution = $solution"""
    found = ask(store.path, query, {"solution": solution}).rows.to_pydict()
    return set(zip(found["a"], found["b"], strict=True))


def test_a_store_is_solved_by_two_distances_and_the_weights_are_kept(store):
    weights = TwoDistanceConfig(bias=-0.5)
    config = Config(LinkConfig(max_distance=30), solve=SolveConfig(cost="two-distance"), two_distance=weights)
    found = solve(store, store.detection_set(), config)
    assert found.proven
    assert links(store, found.solution) == {(1, 4), (1, 5), (2, 6), (3, 7)}
    run = done(store, store.detection_set(), "solve")[-1]
    assert run.params["cost"] == "two-distance"
    assert run.params["two_distance"] == asdict(config.two_distance)
    assert found.estimates["division_distance_px_deviation"] > 0


def test_the_weights_come_from_a_file_on_the_command_line(store, tmp_path):
    weights = tmp_path / "weights.toml"
    weights.write_text("[link]\nmax_distance = 30\n[two_distance]\nbias = -0.5\ndivision_bias = 50.0\n")
    assert load_config(None, weights).two_distance.division_bias == 50
    solved = answer("solve", store.path, "--cost", "two-distance", "--config", weights)
    assert (solved["divisions"], solved["links"], solved["proven"]) == (0, 3, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cost", "love"], "density, learned, two-distance"),
        (["--cost", "two-distance", "--lap"], "which lap does not divide into"),
        (["--cost", "two-distance", "--greedy"], "which greedy does not divide into"),
    ],
)
def test_a_cost_that_does_not_fit_is_refused(store, words, message):
    assert message in refusal("solve", store.path, *words, code=2)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e6])
def test_a_weight_that_is_no_weight_is_refused(weight):
    with pytest.raises(ConfigError, match=r"two_distance\.score"):
        TwoDistanceConfig(score=weight)


def test_what_people_said_is_kept_at_this_cost_too(store):
    cell = ask(store.path, "select cell, label from cells").rows.to_pydict()
    number = dict(zip(cell["label"], cell["cell"], strict=True))
    run("link", store.path, "--max-distance", 30)
    run("annotate", store.path, number[2], "--daughters", f"{number[5]},{number[6]}", "--as", "ana")
    solved = answer("solve", store.path, "--cost", "two-distance")
    assert {(2, 5), (2, 6)} <= links(store, solved["solution"])
    assert solved["pins"] == 1
    assert solved["proven"]
