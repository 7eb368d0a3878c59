"""What surrounds broken couplings is solved again by itself, and stands for the whole movie."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.solvers import ilp, vicinity
from trackdb.solvers.ilp import IlpSolver, dual_bound
from trackdb.solvers.matching import bound_of_prices, build_entries, match
from trackdb.solvers.options import GRAIN
from trackdb.solvers.problem import GridProblem
from trackdb.solvers.vicinity import Vicinity, widened
from trackdb.testing.problems import crowded_movie

from .oracles import cheapest_by_trying_all
from .strategies import tracking_problems

CHEAP_DIVISION = {"division": 0.5, "false_cost": 2.0}


def around(steps):
    """Never list the whole, and begin this wide."""
    return patch.multiple(ilp, STEPS=steps, MOST=2.0)


def whole():
    """Never list less than the whole."""
    return patch.object(ilp, "MOST", 0.0)


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(tracking_problems(), tracking_problems(division=(-12, 0)), tracking_problems(pins=(0,))),
    st.integers(0, 2),
)
def test_no_selection_is_cheaper_however_little_is_listed_first(problem, steps):
    with around(steps):
        chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("seed", "costs"), [(1, {}), (2, CHEAP_DIVISION), (3, CHEAP_DIVISION), (4, {"division": -5.0})]
)
def test_crowded_movies_are_proven_as_from_the_whole(seed, costs, skip, steps):
    problem = crowded_movie(seed, per_frame=20, skip=skip, **costs)
    with whole():
        expected = IlpSolver().solve(problem)
    with around(steps):
        chosen = IlpSolver().solve(problem)
    assert (chosen.objective, chosen.lower_bound) == (expected.objective, expected.lower_bound)
    assert chosen.proven
    assert dual_bound(problem, chosen.dual) <= chosen.lower_bound


@pytest.mark.parametrize("steps", [0, 2])
def test_without_time_the_bound_is_honest(steps):
    problem = crowded_movie(seed=3, skip=True, **CHEAP_DIVISION)
    optimum = IlpSolver().solve(problem).objective
    with around(steps):
        hurried = IlpSolver(time_limit_s=0.0).solve(problem)
    assert hurried.lower_bound < optimum < hurried.objective


@pytest.mark.parametrize("seed", range(4))
def test_a_draft_begins_with_value_and_bound_of_the_whole_movie(seed):
    """Broken couplings do nothing at first: the value lies above the bound by what they and their columns cost."""
    problem = crowded_movie(seed, n_frames=12, per_frame=30, skip=True, **CHEAP_DIVISION)
    grid = GridProblem.of(problem)
    entries = build_entries(grid)
    matching = match(entries)
    broken = ilp._broken_couplings(grid, matching)
    assert broken.any()
    bound = bound_of_prices(entries, matching.price)
    starts = []
    for columns in (widened(grid, broken, 1), np.ones_like(broken)):
        draft = Vicinity.of(grid, matching, columns).draft(entries, matching, bound)
        starts.append((draft._value(), draft._bound))
    assert starts[0] == starts[1]
    assert bound * GRAIN <= starts[0][1] < starts[0][0]


def test_of_a_long_movie_little_is_listed():
    problem = crowded_movie(seed=1, n_frames=120, per_frame=30, division=3.0)
    listed = []

    def build(grid, pairs):
        listed.append(len(grid.node))
        return vicinity_options(grid, pairs)

    vicinity_options = vicinity.build_options
    with patch.object(vicinity, "build_options", build):
        chosen = IlpSolver().solve(problem)
    assert chosen.proven
    assert listed
    assert max(listed) < problem.n_nodes / 3


def test_a_vicinity_has_every_option_of_its_inner_columns():
    problem = crowded_movie(seed=5, n_frames=12, per_frame=30, skip=True)
    grid = GridProblem.of(problem)
    matching = match(build_entries(grid))
    start = np.zeros(problem.n_nodes, dtype=bool)
    start[100] = True
    columns = widened(grid, start, 1)
    near = Vicinity.of(grid, matching, columns)
    source = np.repeat(np.arange(problem.n_nodes), np.diff(grid.first))
    into = columns[grid.target] & ~np.isin(np.arange(len(source)), near.edge)
    assert not into.any()
    assert set(source[near.edge]) <= set(near.node[near.listed])
    assert set(near.node[near.inner]) == set(np.flatnonzero(columns))
    assert near.inner.sum() < near.listed.sum() < len(near.node) < problem.n_nodes
