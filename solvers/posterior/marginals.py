"""What is known about each link and each cell of a problem once all its selections are weighed, and how it is known."""

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


class How(IntEnum):
    """How a probability was got; the name in lower case is what the store keeps."""

    EXACT = 0  # nothing left out
    PRUNED = 1  # exact, but for options that are unlikely, whose mass is told
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
            _require(f"outcomes.{name}", getattr(self, name), np.dtype(dtype), length)
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


@dataclass(frozen=True, slots=True, eq=False)
class Marginals:
    """Probabilities of the m links and n cells of a problem, rows as there.

    Parameters
    ----------
    link : (m,) float64
        Probability that the link is real: the sum of the outcomes of its source that hold it.
    new : (n,) float64
        Probability that the cell is selected and has no parent. With the links into it, this sums to `present`.
    present : (n,) float64
        Probability that the cell is selected; 1 where it is kept.
    outcomes : Outcomes
        What each cell does as a mother.
    how : (m,) uint8
        `How` each link is known.
    error : (m,) float64
        Standard error where sampled, NaN elsewhere.
    dropped : (m,) float64
        Bound on the mass that pruning left out, of the piece of the link; 0 where nothing was.
    how_cell : (n,) uint8
        `How` the outcomes of each cell are known.
    error_cell : (n,) float64
        Standard error of its likeliest outcome where sampled, NaN elsewhere.
    piece : (n,) int64
        Piece in which what the cell does as a mother was weighed, -1 where that is certain.
    log_z : float
        Logarithm of the sum of the weights of all selections; NaN unless everything is exact.
    converged : bool
        Whether belief propagation, where it was used, came to rest.

    Raises
    ------
    SchemaError
        If the arrays do not fit together, or a probability is not between 0 and 1.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]
    present: NDArray[np.float64]
    outcomes: Outcomes
    how: NDArray[np.uint8]
    error: NDArray[np.float64]
    dropped: NDArray[np.float64]
    how_cell: NDArray[np.uint8]
    error_cell: NDArray[np.float64]
    piece: NDArray[np.int64]
    log_z: float
    converged: bool = True

    def __post_init__(self) -> None:
        m, n = len(self.link), len(self.new)
        for name, dtype, length in (
            ("link", np.float64, m),
            ("new", np.float64, n),
            ("present", np.float64, n),
            ("how", np.uint8, m),
            ("error", np.float64, m),
            ("dropped", np.float64, m),
            ("how_cell", np.uint8, n),
            ("error_cell", np.float64, n),
            ("piece", np.int64, n),
        ):
            _require(name, getattr(self, name), np.dtype(dtype), length)
        if len(self.outcomes) != n:
            raise SchemaError(f"outcomes are of {len(self.outcomes)} cells, expected {n}")
        if len(self.outcomes.a) and max(self.outcomes.a.max(), self.outcomes.b.max()) >= m:
            raise SchemaError(f"outcomes name links beyond row {m - 1}")
        for name in ("link", "new", "present"):
            p = getattr(self, name)
            if not np.all((p >= 0) & (p <= 1 + ROUNDING)):
                row = int(np.argmax(~((p >= 0) & (p <= 1 + ROUNDING))))
                raise SchemaError(f"{name} {row} has the probability {p[row]}, expected 0 .. 1")


def _require(name: str, column: NDArray[np.generic], dtype: np.dtype[np.generic], length: int) -> None:
    if column.dtype != dtype or column.shape != (length,):
        raise SchemaError(f"{name} must be ({length},) {dtype}, got {column.shape} {column.dtype}")
