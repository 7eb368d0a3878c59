"""What links and divisions cost: the one cost model (negative log densities, fitted to the data), and two distances."""

from __future__ import annotations

from .fit import fit
from .model import Rates, problem_from
from .similarity import WORTH, as_densities
from .two_distance import two_distance_problem

__all__ = ["WORTH", "Rates", "as_densities", "fit", "problem_from", "two_distance_problem"]
