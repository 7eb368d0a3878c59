"""Student-t density of displacements: normal steps whose variance differs from step to step, along correlated axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FREEDOMS: Final = (2.5, 4.0, 7.0, 15.0)
"""Degrees of freedom that are tried; more are as good as normal, and fewer make far links cheap."""

USUAL_FREEDOM: Final = 4.0
FREEDOM_NATS: Final = 2.0
SWEEPS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class StudentT:
    """A density around 0.

    Parameters
    ----------
    scale : (ndim, ndim) float64
        Scale matrix, positive definite; the covariance is ``freedom / (freedom - 2)`` times it.
    freedom : float
        Degrees of freedom, more than 2.
    """

    scale: NDArray[np.float64]
    freedom: float

    def squares(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far each residual, (k, ndim), lies out: its squared length in units of the scale, (k,)."""
        return np.asarray(np.einsum("ij,ij->i", residual @ np.linalg.inv(self.scale), residual))

    def weights(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected precision of each residual relative to the scale, (k,): those far out count less."""
        return (self.freedom + len(self.scale)) / (self.freedom + self.squares(residual))

    def log_density(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log density of each residual, per unit of area or volume."""
        return self.log_peak + log_fall(self.squares(residual), self.freedom, len(self.scale))

    @property
    def log_peak(self) -> float:
        """Log density at 0."""
        return log_peak(self.freedom, len(self.scale)) - 0.5 * float(np.linalg.slogdet(self.scale)[1])


def log_peak(freedom: float, ndim: int) -> float:
    """Return the log density at 0 of a Student-t density of unit scale."""
    gammas = math.lgamma((freedom + ndim) / 2) - math.lgamma(freedom / 2)
    return gammas - 0.5 * ndim * math.log(math.pi * freedom)


def log_fall(square: NDArray[np.float64], freedom: float, ndim: int) -> NDArray[np.float64]:
    """Return how far below its peak a Student-t log density is, 0 or less, at squared lengths in units of its scale."""
    return np.asarray(-0.5 * (freedom + ndim) * np.log1p(square / freedom))


def penalty(freedom: float) -> float:
    """Return what degrees of freedom cost in nats: 2 for each factor of e from 4, since few numbers cannot tell."""
    return FREEDOM_NATS * abs(math.log(freedom / USUAL_FREEDOM))


def fit_student(
    residual: NDArray[np.float64],
    prior: NDArray[np.float64],
    *,
    worth: float,
    freedoms: Sequence[float] = FREEDOMS,
) -> StudentT:
    """Find the likeliest scale matrix and degrees of freedom by expectation maximisation over the variances of steps.

    Parameters
    ----------
    residual : (k, ndim) float64
        Displacements; none are welcome.
    prior : (ndim, ndim) float64
        Scale that counts for as many residuals as `worth` says.
    worth : float
        More than 0, so that few residuals, or residuals along a line, leave a positive definite scale.
    freedoms : sequence of float
        Those that are tried, each at its `penalty`.
    """
    best, likelihood = StudentT(prior, freedoms[0]), -math.inf
    for freedom in freedoms:
        found = StudentT(prior, freedom)
        for _ in range(SWEEPS):
            weighted = residual * found.weights(residual)[:, None]
            found = StudentT((worth * prior + weighted.T @ residual) / (worth + len(residual)), freedom)
        reached = float(found.log_density(residual).sum()) - penalty(freedom)
        if reached > likelihood:
            best, likelihood = found, reached
    return best
