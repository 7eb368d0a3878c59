"""Daughters that a mother may have together, with a cost that both share.

Two daughters part from each other along an axis and weigh as much as their mother together: what they cost is no sum of
what each link costs. Where a problem has pairs, a cell divides only into one of them, and its division cost is not
read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InfeasibleError, SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of candidate edges that leave the same mother.

    Parameters
    ----------
    first, second : (p,) int64
        Rows of the two edges, in any order; each pair once.
    cost : (p,) float64
        What both links cost together, the division included: the costs of the two edges are not added.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cost: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def check(self, source: NDArray[np.int64]) -> None:
        """Raise SchemaError unless the pairs fit edges that leave the rows `source`."""
        for name, dtype in (("first", np.int64), ("second", np.int64), ("cost", np.float64)):
            column = getattr(self, name)
            if column.dtype != dtype or column.shape != (len(self),):
                raise SchemaError(
                    f"pairs.{name} must be ({len(self)},) {np.dtype(dtype)}, got {column.shape} {column.dtype}"
                )
        if not len(self):
            return
        if not math.isfinite(float(np.abs(self.cost).sum())):
            raise SchemaError("pairs.cost must be finite", use="no pair where a division is impossible")
        low, high = min(self.first.min(), self.second.min()), max(self.first.max(), self.second.max())
        if low < 0 or high >= len(source):
            raise SchemaError(f"pairs name edges {low} .. {high}, expected 0 .. {len(source) - 1}")
        wrong = (source[self.first] != source[self.second]) | (self.first == self.second)
        if wrong.any():
            pair = int(np.argmax(wrong))
            raise SchemaError(f"pair {pair} ties edges {self.first[pair]} and {self.second[pair]}, not of one mother")
        key = np.sort(self._keys(len(source)))
        if np.any(key[1:] == key[:-1]):
            raise SchemaError("a pair stands twice")

    def cost_of(self, first: NDArray[np.int64], second: NDArray[np.int64], n_edges: int) -> NDArray[np.float64]:
        """Return what divisions into these pairs of edges cost.

        Raises
        ------
        InfeasibleError
            If one of them is not among the pairs.
        """
        if not len(first):
            return np.empty(0)
        wanted = np.minimum(first, second) * n_edges + np.maximum(first, second)
        key = self._keys(n_edges)
        order = np.argsort(key)
        place = np.searchsorted(key[order], wanted)
        known = place < len(key)
        known[known] = key[order[place[known]]] == wanted[known]
        if not known.all():
            at = int(np.argmin(known))
            raise InfeasibleError(f"edges {first[at]} and {second[at]} divide a cell, but are no pair of the problem")
        return self.cost[order[place]]

    def among(self, rows: NDArray[np.int64], n_edges: int) -> Pairs:
        """Return the pairs whose edges are both at these increasing rows, by their places in `rows`."""
        place = np.full(n_edges, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        first, second = place[self.first], place[self.second]
        there = (first >= 0) & (second >= 0)
        return Pairs(first[there], second[there], self.cost[there])

    def _keys(self, n_edges: int) -> NDArray[np.int64]:
        return np.minimum(self.first, self.second) * n_edges + np.maximum(self.first, self.second)
