"""Which cells of a crowded window can see each other at all: cells that lie together are looked at together.

Attention between cells further apart than the cutoff is 0. So cells are put in an order in which neighbours stand side
by side, and each group of them looks at the groups within reach alone: in a field of a few cutoffs most pairs are never
computed, nor is memory spent on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP: Final = 128  # cells of a group, at most
MARGIN_PX: Final = 1.0  # distances are rounded where they are compared with the cutoff


def groups_of(
    place: NDArray[np.float32], cutoff: float, *, most: int = GROUP
) -> tuple[NDArray[np.int64], list[slice], list[NDArray[np.int64]]]:
    """Return an order of cells, the groups in it, and whom each group sees.

    Parameters
    ----------
    place : (n, d) float32
        Places, pixels.
    cutoff : float
        How far cells see.
    most : int
        Cells of a group.

    Returns
    -------
    order : (n,) int64
        Rows, those of a group side by side.
    groups : list of slice
        Each group in that order.
    seen : list of (k,) int64
        For each group the places in the order of all cells that one of it may see.
    """
    order = np.arange(len(place))
    groups, waiting = [], [slice(0, len(place))]
    while waiting:
        part = waiting.pop()
        if part.stop - part.start <= most:
            groups.append(part)
            continue
        rows = order[part]
        axis = int(np.argmax(np.ptp(place[rows], axis=0)))
        half = (part.stop - part.start) // 2
        order[part] = rows[np.argpartition(place[rows, axis], half)]
        waiting += [slice(part.start + half, part.stop), slice(part.start, part.start + half)]
    low = np.array([place[order[group]].min(axis=0) for group in groups], dtype=np.float64)
    high = np.array([place[order[group]].max(axis=0) for group in groups], dtype=np.float64)
    gap = np.maximum(low[:, None] - high[None, :], low[None, :] - high[:, None])
    near = np.linalg.norm(np.maximum(gap, 0), axis=-1) <= cutoff + MARGIN_PX
    spans = [np.arange(group.start, group.stop) for group in groups]
    return order, groups, [np.concatenate([spans[g] for g in np.flatnonzero(row)]) for row in near]
