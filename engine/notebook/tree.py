"""A family as a drawing for a notebook: time runs down, what is doubtful stands out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...storage.html import fitting, html_card, html_line
from ...storage.plain import plural
from ..plots.drawing import DOUBT_COLOURS, DOUBT_NAMES, DOUBT_WIDTHS, doubt_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..family import Family

MOST_PARTS: Final = 600  # tracklets and doubtful links that are drawn
COLUMN_PX: Final = 26
FRAME_PX: Final = (2.0, 16.0)
HEIGHT_PX: Final = 420.0
MARGIN_PX: Final = 18
NAMED: Final = 60  # tracklets up to which each has its number beside it
PLAIN: Final = 1  # a doubt up to this is drawn like a certain link
CELL_COLOUR: Final = "#CC79A7"


def family_html(family: Family, solution: str, column: NDArray[np.float64], probability: NDArray[np.float64]) -> str:
    """Return a family as inline SVG with what its lines mean.

    Parameters
    ----------
    family : Family
        k tracklets, m links.
    solution : str
        Whose family it is.
    column : (k,) float64
        Where each tracklet stands; neighbours are 1 apart.
    probability : (m,) float64
        Of each link, NaN where nobody tells.
    """
    counted = f"{plural(len(family.branch), 'track')}, {plural(len(family.id), 'cell')}"
    title = f"lineage of cell {family.cell} in {solution}: {counted}"
    doubt = doubt_of(probability)
    doubtful = np.flatnonzero((doubt > PLAIN) & (doubt < len(DOUBT_NAMES) - 1))
    doubtful = doubtful[np.argsort(probability[doubtful], kind="stable")]
    seen = [DOUBT_NAMES[k] for k in np.unique(doubt[doubtful])]
    legend = f"thick: the link is wrong with {', '.join(seen)}" if seen else ""

    def made(shown: int) -> str:
        tracklets = min(shown, len(family.branch))
        links = doubtful[: max(0, shown - tracklets)]
        left_out = len(family.branch) - tracklets
        said = [legend, f"not drawn: {plural(left_out, 'track')}" if left_out else ""]
        drawing = _svg(family, column, tracklets, links, doubt)
        return html_card(title, drawing, *(html_line(text) for text in said if text))

    return fitting(made, min(MOST_PARTS, len(family.branch) + len(doubtful)))


def _svg(
    family: Family, column: NDArray[np.float64], tracklets: int, links: NDArray[np.int64], doubt: NDArray[np.int64]
) -> str:
    """Return the drawing of the first tracklets, and of some links over them."""
    begin = int(family.frame.min())
    n_frames = int(family.frame.max()) - begin + 1
    step = float(np.clip(HEIGHT_PX / n_frames, *FRAME_PX))
    width, height = COLUMN_PX * (column.max() + 1) + 2 * MARGIN_PX, step * n_frames + 2 * MARGIN_PX
    place: dict[int, float] = dict(zip(family.branch.tolist(), column.tolist(), strict=True))

    def x(track: int) -> float:
        return MARGIN_PX + COLUMN_PX * place[track]

    def y(frame: int) -> float:
        return MARGIN_PX + step * (frame - begin)

    first, last = _spans(family)
    parts = []
    numbers, parents = family.branch[:tracklets].tolist(), family.parent[:tracklets].tolist()
    for row, (number, parent) in enumerate(zip(numbers, parents, strict=True)):
        way = f"M{x(number):.1f} {y(first[row]):.1f}V{y(last[row]) + 1:.1f}"
        if parent in place:
            mother = y(last[int(np.flatnonzero(family.branch == parent)[0])])
            way = f"M{x(parent):.1f} {mother:.1f}H{x(number):.1f}V{y(last[row]) + 1:.1f}"
        said = f"track {number}, frames {first[row]} to {last[row]}"
        parts.append(f'<path d="{way}" fill="none" stroke="#404040"><title>{said}</title></path>')
        if tracklets <= NAMED:
            parts.append(f'<text x="{x(number) + 3:.1f}" y="{y(first[row]) + 11:.1f}" font-size="10">{number}</text>')
    frame = dict(zip(family.id.tolist(), family.frame.tolist(), strict=True))
    track = dict(zip(family.id.tolist(), family.track.tolist(), strict=True))
    for link in links.tolist():
        source, target = int(family.source[link]), int(family.target[link])
        parts.append(
            f'<path d="M{x(track[source]):.1f} {y(frame[source]):.1f}H{x(track[target]):.1f}V{y(frame[target]):.1f}" '
            f'fill="none" stroke="{DOUBT_COLOURS[doubt[link]]}" stroke-width="{DOUBT_WIDTHS[doubt[link]]}">'
            f"<title>{source} to {target}</title></path>"
        )
    at = x(track[family.cell]), y(frame[family.cell])
    parts.append(
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4" fill="{CELL_COLOUR}"><title>cell {family.cell}</title>'
        "</circle>"
    )
    return (
        f'<svg role="img" aria-label="lineage of cell {family.cell}" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">{"".join(parts)}</svg>'
    )


def _spans(family: Family) -> tuple[list[int], list[int]]:
    """Return the first and the last frame of each tracklet."""
    change = np.flatnonzero(np.diff(family.track)) + 1
    begin = np.append(0, change)
    end = np.append(change, len(family.track)) - 1
    return family.frame[begin].tolist(), family.frame[end].tolist()
