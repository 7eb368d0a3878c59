"""What is around a questioned cell: a window on some frames, the cells in it, and its pixels.

The window is the same for all frames of a scene, so that they can be laid over each other. Positions are pixels of the
whole frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ...errors import MissingRowsError
from ...storage.arrays import read_window
from ..candidates import nearest_distances
from .outlines import outlines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.arrays import ArrayRef
    from ...storage.schema import Detections
    from .outlines import Loop

    View = Literal["max", "slice"]

BEFORE: Final = 2
AFTER: Final = 3
"""Frames of a scene before and after that of its cell."""

LEAST_PX: Final = 64
MOST_PX: Final = 768  # of a side of the window
MOST_SHOWN: Final = 256  # pixels of a crop's side; of a larger window every second, third ... pixel is shown
DARK, BRIGHT = 1.0, 99.8  # percentiles of a scene that contrast runs between
FULL: Final = 65535


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the frames of a movie; it may reach beyond their rim.

    Parameters
    ----------
    y0, x0, height, width : int
        Pixels of the whole frame.
    step : int
        Pixels of the frame for one of a crop.
    """

    y0: int
    x0: int
    height: int
    width: int
    step: int


@dataclass(frozen=True, slots=True)
class SeenCell:
    """A cell in a scene: its number, its centre, half of its diameter, and the loops of its outline where known."""

    cell: int
    position_px: tuple[float, ...]
    radius: float
    outline: list[Loop] | None


