"""The exact solver against every other way to the same answer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.solvers import packing
from trackdb.solvers.highs import HighsSolver
from trackdb.solvers.ilp import IlpSolver, dual_bound
from trackdb.solvers.problem import TrackingProblem
from trackdb.testing.problems import crowded_movie, shuffle_edges

from .oracles import cheapest_by_motile, cheapest_by_trying_all
from .strategies import renumber_nodes, tracking_problems

CHEAP_DIVISION = {"division": 0.5, "false_cost": 2.0}
REWARDED_DIVISION = {"division": -5.0}


@pytest.fixture
def movie():
    r"""Four frames with a mother, her two daughters, and a speck.

    ::

        frame 0     1     2     3
              0 --- 1 --- 2 --- 4
                      `-- 3 --- 5
                    6 - - ^           6 is a speck: a cell there costs 9, its link to 3 gains 3
    """
    cells = 7
    return TrackingProblem(
        frame=np.array([0, 1, 2, 2, 3, 3, 1]),
        source=np.array([0, 1, 1, 2, 3, 6]),
        target=np.array([1, 2, 3, 4, 5, 3]),
        edge_cost=np.array([-2.0, -2.0, -2.0, -2.0, -2.0, -3.0]),
        node_cost=np.array([-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 9.0]),
        appear_cost=np.array([0.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]),
        disappear_cost=np.array([4.0, 4.0, 4.0, 4.0, 0.0, 0.0, 4.0]),
        division_cost=np.full(cells, 3.0),
        pinned_node=np.zeros(cells, dtype=np.int8),
    )


def test_the_mother_divides_and_the_speck_is_no_cell(movie):
    chosen = IlpSolver().solve(movie)
    assert chosen.edge.tolist() == [True, True, True, True, True, False]
    assert chosen.node.tolist() == [True] * 6 + [False]
    assert chosen.objective == chosen.lower_bound == 5 * -2 + 6 * -1 + 3
    assert chosen.proven


def test_a_kept_speck_takes_its_daughter_if_that_is_cheaper(movie):
    kept = replace(movie, pinned_node=np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.int8))
    chosen = IlpSolver().solve(kept)
    assert chosen.edge.tolist() == [True, True, False, True, True, True]
    assert chosen.objective == 4 * -2 - 3 + 6 * -1 + 9 + 4


def test_a_forbidden_cell_breaks_its_track_and_the_stump_does_not_pay(movie):
    forbidden = replace(movie, pinned_node=np.array([0, 0, -1, 0, 0, 0, 0], dtype=np.int8))
    chosen = IlpSolver().solve(forbidden)
    assert chosen.edge.tolist() == [True, False, True, False, True, False]
    assert chosen.node.tolist() == [True, True, False, True, False, True, False]


def test_a_dropped_cell_has_no_daughters():
    """Alone, a matching would drop the costly cell 0 and still let it divide, for dividing is free."""
    problem = TrackingProblem(
        frame=np.array([0, 1]),
        source=np.array([0]),
        target=np.array([1]),
        edge_cost=np.array([-1.0]),
        node_cost=np.array([10.0, -9.0]),
        appear_cost=np.array([1.0, 5.0]),
        disappear_cost=np.array([1.0, 0.0]),
        division_cost=np.zeros(2),
        pinned_node=np.zeros(2, dtype=np.int8),
    )
    chosen = IlpSolver().solve(problem)
    assert (chosen.edge.tolist(), chosen.node.tolist()) == ([False], [False, True])
    assert chosen.objective == chosen.lower_bound == -9 + 5
    assert dual_bound(problem, chosen.dual) == -9 - 1  # the matching: the division slot saves the appearance


@pytest.mark.parametrize("reward", [-4.0, -8.0])
def test_a_costly_first_daughter_comes_with_a_second_if_dividing_is_rewarded(reward):
    """Each link costs 3 alone; two of them and the division cost 6 + reward."""
    problem = TrackingProblem(
        frame=np.array([0, 1, 1]),
        source=np.array([0, 0]),
        target=np.array([1, 2]),
        edge_cost=np.full(2, 3.0),
        node_cost=np.full(3, -1.0),
        appear_cost=np.zeros(3),
        disappear_cost=np.zeros(3),
        division_cost=np.full(3, reward),
        pinned_node=np.zeros(3, dtype=np.int8),
    )
    chosen = IlpSolver().solve(problem)
    assert chosen.edge.all() == (reward == -8)
    assert chosen.objective == chosen.lower_bound == -3 + min(0, 6 + reward)


@settings(deadline=None, max_examples=300)
@given(st.one_of(tracking_problems(), tracking_problems(division=(-12, 0)), tracking_problems(pins=(0,))))
def test_no_selection_is_cheaper(problem):
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None, max_examples=60)
@given(tracking_problems(division=(-12, 4)))
def test_highs_finds_no_cheaper_one_either(problem):
    chosen = HighsSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None)
@given(tracking_problems())
def test_prices_of_in_ports_bound_every_selection(problem):
    chosen = IlpSolver().solve(problem)
    assert dual_bound(problem, chosen.dual) <= chosen.lower_bound
    assert dual_bound(problem, chosen.dual + 0.75) <= chosen.objective  # any prices do, only less well
    assert dual_bound(problem, chosen.dual - 0.75) <= chosen.objective


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("costs", [{}, CHEAP_DIVISION, REWARDED_DIVISION], ids=["usual", "cheap", "rewarded"])
def test_crowded_movies_agree_with_highs(costs, skip):
    problem = crowded_movie(seed=3, per_frame=20, skip=skip, **costs)
    ours, theirs = IlpSolver().solve(problem), HighsSolver(time_limit_s=60).solve(problem)
    assert ours.objective == theirs.objective
    assert ours.proven
    assert theirs.proven


@pytest.mark.parametrize(("seed", "costs"), [(5, {}), (6, CHEAP_DIVISION)])
def test_crowded_movies_agree_with_motile(seed, costs):
    problem = crowded_movie(seed, n_frames=6, per_frame=20, skip=True, **costs)
    assert IlpSolver().solve(problem).objective == pytest.approx(cheapest_by_motile(problem), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_without_broken_couplings_the_prices_prove_the_optimum(seed):
    problem = crowded_movie(seed, skip=True)
    kept = replace(problem, pinned_node=np.ones_like(problem.pinned_node))
    chosen = IlpSolver().solve(kept)
    assert chosen.proven
    assert dual_bound(kept, chosen.dual) == chosen.objective


@pytest.mark.parametrize("costs", [{}, CHEAP_DIVISION], ids=["usual", "cheap"])
def test_neither_the_order_of_edges_nor_the_numbers_of_cells_matter(costs):
    problem = crowded_movie(seed=8, n_frames=15, per_frame=30, skip=True, **costs)
    chosen = IlpSolver().solve(problem)
    shuffled, order = shuffle_edges(problem, seed=1)
    again = IlpSolver().solve(shuffled)
    assert np.array_equal(again.edge, chosen.edge[order])
    assert np.array_equal(again.node, chosen.node)
    renumbered = IlpSolver().solve(renumber_nodes(problem, seed=2))
    assert (renumbered.objective, renumbered.lower_bound) == (chosen.objective, chosen.lower_bound)


@pytest.mark.parametrize("most_options", [2, 12, 40])
@pytest.mark.parametrize("costs", [CHEAP_DIVISION, REWARDED_DIVISION], ids=["cheap", "rewarded"])
def test_a_cluster_too_large_leaves_an_honest_gap(monkeypatch, most_options, costs):
    problem = crowded_movie(seed=3, n_frames=6, per_frame=16, skip=True, **costs)
    optimum = IlpSolver().solve(problem).objective
    monkeypatch.setattr(packing, "MOST_OPTIONS", most_options)
    monkeypatch.setattr(packing, "HOPELESS", most_options)
    hurried = IlpSolver().solve(problem)
    assert hurried.lower_bound <= optimum <= hurried.objective
    assert hurried.proven == (hurried.lower_bound == hurried.objective)
    assert most_options > 2 or not hurried.proven


@pytest.mark.parametrize("solver", [IlpSolver, HighsSolver])
def test_without_time_a_feasible_selection_and_an_honest_gap_come_back(solver):
    problem = crowded_movie(seed=3, skip=True, **CHEAP_DIVISION)
    optimum = IlpSolver().solve(problem).objective
    hurried = solver(time_limit_s=0.0).solve(problem)
    assert hurried.lower_bound < optimum < hurried.objective
    assert not hurried.proven
    assert hurried.gap > 0
