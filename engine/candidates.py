"""Candidate edges: for every cell its nearest possible parents within a radius, a frame at a time.

The radius comes from the data (`radius_from`); its rule and the figures behind it stand in
``docs/design/0002-the-link-radius.md``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.spatial import KDTree

from ..errors import ConfigError
from ..storage.schema import CandidateEdges
from .grid import Grid, nearest_by_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.schema import Detections

log = logging.getLogger(__name__)

STEPS = 5.25  # radius in median steps of a cell, and
SPACINGS = 1.75  # in median distances between neighbours: whichever is larger
CROWDED = 0.4  # median step, as a share of the median spacing, from which on neighbours are easily mistaken for a cell
FEW = 8  # fewer steps or distances than this tell nothing
SAMPLE_FRAMES = 24  # frame pairs that the radius is read from


@dataclass(frozen=True, slots=True)
class LinkRadius:
    """How far a cell may go in one frame, and how that was found.

    Parameters
    ----------
    radius : float
        Largest distance of a candidate, micrometres (pixels where the voxel size is not known).
    step : float or None
        Median distance between cells of successive frames that are each other's nearest; None if there were too few.
    spacing : float or None
        Median distance from a cell to the nearest other cell of its frame; None if there were too few.
    how : str
        The rule that gave the radius, for people.
    """

    radius: float
    step: float | None
    spacing: float | None
    how: str

    @property
    def doubt(self) -> str | None:
        """What makes the radius, and all that is learned from such steps, doubtful; None where nothing does."""
        if self.spacing == 0:
            return "most cells stand at the very place of another one of their frame: are rows given twice?"
        if self.step is None or self.spacing is None or self.step < CROWDED * self.spacing:
            return None
        return (
            f"from a frame to the next the nearest cell is {self.step / self.spacing:.0%} of a spacing away: many may "
            "be other cells. Are most cells missing in most frames, or frames left out? "
            "Give --max-distance at the first link, or more frames"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Where the rows of each occupied frame stand: frame ``number[i]`` is rows ``start[i] .. start[i + 1] - 1``."""

    number: NDArray[np.int64]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, detections: Detections) -> Frames:
        """Find the occupied frames of detections."""
        number, first = np.unique(detections.frame, return_index=True)
        return cls(number, np.append(first, len(detections)).astype(np.int64))

    def __len__(self) -> int:
        return len(self.number)

    def rows(self, i: int) -> slice:
        """Return the rows of the i-th occupied frame."""
        return slice(int(self.start[i]), int(self.start[i + 1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """One frame of possible parents, and the links found from it so far."""

    rows: slice
    tree: KDTree
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = field(default_factory=list)

    def link_to(self, position: NDArray[np.float64], first_row: int, k: int, radius: float) -> None:
        """Tie each cell of a later frame, its rows from `first_row` on, to its k nearest within the radius."""
        # the bound is exclusive: a distance that equals the radius shall pass
        bound = np.nextafter(radius, np.inf)
        answer = self.tree.query(position, k=np.arange(1, min(k, self.tree.n) + 1), distance_upper_bound=bound)
        distance, parent = np.asarray(answer[0]), np.asarray(answer[1])
        near = np.isfinite(distance)
        self.found.append((parent[near], first_row + np.nonzero(near)[0], distance[near]))

    def in_order(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return source, target and distance of the links, ordered by source, then target."""
        if not self.found:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
        parent, target, distance = (np.concatenate(column) for column in zip(*self.found, strict=True))
        # targets rise already; a counting sort by parent, which csr is, leaves them so
        size = (self.rows.stop - self.rows.start, len(parent))
        number = np.arange(len(parent))
        order = coo_array((number, (parent, number)), shape=size).tocsr().data
        return self.rows.start + parent[order].astype(np.int64), target[order], distance[order]


def link_nearest(
    detections: Detections, *, max_distance: float | None = None, neighbors: int = 10, max_gap: int = 0
) -> CandidateEdges:
    """Tie every cell to its nearest possible parents.

    Each cell gets at most `neighbors` candidates in each of the ``1 + max_gap`` frames before it: the nearest ones
    within the radius. It is the number of parents that is limited, not that of children, since a cell has one parent;
    among cells at exactly the same distance the choice is arbitrary but repeatable.

    Parameters
    ----------
    detections : Detections
        n cells.
    max_distance : float or None
        Radius in micrometres (pixels where the voxel size is not known), the same for every gap; None takes it from
        the data, see `radius_from`.
    neighbors : int
        Candidates of a cell in one frame.
    max_gap : int
        Frames that a cell may be missed for.

    Returns
    -------
    edges : CandidateEdges
        Ids are -1: the store numbers them.

    Raises
    ------
    ConfigError
        If `max_distance` is not a positive number, `neighbors` is less than 1 or `max_gap` is negative.
    """
    if max_distance is not None and not max_distance > 0:
        raise ConfigError(f"the link radius must be more than 0, got {max_distance}")
    if neighbors < 1:
        raise ConfigError(f"a cell needs at least 1 candidate, got neighbors={neighbors}")
    if max_gap < 0:
        raise ConfigError(f"max_gap is a number of frames, 0 or more, got {max_gap}")
    radius = radius_from(detections).radius if max_distance is None else float(max_distance)
    frames, position = Frames.of(detections), detections.position_um
    grid = Grid.of(position, frames.start, radius)
    if grid is None:
        source, target, distance = _nearest_by_tree(frames, position, radius, neighbors, max_gap)
    else:
        source, target, distance = nearest_by_grid(grid, frames.start, frames.number, radius, neighbors, max_gap)
    gap = detections.frame[target] - detections.frame[source]
    return CandidateEdges(np.full(len(source), -1, dtype=np.int64), source, target, gap, distance)


def edges_of(detections: Detections, source: NDArray[np.int64], target: NDArray[np.int64]) -> CandidateEdges:
    """Return edges between rows of detections, not numbered yet, with the frames and the distance that they span.

    Parameters
    ----------
    detections : Detections
        n cells.
    source, target : (m,) int64
        Their rows, ordered by source, then target, each pair once.
    """
    position = detections.position_um
    return CandidateEdges(
        id=np.full(len(source), -1, dtype=np.int64),
        source=source,
        target=target,
        frames=detections.frame[target] - detections.frame[source],
        distance=np.linalg.norm(position[target] - position[source], axis=1),
    )


def _nearest_by_tree(
    frames: Frames, position: NDArray[np.float64], radius: float, k: int, max_gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Do what `nearest_by_grid` does where many cells lie within the radius of each."""
    open_sources: dict[int, _Source] = {}  # occupied frames that a later one may still link to
    done = []
    for i, number in enumerate(frames.number.tolist()):
        for j in [j for j in open_sources if frames.number[j] < number - 1 - max_gap]:
            done.append(open_sources.pop(j).in_order())
        here = frames.rows(i)
        for earlier in open_sources.values():
            earlier.link_to(position[here], here.start, k, radius)
        open_sources[i] = _Source(frames.rows(i), _tree(position[here]))
    done += [frame.in_order() for frame in open_sources.values()]
    empty = np.empty(0, dtype=np.int64)
    source = np.concatenate([empty, *(d[0] for d in done)])
    target = np.concatenate([empty, *(d[1] for d in done)])
    distance = np.concatenate([np.empty(0), *(d[2] for d in done)])
    return source, target, distance


def radius_from(detections: Detections) -> LinkRadius:
    """Read from the data how far a cell may go in one frame.

    The larger of 5.25 median steps and 1.75 median spacings. A step is the distance between a cell and one of the next
    frame that are each other's nearest; a spacing is the distance from a cell to the nearest other one of its frame.
    With fewer than 8 of either, or where both medians are 0, the radius is the diagonal of the box around all cells, so
    that every cell is in reach; where that is 0 too, it is 1.

    Parameters
    ----------
    detections : Detections
        n cells; at most 24 pairs of successive frames, evenly spread, are looked at.

    Returns
    -------
    LinkRadius
        In micrometres, or pixels where the voxel size is not known.
    """
    frames, position = Frames.of(detections), detections.position_um
    steps, spacings = [np.empty(0)], [np.empty(0)]
    for i in spread(max(len(frames) - 1, 0), SAMPLE_FRAMES):
        here, there = position[frames.rows(i)], position[frames.rows(i + 1)]
        steps.append(_mutual_distance(here, there))
        if len(here) > 1:
            spacings.append(nearest_distances(here))
    step, spacing = (_median(np.concatenate(s)) for s in (steps, spacings))
    if step is not None and spacing is not None and max(step, spacing) > 0:
        radius, how = max(STEPS * step, SPACINGS * spacing), f"max({STEPS} steps, {SPACINGS} spacings)"
    else:
        radius = float(np.linalg.norm(np.ptp(position, axis=0))) if len(position) else 0.0
        how = f"all cells: fewer than {FEW} steps or spacings to learn from, or all of them 0"
        radius = radius or 1.0
    log.info("link radius %.4g: %s", radius, how)
    return LinkRadius(radius, step, spacing, how)


def unbridged(detections: Detections, max_gap: int) -> str | None:
    """Say where so many frames hold no cell that no candidate leads over them; None where each can be bridged.

    Parameters
    ----------
    detections : Detections
        n cells.
    max_gap : int
        Frames that candidates skip at most.
    """
    frame = np.unique(detections.frame)
    empty = np.diff(frame) - 1
    wide = np.flatnonzero(empty > max_gap)
    if not len(wide):
        return None
    holes = [f"{frame[i] + 1}" if empty[i] == 1 else f"{frame[i] + 1}-{frame[i + 1] - 1}" for i in wide[:5]]
    return (
        f"no cell goes on over the empty frames {', '.join(holes)}{', ...' if len(wide) > 5 else ''}: candidates skip "
        f"{max_gap} at most. trackdb link STORE --max-gap {empty.max()} bridges them"
    )


def density_of(detections: Detections, *, thinnest: float) -> float:
    """Return the mean number of cells in a frame for each unit of area or volume of the box around all cells.

    Parameters
    ----------
    detections : Detections
        n cells, at least one.
    thinnest : float
        Least extent of the box along any axis, so that cells on a line or a plane have a finite density.

    Returns
    -------
    float
        Cells per um^2 or um^3 and frame (per px^2 or px^3 where the voxel size is not known).
    """
    box = np.maximum(np.ptp(detections.position_um, axis=0), thinnest)
    return float(len(detections) / len(np.unique(detections.frame)) / np.prod(box))


def nearest_distances(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance from each of n >= 2 points, (n, ndim), to the nearest other one."""
    distance: NDArray[np.float64] = np.asarray(_tree(position).query(position, k=2)[0])[:, 1]
    return distance


def spread(n: int, most: int) -> NDArray[np.int64]:
    """Pick at most `most` of the numbers 0 .. n - 1, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def _tree(position: NDArray[np.float64]) -> KDTree:
    """Build a search tree quickly: unbalanced, since each is asked only a few times."""
    return KDTree(position, balanced_tree=False, compact_nodes=False)


def _mutual_distance(here: NDArray[np.float64], there: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of those points of two sets that are each other's nearest."""
    distance, forth = (np.asarray(a) for a in _tree(there).query(here))
    back = np.asarray(_tree(here).query(there)[1])
    mutual: NDArray[np.float64] = distance[back[forth] == np.arange(len(here))]
    return mutual


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if len(values) >= FEW else None
