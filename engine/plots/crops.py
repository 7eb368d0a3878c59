"""Pictures of a question: the cell and what may become of it, cut from two frames, each a piece of HTML by itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..review.queue import PARENTS
from .overlay import boundary, flat, grey

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import Detections
    from ..pixels import Pixels
    from ..review.queue import Origin, Outcome, Question

SHOWN_OUTCOMES: Final = 5
SHOWN_FROM: Final = 0.001
SMALLEST_HALF_PX: Final = 24
LARGEST_HALF_PX: Final = 160
DOT_PX: Final = 6.0
OUTLINE: Final = 0.6
CELL_COLOUR: Final = "#CC79A7"
COLOURS: Final = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00")
"""Of the cell that is asked about, and of what the outcomes name, in turn; a number tells them apart, too."""


def likely(question: Question) -> list[Outcome | Origin]:
    """Return the outcomes that are shown to people."""
    shown = [outcome for outcome in question.outcomes if outcome.probability >= SHOWN_FROM]
    return shown[:SHOWN_OUTCOMES]


def told(cells: tuple[int, ...], question: Question) -> str:
    """Return in words what an outcome is."""
    of_parents = question.view == PARENTS
    if not cells:
        return "new" if of_parents else "ends"
    does = "divides into" if len(cells) > 1 else "daughter of" if of_parents else "becomes"
    return f"{does} {' + '.join(map(str, cells))}"


def pictures_of(
    question: Question, detections: Detections, pixels: Pixels, *, side: int, finest_px: int | None = None
) -> list[str]:
    """Return the frame of a question and the next one (of parents: the one before), as figures of HTML.

    Parameters
    ----------
    question : Question
        What is asked.
    detections : Detections
        Of the movie.
    pixels : Pixels
        Its masks and images; without them cells are dots.
    side : int
        Of a picture, on the page.
    finest_px : int or None
        Pixels of the movie along a side that are kept at most; None for all.
    """
    of_parents = question.view == PARENTS
    named = list(dict.fromkeys(cell for outcome in likely(question) for cell in outcome.cells))[: len(COLOURS)]
    rows = detections.row_of(np.array([question.cell, *named], dtype=np.int64))
    frames = detections.frame[rows].tolist()
    other = frames[1] if named else frames[0] + (-1 if of_parents else 1)
    marks = [
        (str(question.cell), CELL_COLOUR),
        *((str(cell), colour) for cell, colour in zip(named, COLOURS, strict=False)),
    ]
    return [
        _figure(_view(detections, rows, frame), detections, pixels, rows, marks, side, finest_px)
        for frame in ((other, frames[0]) if of_parents else (frames[0], other))
        if 0 <= frame <= int(detections.frame.max())
    ]


@dataclass(frozen=True, slots=True)
class _View:
    """A square of one frame: its middle (y, x) and half its side, in pixels."""

    frame: int
    middle: tuple[float, float]
    half: int

    def on_page(self, y: float, x: float, side: int) -> tuple[float, float]:
        """Return where a place lies in a picture of such a side, x first."""
        scale = side / (2 * self.half)
        return (x - self.middle[1] + self.half) * scale, (y - self.middle[0] + self.half) * scale


def _view(detections: Detections, rows: NDArray[np.int64], frame: int) -> _View:
    """Return the square around the cell that holds all that the outcomes name, within limits."""
    place = detections.position_px[rows, -2:]
    away = float(np.abs(place - place[0]).max(initial=0))
    sizes = detections.equivalent_diameter_px[rows]
    size = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else DOT_PX
    half = int(np.clip(np.ceil(away + size), SMALLEST_HALF_PX, LARGEST_HALF_PX))
    return _View(frame, (float(place[0, 0]), float(place[0, 1])), half)


def _figure(
    view: _View,
    detections: Detections,
    pixels: Pixels,
    rows: NDArray[np.int64],
    marks: list[tuple[str, str]],
    side: int,
    finest_px: int | None,
) -> str:
    """Return a picture of a frame with its cells that are named, and dashed the place of the cell in question."""
    parts = [_image(view, pixels, side, finest_px)]
    first, stop = np.searchsorted(detections.frame, [view.frame, view.frame + 1])
    near = np.abs(detections.position_px[first:stop, -2:] - view.middle).max(axis=1) <= view.half
    for y, x in detections.position_px[first:stop, -2:][near].tolist():
        px, py = view.on_page(y, x, side)
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2" fill="#bbb"/>')
    for row, (name, colour) in zip(rows.tolist(), marks, strict=True):
        if row != rows[0] and detections.frame[row] != view.frame:
            continue
        y, x = detections.position_px[row, -2:].tolist()
        px, py = view.on_page(y, x, side)
        dash = "" if detections.frame[row] == view.frame else ' stroke-dasharray="3 3"'
        parts.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="9" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<text x="{px + 11:.1f}" y="{py + 4:.1f}" font-size="12" fill="{colour}">{name}</text>'
        )
    label = f"frame {view.frame}"
    return (
        f'<figure><svg role="img" aria-label="{label}" width="{side}" height="{side}" viewBox="0 0 {side} {side}">'
        f"{''.join(parts)}</svg><figcaption>{label}, {2 * view.half} px</figcaption></figure>"
    )


def _image(view: _View, pixels: Pixels, side: int, finest_px: int | None) -> str:
    """Return the pixels of a square, outlines in it; nothing where there are none."""
    if not pixels.channels and not pixels.has_masks:
        return ""
    corner = np.round(np.array(view.middle) - view.half).astype(int)
    picture = np.zeros((2 * view.half, 2 * view.half))
    if pixels.channels:
        picture += _square(grey(flat(pixels.image(pixels.channels[0], view.frame))), corner, 2 * view.half)
    if pixels.has_masks:
        edge = boundary(_square(flat(pixels.mask(view.frame)), corner, 2 * view.half))
        picture[edge] = OUTLINE
    step = -(-len(picture) // (finest_px or len(picture)))
    coded = base64.b64encode(_png(picture[::step, ::step])).decode("ascii")
    return f'<image href="data:image/png;base64,{coded}" width="{side}" height="{side}"/>'


def _square(plane: NDArray[Any], corner: NDArray[np.int64], side: int) -> NDArray[Any]:
    """Return a square of a plane, 0 where it leaves the plane."""
    cut = np.zeros((side, side), dtype=plane.dtype)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + side, plane.shape)
    if (high > low).all():
        inside = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
        cut[inside] = plane[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return cut


def _png(picture: NDArray[np.float64]) -> bytes:
    """Return a picture of numbers from 0 to 1 as PNG."""
    import imagecodecs  # a quarter of a second

    return bytes(imagecodecs.png_encode(np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)))
