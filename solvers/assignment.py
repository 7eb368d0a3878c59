"""Sparse assignment on any weights: each row and each column in one entry at most, least total weight.

The square matrix of an assignment problem with a price for everything that stays single is never built. A pair (i, j)
in it costs c, a single row d_i, a single column b_j, and the block of mirrored pairs that fills it up adds phi for each
pair. So a matching costs a constant and, for each of its pairs, ``c + phi - d_i - b_j``: the matching of least weight
is the optimum, and no optimum needs a pair whose weight is not negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .matching import Entries, match

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64] | NDArray[np.int32]

STEPS: Final = 2.0**50
"""Weights are counted in at most this many steps of the largest one, as fine as a double would hold them."""


def cheapest_matching(row: Ints, column: Ints, weight: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose entries of least total weight, each row and each column at most once; only negative ones are worth it.

    Parameters
    ----------
    row, column : (k,) int64 or int32
        Place of each entry, numbered from 0 on each side; no place twice.
    weight : (k,) int64
        What taking it changes.

    Returns
    -------
    chosen : (k,) bool
        The same whatever order the entries stand in.
    """
    chosen = np.zeros(len(row), dtype=bool)
    place = np.flatnonzero(weight < 0)
    if not len(place):
        return chosen
    i, j, w = row[place], column[place], weight[place]
    if np.any((np.diff(i) < 0) | ((np.diff(i) == 0) & (np.diff(j) <= 0))):
        order = np.lexsort((j, i))
        place, i, j, w = place[order], i[order], j[order], w[order]
    n = max(int(j.max()) + 1, int(i[-1]) // 2 + 1)  # the kernel has two rows for each column
    indptr = np.searchsorted(i, np.arange(2 * n + 1)).astype(np.int64)
    found = match(Entries(indptr, j.astype(np.int32), w, np.zeros(len(w), dtype=np.int32), base=0))
    chosen[place[found.column_entry[found.column_entry >= 0]]] = True
    return chosen


def in_steps(weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return weights in whole steps, a power of two to the unit: sums are exact, equal weights stay equal."""
    largest = float(np.abs(weight).max(initial=0.0))
    if not largest:
        return np.zeros(len(weight), dtype=np.int64)
    return np.rint(np.ldexp(weight, int(np.log2(STEPS)) - int(np.frexp(largest)[1]))).astype(np.int64)
