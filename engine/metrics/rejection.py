"""What is gained by leaving the least sure out: risk by coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SchemaError
from ...storage.schema import require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Rejection:
    """What is gained by keeping the surest daughters only.

    Parameters
    ----------
    risk : (n,) float64
        Share of errors among the surest 1, 2, ... n daughters.
    """

    risk: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Mean risk over all numbers kept (AURC); smaller is better."""
        return float(self.risk.mean())

    @property
    def excess(self) -> float:
        """AURC above that of an order that knows the errors and rejects them first (E-AURC)."""
        n = len(self.risk)
        errors = round(float(self.risk[-1]) * n)
        kept = np.arange(1, n + 1)
        return self.area - float((np.maximum(kept - (n - errors), 0) / kept).mean())

    def accuracy_at(self, coverage: float) -> float:
        """Return the accuracy of the surest `coverage` of all daughters, 0 .. 1; at least one is kept."""
        kept = max(int(np.ceil(coverage * len(self.risk) - 1e-9)), 1)
        return 1 - float(self.risk[kept - 1])


def rejection(doubt: NDArray[np.float64], right: NDArray[np.bool_]) -> Rejection:
    """Return the risk where daughters are kept in the order of their doubt (an entropy, or minus a confidence).

    Parameters
    ----------
    doubt : (n,) float64
        Least first; equal ones in the order of their rows.
    right : (n,) bool
        What came of it.

    Raises
    ------
    SchemaError
        If there is nothing to judge.
    """
    require_equal_lengths(doubt=doubt, right=right)
    if not len(doubt):
        raise SchemaError("there is no daughter whose probabilities could be judged")
    wrong = ~right[np.argsort(doubt, kind="stable")]
    return Rejection(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))
