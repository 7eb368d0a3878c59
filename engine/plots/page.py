"""The review list as a page: each question with what the cell looks like, to read, print or send; it needs no server.

All is in one file without a script: pictures are drawn in it, and names are escaped.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import ConfigError
from ..exports.base import require_place_for
from ..review.queue import PARENTS
from .overlay import boundary, flat, grey

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.schema import Detections
    from ..pixels import Pixels
    from ..review.queue import Question, ReviewList

SHOWN_OUTCOMES: Final = 5
SHOWN_FROM: Final = 0.001
SMALLEST_HALF_PX: Final = 24
LARGEST_HALF_PX: Final = 160
SIDE: Final = 240
DOT_PX: Final = 6.0
CELL_COLOUR: Final = "#CC79A7"
COLOURS: Final = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00")
"""Of the cell that is asked about, and of what the outcomes name, in turn; a number tells them apart, too."""

STYLE: Final = """\
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}
article{display:flex;gap:1rem;border-top:1px solid #bbb;padding:1rem 0}
h2{font-size:1rem;margin:0 0 .4rem}figure{margin:0}figcaption{font-size:.8rem;color:#444}
svg{display:block;background:#000}svg text{stroke:#000;stroke-width:3px;paint-order:stroke}
table{border-collapse:collapse}td{padding:.15rem .6rem .15rem 0;vertical-align:top}
td.p{text-align:right;font-variant-numeric:tabular-nums}meter{width:7rem}"""


@dataclass(frozen=True, slots=True)
class _View:
    """A square of one frame: its middle (y, x) and half its side, in pixels."""

    frame: int
    middle: tuple[float, float]
    half: int

    def on_page(self, y: float, x: float) -> tuple[float, float]:
        """Return where a place lies in the picture, x first."""
        scale = SIDE / (2 * self.half)
        return (x - self.middle[1] + self.half) * scale, (y - self.middle[0] + self.half) * scale


def require_page(out: Path) -> None:
    """Raise ConfigError or FormatError where no page can be made; costs nothing, so it can be asked first."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{out}: the page is HTML", expected="--html FILE.html")
    require_place_for(out)


def write_page(asked: ReviewList, detections: Detections, pixels: Pixels, out: Path) -> int:
    """Write a review list as a page; return how many questions it has.

    Parameters
    ----------
    asked : ReviewList
        The questions.
    detections : Detections
        Of the movie.
    pixels : Pixels
        Its masks and images; without them cells are dots.
    out : Path
        A file ending in .html that is not there yet.

    Raises
    ------
    ConfigError
        If the file has another ending, or there are images and matplotlib is not installed.
    FormatError
        If the file is there already, or its folder is not.
    """
    require_page(out)
    title = escape(f"Where to look first: {asked.solution}")
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    )
    told = escape(
        f"{len(asked.items):,} of {asked.open:,} open questions of posterior {asked.posterior}, by {asked.by}."
    )
    articles = [_article(question, detections, pixels) for question in asked.items]
    out.write_text("\n".join([head, f"<p>{told}</p>", *articles, "</html>\n"]), encoding="utf-8")
    return len(articles)


def _article(question: Question, detections: Detections, pixels: Pixels) -> str:
    """Return one question: two pictures, and what may be."""
    of_parents = question.view == PARENTS
    shown = [outcome for outcome in question.outcomes if outcome.probability >= SHOWN_FROM][:SHOWN_OUTCOMES]
    named = list(dict.fromkeys(cell for outcome in shown for cell in outcome.cells))[: len(COLOURS)]
    rows = detections.row_of(np.array([question.cell, *named], dtype=np.int64))
    frames = detections.frame[rows].tolist()
    here, there = (
        _view(detections, rows, frame)
        for frame in (frames[0], frames[1] if named else frames[0] + (-1 if of_parents else 1))
    )
    marks = [
        (str(question.cell), CELL_COLOUR),
        *((str(cell), colour) for cell, colour in zip(named, COLOURS, strict=False)),
    ]
    pictures = [
        _figure(view, detections, pixels, rows, marks)
        for view in ((there, here) if of_parents else (here, there))
        if 0 <= view.frame <= int(detections.frame.max())
    ]
    asks = "Whose daughter is" if of_parents else "What becomes of"
    heading = f"<h2>{question.rank}. {asks} cell {question.cell}, frame {question.frame}?</h2>"
    body = "".join(_row(outcome.cells, outcome.probability, question) for outcome in shown)
    worth = question.expected_error_reduction
    fewer = "" if worth is None else f", {worth:.3g} wrong links fewer"
    foot = f"<p>{question.entropy_bits:.2f} bits{fewer} ({escape(question.how)})</p>"
    return f"<article>{''.join(pictures)}<div>{heading}<table>{body}</table>{foot}</div></article>"


def _row(cells: tuple[int, ...], probability: float, question: Question) -> str:
    """Return an outcome as a row; a star marks that of the solution."""
    of_parents = question.view == PARENTS
    nothing = "new" if of_parents else "ends"
    many = "divides into" if len(cells) > 1 else "daughter of" if of_parents else "becomes"
    told = f"{many} {' + '.join(map(str, cells))}" if cells else nothing
    star = "&#9733; in the solution" if question.chosen is not None and set(question.chosen) == set(cells) else ""
    return (
        f"<tr><td>{told}</td><td><meter min=0 max=1 value={probability:.4f}></meter></td>"
        f"<td class=p>{100 * probability:.1f} %</td><td>{star}</td></tr>"
    )


def _view(detections: Detections, rows: NDArray[np.int64], frame: int) -> _View:
    """Return the square around the cell that holds all that the outcomes name, within limits."""
    place = detections.position_px[rows, -2:]
    away = float(np.abs(place - place[0]).max(initial=0))
    sizes = detections.equivalent_diameter_px[rows]
    size = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else DOT_PX
    half = int(np.clip(np.ceil(away + size), SMALLEST_HALF_PX, LARGEST_HALF_PX))
    return _View(frame, (float(place[0, 0]), float(place[0, 1])), half)


def _figure(
    view: _View, detections: Detections, pixels: Pixels, rows: NDArray[np.int64], marks: list[tuple[str, str]]
) -> str:
    """Return a picture of a frame with its cells that are named, and dashed the place of the cell in question."""
    parts = [_image(view, pixels)]
    first, stop = np.searchsorted(detections.frame, [view.frame, view.frame + 1])
    for y, x in detections.position_px[first:stop, -2:].tolist():
        px, py = view.on_page(y, x)
        if 0 <= px <= SIDE and 0 <= py <= SIDE:
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2" fill="#bbb"/>')
    for row, (name, colour) in zip(rows.tolist(), marks, strict=True):
        if row != rows[0] and detections.frame[row] != view.frame:
            continue
        px, py = view.on_page(*detections.position_px[row, -2:].tolist())
        dash = "" if detections.frame[row] == view.frame else ' stroke-dasharray="3 3"'
        parts.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="9" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<text x="{px + 11:.1f}" y="{py + 4:.1f}" font-size="12" fill="{colour}">{name}</text>'
        )
    label = f"frame {view.frame}"
    return (
        f'<figure><svg role="img" aria-label="{label}" width="{SIDE}" height="{SIDE}" viewBox="0 0 {SIDE} {SIDE}">'
        f"{''.join(parts)}</svg><figcaption>{label}, {2 * view.half} px</figcaption></figure>"
    )


