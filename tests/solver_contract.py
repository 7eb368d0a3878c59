"""What every solver promises, as laws of a solver and a problem; run them on yours too."""

from dataclasses import fields, replace

import numpy as np

from trackdb.solvers.problem import objective

from .strategies import PER_CELL, shuffle_edges


def its_selection_is_feasible_and_priced_right(solver, problem):
    chosen = solver.solve(problem)
    assert objective(problem, chosen.edge, chosen.node) == chosen.objective


def its_bound_never_lies_above_the_objective(solver, problem):
    chosen = solver.solve(problem)
    assert chosen.lower_bound <= chosen.objective
    assert chosen.proven == (chosen.lower_bound == chosen.objective) == (chosen.gap == 0)


def the_same_problem_gets_the_same_answer(solver, problem):
    first, second = solver.solve(problem), solver.solve(problem)
    assert np.array_equal(first.edge, second.edge)
    assert np.array_equal(first.node, second.node)
    assert first.objective == second.objective


def the_order_of_the_edges_does_not_matter(solver, problem):
    shuffled, _ = shuffle_edges(problem, seed=7)
    assert solver.solve(shuffled).objective == solver.solve(problem).objective


def a_shift_in_time_does_not_matter(solver, problem):
    later = replace(problem, frame=problem.frame + 1000)
    assert solver.solve(later).objective == solver.solve(problem).objective


def costs_in_another_unit_give_the_same_answer(solver, problem):
    doubled = {name: 2 * getattr(problem, name) for name in ("edge_cost", *PER_CELL)}
    if problem.pairs is not None:
        doubled["pairs"] = replace(problem.pairs, cost=2 * problem.pairs.cost)
    doubled = replace(problem, **doubled)
    assert solver.solve(doubled).objective == 2 * solver.solve(problem).objective


def kept_detections_are_kept(solver, problem):
    everything = replace(problem, pinned_node=np.ones_like(problem.pinned_node))
    assert solver.solve(everything).node.all()


def forbidden_detections_are_not_used(solver, problem):
    nothing = replace(problem, pinned_node=-np.ones_like(problem.pinned_node))
    chosen = solver.solve(nothing)
    assert not chosen.node.any()
    assert not chosen.edge.any()
    assert chosen.objective == 0


def arrays_that_may_only_be_read_are_enough(solver, problem):
    columns = {field.name: getattr(problem, field.name).copy() for field in fields(problem) if field.name != "pairs"}
    for column in columns.values():
        column.flags.writeable = False
    assert solver.solve(replace(problem, **columns)).objective == solver.solve(problem).objective


LAWS = [
    its_selection_is_feasible_and_priced_right,
    its_bound_never_lies_above_the_objective,
    the_same_problem_gets_the_same_answer,
    the_order_of_the_edges_does_not_matter,
    a_shift_in_time_does_not_matter,
    costs_in_another_unit_give_the_same_answer,
    kept_detections_are_kept,
    forbidden_detections_are_not_used,
    arrays_that_may_only_be_read_are_enough,
]
