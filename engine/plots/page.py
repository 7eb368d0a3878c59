"""The review list as a page: each question with what the cell looks like, to read, print or send; it needs no server.

All is in one file without a script: pictures are drawn in it, and names are escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from ...errors import ConfigError
from ...storage.folders import appearing_file
from ..exports.base import require_place_for
from ..review.queue import PARENTS
from .crops import likely, pictures_of, told

if TYPE_CHECKING:
    from pathlib import Path

    from ...storage.schema import Detections
    from ..pixels import Pixels
    from ..review.queue import Question, ReviewList

SIDE: Final = 240

STYLE: Final = """\
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}
article{display:flex;gap:1rem;border-top:1px solid #bbb;padding:1rem 0}
h2{font-size:1rem;margin:0 0 .4rem}figure{margin:0}figcaption{font-size:.8rem;color:#444}
svg{display:block;background:#000}svg text{stroke:#000;stroke-width:3px;paint-order:stroke}
table{border-collapse:collapse}td{padding:.15rem .6rem .15rem 0;vertical-align:top}
td.p{text-align:right;font-variant-numeric:tabular-nums}meter{width:7rem}"""


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
        If the file has another ending.
    FormatError
        If the file is there already, or its folder is not.
    """
    require_page(out)
    title = escape(f"Where to look first: {asked.solution}")
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
    )
    line = escape(
        f"{len(asked.items):,} of {asked.open:,} open questions of posterior {asked.posterior}, by {asked.by}."
    )
    articles = [_article(question, detections, pixels) for question in asked.items]
    with appearing_file(out, new=True) as partial:
        partial.write_text("\n".join([head, f"<p>{line}</p>", *articles, "</html>\n"]), encoding="utf-8")
    return len(articles)


def _article(question: Question, detections: Detections, pixels: Pixels) -> str:
    """Return one question: two pictures, and what may be."""
    asks = "Whose daughter is" if question.view == PARENTS else "What becomes of"
    heading = f"<h2>{question.rank}. {asks} cell {question.cell}, frame {question.frame}?</h2>"
    body = "".join(_row(outcome.cells, outcome.probability, question) for outcome in likely(question))
    worth = question.expected_error_reduction
    fewer = "" if worth is None else f", {worth:.3g} wrong links fewer"
    foot = f"<p>{question.entropy_bits:.2f} bits{fewer} ({escape(question.how)})</p>"
    pictures = "".join(pictures_of(question, detections, pixels, side=SIDE))
    return f"<article>{pictures}<div>{heading}<table>{body}</table>{foot}</div></article>"


def _row(cells: tuple[int, ...], probability: float, question: Question) -> str:
    """Return an outcome as a row; a star marks that of the solution."""
    star = "&#9733; in the solution" if question.chosen is not None and set(question.chosen) == set(cells) else ""
    return (
        f"<tr><td>{told(cells, question)}</td><td><meter min=0 max=1 value={probability:.4f}></meter></td>"
        f"<td class=p>{100 * probability:.1f} %</td><td>{star}</td></tr>"
    )
