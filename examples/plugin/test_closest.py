"""The contracts of trackdb, held to both."""

import pytest
from closest import Closeness, MutualSolver

from trackdb.testing import ScorerContract, SolverContract


class TestCloseness(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return Closeness()


class TestMutualSolver(SolverContract):
    @pytest.fixture
    def solver(self):
        return MutualSolver()
