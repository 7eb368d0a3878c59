"""What it costs to flip an answer: every choice of parents tried, and the exact solver with links forced in and out."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.posterior.gaps import min_marginals
from trackdb.solvers.problem import SCALE, TrackingProblem
from trackdb.testing.problems import crowded_movie

from .parent_maps import every_map, kept_problem


def flips_by_trying_all(problem):
    """Return the flip costs of links and beginnings, in millionths, -1 where nothing else is open."""
    parent, cost = every_map(problem)

    def flip(has):
        other = cost[has != has[0]]
        return other[0] - cost[0] if len(other) else -1

    link = [flip((parent == e).any(axis=1)) for e in range(problem.n_edges)]
    return np.array(link), np.array([flip(parent[:, v] < 0) for v in range(problem.n_nodes)])


def in_millionths(gap):
    return np.rint(np.where(np.isinf(gap), -1 / SCALE, gap) * SCALE).astype(np.int64)


@pytest.mark.parametrize("seed", range(220))
def test_flip_costs_are_exact(seed):
    problem = kept_problem(seed, most=1500)
    found = min_marginals(problem)
    link, new = flips_by_trying_all(problem)
    assert in_millionths(found.link).tolist() == link.tolist()
    assert in_millionths(found.new).tolist() == new.tolist()


def test_others_move_over_for_a_daughter_who_chooses_otherwise():
    r"""The optimum is 0 -> 3 and 1 -> 2, which costs 0.5 + 2; an end costs 3, a beginning 9, a division 2.

    ::

        frame 0   0   1
                 / \ /
        frame 1 3   2
    """
    problem = TrackingProblem(
        frame=np.array([0, 0, 1, 1]),
        source=np.array([0, 0, 1]),
        target=np.array([2, 3, 2]),
        edge_cost=np.array([0.0, 0.5, 2.0]),
        node_cost=np.zeros(4),
        appear_cost=np.array([0.0, 0.0, 9.0, 9.0]),
        disappear_cost=np.array([3.0, 3.0, 0.0, 0.0]),
        division_cost=np.array([2.0, 2.0, 0.0, 0.0]),
        pinned_node=np.ones(4, dtype=np.int8),
    )
    found = min_marginals(problem)
    divides = 0.5 + 2 + 3 - 2.5  # 0 -> 2 beside 0 -> 3, and 1 ends
    moves = 9 + 0 + 3 - 2.5  # 3 begins, 0 takes 2 instead, and 1 ends
    ends = 9 + 0.5 + 3 - 2.5  # 2 begins, and 1 ends
    assert found.link.tolist() == [divides, moves, divides]
    assert found.new.tolist() == [np.inf, np.inf, ends, moves]


@pytest.mark.parametrize("seed", range(3))
def test_flips_agree_with_the_exact_solver_on_pinned_links(seed):
    problem = crowded_movie(seed, n_frames=3, per_frame=25, skip=seed == 1)
    problem = replace(problem, pinned_node=np.ones(problem.n_nodes, dtype=np.int8))
    best = IlpSolver().solve(problem)
    found = min_marginals(problem)
    for row in np.random.default_rng(seed).choice(problem.n_edges, 25, replace=False):
        edge = np.zeros(problem.n_edges, dtype=np.int8)
        if best.edge[row]:
            edge[row] = -1
            flipped = IlpSolver().solve(pin(problem, Pins(edge, np.zeros(problem.n_nodes, dtype=np.int8))).problem)
            cost = flipped.objective
        else:
            cost = _cheapest_with(problem, row)
        assert found.link[row] == pytest.approx(cost - best.objective, abs=1e-9)


def _cheapest_with(problem, row):
    """Return the least cost of a selection that holds a link, by making it so cheap that none does without."""
    bonus = 1000.0
    edge_cost = problem.edge_cost.copy()
    edge_cost[row] -= bonus
    return IlpSolver().solve(replace(problem, edge_cost=edge_cost)).objective + bonus


def test_a_cell_without_candidates_has_nothing_to_flip():
    problem = kept_problem(0)
    found = min_marginals(problem)
    assert np.isinf(found.new[~np.isin(np.arange(problem.n_nodes), problem.target)]).all()
    forbidden = replace(problem, pinned_node=np.full(problem.n_nodes, -1, dtype=np.int8))
    assert np.isinf(min_marginals(forbidden).link).all()
