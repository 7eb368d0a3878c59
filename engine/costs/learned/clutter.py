"""Points that are no cell and stay for some frames: short tracks inside the movie, of which cells have hardly any.

A false point is seen again in the next frame at a rate of its own, and moves as cells do. Each of its points by itself
looks like a cell, so the short tracks of the last lineage are looked at as wholes, and the solver is offered to leave
their points out for what they would cost as one false track: -ln(p_f (1 - s)^2 rho) the first, -ln(s f) each further
one, with s the rate of staying and f the density of its step. Against a cell that appears and leaves, only the rates
decide, since the steps are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .lineage import NOBODY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .lineage import Lineage
    from .rates import LearnedRates
    from .surroundings import Surroundings

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

LONGEST: Final = 5
"""Points of a track up to which it may be no cell."""
SHOWN: Final = 0.25
"""Rate of staying from which on short tracks are doubted: where false points are there for one frame alone it is .1 or
less, and the few short tracks are often those of cells."""
SUREST: Final = 50.0  # nats


@dataclass(frozen=True, slots=True, eq=False)
class Clutter:
    """Short tracks of n cells, those of the last lineage and those that it left out.

    Parameters
    ----------
    length : (n,) int64
        Points of the short track that each cell begins; 0 where it begins none.
    end : (n,) int64
        Row of the last one; -1 where it begins none.
    edge : (n,) int64
        Candidate that leads to each further point of such a track; -1 for all others.
    before : (n,) int64
        The point before each further one, those that are left out included; -1 for all others.
    log_step : (n,) float64
        Log density of the step from that one, and of being seen; 0 for all others.
    n_left : int
        Further points that the last lineage left out.
    """

    length: NDArray[np.int64]
    end: NDArray[np.int64]
    edge: NDArray[np.int64]
    before: NDArray[np.int64]
    log_step: NDArray[np.float64]
    n_left: int

    @classmethod
    def none(cls, n: int) -> Clutter:
        """Return n cells of which no track is known."""
        nobody = np.full(n, NOBODY)
        return cls(np.zeros(n, dtype=np.int64), nobody, nobody, nobody, np.zeros(n), 0)

    def of(self, around: Surroundings, lineage: Lineage) -> Clutter:
        """Find the short tracks of the next lineage, steps not told yet, and keep those that it leaves out.

        Short tracks begin after the first frame and end before the last one, without a division.
        """
        n = len(around)
        left = (self.before != NOBODY) & ~lineage.cell & ~lineage.cell[self.before]
        length, end, edge = np.zeros(n, dtype=np.int64), np.full(n, NOBODY), np.full(n, NOBODY)
        begins = lineage.cell & ~lineage.has_parent & (around.order > 0)
        begins[lineage.target[lineage.divided]] = True
        _walk(
            np.flatnonzero(begins), lineage.first, lineage.second, lineage.target,
            around.order < around.n_frames - 1, length, end, edge,
        )  # fmt: skip
        before = np.where(left, self.before, NOBODY)
        further = edge != NOBODY
        before[further] = lineage.source[edge[further]]
        return Clutter(length, end, edge, before, np.where(left, self.log_step, 0.0), int(left.sum()))

    @property
    def steps(self) -> NDArray[np.int64]:
        """Candidates that lead to the further points of the last lineage, in the order of these."""
        return np.asarray(self.edge[self.edge != NOBODY])

    def with_steps(self, log_step: NDArray[np.float64]) -> Clutter:
        """Return the same with the log densities of the `steps`."""
        every = self.log_step.copy()
        every[self.edge != NOBODY] = log_step
        return replace(self, log_step=every)

    def log_false(self, around: Surroundings, rates: LearnedRates) -> NDArray[np.float64]:
        """Return the log density of each of n points as no cell."""
        alone = rates.log_alone + around.log_density
        return np.where(self.before == NOBODY, alone, np.log(rates.stays) + self.log_step)


@dataclass(frozen=True, slots=True, eq=False)
class Lasting:
    """Births that may be those of false tracks.

    Parameters
    ----------
    begin, end, length : (k,) int64
        First row, last row and points of each short track.
    """

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def of(cls, clutter: Clutter, born: NDArray[np.bool_]) -> Lasting:
        """Take those of the (n,) births that begin a short track of more than one point."""
        begin = np.flatnonzero(born & (clutter.length > 1))
        return cls(begin, clutter.end[begin], clutter.length[begin])

    def odds(self, around: Surroundings, rates: LearnedRates, reach: int) -> NDArray[np.float64]:
        """Return how much likelier each is a false track than a cell that appears and leaves, (k,)."""
        further = self.length - 1
        false = rates.log_alone + further * np.log(rates.stays)
        cell = np.log(rates.new(around, reach)[self.begin]) + np.log(rates.last(around, reach)[self.end])
        cell += further * np.log(np.broadcast_to(rates.one_child(around), len(around))[self.end])
        return np.asarray(np.exp(np.minimum(false - cell, SUREST)))


@njit(cache=True, nogil=True)
def _walk(
    begins: Ints, first: Ints, second: Ints, target: Ints, inside: Bools, length: Ints, end: Ints, edge: Ints
) -> None:
    way = np.empty(LONGEST + 1, np.int64)
    for start in begins:
        u, points = start, 1
        while points <= LONGEST and first[u] >= 0 and second[u] < 0:
            way[points] = first[u]
            u = target[first[u]]
            points += 1
        if points > LONGEST or first[u] >= 0 or not inside[u]:
            continue
        length[start], end[start] = points, u
        for k in range(1, points):
            edge[target[way[k]]] = way[k]
