"""When cells divide: how much likelier than on average, by frame and by age.

Embryos divide in waves, and hardly any cell divides twice within a few frames. Both ratios are counted over windows and
start with three divisions at the mean rate, so that rare divisions leave them near 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .lineage import Lineage
    from .surroundings import Surroundings

    Ints = NDArray[np.int64]

WINDOW: Final = 5  # frames
AGE_WINDOW: Final = 3
WORTH: Final = 3.0  # divisions at the mean rate
RANKS: Final = 20  # classes of equal size
RANK_WINDOW: Final = 3  # of them
RATIOS: Final = (0.02, 20.0)


def hazard_of(
    around: Surroundings,
    lineage: Lineage,
    divisions: NDArray[np.float64],
    rate: float,
    dividing: NDArray[np.float64] | float = 1.0,
    by_age: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return how much likelier than on average each of n cells is to divide before the next frame.

    Parameters
    ----------
    around : Surroundings
        n cells.
    lineage : Lineage
        What they became; ages are counted along it, from the last division on.
    divisions : (n,) float64
        Expected divisions of each.
    rate : float
        Divisions of a cell and frame, on average.
    dividing : (n,) float64 or float
        How much likelier each is to divide as it looks.
    by_age : (a,) float64 or None
        `ratios_by_age` of another lineage, the last for all older cells; by default those of this one.
    """
    hazard = _by_frame(around, lineage, divisions, rate, dividing) * dividing
    if by_age is None:
        by_age = ratios_by_age(around, lineage, divisions, rate, dividing)
    age = _ages(lineage.first, lineage.second, lineage.target, around.order)
    known = age >= 0
    hazard[known] *= by_age[np.minimum(age[known], len(by_age) - 1)]
    return hazard


def ratios_by_age(
    around: Surroundings,
    lineage: Lineage,
    divisions: NDArray[np.float64],
    rate: float,
    dividing: NDArray[np.float64] | float = 1.0,
) -> NDArray[np.float64]:
    """Return how much likelier to divide cells are than their frames and looks tell, 0, 1, ... frames after birth.

    Parameters
    ----------
    around, lineage, divisions, rate, dividing
        As in `hazard_of`. There are as many ages as frames.
    """
    by_frame = _by_frame(around, lineage, divisions, rate, dividing)
    expected = np.where(lineage.has_child, rate * dividing, 0.0) * by_frame
    age = _ages(lineage.first, lineage.second, lineage.target, around.order)
    known = age >= 0
    return _ratios(age[known], divisions[known], expected[known], AGE_WINDOW, around.n_frames)


def _by_frame(
    around: Surroundings,
    lineage: Lineage,
    divisions: NDArray[np.float64],
    rate: float,
    dividing: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    expected = np.where(lineage.has_child, rate * dividing, 0.0)
    return _ratios(around.order, divisions, expected, WINDOW, around.n_frames)[around.order]


def _ratios(
    number: NDArray[np.int64],
    seen: NDArray[np.float64],
    expected: NDArray[np.float64],
    width: int,
    n: int,
) -> NDArray[np.float64]:
    """Return for 0 .. n - 1 how many divisions were seen around that number, relative to what was expected."""
    a = smoothed(np.bincount(number, seen, n).astype(np.float64), width)
    b = smoothed(np.bincount(number, expected, n).astype(np.float64), width)
    return np.clip((a + WORTH) / (b + WORTH), *RATIOS)


def ratios_by_rank(
    value: NDArray[np.float64],
    counted: NDArray[np.bool_],
    seen: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how much likelier than expected something happens to the cells of each rank of a number.

    Parameters
    ----------
    value : (n,) float64
        The number; cells of which it is not known, NaN, are left aside.
    counted : (n,) bool
        Cells that are looked at.
    seen, expected : (n,) float64
        How often it happened, and was expected to.

    Returns
    -------
    ratio : (20,) float64
        For each twentieth of the cells, the one of the smallest numbers first.
    """
    known = np.isfinite(value)
    if not (known & counted).any():
        return np.ones(RANKS)
    seen, expected = (np.where(counted, what, 0.0)[known] for what in (seen, expected))
    return _ratios(_ranks(value[known]), seen, expected, RANK_WINDOW, RANKS)


def at_rank(value: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio of `ratios_by_rank` that is each cell's; 1 where its number is not known."""
    found, known = np.ones(len(value)), np.isfinite(value)
    if known.any():
        found[known] = ratio[_ranks(value[known])]
    return found


def _ranks(value: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(np.quantile(value, np.linspace(0, 1, RANKS + 1)[1:-1]), value)


def smoothed(count: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the sums of counts over windows of an odd width, those at both ends cut off."""
    return np.convolve(count, np.ones(width))[width // 2 :][: len(count)] if len(count) else count


@njit(cache=True, nogil=True)
def _ages(first: Ints, second: Ints, target: Ints, order: Ints) -> Ints:
    """Return the frames since each cell was born by a division, -1 where none was seen."""
    age = np.full(len(first), -1, np.int64)
    for u in range(len(first)):  # mothers come before their children
        if first[u] < 0:
            continue
        v = target[first[u]]
        if second[u] >= 0:
            age[v] = age[target[second[u]]] = 0
        elif age[u] >= 0:
            age[v] = age[u] + order[v] - order[u]
    return age
