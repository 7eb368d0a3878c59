"""The cheapest map of parents: every choice tried, the exact solver, and scipy on doubled mothers as oracles."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from trackdb.errors import SchemaError
from trackdb.solvers.conflicts import Conflicts
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.posterior.assignment import AssignmentProblem
from trackdb.solvers.posterior.parents import cheapest_parents
from trackdb.solvers.problem import SCALE, TrackingProblem, objective
from trackdb.testing.problems import crowded_movie, shuffle_edges

from .parent_maps import every_map, kept_problem


def kept(problem):
    return replace(problem, pinned_node=np.ones(problem.n_nodes, dtype=np.int8))


def solved(problem):
    assignment = AssignmentProblem.of(problem)
    return assignment, cheapest_parents(assignment)


def links(problem):
    assignment, best = solved(problem)
    row = assignment.links(best.option)
    return sorted(row[row >= 0].tolist())


def by_scipy(problem):
    """Return the least cost by a dense matrix: two columns for each mother, and a beginning of her own for each."""
    n = problem.n_nodes
    table = np.full((n, 3 * n), 1e6)
    for u, v, cost in zip(problem.source, problem.target, problem.edge_cost, strict=True):
        table[v, 2 * u] = cost - problem.disappear_cost[u]
        table[v, 2 * u + 1] = cost + problem.division_cost[u]
    table[np.arange(n), 2 * n + np.arange(n)] = problem.appear_cost
    return table[linear_sum_assignment(table)].sum() + problem.node_cost.sum() + problem.disappear_cost.sum()


@pytest.fixture
def gap():
    r"""Cell 1 divides into 3 and, over a gap, 4; cell 0 goes on as 2; 3 might be of 0.

    ::

        frame 0   0   1
                  |\  |\
        frame 1   2 `-3 \
        frame 2          4
    """
    return TrackingProblem(
        frame=np.array([0, 0, 1, 1, 2]),
        source=np.array([0, 0, 1, 1]),
        target=np.array([2, 3, 3, 4]),
        edge_cost=np.array([1.0, 1.5, 1.0, 2.0]),
        node_cost=np.zeros(5),
        appear_cost=np.array([0.0, 0.0, 4.0, 4.0, 4.0]),
        disappear_cost=np.array([2.0, 2.0, 0.0, 0.0, 0.0]),
        division_cost=np.array([1.0, 1.0, 0.0, 0.0, 0.0]),
        pinned_node=np.ones(5, dtype=np.int8),
    )


def test_a_cell_divides_over_a_gap(gap):
    assert links(gap) == [0, 2, 3]
    _, best = solved(gap)
    assert best.cost == 5 * SCALE  # 1 + (1 + 2 + 1), nobody begins or ends
    dear = replace(gap, division_cost=np.full(5, 3.5))
    assert links(dear) == [0, 2]  # 4 begins
    assert solved(dear)[1].cost == 6 * SCALE


@pytest.mark.parametrize("seed", range(220))
def test_no_choice_of_parents_costs_less(seed):
    problem = kept_problem(seed)
    assignment, best = solved(problem)
    _, cost = every_map(problem)
    assert best.cost == cost[0]
    assert assignment.base + assignment.change(best.option) == best.cost
    edge = np.zeros(problem.n_edges, dtype=bool)
    row = assignment.links(best.option)
    edge[row[row >= 0]] = True
    assert round(objective(problem, edge, np.ones(problem.n_nodes, dtype=bool)) * SCALE) == best.cost
    assert best.cost / SCALE == pytest.approx(by_scipy(problem), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_the_exact_solver_finds_the_same_optimum(seed):
    problem = kept(crowded_movie(seed, skip=bool(seed % 2), division=[1.0, 4.0][seed % 2]))
    exact = IlpSolver().solve(problem)
    assert exact.proven
    assert solved(problem)[1].cost == round(exact.objective * SCALE)


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_does_not_depend_on_the_order_of_the_links(seed):
    problem = kept(crowded_movie(seed, skip=True))
    shuffled, order = shuffle_edges(problem, seed)
    assert sorted(order[links(shuffled)].tolist()) == links(problem)


@pytest.mark.parametrize("seed", range(40))
def test_prices_prove_the_optimum(seed):
    """No daughter's option undercuts hers, no beginning does, and no mother gains by one child more or less."""
    assignment, best = solved(kept_problem(seed))
    choices = assignment.choices
    taken = best.option[best.option >= 0]
    held = np.zeros(assignment.n_cells, dtype=np.int64)
    held[best.option >= 0] = choices.cost[taken] - best.price[choices.mother[taken]]
    daughter = np.repeat(np.arange(assignment.n_cells), np.diff(choices.first))
    assert (choices.cost - best.price[choices.mother] >= held[daughter]).all()
    assert (held <= 0).all()
    children = np.bincount(choices.mother[taken], minlength=assignment.n_cells)
    more, less = np.where(children == 0, choices.one, choices.two), np.where(children == 1, choices.one, choices.two)
    assert (more + best.price >= 0)[children < 2].all()
    assert (less + best.price <= 0)[children > 0].all()


def test_pinned_problems_are_assignments_too(gap):
    edge = np.array([0, 1, 0, 0], dtype=np.int8)
    pinned = pin(gap, Pins(edge, np.zeros(5, dtype=np.int8)))
    assignment, best = solved(pinned.problem)
    assert [pinned.rows[row] for row in assignment.links(best.option) if row >= 0] == [3]
    assert best.cost == 7.5 * SCALE  # the pinned 1.5, 2 begins for 4, and 2.0 over the gap


def test_forbidden_detections_have_no_part(gap):
    without = replace(gap, pinned_node=np.array([1, 1, 1, -1, 1], dtype=np.int8))
    assignment, best = solved(without)
    assert assignment.links(best.option).tolist() == [-1, -1, 0, -1, 3]
    assert best.cost == 3 * SCALE


def test_a_movie_without_cells_or_links_has_one_map():
    none, empty = np.empty(0, dtype=np.int64), np.empty(0)
    nothing = TrackingProblem(none, none, none, empty, empty, empty, empty, empty, none.astype(np.int8))
    assert links(nothing) == []
    assert solved(nothing)[1].cost == 0


def test_what_is_no_choice_of_parents_is_refused_by_name(gap):
    optional = replace(gap, pinned_node=np.array([1, 0, 1, 1, 1], dtype=np.int8))
    paired = replace(gap, pairs=Pairs(np.array([2]), np.array([3]), np.array([1.0])))
    torn = replace(gap, conflicts=Conflicts(np.array([0]), np.array([1])))
    eager = replace(gap, division_cost=np.full(5, -2.5))
    for problem, said in (
        (optional, "detection 1 is optional"),
        (paired, "pairs"),
        (torn, "exclude each other"),
        (eager, "detection 0 gains by dividing at once"),
    ):
        with pytest.raises(SchemaError, match=said):
            AssignmentProblem.of(problem)


def test_a_mother_of_one_candidate_may_have_any_price_of_division(gap):
    eager = replace(gap, division_cost=np.array([1.0, 1.0, -9.0, -9.0, -9.0]))
    assert links(eager) == [0, 2, 3]
