"""The tables of the tracking graph, each a struct of arrays with one row per entry.

Rows are numbered from 0 and a row number is the only pointer between tables in memory; ``id`` arrays hold the numbers
that the store gave. Axes are always ``([z,] y, x)``. Invariants are checked once, here; past this door nobody checks
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MissingRowsError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class LinkKind(IntEnum):
    """What a link of a solution does."""

    CONTINUE = 0
    DIVIDE = 1
    MERGE = 2


def require_equal_lengths(*named: Mapping[str, NDArray[np.generic]], **columns: NDArray[np.generic]) -> None:
    """Raise SchemaError unless all columns hold the same number of rows.

    Columns whose names users or files gave come as mappings, for they may be called like one of ours.
    """
    lengths = [(name, len(column)) for part in (columns, *named) for name, column in part.items()]
    if len({length for _, length in lengths}) > 1:
        raise SchemaError("the columns of one table differ in length", got=str(dict(lengths)))


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """What is known about a dataset besides its cells.

    Parameters
    ----------
    name : str
        Its name in the store.
    n_frames : int
        Frames 0 .. n_frames - 1; some may be empty.
    ndim : int
        2 or 3 space axes.
    shape_px : tuple of int or None
        Size of the label masks in pixels, axes ``([z,] y, x)``; None for tables of points.
    scale_um : tuple of float or None
        Size of a voxel in micrometres, axes ``([z,] y, x)``; None where nobody said.
    interval_s : float or None
        Seconds from one frame to the next.
    source : str
        Where it came from.
    """

    name: str
    n_frames: int
    ndim: int
    shape_px: tuple[int, ...] | None = None
    scale_um: tuple[float, ...] | None = None
    interval_s: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.ndim not in (2, 3):
            raise SchemaError(f"a movie has 2 or 3 space axes, got {self.ndim}")
        for label, value in (("shape", self.shape_px), ("voxel size", self.scale_um)):
            if value is not None and len(value) != self.ndim:
                raise SchemaError(f"the {label} of a {self.ndim}D movie needs {self.ndim} numbers, got {value}")

    @property
    def unit(self) -> str:
        """``um`` where the voxel size is known, else ``px``."""
        return "px" if self.scale_um is None else "um"


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Cells found in the frames of one movie, ordered by frame.

    Parameters
    ----------
    id : (n,) int64
        Number of each detection in the store, strictly increasing.
    frame : (n,) int64
        Frame of each detection, never decreasing.
    position_px : (n, 2) or (n, 3) float64
        Centre of each detection in pixels, axes ``([z,] y, x)``.
    label : (n,) int64
        Label in the mask, or id in the user's table; unique within a frame.
    area : (n,) float64
        Pixels or voxels of each detection, NaN where it is a point.
    scale_um : tuple of float or None
        Size of a voxel in micrometres, axes ``([z,] y, x)``.

    Raises
    ------
    SchemaError
        If the arrays do not fit together, ids do not increase, or frames are not in order.
    """

    id: NDArray[np.int64]
    frame: NDArray[np.int64]
    position_px: NDArray[np.float64]
    label: NDArray[np.int64]
    area: NDArray[np.float64]
    scale_um: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require_equal_lengths(
            id=self.id, frame=self.frame, position_px=self.position_px, label=self.label, area=self.area
        )
        if self.position_px.ndim != 2 or self.position_px.shape[1] not in (2, 3):
            raise SchemaError(f"position_px must be (n, 2) or (n, 3), got {self.position_px.shape}")
        if np.any(np.diff(self.frame) < 0):
            raise SchemaError("detections must be ordered by frame")
        if np.any(np.diff(self.id) <= 0):
            raise SchemaError("detection ids must increase")
        if self.scale_um is not None and len(self.scale_um) != self.ndim:
            raise SchemaError(f"the voxel size needs {self.ndim} numbers, got {self.scale_um}")

    def __len__(self) -> int:
        return len(self.id)

    @property
    def ndim(self) -> int:
        """Number of space axes, 2 or 3."""
        return int(self.position_px.shape[1])

    @property
    def equivalent_diameter_px(self) -> NDArray[np.float64]:
        """(n,) Diameter in pixels of the disc (2D) or ball (3D) of the same area or volume; NaN for points."""
        if self.ndim == 2:
            return np.sqrt(4 * self.area / np.pi)
        return np.cbrt(6 * self.area / np.pi)

    @property
    def position_um(self) -> NDArray[np.float64]:
        """Centres in micrometres; in pixels where the voxel size is not known."""
        return self.position_px if self.scale_um is None else self.position_px * np.array(self.scale_um)

    def between(self, first: int, stop: int) -> Detections:
        """Return the rows from `first` to below `stop`."""
        return self.take(slice(first, stop))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Detections:
        """Return the detections at increasing `rows`, or where `rows` is True."""
        return Detections(
            id=self.id[rows],
            frame=self.frame[rows],
            position_px=self.position_px[rows],
            label=self.label[rows],
            area=self.area[rows],
            scale_um=self.scale_um,
        )

    def row_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each id.

        Raises
        ------
        SchemaError
            If an id is not among the detections.
        """
        return rows_of(self.id, ids, "detection")


@dataclass(frozen=True, slots=True, eq=False)
class CandidateEdges:
    """Links that a cell could take, from one frame to a later one, ordered by (frame of source, source, target).

    Parameters
    ----------
    id : (m,) int64
        Number of each edge in the store; -1 while it has none.
    source, target : (m,) int64
        Rows of the detections that each edge ties; the source is the earlier one.
    frames : (m,) int64
        Frames from source to target, 1 or more.
    distance : (m,) float64
        Distance of the two centres in micrometres (pixels where the voxel size is not known).
    """

    id: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    frames: NDArray[np.int64]
    distance: NDArray[np.float64]

    def __post_init__(self) -> None:
        require_equal_lengths(
            id=self.id, source=self.source, target=self.target, frames=self.frames, distance=self.distance
        )
        if np.any(self.frames < 1):
            raise SchemaError("an edge runs forward in time, at least one frame")
        step = np.diff(self.source)
        if np.any(step < 0) or np.any(np.diff(self.target)[step == 0] <= 0):
            raise SchemaError("edges must be ordered by source, then target, each pair once")

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> CandidateEdges:
        """Return the edges at increasing `rows`, or where `rows` is True."""
        return CandidateEdges(
            self.id[rows], self.source[rows], self.target[rows], self.frames[rows], self.distance[rows]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Tracklets of a solution, one row each, ordered by `pre`.

    A tracklet is a path of links without a division. `pre` numbers the tracklets in the order of a walk down each
    lineage tree, a mother before her daughters, so that all descendants of a tracklet are exactly those with a number
    in ``pre .. last``.

    Parameters
    ----------
    id, pre, last : (k,) int64
        Number of the tracklet (from 1), its place in the walk (from 0), and the last place in its subtree.
    parent, lineage : (k,) int64
        Number of the mother tracklet (0: none) and of the first tracklet of its tree.
    first_frame, last_frame : (k,) int64
        Frames of its first and last cell.
    generation, n_children : (k,) int64
        Divisions since the beginning of the tree, and daughters.
    """

    id: NDArray[np.int64]
    pre: NDArray[np.int64]
    last: NDArray[np.int64]
    parent: NDArray[np.int64]
    lineage: NDArray[np.int64]
    first_frame: NDArray[np.int64]
    last_frame: NDArray[np.int64]
    generation: NDArray[np.int64]
    n_children: NDArray[np.int64]

    def __post_init__(self) -> None:
        require_equal_lengths(
            id=self.id,
            pre=self.pre,
            last=self.last,
            parent=self.parent,
            lineage=self.lineage,
            first_frame=self.first_frame,
            last_frame=self.last_frame,
            generation=self.generation,
            n_children=self.n_children,
        )

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """What proves a solution: the price of the in-port of each detection in the matching, cells and others.

    Parameters
    ----------
    detection : (k,) int64
        Ids of detections.
    dual : (k,) float64
        Their prices, at most 0; they give the lower bound again in one pass over the edges, and open a linker.
    """

    detection: NDArray[np.int64]
    dual: NDArray[np.float64]

    def __post_init__(self) -> None:
        require_equal_lengths(detection=self.detection, dual=self.dual)


