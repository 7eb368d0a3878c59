"""What a cell looks like and hands on: its size and brightness, as logarithms, against those of any cell.

A cell resembles its parent; two daughters together resemble their mother, and each other. The evidence of a link is the
density of the child's look given its parent's, relative to that among all cells; that of a division is the same for
both daughters. Where a look is not known there is no evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .bell import SHARPEST, Bell, fit_bell, log_bell
from .student import USUAL_FREEDOM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

CLASSES: Final = 10  # of parents by rank: cells in mitosis change faster than others
WORTH: Final = 3.0  # links that what is not learned yet counts for
CLASS_WORTH: Final = 20.0  # links of a class that those of all count for
DIVISION_WORTH: Final = 10.0  # divisions of the same
UNCERTAIN: Final = 0.4  # scale of daughters together at first: markers are of one size, however many there are
QUARTILES: Final = 1.349  # standard deviations between the quartiles of a normal density
ALIKE: Final = 0.05  # width of the middle half below which a trait tells nothing, as that of markers of one size
TOLD: Final = 5.0  # divisions from which on it is told what daughters are like
FINEST: Final = 4096  # places at which the density of all cells is computed


@dataclass(frozen=True, slots=True, eq=False)
class Trait:
    """A look of n cells.

    Parameters
    ----------
    name : str
        What it is, as ``area``.
    value : (n,) float64
        Its logarithm, relative to the median; NaN where it is not known.
    adds_up : bool
        Whether two daughters share it, as a volume; else each has it, as a colour.
    rank : (n,) int64
        Tenth of the cells that each belongs to, 0 for the smallest.
    log_any : (n,) float64
        Log density of the value among all cells; 0 where it is not known.
    spread : float
        Standard deviation of the values as the middle half of them tells it.
    """

    name: str
    value: NDArray[np.float64]
    adds_up: bool
    rank: NDArray[np.int64]
    log_any: NDArray[np.float64]
    spread: float

    @classmethod
    def of(cls, name: str, measured: NDArray[np.float64], *, adds_up: bool) -> Trait:
        """Take the logarithm of what was measured; what is not above 0, or alike for nearly all, is not known."""
        known = np.isfinite(measured) & (measured > 0)
        value, log_any = np.full(len(measured), np.nan), np.zeros(len(measured))
        rank = np.zeros(len(measured), dtype=np.int64)
        logs = np.log(measured[known])
        low, high = np.quantile(logs, [0.25, 0.75]) if len(logs) else (0.0, 0.0)
        spread = max(float(high - low) / QUARTILES, SHARPEST) if len(logs) else 1.0
        if high - low >= ALIKE:
            value[known] = logs = logs - np.median(logs)
            rank[known] = np.searchsorted(np.quantile(logs, np.linspace(0, 1, CLASSES + 1)[1:-1]), logs)
            log_any[known] = _log_density(logs, spread)
        return cls(name, value, adds_up, rank, log_any, spread)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) Whether the look of each cell is known."""
        return np.isfinite(self.value)

    def part(self, first: int, stop: int) -> Trait:
        """Return that of the cells from `first` to below `stop`, still compared with all."""
        rows = slice(first, stop)
        return replace(self, value=self.value[rows], rank=self.rank[rows], log_any=self.log_any[rows])

    def together(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the look of k pairs of cells as if they were one; NaN where that of either is not known."""
        a, b = self.value[one], self.value[other]
        if not self.adds_up:
            return (a + b) / 2
        both, known = np.full(len(a), np.nan), np.isfinite(a + b)
        both[known] = np.logaddexp(a[known], b[known])
        return both


def _log_density(value: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Return the log density of each of n numbers among them all, smoothed by a normal of Silverman's width."""
    width = max(spread * len(value) ** -0.2, SHARPEST)
    step = max(width / 8, float(np.ptp(value)) / FINEST)
    low = float(value.min())
    place = np.rint((value - low) / step).astype(np.int64)
    reach = math.ceil(5 * width / step)
    kernel = np.exp(-0.5 * (step * np.arange(-reach, reach + 1) / width) ** 2)
    density = np.convolve(np.bincount(place), kernel / (kernel.sum() * step * len(value)), "full")
    return np.asarray(np.log(density[place + reach]))


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What is learned of a trait.

    Parameters
    ----------
    child : tuple of Bell
        Of an only child given its parent, for each tenth of the parents.
    usual_child : Bell
        The same for all of them alike.
    together : Bell
        Of two daughters as if they were one, given their mother.
    apart : Bell
        Of the difference of two daughters.
    kept, deviation : float
        Mean and standard deviation of `together` less the mother; NaN where hardly a cell divides.
    """

    child: tuple[Bell, ...]
    usual_child: Bell
    together: Bell
    apart: Bell
    kept: float = math.nan
    deviation: float = math.nan

    @classmethod
    def unlearned(cls, trait: Trait) -> Inheritance:
        """Return what to start from: children and daughters are like any cells around their parent."""
        child = Bell(0.0, 1.0, trait.spread)
        together = replace(child, scale=max(child.scale, UNCERTAIN))
        return cls((child,) * CLASSES, child, together, Bell(0.0, 0.0, math.sqrt(2) * trait.spread))

    def log_child(self, trait: Trait, parent: NDArray[np.int64], child: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the evidence of k links in nats; 0 where the look of either end is not known."""
        found = np.empty(len(parent))
        rows = np.array([bell.row for bell in self.child])
        _log_child(trait.value, trait.rank, trait.log_any, rows, parent, child, found)
        return found

    def log_daughters(
        self, trait: Trait, mother: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the evidence of k pairs of daughters in nats; 0 where the look of any of the three is not known."""
        found = np.empty(len(mother))
        adds_up = np.array([trait.adds_up])
        _log_daughters(trait.value[None], trait.log_any[None], adds_up, self.rows[None], mother, one, other, found)
        return found

    def with_links(self, trait: Trait, parent: NDArray[np.int64], child: NDArray[np.int64]) -> Inheritance:
        """Return what k links without a division tell."""
        value, given, rank = trait.value[child], trait.value[parent], trait.rank[parent]
        usual = fit_bell(value, given, Bell(0.0, 1.0, trait.spread), trait.spread, worth=WORTH)
        by_rank = [
            fit_bell(value[at], given[at], usual, trait.spread, worth=CLASS_WORTH, freedoms=(usual.freedom,))
            for at in (rank == number for number in range(CLASSES))
        ]
        return replace(self, usual_child=usual, child=tuple(by_rank))

    def with_daughters(
        self,
        trait: Trait,
        mother: NDArray[np.int64],
        one: NDArray[np.int64],
        other: NDArray[np.int64],
        share: NDArray[np.float64],
    ) -> Inheritance:
        """Return what k pairs tell of which each is a pair of daughters with some probability."""
        given, total = trait.value[mother], trait.together(one, other)
        child = self.usual_child
        usual = replace(child, scale=max(2 * child.scale, UNCERTAIN), freedom=USUAL_FREEDOM)
        together = self.together.towards(total, given, share, usual, trait.spread, DIVISION_WORTH)
        # which of two sisters is named first tells nothing, so their difference has neither level nor slope
        difference = trait.value[one] - trait.value[other]
        none, unlike = np.zeros(len(difference)), Bell(0.0, 0.0, math.sqrt(2) * trait.spread)
        apart = replace(self.apart.towards(difference, none, share, unlike, 1.0, DIVISION_WORTH), level=0.0)
        kept, deviation = _moments(total - given, share * together.weights(total, given))
        return replace(self, together=together, apart=apart, kept=kept, deviation=deviation)

    @property
    def rows(self) -> NDArray[np.float64]:
        """Bells of daughters as the kernel takes them, (2, 5)."""
        return np.array([self.together.row, self.apart.row])


def _moments(value: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation of numbers, NaN where they count for too little."""
    known = np.isfinite(value) & np.isfinite(weight)
    value, weight = value[known], weight[known]
    total = float(weight.sum())
    if total < TOLD:
        return math.nan, math.nan
    mean = float(weight @ value) / total
    return mean, math.sqrt(float(weight @ (value - mean) ** 2) / total)


@njit(cache=True, nogil=True)
def _log_child(
    value: Floats, rank: Ints, log_any: Floats, rows: Floats, parent: Ints, child: Ints, found: Floats
) -> None:
    for k in range(len(parent)):
        u, v = parent[k], child[k]
        known = not np.isnan(value[u] + value[v])
        found[k] = log_bell(rows[rank[u]], value[v], value[u]) - log_any[v] if known else 0.0


@njit(cache=True, nogil=True)
def _log_daughters(
    value: Floats, log_any: Floats, adds_up: Bools, rows: Floats, mother: Ints, one: Ints, other: Ints, found: Floats
) -> None:
    for k in range(len(mother)):
        found[k] = log_daughters(value, log_any, adds_up, rows, mother[k], one[k], other[k])


@njit(cache=True, nogil=True, inline="always")
def log_daughters(value: Floats, log_any: Floats, adds_up: Bools, rows: Floats, u: int, v: int, w: int) -> float:
    """Return the evidence of all traits, (k, n) float64, that v and w are the daughters of u."""
    total = 0.0
    for k in range(len(value)):
        mother, one, other = value[k, u], value[k, v], value[k, w]
        if np.isnan(mother + one + other):
            continue
        both = np.logaddexp(one, other) if adds_up[k] else 0.5 * (one + other)
        total += log_bell(rows[k, 0], both, mother) + log_bell(rows[k, 1], one - other, 0.0)
        total -= log_any[k, v] + log_any[k, w]
    return total
