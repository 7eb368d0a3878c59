"""The outer form of a table of text: its encoding, what parts its columns, its lines of header, its units.

Two programs write several lines of header. TrackMate repeats the names in words and in short, then gives the units;
Mastodon writes groups, names and units, which are joined here as ``Spot position X``.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ....errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
MODERN, OLD = "utf-8", "latin-1"  # what text is, and what it is taken for where it is not
LONGEST_LINE = 1 << 20  # a header of more letters is no header
HEADER_LINES = 4  # no program writes more


@dataclass(frozen=True, slots=True)
class TextForm:
    """How to read the rows of a text table.

    Parameters
    ----------
    names : tuple of str
        Its columns.
    delimiter : str
        What stands between them.
    header_lines : int
        Lines of the file before the first row, blank ones included.
    encoding : str
        As Python names it.
    units : dict of str to str
        What the header says of a column: ``micron``, ``pixel``, ...
    """

    names: tuple[str, ...]
    delimiter: str
    header_lines: int
    encoding: str
    units: dict[str, str] = field(default_factory=dict)

    @property
    def decimal_comma(self) -> bool:
        """True where numbers may be written ``1,5``: a comma cannot part the columns."""
        return self.delimiter == ";"


def text_form(path: Path, encoding: str | None = None) -> TextForm:
    """Look at the first lines of a text table.

    Parameters
    ----------
    path : Path
        Plain or gzipped text.
    encoding : str or None
        Given where the rows have shown that the first lines tell too little.

    Raises
    ------
    FormatError
        If the file is empty or no text.
    """
    encoding = encoding or _encoding(path)
    try:
        lines = list(_first_lines(path, encoding))
    except UnicodeDecodeError:
        return text_form(path, OLD)
    if not lines:
        raise FormatError(f"{path} is empty", expected="a table with a line of column names")
    if any("\0" in line for _, line in lines):
        raise FormatError(f"{path} is no text table", got="zero bytes in the header", **{"try": "to save it as UTF-8"})
    delimiter = _delimiter(lines[0][1], path)
    rows = [_fields(line, delimiter) for _, line in lines]
    names, n_header, units = _header(rows)
    return TextForm(names, delimiter, lines[n_header - 1][0], encoding, units)


def bare_form(path: Path) -> TextForm | None:
    """Return the form of a table without names, whose first line holds numbers; None if it holds anything else.

    Raises
    ------
    FormatError
        If the file is empty or no text.
    """
    form = text_form(path)
    numeric = all(re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", name) for name in form.names)
    return replace(form, header_lines=form.header_lines - 1) if numeric else None


def first_row(path: Path) -> dict[str, str] | None:
    """Return the entries of the first row by their columns, None if there is no row."""
    form = text_form(path)
    with open_text(path, form.encoding) as lines:
        rows = [line for line in islice(lines, form.header_lines, form.header_lines + 20) if line.strip()]
    return dict(zip(form.names, _fields(rows[0], form.delimiter), strict=False)) if rows else None


def open_text(path: Path, encoding: str, *, errors: str = "strict") -> Any:
    """Open plain or gzipped text; what is no text of this encoding raises UnicodeDecodeError, or is replaced."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    return opener(path, "rt", encoding=encoding, errors=errors, newline=None)


def row_line(path: Path, form: TextForm, row: int) -> int:
    """Return the line on which a row begins, from 1; lines that are blank count too, so the text is read again."""
    with open_text(path, form.encoding, errors="replace") as lines:  # columns that are not read may hold anything
        for _ in range(form.header_lines):
            next(lines)
        line = form.header_lines + 1
        reader = csv.reader(lines, delimiter=form.delimiter)
        for fields in reader:
            if fields and (form.delimiter != " " or any(fields)):
                if row == 0:
                    return line
                row -= 1
            line = form.header_lines + reader.line_num + 1
    return line


def single_spaces(path: Path, form: TextForm) -> io.BytesIO | None:
    """Return the text with one space between columns if several align them, None if two mean that an entry is empty."""
    with open_text(path, form.encoding) as lines:
        first = list(islice(lines, form.header_lines + 1))
        header, row = first[form.header_lines - 1], first[-1].strip("\n")
        aligned = "  " in header.strip() or header.startswith(" ")
        aligned |= len(row.split(" ")) > len(form.names) == len(row.split())
        if not aligned:
            return None
        text = "".join(first) + lines.read()
    text = re.sub(r"[^\S\n]+", " ", text)
    return io.BytesIO(re.sub(r"(?m)^ | $", "", text).encode())


def _encoding(path: Path) -> str:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        begin = stream.read(4)
    return next((name for bom, name in BOMS if begin.startswith(bom)), MODERN)


def _first_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Return the first lines that are not blank, with their numbers from 1."""
    found = 0
    with open_text(path, encoding) as lines:
        number = 0
        while found < HEADER_LINES and (line := lines.readline(LONGEST_LINE)):
            number += 1
            if len(line) == LONGEST_LINE:
                raise FormatError(f"{path} line {number} has a million letters and more", expected="a text table")
            if line.strip():
                found += 1
                yield number, line


def _delimiter(header: str, path: Path) -> str:
    """Return what parts the columns; a space does only where nothing else could."""
    if "\t" in header and path.name.lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    most = max(",\t;", key=header.count)
    return most if most in header else " "


def _fields(line: str, delimiter: str) -> tuple[str, ...]:
    text = re.sub(r"\s+", " ", line.strip()) if delimiter == " " else line.rstrip("\r\n")
    return tuple(field.strip() for field in next(csv.reader([text], delimiter=delimiter)))


def _header(rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], int, dict[str, str]]:
    """Return the names of the columns, how many lines they take, and their units."""
    first = rows[0]
    names = (first[0].removeprefix("#").strip(), *first[1:])
    if len(rows) >= 4 and _is_units(rows[3]) and len({len(row) for row in rows[:4]}) == 1:  # TrackMate
        return names, 4, _units(names, rows[3])
    if len(rows) >= 3 and names[:2] == ("Label", "ID") and rows[1][:2] == rows[2][:2] == ("", ""):  # Mastodon
        joined = tuple(f"{group} {name}".strip() for group, name in zip(names, rows[1], strict=False))
        return joined, 3, _units(joined, rows[2])
    return names, 1, {}


def _is_units(row: tuple[str, ...]) -> bool:
    """Tell whether a line holds units in brackets and nothing else."""
    return any(row) and all(text == "" or re.fullmatch(r"\(.*\)", text) for text in row)


def _units(names: tuple[str, ...], row: tuple[str, ...]) -> dict[str, str]:
    return {name: unit.strip("()") for name, unit in zip(names, row, strict=False) if unit}
