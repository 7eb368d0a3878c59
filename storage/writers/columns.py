"""Columns as writers take them: arrays of numbers, truth or text, in which something may be missing.

What is missing is NaN among float64, ``""`` among texts, and masked in a masked array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_text(column: NDArray[Any]) -> bool:
    """Return whether a column holds texts."""
    return column.dtype.kind == "U"


def missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a column holds nothing."""
    if isinstance(column, np.ma.MaskedArray):
        return np.asarray(np.ma.getmaskarray(column))
    if is_text(column):
        return np.asarray(column == "")
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), dtype=bool)


def as_arrow(column: NDArray[Any]) -> Any:
    """Return a column as Arrow keeps it, null where it holds nothing."""
    if is_text(column):
        words = pa.array(column.tolist(), pa.string())  # as an array, what follows a zero byte would be lost
        return pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)
    return pa.array(np.ma.getdata(column), mask=missing(column))
