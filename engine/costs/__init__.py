"""What links and divisions cost: the one cost model (negative log densities, fitted to the data), and two distances."""

from __future__ import annotations

from .fit import Extent, Runs, fit, sampled_runs
from .model import Rates, problem_from
from .similarity import WORTH, Worth, as_densities, learn_worth
from .two_distance import two_distance_problem

__all__ = [
    "WORTH",
    "Extent",
    "Rates",
    "Runs",
    "Worth",
    "as_densities",
    "fit",
    "learn_worth",
    "problem_from",
    "sampled_runs",
    "two_distance_problem",
]
