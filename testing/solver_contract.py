"""What every solver promises, as laws of a solver and a problem; the test class of yours inherits them."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from ..solvers.ilp import IlpSolver
from ..solvers.problem import objective
from .problems import PER_CELL, crowded_movie, movie_without_links, shuffle_edges, small_problem, with_every_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..solvers.base import Solver
    from ..solvers.problem import TrackingProblem

    Law = Callable[[Solver, TrackingProblem], None]


def its_selection_is_feasible_and_priced_right(solver: Solver, problem: TrackingProblem) -> None:
    chosen = solver.solve(problem)
    assert objective(problem, chosen.edge, chosen.node) == chosen.objective


def its_bound_never_lies_above_the_objective(solver: Solver, problem: TrackingProblem) -> None:
    chosen = solver.solve(problem)
    assert chosen.lower_bound <= chosen.objective
    assert chosen.proven == (chosen.lower_bound == chosen.objective) == (chosen.gap == 0)


def no_selection_is_cheaper_than_its_bound(solver: Solver, problem: TrackingProblem) -> None:
    assert solver.solve(problem).lower_bound <= IlpSolver().solve(problem).objective


def the_same_problem_gets_the_same_answer(solver: Solver, problem: TrackingProblem) -> None:
    first, second = solver.solve(problem), solver.solve(problem)
    assert np.array_equal(first.edge, second.edge)
    assert np.array_equal(first.node, second.node)
    assert first.objective == second.objective


def the_order_of_the_edges_does_not_matter(solver: Solver, problem: TrackingProblem) -> None:
    shuffled, _ = shuffle_edges(problem, seed=7)
    assert solver.solve(shuffled).objective == solver.solve(problem).objective


def a_shift_in_time_does_not_matter(solver: Solver, problem: TrackingProblem) -> None:
    later = replace(problem, frame=problem.frame + 1000)
    assert solver.solve(later).objective == solver.solve(problem).objective


def costs_in_another_unit_give_the_same_answer(solver: Solver, problem: TrackingProblem) -> None:
    doubled: dict[str, Any] = {name: 2 * getattr(problem, name) for name in ("edge_cost", *PER_CELL)}
    if problem.pairs is not None:
        doubled["pairs"] = replace(problem.pairs, cost=2 * problem.pairs.cost)
    assert solver.solve(replace(problem, **doubled)).objective == 2 * solver.solve(problem).objective


def kept_detections_are_kept(solver: Solver, problem: TrackingProblem) -> None:
    everything = replace(problem, pinned_node=np.ones_like(problem.pinned_node))
    assert solver.solve(everything).node.all()


def forbidden_detections_are_not_used(solver: Solver, problem: TrackingProblem) -> None:
    nothing = replace(problem, pinned_node=-np.ones_like(problem.pinned_node))
    chosen = solver.solve(nothing)
    assert not chosen.node.any()
    assert not chosen.edge.any()
    assert chosen.objective == 0


def arrays_that_may_only_be_read_are_enough(solver: Solver, problem: TrackingProblem) -> None:
    columns = {field.name: getattr(problem, field.name) for field in fields(problem)}
    columns = {name: column.copy() for name, column in columns.items() if isinstance(column, np.ndarray)}
    for column in columns.values():
        column.flags.writeable = False
    assert solver.solve(replace(problem, **columns)).objective == solver.solve(problem).objective


LAWS: Final[list[Law]] = [
    its_selection_is_feasible_and_priced_right,
    its_bound_never_lies_above_the_objective,
    no_selection_is_cheaper_than_its_bound,
    the_same_problem_gets_the_same_answer,
    the_order_of_the_edges_does_not_matter,
    a_shift_in_time_does_not_matter,
    costs_in_another_unit_give_the_same_answer,
    kept_detections_are_kept,
    forbidden_detections_are_not_used,
    arrays_that_may_only_be_read_are_enough,
]


def _paired_movie() -> TrackingProblem:
    return with_every_pair(crowded_movie(2, n_frames=4, per_frame=8), seed=2, bonus=2.0)


PROBLEMS: Final[dict[str, Callable[[], TrackingProblem]]] = {
    "nothing": partial(movie_without_links, 0),
    "cells without links": partial(movie_without_links, 3),
    **{f"small {seed}": partial(small_problem, seed) for seed in range(10)},
    "crowded": partial(crowded_movie, 1, n_frames=5, per_frame=12, skip=True),
    "pairs of daughters": _paired_movie,
}
"""What the laws are tried on."""


class SolverContract:
    """Inherit, and give the solver as a fixture.

    Examples
    --------
    >>> class TestMine(SolverContract):
    ...     @pytest.fixture
    ...     def solver(self):
    ...         return MySolver()  # doctest: +SKIP
    """

    @pytest.fixture
    def solver(self) -> Solver:
        """Return the solver; yours stands here."""
        raise NotImplementedError

    @pytest.mark.parametrize("name", PROBLEMS)
    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    def test_the_law_holds(self, solver: Solver, law: Law, name: str) -> None:
        law(solver, PROBLEMS[name]())
