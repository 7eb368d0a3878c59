"""What mothers do: outcomes that exclude each other, each with its probability, and how a probability was got."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING: Final = 1e-6
"""How far probabilities that belong together may be from their sum."""

LEAST: Final = 1e-6
"""Outcomes that are less likely are left out."""


class HowWeighed(IntEnum):
    """How a probability was got; the name in lower case is what the store keeps."""

    EXACT = 0  # nothing left out
    PRUNED = 1  # exact, but for options that are unlikely, whose mass is estimated
    BELIEF = 2  # belief propagation, no bound known
    SAMPLED = 3  # with a standard error


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What each of n cells may do as a mother: the outcomes of one cell exclude each other.

    Parameters
    ----------
    first : (n + 1,) int64
        Outcomes ``first[v] .. first[v + 1] - 1`` are those of cell v, the likeliest first; each cell has one at least.
    a, b : (k,) int64
        Rows of the links that are real in this outcome, -1 for none: ``a < 0`` is no daughter, ``b < 0`` at most one.
        No daughter counts also that an optional cell is not selected.
    probability : (k,) float64
        Of one cell they sum to 1; what is less likely than `LEAST` is left out, and the rest scaled up.

    Raises
    ------
    SchemaError
        If the arrays do not fit together, or the outcomes of a cell do not sum to 1 or stand in another order.
    """

    first: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        k = len(self.a)
        for name, dtype, length in (
            ("first", np.int64, max(len(self.first), 1)),
            ("a", np.int64, k),
            ("b", np.int64, k),
            ("probability", np.float64, k),
        ):
            require_column(f"outcomes.{name}", getattr(self, name), np.dtype(dtype), length)
        if self.first[0] != 0 or self.first[-1] != k or np.any(np.diff(self.first) < 1):
            raise SchemaError(
                "outcomes.first must rise from 0 to the number of outcomes, by one at least for each cell"
            )
        if np.any((self.b >= 0) & (self.a < 0)):
            raise SchemaError("an outcome with one daughter names it as a, not as b")
        if not k:
            return
        total = np.add.reduceat(self.probability, self.first[:-1])
        if not np.all(np.abs(total - 1) <= ROUNDING):
            cell = int(np.argmax(~(np.abs(total - 1) <= ROUNDING)))
            raise SchemaError(f"the outcomes of cell {cell} sum to {total[cell]:.6g}, expected 1")
        rises = np.diff(self.probability) > 0
        rises[self.first[1:-1] - 1] = False  # from one cell to the next
        if rises.any():
            raise SchemaError("the outcomes of a cell must stand in falling order of probability")

    def __len__(self) -> int:
        return len(self.first) - 1


def ranked_outcomes(
    n_cells: int, cell: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64], weight: NDArray[np.float64]
) -> Outcomes:
    """Return outcomes in order, from weights that sum to 1 for each cell.

    Parameters
    ----------
    n_cells : int
        Number of cells; each has an outcome that is not less likely than `LEAST`.
    cell, a, b, weight : (k,) int64, float64
        Of outcomes in any order; equally likely ones of a cell stay in it.
    """
    likely = weight >= LEAST
    cell, a, b, weight = cell[likely], a[likely], b[likely], weight[likely]
    order = np.lexsort((-weight, cell))
    total = np.bincount(cell, weight, n_cells)
    first = np.searchsorted(cell[order], np.arange(n_cells + 1)).astype(np.int64)
    return Outcomes(first, a[order], b[order], (weight / total[cell])[order])


def require_column(name: str, column: NDArray[np.generic], dtype: np.dtype[np.generic], length: int) -> None:
    """Raise SchemaError unless a column has this type and length."""
    if column.dtype != dtype or column.shape != (length,):
        raise SchemaError(f"{name} must be ({length},) {dtype}, got {column.shape} {column.dtype}")
