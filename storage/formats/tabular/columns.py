"""Columns of numbers from a table of text or Parquet, with the place of each number that is none.

Text is read as text and turned into numbers here, so that an error names line and column of the user's file.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....errors import FormatError, TrackdbError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MISSING = ("", "nan", "na", "n/a", "none", "null")
TRACKMATE_HEADER_ROWS = 3  # TrackMate repeats the header in words, in short and in units

LARGEST = 1e15  # squares of larger coordinates are lost in single precision, which the store keeps


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Some columns of a file.

    Parameters
    ----------
    path : Path
        Where it was read.
    columns : dict of str to pa.Array
        Each column that was asked for, all equally long.
    first_line : int or None
        Line of row 0 in a text file; None for Parquet.
    """

    path: Path
    columns: dict[str, Any]
    first_line: int | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def where(self, row: int) -> str:
        """Return file and line of a row, as error messages name it."""
        return f"{self.path} {self.line(row)}"

    def line(self, row: int) -> str:
        """Return the line of a row; lines that are blank count too, so the text is read again."""
        if self.first_line is None:
            return f"row {row}"
        with _open_text(self.path) as lines:
            full = (number for number, line in enumerate(lines, start=1) if number >= self.first_line and line.strip())
            return f"line {next((n for i, n in enumerate(full) if i == row), row + self.first_line)}"

    def numbers(self, column: str, *, may_miss: bool = False) -> NDArray[np.float64]:
        """Return a column of finite numbers, NaN where one is missing and may be.

        Raises
        ------
        FormatError
            At the first entry that is no number, infinite, or missing.
        """
        values: NDArray[np.float64] = pc.cast(self._as_numbers(column), pa.float64()).to_numpy(zero_copy_only=False)
        bad = ~(np.abs(values) < LARGEST)
        if may_miss:
            bad &= ~np.isnan(values)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            self._refuse(row, column, f"a finite number below {LARGEST:.0e}")
        return values

    def integers(self, column: str, *, missing: int | None = None, lowest: int | None = 0) -> NDArray[np.int64]:
        """Return a column of whole numbers.

        Parameters
        ----------
        missing : int or None
            What to put where there is none; None refuses that.
        lowest : int or None
            Refuse numbers below, None for no bound.

        Raises
        ------
        FormatError
            At the first entry that is no whole number, too low, or missing.
        """
        array = self._as_numbers(column)
        if not pa.types.is_integer(array.type):
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        absent = array.is_null().to_numpy(zero_copy_only=False)
        if missing is None and absent.any():
            self._refuse(int(np.flatnonzero(absent)[0]), column, "a whole number")
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        if values.dtype.kind == "f":
            uneven = (values != np.floor(values)) | (np.abs(values) >= 2.0**53)
            if uneven.any():
                self._refuse(int(np.flatnonzero(uneven)[0]), column, "a whole number")
        whole: NDArray[np.int64] = values.astype(np.int64)
        low = ~absent & (whole < lowest) if lowest is not None else np.zeros(len(whole), dtype=bool)
        if low.any():
            self._refuse(int(np.flatnonzero(low)[0]), column, f"a whole number of at least {lowest}")
        return np.where(absent, -1 if missing is None else missing, whole)

    def _as_numbers(self, column: str) -> Any:
        array = self.columns[column]
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if pa.types.is_boolean(array.type) or not (_is_number(array.type) or _is_text(array.type)):
            raise FormatError(f"{self.path}: column {column} holds {array.type}", expected="numbers")
        if _is_number(array.type):
            return array
        text = pc.utf8_trim_whitespace(array)
        text = pc.if_else(pc.is_in(pc.utf8_lower(text), pa.array(MISSING, text.type)), pa.scalar(None, text.type), text)
        for kind in (pa.int64(), pa.float64()):
            try:
                return pc.cast(text, kind)
            except pa.ArrowInvalid:
                continue
        # some entry is no number for arrow: either for Python too, or written as +1
        values = [None if v is None else _float(v) for v in text.to_pylist()]
        wrong = next((row for row, v in enumerate(values) if v is not None and v != v), None)
        if wrong is not None:
            self._refuse(wrong, column, "a number")
        return pa.array(values, pa.float64())

    def _refuse(self, row: int, column: str, expected: str) -> None:
        got = self.columns[column][row].as_py()
        shown = "nothing" if got is None or got == "" else repr(got) if isinstance(got, str) else str(got)
        raise FormatError(f"{self.where(row)}: column {column} needs {expected}", got=shown)


