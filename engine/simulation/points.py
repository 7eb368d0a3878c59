"""Branching movies of points with known truth, as large as one likes: for benchmarks, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedPoints:
    """Centres of cells with their true links, ordered by frame.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each detection.
    position_px : (n, 2) or (n, 3) float64
        Its centre; one pixel is the root mean square step of a cell from one frame to the next.
    track : (n,) int64
        Number of its track, from 1; 0 for a false detection.
    parent : (n,) int64
        Row of the same cell, or of its mother, where it was last detected; -1: none.
    """

    frame: NDArray[np.int64]
    position_px: NDArray[np.float64]
    track: NDArray[np.int64]
    parent: NDArray[np.int64]

    @property
    def links(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of source and target of each true link, ordered by target."""
        target = np.flatnonzero(self.parent >= 0)
        return self.parent[target], target


def simulate_points(
    n_frames: int,
    cells_per_frame: int,
    seed: int = 0,
    *,
    ndim: int = 2,
    spacing: float = 2.0,
    division_rate: float = 0.006,
    missed: float = 0.02,
    false: float = 0.02,
) -> SimulatedPoints:
    """Simulate branching Brownian cells in a closed box, as points, a few milliseconds per 10,000 of them.

    As many cells die as divide, so that each frame holds about as many. A cell is never missed in the frame before it
    divides: so no detection has more than two daughters, even across misses.

    Parameters
    ----------
    n_frames, cells_per_frame : int
        Their product is about the number of detections.
    seed : int
        The same seed gives the same points.
    ndim : int
        2 or 3 space axes.
    spacing : float
        Mean distance of nearest neighbours, in steps of a cell: 2 is easy to link, 1 is hard.
    division_rate, missed, false : float
        Chance of a cell to divide, and to be missed, in a frame; false detections for each true one.
    """
    rng = np.random.default_rng(seed)
    # mean distance of nearest neighbours of a Poisson process of density 1, in 2 and 3 dimensions
    side = cells_per_frame ** (1 / ndim) * spacing / {2: 0.5, 3: 0.554}[ndim]
    position = rng.random((cells_per_frame, ndim)) * side
    track = np.arange(cells_per_frame) + 1
    seen = np.full(cells_per_frame, -1)  # row where each cell was last detected
    n_tracks, n_rows = cells_per_frame, 0
    columns: tuple[list[NDArray[np.int64]], ...] = ([], [], [])  # frame, track, parent
    positions: list[NDArray[np.float64]] = []
    for t in range(n_frames):
        n = len(position)
        chance = rng.random(n)
        divides = chance < division_rate
        dies = chance > 1 - division_rate * n / cells_per_frame
        found = (rng.random(n) >= missed) | divides
        n_found, n_false = int(np.count_nonzero(found)), int(rng.poisson(false * n))
        nothing = np.zeros(n_false, dtype=np.int64)
        columns[0].append(np.full(n_found + n_false, t))
        columns[1].append(np.concatenate([track[found], nothing]))
        columns[2].append(np.concatenate([seen[found], nothing - 1]))
        positions.append(np.concatenate([position[found], rng.random((n_false, ndim)) * side]))
        seen[found] = n_rows + np.arange(n_found)
        n_rows += n_found + n_false

        goes_on = ~divides & ~dies
        mothers = np.tile(np.flatnonzero(divides), 2)
        rows = np.concatenate([np.flatnonzero(goes_on), mothers])
        track = np.concatenate([track[goes_on], n_tracks + 1 + np.arange(len(mothers))])
        n_tracks += len(mothers)
        seen = seen[rows]
        position = position[rows] + rng.normal(0, ndim**-0.5, (len(rows), ndim))
        position = side - np.abs(side - np.abs(position))  # walls throw back
    frame, tracks, parent = (np.concatenate(column) for column in columns)
    return SimulatedPoints(frame=frame, position_px=np.concatenate(positions), track=tracks, parent=parent)
