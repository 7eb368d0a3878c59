"""What a terminal shows: text that cannot steer it, tables in aligned columns, counts with their noun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BLANKS: Final = "\n\t\u00a0\u202f"  # that a terminal takes as they are, beside the ordinary one
LONGEST_CELL: Final = 500  # letters of a value in a table


def printable(text: str) -> str:
    """Return a text without what would steer a terminal: names in files of others may hold anything."""
    return "".join(c if c.isprintable() or c in BLANKS else ascii(c)[1:-1] for c in text)


def plural(count: int, noun: str) -> str:
    """Return ``1 link`` or ``1,903 links``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def as_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text in aligned columns, numbers to the right, long values cut."""
    columns = [_cell(name) for name in columns]
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, (name, *(row[i] for row in cells)))) for i, name in enumerate(columns)]
    right = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]

    def line(words: Sequence[str]) -> str:
        padded = (w.rjust(n) if r else w.ljust(n) for w, n, r in zip(words, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), line(["-" * n for n in widths]), *map(line, cells)])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    text = " ".join(str(value)[: 2 * LONGEST_CELL].split())
    return printable(text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]} ...")
