"""What each cell may do, where divisions are pairs: nothing, be left out, have one child, have a listed pair.

As in `matching`, every optional detection starts selected, appearing and disappearing, and a column is the in-port of a
node. But a row is a whole node, not a slot: it takes one option, and an option takes one column or two,

* a loop, its own column: ``-(c_n + c_a + c_d)(u)``
* a link to v, the column v: ``c_e - c_a(v) - c_d(u)``
* a pair v, w, both columns: ``c_p - c_a(v) - c_a(w) - c_d(u)``

so that no coupling is left over. With links and loops alone this is a matching; pairs make it a packing, whose relaxed
optimum may take halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .matching import LOOP, Entries
from .problem import FORBIDDEN, KEPT, on_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .daughters import Pairs
    from .matching import Matching
    from .problem import GridProblem

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]

GRAIN: Final = 60
"""Grains of a millionth: prices of a packing take halves, thirds, quarters and fifths of whole costs."""

NONE: Final = -1
"""Stands for the second column, and the second edge, of an option that has one only."""


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The options worth having, row by row; in each row loop and links come before pairs.

    Parameters
    ----------
    indptr : (n + 1,) int64
        Options ``indptr[u] .. indptr[u + 1] - 1`` are those of node u.
    single : (n,) int64
        Where the pairs of each node begin.
    column : (k, 2) int32
        In-ports that each option takes; the second is `NONE` unless it is a pair.
    weight : (k,) int64
        What it changes, in grains; below 0, since doing nothing costs 0.
    edge : (k, 2) int32
        Its edges on the grid; `LOOP` for a loop.
    base : int
        Cost of doing nothing anywhere, in grains.
    """

    indptr: NDArray[np.int64]
    single: NDArray[np.int64]
    column: NDArray[np.int32]
    weight: NDArray[np.int64]
    edge: NDArray[np.int32]
    base: int

    @property
    def n_nodes(self) -> int:
        """Number of rows, and of columns."""
        return len(self.single)

    def without_pairs(self) -> Entries:
        """Return loops and links as the entries of a matching, in millionths."""
        n = self.n_nodes
        option = np.flatnonzero(self.column[:, 1] == NONE)
        indptr = np.zeros(2 * n + 1, dtype=np.int64)
        indptr[1::2] = indptr[2::2] = np.cumsum(self.single - self.indptr[:-1])  # no division slots
        weight = self.weight[option] // GRAIN
        return Entries(indptr, self.column[option, 0].copy(), weight, self.edge[option, 0].copy(), self.base // GRAIN)

    def chosen_by(self, entries: Entries, matching: Matching) -> NDArray[np.int64]:
        """Return the option of each row that a matching stands for, (n,) int64; -1 where none does."""
        row_edge = np.full(len(matching.row_column), NONE - 1)
        used = np.flatnonzero(matching.row_column >= 0)
        row_edge[used] = entries.edge[matching.column_entry[matching.row_column[used]]]
        return self.chosen(row_edge[0::2], row_edge[1::2])

    def chosen(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the option of each row whose first and second slot take these edges, (n,) int64; -1 where none does.

        A division without a first child, or of a cell that is left out, is no option. A slot takes an edge, `LOOP`, or
        less than `NONE` for nothing.
        """
        return _chosen(self.indptr, self.edge, first, second)

    def by_column(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Turn the options around: where those of each column begin, which they are, and their rows."""
        return _by_column(self.indptr, self.column)


def build_options(grid: GridProblem, pairs: Pairs | None, excluded: NDArray[np.bool_] | None = None) -> Options:
    """List the options of a problem without those that cost more than doing nothing, or than part of themselves.

    A pair that costs as much as one of its links and the appearance of the other daughter is in no need of listing:
    whoever takes it may take the link instead, and all else stays allowed. So the optimum is that of all pairs, and
    so is the bound of any prices, for these never make a daughter cheaper than her appearance.

    Parameters
    ----------
    grid : GridProblem
        The problem.
    pairs : Pairs or None
        Its pairs, edges numbered as in the problem; if None, any two edges of a mother make one, at the cost of both
        and of a division.
    excluded : (n,) bool or None
        Nodes that exclude others: being left out is an option of theirs whatever it costs.
    """
    if excluded is None:
        excluded = np.zeros(len(grid.node), dtype=bool)
    if pairs is None:
        return _options(grid, excluded, *_every_pair(grid.first, grid.target, grid.edge, grid.appear, grid.division))
    rank = np.arange(len(grid.edge))
    if grid.order is not None:
        rank[grid.order] = np.arange(len(grid.order))
    first, second = rank[pairs.first], rank[pairs.second]
    source = np.searchsorted(grid.first, first, side="right") - 1
    order = np.lexsort((second, first))  # edges are ordered by source, so pairs are too
    begin = np.searchsorted(source[order], np.arange(len(grid.node) + 1)).astype(np.int64)
    return _options(
        grid, excluded, first[order].astype(np.int32), second[order].astype(np.int32), on_grid(pairs.cost)[order], begin
    )


def best_options(
    options: Options, price: NDArray[np.int64], weight: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return what the best option of each row costs at given column prices, (n,) int64 and at most 0.

    Parameters
    ----------
    options : Options
        All options.
    price : (n,) int64
        Of each column, in grains.
    weight : (k,) int64 or None
        Of each option, where it is not that of `options`.
    """
    return _best(options.indptr, options.column, options.weight if weight is None else weight, price)


def bound_at(options: Options, price: NDArray[np.int64]) -> int:
    """Return the lower bound that column prices of at most 0 prove, in grains."""
    return options.base + int(best_options(options, price).sum()) + int(price.sum())


def _options(
    grid: GridProblem, excluded: NDArray[np.bool_], first: Ints32, second: Ints32, cost: Ints, begin: Ints
) -> Options:
    most = len(grid.node) + len(grid.target) + len(first)
    column, edge = np.empty((most, 2), np.int32), np.empty((most, 2), np.int32)
    weight = np.empty(most, np.int64)
    indptr, single, k, base = _build(
        grid.first,
        grid.target,
        grid.edge,
        grid.node,
        grid.appear,
        grid.disappear,
        grid.pinned,
        excluded,
        begin,
        first,
        second,
        cost,
        column,
        weight,
        edge,
    )
    return Options(indptr, single, column[:k], weight[:k], edge[:k], base * GRAIN)


@njit(cache=True, nogil=True)
def _every_pair(
    first: Ints, target: Ints32, edge_cost: Ints, appear: Ints, division: Ints
) -> tuple[Ints32, Ints32, Ints, Ints]:
    """List pairs of edges of which neither would better be left out; where those of each node begin comes last."""
    n = len(division)
    most = 0
    for u in range(n):
        degree = first[u + 1] - first[u]
        most += degree * (degree - 1) // 2
    one = np.empty(most, np.int32)
    other = np.empty(most, np.int32)
    cost = np.empty(most, np.int64)
    begin = np.empty(n + 1, np.int64)
    k = 0
    for u in range(n):
        begin[u] = k
        for a in range(first[u], first[u + 1]):
            if edge_cost[a] - appear[target[a]] + division[u] >= 0:
                continue  # as a second child it costs more than it saves
            for b in range(a + 1, first[u + 1]):
                if edge_cost[b] - appear[target[b]] + division[u] < 0:
                    one[k] = a
                    other[k] = b
                    cost[k] = edge_cost[a] + edge_cost[b] + division[u]
                    k += 1
    begin[n] = k
    return one[:k], other[:k], cost[:k], begin


@njit(cache=True, nogil=True)
def _chosen(indptr: Ints, edge: Ints32, first: Ints, second: Ints) -> Ints:
    choice = np.full(len(first), -1, np.int64)
    for u in range(len(first)):
        if first[u] < NONE or (first[u] == LOOP and second[u] >= 0):
            continue
        low, high = first[u], np.int64(NONE)
        if second[u] >= 0:
            low, high = min(first[u], second[u]), max(first[u], second[u])
        for k in range(indptr[u], indptr[u + 1]):
            if edge[k, 0] == low and edge[k, 1] == high:
                choice[u] = k
    return choice


@njit(cache=True, nogil=True)
def _build(
    first: Ints,
    target: Ints32,
    edge_cost: Ints,
    node: Ints,
    appear: Ints,
    disappear: Ints,
    pinned: NDArray[np.int8],
    excluded: NDArray[np.bool_],
    pair_begin: Ints,
    pair_first: Ints32,
    pair_second: Ints32,
    pair_cost: Ints,
    column: Ints32,
    weight: Ints,
    edge: Ints32,
) -> tuple[Ints, Ints, int, int]:
    n = len(node)
    indptr = np.empty(n + 1, np.int64)
    single = np.empty(n, np.int64)
    k = 0
    base = 0
    for u in range(n):
        indptr[u] = k
        single[u] = k
        if pinned[u] == FORBIDDEN:
            continue
        selected = node[u] + appear[u] + disappear[u]
        base += selected
        if (selected > 0 or excluded[u]) and pinned[u] != KEPT:
            column[k, 0] = u
            column[k, 1] = NONE
            weight[k] = -selected * GRAIN
            edge[k, 0] = LOOP
            edge[k, 1] = NONE
            k += 1
        for e in range(first[u], first[u + 1]):
            v = target[e]
            cost = edge_cost[e] - appear[v] - disappear[u]
            if cost < 0 and pinned[v] != FORBIDDEN:
                column[k, 0] = v
                column[k, 1] = NONE
                weight[k] = cost * GRAIN
                edge[k, 0] = e
                edge[k, 1] = NONE
                k += 1
        single[u] = k
        for p in range(pair_begin[u], pair_begin[u + 1]):
            v = target[pair_first[p]]
            w = target[pair_second[p]]
            cost = pair_cost[p] - appear[v] - appear[w] - disappear[u]
            alone = min(edge_cost[pair_first[p]] + appear[w], edge_cost[pair_second[p]] + appear[v])
            if pair_cost[p] >= alone:
                continue  # one daughter as the only child, while the other appears, costs no more
            if cost < 0 and pinned[v] != FORBIDDEN and pinned[w] != FORBIDDEN:
                column[k, 0] = v
                column[k, 1] = w
                weight[k] = cost * GRAIN
                edge[k, 0] = pair_first[p]
                edge[k, 1] = pair_second[p]
                k += 1
    indptr[n] = k
    return indptr, single, k, base


@njit(cache=True, nogil=True)
def _best(indptr: Ints, column: Ints32, weight: Ints, price: Ints) -> Ints:
    best = np.zeros(len(indptr) - 1, np.int64)
    for u in range(len(best)):
        for k in range(indptr[u], indptr[u + 1]):
            cost = weight[k] - price[column[k, 0]]
            if column[k, 1] != NONE:
                cost -= price[column[k, 1]]
            best[u] = min(best[u], cost)
    return best


@njit(cache=True, nogil=True)
def _by_column(indptr: Ints, column: Ints32) -> tuple[Ints, Ints, Ints32]:
    n = len(indptr) - 1
    begin = np.zeros(n + 1, np.int64)
    for k in range(len(column)):
        for side in range(2):
            if column[k, side] != NONE:
                begin[column[k, side] + 1] += 1
    for j in range(n):
        begin[j + 1] += begin[j]
    free = begin[:-1].copy()
    option = np.empty(begin[n], np.int64)
    row = np.empty(begin[n], np.int32)
    for u in range(n):
        for k in range(indptr[u], indptr[u + 1]):
            for side in range(2):
                j = column[k, side]
                if j != NONE:
                    option[free[j]] = k
                    row[free[j]] = u
                    free[j] += 1
    return begin, option, row