def column_names(path: Path) -> tuple[str, ...]:
    """Return the columns that a table has, without reading its rows.

    Raises
    ------
    FormatError
        If the file is empty or no table.
    """
    with _reading(path):
        if _is_parquet(path):
            import pyarrow.parquet as pq

            return tuple(pq.read_schema(_buffer(path)).names)
        return _text_header(path)[0]


def read_columns(path: Path, names: Iterable[str]) -> Table:
    """Read some columns of a table, and no others.

    Raises
    ------
    FormatError
        If a column is not there or there twice, or the file cannot be read.
    """
    wanted = list(dict.fromkeys(names))
    there = column_names(path)
    for name in wanted:
        if there.count(name) != 1:
            what = "no column" if name not in there else f"{there.count(name)} columns"
            raise FormatError(f"{path} has {what} {name}", expected="one", got=f"columns {', '.join(there)}")
    with _reading(path):
        return _read_parquet(path, wanted) if _is_parquet(path) else _read_text(path, wanted)


def _read_parquet(path: Path, names: list[str]) -> Table:
    import pyarrow.parquet as pq

    table = pq.read_table(_buffer(path), columns=names, use_threads=False)
    return Table(path, {name: table.column(name).combine_chunks() for name in names}, first_line=None)


def _read_text(path: Path, names: list[str]) -> Table:
    import pyarrow.csv as pa_csv

    header, delimiter, header_line = _text_header(path)
    with pa.input_stream(str(path)) as stream:
        table = pa_csv.read_csv(
            stream,
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=header, skip_rows=header_line),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter),
            convert_options=pa_csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(names, pa.string()), check_utf8=False
            ),
        )
    first_line = header_line + 1
    if "POSITION_X" in header and len(table) >= TRACKMATE_HEADER_ROWS and _is_trackmate_header(table):
        table, first_line = table.slice(TRACKMATE_HEADER_ROWS), first_line + TRACKMATE_HEADER_ROWS
    return Table(path, {name: table.column(name).combine_chunks() for name in names}, first_line)


def _is_trackmate_header(table: Any) -> bool:
    words = [column[0].as_py() for column in table.columns]
    return all(word != "" and np.isnan(_float(word)) for word in words)


def _text_header(path: Path) -> tuple[tuple[str, ...], str, int]:
    """Return the columns of a text table, what parts them, and the line of the header."""
    with _open_text(path) as lines:
        header, number = next(((line, n) for n, line in enumerate(lines, start=1) if line.strip()), ("", 0))
    if not number:
        raise FormatError(f"{path} is empty", expected="a table with a line of column names")
    delimiter = max(",\t; ", key=header.count)
    if "\t" in header and path.name.lower().removesuffix(".gz").endswith(".tsv"):
        delimiter = "\t"
    names = next(csv.reader([header.rstrip("\r\n")], delimiter=delimiter))
    return tuple(name.strip() for name in names), delimiter, number


def _open_text(path: Path) -> Any:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8-sig", errors="replace", newline=None)


def _buffer(path: Path) -> Any:
    return pa.BufferReader(gzip.decompress(path.read_bytes())) if path.name.lower().endswith(".gz") else str(path)


def _is_parquet(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".parquet")


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _float(text: str) -> float:
    """Return a number, NaN for text that is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever arrow or gzip raise into a FormatError that names the file."""
    try:
        yield
    except TrackdbError:
        raise
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path} cannot be read as a table", got=str(error)) from error
