"""Many lines of text from columns of numbers and words, through Arrow, without a Python object per row.

A column becomes texts, texts are put together row by row, and the rows are written as they lie in memory. Text that is
missing (null) takes what stands around it along: ``piece(' z="', z, '"')`` is nothing at all where `z` is missing.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .columns import as_arrow, is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

CHUNK = 1 << 16  # rows put together at once: some 20 MB of text
# what XML 1.0 has no way to say: control characters but tab and line ends, and what is no character at all
_NOT_XML = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def chunks(n: int, size: int = CHUNK) -> Iterator[slice]:
    """Yield slices that together cover n rows."""
    for begin in range(0, n, size):
        yield slice(begin, min(begin + size, n))


def texts(column: NDArray[Any]) -> Any:
    """Return each value as the shortest text that reads back as the same, null where it is missing.

    Infinite numbers are written as Java and Python read them, truth as ``true`` and ``false``.
    """
    written = pc.cast(as_arrow(column), pa.string())
    if column.dtype.kind == "f" and np.isinf(column).any():
        written = pc.replace_substring(written, "inf", "Infinity")
    return written


def xml(column: NDArray[Any]) -> Any:
    """Return `texts` as they stand inside an XML attribute or element; what XML cannot say becomes U+FFFD."""
    written = texts(column)
    return _safe(written) if is_text(column) else written


def _safe(written: Any) -> Any:
    safe = pc.replace_substring_regex(written, _NOT_XML, "\ufffd")
    for character, entity in _ENTITIES.items():
        safe = pc.replace_substring(safe, character, entity)
    return safe


def xml_text(text: str) -> str:
    """Return one text as it stands inside an XML attribute or element."""
    return str(_safe(pa.array([text], pa.string()))[0].as_py())


def piece(*parts: Any) -> Any:
    """Put texts and constants together row by row; missing where one of the texts is."""
    return pc.binary_join_element_wise(*parts, "", null_handling="emit_null")


def joined(*parts: Any) -> Any:
    """Put texts and constants together row by row; what is missing is left out."""
    return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")


def attributes(columns: Mapping[str, NDArray[Any]], rows: slice) -> list[Any]:
    """Return the columns as XML attributes ``name="value"``, each after a blank."""
    return [piece(f' {name}="', xml(column[rows]), '"') for name, column in columns.items()]


def at_rows(written: Any, where: NDArray[np.int64], rows: slice) -> Any:
    """Return a column for `rows` that holds each text at its place in `where` (increasing), null elsewhere."""
    first, last = np.searchsorted(where, [rows.start, rows.stop])
    place = np.zeros(rows.stop - rows.start, dtype=np.int64)
    none = np.ones(len(place), dtype=bool)
    here = where[first:last] - rows.start
    place[here], none[here] = np.arange(first, last), False
    return written.take(pa.array(place, mask=none))


def write_rows(stream: IO[bytes], rows: Any) -> None:
    """Write texts one after the other."""
    if isinstance(rows, pa.Scalar):  # nothing but constants was joined
        stream.write(rows.as_py().encode())
        return
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[rows.offset : rows.offset + len(rows) + 1]
    if data is not None and len(rows):
        stream.write(memoryview(data)[int(ends[0]) : int(ends[-1])])