@dataclass(frozen=True, slots=True, eq=False)
class SolutionTable:
    """One tracking of a detection set: which detections are cells, which edges are links, and the labels on them.

    Parameters
    ----------
    node : (n,) int64
        Ids of the detections that are part of it.
    track_id, pre : (n,) int64
        Tracklet of each of them, and its place in the walk (see `Tracks`).
    edge : (m,) int64
        Ids of its links.
    kind : (m,) int64
        A `LinkKind` each.
    tracks : Tracks
        Its tracklets.
    prices : Prices or None
        Prices that prove it, where its solver knows any.
    """

    node: NDArray[np.int64]
    track_id: NDArray[np.int64]
    pre: NDArray[np.int64]
    edge: NDArray[np.int64]
    kind: NDArray[np.int64]
    tracks: Tracks
    prices: Prices | None = None

    def __post_init__(self) -> None:
        require_equal_lengths(node=self.node, track_id=self.track_id, pre=self.pre)
        require_equal_lengths(edge=self.edge, kind=self.kind)


def row_of_cell(sorted_ids: NDArray[np.int64], cell: int) -> int:
    """Return the row of a cell that a person names among detections, by their strictly increasing ids.

    Raises
    ------
    MissingRowsError
        If there is no such cell.
    """
    row = int(np.searchsorted(sorted_ids, cell))
    if row == len(sorted_ids) or sorted_ids[row] != cell:
        raise MissingRowsError(f"there is no cell {cell} among these detections")
    return row


def rows_of(sorted_ids: NDArray[np.int64], ids: NDArray[np.int64], what: str) -> NDArray[np.int64]:
    """Return the row of each id in a strictly increasing column of ids.

    Raises
    ------
    SchemaError
        If an id is not in the column.
    """
    if not len(ids):
        return np.empty(0, dtype=np.int64)
    rows: NDArray[np.int64]
    if len(sorted_ids) and sorted_ids[-1] - sorted_ids[0] + 1 == len(sorted_ids):
        rows = ids - sorted_ids[0]  # ids without a hole: an offset, no search
        known = (rows >= 0) & (rows < len(sorted_ids))
    else:
        rows = np.searchsorted(sorted_ids, ids).astype(np.int64, copy=False)
        inside = rows < len(sorted_ids)
        known = np.zeros(len(ids), dtype=bool)
        known[inside] = sorted_ids[rows[inside]] == ids[inside]
    if not known.all():
        raise SchemaError(f"{what} {ids[~known][0]} is unknown", missing=f"{np.count_nonzero(~known)} of {len(ids)}")
    return rows
