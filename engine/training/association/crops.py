"""A part of a window: the cells in a box, and no more of them than a network can look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIES: Final = 10


def cropped(
    places: NDArray[np.float32], rng: np.random.Generator, *, crop_px: float | None, most: int
) -> NDArray[np.int64]:
    """Choose the cells of a box that lies anywhere around a cell of the window.

    A box is taken only if each frame that has cells keeps one. After ten boxes that do not, the window stays whole. Of
    more than `most` cells those nearest to one of them stay, in the box that just holds them, and of each frame
    the nearest one in any case.

    Parameters
    ----------
    places : (n, 1 + c) float32
        Frame and place ``(t, [z,] y, x)`` of the cells of a window, in the order of frames.
    rng : Generator
        What chooses.
    crop_px : float or None
        Side of the box along y and x, pixels; a volume keeps its whole depth. None keeps all.
    most : int
        Most cells that stay, one for each frame at least.

    Returns
    -------
    rows : (k,) int64
        Those that stay, in their order.
    """
    rows = np.arange(len(places))
    if crop_px is not None:
        rows = _in_a_box(places, rng, crop_px)
    return rows if len(rows) <= most else rows[_around_one(places[rows], rng, most)]


def _in_a_box(places: NDArray[np.float32], rng: np.random.Generator, side: float) -> NDArray[np.int64]:
    """Return the cells in a box of which each frame keeps one."""
    flat = places[:, -2:].astype(np.float64)
    low, high = flat.min(axis=0), flat.max(axis=0)
    everyone = np.arange(len(places))
    if np.all(high - low <= side):
        return everyone
    n_frames = len(np.unique(places[:, 0]))
    for _ in range(TRIES):
        corner = flat[rng.integers(len(flat))] - rng.uniform(0, side, 2)
        corner = np.maximum(np.minimum(corner, high - side), low)  # no part of the box is wasted beyond the cells
        inside = np.flatnonzero(np.all((flat >= corner) & (flat <= corner + side), axis=1))
        if len(np.unique(places[inside, 0])) == n_frames:
            return inside
    return everyone


def _around_one(places: NDArray[np.float32], rng: np.random.Generator, most: int) -> NDArray[np.int64]:
    """Return the cells that are nearest to a drawn one, by the longer of their distances along y and x."""
    flat = places[:, -2:]
    distance = np.abs(flat - flat[rng.integers(len(flat))]).max(axis=1)
    order = np.lexsort((distance, places[:, 0]))
    nearest = order[np.flatnonzero(np.diff(places[order, 0], prepend=-1))]
    distance[nearest] = -1  # they come first
    return np.sort(np.argsort(distance, kind="stable")[:most])
