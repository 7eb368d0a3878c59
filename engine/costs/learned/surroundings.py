"""Where each cell stands among the others of its frame: its neighbours, their spacing, how dense they are, the border.

All densities of the learned model are compared with the local density of detections, and all lengths of divisions with
the local spacing, so that no length in micrometres or pixels has to be set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import KDTree

from ...candidates import Frames, radius_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....storage.schema import Detections

NEIGHBOURS: Final = 10
COUNTED: Final = 6
"""Neighbours whose distance tells the spacing: fewer are noisy, more reach past the edge of a colony."""

REACH: Final = 4 / 7
"""Share of the link radius that few steps exceed: 3 median steps, or a spacing."""

BALL: Final = {2: math.pi, 3: 4 / 3 * math.pi}
"""Area of the unit disc, volume of the unit ball."""

CLOSEST: Final = 1e-3  # of the median spacing; cells in the same place have a finite density, too


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Places of n cells, and what their frames look like around them.

    Parameters
    ----------
    position : (n, ndim) float64
        Places in micrometres (pixels where the voxel size is not known).
    frame : (n,) int64
        Frame of each cell, never decreasing.
    order : (n,) int64
        The same, counted over the frames that have cells alone, from 0.
    neighbours : (n, 10) int64
        Rows of the nearest cells of the same frame, -1 where there are not as many.
    spacing : (n,) float64
        Radius around each cell that would hold one neighbour, a geometric mean over the neighbours.
    log_density : (n,) float64
        Log of the detections per unit of area or volume.
    nearest : (n,) float64
        Distance to the nearest neighbour; infinite where there is none.
    border : (n,) bool
        Cells within `reach` of the box around all cells.
    reach : float
        A length that few steps exceed.
    before, after : int
        Frames with cells of the movie before these, and after them, where this is a part of it.
    """

    position: NDArray[np.float64]
    frame: NDArray[np.int64]
    order: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    spacing: NDArray[np.float64]
    log_density: NDArray[np.float64]
    nearest: NDArray[np.float64]
    border: NDArray[np.bool_]
    reach: float
    before: int = 0
    after: int = 0

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ndim(self) -> int:
        """Number of space axes."""
        return int(self.position.shape[1])

    @property
    def n_frames(self) -> int:
        """Number of frames that have cells."""
        return int(self.order[-1]) + 1 if len(self) else 0

    @property
    def median_spacing(self) -> float:
        """Median of the spacings; the reach where there are no cells."""
        return float(np.median(self.spacing)) if len(self) else self.reach


def surroundings_of(detections: Detections, usual: float | None = None) -> Surroundings:
    """Look around each cell.

    Parameters
    ----------
    detections : Detections
        n cells. One that is alone in its frame gets the median spacing of the others, the reach if all are alone; no
        spacing is below a thousandth of the median one, so that cells in one place are no singularity.
    usual : float or None
        Stands for that median, where these are a part of a movie.
    """
    position, ndim = detections.position_um, detections.ndim
    frames = Frames.of(detections)
    reach = REACH * radius_from(detections).radius
    neighbours, distance = _nearest(position, frames)
    spacing = _spacing(distance, reach, ndim, usual)
    log_spacing = np.log(spacing)
    smooth = np.where(neighbours >= 0, log_spacing[neighbours], log_spacing[:, None]).mean(axis=1)
    low, high = (position.min(axis=0), position.max(axis=0)) if len(position) else np.zeros((2, ndim))
    return Surroundings(
        position=position,
        frame=detections.frame,
        order=np.searchsorted(frames.number, detections.frame),
        neighbours=neighbours,
        spacing=np.exp(smooth),
        log_density=-math.log(BALL[ndim]) - ndim * smooth,
        nearest=distance[:, 0],
        border=np.minimum(position - low, high - position).min(axis=1) < reach,
        reach=reach,
    )


def _nearest(position: NDArray[np.float64], frames: Frames) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return rows and distances of the nearest neighbours within the frame, nearest first; -1 and infinity for none."""
    neighbours = np.full((len(position), NEIGHBOURS), -1)
    distance = np.full((len(position), NEIGHBOURS), np.inf)
    for i in range(len(frames)):
        rows = frames.rows(i)
        size = rows.stop - rows.start
        k = min(NEIGHBOURS, size - 1)
        if not k:
            continue
        here = position[rows]
        answer = KDTree(here, balanced_tree=False, compact_nodes=False).query(here, k=np.arange(1, k + 2))
        far, who = np.asarray(answer[0]), np.asarray(answer[1])
        # a cell is found first at its own place, but not where another one lies in the same: that one may be
        own = who == np.arange(size)[:, None]
        own[~own.any(axis=1), -1] = True
        neighbours[rows, :k] = who[~own].reshape(size, k) + rows.start
        distance[rows, :k] = far[~own].reshape(size, k)
    return neighbours, distance


def _spacing(distance: NDArray[np.float64], reach: float, ndim: int, usual: float | None) -> NDArray[np.float64]:
    """Return for each cell the radius that would hold one neighbour, were they spread evenly."""
    counted = np.minimum(np.isfinite(distance).sum(axis=1), COUNTED)
    alone = counted == 0
    spacing = distance[np.arange(len(distance)), np.maximum(counted, 1) - 1] / np.maximum(counted, 1) ** (1 / ndim)
    if usual is None:
        usual = float(np.median(spacing[~alone])) if not alone.all() else reach
    spacing[alone] = usual
    return np.asarray(np.maximum(spacing, CLOSEST * (usual or reach)))
