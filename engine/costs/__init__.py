"""The one cost model: negative log densities, made from any scorer, fitted to the data."""

from __future__ import annotations

from .fit import fit
from .model import Rates, problem_from
from .similarity import WORTH, as_densities

__all__ = ["WORTH", "Rates", "as_densities", "fit", "problem_from"]
