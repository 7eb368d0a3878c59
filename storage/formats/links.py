"""Links between nodes that are named by a number: which row is which node, and links that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def find_rows(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of each id wanted, -1 where no row has it.

    Parameters
    ----------
    ids : (n,) int64
        Each once, in any order.
    wanted : (k,) int64
        Ids to look up.
    """
    if not len(ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
    rows = order[place]
    return np.where(ids[rows] == wanted, rows, -1)


def find_repeat(*keys: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first row that tells the same keys as an earlier one, and that earlier row; None if all differ."""
    order = np.lexsort(keys[::-1])  # stable: of equal rows the earlier one stands first
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    again = np.flatnonzero(same)
    if not len(again):
        return None
    row = int(order[again + 1].min())
    earlier = np.flatnonzero(np.logical_and.reduce([key == key[row] for key in keys]))
    return row, int(earlier[0])
