"""Rows by what they belong to, as two arrays (CSR): the rows in order, and where those of each owner begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def grouped(owner: NDArray[np.integer], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows by increasing owner, those of one in their order, and where each owner's begin.

    Parameters
    ----------
    owner : (m,) int
        Whose each row is, 0 .. n - 1.
    n : int
        Number of owners.

    Returns
    -------
    rows : (m,) int64
        All rows.
    first : (n + 1,) int64
        Those of owner i are ``rows[first[i]:first[i + 1]]``.

    Examples
    --------
    >>> rows, first = grouped(np.array([1, 0, 1]), 3)
    >>> rows.tolist(), first.tolist()
    ([1, 0, 2], [0, 1, 3, 3])
    """
    rows = np.argsort(owner, kind="stable").astype(np.int64, copy=False)
    return rows, np.searchsorted(owner[rows], np.arange(n + 1)).astype(np.int64, copy=False)
