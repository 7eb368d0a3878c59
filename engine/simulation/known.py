"""Cells of a known lineage: where they are and whose daughters they are is read, how they look is simulated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigError, FormatError
from ...storage.catalogue import TRUTH
from ...storage.formats import open_source
from ...storage.schema import Detections
from ...storage.writers.ctc import split_at_gaps
from ..candidates import nearest_distances
from ..imports.labelled import links_of
from ..lineages import label_lineages
from ..measure import measure
from ..progress import Progress, Silent
from .life import Scene
from .looks import Looks, inherited
from .movie import SimulatedMovie
from .settings import MOST_PX, RADIUS_PX, Purpose, require, stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.formats.base import LabelLineage, Source, SourceOptions
    from .settings import Drawing

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

SHARE = 0.45  # of the distance of nearest neighbours that the radius of a cell is
STEADY = (0.67, 1.5)  # a frame's cells are this much smaller or larger than the movie's at most


@dataclass(frozen=True, slots=True, eq=False)
class KnownCells:
    """Cells of a known lineage, ordered by frame: a `Cast` to be drawn.

    Parameters
    ----------
    shape : tuple of int
        Size of the frames in pixels, axes ``([z,] y, x)``.
    n_frames : int
        Frames of the movie.
    begin : (n_frames + 1,) int64
        First row of each frame.
    position : (n, d) float64
        Centres in pixels along x.
    radius_of : (n_frames,) float64
        Radius of the cells of each frame, in the same unit.
    track : (n,) int64
        Number of the track of each, from 1 in the order in which tracks begin; it has a cell in each of its frames.
    parent : (n,) int64
        Row of the same cell, or of its mother, in the last frame that has it; -1: none.
    is_daughter : (n,) bool
        True where the parent has several such rows.
    seed : int
        Looks hang on it.
    about : str
        Where they come from.
    """

    shape: tuple[int, ...]
    n_frames: int
    begin: Ints
    position: Floats
    radius_of: Floats
    track: Ints
    parent: Ints
    is_daughter: NDArray[np.bool_]
    seed: int
    about: str

    @property
    def radius(self) -> float:
        """Radius of a typical cell."""
        return float(np.median(self.radius_of))

    def scenes(self) -> Iterator[tuple[Scene, float]]:
        """Tell the cells of each frame."""
        ndim = len(self.shape)
        rng = stream(self.seed, Purpose.LOOKS)
        n = len(self.track)
        has_parent = np.flatnonzero(self.parent >= 0)
        needed_until = np.full(n, -1, dtype=np.int64)  # row of the last child of each
        np.maximum.at(needed_until, self.parent[has_parent], has_parent)
        divides = np.bincount(self.parent[has_parent], minlength=n) > 1
        begins = np.ones(n, dtype=bool)
        begins[has_parent] = self.track[has_parent] != self.track[self.parent[has_parent]]
        mother = np.zeros(n, dtype=np.int64)
        born = has_parent[begins[has_parent]]
        mother[born] = self.track[self.parent[born]]

        kept = np.empty(0, dtype=np.int64)  # rows whose children are still to come, and how those cells look
        looks = Looks(np.empty((0, 0)), np.empty((0, 3, 3)))
        for frame in range(self.n_frames):
            rows = np.arange(self.begin[frame], self.begin[frame + 1])
            place = np.searchsorted(kept, self.parent[rows])
            parent = np.where(self.parent[rows] >= 0, place, -1)
            now = inherited(looks, parent, self.is_daughter[rows], ndim, rng)
            kept, looks = _kept(kept, looks, rows, now, needed_until, int(self.begin[frame + 1]))
            radius = self.radius_of[frame]
            scene = Scene(
                position=self.position[rows],
                radius=np.full(len(rows), radius),
                looks=now,
                divides=divides[rows],
                dies=np.zeros(len(rows), dtype=bool),
                track=self.track[rows],
                mother=mother[rows],
            )
            yield scene, 0.0  # cells keep their shape: how crowded they are is no choice of ours


def _kept(kept: Ints, looks: Looks, rows: Ints, now: Looks, needed_until: Ints, end: int) -> tuple[Ints, Looks]:
    """Return the rows whose children are still to come, and their looks."""
    old, new = needed_until[kept] >= end, needed_until[rows] >= end
    if not len(kept):
        return rows[new], Looks(now.traits[new], now.turn[new])
    return (
        np.concatenate([kept[old], rows[new]]),
        Looks(np.concatenate([looks.traits[old], now.traits[new]]), np.concatenate([looks.turn[old], now.turn[new]])),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """A lineage to draw on, and how to lay it on the grid.

    Parameters
    ----------
    path : Path
        A file or folder of any format that can be imported, with a lineage.
    file_format : str
        ``auto`` or the name of a format.
    options : SourceOptions
        What the user says about it: columns, links, truth, voxel size.
    zoom : float
        Pixels of the movie for each pixel of the source.
    radius_px : float or None
        Radius of the cells along x; None: from the distance of neighbours.
    frames : int or None
        As many from the first one on; None: all.
    """

    path: Path
    options: SourceOptions
    file_format: str = "auto"
    zoom: float = 1.0
    radius_px: float | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        require("zoom", self.zoom, 0.001, 1000)
        if self.radius_px is not None:
            require("radius", self.radius_px, 0.1, 1000)
        if self.frames is not None:
            require("frames", self.frames, 1, np.inf)


def simulate_on(known: Known, drawing: Drawing, *, progress: Progress | None = None) -> SimulatedMovie:
    """Return a movie of the cells of a real lineage, to be iterated a frame at a time.

    Positions and descent are those of the source; all else is drawn as in `simulate`. Detections that the lineage does
    not name are left out. A track that skips frames becomes two, the second with the first as its parent. A cell of
    several mothers begins anew, as an image cannot show whose texture it has.

    Parameters
    ----------
    known : Known
        Where the lineage is.
    drawing : Drawing
        How it is drawn; voxel size and frame interval are the source's, the former divided by the zoom.
    progress : Progress
        Who is told what was left out or moved.

    Raises
    ------
    FormatError
        If the source cannot be read, or tells no lineage.
    ConfigError
        If the movie would be too large, or the settings do not fit it.
    """
    progress = progress or Silent()
    source = open_source(known.path, known.file_format, known.options)
    for note in source.notes:
        progress.note(note)
    drawing = replace(
        drawing,
        scale_um=None if source.scale_um is None else tuple(s / known.zoom for s in source.scale_um),
        interval_s=source.interval_s,
    )
    pitch = np.array(drawing.pitch(source.ndim))
    n_frames = min(source.n_frames, known.frames or source.n_frames)
    lineage = _up_to(_lineage_of(source, known.path), n_frames)
    detections = _detections(source, n_frames)
    links = links_of(lineage, detections)
    if len(detections) > len(links.row):
        progress.note(f"{len(detections) - len(links.row)} detections are in no lineage and left out")
    if links.n_merges:
        progress.note(f"cells of several mothers, drawn as new ones: {links.n_merges}")
    if not len(links.row):
        raise FormatError(f"{known.path} has no cell to draw", expected="detections that its lineage names")

    voxel = known.zoom * (detections.position_px[links.row] + 0.5) - 0.5
    shape, shift = _grid(source, known, voxel, progress)
    frame, position = detections.frame[links.row], (voxel + shift) * pitch
    begin = np.searchsorted(frame, np.arange(n_frames + 1))
    source_row, target_row = (np.searchsorted(links.row, end[~links.merge]) for end in (links.source, links.target))
    track, parent, is_daughter = _tracks(frame, source_row, target_row)
    told = (
        f"cells drawn on the lineage {lineage.name} of {known.path.name} ({len(frame)} positions, zoom {known.zoom:g}"
    )
    cells = KnownCells(
        shape=shape,
        n_frames=n_frames,
        begin=begin,
        position=position,
        radius_of=_radii(position, begin, known.radius_px),
        track=track,
        parent=parent,
        is_daughter=is_daughter,
        seed=drawing.seed,
        about=told + (f", moved by {shift.astype(int).tolist()} pixels)" if shift.any() else ")"),
    )
    return SimulatedMovie(drawing, cells)


def _lineage_of(source: Source, path: Path) -> LabelLineage:
    """Return the truth of a source, or else its first lineage."""
    chosen = next((found for found in source.lineages if found.name == TRUTH), next(iter(source.lineages), None))
    if chosen is None:
        raise FormatError(
            f"{path} tells no lineage",
            expected="a column of tracks or parents, a table of links, or a file of tracks",
            **{"try": "--columns, --links or --truth, or --format"},
        )
    if chosen.masks:
        raise ConfigError(
            f"the truth of {path} has masks of its own", **{"try": f"--on {chosen.masks[0].parent}: draw on these"}
        )
    return chosen


def _up_to(lineage: LabelLineage, n_frames: int) -> LabelLineage:
    """Return the part of a lineage that lies in the first frames."""
    kept = lineage.frame < n_frames
    row = np.cumsum(kept) - 1
    link = kept[lineage.target]  # the source is earlier
    return replace(
        lineage,
        frame=lineage.frame[kept],
        label=lineage.label[kept],
        source=row[lineage.source[link]],
        target=row[lineage.target[link]],
    )


def _detections(source: Source, n_frames: int) -> Detections:
    """Read the positions of the first frames, those of masks by measuring them."""
    frames, labels, positions = [], [], []
    for batch in source.frames():
        if batch.frame >= n_frames:
            break
        if batch.points is not None:
            label, position = batch.points.label, batch.points.position_px
        elif batch.mask is not None:
            regions = measure(batch.mask)
            label, position = regions.label, regions.centroid_px
        frames.append(np.full(len(label), batch.frame))
        labels.append(label)
        positions.append(position)
    frame = np.concatenate([np.empty(0, dtype=np.int64), *frames])
    position = np.concatenate([np.empty((0, source.ndim)), *positions])
    label = np.concatenate([np.empty(0, dtype=np.int64), *labels])
    return Detections(np.arange(len(frame)), frame, position, label, np.full(len(frame), np.nan), None)


def _grid(source: Source, known: Known, voxel: Floats, progress: Progress) -> tuple[tuple[int, ...], Floats]:
    """Return the size of the frames, and by how many pixels cells are moved: as far as brings all of them in."""
    shift = np.ceil(np.maximum(0.0, -voxel.min(axis=0)))
    if shift.any():
        progress.note(f"positions are moved by {shift.astype(int).tolist()} pixels, so that none is negative")
    size = np.floor((voxel + shift).max(axis=0) + 0.5).astype(np.int64) + 1
    if source.shape_px is not None:
        size = np.maximum(size, np.ceil(known.zoom * np.array(source.shape_px)).astype(np.int64))
    if np.prod(size.astype(np.float64)) > MOST_PX:
        raise ConfigError(
            f"a frame would have {' x '.join(map(str, size))} pixels",
            expected=f"{MOST_PX:,} at most",
            **{"try": "--zoom"},
        )
    return tuple(size.tolist()), shift


def _tracks(frame: Ints, source: Ints, target: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return the track of each cell, the row of its parent, and whether that one has other children."""
    parent = np.full(len(frame), -1, dtype=np.int64)
    parent[target] = source
    is_daughter = np.zeros(len(frame), dtype=bool)
    is_daughter[target] = np.bincount(source, minlength=len(frame))[source] > 1
    labels = label_lineages(frame, source, target)
    tracks, label = split_at_gaps(frame, labels.track_id - 1, labels.tracks.parent - 1)
    number = np.empty(len(tracks) + 1, dtype=np.int64)
    number[tracks.label[np.argsort(tracks.first, kind="stable")]] = np.arange(len(tracks)) + 1
    return number[label], parent, is_daughter


def _radii(position: Floats, begin: Ints, radius_px: float | None) -> Floats:
    """Return the radius of the cells of each frame, from the distance of neighbours there."""
    n_frames = len(begin) - 1
    if radius_px is not None:
        return np.full(n_frames, radius_px)
    distance = np.full(n_frames, np.nan)
    for frame in range(n_frames):
        there = position[begin[frame] : begin[frame + 1]]
        if len(there) > 1:
            distance[frame] = np.median(nearest_distances(there))
    known = distance[distance > 0]
    if not len(known):
        return np.full(n_frames, RADIUS_PX)
    usual = float(np.median(known))
    return SHARE * np.clip(np.where(distance > 0, distance, usual), STEADY[0] * usual, STEADY[1] * usual)
