"""A bell around a line: Student-t density of a number given another one, and how it is learned."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .student import FREEDOMS, USUAL_FREEDOM, log_fall, log_peak, penalty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SWEEPS: Final = 6
SHARPEST: Final = 0.02  # least scale: of a logarithm, 2 %


@dataclass(frozen=True, slots=True)
class Bell:
    """Student-t density of a number around ``level + slope * given``.

    Parameters
    ----------
    level, slope : float
        The line.
    scale, freedom : float
        Of the density.
    """

    level: float
    slope: float
    scale: float
    freedom: float = USUAL_FREEDOM

    def log_density(self, value: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log density of k numbers."""
        z = (value - self.level - self.slope * given) / self.scale
        return self.log_peak + log_fall(z**2, self.freedom, 1)

    def weights(self, value: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected precision of each number relative to the scale, (k,): those far out count less."""
        z = (value - self.level - self.slope * given) / self.scale
        return np.asarray((self.freedom + 1) / (self.freedom + z**2))

    def towards(
        self,
        value: NDArray[np.float64],
        given: NDArray[np.float64],
        share: NDArray[np.float64],
        usual: Bell,
        spread: float,
        worth: float,
    ) -> Bell:
        """Return a likelier bell: one step of expectation maximisation over the variances of the numbers.

        Parameters
        ----------
        value, given, share : (k,) float64
            Numbers, what is known of each, and how much it counts; numbers that are not known are left out.
        usual : Bell
            What counts for as many numbers as `worth` says, spread by `spread` along the line.
        spread : float
            Standard deviation, more than 0.
        worth : float
            More than 0.
        """
        known = np.isfinite(value) & np.isfinite(given)
        value, given, share = value[known], given[known], share[known]
        weight = share * self.weights(value, given)
        columns = np.stack([np.ones(len(given)), given])
        prior = worth * np.array([1.0, spread**2])
        gram = (columns * weight) @ columns.T + np.diag(prior)
        level, slope = np.linalg.solve(gram, (columns * weight) @ value + prior * [usual.level, usual.slope])
        off = value - level - slope * given
        # over the sum of the weights, not of the shares: the same fixed point, reached in a fraction of the steps
        variance = (float(weight @ off**2) + worth * usual.scale**2) / (float(weight.sum()) + worth)
        return Bell(float(level), float(slope), max(math.sqrt(variance), SHARPEST), self.freedom)

    @property
    def row(self) -> tuple[float, float, float, float, float]:
        """Level, slope, scale, freedom and log density on the line, as `log_bell` takes them."""
        return self.level, self.slope, self.scale, self.freedom, self.log_peak

    @property
    def log_peak(self) -> float:
        """Log density on the line."""
        return log_peak(self.freedom, 1) - math.log(self.scale)


def fit_bell(
    value: NDArray[np.float64],
    given: NDArray[np.float64],
    start: Bell,
    spread: float,
    *,
    worth: float,
    freedoms: tuple[float, ...] = FREEDOMS,
) -> Bell:
    """Return the likeliest bell of k numbers that all count; few of them leave it near the start.

    Parameters
    ----------
    value, given : (k,) float64
        Numbers and what is known of each; NaN is left out.
    start, spread, worth
        As `usual`, `spread` and `worth` of `Bell.towards`.
    freedoms : tuple of float
        Degrees of freedom that are tried.
    """
    known = np.isfinite(value) & np.isfinite(given)
    value, given = value[known], given[known]
    share = np.ones(len(value))
    best, likelihood = start, -math.inf
    for freedom in freedoms:
        found = replace(start, freedom=freedom)
        for _ in range(SWEEPS):
            found = found.towards(value, given, share, start, spread, worth)
        reached = float(found.log_density(value, given).sum()) - penalty(freedom)
        if reached > likelihood:
            best, likelihood = found, reached
    return best


@njit(cache=True, nogil=True, inline="always")
def log_bell(row: Floats, value: float, given: float) -> float:
    """Return the log density of one number by a `Bell.row`."""
    z = (value - row[0] - row[1] * given) / row[2]
    return float(row[4] - 0.5 * (row[3] + 1) * np.log1p(z * z / row[3]))
