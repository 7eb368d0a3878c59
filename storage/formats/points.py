"""Cells that come as points, from whatever file: brought to the frames that the user wants, with images beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ..pixels.numbering import renumbers, select_frames
from ..pixels.opening import open_channels
from .base import FrameBatch
from .lineage import keep_frames
from .masks import Channel
from .options import checked_interval, checked_scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ..pixels.frames import Frames
    from .base import LabelLineage, Points, SourceOptions


@dataclass(slots=True, eq=False)
class PointSource:
    """A movie of points; see `Source` for what is not told here.

    Parameters
    ----------
    points : Points
        All detections that are read, ordered by frame.
    begin : (n_frames + 1,) int64
        First row of each frame in `points`.
    channels : dict of str to Channel
        Images to read beside the points.
    """

    name: str
    n_frames: int
    ndim: int
    shape_px: tuple[int, ...] | None
    scale_um: tuple[float, ...] | None
    interval_s: float | None
    notes: tuple[str, ...]
    lineages: tuple[LabelLineage, ...]
    points: Points
    begin: NDArray[np.int64]
    channels: dict[str, Channel] = field(default_factory=dict)

    def frames(self, first: int = 0) -> Iterator[FrameBatch]:
        """Read the frames from number `first` on, in order."""
        images = {name: channel.frames.read(channel.rows[first:]) for name, channel in self.channels.items()}
        nothing = self.points.take(slice(0, 0))  # one for all: a clock taken for frames leaves most of them empty
        for frame in range(first, self.n_frames):
            rows = slice(int(self.begin[frame]), int(self.begin[frame + 1]))
            yield FrameBatch(
                frame,
                points=self.points.take(rows) if rows.stop > rows.start else nothing,
                images={name: next(pixels) for name, pixels in images.items()},
            )


def point_source(
    name: str,
    options: SourceOptions,
    frame: NDArray[np.int64],
    points: Points,
    *,
    lineages: Sequence[LabelLineage] = (),
    notes: Sequence[str] = (),
    scale_um: tuple[float, ...] | None = None,
    interval_s: float | None = None,
) -> PointSource:
    """Bring points, images and lineages to the frames that the user wants.

    Parameters
    ----------
    name : str
        Proposed name of the dataset.
    options : SourceOptions
        What the user says: frames, images, voxel size, frame interval.
    frame : (n,) int64
        Frame of each point, in any order, below `pixels.frames.MAX_FRAMES`.
    points : Points
        n cells.
    lineages : sequence of LabelLineage
        Trackings over their labels.
    notes : sequence of str
        What the user should know.
    scale_um, interval_s
        What the source itself tells, for where the user and the images do not.

    Raises
    ------
    FormatError
        If images do not fit the points.
    """
    said = list(notes)
    ndim = points.position_px.shape[1]
    opened = open_channels(options.images)
    n_all = int(frame.max()) + 1 if len(frame) else 0
    n_all = max([n_all, *(len(f.numbers) for f in opened.values())])
    kept = select_frames(range(n_all), options.frames)
    renumber = renumbers(options.frames)
    place = np.full(n_all, -1, dtype=np.int64)
    place[kept] = np.arange(len(kept)) if renumber else kept
    order = np.argsort(frame, kind="stable")
    rows = order[place[frame[order]] >= 0]
    begin = np.searchsorted(place[frame[rows]], np.arange(len(kept) + 1))
    thinned = []
    for lineage in lineages:
        cut, lost = keep_frames(lineage, kept, renumber=renumber)
        thinned.append(cut)
        said += lost
    channels = {channel: _channel(channel, frames, kept, ndim) for channel, frames in opened.items()}
    headers = [channel.frames.header for channel in channels.values()]
    shapes = {header.shape for header in headers}
    if len(shapes) > 1:
        raise FormatError("the channels differ in size", expected="one size", got=", ".join(map(str, sorted(shapes))))
    interval = checked_interval(options.interval_s) or interval_s
    interval = interval or next((h.interval_s for h in headers if h.interval_s), None)
    return PointSource(
        name=name,
        n_frames=len(kept),
        ndim=ndim,
        shape_px=next(iter(shapes), None),
        scale_um=(
            checked_scale(options.scale_um, ndim) or scale_um or next((h.scale_um for h in headers if h.scale_um), None)
        ),
        interval_s=None if interval is None else interval * (options.frames.step or 1),
        notes=(*said, *dict.fromkeys(note for h in headers for note in h.notes), *_note_empty(np.diff(begin))),
        lineages=tuple(thinned),
        points=points.take(rows),
        begin=begin,
        channels=channels,
    )


def _channel(name: str, frames: Frames, kept: Sequence[int], ndim: int) -> Channel:
    """Pair the images of a channel with the frames of the table; images are counted from 0."""
    if len(frames.header.shape) != ndim:
        raise FormatError(
            f"the images of channel {name} in {frames.where} do not fit the table",
            expected=f"{ndim}D frames",
            got=str(frames.header.shape),
        )
    if kept and kept[-1] >= len(frames.numbers):
        raise FormatError(
            f"channel {name} in {frames.where} has no image for frame {kept[-1]} of the table",
            got=f"{len(frames.numbers)} images",
        )
    return Channel(frames, tuple(kept))


def _note_empty(counts: NDArray[np.int64]) -> list[str]:
    if not counts.sum():
        return ["no detections"]
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return []
    few = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
    return [f"{len(empty)} frame{'s have' if len(empty) > 1 else ' has'} no cells: {few}"]
