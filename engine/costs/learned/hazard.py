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
    """
    goes_on = lineage.has_child
    expected = np.where(goes_on, rate * dividing, 0.0)
    by_frame = _ratio(around.order, divisions, expected, WINDOW, around.n_frames)
    age = _ages(lineage.first, lineage.second, lineage.target, around.order)
    known = age >= 0
    by_age = _ratio(age[known], divisions[known], (expected * by_frame)[known], AGE_WINDOW, around.n_frames)
    hazard = by_frame * dividing
    hazard[known] *= by_age
    return hazard


def _ratio(
    number: NDArray[np.int64],
    seen: NDArray[np.float64],
    expected: NDArray[np.float64],
    width: int,
    n: int,
) -> NDArray[np.float64]:
    """Return for each cell how many divisions were seen around its number, relative to what was expected."""
    a = smoothed(np.bincount(number, seen, n).astype(np.float64), width)
    b = smoothed(np.bincount(number, expected, n).astype(np.float64), width)
    return np.asarray(np.clip((a + WORTH) / (b + WORTH), *RATIOS)[number])


def by_rank(
    value: NDArray[np.float64],
    counted: NDArray[np.bool_],
    seen: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how much likelier than expected something happens to each of n cells, by the rank of a number.

    Parameters
    ----------
    value : (n,) float64
        The number; NaN where it is not known, and the ratio is 1.
    counted : (n,) bool
        Cells that are looked at.
    seen, expected : (n,) float64
        How often it happened, and was expected to.
    """
    ratio, known = np.ones(len(value)), np.isfinite(value)
    if not (known & counted).any():
        return ratio
    ends = np.quantile(value[known], np.linspace(0, 1, RANKS + 1)[1:-1])
    rank = np.searchsorted(ends, value[known])
    seen, expected = (np.where(counted, what, 0.0)[known] for what in (seen, expected))
    ratio[known] = _ratio(rank, seen, expected, RANK_WINDOW, RANKS)
    return ratio


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
