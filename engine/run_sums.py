"""Sums over the runs of label masks, compiled: what `measure` counts, one run after the other.

A run is a stretch of pixels along x that belong to one label. Its share of every sum over places is a closed form of
its ends, so only intensities are read pixel by pixel, and only those of cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_SPREAD = 7046029254386353131  # odd, and its bits look random: labels that are multiples of each other spread out


@njit(cache=True, nogil=True)
def number_labels(label: Ints) -> tuple[Ints, Ints]:
    """Give labels numbers in the order in which they first appear.

    Parameters
    ----------
    label : (r,) int64
        Labels, none of them 0; as large as they like.

    Returns
    -------
    found : (k,) int64
        Each label once.
    slot : (r,) int64
        Place of each label in `found`.
    """
    slot = np.empty(len(label), np.int64)
    found = np.empty(512, np.int64)
    key = np.zeros(1024, np.int64)  # open addressing, at most half full; 0 is free
    number = np.empty(1024, np.int64)
    count = 0
    for r in range(len(label)):
        this = label[r]
        at = _place(key, this)
        if key[at] == 0:
            if count == len(found):
                wider = np.empty(2 * count, np.int64)
                wider[:count] = found
                found = wider
                key = np.zeros(4 * count, np.int64)
                number = np.empty(4 * count, np.int64)
                for i in range(count):
                    at = _place(key, found[i])
                    key[at] = found[i]
                    number[at] = i
                at = _place(key, this)
            key[at] = this
            number[at] = count
            found[count] = this
            count += 1
        slot[r] = number[at]
    return found[:count].copy(), slot


@njit(cache=True, inline="always")
def _place(key: Ints, label: np.int64) -> np.int64:
    """Return where a label stands in the table of keys, or the free place where it belongs."""
    last = len(key) - 1
    at = ((label * _SPREAD) >> 32) & last
    while key[at] != 0 and key[at] != label:
        at = (at + 1) & last
    return at


@njit(cache=True, nogil=True)
def sum_places(
    start: Ints, length: Ints, slot: Ints, count: int, height: int, width: int
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints]:
    """Add up the places of the pixels of each cell, as whole numbers: no order of the runs changes a digit.

    Parameters
    ----------
    start, length : (r,) int64
        First pixel of each run in the flattened volume, and its number of pixels.
    slot : (r,) int64
        Cell of each run, below `count`.
    count : int
        Number of cells, k.
    height, width : int
        Pixels of the volume along y and x.

    Returns
    -------
    area : (k,) int64
        Pixels.
    origin : (k, 3) int64
        A pixel of each cell, axes z, y, x. The sums count from there: small numbers lose no digits.
    first : (k, 3) int64
        Sum of z, of y and of x.
    second : (k, 3, 3) int64
        Sum of the product of each two of them.
    low, high : (k, 3) int64
        Smallest box, half open.
    border : (k,) int64
        Fewest pixels to the borders along y and x.
    """
    area = np.zeros(count, np.int64)
    origin = np.zeros((count, 3), np.int64)
    first = np.zeros((count, 3), np.int64)
    second = np.zeros((count, 3, 3), np.int64)
    low = np.zeros((count, 3), np.int64)
    high = np.zeros((count, 3), np.int64)
    border = np.zeros(count, np.int64)
    for r in range(len(start)):
        n, s = length[r], slot[r]
        row = start[r] // width
        x = start[r] - row * width
        z = row // height
        y = row - z * height
        nearest = min(y, height - 1 - y, x, width - x - n)
        if area[s] == 0:
            origin[s, 0], origin[s, 1], origin[s, 2] = z, y, x
            low[s, 0], low[s, 1], low[s, 2] = z, y, x
            border[s] = nearest
        area[s] += n
        border[s] = min(border[s], nearest)
        low[s, 1] = min(low[s, 1], y)
        low[s, 2] = min(low[s, 2], x)
        high[s, 0] = z + 1  # runs come in order of z
        high[s, 1] = max(high[s, 1], y + 1)
        high[s, 2] = max(high[s, 2], x + n)

        dz, dy, dx = z - origin[s, 0], y - origin[s, 1], x - origin[s, 2]
        sum_x = n * dx + n * (n - 1) // 2
        first[s, 0] += n * dz
        first[s, 1] += n * dy
        first[s, 2] += sum_x
        second[s, 0, 0] += n * dz * dz
        second[s, 0, 1] += n * dz * dy
        second[s, 0, 2] += dz * sum_x
        second[s, 1, 1] += n * dy * dy
        second[s, 1, 2] += dy * sum_x
        second[s, 2, 2] += n * dx * dx + dx * n * (n - 1) + n * (n - 1) * (2 * n - 1) // 6
    for s in range(count):
        second[s, 1, 0], second[s, 2, 0], second[s, 2, 1] = second[s, 0, 1], second[s, 0, 2], second[s, 1, 2]
    return area, origin, first, second, low, high, border


@njit(cache=True, nogil=True)
def sum_intensity(
    image: NDArray[np.generic], start: Ints, length: Ints, slot: Ints, total: NDArray[np.int64] | NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up the intensities of the pixels of each cell, and find the lowest and the highest.

    Parameters
    ----------
    image : (n,) array
        Intensities, flattened.
    start, length, slot : (r,) int64
        As in `sum_places`.
    total : (k,) int64 or float64
        Zeros; receives the sum of each cell.

    Returns
    -------
    low, high : (k,) float64
        One NaN among the pixels of a cell makes both NaN, and the sum too.
    """
    low = np.empty(len(total), image.dtype)
    high = np.empty(len(total), image.dtype)
    seen = np.zeros(len(total), np.bool_)
    for r in range(len(start)):
        s = slot[r]
        if not seen[s]:
            low[s] = high[s] = image[start[r]]
            seen[s] = True
        so_far, least, most = total[s], low[s], high[s]
        for pixel in range(start[r], start[r] + length[r]):
            value = image[pixel]
            so_far += value
            # only NaN differs from itself; once it stands there no comparison moves it
            if value < least or value != value:
                least = value
            if value > most or value != value:
                most = value
        total[s], low[s], high[s] = so_far, least, most
    return low.astype(np.float64), high.astype(np.float64)
