"""A frame of the movie with what was tracked over it: outlines, where cells came from, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import ConfigError, MissingRowsError
from .drawing import DOUBT_COLOURS, DOUBT_WIDTHS, doubt_legend, doubt_of, entitle, figure_for, require_plottable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..exports.tracking import Tracking
    from ..pixels import Pixels

TAIL: Final = 8
WIDTH_IN: Final = 8.0
DARKEST_PERCENT, BRIGHTEST_PERCENT = 1.0, 99.8
LINEAGE_COLOURS: Final = np.array(
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]]
)
"""Of Okabe and Ito; lineages take them in turn."""
TAIL_COLOURS: Final = ("#F5F5F5", *DOUBT_COLOURS[1:4], "#BBBBBB")


@dataclass(frozen=True, slots=True)
class DrawnOverlay:
    """What an overlay shows.

    Parameters
    ----------
    frame, cells : int
        The frame, and cells of the solution in it.
    links : int
        Links of their tails.
    doubtful : int
        Those of them that are wrong with 10 % or more.
    channel : str or None
        The image below; None where there is none.
    outlined : bool
        Whether cells have outlines; else they are dots.
    """

    frame: int
    cells: int
    links: int
    doubtful: int
    channel: str | None
    outlined: bool


def plot_overlay(
    tracking: Tracking,
    pixels: Pixels,
    out: Path,
    *,
    frame: int | None = None,
    tail: int = TAIL,
    channel: str | None = None,
) -> DrawnOverlay:
    """Draw the cells of a frame over its image, with the way that each came.

    Parameters
    ----------
    tracking : Tracking
        The solution.
    pixels : Pixels
        Its masks and images; volumes are shown as the brightest along z.
    out : Path
        A file ending in .svg or .png that is not there yet.
    frame : int or None
        The frame; by default the middle one.
    tail : int
        Frames back to which the way is drawn.
    channel : str or None
        The image; by default the first channel.

    Raises
    ------
    MissingRowsError
        If the movie has no such frame, or no image of that channel.
    ConfigError
        If the tail is negative, the file has another ending, or matplotlib is not installed.
    FormatError
        If the file is there already, or its folder is not.
    """
    require_plottable("overlay", out)
    frame = tracking.movie.n_frames // 2 if frame is None else frame
    if not 0 <= frame < tracking.movie.n_frames:
        raise MissingRowsError(f"there is no frame {frame}", known=f"0 to {tracking.movie.n_frames - 1}")
    if tail < 0:
        raise ConfigError(f"a tail of {tail} frames cannot be drawn", expected="--tail 0 or more")
    channel = channel or next(iter(pixels.channels), None)
    image = None if channel is None else grey(flat(pixels.image(channel, frame)))
    mask = flat(pixels.mask(frame)) if pixels.has_masks else None
    here = np.flatnonzero(tracking.cells.frame == frame)
    links = tail_links(tracking, here, tail)
    doubt = doubt_of(tracking.evidence.probability[links])
    shape = next((shown.shape[:2] for shown in (image, mask) if shown is not None), None)
    with figure_for(out, WIDTH_IN, _height(tracking, shape)) as figure:
        axes = figure.subplots()
        if image is not None:
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if mask is not None:
            axes.imshow(_outlines(mask, tracking, here), interpolation="nearest")
        else:
            place = tracking.cells.position_px[here, -2:]
            colours = _colours(tracking, here) / 255
            axes.scatter(place[:, 1], place[:, 0], s=14, facecolors="none", edgecolors=colours, linewidths=1)
        _draw_tails(axes, tracking, links, doubt)
        if len(links):
            doubt_legend(
                axes, doubt, TAIL_COLOURS, loc="lower right", labelcolor="white", facecolor="black", framealpha=0.7
            )
        _dress(axes, tracking, frame, shape)
    n_doubtful = int(np.isin(doubt, (2, 3)).sum())
    return DrawnOverlay(frame, len(here), len(links), n_doubtful, channel, mask is not None)


def flat(volume: NDArray[Any]) -> NDArray[Any]:
    """Return a plane as it is, a volume as the largest along z."""
    return volume if volume.ndim == 2 else volume.max(axis=0)


def grey(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return an image on a scale from its 1st percentile to its 99.8th, clipped to 0 .. 1."""
    low, high = np.percentile(image, [DARKEST_PERCENT, BRIGHTEST_PERCENT])
    scaled: NDArray[np.float64] = np.clip((image.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    return scaled


def tail_links(tracking: Tracking, cells: NDArray[np.int64], tail: int) -> NDArray[np.int64]:
    """Return the links on the way into some cells of one frame, `tail` frames back at most.

    Parameters
    ----------
    tracking : Tracking
        m links.
    cells : (k,) int64
        Rows of cells of one frame.
    tail : int
        Frames.
    """
    into = np.full(len(tracking.cells), -1)
    plain = np.flatnonzero(~tracking.is_merge)
    into[tracking.target[plain]] = plain
    least = tracking.cells.frame[cells[0]] - tail if len(cells) else 0
    way, front = [np.empty(0, dtype=np.int64)], cells
    while len(front):
        links = np.unique(into[front][into[front] >= 0])
        links = links[tracking.cells.frame[tracking.source[links]] >= least]
        way.append(links)
        front = np.unique(tracking.source[links])
    return np.concatenate(way)


def boundary(mask: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return the pixels of cells that touch a pixel of another label or of the background by a side."""
    edge = np.zeros(mask.shape, dtype=bool)
    for axis in (0, 1):
        a, b = (np.moveaxis(mask, axis, 0)[part] for part in (slice(1, None), slice(-1)))
        differs, along = a != b, np.moveaxis(edge, axis, 0)
        along[1:] |= differs
        along[:-1] |= differs
    return edge & (mask > 0)


def _outlines(mask: NDArray[np.integer[Any]], tracking: Tracking, here: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return an image that is clear but for the outlines of the cells, each in the colour of its lineage."""
    picture = np.zeros((*mask.shape, 4), dtype=np.uint8)
    edge = boundary(mask)
    label = tracking.cells.label[here]
    order = np.argsort(label)
    found = mask[edge].astype(np.int64)
    place = np.clip(np.searchsorted(label[order], found), 0, max(len(order) - 1, 0))
    known = label[order][place] == found if len(order) else np.zeros(len(found), dtype=bool)
    colour = np.full((len(found), 4), (128, 128, 128, 160), dtype=np.uint8)  # detections that the solution left out
    colour[known, :3] = _colours(tracking, here[order[place[known]]])
    colour[known, 3] = 255
    picture[edge] = colour
    return picture


def _colours(tracking: Tracking, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the colour of the lineage of each cell, the same in all frames."""
    number = np.searchsorted(np.unique(tracking.tracks.lineage), tracking.lineage[cells])
    return LINEAGE_COLOURS[number % len(LINEAGE_COLOURS)]


def _draw_tails(axes: Any, tracking: Tracking, links: NDArray[np.int64], doubt: NDArray[np.int64]) -> None:
    from matplotlib.collections import LineCollection

    place = tracking.cells.position_px[:, -2:][:, ::-1]
    lines = np.stack([place[tracking.source[links]], place[tracking.target[links]]], axis=1)
    colours, widths = ([of[k] for k in doubt.tolist()] for of in (TAIL_COLOURS, DOUBT_WIDTHS))
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=widths))


def _height(tracking: Tracking, shape: tuple[int, ...] | None) -> float:
    """Return the height of the figure that fits the frame."""
    if shape is None:
        extent = np.ptp(tracking.cells.position_px[:, -2:], axis=0) if len(tracking.cells) else np.ones(2)
        shape = tuple(np.maximum(extent, 1).astype(int).tolist())
    return float(np.clip(WIDTH_IN * 0.85 * shape[0] / shape[1], 2, 12))


def _dress(axes: Any, tracking: Tracking, frame: int, shape: tuple[int, ...] | None) -> None:
    axes.set(xticks=[], yticks=[], aspect="equal", facecolor="black")
    entitle(axes, f"{tracking.about['dataset']}, frame {frame}: {tracking.about['solution']}")
    if shape is None:
        axes.autoscale_view()
        axes.invert_yaxis()
    else:
        axes.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
