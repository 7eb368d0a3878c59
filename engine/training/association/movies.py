"""Movies with truth, as an association transformer is trained on them.

Cells are told as they are when a model scores, but for brightness: in training each frame has its own scale, the 1st
and the 99.8th percentile of its pixels, so that a network does not lean on what a movie as a whole looks like.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from ....errors import CalibrationError, ConfigError, FormatError, MissingRowsError
from ....storage.catalogue import TRUTH, DetectionSet
from ...models.brightness import Brightness, brightness_of
from ...models.cells import NO_IMAGES, cells_for, equally_bright, without_shape
from ...pixels import pixels_of
from ...progress import Progress, Silent
from .truth import true_lineages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ....storage.duckdb_store import DuckDBStore
    from ....storage.measurements import Features
    from ....storage.schema import Detections
    from ...models.cells import Cells
    from ...models.settings import TransformerSettings
    from .truth import TrueLineages

VALIDATION_SHARE: Final = 0.2
SPARSE: Final = 0.8  # share of the detections that the truth knows, below which it is said


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMovie:
    """Some frames of a movie: its cells as a model sees them, and their true lineages.

    Parameters
    ----------
    name : str
        Of the dataset.
    cells : Cells
        All n detections, in the order of frames.
    truth : TrueLineages
        What is true of them.
    first, stop : int
        Frames that are learned from, from `first` to below `stop`: those that the truth tells of, or a part of them.
    channel : str or None
        Images that told how bright cells are; None where there are none, or nothing was asked of them.
    """

    name: str
    cells: Cells
    truth: TrueLineages
    first: int
    stop: int
    channel: str | None = None

    @property
    def n_frames(self) -> int:
        """Frames that are learned from."""
        return self.stop - self.first

    def rows(self, first: int, stop: int) -> slice:
        """Return the rows of the cells in some frames."""
        begin, end = np.searchsorted(self.cells.frame, [first, stop]).tolist()
        return slice(begin, end)

    def between(self, first: int, stop: int) -> LabelledMovie:
        """Return the same movie, of which other frames are learned from."""
        return replace(self, first=first, stop=stop)


def labelled_movies(
    store: DuckDBStore,
    chosen: DetectionSet | Sequence[DetectionSet],
    settings: TransformerSettings,
    *,
    truth: str | Path = TRUTH,
    match_threshold: float | None = None,
    channel: str = "",
    progress: Progress | None = None,
) -> list[LabelledMovie]:
    """Return movies of a store with their truth, as a model of these settings sees them.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet or several
        Whose detections.
    settings : TransformerSettings
        Axes and features that the model takes; ``feat_dim`` 0 takes no features, and so no masks and no images.
    truth : str or Path
        What is taken for the truth: the name of a solution, else any file or folder that trackdb reads and that tells
        of links.
    match_threshold : float or None
        How well a detection has to fit a true cell of a file to be that cell, see `matching`; 0.3 if not given.
    channel : str
        Images that tell how bright cells are; empty for the first ones. Where a movie has none, all of its cells are of
        brightness 0.
    progress : Progress
        Who is told what is missing.

    Raises
    ------
    MissingRowsError
        If there is no truth, or the model takes features and detections are points.
    CalibrationError
        If no detection is a true cell.
    ConfigError
        If there is no such channel, or the threshold does not fit.
    FormatError
        If cells of a volume are given to a model of flat images, or an image has no pixel that is a number.
    """
    progress = progress or Silent()
    several = [chosen] if isinstance(chosen, DetectionSet) else chosen
    movies = []
    for one in several:
        detections = store.detections(one)
        lineages = true_lineages(store, one, detections, truth, match_threshold=match_threshold, progress=progress)
        first, stop = _frames_of_truth(one.movie.name, detections, lineages, truth, progress)
        cells, seen = _cells(store, one, detections, settings, channel, progress)
        movies.append(LabelledMovie(one.movie.name, cells, lineages, first, stop, seen))
    return movies


def _frames_of_truth(
    name: str, detections: Detections, lineages: TrueLineages, truth: str | Path, progress: Progress
) -> tuple[int, int]:
    """Return the first frame of which the truth tells, and the one after the last; say it where it knows few cells."""
    known = np.flatnonzero(lineages.known)
    if not len(known):
        raise CalibrationError(
            f"none of the {len(detections):,} detections of {name} is a cell of {truth}: there is nothing to learn from"
        )
    first, stop = int(detections.frame[known[0]]), int(detections.frame[known[-1]]) + 1
    there = int(np.count_nonzero((detections.frame >= first) & (detections.frame < stop)))
    if len(known) < SPARSE * there:
        progress.note(
            f"{truth} knows {100 * len(known) / there:.0f} % of the detections of {name} in frames {first} to "
            f"{stop - 1}: that the others belong to no cell is learned, too, unless sparse_truth is set"
        )
    return first, stop


def _cells(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    settings: TransformerSettings,
    channel: str,
    progress: Progress,
) -> tuple[Cells, str | None]:
    """Return the cells of a movie as a model sees them, and the images that told how bright they are."""
    name = chosen.movie.name
    seen = _channel(store, chosen, channel, progress) if settings.feat_dim else None
    features = store.features(chosen, detections) if settings.feat_dim else None
    if features is not None:
        _require_shapes(name, detections, features)
    if features is not None and seen is None:
        progress.note(
            f"{name} has no images, so all of its cells are equally bright: where there are some, ingest it again "
            "with --images FOLDER"
        )
        return cells_for(settings, detections, equally_bright(features), NO_IMAGES, Brightness(0, 1)), None
    brightness = None if seen is None else _of_each_frame(store, chosen, detections, seen, progress)
    return cells_for(settings, detections, features, seen, brightness), seen


def _channel(store: DuckDBStore, chosen: DetectionSet, wanted: str, progress: Progress) -> str | None:
    """Return the images that tell how bright cells are, None where a movie has none."""
    channels = [ref.channel for ref in store.arrays(chosen) if ref.kind == "images"]
    if wanted and wanted not in channels:
        raise ConfigError(
            f"there are no images of channel {wanted} of {chosen.movie.name}", known=", ".join(channels) or "none"
        )
    if len(channels) > 1 and not wanted:
        progress.note(f"of {', '.join(channels)} the model sees {channels[0]}; the setting channel shows it another")
    return wanted or next(iter(channels), None)


def _require_shapes(name: str, detections: Detections, features: Features) -> None:
    """Raise MissingRowsError where the store does not tell what shape cells have."""
    points = int(np.count_nonzero(without_shape(detections, features)))
    if points:
        raise MissingRowsError(
            f"{points:,} of {len(detections):,} detections of {name} are points: they have no shape to learn from",
            **{"try": "ingest the label masks that they come from, or set places_alone, which looks at no shapes"},
        )


def _of_each_frame(
    store: DuckDBStore, chosen: DetectionSet, detections: Detections, channel: str, progress: Progress
) -> Brightness:
    """Return the dark and the bright end of the frame of each cell; frames without cells are not read."""
    pixels = pixels_of(store, chosen, progress)
    low, high = np.zeros((2, chosen.movie.n_frames))
    for frame in np.unique(detections.frame).tolist():
        image = pixels.image(channel, frame)
        try:
            found = brightness_of(partial(iter, [image]))
        except FormatError as error:
            raise FormatError(f"channel {channel} of {chosen.movie.name}, frame {frame}: {error.message}") from None
        low[frame], high[frame] = found.low, found.high
    return Brightness(low[detections.frame], high[detections.frame])


def split(
    movies: Sequence[LabelledMovie], window: int, share: float = VALIDATION_SHARE
) -> tuple[list[LabelledMovie], list[LabelledMovie]]:
    """Cut the last frames off each movie, to validate on; no window of either part reaches over the border.

    Parameters
    ----------
    movies : sequence of LabelledMovie
        Whole ones.
    window : int
        Frames of a window; each part gets as many at least.
    share : float
        Share of the frames that are cut off, 0 .. 1.

    Returns
    -------
    training, validation : list of LabelledMovie
        The first frames, and the last ones, of each.

    Raises
    ------
    ConfigError
        If the share is none, or a movie is too short for both.
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share of frames to validate on is {share:g}", expected="more than 0, less than 1")
    training, validation = [], []
    for movie in movies:
        require_window(movie, window)
        if movie.n_frames < 2 * window:
            raise ConfigError(
                f"{movie.name} has truth in {movie.n_frames} frames, too few to train on some and validate on others",
                expected=f"{2 * window}, two windows of {window}",
                **{"try": "another store to validate on, or a shorter window"},
            )
        border = movie.stop - min(max(round(share * movie.n_frames), window), movie.n_frames - window)
        training.append(movie.between(movie.first, border))
        validation.append(movie.between(border, movie.stop))
    return training, validation


def require_window(movie: LabelledMovie, window: int) -> None:
    """Raise ConfigError where a movie does not have the frames of a window."""
    if movie.n_frames < window:
        raise ConfigError(
            f"{movie.name} has truth in {movie.n_frames} frames, fewer than the window of the model",
            expected=f"{window} or more",
            **{"try": "a shorter window, or leave the movie out"},
        )
