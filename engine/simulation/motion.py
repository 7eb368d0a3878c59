"""Where cells go: steps in units of their spacing, the room they live in, and how they make way for each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.spatial import cKDTree

from ...errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

APART = 0.8  # cells push each other where they are nearer than this share of the sum of their radii
TOO_NEAR = 0.6  # and go on until none is nearer than this share of that
PUSH = 0.3  # share of an overlap that each of the two gives way at once
SWEEPS = 3  # of pushes in each frame, and as many more as it takes
MOST_SWEEPS = 3000
MARGIN = 6.0  # radii between one border of the frame and the other, where the room behind them is open
MEDIAN_STEP = {2: 1.17741, 3: 1.53817}  # of a normal step in the plane and in space, in standard deviations of an axis


@dataclass(frozen=True, slots=True)
class Room:
    """Where cells live; the frame shows a part of it.

    Parameters
    ----------
    extent : tuple of float
        Size of the frame, axes ``([z,] y, x)``, in pixels along x.
    pitch : tuple of float
        Size of a voxel in the same unit.
    margin : float
        How far the room goes on behind the borders, both sides together. Who leaves at the far end comes in at the
        other, as a stranger. 0: there is nothing behind, and cells turn back at the borders.
    """

    extent: tuple[float, ...]
    pitch: tuple[float, ...]
    margin: float

    @property
    def size(self) -> NDArray[np.float64]:
        """Size of the room, margin included."""
        return np.array(self.extent) + self.margin

    @property
    def volume(self) -> float:
        """Area or volume of the room."""
        return float(np.prod(self.size))

    @property
    def last(self) -> NDArray[np.float64]:
        """Position of the last voxel of the frame; the first is at 0."""
        return np.array(self.extent) - self.pitch

    def shows(self, position: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which positions lie in the frame, and so have a voxel there."""
        half = 0.5 * np.array(self.pitch)
        inside: NDArray[np.bool_] = np.all((position >= -half) & (position < self.last + half), axis=1)
        return inside

    def brought_back(self, position: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return positions in the room, and which of them were far out and have come in elsewhere."""
        if not self.margin:
            # folded as often as it takes: a step may be longer than a small room
            last = np.maximum(self.last, 1e-9)
            return last - np.abs(last - np.mod(position, 2 * last)), np.zeros(len(position), dtype=bool)
        low = -0.5 * self.margin
        back = np.mod(position - low, self.size) + low
        back = np.where(back >= low + self.size, low, back)  # a rounded remainder may be the divisor
        return back, np.any(np.abs(back - position) > 0.5 * self.margin, axis=1)


def spacing(position: NDArray[np.float64], room: Room) -> float:
    """Return the median distance of a cell to its nearest neighbour.

    A cell alone is as far from others as cells of its density are from each other.
    """
    n, ndim = position.shape
    if n < 2:
        return float(0.5 * (room.volume / max(n, 1)) ** (1 / ndim))
    tree = cKDTree(_in_box(position, room), boxsize=room.size if room.margin else None)
    distance = np.asarray(tree.query(tree.data, k=2)[0])
    return float(np.median(distance[:, 1]))


def make_way(
    home: NDArray[np.float64], step: NDArray[np.float64], radius: NDArray[np.float64], room: Room
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Move cells, and push apart those that overlap much, so that the median step stays what it was.

    Parameters
    ----------
    home, step : (n, d) float64
        Where the cells are and where they want to go.
    radius : (n,) float64
        Their radii.
    room : Room
        Where they live.

    Returns
    -------
    position : (n, d) float64
        Where they are then.
    is_stranger : (n,) bool
        True for who left the room and came in elsewhere.

    Raises
    ------
    ConfigError
        If there is no room for all.
    """
    wanted = _median_length(step)
    gain = 1.0
    for _ in range(6):  # pushes lengthen short steps and shorten long ones: ask for less or more, a few times
        position, is_stranger = room.brought_back(home + gain * step)
        moved = pushed_apart(position, radius, room) - position
        got = _median_length(gain * step + moved)
        if not wanted or abs(got / wanted - 1) < 0.03:
            break
        gain *= float(np.clip(wanted / got, 0.3, 3.0))
    position, again = room.brought_back(position + moved)
    return position, is_stranger | again


def pushed_apart(
    position: NDArray[np.float64],
    radius: NDArray[np.float64],
    room: Room,
    *,
    inside: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return positions at which no two cells overlap much; where the room is open they may lie a bit beyond it.

    Parameters
    ----------
    position : (n, d) float64
        Where the cells would be.
    radius : (n,) float64
        Their radii.
    room : Room
        Where they live.
    inside : (n,) bool or None
        Which of them the frame is to show; None: whichever it happens to.

    Raises
    ------
    ConfigError
        If there is no room for all.
    """
    position = position.copy()
    reach = 2 * APART * float(radius.max(initial=0))
    slack = 0.25 * reach  # who is farther away than that cannot come in reach before the pairs are found anew
    sweeps = 0
    while sweeps < MOST_SWEEPS:
        tree = cKDTree(_in_box(position, room), boxsize=room.size if room.margin else None)
        pairs = tree.query_pairs(reach + slack, output_type="ndarray")
        if not len(pairs):
            return position
        size = room.size if room.margin else np.full(len(room.extent), np.inf)
        done, settled = _sweep(position, radius, pairs, size, max(1, SWEEPS - sweeps), 0.5 * slack)
        sweeps += done
        if inside is not None:
            _keep_sides(position, inside, room)
        elif not room.margin:
            position = np.clip(position, 0, room.last)
        if settled and sweeps >= SWEEPS and (inside is None or sweeps > 10 * SWEEPS):
            return position
    size_px = " x ".join(f"{n:.0f}" for n in room.extent)
    raise ConfigError(f"{len(radius)} cells do not fit into {size_px} pixels")


def _in_box(position: NDArray[np.float64], room: Room) -> NDArray[np.float64]:
    """Return positions as a periodic tree wants them: from 0 to below the size of an open room."""
    if not room.margin:
        return position
    boxed = np.mod(position + 0.5 * room.margin, room.size)
    return np.where(boxed >= room.size, 0.0, boxed)


def _keep_sides(position: NDArray[np.float64], inside: NDArray[np.bool_], room: Room) -> None:
    """Put cells that were pushed over a border of the frame back to their side of it."""
    position[inside] = np.clip(position[inside], 0, room.last)
    rows = np.flatnonzero(~inside & room.shows(position))
    out = np.minimum(position[rows], room.last - position[rows])  # how far inside, along each axis
    axis = np.argmin(out, axis=1)
    near = position[rows, axis] < room.last[axis] / 2
    pitch = np.array(room.pitch)[axis]
    position[rows, axis] = np.where(near, -0.51 * pitch, room.last[axis] + 0.51 * pitch)


def _median_length(step: NDArray[np.float64]) -> float:
    return float(np.median(np.linalg.norm(step, axis=1))) if len(step) else 0.0


@njit(cache=True, nogil=True)
def _sweep(
    position: NDArray[np.float64],
    radius: NDArray[np.float64],
    pairs: NDArray[np.int64],
    size: NDArray[np.float64],
    least: int,
    far: float,
) -> tuple[int, bool]:
    """Push near pairs apart until none is too near or a cell has gone too far for the pairs to hold."""
    n, ndim = position.shape
    start = position.copy()
    between = np.empty(ndim)
    done, settled = 0, False
    while not (settled and done >= least):
        settled = True
        for k in range(len(pairs)):
            a, b = pairs[k, 0], pairs[k, 1]
            square = 0.0
            for d in range(ndim):
                gap = position[a, d] - position[b, d]
                if size[d] < np.inf:
                    gap -= size[d] * np.round(gap / size[d])
                between[d] = gap
                square += gap * gap
            wanted = APART * (radius[a] + radius[b])
            if square >= wanted * wanted:
                continue
            distance = np.sqrt(square)
            if distance < TOO_NEAR * wanted:
                settled = False
            if distance < 1e-6 * wanted:  # two at one place part along an axis that their numbers choose
                between[(a + b) % ndim] = 1e-6 * wanted
                distance = 1e-6 * wanted
            push = PUSH * (wanted - distance) / distance
            for d in range(ndim):
                position[a, d] += push * between[d]
                position[b, d] -= push * between[d]
        done += 1
        for i in range(n):
            square = 0.0
            for d in range(ndim):
                square += (position[i, d] - start[i, d]) ** 2
            if square > far * far:
                return done, settled
    return done, settled
