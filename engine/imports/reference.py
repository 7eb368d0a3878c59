"""Another tracking of a movie in the store, told by any file: which of our detections its cells are.

Masks are matched by overlap, a frame of both in memory at a time; points by their place, by the mask that they lie in,
or by their distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, FormatError, SchemaError
from ...storage.arrays import read_frame
from ...storage.formats import open_source
from ...storage.formats.base import SourceOptions
from ...storage.formats.ctc import find_folders, find_sequences
from ...storage.formats.track_file import NAMES, find_track_file
from ..measure import measure
from ..progress import Progress, Silent
from .labelled import coverage, one_each, rows_of_cells
from .pairing import NO_ROW, Places, at_the_same_place, label_under, pair_within, radius_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.formats.base import FrameBatch, LabelLineage, Source
    from ...storage.schema import Detections, Movie

    MaskOf = Callable[[int], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class MatchedTracking:
    """A tracking told by a file, and the detections that its cells are.

    Parameters
    ----------
    lineage : LabelLineage
        n cells and the links between them.
    covered_by : (n,) int64
        Row of the detection that each cell lies on, `NO_ROW` for none. One detection may be several cells.
    row : (n,) int64
        The same with each detection once: of several cells it is the one that it fits best.
    """

    lineage: LabelLineage
    covered_by: NDArray[np.int64]
    row: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Cells of a source, and what each of them is.

    Parameters
    ----------
    frame, label : (k,) int64
        Names of the cells.
    row : (k,) int64
        Row of the detection that each lies on, `NO_ROW` for none.
    misfit : (k,) float64
        How badly it fits: of several cells on one detection the one that fits best is that detection.
    """

    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    row: NDArray[np.int64]
    misfit: NDArray[np.float64]


def read_tracking(
    path: Path,
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    *,
    file_format: str = "auto",
    options: SourceOptions | None = None,
    match_distance: float | None = None,
    progress: Progress | None = None,
) -> MatchedTracking:
    """Read a tracking of the same movie, and find the detections that its cells are.

    Parameters
    ----------
    path : Path
        Any file or folder that trackdb reads and that tells of links. Of a data set of the challenge it is the truth.
    store, chosen, detections
        The store, the detection set, and its n detections.
    file_format : str
        ``auto`` or the name of a format.
    options : SourceOptions
        What the user says about the file.
    match_distance : float or None
        Largest distance between a cell and its detection where they are points, in micrometres (pixels without a voxel
        size); half the median spacing if not given. With masks on one side: for points that lie in none.
    progress : Progress
        Who is told how cells were matched.

    Raises
    ------
    FormatError
        If there is nothing, no tracking, or one of another movie.
    ConfigError
        If the options do not fit it.
    """
    progress = progress or Silent()
    if match_distance is not None and not 0 < match_distance < float("inf"):
        raise ConfigError("--match-distance must be positive", got=f"{match_distance:g}")
    place, source, lineage = open_tracking(
        path, chosen.movie, file_format=file_format, options=options, progress=progress
    )
    matches = _matched(source, place.name, _Ours.of(store, chosen, detections), match_distance, progress)
    cell = rows_of_cells(lineage, matches.frame, matches.label)
    known = cell >= 0
    covered_by = np.full(len(cell), NO_ROW, dtype=np.int64)
    covered_by[known] = matches.row[cell[known]]
    found = np.flatnonzero(covered_by != NO_ROW)
    best = found[one_each(covered_by[found], matches.misfit[cell[found]])]
    row = np.full(len(cell), NO_ROW, dtype=np.int64)
    row[best] = covered_by[best]
    if not len(best):
        progress.note(f"{place.name}: none of its {len(row):,} cells is at a detection of {chosen.movie.name}")
    return MatchedTracking(lineage, covered_by, row)


def open_tracking(
    path: Path,
    movie: Movie,
    *,
    file_format: str = "auto",
    options: SourceOptions | None = None,
    progress: Progress,
) -> tuple[Path, Source, LabelLineage]:
    """Return where a tracking of a movie is told, the source there, and the tracking over the source's own cells.

    Raises
    ------
    FormatError
        If there is nothing, no tracking, or one of another movie.
    """
    options = options or SourceOptions()
    place = tracking_at(path, options.sequence)
    source = open_source(place, file_format, replace(options, alone=True))
    for note in source.notes:
        progress.note(note)
    lineage = _own_lineage(source, place)
    _require_same_movie(source, place, movie)
    return place, source, lineage


