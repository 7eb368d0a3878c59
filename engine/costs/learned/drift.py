"""Where a cell is expected to go: as its neighbours do, and as it does itself before and after.

Each cell of a lineage has a displacement to the frame before and to the frame after, unless it divides there. The local
drift is the median of the neighbours' displacements, the cell itself left out; medians, since some neighbours are
linked wrongly. A link is predicted from the drift around both of its ends, and from how its ends move beyond it,
relative to their neighbours.

Cells that touch move together, and how they move to each other does not last: on C2C12 half of each step follows from
the steps before and after, but between two cells nearer than a step only what they have in common. Were each predicted
from its own, two that were swapped by mistake would support each other from round to round. So velocities are shared
with the cells that touch, which no swap changes, and what a cell has for itself is a predictor of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ...evidence import EVERYTHING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...evidence import LearnedConfig
    from .lineage import Lineage
    from .surroundings import Surroundings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FEWEST: Final = 3  # neighbours whose median is a drift
TOUCHING: Final = 0.35  # share of the reach within which velocities are shared, by weights that fall off around it


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """How n cells move, per unit of time; what is not known is NaN.

    Parameters
    ----------
    onward, backward : (n, ndim) float64
        Displacement to the only child, and from the cell whose only child this is.
    around_onward, around_backward : (n, ndim) float64
        Median of the same over the neighbours; 0 where fewer than three are known.
    shared_onward, shared_backward : (n, ndim) float64
        Mean of the same over the cell and those that touch it.
    """

    onward: NDArray[np.float64]
    backward: NDArray[np.float64]
    around_onward: NDArray[np.float64]
    around_backward: NDArray[np.float64]
    shared_onward: NDArray[np.float64]
    shared_backward: NDArray[np.float64]


def drift_of(
    around: Surroundings, lineage: Lineage, elapsed: NDArray[np.float64], read: LearnedConfig = EVERYTHING
) -> Drift:
    """Measure how cells move in a lineage.

    Parameters
    ----------
    around : Surroundings
        n cells.
    lineage : Lineage
        Their links.
    elapsed : (m,) float64
        Time that each candidate spans.
    read : LearnedConfig
        Whether to look at drift and velocity; one that is left out is 0, and not known.
    """
    onward, backward = np.full((2, *around.position.shape), np.nan)
    edge = lineage.continued
    source, target = lineage.source[edge], lineage.target[edge]
    step = (around.position[target] - around.position[source]) / elapsed[edge][:, None]
    onward[source] = backward[target] = step
    medians = np.zeros((2, *onward.shape))
    if read.drift:
        medians[:] = _medians(onward, around.neighbours), _medians(backward, around.neighbours)
    if not read.velocity:
        onward, backward = np.full((2, *around.position.shape), np.nan)
    near = TOUCHING * around.reach
    shared = (_shared(step, around.position, around.neighbours, near) for step in (onward, backward))
    return Drift(onward, backward, *medians, *shared)


@dataclass(frozen=True, slots=True, eq=False)
class Predictors:
    """What is known of k links before their length is looked at, as displacements over the time that each spans.

    Parameters
    ----------
    drift : (k, ndim) float64
        Of the neighbours of both ends.
    before, after : (k, ndim) float64
        Of the source before, and of the target after, shared with those that touch and relative to the neighbours
        there; 0 where it is not known.
    own_before, own_after : (k, ndim) float64
        The same of the cell itself, relative to what it shares.
    pattern : (k,) int64
        0: neither of these is known; 1: before; 2: after; 3: both.
    """

    drift: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    own_before: NDArray[np.float64]
    own_after: NDArray[np.float64]
    pattern: NDArray[np.int64]

    @property
    def columns(self) -> NDArray[np.float64]:
        """All of them as columns, (k, ndim, 5)."""
        return np.stack([self.drift, self.before, self.after, self.own_before, self.own_after], axis=2)

    def take(self, rows: NDArray[np.int64]) -> Predictors:
        """Return those of some links."""
        return Predictors(
            self.drift[rows],
            self.before[rows],
            self.after[rows],
            self.own_before[rows],
            self.own_after[rows],
            self.pattern[rows],
        )


def predictors(
    drift: Drift, source: NDArray[np.int64], target: NDArray[np.int64], elapsed: NDArray[np.float64]
) -> Predictors:
    """Tell what is known of links.

    Parameters
    ----------
    drift : Drift
        How n cells move.
    source, target : (k,) int64
        Rows of the cells that the links tie.
    elapsed : (k,) float64
        Time that each spans.
    """
    common, before, after, own_before, own_after = np.empty((5, len(source), drift.onward.shape[1]))
    pattern = np.empty(len(source), dtype=np.int64)
    _predict(
        drift.onward, drift.backward, drift.around_onward, drift.around_backward, drift.shared_onward,
        drift.shared_backward, source, target, elapsed, common, before, after, own_before, own_after, pattern,
    )  # fmt: skip
    return Predictors(common, before, after, own_before, own_after, pattern)


@njit(cache=True, nogil=True)
def _predict(
    onward: Floats,
    backward: Floats,
    around_onward: Floats,
    around_backward: Floats,
    shared_onward: Floats,
    shared_backward: Floats,
    source: Ints,
    target: Ints,
    elapsed: Floats,
    common: Floats,
    before: Floats,
    after: Floats,
    own_before: Floats,
    own_after: Floats,
    pattern: Ints,
) -> None:
    for k in range(len(source)):
        u, v, time = source[k], target[k], elapsed[k]
        comes = not np.isnan(backward[u, 0])
        goes = not np.isnan(onward[v, 0])
        pattern[k] = comes + 2 * goes
        for d in range(onward.shape[1]):
            common[k, d] = 0.5 * (around_onward[u, d] + around_backward[v, d]) * time
            before[k, d] = (shared_backward[u, d] - around_backward[u, d]) * time if comes else 0.0
            after[k, d] = (shared_onward[v, d] - around_onward[v, d]) * time if goes else 0.0
            own_before[k, d] = (backward[u, d] - shared_backward[u, d]) * time if comes else 0.0
            own_after[k, d] = (onward[v, d] - shared_onward[v, d]) * time if goes else 0.0


@njit(cache=True, nogil=True)
def _medians(step: Floats, neighbours: Ints) -> Floats:
    n, ndim = step.shape
    median = np.zeros((n, ndim))
    ordered = np.empty((ndim, neighbours.shape[1]))
    for i in range(n):
        count = 0
        for j in neighbours[i]:
            if j < 0 or np.isnan(step[j, 0]):
                continue
            for d in range(ndim):
                place = count
                while place > 0 and ordered[d, place - 1] > step[j, d]:
                    ordered[d, place] = ordered[d, place - 1]
                    place -= 1
                ordered[d, place] = step[j, d]
            count += 1
        if count >= FEWEST:
            for d in range(ndim):
                median[i, d] = 0.5 * (ordered[d, (count - 1) // 2] + ordered[d, count // 2])
    return median


@njit(cache=True, nogil=True)
def _shared(step: Floats, position: Floats, neighbours: Ints, near: float) -> Floats:
    """Return means over each cell and those of its neighbours that are near; NaN where its own is not known."""
    n, ndim = step.shape
    shared = step.copy()
    for i in range(n):
        if np.isnan(step[i, 0]):
            continue
        total = 1.0
        for j in neighbours[i]:
            if j < 0 or np.isnan(step[j, 0]):
                continue
            square = 0.0
            for d in range(ndim):
                square += (position[j, d] - position[i, d]) ** 2
            weight = np.exp(-(square**2) / near**4)
            total += weight
            for d in range(ndim):
                shared[i, d] += weight * step[j, d]
        for d in range(ndim):
            shared[i, d] /= total
    return shared
