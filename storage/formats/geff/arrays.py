"""Arrays of a GEFF, read whole: none is believed before it is weighed against the bytes that lie there.

A file of a few bytes can declare any size. An array may be far larger than what is stored of it, as equal numbers need
almost no room; beyond `FREE` bytes its size has to be paid for by stored bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import FormatError
from ...pixels.zarr_array import CODECS, open_node, reading, require_codecs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from .group import GeffGroup

FREE = 64 << 20  # bytes that any array may declare
PAID = 4096  # bytes that each stored byte pays for
MOST_CHUNKS = 10_000  # that any array may declare, or
CHUNKS_PER_FILE = 100
TEXT_CODECS = {"vlen-utf8", "vlen-bytes"}


class GeffArray:
    """An array that has been opened and weighed, and not been read.

    Parameters
    ----------
    group : GeffGroup
        The GEFF.
    name : str
        Path of the array in the group: ``nodes/ids``.

    Raises
    ------
    FormatError
        If it is missing, broken, or declares more than it can hold.
    """

    def __init__(self, group: GeffGroup, name: str) -> None:
        self.where = group.path / name
        if not self.where.is_dir():
            raise FormatError(f"{group.path} has no array {name}")
        self._array: Any = self._open()
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.kind: str = getattr(self._array.dtype, "kind", "V")
        self._weigh(group.n_bytes[self.where], group.n_files[self.where])

    def read(self) -> NDArray[Any]:
        """Return all of it.

        Raises
        ------
        FormatError
            If a chunk is broken.
        """
        with reading(str(self.where)):
            values = np.asarray(self._array[...])
        if values.shape != self.shape:
            raise FormatError(f"{self.where} is broken", expected=f"shape {self.shape}", got=f"shape {values.shape}")
        return values

    def require_rows(self, n: int, of: str) -> None:
        """Raise FormatError unless the array has one row for each of `n` things."""
        if not self.shape or self.shape[0] != n:
            raise FormatError(f"{self.where} does not fit", expected=f"{n:,} rows, as {of}", got=f"shape {self.shape}")

    def require_type(self, told: str) -> None:
        """Raise FormatError unless the array holds numbers or text of a type as GEFF names it."""
        kinds = {"str": "UTO", "bytes": "SOV"}.get(told)
        held, wanted = self._array.dtype, np.dtype(told)
        if not (self.kind in kinds if kinds else (self.kind, held.itemsize) == (wanted.kind, wanted.itemsize)):
            raise FormatError(f"{self.where} is not what the metadata say", expected=told, got=str(held))

    def _open(self) -> Any:
        array = open_node(self.where)
        with reading(str(self.where)):
            if not hasattr(array, "chunks"):
                raise FormatError(f"{self.where} is no array", expected=".zarray or zarr.json of an array")
            require_codecs(array.metadata.to_dict(), self.where, CODECS | TEXT_CODECS)
        return array

    def _weigh(self, n_bytes: int, n_files: int) -> None:
        item = max(int(getattr(self._array.dtype, "itemsize", 16)), 1)
        size, chunk = (item * _product(shape) for shape in (self.shape, self._array.chunks))
        if size > FREE + PAID * n_bytes or chunk > max(4 * FREE, 2 * size):
            raise FormatError(
                f"{self.where} declares more than it holds",
                got=f"shape {self.shape} in chunks of {tuple(self._array.chunks)}, {n_bytes:,} bytes stored",
            )
        n_chunks = _product(-(-a // b) for a, b in zip(self.shape, self._array.chunks, strict=True) if b)
        if n_chunks > MOST_CHUNKS + CHUNKS_PER_FILE * n_files:
            raise FormatError(f"{self.where} declares {n_chunks:,} chunks", got=f"{n_files:,} files")


def read_ids(group: GeffGroup, name: str, *, ndim: int) -> NDArray[np.int64]:
    """Return an array of ids as whole numbers; versions before 1.0 allowed numbers with a point.

    Raises
    ------
    FormatError
        If it is missing or broken, has other axes, or an id is no whole number of 63 bits.
    """
    array = GeffArray(group, name)
    if len(array.shape) != ndim or array.shape[1:] not in ((), (2,)):
        wanted = "one id a row" if ndim == 1 else "two ids a row"
        raise FormatError(f"{array.where} holds no ids", expected=wanted, got=f"shape {array.shape}")
    return whole_numbers(array.read(), str(array.where))


def whole_numbers(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Return numbers as whole numbers, or raise FormatError at the first that is none."""
    if values.dtype.kind not in "iuf":
        raise FormatError(f"{where} holds {values.dtype}", expected="whole numbers")
    wrong = values >= 2.0**62
    if values.dtype.kind == "f":
        wrong = ~(np.abs(values) < 2.0**53) | (np.floor(values) != values)
    if wrong.any():
        place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
        raise FormatError(f"{where} row {place[0]} is no whole number", got=f"{values[place]}")
    return values.astype(np.int64)


def _product(numbers: Iterable[int]) -> int:
    """Return the product, which may be larger than any machine number."""
    product = 1
    for number in numbers:
        product *= int(number)
    return product
