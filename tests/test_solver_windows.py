"""A movie solved window by window: what it costs is true, its bound holds, and context makes it the optimum."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import SchemaError
from trackdb.solvers.conflicts import Conflicts
from trackdb.solvers.greedy import GreedySolver
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.problem import objective
from trackdb.solvers.windows import Piece, Windows, part_of, solve_in_windows, sum_up
from trackdb.testing.problems import crowded_movie, with_every_pair, with_hypotheses

from .strategies import exclusive_problems, paired_problems, tracking_problems

LONGEST = 3
"""Frames that an edge of a drawn problem spans at most."""


MADE = {
    "sums": lambda problem: problem,
    "pairs": lambda problem: with_every_pair(problem, 7, bonus=2.0),
}

ANY_PROBLEM = st.one_of(
    tracking_problems(),
    paired_problems(),
    exclusive_problems(tracking_problems(pins=(0, -1))),
    exclusive_problems(paired_problems(pins=(0, -1))),
)


def loader_of(problem, loads=None):
    """Return a loader that hands out parts of a problem, and notes the frames that it was asked for."""

    def load(first, last):
        if loads is not None:
            loads.append((first, last))
        inside = (problem.frame >= first) & (problem.frame <= last)
        nodes = np.flatnonzero(inside)
        edges = np.flatnonzero(inside[problem.source] & inside[problem.target])
        return Piece(part_of(problem, nodes, edges), 100 + nodes, 1000 + edges)

    return load


def solved(problem, core, context, *, reach=LONGEST, solver=None):
    """Solve window by window; return the masks over the whole, what the cores say of the cost, and the cores."""
    last = int(problem.frame.max(initial=-1))
    windows = Windows(int(problem.frame.min(initial=0)), last, core, context, reach)
    cores = list(solve_in_windows(loader_of(problem), windows, solver or IlpSolver()))
    edge, node = np.zeros(problem.n_edges, dtype=bool), np.zeros(problem.n_nodes, dtype=bool)
    for part in cores:
        assert not edge[part.edge - 1000].any()
        assert not node[part.node - 100].any()
        edge[part.edge - 1000], node[part.node - 100] = True, True
        assert (problem.source[part.edge - 1000] == part.source - 100).all()
        assert (problem.target[part.edge - 1000] == part.target - 100).all()
    return edge, node, *sum_up([(part.objective, part.lower_bound) for part in cores]), cores


@settings(deadline=None, max_examples=60)
@given(ANY_PROBLEM, st.integers(1, 5), st.integers(LONGEST, 5))
def test_the_cost_is_true_the_bound_holds_and_what_sees_everything_is_the_optimum(problem, core, context):
    edge, node, cost, bound, proven, _ = solved(problem, core, context)
    optimum = IlpSolver().solve(problem)
    assert cost == objective(problem, edge, node)
    assert bound <= optimum.objective
    assert cost == optimum.objective  # four frames: a context of three sees them all
    assert proven == (bound == cost)


@settings(deadline=None)
@given(tracking_problems(pins=(1,), division=(0, 4)), st.integers(1, 5))
def test_where_all_cells_are_kept_and_seen_the_optimum_is_proven(problem, core):
    *_, proven, _ = solved(problem, core, LONGEST)
    assert proven


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("core", [1, 2, 5, 11])
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_bound_optimum_and_cost_stand_in_order_for_every_window(make, core, skip):
    problem = make(crowded_movie(5, n_frames=24, per_frame=12, skip=skip))
    optimum = IlpSolver().solve(problem).objective
    gaps = []
    for context in (2, 4, 24):
        edge, node, cost, bound, _, _ = solved(problem, core, context, reach=2)
        assert bound <= optimum <= cost == objective(problem, edge, node)
        gaps.append(cost - bound)
    assert cost == optimum
    assert gaps[-1] <= 1e-3 * abs(optimum)
    assert gaps[-1] <= gaps[0]


def test_hypotheses_that_exclude_each_other_are_chosen_across_seams():
    problem = with_hypotheses(crowded_movie(5, n_frames=24, per_frame=12), 7)
    optimum = IlpSolver().solve(problem).objective
    edge, node, cost, bound, _, _ = solved(problem, 8, 4, reach=1)
    assert bound <= optimum <= cost == objective(problem, edge, node)
    assert cost - bound <= 5e-3 * abs(optimum)


def test_a_short_context_may_contradict_what_was_kept_and_is_solved_again():
    problem = crowded_movie(2, n_frames=30, per_frame=15, skip=True, division=1.0)
    _, _, cost, bound, _, cores = solved(problem, 2, 2, reach=2)
    assert any(core.again for core in cores)
    assert 0 < (cost - bound) / abs(bound) < 0.2


def test_cheap_divisions_and_false_cells_are_bounded_too():
    problem = crowded_movie(9, n_frames=20, per_frame=20, division=0.5, false_cost=2.0)
    optimum = IlpSolver().solve(problem).objective
    _, _, cost, bound, _, _ = solved(problem, 5, 5, reach=1)
    assert bound <= optimum <= cost
    assert cost - bound <= 0.01 * abs(optimum)


def test_memory_is_that_of_a_window_and_each_is_read_once():
    problem = crowded_movie(1, n_frames=40, per_frame=10)
    loads = []
    list(solve_in_windows(loader_of(problem, loads), Windows(0, 39, 10, 3), IlpSolver()))
    assert loads == [(0, 12), (7, 22), (17, 32), (27, 39)]


def test_one_window_over_all_is_the_solver_itself():
    problem = crowded_movie(4)
    chosen = IlpSolver().solve(problem)
    edge, node, cost, bound, proven, cores = solved(problem, 100, 100)
    assert np.array_equal(edge, chosen.edge)
    assert np.array_equal(node, chosen.node)
    assert (cost, bound, proven) == (chosen.objective, chosen.lower_bound, chosen.proven)
    assert np.array_equal(cores[0].dual, chosen.dual[chosen.node])


def test_a_solver_that_proves_nothing_gives_a_solution_without_a_bound():
    problem = crowded_movie(4)
    edge, node, cost, bound, proven, cores = solved(problem, 3, 3, solver=GreedySolver())
    assert cost == objective(problem, edge, node)
    assert (bound, proven) == (-np.inf, False)
    assert cores[0].dual is None


def test_a_movie_without_cells_in_some_frames_is_solved():
    problem = crowded_movie(4)
    problem = replace(problem, frame=problem.frame * 10)
    _, _, cost, _, _, _ = solved(problem, 3, 80, reach=10)
    assert cost == IlpSolver().solve(problem).objective


def test_windows_that_cannot_hold_an_edge_are_refused():
    with pytest.raises(SchemaError, match="at least one frame, got 0"):
        Windows(0, 9, 0, 3)
    with pytest.raises(SchemaError, match="as long as the edges: 2 frames, got 1"):
        Windows(0, 9, 4, 1, 2)
    problem = crowded_movie(4, skip=True)
    with pytest.raises(SchemaError, match="runs over 2 frames, expected at most 1"):
        solved(problem, 3, 3, reach=1)


def test_conflicts_across_frames_are_refused():
    problem = replace(crowded_movie(4), conflicts=Conflicts(np.array([0]), np.array([199])))
    with pytest.raises(SchemaError, match="different frames exclude each other"):
        solved(problem, 8, 8)


def test_pieces_that_do_not_fit_each_other_are_refused():
    problem = crowded_movie(4)
    load = loader_of(problem)

    def forgetful(first, last):
        piece = load(first, last)
        return Piece(piece.problem, piece.node, piece.edge + 10_000 * first)

    with pytest.raises(SchemaError, match="not in the next window"):
        list(solve_in_windows(forgetful, Windows(0, 7, 2, 2), IlpSolver()))
    with pytest.raises(SchemaError, match="has numbers for"):
        Piece(problem, np.arange(3), np.arange(problem.n_edges))
