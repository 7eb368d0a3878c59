"""One-to-one pairs of near neighbours: as many as there can be, and of those the cheapest.

A pair is worth a bonus that exceeds all costs together, so that the cheapest matching has as many pairs as any. The
kernel is that of the lineage solver (`matching`): it looks only at pairs that are given, never at all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .assignment import cheapest_matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS: Final = 1 << 20
"""Costs are compared in this many steps of the largest one."""


def cheapest_pairs(
    left: NDArray[np.int64], right: NDArray[np.int64], cost: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose pairs in which each end stands once: the largest number, of least total cost.

    Parameters
    ----------
    left, right : (k,) int64
        Ends of the pairs that are allowed, numbered from 0 on each side.
    cost : (k,) float64
        What each costs, 0 or more.

    Returns
    -------
    left, right : (p,) int64
        The pairs chosen, in order of `left`.
    """
    if not len(left):
        return left[:0], right[:0]
    n_left, n_right = int(left.max()) + 1, int(right.max()) + 1
    largest = float(cost.max()) or 1.0
    step = np.rint(cost / largest * STEPS).astype(np.int64)
    bonus = (min(n_left, n_right) + 1) * (STEPS + 1)
    chosen = np.flatnonzero(cheapest_matching(left, right, step - bonus))
    chosen = chosen[np.argsort(left[chosen])]
    return left[chosen], right[chosen]
