"""The contract, on every solver of the house, and the door they are opened by."""

import importlib.metadata

import numpy as np
import pytest
from hypothesis import given, settings

import trackdb.solvers
from trackdb.errors import ConfigError
from trackdb.solvers import OWN_SOLVERS, open_solver
from trackdb.solvers.greedy import BestScoreSolver
from trackdb.solvers.lap import JaqamanSolver, LapRule
from trackdb.testing.problems import crowded_movie, movie_without_links
from trackdb.testing.solver_contract import LAWS, costs_in_another_unit_give_the_same_answer

from .strategies import tracking_problems


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", [name for name in OWN_SOLVERS if name != "motile"])  # which has fewer, in its own file
@settings(deadline=None, max_examples=30)
@given(problem=tracking_problems())
def test_every_solver_keeps_the_contract(name, law, problem):
    law(open_solver(name), problem)


class ByDistance:
    """The two steps on costs of their own, made from those of the problem."""

    def solve(self, problem):
        lowest = problem.edge_cost.min(initial=0)
        return JaqamanSolver(problem.edge_cost - lowest, LapRule(merge_cost=np.inf)).solve(problem)


class ByScore:
    """The best scores first, made from the costs of the problem."""

    def solve(self, problem):
        return BestScoreSolver(-problem.edge_cost, least=-1.0).solve(problem)


UNITLESS = [law for law in LAWS if law is not costs_in_another_unit_give_the_same_answer]  # of a least score


@pytest.mark.parametrize(
    ("solver", "law"),
    [(ByDistance(), law) for law in LAWS] + [(ByScore(), law) for law in UNITLESS],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
@settings(deadline=None, max_examples=30)
@given(problem=tracking_problems())
def test_solvers_that_go_by_something_else_keep_it_too(solver, law, problem):
    law(solver, problem)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OWN_SOLVERS)
def test_the_contract_holds_in_a_crowded_movie(name, law):
    law(open_solver(name), crowded_movie(seed=1, n_frames=5, per_frame=12, skip=True))


@pytest.mark.parametrize("name", OWN_SOLVERS)
@pytest.mark.parametrize("n", [0, 3])
def test_a_movie_without_links_is_solved(name, n):
    chosen = open_solver(name).solve(movie_without_links(n))
    assert chosen.node.tolist() == [True, False, False][:n]
    assert chosen.objective == (-2.5 if n else 0)


def test_an_unknown_solver_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no solver 'quantum'; known: greedy, highs, ilp, lap, motile"):
        open_solver("quantum")


@pytest.mark.parametrize("limit", [-1, float("-inf"), float("nan")])
@pytest.mark.parametrize("name", OWN_SOLVERS)
def test_a_time_limit_that_is_none_is_refused(name, limit):
    with pytest.raises(ConfigError, match="a time limit is 0 seconds or more"):
        open_solver(name, time_limit_s=limit)


def test_a_solver_can_come_from_another_package(monkeypatch):
    point = importlib.metadata.EntryPoint("mine", "trackdb.solvers.ilp:IlpSolver", "trackdb.solvers")
    monkeypatch.setattr(trackdb.solvers, "entry_points", lambda group: importlib.metadata.EntryPoints([point]))
    assert open_solver("mine", time_limit_s=3).time_limit_s == 3
    with pytest.raises(ConfigError, match="known: greedy, highs, ilp, lap, mine, motile"):
        open_solver("quantum")