@dataclass(frozen=True, slots=True)
class Scene:
    """What is around a questioned cell.

    Parameters
    ----------
    cell, frame : int
        The cell.
    window : Window
        What is shown of each frame.
    frames : tuple of (int, tuple of SeenCell)
        The frames from two before to three after, as far as the movie goes, and the cells in each window.
    """

    cell: int
    frame: int
    window: Window
    frames: tuple[tuple[int, tuple[SeenCell, ...]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """Pixels of a window.

    Parameters
    ----------
    pixels : (h, w) uint16
        What is shown: value = gain * pixel + offset.
    step : int
        Pixels of the frame for one of these.
    gain, offset : float
        The way back to the values of the image.
    z : int or None
        The slice that is shown, None for a projection and in two dimensions.
    range : (float, float) or None
        Pixels between which contrast runs; None for masks.
    cells : tuple of int or None
        Of a mask, the cells: a pixel is a place in it, from 1; None for images.
    """

    pixels: NDArray[np.uint16]
    step: int
    gain: float = 1.0
    offset: float = 0.0
    z: int | None = None
    range: tuple[float, float] | None = None
    cells: tuple[int, ...] | None = None


class Scenes:
    """The scenes of a movie.

    Parameters
    ----------
    folder : Path
        The store.
    detections : Detections
        All cells.
    arrays : sequence of ArrayRef
        Masks and images of the movie; there may be none.
    """

    def __init__(self, folder: Path, detections: Detections, arrays: Sequence[ArrayRef]) -> None:
        self._folder, self._cells = folder, detections
        self._masks = next((ref for ref in arrays if ref.kind == "masks"), None)
        self._images = {ref.channel: ref for ref in arrays if ref.kind == "images"}
        frame = detections.frame
        self.first_frame, self.last_frame = (int(frame[0]), int(frame[-1])) if len(frame) else (0, -1)
        self._radius = _radii(detections)

    @property
    def ndim(self) -> int:
        """Number of space axes, 2 or 3."""
        return self._cells.ndim

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        return tuple(self._images)

    @property
    def has_masks(self) -> bool:
        """Whether there are label masks."""
        return self._masks is not None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Size of a frame, ([z,] y, x); None where there are neither masks nor images."""
        refs = [*self._images.values(), *([self._masks] if self._masks else [])]
        return refs[0].shape[1:] if refs else None

    def frames_of(self, row: int) -> range:
        """Return the frames of the scene of a cell, by its row."""
        frame = int(self._cells.frame[row])
        return range(max(frame - BEFORE, self.first_frame), min(frame + AFTER, self.last_frame) + 1)

    def window(self, row: int, others: Sequence[int]) -> Window:
        """Return the window around a cell and those that are asked about with it, by their rows."""
        centre = self._cells.position_px[row, -2:]
        reach = np.abs(self._cells.position_px[list(others), -2:] - centre).max(initial=0.0)
        wanted = 2 * reach + 8 * self._radius[row]
        side = int(np.clip(2 * ceil(wanted / 2), LEAST_PX, MOST_PX))
        shape = self.shape
        y0, x0 = (
            _begin(place, side, None if shape is None else shape[axis])
            for place, axis in zip(centre.tolist(), (-2, -1), strict=True)
        )
        return Window(y0, x0, side, side, ceil(side / MOST_SHOWN))

    def scene(self, row: int, others: Sequence[int]) -> Scene:
        """Return what is around a cell."""
        window = self.window(row, others)
        frames = tuple((t, self._seen(t, window)) for t in self.frames_of(row))
        return Scene(int(self._cells.id[row]), int(self._cells.frame[row]), window, frames)

    def images(self, channel: str, row: int, window: Window, view: View) -> dict[int, Crop]:
        """Return the pixels of a channel in the window of a cell, for all frames of its scene.

        Raises
        ------
        MissingRowsError
            If there is no such channel.
        """
        ref = self._images.get(channel)
        if ref is None:
            raise MissingRowsError(
                f"{self._folder} keeps no images of channel {channel}", known=", ".join(self._images) or "none"
            )
        z = self._slice(ref, row, view)
        frames = {t: self._pixels(ref, t, window, z) for t in self.frames_of(row)}
        gain, offset = 1.0, 0.0
        if ref.dtype not in ("uint8", "uint16"):
            low, high = _between(frames.values(), 0, 100)
            gain, offset = (high - low) / FULL or 1.0, low
        scaled = {t: _scaled(pixels, gain, offset) for t, pixels in frames.items()}
        contrast = _between(scaled.values(), DARK, BRIGHT)
        return {t: Crop(pixels, window.step, gain, offset, z, contrast) for t, pixels in scaled.items()}

    def mask(self, t: int, row: int, window: Window, view: View) -> Crop:
        """Return the masks in the window of a cell.

        Raises
        ------
        MissingRowsError
            If there are no masks.
        """
        if self._masks is None:
            raise MissingRowsError(f"{self._folder} keeps no masks of these detections")
        z = self._slice(self._masks, row, view)
        labels = self._pixels(self._masks, t, window, z)
        known = self._ids_of(t, np.unique(labels))
        found = np.zeros(labels.shape, np.uint16)
        for place, label in enumerate(known, start=1):
            found[labels == label] = place
        return Crop(found, window.step, z=z, cells=tuple(known.values()))

    def _seen(self, t: int, window: Window) -> tuple[SeenCell, ...]:
        cells = self._cells
        first, stop = np.searchsorted(cells.frame, [t, t + 1])
        place, radius = cells.position_px[first:stop, -2:], self._radius[first:stop, None]
        begin, size = np.array([window.y0, window.x0]), np.array([window.height, window.width])
        inside = np.all((place + radius >= begin) & (place - radius <= begin + size), axis=1)
        rows = first + np.flatnonzero(inside)
        loops = self._loops(t, window) if len(rows) else {}
        return tuple(
            SeenCell(
                int(cells.id[row]),
                tuple(cells.position_px[row].tolist()),
                float(self._radius[row]),
                loops.get(int(cells.id[row]), []) if self._masks else None,
            )
            for row in rows.tolist()
        )

    def _loops(self, t: int, window: Window) -> dict[int, list[Loop]]:
        """Return the outlines of the cells of a frame, by number; of the projection in three dimensions."""
        if self._masks is None:
            return {}
        labels = self._cut(self._masks, t, window, slice(None))
        flat = labels.max(axis=0) if labels.ndim == 3 else labels
        found = outlines(flat)
        known = self._ids_of(t, np.array([*found], dtype=np.int64))
        return {
            cell: [[(y + window.y0, x + window.x0) for y, x in loop] for loop in found[label]]
            for label, cell in known.items()
        }

    def _ids_of(self, t: int, labels: NDArray[np.integer]) -> dict[int, int]:
        """Return the number of the cell of each label of a frame; labels of no cell are left out."""
        first, stop = np.searchsorted(self._cells.frame, [t, t + 1])
        wanted = set(labels.tolist()) - {0}
        pairs = zip(self._cells.label[first:stop].tolist(), self._cells.id[first:stop].tolist(), strict=True)
        return {label: cell for label, cell in pairs if label in wanted}

    def _slice(self, ref: ArrayRef, row: int, view: View) -> int | None:
        """Return the slice through the centre of a cell, None where all are projected or there are none."""
        if len(ref.shape) < 4 or view != "slice":
            return None
        return int(np.clip(round(float(self._cells.position_px[row, 0])), 0, ref.shape[1] - 1))

    def _pixels(self, ref: ArrayRef, t: int, window: Window, z: int | None) -> NDArray[Any]:
        """Return what is shown of a window: every `step`-th pixel of a slice, or of the largest of all slices."""
        pixels = self._cut(ref, t, window, slice(None) if z is None else slice(z, z + 1))
        flat = pixels.max(axis=0) if pixels.ndim == 3 else pixels
        return flat[:: window.step, :: window.step]

    def _cut(self, ref: ArrayRef, t: int, window: Window, part: slice) -> NDArray[Any]:
        """Return the pixels of a window, 0 beyond the rim."""
        begin, end = (window.y0, window.x0), (window.y0 + window.height, window.x0 + window.width)
        inside = [slice(max(b, 0), max(min(e, n), 0)) for b, e, n in zip(begin, end, ref.shape[-2:], strict=True)]
        axes = (part, *inside) if len(ref.shape) == 4 else tuple(inside)
        found = read_window(self._folder, ref, t, axes)
        missing = [(s.start - b, e - max(s.stop, s.start)) for s, b, e in zip(inside, begin, end, strict=True)]
        return np.pad(found, [(0, 0)] * (found.ndim - 2) + missing)


def _begin(place: float, side: int, size: int | None) -> int:
    """Return where a window begins on one axis: around a place, inside the frame where it fits."""
    begin = round(place) - side // 2
    return begin if size is None or size < side else int(np.clip(begin, 0, size - side))


def _between(frames: Iterable[NDArray[Any]], dark: float, bright: float) -> tuple[float, float]:
    """Return two percentiles of the finite pixels of some frames."""
    pixels = np.concatenate([frame.ravel() for frame in frames])
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [dark, bright]).tolist()
    return low, high


def _scaled(pixels: NDArray[Any], gain: float, offset: float) -> NDArray[np.uint16]:
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels.astype(np.uint16)
    finite = np.nan_to_num(pixels.astype(np.float64), nan=offset, posinf=np.inf, neginf=-np.inf)
    return np.clip(np.round((finite - offset) / gain), 0, FULL).astype(np.uint16)


def _radii(detections: Detections) -> NDArray[np.float64]:
    """Return half the diameter of each cell; of points, a third of the usual distance to the nearest."""
    radius = detections.equivalent_diameter_px / 2
    points = np.isnan(radius)
    if points.any():
        spacing = _usual_spacing(detections)
        radius = np.where(points, spacing / 3, radius)
    return radius


def _usual_spacing(detections: Detections) -> float:
    """Return the median distance from a cell to the nearest one in the fullest frame; 15 pixels where none is near."""
    frames, first, count = np.unique(detections.frame, return_index=True, return_counts=True)
    if not len(frames) or count.max() < 2:
        return 15.0
    fullest = int(np.argmax(count))
    begin = int(first[fullest])
    return float(np.median(nearest_distances(detections.position_px[begin : begin + int(count[fullest])])))