def tracking_at(path: Path, sequence: str | None = None) -> Path:
    """Return where the tracking of a path is told.

    That is the path itself, but for a track file, whose folder it is, and a data set of the challenge, whose truth it
    is, else its result.
    """
    if path.is_file():
        return path.parent if path.name in NAMES else path
    if path.is_dir() and find_track_file(path) is None and find_sequences(path):
        folders = find_folders(path, sequence)
        return folders.truth or folders.result or path
    return path


def _own_lineage(source: Source, path: Path) -> LabelLineage:
    """Return the tracking over a source's own cells."""
    own = [lineage for lineage in source.lineages if not lineage.masks]
    if not own:
        raise FormatError(f"{path} tells of no tracking", expected="links, parents, tracks, or a track file")
    if not len(own[0].label):
        raise FormatError(f"{path} tells of no cells", expected="a tracking with one cell at least")
    return own[0]


def _require_same_movie(source: Source, path: Path, movie: Movie) -> None:
    """Raise FormatError if a source cannot be about the same movie."""

    def refuse(what: str, expected: object, got: object, **more: str) -> None:
        raise FormatError(f"{path} has {what} than dataset {movie.name}", expected=str(expected), got=str(got), **more)

    if source.ndim != movie.ndim:
        refuse("other axes", f"{movie.ndim}D", f"{source.ndim}D")
    if source.n_frames > movie.n_frames:
        refuse("more frames", movie.n_frames, source.n_frames, **{"try": "--frames START:STOP:STEP"})


