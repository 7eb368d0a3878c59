"""Label masks without a track file: a folder of numbered files, a stack, or a Zarr folder.

`MaskSource` is also what the Cell Tracking Challenge format opens: the two differ in where frames and lineages come
from, not in how they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from ...errors import FormatError
from ..pixels.files import open_numbered
from ..pixels.numbering import align_frames, is_image, renumbers, select_frames
from ..pixels.ome_zarr import holds_pixels, open_zarr_channels, open_zarr_labels
from ..pixels.opening import UNNAMED, open_channels, open_label_frames
from ..pixels.zarr_array import is_node
from .base import FrameBatch
from .lineage import keep_frames, note_crowded
from .options import checked_interval, checked_scale, refuse_options
from .track_file import find_track_file, lineage_of_tracks, read_track_file, require_frames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..pixels.frames import Frames
    from .base import LabelLineage, Source, SourceOptions


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """Intensity images of one channel.

    Parameters
    ----------
    frames : Frames
        Its frames.
    rows : tuple of int
        Which of them belongs to each frame that is read.
    """

    frames: Frames
    rows: tuple[int, ...]


@dataclass(slots=True, eq=False)
class MaskSource:
    """A movie of label masks; see `Source` for what is not told here.

    Parameters
    ----------
    masks : Frames
        The masks.
    rows : tuple of int
        Which of them are read, in order.
    first : int
        Number of the first frame read; those before it are empty.
    channels : dict of str to Channel
        Images to read beside the masks.
    """

    name: str
    n_frames: int
    ndim: int
    shape_px: tuple[int, ...] | None
    scale_um: tuple[float, ...] | None
    interval_s: float | None
    notes: tuple[str, ...]
    lineages: tuple[LabelLineage, ...]
    masks: Frames
    rows: tuple[int, ...]
    first: int = 0
    channels: dict[str, Channel] = field(default_factory=dict)

    def frames(self, first: int = 0) -> Iterator[FrameBatch]:
        """Read the frames from number `first` on, in order, one in memory at a time."""
        for frame in range(first, self.first):
            mask = np.zeros(self.masks.header.shape, dtype=cast("np.dtype[np.integer]", self.masks.header.dtype))
            blank = {name: np.zeros(mask.shape, dtype=c.frames.header.dtype) for name, c in self.channels.items()}
            yield FrameBatch(frame, mask=mask, images=blank)
        begin = max(first - self.first, 0)
        masks = self.masks.read(self.rows[begin:])
        images = {name: channel.frames.read(channel.rows[begin:]) for name, channel in self.channels.items()}
        for frame, mask in enumerate(masks, start=self.first + begin):
            labels = cast("NDArray[np.integer]", mask)  # the headers were asked for whole numbers
            yield FrameBatch(frame, mask=labels, images={name: next(pixels) for name, pixels in images.items()})


def open_masks(path: Path, options: SourceOptions) -> Source:
    """Open label masks: a folder of images, a stack, or a Zarr folder; frames are numbered from 0.

    Raises
    ------
    ConfigError
        If a Zarr folder holds several labels and none was chosen, or not the one that was; if an option is that of
        another format.
    FormatError
        If frames are missing, or files are not label masks of one shape.
    """
    refuse_options(path, "label masks", options, "columns", "links", *(() if is_node(path) else ("sequence",)))
    images: dict[str, Frames] = {}
    notes: list[str] = []
    if is_node(path):
        found = open_zarr_labels(path, options.sequence)
        masks: Frames = found.masks
        name = found.name
        notes += found.notes
        if found.image is not None and not options.images:
            images.update(open_zarr_channels(found.image, unnamed=UNNAMED))
            notes.append(f"images come from {found.image}: {', '.join(images)}")
    else:
        masks = open_label_frames(path)
        name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
    truth, said = ([], []) if options.truth is None else read_truth(options.truth, masks.numbers)
    return mask_source(name, masks, options, lineages=truth, notes=[*notes, *said], images=images, restart=True)


def is_masks(path: Path) -> bool:
    """Tell whether a path is an image file, a folder with some, or a Zarr folder of pixels."""
    if is_node(path):
        return holds_pixels(path)
    return is_image(path) or (path.is_dir() and any(is_image(p) for p in path.iterdir()))


def mask_source(
    name: str,
    masks: Frames,
    options: SourceOptions,
    *,
    lineages: Sequence[LabelLineage] = (),
    notes: Sequence[str] = (),
    images: Mapping[str, Frames] | None = None,
    restart: bool = False,
) -> MaskSource:
    """Bring masks, images and lineages to the frames that the user wants.

    Parameters
    ----------
    lineages : sequence of LabelLineage
        Frames as the files number them; `masks` of a lineage one for each mask file.
    images : mapping of str to Frames or None
        Channels to read where the options name none.
    restart : bool
        Number frames from 0 even where the files do not.
    """
    kept = select_frames(masks.numbers, options.frames)
    rows = tuple(n - masks.numbers[0] for n in kept)
    renumber = restart or renumbers(options.frames)
    first = 0 if renumber else kept[0]
    said = [*notes, *masks.header.notes]
    if renumber and kept[0] != 0:
        said.append(f"frame {kept[0]} of the files is frame 0 here")
    elif first:
        said.append(f"frames 0 to {first - 1} have no file and are empty")

    channels = {}
    for channel, frames in (open_channels(options.images) or dict(images or {})).items():
        channels[channel], note = _channel(channel, frames, masks, rows)
        said += [*frames.header.notes, *([note] if note else [])]

    thinned = []
    for lineage in lineages:
        cut, lost = keep_frames(lineage, kept, renumber=renumber)
        if cut.masks:  # where frames have no file the detections are empty, and any mask matches none of them
            cut = replace(cut, masks=tuple(cut.masks[row] for row in (*[rows[0]] * first, *rows)))
        thinned.append(cut)
        said += [*note_crowded(lineage), *lost]
        outside = np.count_nonzero((lineage.frame < masks.numbers[0]) | (lineage.frame > masks.numbers[-1]))
        said += [f"{lineage.name}: cells in frames without a mask, left out: {outside:,}"] if outside else []
    shape = masks.header.shape
    headers = [masks.header, *(c.frames.header for c in channels.values())]
    interval = checked_interval(options.interval_s) or next((h.interval_s for h in headers if h.interval_s), None)
    return MaskSource(
        name=name,
        n_frames=first + len(rows),
        ndim=len(shape),
        shape_px=shape,
        scale_um=checked_scale(options.scale_um, len(shape)) or next((h.scale_um for h in headers if h.scale_um), None),
        interval_s=None if interval is None else interval * (options.frames.step or 1),
        notes=tuple(dict.fromkeys(said)),
        lineages=tuple(thinned),
        masks=masks,
        rows=rows,
        first=first,
        channels=channels,
    )


def _channel(name: str, frames: Frames, masks: Frames, rows: Sequence[int]) -> tuple[Channel, str]:
    """Pair the images of a channel with the masks that are read."""
    if frames.header.shape != masks.header.shape:
        raise FormatError(
            f"the images of channel {name} in {frames.where} have another size than the masks",
            expected=str(masks.header.shape),
            got=str(frames.header.shape),
        )
    places, note = align_frames(masks.numbers, frames.numbers, f"channel {name} in {frames.where}")
    return Channel(frames, tuple(places[row] for row in rows)), note


def read_truth(path: Path, numbers: Sequence[int]) -> tuple[list[LabelLineage], list[str]]:
    """Read ground truth whose masks are not the detections: an ``NN_GT``, its ``TRA``, or its track file.

    Parameters
    ----------
    path : Path
        Where it is.
    numbers : sequence of int
        Numbers of the detections' files; a truth mask is taken for each.

    Returns
    -------
    lineages, notes : list
        The one lineage, over frames as the detections' files number them, and how it is paired with them.

    Raises
    ------
    FormatError
        If there is no track file or no mask for a frame.
    """
    track_file = find_track_file(path)
    if track_file is None:
        raise FormatError(f"{path} holds no ground truth", expected="man_track.txt, or a folder with one")
    tracks = read_track_file(track_file)
    prefix = "mask" if track_file.name.startswith("res") else "man_track"
    masks = open_numbered(track_file.parent, prefix, is_label=True)
    rows, note = align_frames(numbers, masks.numbers, f"the ground truth in {track_file.parent}")
    require_frames(tracks, masks.numbers[0], masks.numbers[-1])
    lineage = lineage_of_tracks(tracks, "truth", masks=tuple(masks.paths[row] for row in rows))
    shift = numbers[0] - masks.numbers[rows[0]]
    said = [f"truth comes from {track_file.parent}, matched by overlap", *([note] if note else [])]
    return [replace(lineage, frame=lineage.frame + shift)], said
