"""Masks for cells that are points: discs and balls that do not overlap."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SchemaError
from ..schema import require_equal_lengths
from .ctc import require_sixteen_bits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def paint_points(
    shape: Sequence[int],
    position_px: NDArray[np.float64],
    labels: NDArray[np.int64],
    radius_px: float | Sequence[float],
) -> NDArray[np.uint16]:
    """Return a mask with a disc (2D) or ball (3D) at each point.

    Where two reach a pixel the nearer centre has it, at equal distance the lower label. Each point keeps at least one
    pixel: that of its centre, or the nearest free one where two points share it.

    Parameters
    ----------
    shape : sequence of int
        Size of the mask, axes ``([z,] y, x)``.
    position_px : (n, 2) or (n, 3) float64
        Centres; those outside are moved to the rim.
    labels : (n,) int64
        Label of each point, 1 .. 65,535, each once.
    radius_px : float or sequence of float
        Radius, one for each axis where voxels are not cubes.

    Raises
    ------
    SchemaError
        If there are more points than pixels.
    """
    require_equal_lengths(position_px=position_px, labels=labels)
    require_sixteen_bits(int(labels.max(initial=0)))
    size = np.asarray(shape, dtype=np.int64)
    if len(labels) > size.prod():
        raise SchemaError(f"{len(labels)} points do not fit {size.prod()} pixels")
    mask = np.zeros(tuple(shape), dtype=np.uint16)
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    position = np.clip(position_px[order], 0, size - 1)
    radius = np.broadcast_to(np.asarray(radius_px, dtype=np.float64), (len(size),))
    row_of = np.zeros(int(ordered.max(initial=0)) + 1, dtype=np.int64)
    row_of[ordered] = np.arange(len(ordered))
    low = np.maximum(np.ceil(position - radius), 0).astype(np.int64)
    high = np.minimum(np.floor(position + radius), size - 1).astype(np.int64) + 1
    for row, label in enumerate(ordered):  # each ball asks only the pixels of its own box
        box = tuple(slice(a, b) for a, b in zip(low[row], high[row], strict=True))
        _paint_ball(mask[box], label, position, radius, row_of, low[row], row)
    for pixel, label in zip(own_pixels(np.rint(position).astype(np.int64), size), ordered, strict=True):
        mask[pixel] = label
    return mask


def _paint_ball(
    box: NDArray[np.uint16],
    label: np.int64,
    position: NDArray[np.float64],
    radius: NDArray[np.float64],
    row_of: NDArray[np.int64],
    corner: NDArray[np.int64],
    row: int,
) -> None:
    """Paint one ball into the pixels of its box, where no nearer centre has been."""
    reach = np.maximum(radius, 1e-9)
    axes = np.ogrid[tuple(slice(0, n) for n in box.shape)]
    distance = np.zeros(box.shape)
    for axis, at in enumerate(axes):
        distance = distance + ((at + corner[axis] - position[row, axis]) / reach[axis]) ** 2
    inside = distance <= 1.0
    taken = np.nonzero(inside & (box > 0))
    if len(taken[0]):
        owner = row_of[box[taken]]
        there = (np.stack(taken, axis=1) + corner - position[owner]) / reach
        nearer = np.sum(there**2, axis=1) <= distance[taken]
        inside[tuple(index[nearer] for index in taken)] = False
    box[inside] = label


def own_pixels(centre: NDArray[np.int64], size: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Return a pixel for each point, no two the same: its centre's, or the nearest one that is nobody's centre.

    Parameters
    ----------
    centre : (n, d) int64
        Pixel of each point's centre; at most as many points as pixels.
    size : (d,) int64
        Size of the grid.
    """
    flat = np.ravel_multi_index(tuple(centre.T), tuple(size)) if len(centre) else np.empty(0, dtype=np.int64)
    first = np.zeros(len(flat), dtype=bool)
    first[np.unique(flat, return_index=True)[1]] = True
    pixels: list[tuple[int, ...]] = [tuple(row) for row in centre.tolist()]
    taken = {pixel for pixel, mine in zip(pixels, first, strict=True) if mine}
    for row in np.flatnonzero(~first).tolist():  # few: two cells rarely share a pixel
        pixels[row] = _nearest_free(pixels[row], taken, size.tolist())
        taken.add(pixels[row])
    return pixels


def _nearest_free(pixel: tuple[int, ...], taken: set[tuple[int, ...]], size: list[int]) -> tuple[int, ...]:
    """Return the free pixel nearest to one that is taken, the lowest of those at equal distance."""
    reach = 1
    while True:
        ranges = [range(max(0, p - reach), min(n, p + reach + 1)) for p, n in zip(pixel, size, strict=True)]
        free = [other for other in product(*ranges) if other not in taken]
        distances = [sum((a - b) ** 2 for a, b in zip(other, pixel, strict=True)) for other in free]
        whole = all(len(r) == n for r, n in zip(ranges, size, strict=True))
        # outside of the cube nothing is nearer than reach + 1
        if free and (min(distances) <= reach**2 or whole):
            return free[distances.index(min(distances))]
        reach += 1
