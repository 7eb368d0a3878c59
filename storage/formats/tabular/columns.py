"""Columns of a table of text or Parquet: numbers, whole numbers and text, with the place of each entry that is none.

Text is read as text and turned into numbers here, so that an error names line and column of the user's file.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....errors import FormatError, TrackdbError
from ..calibration import LARGEST
from .text import MODERN, OLD, TextForm, row_line, single_spaces, text_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MISSING = ("", "nan", "na", "n/a", "none", "null")
RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
LONGEST_TEXT = 256  # letters of one entry that is kept: a table of a million names stays below a gigabyte
MOST_DIGITS = 18  # of a decimal that fits 64 bits


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Some columns of a file.

    Parameters
    ----------
    path : Path
        Where it was read.
    columns : dict of str to pa.Array
        Each column that was asked for, all equally long.
    form : TextForm or None
        How the text was read; None for Parquet.
    rows : (n,) int64 or None
        Number of each row in the file, from 0; None where it is the whole file.
    """

    path: Path
    columns: dict[str, Any]
    form: TextForm | None
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table of some rows, which keep their place in the file."""
        index = pa.array(rows)
        columns = {name: array.take(index) for name, array in self.columns.items()}
        return replace(self, columns=columns, rows=rows if self.rows is None else self.rows[rows])

    def unit(self, column: str) -> str:
        """Return the unit that the header gives for a column, ``""`` where it gives none."""
        return "" if self.form is None else self.form.units.get(column, "")

    @property
    def notes(self) -> list[str]:
        """What the user should know about the way the file was read."""
        if self.form is None:
            return []
        notes = [f"{self.path.name} is not UTF-8 and is read as Latin-1"] if self.form.encoding == OLD else []
        notes += [f"{self.path.name}: numbers may have a decimal comma"] if self.form.decimal_comma else []
        return notes

    def where(self, row: int) -> str:
        """Return file and line of a row, as error messages name it."""
        return f"{self.path} {self.line(row)}"

    def line(self, row: int) -> str:
        """Return the line of a row."""
        row = row if self.rows is None else int(self.rows[row])
        return f"row {row}" if self.form is None else f"line {row_line(self.path, self.form, row)}"

    def is_text(self, column: str) -> bool:
        """Tell whether a column holds words: entries of which most are no number."""
        array = self._plain(column)
        if not _is_text(array.type):
            return False
        try:
            self._numeric(array)
        except pa.ArrowInvalid:
            text = self._present(array)
            numeric = pc.match_substring_regex(text, r"^[+-]?[0-9.,]+([eE][+-]?[0-9]+)?$")
            return bool(2 * (pc.sum(numeric).as_py() or 0) < len(text) - text.null_count)
        return False

    def texts(self, column: str) -> Any:
        """Return a column as arrow strings without the spaces around them, null where one is missing.

        Raises
        ------
        FormatError
            If the column holds neither text nor numbers.
        """
        array = self._plain(column)
        if _is_number(array.type):
            return pc.cast(array, pa.string())
        if not _is_text(array.type):
            raise FormatError(f"{self.path}: column {column} holds {array.type}", expected="text or numbers")
        return self._present(array)

    def kept(self, column: str) -> NDArray[np.generic]:
        """Return a column as numbers with NaN if all its entries are numbers, else as text with ``""``.

        Raises
        ------
        FormatError
            If it holds neither, or text of more than `LONGEST_TEXT` letters.
        """
        array = self._plain(column)
        if pa.types.is_boolean(array.type):
            array = pc.cast(array, pa.int8())
        if _is_number(array.type):
            return _float64(array)
        text = self.texts(column)
        try:
            return _float64(self._numeric(text))
        except pa.ArrowInvalid:
            pass
        words = pc.fill_null(text, "").dictionary_encode()
        longest = pc.max(pc.utf8_length(words.dictionary)).as_py() or 0
        if longest > LONGEST_TEXT:
            raise FormatError(
                f"{self.path}: column {column} holds text of {longest:,} letters", expected=f"at most {LONGEST_TEXT}"
            )
        letters: NDArray[np.generic] = np.array(words.dictionary.to_pylist(), dtype=np.str_)
        rows: NDArray[np.int32] = words.indices.to_numpy(zero_copy_only=False)
        return letters[rows]

    def numbers(self, column: str, *, may_miss: bool = False) -> NDArray[np.float64]:
        """Return a column of finite numbers, NaN where one is missing and may be.

        Raises
        ------
        FormatError
            At the first entry that is no number, infinite, or missing.
        """
        values = _float64(self._as_numbers(column))
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
        array = self._plain(column)
        if pa.types.is_boolean(array.type) or not (_is_number(array.type) or _is_text(array.type)):
            raise FormatError(f"{self.path}: column {column} holds {array.type}", expected="numbers")
        if _is_number(array.type):
            return array
        try:
            return self._numeric(array)
        except pa.ArrowInvalid:
            text = self._present(array)
        # some entry is no number for arrow: either for Python too, or written as +1
        values = [None if v is None else as_float(self._with_point(v)) for v in text.to_pylist()]
        wrong = next((row for row, v in enumerate(values) if v is not None and v != v), None)
        if wrong is not None:
            self._refuse(wrong, column, "a number")
        return pa.array(values, pa.float64())

    def _plain(self, column: str) -> Any:
        array = self.columns[column]
        if pa.types.is_decimal(array.type):  # what databases write for 0.5
            is_whole = array.type.scale == 0 and array.type.precision <= MOST_DIGITS
            return pc.cast(array, pa.int64() if is_whole else pa.float64())
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

    def _present(self, array: Any) -> Any:
        """Return text without spaces around it, null where it says that there is nothing."""
        text = pc.utf8_trim_whitespace(array)
        # a word is looked up only where it is short enough: most tables hold long numbers
        short = pc.less_equal(pc.binary_length(text), max(map(len, MISSING)))
        nothing = pc.and_(short, pc.is_in(pc.utf8_lower(text), pa.array(MISSING, text.type)))
        return pc.if_else(nothing, pa.scalar(None, text.type), text)

    def _numeric(self, array: Any) -> Any:
        """Return text as numbers, null where it says that there is nothing; arrow raises where some entry is none."""
        try:
            return self._parsed(array)  # most columns are plain numbers, and this is all it takes
        except pa.ArrowInvalid:
            return self._parsed(self._present(array))

    def _parsed(self, text: Any) -> Any:
        """Return text as whole numbers, else as numbers; arrow raises where some entry is none."""
        try:
            return pc.cast(text, pa.int64())
        except pa.ArrowInvalid:
            if self.form is not None and self.form.decimal_comma:
                text = pc.replace_substring(text, ",", ".")
            return pc.cast(text, pa.float64())

    def _with_point(self, text: str) -> str:
        return text.replace(",", ".") if self.form is not None and self.form.decimal_comma else text

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
        return text_form(path).names


def read_columns(path: Path, names: Iterable[str], form: TextForm | None = None) -> Table:
    """Read some columns of a table, and no others.

    Parameters
    ----------
    path : Path
        Text or Parquet.
    names : iterable of str
        The columns.
    form : TextForm or None
        How to read the text, where its first lines do not tell.

    Raises
    ------
    FormatError
        If a column is not there or there twice, or the file cannot be read.
    """
    wanted = list(dict.fromkeys(names))
    there = form.names if form else column_names(path)
    for name in wanted:
        if there.count(name) != 1:
            what = "no column" if name not in there else f"{there.count(name)} columns"
            raise FormatError(f"{path} has {what} {name}", expected="one", got=f"columns {', '.join(there)}")
    with _reading(path):
        if _is_parquet(path):
            return _read_parquet(path, wanted)
        form = form or text_form(path)
        try:
            return _read_text(path, form, wanted)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            if form.encoding != MODERN or ("UTF8" not in str(error) and "utf-8" not in str(error)):
                raise
        return _read_text(path, replace(form, encoding=OLD), wanted)


def _read_parquet(path: Path, names: list[str]) -> Table:
    import pyarrow.parquet as pq

    table = pq.read_table(_buffer(path), columns=names, use_threads=False)
    return Table(path, {name: table.column(name).combine_chunks() for name in names}, form=None)


def _read_text(path: Path, form: TextForm, names: list[str]) -> Table:
    import pyarrow.csv as pa_csv

    aligned = single_spaces(path, form) if form.delimiter == " " else None
    try:
        with pa.input_stream(str(path)) if aligned is None else pa.PythonFile(aligned, mode="r") as stream:
            table = pa_csv.read_csv(
                stream,
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    column_names=form.names,
                    skip_rows=form.header_lines,
                    encoding="utf8" if aligned else form.encoding,
                ),
                parse_options=pa_csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=names, column_types=dict.fromkeys(names, pa.string())
                ),
            )
    except pa.ArrowInvalid as error:
        if ragged := RAGGED.search(str(error)):
            raise _ragged(path, form, ragged) from None
        raise
    return Table(path, {name: table.column(name).combine_chunks() for name in names}, form)


def _ragged(path: Path, form: TextForm, said: re.Match[str]) -> FormatError:
    """Return the error about a row that has more or fewer entries than there are columns, of which arrow said this."""
    line = row_line(path, form, int(said[1]) - form.header_lines - 1)
    return FormatError(
        f"{path} line {line}: the row has {said[3]} entries",
        expected=f"{said[2]}, one for each column",
        got=said[4][:80],
    )


def _buffer(path: Path) -> Any:
    return pa.BufferReader(gzip.decompress(path.read_bytes())) if path.name.lower().endswith(".gz") else str(path)


def _is_parquet(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".parquet")


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _float64(array: Any) -> NDArray[np.float64]:
    """Return numbers with NaN where there is none."""
    values: NDArray[np.float64] = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def as_float(text: str) -> float:
    """Return a number, NaN for text that is none; Python's own 1_000 is none."""
    try:
        return float("nan" if "_" in text else text)
    except ValueError:
        return float("nan")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever arrow or gzip raise into a FormatError that names the file."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise FormatError(f"{path} is no table", expected="a file")
    try:
        yield
    except TrackdbError:
        raise
    except (pa.ArrowException, OSError, EOFError, zlib.error, csv.Error, UnicodeError) as error:
        raise FormatError(f"{path} cannot be read as a table", got=str(error)) from error
