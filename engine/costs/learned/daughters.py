"""Density of the places of two daughters: their mid-point lies near the mother, their distance is log-normal.

The mid-point is Student-t around the mother's place and the local drift, narrower or wider along the line between the
daughters than across it; their distance is log-normal, their direction uniform. Lengths are counted in the mother's
local spacing. Two independent links would not do: daughters part further than cells move, and then no cell divides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .student import log_fall, log_peak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .drift import Drift
    from .surroundings import Surroundings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FREEDOM: Final = 8.0  # lighter tails than those of steps: it is a mean of two
SPREAD_AT_FIRST: Final = 0.5  # of the log distance, before anything is learned
USUAL_SPREAD: Final = 0.4  # where the learned one is pulled to
SPREADS: Final = (0.1, 0.8)  # least and most
WORTH: Final = 10.0  # divisions that the usual distance and spread count for
MIDPOINT_WORTH: Final = 20.0  # divisions that the usual mid-point counts for
CLOSEST: Final = 1e-6  # of a spacing
SPHERE: Final = {2: 2 * math.pi, 3: 4 * math.pi}
"""Length of the unit circle, area of the unit sphere."""


@dataclass(frozen=True, slots=True)
class Daughters:
    """What is learned of pairs of daughters; all lengths in local spacings.

    Parameters
    ----------
    log_distance, spread : float
        Mean and standard deviation of the log distance.
    along, across : float
        Squared scale of the mid-point along the line between the daughters, and in each direction across.
    usual_log_distance, usual_square : float
        Where `log_distance`, and `along` and `across`, are pulled to.
    """

    log_distance: float
    spread: float
    along: float
    across: float
    usual_log_distance: float
    usual_square: float

    @classmethod
    def unlearned(cls, around: Surroundings, square: float) -> Daughters:
        """Return what to start from: daughters are as far apart as any neighbours.

        Parameters
        ----------
        around : Surroundings
            Cells.
        square : float
            Squared scale of a step along an axis, in the unit of the positions.
        """
        nearest = around.nearest[np.isfinite(around.nearest)]
        apart = float(np.median(nearest)) if len(nearest) else around.reach
        log_distance = math.log(max(apart / around.median_spacing, CLOSEST))
        square /= around.median_spacing**2
        return cls(log_distance, SPREAD_AT_FIRST, square, square, log_distance, square / 2)

    def log_density(self, shape: Shapes) -> NDArray[np.float64]:
        """Return the log density of both places of k pairs, per unit of area or volume squared.

        Parameters
        ----------
        shape : Shapes
            Of the pairs.
        """
        square = shape.along / self.along + shape.across / self.across
        z = (shape.log_distance - self.log_distance) / self.spread
        fall = log_fall(square, FREEDOM, shape.ndim)
        return np.asarray(self.log_peak(shape.ndim) + fall - 0.5 * z**2 - shape.log_unit)

    def log_peak(self, ndim: int) -> float:
        """Return the log density of the likeliest mid-point and distance, in the units of `Shapes`."""
        midpoint = log_peak(FREEDOM, ndim) - 0.5 * (math.log(self.along) + (ndim - 1) * math.log(self.across))
        # two daughters without an order, in any direction
        direction = math.log(2 / SPHERE[ndim])
        return midpoint + direction - math.log(self.spread) - 0.5 * math.log(2 * math.pi)

    def learned(self, shape: Shapes, share: NDArray[np.float64]) -> Daughters:
        """Return what pairs tell of which each is a pair of daughters with some probability.

        Parameters
        ----------
        shape : Shapes
            Of k pairs.
        share : (k,) float64
            How much each counts.
        """
        total, across_axes = float(share.sum()), shape.ndim - 1
        mean = (float(share @ shape.log_distance) + WORTH * self.usual_log_distance) / (total + WORTH)
        variance = float(share @ (shape.log_distance - mean) ** 2) + WORTH * USUAL_SPREAD**2
        square = shape.along / self.along + shape.across / self.across
        weight = share * (FREEDOM + shape.ndim) / (FREEDOM + square)
        usual = MIDPOINT_WORTH * self.usual_square
        return Daughters(
            log_distance=mean,
            spread=float(np.clip(math.sqrt(variance / (total + WORTH)), *SPREADS)),
            along=(usual + float(weight @ shape.along)) / (MIDPOINT_WORTH + total),
            across=(usual + float(weight @ shape.across) / across_axes) / (MIDPOINT_WORTH + total),
            usual_log_distance=self.usual_log_distance,
            usual_square=self.usual_square,
        )

    def joined_by(self, shape: Shapes, share: NDArray[np.float64], before: Daughters, worth: float) -> Daughters:
        """Return what these and further pairs tell together, of which each is one of daughters with some probability.

        Parameters
        ----------
        shape, share
            As in `learned`.
        before : Daughters
            By which mid-points far out count less.
        worth : float
            Pairs that these count for.
        """
        total, across_axes = float(share.sum()), shape.ndim - 1
        mean = (float(share @ shape.log_distance) + worth * self.log_distance) / (total + worth)
        variance = float(share @ (shape.log_distance - mean) ** 2)
        variance += worth * (self.spread**2 + (self.log_distance - mean) ** 2)
        weight = share * (FREEDOM + shape.ndim)
        weight = weight / (FREEDOM + shape.along / before.along + shape.across / before.across)
        return replace(
            self,
            log_distance=mean,
            spread=float(np.clip(math.sqrt(variance / (total + worth)), *SPREADS)),
            along=(worth * self.along + float(weight @ shape.along)) / (worth + total),
            across=(worth * self.across + float(weight @ shape.across) / across_axes) / (worth + total),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """How k mothers and pairs of daughters lie to each other.

    Parameters
    ----------
    log_distance : (k,) float64
        Log of the daughters' distance in local spacings of the mother.
    along, across : (k,) float64
        Squared distance of the mid-point from where drift takes the mother, along the line between the daughters and
        across; in spacings, and standard deviations where a frame was missed.
    log_unit : (k,) float64
        What a density in these units is divided by to be one per unit of area or volume squared, the log.
    ndim : int
        Number of space axes.
    """

    log_distance: NDArray[np.float64]
    along: NDArray[np.float64]
    across: NDArray[np.float64]
    log_unit: NDArray[np.float64]
    ndim: int


def shapes_of(
    around: Surroundings,
    drift: Drift,
    mother: NDArray[np.int64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    elapsed: tuple[NDArray[np.float64], NDArray[np.float64]],
    followed: float,
) -> Shapes:
    """Measure pairs of daughters.

    Parameters
    ----------
    around, drift
        Of n cells.
    mother, one, other : (k,) int64
        Rows of mothers and daughters.
    elapsed : two of (k,) float64
        Time from the mother to each daughter.
    followed : float
        Share of the drift that mothers follow.
    """
    log_distance, along, across, log_unit = np.empty((4, len(mother)))
    _measure(
        around.position, around.spacing, drift.around_onward, drift.around_backward, mother, one, other, *elapsed,
        followed, log_distance, along, across, log_unit,
    )  # fmt: skip
    return Shapes(log_distance, along, across, log_unit, around.ndim)


@njit(cache=True, nogil=True)
def _measure(
    position: Floats,
    spacing: Floats,
    around_onward: Floats,
    around_backward: Floats,
    mother: Ints,
    one: Ints,
    other: Ints,
    elapsed_one: Floats,
    elapsed_other: Floats,
    followed: float,
    log_distance: Floats,
    along: Floats,
    across: Floats,
    log_unit: Floats,
) -> None:
    for k in range(len(mother)):
        log_distance[k], along[k], across[k], log_unit[k] = measure(
            position, spacing, around_onward, around_backward, mother[k], one[k], other[k], elapsed_one[k],
            elapsed_other[k], followed,
        )  # fmt: skip


@njit(cache=True, nogil=True, inline="always")
def measure(
    position: Floats,
    spacing: Floats,
    around_onward: Floats,
    around_backward: Floats,
    u: int,
    v: int,
    w: int,
    time_v: float,
    time_w: float,
    followed: float,
) -> tuple[float, float, float, float]:
    """Return the row of `Shapes` of one pair v, w of mother u: log distance, along, across, log unit."""
    ndim = position.shape[1]
    h = spacing[u]
    unit = h * np.sqrt(0.5 * (time_v + time_w))
    apart = 0.0
    off = 0.0
    product = 0.0
    for d in range(ndim):
        drift = around_onward[u, d] * (time_v + time_w)
        drift += around_backward[v, d] * time_v + around_backward[w, d] * time_w
        middle = 0.5 * (position[v, d] + position[w, d]) - position[u, d] - 0.25 * followed * drift
        axis = position[v, d] - position[w, d]
        apart += axis * axis
        off += middle * middle
        product += axis * middle
    apart = max(apart, (CLOSEST * h) ** 2)
    along = product * product / apart / unit**2
    log_apart = 0.5 * np.log(apart)
    return log_apart - np.log(h), along, max(off / unit**2 - along, 0.0), ndim * (np.log(unit) + log_apart)
