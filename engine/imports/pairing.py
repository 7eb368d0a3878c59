"""Which detection each cell of another tracking is, where one side or both are points.

A cell at the very place of a detection is that detection. Else a point belongs to the cell whose mask it lies in; where
both sides are points, cells of one frame are paired one to one within a radius: as many as can be, at the least total
distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from ...errors import ConfigError
from ...solvers.pairs import cheapest_pairs
from ..candidates import SAMPLE_FRAMES, nearest_distances, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...storage.schema import Detections

NO_ROW = -1
SAME_PLACE_PX = 0.01  # what a table with two decimals may be off
SHARE_OF_SPACING = 0.5  # a cell further away than this is nearer to where its neighbour may be
MOST_PAIRS = 20_000_000  # in one frame: some 2 GB


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Cells of a movie: where, and under which label; ordered by frame.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each.
    label : (n,) int64
        Its label there.
    position_px : (n, 2) or (n, 3) float64
        Its centre in pixels of the movie's dataset.
    """

    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    position_px: NDArray[np.float64]

    @classmethod
    def of(cls, detections: Detections) -> Places:
        """Return the places of detections."""
        return cls(detections.frame, detections.label, detections.position_px)

    def take(self, rows: NDArray[np.int64]) -> Places:
        """Return the cells at increasing `rows`."""
        return Places(self.frame[rows], self.label[rows], self.position_px[rows])

    def __len__(self) -> int:
        return len(self.frame)


def at_the_same_place(cells: Places, detections: Places) -> NDArray[np.int64]:
    """Find the detection at the very place of each cell.

    Parameters
    ----------
    cells : Places
        n cells.
    detections : Places
        Where several are at one place, the one of the cell's label is chosen.

    Returns
    -------
    row : (n,) int64
        Row of the detection, each once; `NO_ROW` where there is none.
    """
    row = np.full(len(cells), NO_ROW, dtype=np.int64)
    for mine, theirs in _shared_frames(cells, detections):
        a, b, distance = _near(cells.position_px[mine], detections.position_px[theirs], SAME_PLACE_PX)
        other = cells.label[mine][a] != detections.label[theirs][b]
        a, b = cheapest_pairs(a, b, distance / SAME_PLACE_PX + other)
        row[mine.start + a] = theirs.start + b
    return row


def pair_within(
    cells: Places, detections: Places, radius_um: float, scale_um: tuple[float, ...] | None
) -> NDArray[np.int64]:
    """Pair cells and detections of one frame one to one: as many as can be, at the least total distance.

    Parameters
    ----------
    cells, detections : Places
        The two sides.
    radius_um : float
        Largest distance of a pair in micrometres, in pixels without a voxel size.
    scale_um : tuple of float or None
        Voxel size.

    Returns
    -------
    row : (n,) int64
        Row of the detection of each cell, each once; `NO_ROW` where there is none.

    Raises
    ------
    ConfigError
        If the radius reaches so many that they cannot be held.
    """
    scale = np.ones(cells.position_px.shape[1]) if scale_um is None else np.array(scale_um)
    row = np.full(len(cells), NO_ROW, dtype=np.int64)
    for mine, theirs in _shared_frames(cells, detections):
        a, b, distance = _near(cells.position_px[mine] * scale, detections.position_px[theirs] * scale, radius_um)
        a, b = cheapest_pairs(a, b, distance)
        row[mine.start + a] = theirs.start + b
    return row


def radius_of(detections: Detections) -> tuple[float, str]:
    """Return how far a cell may be from its detection, and the rule behind it: half the median spacing.

    The spacing is the distance from a detection to the nearest other one of its frame, over frames evenly spread. Where
    no frame has two, a cell may be as far away as the detections are spread.
    """
    position = detections.position_um
    _, first, count = np.unique(detections.frame, return_index=True, return_counts=True)
    shared = np.flatnonzero(count > 1)
    spacings = []
    for i in shared[spread(len(shared), SAMPLE_FRAMES)]:
        here = position[first[i] : first[i] + count[i]]
        spacings.append(nearest_distances(here))
    if spacings:
        spacing = float(np.median(np.concatenate(spacings)))
        return SHARE_OF_SPACING * spacing, "half the median spacing of the detections"
    diagonal = float(np.linalg.norm(np.ptp(position, axis=0))) if len(position) else 0.0
    return diagonal or 1.0, "no frame has two detections to learn a spacing from"


def label_under(mask: NDArray[np.integer], position_px: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the label of the pixel that each point lies in, 0 for background and outside of the mask.

    Parameters
    ----------
    mask : ([z,] y, x) integer array
        Label of each pixel; pixel k reaches from k - 0.5 to k + 0.5.
    position_px : (n, ndim) float64
        Points.
    """
    inside = np.all((position_px >= -0.5) & (position_px < np.array(mask.shape) - 0.5), axis=1)
    pixel = np.floor(position_px[inside] + 0.5).astype(np.int64)
    label = np.zeros(len(position_px), dtype=np.int64)
    label[inside] = mask[tuple(pixel.T)]
    return label


def _shared_frames(a: Places, b: Places) -> Iterator[tuple[slice, slice]]:
    """Yield the rows of each frame in which both have cells."""
    frames = np.intersect1d(a.frame, b.frame)
    bounds = [np.searchsorted(side.frame, [frames, frames + 1]).T.tolist() for side in (a, b)]
    for mine, theirs in zip(*bounds, strict=True):
        yield slice(*mine), slice(*theirs)


def _near(
    here: NDArray[np.float64], there: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return all pairs of points within a radius, and their distances."""
    tree, other = KDTree(here), KDTree(there)
    n_pairs = int(tree.count_neighbors(other, radius)) if len(here) * len(there) > MOST_PAIRS else 0
    if n_pairs > MOST_PAIRS:
        raise ConfigError(
            f"within {radius:.4g} of each other {n_pairs:,} cells and detections of one frame could be the same",
            **{"try": "a smaller --match-distance"},
        )
    near = tree.sparse_distance_matrix(other, radius, output_type="ndarray")
    return near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"]
