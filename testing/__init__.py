"""What trackdb promises of scorers and solvers, as tests that yours can inherit; needs pytest."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("trackdb.testing.scorer_contract", "trackdb.testing.solver_contract")

from .scorer_contract import ScorerContract  # noqa: E402  # pytest has to hear of the files before they are imported
from .solver_contract import LAWS, SolverContract  # noqa: E402

__all__ = ["LAWS", "ScorerContract", "SolverContract"]