@dataclass(frozen=True, slots=True, eq=False)
class _Ours:
    """What the cells of a source are matched with.

    Parameters
    ----------
    movie : Movie
        The dataset.
    detections : Detections
        Its detections.
    begin : (n_frames + 1,) int64
        First row of each frame.
    mask_of : callable or None
        Gives the label mask of a frame; None where the detections are points.
    """

    movie: Movie
    detections: Detections
    begin: NDArray[np.int64]
    mask_of: MaskOf | None

    @classmethod
    def of(cls, store: DuckDBStore, chosen: DetectionSet, detections: Detections) -> _Ours:
        """Find the masks of a detection set."""
        refs = [ref for ref in store.arrays(chosen) if ref.kind == "masks"]
        begin = np.searchsorted(detections.frame, np.arange(chosen.movie.n_frames + 1))
        mask_of = (lambda frame: read_frame(store.path, refs[0], frame)) if refs else None
        return cls(chosen.movie, detections, begin, mask_of)

    def rows(self, frame: int) -> slice:
        """Return the rows of a frame."""
        return slice(int(self.begin[frame]), int(self.begin[frame + 1]))

    def rows_of(self, frame: int, label: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each label of a frame, `NO_ROW` for 0 and for what is no detection."""
        here = self.rows(frame)
        labels = self.detections.label[here]
        row = np.full(len(label), NO_ROW, dtype=np.int64)
        if len(labels):
            order = np.argsort(labels)
            place = np.minimum(np.searchsorted(labels, label, sorter=order), len(labels) - 1)
            hit = (labels[order[place]] == label) & (label > 0)
            row[hit] = here.start + order[place[hit]]
        return row


def _matched(source: Source, name: str, ours: _Ours, match_distance: float | None, progress: Progress) -> Matches:
    """Match all cells of a source."""
    ratio = pixels_of_ours(source, name, ours.movie, progress)
    frames: list[Matches] = []
    positions: list[NDArray[np.float64]] = []
    has_masks = ours.mask_of is not None
    progress.start(f"matching {name}", source.n_frames)
    for batch in source.frames():
        if batch.points is not None:
            positions.append(batch.points.position_px * ratio)
            frames.append(_points_in_masks(batch.frame, batch.points.label, positions[-1], ours))
        else:
            has_masks = True
            require_as_many(source, name, ours.movie)
            if ours.mask_of is not None:
                frames.append(_masks_on_masks(batch, ours, ours.mask_of(batch.frame), name))
            else:
                matches, centre = _masks_around_points(batch, ours, ratio)
                frames.append(matches)
                positions.append(centre)
        progress.advance()
    nothing = np.empty(0, dtype=np.int64)
    columns = ("frame", "label", "row", "misfit")
    found = Matches(*(np.concatenate([nothing, *(getattr(f, column) for f in frames)]) for column in columns))
    if not positions:
        if match_distance is not None:
            raise ConfigError(f"--match-distance: {name} has masks as the detections have, which need none")
        return found
    places = Places(found.frame, found.label, np.concatenate(positions))
    found = _at_the_same_place(found, places, ours.detections)
    if not has_masks or match_distance is not None:
        found = _within(found, places, ours.detections, match_distance, name, progress)
    return found


def pixels_of_ours(source: Source, name: str, movie: Movie, progress: Progress) -> NDArray[np.float64]:
    """Return how many of our pixels a pixel of the source is, along each axis."""
    theirs, own = source.scale_um, movie.scale_um
    if theirs is not None and own is not None:
        return np.divide(theirs, own, dtype=np.float64)
    if own is not None:
        progress.note(f"{name}: no voxel size is known, so its positions are taken for pixels")
    return np.ones(source.ndim)


def require_as_many(source: Source, name: str, movie: Movie) -> None:
    """Raise FormatError unless masks come for every frame of the movie."""
    if source.n_frames != movie.n_frames:
        raise FormatError(
            f"{name} has masks of other frames than dataset {movie.name}",
            expected=f"{movie.n_frames} frames",
            got=f"{source.n_frames} frames",
            **{"try": "--frames START:STOP:STEP"},
        )


def _masks_on_masks(batch: FrameBatch, ours: _Ours, mask: NDArray[Any], name: str) -> Matches:
    """Match by overlap: a detection is a cell if it covers more than half of it."""
    theirs = mask_of(batch)
    if theirs.shape != mask.shape:
        raise FormatError(
            f"{name}: the mask of frame {batch.frame} has another size than that of the detections",
            expected=str(mask.shape),
            got=str(theirs.shape),
        )
    found = coverage(theirs, mask)
    row = ours.rows_of(batch.frame, found.by)
    return Matches(_frame(batch.frame, row), found.label, row, -found.overlap.astype(np.float64))


def _masks_around_points(
    batch: FrameBatch, ours: _Ours, ratio: NDArray[np.float64]
) -> tuple[Matches, NDArray[np.float64]]:
    """Match by the mask that a detection lies in: of several in one cell the one next to its centre.

    The centres of the cells in our pixels are returned too.
    """
    here = ours.rows(batch.frame)
    position = ours.detections.position_px[here] / ratio
    regions = measure(mask_of(batch))
    under = label_under(mask_of(batch), position)
    inside = np.flatnonzero(under > 0)
    cell = np.searchsorted(regions.label, under[inside])
    distance = np.linalg.norm(position[inside] - regions.centroid_px[cell], axis=1)
    best = one_each(cell, distance)
    row = np.full(len(regions), NO_ROW, dtype=np.int64)
    row[cell[best]] = here.start + inside[best]
    return Matches(_frame(batch.frame, row), regions.label, row, np.zeros(len(row))), regions.centroid_px * ratio


def _points_in_masks(frame: int, label: NDArray[np.int64], position: NDArray[np.float64], ours: _Ours) -> Matches:
    """Match by the mask that a cell lies in; where the detections are points nothing is matched yet."""
    row, misfit = np.full(len(label), NO_ROW, dtype=np.int64), np.zeros(len(label))
    if ours.mask_of is not None and len(label):
        row = ours.rows_of(frame, label_under(ours.mask_of(frame), position))
        lies = row != NO_ROW
        misfit[lies] = np.linalg.norm(position[lies] - ours.detections.position_px[row[lies]], axis=1)
    return Matches(_frame(frame, label), label, row, misfit)


def _at_the_same_place(found: Matches, places: Places, detections: Detections) -> Matches:
    """Match the cells that are at the very place of a detection, whatever they were matched with before."""
    same = at_the_same_place(places, Places.of(detections))
    row = np.where(same != NO_ROW, same, found.row)
    return replace(found, row=row, misfit=np.where(same != NO_ROW, -1.0, found.misfit))  # nothing fits better


def _within(
    found: Matches,
    places: Places,
    detections: Detections,
    match_distance: float | None,
    name: str,
    progress: Progress,
) -> Matches:
    """Match by distance what is left of both sides."""
    if not np.any(found.row == NO_ROW):
        return found
    radius, how = (match_distance, "given") if match_distance is not None else radius_of(detections)
    unit = "px" if detections.scale_um is None else "um"
    progress.note(f"{name}: cells are matched to detections within {radius:.4g} {unit}: {how}")
    free = np.ones(len(detections), dtype=bool)
    free[found.row[found.row != NO_ROW]] = False
    left, rest = np.flatnonzero(found.row == NO_ROW), np.flatnonzero(free)
    pairs = pair_within(places.take(left), Places.of(detections).take(rest), radius, detections.scale_um)
    row = found.row.copy()
    row[left[pairs != NO_ROW]] = rest[pairs[pairs != NO_ROW]]
    return replace(found, row=row)


def mask_of(batch: FrameBatch) -> NDArray[np.integer]:
    """Return the mask of a frame that has one."""
    if batch.mask is None:
        raise SchemaError(f"frame {batch.frame} has no mask")
    return batch.mask


def _frame(frame: int, like: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frame of each of some cells."""
    return np.full(len(like), frame, dtype=np.int64)
