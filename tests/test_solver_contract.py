"""The contract, on every solver of the house, and the door they are opened by."""

import importlib.metadata

import numpy as np
import pytest
from hypothesis import given, settings

import trackdb.solvers
from trackdb.errors import ConfigError
from trackdb.solvers import OWN_SOLVERS, open_solver
from trackdb.solvers.problem import TrackingProblem

from .solver_contract import LAWS
from .strategies import crowded_movie, tracking_problems


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OWN_SOLVERS)
@settings(deadline=None, max_examples=30)
@given(problem=tracking_problems())
def test_every_solver_keeps_the_contract(name, law, problem):
    law(open_solver(name), problem)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OWN_SOLVERS)
def test_the_contract_holds_in_a_crowded_movie(name, law):
    law(open_solver(name), crowded_movie(seed=1, n_frames=5, per_frame=12, skip=True))


@pytest.mark.parametrize("name", OWN_SOLVERS)
@pytest.mark.parametrize("n", [0, 3])
def test_a_movie_without_links_is_solved(name, n):
    none, cells = np.empty(0, dtype=np.int64), np.arange(n, dtype=np.float64)
    problem = TrackingProblem(
        cells.astype(np.int64), none, none, np.empty(0), cells - 2.5, cells, cells, cells, np.zeros(n, dtype=np.int8)
    )
    chosen = open_solver(name).solve(problem)
    assert chosen.node.tolist() == [True, False, False][:n]
    assert chosen.objective == (-2.5 if n else 0)


def test_an_unknown_solver_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no solver 'quantum'; known: greedy, highs, ilp, lap"):
        open_solver("quantum")


def test_a_solver_can_come_from_another_package(monkeypatch):
    point = importlib.metadata.EntryPoint("mine", "trackdb.solvers.ilp:IlpSolver", "trackdb.solvers")
    monkeypatch.setattr(trackdb.solvers, "entry_points", lambda group: importlib.metadata.EntryPoints([point]))
    assert open_solver("mine", time_limit_s=3).time_limit_s == 3
    with pytest.raises(ConfigError, match="known: greedy, highs, ilp, lap, mine"):
        open_solver("quantum")
