"""A lineage as the rounds of learning hand it on: what each cell became."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....solvers.problem import Selection
    from ....storage.schema import CandidateEdges

NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """Children of n cells, as rows of candidate edges.

    Parameters
    ----------
    first, second : (n,) int64
        Edge to the only or first child and to the second daughter; -1 for none.
    cell : (n,) bool
        False where a detection is no cell.
    source, target : (m,) int64
        Ends of all candidates.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cell: NDArray[np.bool_]
    source: NDArray[np.int64]
    target: NDArray[np.int64]

    @classmethod
    def of(cls, edges: CandidateEdges, selection: Selection) -> Lineage:
        """Read a lineage from what a solver chose among edges that are ordered by source."""
        return cls.along(edges, np.flatnonzero(selection.edge), selection.node)

    @classmethod
    def along(cls, edges: CandidateEdges, chosen: NDArray[np.int64], cell: NDArray[np.bool_]) -> Lineage:
        """Follow increasing rows of edges that are ordered by source; of three daughters the first and last count."""
        first, second = np.full((2, len(cell)), NOBODY)
        mother = edges.source[chosen]
        again = np.zeros(len(chosen), dtype=bool)
        again[1:] = mother[1:] == mother[:-1]
        first[mother[~again]] = chosen[~again]
        second[mother[again]] = chosen[again]
        return cls(first, second, cell, edges.source, edges.target)

    @classmethod
    def unlinked(cls, edges: CandidateEdges, n: int) -> Lineage:
        """Return n cells of which nothing is known yet."""
        nobody = np.full(n, NOBODY)
        return cls(nobody, nobody, np.ones(n, dtype=bool), edges.source, edges.target)

    def differs_from(self, other: Lineage) -> float:
        """Return the share of cells that became something else than in another lineage of the same candidates."""
        differs = (self.first != other.first) | (self.second != other.second) | (self.cell != other.cell)
        return float(differs.mean()) if len(differs) else 0.0

    @property
    def continued(self) -> NDArray[np.int64]:
        """Edges from cells to their only child, in the order of the cells."""
        alone = (self.first != NOBODY) & (self.second == NOBODY)
        return np.asarray(self.first[alone])

    @property
    def divided(self) -> NDArray[np.int64]:
        """Edges from mothers to both daughters, first daughters before second ones."""
        mothers = self.second != NOBODY
        return np.concatenate([self.first[mothers], self.second[mothers]])

    @property
    def has_child(self) -> NDArray[np.bool_]:
        """(n,) Whether a cell goes on or divides."""
        return np.not_equal(self.first, NOBODY)

    @property
    def has_parent(self) -> NDArray[np.bool_]:
        """(n,) Whether a cell came from another one."""
        found = np.zeros(len(self.first), dtype=bool)
        found[self.target[self.first[self.has_child]]] = True
        found[self.target[self.second[self.second != NOBODY]]] = True
        return found
