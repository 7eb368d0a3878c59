"""Detections that exclude each other: hypotheses that claim the same pixels, of which at most one is real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy import sparse

from ..errors import InfeasibleError, SchemaError
from .problem import FORBIDDEN, KEPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Conflicts:
    """Pairs of detections of which at most one may be selected.

    Parameters
    ----------
    first, second : (c,) int64
        Rows of the detections, in any order.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def check(self, n_nodes: int) -> None:
        """Raise SchemaError unless they name two of n detections each."""
        for name in ("first", "second"):
            column = getattr(self, name)
            if column.dtype != np.int64 or column.shape != (len(self),):
                raise SchemaError(f"conflicts.{name} must be ({len(self)},) int64, got {column.shape} {column.dtype}")
        if not len(self):
            return
        low, high = min(self.first.min(), self.second.min()), max(self.first.max(), self.second.max())
        if low < 0 or high >= n_nodes:
            raise SchemaError(f"conflicts name detections {low} .. {high}, expected 0 .. {n_nodes - 1}")
        itself = self.first == self.second
        if itself.any():
            raise SchemaError(f"detection {self.first[np.argmax(itself)]} excludes itself")

    def among(self, alive: NDArray[np.bool_]) -> Conflicts:
        """Return the conflicts between detections that are not out of question."""
        both = alive[self.first] & alive[self.second]
        return Conflicts(self.first[both], self.second[both])

    def neighbours(self, n_nodes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return whom each detection excludes, (n + 1,) and (d,) int64: those of i from ``indptr[i]`` on, ordered."""
        ends = np.concatenate([self.first, self.second]), np.concatenate([self.second, self.first])
        matrix = sparse.coo_matrix((np.ones(2 * len(self), dtype=bool), ends), shape=(n_nodes, n_nodes)).tocsr()
        matrix.sort_indices()
        return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)

    def require(self, node: NDArray[np.bool_]) -> None:
        """Raise InfeasibleError if two selected detections exclude each other."""
        both = node[self.first] & node[self.second]
        if both.any():
            at = int(np.argmax(both))
            raise InfeasibleError(f"detections {self.first[at]} and {self.second[at]} exclude each other")

    def losers(self, node: NDArray[np.bool_], worth: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the selected detections that exclude one of more worth, itself excluded by none of more worth.

        Parameters
        ----------
        node : (n,) bool
            Selected detections.
        worth : (n,) numbers
            Of two of equal worth the lower row wins.
        """
        both = node[self.first] & node[self.second]
        first, second = self.first[both], self.second[both]
        second_loses = (worth[first] > worth[second]) | ((worth[first] == worth[second]) & (first < second))
        winner, loser = np.where(second_loses, first, second), np.where(second_loses, second, first)
        return np.unique(loser[~np.isin(winner, loser)])

    def pinned(self, pinned: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the pins with what they settle: who conflicts with a kept detection is forbidden.

        Raises
        ------
        InfeasibleError
            If two of the kept detections exclude each other.
        """
        kept = pinned == KEPT
        self.require(kept)
        settled = pinned.copy()
        settled[self.second[kept[self.first]]] = FORBIDDEN
        settled[self.first[kept[self.second]]] = FORBIDDEN
        return settled


@dataclass(frozen=True, slots=True, eq=False)
class Cliques:
    """Groups of detections of which at most one may be selected: all conflicts, as few and as large as found greedily.

    A relaxation may select a half of each of two that conflict, so of five that all conflict, two and a half; as one
    group only one in all.

    Parameters
    ----------
    indptr : (k + 1,) int64
        Detections ``member[indptr[c]] .. member[indptr[c + 1] - 1]`` make group c.
    member : int64
        Rows of detections.
    """

    indptr: NDArray[np.int64]
    member: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def least_out(self) -> NDArray[np.int64]:
        """(k,) How many of each group must be left out."""
        return np.diff(self.indptr) - 1

    @property
    def of_member(self) -> NDArray[np.int64]:
        """Group of each entry of `member`."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    @classmethod
    def covering(cls, conflicts: Conflicts, n_nodes: int) -> Cliques:
        """Cover all conflicts."""
        return cls(*_cover(*conflicts.neighbours(n_nodes)))


@njit(cache=True, nogil=True)
def _excludes(indptr: Ints, neighbour: Ints, i: int, j: int) -> np.bool_:
    low = indptr[i]
    high = indptr[i + 1]
    while low < high:
        middle = (low + high) // 2
        if neighbour[middle] < j:
            low = middle + 1
        else:
            high = middle
    found: np.bool_ = low < indptr[i + 1] and neighbour[low] == j
    return found


@njit(cache=True, nogil=True)
def _cover(indptr: Ints, neighbour: Ints) -> tuple[Ints, Ints]:
    """Grow a group around each conflict that no group holds yet, by whom all its members exclude."""
    n = len(indptr) - 1
    covered = np.zeros(len(neighbour), np.bool_)
    begin = [np.int64(0)]
    member = [np.int64(0) for _ in range(0)]
    for i in range(n):
        for place in range(indptr[i], indptr[i + 1]):
            if covered[place]:
                continue
            start = len(member)
            member.append(np.int64(i))
            member.append(neighbour[place])
            for other in range(indptr[i], indptr[i + 1]):
                candidate = neighbour[other]
                fits = candidate != neighbour[place]
                for held in range(start + 1, len(member)):
                    fits = fits and _excludes(indptr, neighbour, int(candidate), int(member[held]))
                if fits:
                    member.append(candidate)
            for a in range(start, len(member)):
                for at in range(indptr[member[a]], indptr[member[a] + 1]):
                    for b in range(start, len(member)):
                        if neighbour[at] == member[b]:
                            covered[at] = True
            begin.append(np.int64(len(member)))
    return np.array(begin), np.array(member, np.int64) if len(member) else np.empty(0, np.int64)