def _image(view: _View, pixels: Pixels) -> str:
    """Return the pixels of a square, outlines in it; nothing where there are none."""
    if not pixels.channels and not pixels.has_masks:
        return ""
    corner = np.round(np.array(view.middle) - view.half).astype(int)
    picture = np.zeros((2 * view.half, 2 * view.half, 3))
    if pixels.channels:
        picture += _square(grey(flat(pixels.image(pixels.channels[0], view.frame))), corner, 2 * view.half)[..., None]
    if pixels.has_masks:
        edge = boundary(_square(flat(pixels.mask(view.frame)), corner, 2 * view.half))
        picture[edge] = 0.6
    return f'<image href="data:image/png;base64,{_png(picture)}" width="{SIDE}" height="{SIDE}"/>'


def _square(plane: NDArray[Any], corner: NDArray[np.int64], side: int) -> NDArray[Any]:
    """Return a square of a plane, 0 where it leaves the plane."""
    cut = np.zeros((side, side), dtype=plane.dtype)
    low = np.maximum(corner, 0)
    high = np.minimum(corner + side, plane.shape)
    if (high > low).all():
        inside = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
        cut[inside] = plane[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return cut


def _png(picture: NDArray[np.float64]) -> str:
    try:
        from matplotlib.image import imsave
    except ImportError:
        raise ConfigError(
            "pictures of a page are written by matplotlib, which is not installed",
            **{"try": "pip install 'trackdb[plot]'"},
        ) from None
    held = io.BytesIO()
    imsave(held, np.clip(picture, 0, 1), format="png")
    return base64.b64encode(held.getvalue()).decode("ascii")
