"""Attributes of many elements as columns of numbers, grown as the elements come."""

from __future__ import annotations

from array import array
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .stream import XmlStream

SMALL = 64 << 20  # bytes of columns that any file may fill
SPARSE = 16  # bytes of columns that each byte of a file may fill beyond that
NAN = float("nan")


class NumberColumns:
    """One column of numbers for each name of an attribute, NaN where an element does not have it.

    Parameters
    ----------
    stream : XmlStream
        Where the elements come from.
    """

    def __init__(self, stream: XmlStream) -> None:
        self.n_rows = 0
        self._stream = stream
        self._columns: dict[str, array[float]] = {}
        self._names: list[str] = []  # of the element before: most have the same
        self._chosen: list[array[float]] = []
        self._room = SMALL + SPARSE * stream.path.stat().st_size

    def append(self, attributes: dict[str, str]) -> None:
        """Add the attributes of one element.

        Raises
        ------
        FormatError
            If one is no number, or a few elements with many names of their own would make the columns huge.
        """
        names = list(attributes)
        if names != self._names:
            self._names, self._chosen = names, [self._columns.setdefault(name, array("d")) for name in names]
            self._require_room()
        n = self.n_rows
        for column, text in zip(self._chosen, attributes.values(), strict=True):
            if len(column) < n:
                column.extend(repeat(NAN, n - len(column)))
            try:
                column.append(float(text))
            except ValueError:
                name = next(name for name, value in attributes.items() if value is text)
                raise self._stream.wrong(name, "a number", text) from None
        self.n_rows += 1

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return each column, (n_rows,), in the order in which the names came."""
        self._require_room()
        found = {}
        for name, column in self._columns.items():
            values = np.full(self.n_rows, NAN)
            values[: len(column)] = column
            found[name] = values
        return found

    def _require_room(self) -> None:
        if 8 * len(self._columns) * self.n_rows > self._room:
            raise FormatError(
                f"{self._stream.where}: {len(self._columns):,} different attributes for {self.n_rows:,} elements",
                expected="elements that share their attributes",
            )


class TextColumn:
    """A column of texts in one buffer, not one object each."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends: array[int] = array("q")

    def append(self, text: str) -> None:
        """Add one text."""
        self._bytes += text.encode("utf-8", "replace")
        self._ends.append(len(self._bytes))

    def column(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.generic] | None:
        """Return the texts of some rows (all by default), ``""`` for row -1; None if all of them are empty."""
        if not self._bytes:
            return None
        ends = np.array(self._ends, dtype=np.int64)
        begins = np.append(0, ends[:-1])
        texts = texts_of(bytes(self._bytes), begins, ends)
        if rows is None:
            return texts
        found = np.full(len(rows), "", dtype=texts.dtype)
        found[rows >= 0] = texts[rows[rows >= 0]]
        return found


def texts_of(content: bytes, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.generic]:
    """Return texts that lie one after the other in a buffer as an array of variable width."""
    pieces = (content[a:b].decode() for a, b in zip(begins.tolist(), ends.tolist(), strict=True))
    return np.fromiter(pieces, dtype=np.dtypes.StringDType(), count=len(ends))


def integers(values: Sequence[int]) -> NDArray[np.int64]:
    """Return an `array` of whole numbers as numpy holds it."""
    return np.array(values, dtype=np.int64)
