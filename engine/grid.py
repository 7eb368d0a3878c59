"""Nearest cells of earlier frames within a radius, by a grid whose boxes are no smaller than the radius.

Whoever is within the radius of a cell stands in its box or one that touches it. Where boxes hold few cells, as they do
with the radius that is read from a movie, looking through them takes a fraction of what a tree takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

CROWDED: Final = 500
"""Cells that a cell would be compared with, on average, from which on a tree is quicker."""

FARTHEST: Final = 1e100
"""Squares of what lies farther out are beyond any number."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The cells of each occupied frame, sorted by the boxes of one grid over the movie.

    Parameters
    ----------
    position : (n, 3) float64
        Centres; the last axis is 0 for movies of two.
    box : (n,) int64
        Number of each cell's box.
    shape : (3,) int64
        Boxes along each axis.
    order : (n,) int64
        Rows of the cells, frame by frame, in the order of their boxes.
    begin : (k, boxes + 1) int64
        Where in `order` each box of each occupied frame begins.
    """

    position: NDArray[np.float64]
    box: NDArray[np.int64]
    shape: NDArray[np.int64]
    order: NDArray[np.int64]
    begin: NDArray[np.int64]

    @classmethod
    def of(cls, position: NDArray[np.float64], start: NDArray[np.int64], radius: float) -> Grid | None:
        """Sort n cells in k frames, of which frame i is rows ``start[i] .. start[i + 1] - 1``; None if too crowded."""
        n, ndim = position.shape
        k = len(start) - 1
        axes = np.ascontiguousarray(position.T)
        if not (n and np.abs(axes).max() < FARTHEST and radius < FARTHEST):
            return None
        low = axes.min(axis=1)
        extent = axes.max(axis=1) - low
        # about as many boxes as cells in a frame: no more memory than for the cells themselves
        side = max(radius, float(np.prod(np.maximum(extent, radius) ** (1 / ndim))) * (k / n) ** (1 / ndim))
        shape, padded, box = np.ones(3, np.int64), np.zeros((n, 3)), np.zeros(n, np.int64)
        shape[:ndim] = (extent / side).astype(np.int64) + 1
        padded[:, :ndim] = position
        for axis in range(ndim):
            at = ((axes[axis] - low[axis]) / side).astype(np.int64)
            box = box * shape[axis] + np.minimum(at, shape[axis] - 1)
        boxes = int(shape.prod())
        place = box + np.repeat(np.arange(k), np.diff(start)) * boxes
        count = np.bincount(place, minlength=k * boxes)
        if 3**ndim * float((count.astype(np.float64) ** 2).sum()) > CROWDED * n:
            return None
        begin = np.empty((k, boxes + 1), np.int64)
        ends = np.cumsum(count).reshape(k, boxes)
        begin[:, 1:], begin[:, 0] = ends, ends[:, 0] - count.reshape(k, boxes)[:, 0]
        return cls(padded, box, shape, np.argsort(place, kind="stable"), begin)


def nearest_by_grid(
    grid: Grid, start: NDArray[np.int64], number: NDArray[np.int64], radius: float, k: int, max_gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Tie every cell to its k nearest within the radius in each of the ``1 + max_gap`` frames before it.

    Parameters
    ----------
    grid : Grid
        n cells in f occupied frames.
    start, number : (f + 1,), (f,) int64
        First row and number of each of them.
    radius : float
        Largest distance.
    k, max_gap : int
        Links of a cell to one frame, and frames to skip. Of cells at the same distance the first in the grid counts.

    Returns
    -------
    source, target : (m,) int64
        Rows, ordered by source, then target.
    distance : (m,) float64
        Between them.
    """
    k = min(k, int(np.diff(start).max(initial=1)))
    return _nearest(
        grid.position, grid.box, grid.shape, grid.order, grid.begin, start, number, float(radius), k, max_gap
    )


@njit(cache=True, nogil=True)
def _nearest(
    position: Floats,
    box: Ints,
    shape: Ints,
    order: Ints,
    begin: NDArray[np.int64],
    start: Ints,
    number: Ints,
    radius: float,
    k: int,
    max_gap: int,
) -> tuple[Ints, Ints, Floats]:
    n = len(position)
    source = np.empty(8 * n + k, np.int64)
    target = np.empty(8 * n + k, np.int64)
    distance = np.empty(8 * n + k, np.float64)
    m = 0
    best = np.empty(k, np.float64)
    best_row = np.empty(k, np.int64)
    n_of_source = np.zeros(n + 1, np.int64)
    roughly = radius * radius * (1 + 1e-9)  # a distance that equals the radius shall pass; the root decides
    for i in range(len(number)):
        for j in range(i - 1, -1, -1):
            if number[i] - number[j] > 1 + max_gap:
                break
            for t in range(start[i], start[i + 1]):
                z = box[t] // (shape[1] * shape[2])
                y = box[t] // shape[2] % shape[1]
                x = box[t] % shape[2]
                size = 0
                for a in range(max(z - 1, 0), min(z + 2, shape[0])):
                    for b in range(max(y - 1, 0), min(y + 2, shape[1])):
                        first = (a * shape[1] + b) * shape[2]
                        # boxes side by side along the last axis stand side by side in memory
                        for s in range(begin[j, first + max(x - 1, 0)], begin[j, first + min(x + 2, shape[2])]):
                            row = order[s]
                            square = (
                                (position[t, 0] - position[row, 0]) ** 2
                                + (position[t, 1] - position[row, 1]) ** 2
                                + (position[t, 2] - position[row, 2]) ** 2
                            )
                            if square > roughly or (size == k and square >= best[k - 1]):
                                continue
                            if np.sqrt(square) > radius:
                                continue
                            c = size if size < k else k - 1
                            size = min(size + 1, k)
                            while c > 0 and best[c - 1] > square:
                                best[c] = best[c - 1]
                                best_row[c] = best_row[c - 1]
                                c -= 1
                            best[c] = square
                            best_row[c] = row
                if m + size > len(source):
                    source = np.concatenate((source, np.empty(len(source), np.int64)))
                    target = np.concatenate((target, np.empty(len(target), np.int64)))
                    distance = np.concatenate((distance, np.empty(len(distance), np.float64)))
                for c in range(size):
                    source[m] = best_row[c]
                    target[m] = t
                    distance[m] = np.sqrt(best[c])
                    n_of_source[best_row[c] + 1] += 1
                    m += 1
    # targets rise already; sorting by source by counting leaves them so
    place = np.cumsum(n_of_source)
    by_source = np.empty(m, np.int64)
    by_target = np.empty(m, np.int64)
    sorted_distance = np.empty(m, np.float64)
    for e in range(m):
        p = place[source[e]]
        place[source[e]] += 1
        by_source[p] = source[e]
        by_target[p] = target[e]
        sorted_distance[p] = distance[e]
    return by_source, by_target, sorted_distance
