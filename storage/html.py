"""What notebooks show: small tables of HTML, all that comes from a store or a user escaped, without a script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_BYTES: Final = 100_000
"""Of what one result shows: notebooks keep it in their file."""
LONGEST: Final = 120  # letters of a value
LONGEST_LINE: Final = 600  # letters of a line of text: an error has the path of its file in it
MOST_COLUMNS: Final = 30
CELL: Final = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def html_text(value: object, longest: int = LONGEST) -> str:
    """Return a value as HTML: nothing for None, numbers in nine digits, text cut after so many letters and escaped."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.9g}"
    text = str(value)
    return escape(text if len(text) <= longest else f"{text[:longest]} …")


def html_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """Return rows as a table; of more columns than `MOST_COLUMNS` the first."""
    shown = [*columns[:MOST_COLUMNS], *(["…"] if len(columns) > MOST_COLUMNS else [])]
    head = "".join(f'<th scope="col" style="{CELL}">{html_text(name)}</th>' for name in shown)
    body = "".join(f"<tr>{''.join(map(_cell, row[:MOST_COLUMNS]))}</tr>" for row in rows)
    return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _cell(value: object) -> str:
    return f'<td style="{CELL}">{html_text(value)}</td>'


def html_card(title: str, *parts: str) -> str:
    """Return a titled block; `parts` are HTML."""
    return f"<div><strong>{html_text(title)}</strong>{''.join(parts)}</div>"


def html_line(text: str) -> Markup:
    """Return a line of text."""
    return Markup(f'<div style="color:#555">{html_text(text, LONGEST_LINE)}</div>')


def fitting(make: Callable[[int], str], most: int) -> str:
    """Return what `make` makes of so many parts, of fewer where that is larger than `MOST_BYTES`.

    Parameters
    ----------
    make : callable
        Returns the HTML of the first n parts, for n from 0 to `most`.
    most : int
        How many there are, or are to be shown.
    """
    shown = most
    made = make(shown)
    while len(made.encode()) > MOST_BYTES and shown:
        shown //= 2
        made = make(shown)
    return made
