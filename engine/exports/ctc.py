"""A solution as a result folder of the Cell Tracking Challenge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ...storage.arrays import read_frame
from ...storage.writers.ctc import relabel, require_sixteen_bits, split_at_gaps, write_ctc
from ...storage.writers.paint import paint_points
from ..candidates import nearest_distances
from ..progress import Progress, Silent
from .base import ExportReport, require_nothing_at, what_is_lost
from .tracking import Tracking, tracking_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.arrays import ArrayRef
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections

MARKER_SHARE = 0.3  # radius of a painted point as a share of the distance to its nearest neighbour: they do not touch
MOST_PIXELS = 4e9  # of one painted mask: 8 GB
MARKER_PX = (1.0, 8.0)  # smallest and largest radius


def export_ctc(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    folder: Path,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a solution as a result folder of the Cell Tracking Challenge.

    Gaps split tracklets, since the challenge wants a cell in every frame of a track. Points are painted as discs or
    balls.

    Raises
    ------
    FormatError
        If there are more tracks than 16 bits can number, or the folder exists.
    """
    started = time.perf_counter()
    progress = progress or Silent()
    require_nothing_at(folder)
    tracking = tracking_of(store, chosen, info)
    frame, parents = tracking.cells.frame, tracking.tracks.parent - 1  # numbers from 1: less one is a row
    tracks, label = split_at_gaps(frame, tracking.track - 1, parents)
    require_sixteen_bits(len(tracks))
    notes = _lost(tracking)
    for note in notes:
        progress.note(note)
    n_files = 0
    if not dry_run:
        masks = [ref for ref in store.arrays(chosen) if ref.kind == "masks"]
        progress.start("masks", chosen.movie.n_frames)
        if masks:
            frames = _relabelled(store, masks[0], tracking.cells, label, progress)
        else:
            frames = _painted(tracking, label, progress)
        n_files = len(write_ctc(folder, frames, tracks, chosen.movie.n_frames))
    seconds = time.perf_counter() - started
    n_links = len(tracking.source) - tracking.n_merges
    return ExportReport("ctc", str(folder), n_files, n_links, len(tracks), notes, seconds)


def _lost(tracking: Tracking) -> tuple[str, ...]:
    """Say what the challenge's files cannot hold."""
    notes = what_is_lost(tracking, "masks")
    if not tracking.has_masks:
        notes.append("the detections are points: each is painted as a small disc or ball around its pixel")
        if not tracking.movie.shape_px:
            shape, n_frames = _canvas(tracking), tracking.movie.n_frames
            size = f"{' x '.join(map(str, shape))} pixels, {np.prod(shape) * 2 / 1e6:,.3g} MB before compression"
            notes.append(f"the frame size is not known; masks reach to the last point: {n_frames:,} of {size}")
    return tuple(notes)


def _relabelled(
    store: DuckDBStore, ref: ArrayRef, cells: Detections, label: NDArray[np.int64], progress: Progress
) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Yield the stored masks with the labels of the tracks."""
    for frame, members in _by_frame(cells.frame, ref.shape[0]):
        yield frame, relabel(read_frame(store.path, ref, frame), cells.label[members], label[members])
        progress.advance()


def _painted(
    tracking: Tracking, label: NDArray[np.int64], progress: Progress
) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Yield masks with a marker at each point, in pixels; the corner of the points is the origin if it is negative."""
    position, movie = tracking.cells.position_px, tracking.movie
    origin = _origin(position)
    radius = marker_radius_px(tracking.cells)
    shape = movie.shape_px or _canvas(tracking)
    if origin.any():
        progress.note(f"the origin of the masks is at {tuple(origin.tolist())} pixels")
    for frame, members in _by_frame(tracking.cells.frame, movie.n_frames):
        yield frame, paint_points(shape, position[members] - origin, label[members], radius)
        progress.advance()


def _origin(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where masks begin: at 0, or at the corner of the points where some are negative."""
    lowest: NDArray[np.float64] = np.floor(position.min(axis=0, initial=0))
    return np.minimum(lowest, 0.0)


def _canvas(tracking: Tracking) -> tuple[int, ...]:
    """Return the shape of masks that reach to the last point, or raise FormatError if nobody could open them."""
    position = tracking.cells.position_px
    extent = position.max(axis=0, initial=0) - _origin(position) + marker_radius_px(tracking.cells)
    if not np.prod(extent + 1) < MOST_PIXELS:
        raise FormatError(
            f"the points spread over {' x '.join(f'{side:.4g}' for side in extent)} pixels",
            expected=f"fewer than {MOST_PIXELS:.0e} pixels in a mask",
            **{"try": "positions in pixels, not in other units"},
        )
    return tuple((np.ceil(extent).astype(int) + 1).tolist())


def marker_radius_px(detections: Detections) -> float:
    """Return a radius for painted points: a share of the median distance between neighbours in the fullest frame."""
    if not len(detections):
        return MARKER_PX[0]
    frames, counts = np.unique(detections.frame, return_counts=True)
    here = detections.position_px[detections.frame == frames[np.argmax(counts)]]
    if len(here) < 2:
        return MARKER_PX[1]
    return float(np.clip(MARKER_SHARE * np.median(nearest_distances(here)), *MARKER_PX))


def _by_frame(frame: NDArray[np.int64], n_frames: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each frame with the places of its cells."""
    order = np.argsort(frame, kind="stable")
    bounds = np.searchsorted(frame[order], np.arange(n_frames + 1))
    for t in range(n_frames):
        yield t, order[bounds[t] : bounds[t + 1]]
