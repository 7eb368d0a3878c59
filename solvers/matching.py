"""Sparse bipartite matching with duals: the kernel of the lineage solver.

Start from every optional detection selected, appearing and disappearing; what remains to decide is a matching.

* A column is the in-port of a node: at most one parent enters.
* Row 2u is the first child slot of node u, row 2u + 1 its division slot; each takes at most one column.
* An entry puts child v into a slot of u and changes the cost by ``c_e - c_a(v) - c_d(u)`` in the first slot and by
  ``c_e - c_a(v) + c_s(u)`` in the division slot. A loop, row 2u into column u, unselects u: ``-(c_n + c_a + c_d)(u)``.

What a matching does not know are the couplings within one node: a division slot needs a child in the first slot, and
so a selected node. Without them it is a relaxation, so its optimum is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .augment import Matched, Search, Table, empty_matching, insert_rows, room_to_search, turn
from .problem import FORBIDDEN, KEPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import GridProblem

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]

LOOP: Final = -1
"""Stands for the edge of an entry that unselects its node."""


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """The entries worth having, row by row.

    Parameters
    ----------
    indptr : (2n + 1,) int64
        Entries ``indptr[i] .. indptr[i + 1] - 1`` stand in row i.
    column : (k,) int32
        In-port that each entry takes.
    weight : (k,) int64
        What it changes, in millionths.
    edge : (k,) int32
        Its edge on the grid, or `LOOP`.
    base : int
        Cost of the empty matching.
    """

    indptr: NDArray[np.int64]
    column: NDArray[np.int32]
    weight: NDArray[np.int64]
    edge: NDArray[np.int32]
    base: int

    @property
    def n_nodes(self) -> int:
        """Number of columns, and half the number of rows."""
        return len(self.indptr) // 2


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """A cheapest matching and the prices that prove it.

    Parameters
    ----------
    row_column : (2n,) int32
        Column of each row, -1 where it has none.
    column_entry : (n,) int64
        Entry that takes each column, -1 where none does.
    price : (n,) int64
        Dual of each column, at most 0.
    """

    row_column: NDArray[np.int32]
    column_entry: NDArray[np.int64]
    price: NDArray[np.int64]


def build_entries(grid: GridProblem) -> Entries:
    """List the entries of a problem without those that no optimum needs.

    An entry that costs something can be left out of any matching, except where a node gains by dividing at once
    (c_s + c_d < 0): there a first child that costs may pay through the second.
    """
    most = 2 * len(grid.target) + len(grid.node)  # pages never written cost no memory
    column, edge = np.empty(most, np.int32), np.empty(most, np.int32)
    weight = np.empty(most, np.int64)  # here, for memory that NumPy takes comes in large pages
    indptr, k, base = _build(
        grid.first,
        grid.target,
        grid.edge,
        grid.node,
        grid.appear,
        grid.disappear,
        grid.division,
        grid.pinned,
        column,
        weight,
        edge,
    )
    return Entries(indptr, column[:k], weight[:k], edge[:k], base)


def match(entries: Entries) -> Matching:
    """Return a cheapest matching, by shortest augmenting paths from one row after the other."""
    matched = empty_matching(len(entries.indptr) - 1, entries.n_nodes)
    search = room_to_search(entries.n_nodes, len(entries.column))
    insert_all(Table(entries.indptr, entries.column, entries.weight), matched, search)
    return Matching(matched.row_column, matched.column_entry, matched.price)


def row_prices(entries: Entries, price: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the best dual of each row, (2n,) int64 and at most 0, for given column prices.

    For any prices of at most 0, ``base + prices of rows + prices of columns`` is a lower bound.
    """
    return _row_prices(entries.indptr, entries.column, entries.weight, price)


def bound_of_prices(entries: Entries, price: NDArray[np.int64]) -> int:
    """Return the lower bound that column prices of at most 0 prove, in millionths."""
    nodes = np.arange(entries.n_nodes)
    return entries.base + total_of_rows(entries, price, nodes) + int(price.sum())


def total_of_rows(entries: Entries, price: NDArray[np.int64], nodes: NDArray[np.int64]) -> int:
    """Return the sum of the prices of both rows of some nodes, for given column prices."""
    return int(_total_of_rows(entries.indptr, entries.column, entries.weight, price, nodes))


def lowest_prices(entries: Entries, matching: Matching) -> NDArray[np.int64]:
    """Return the lowest column prices that prove a cheapest matching, (n,) int64.

    A row and the column that it takes share what their entry is worth; those of `match` leave it to the rows where
    nobody competes. A pair takes two columns and one row: the more the columns hold, the fewer pairs look cheap that
    would only take a child from another mother.
    """
    used = np.flatnonzero(matching.row_column >= 0)
    row_entry = np.full(len(matching.row_column), -1)
    row_entry[used] = matching.column_entry[matching.row_column[used]]
    begin, _, asker = turn(entries.indptr, entries.column, entries.n_nodes)
    return _lowest_prices(entries.indptr, entries.column, entries.weight, row_entry, entries.n_nodes, begin, asker)


@njit(cache=True, nogil=True)
def _build(
    first: Ints,
    target: Ints32,
    edge_cost: Ints,
    node: Ints,
    appear: Ints,
    disappear: Ints,
    division: Ints,
    pinned: NDArray[np.int8],
    column: Ints32,
    weight: Ints,
    edge: Ints32,
) -> tuple[Ints, int, int]:
    n = len(node)
    indptr = np.empty(2 * n + 1, np.int64)
    k = 0
    base = 0
    for u in range(n):
        indptr[2 * u] = k
        indptr[2 * u + 1] = k
        if pinned[u] == FORBIDDEN:
            continue
        selected = node[u] + appear[u] + disappear[u]
        base += selected
        if selected > 0 and pinned[u] != KEPT:
            column[k] = u
            weight[k] = -selected
            edge[k] = LOOP
            k += 1
        worth = np.int64(0)  # what a first child may cost and still pay
        if division[u] + disappear[u] < 0:
            for e in range(first[u], first[u + 1]):
                if pinned[target[e]] != FORBIDDEN:
                    worth = max(worth, appear[target[e]] - edge_cost[e] - division[u])
        for e in range(first[u], first[u + 1]):
            cost = edge_cost[e] - appear[target[e]] - disappear[u]
            if cost < worth and pinned[target[e]] != FORBIDDEN:
                column[k] = target[e]
                weight[k] = cost
                edge[k] = e
                k += 1
        indptr[2 * u + 1] = k
        for e in range(first[u], first[u + 1]):
            cost = edge_cost[e] - appear[target[e]] + division[u]
            if cost < 0 and pinned[target[e]] != FORBIDDEN:
                column[k] = target[e]
                weight[k] = cost
                edge[k] = e
                k += 1
    indptr[2 * n] = k
    return indptr, k, base


@njit(cache=True, nogil=True)
def insert_all(table: Table, matched: Matched, search: Search) -> None:
    """Let all rows in, one after the other, into an empty matching."""
    insert_rows(table, matched, search, np.arange(len(matched.row_column)))


@njit(cache=True, nogil=True)
def _row_prices(indptr: Ints, column: Ints32, weight: Ints, price: Ints) -> Ints:
    row_price = np.zeros(len(indptr) - 1, np.int64)
    for i in range(len(row_price)):
        for k in range(indptr[i], indptr[i + 1]):
            row_price[i] = min(row_price[i], weight[k] - price[column[k]])
    return row_price


@njit(cache=True, nogil=True)
def _total_of_rows(indptr: Ints, column: Ints32, weight: Ints, price: Ints, nodes: Ints) -> np.int64:
    total = np.int64(0)
    for u in nodes:
        for i in (2 * u, 2 * u + 1):
            least = np.int64(0)
            for k in range(indptr[i], indptr[i + 1]):
                least = min(least, weight[k] - price[column[k]])
            total += least
    return total


@njit(cache=True, nogil=True)
def _lowest_prices(
    indptr: Ints, column: Ints32, weight: Ints, row_entry: Ints, n: int, begin: Ints, asker: Ints32
) -> Ints:
    """Let row prices fall from 0 until no entry undercuts them; the columns hold the rest.

    Where the price of a row falls, the rows that have an entry of its column (`begin`, `asker`) are looked at again.
    """
    n_rows = len(row_entry)
    holder = np.full(n, -1, np.int32)
    for i in range(n_rows):
        if row_entry[i] >= 0:
            holder[column[row_entry[i]]] = i
    row_price = np.zeros(n_rows, np.int64)
    queue = np.arange(n_rows)
    waits = np.ones(n_rows, np.bool_)
    head, size = 0, n_rows
    while size:
        i = queue[head]
        head = (head + 1) % n_rows
        size -= 1
        waits[i] = False
        falls = False
        for k in range(indptr[i], indptr[i + 1]):
            other = holder[column[k]]
            cost = weight[k]
            if other >= 0:
                cost += row_price[other] - weight[row_entry[other]]
            if cost < row_price[i]:
                row_price[i] = cost
                falls = True
        if not falls or row_entry[i] < 0:
            continue
        held = column[row_entry[i]]
        for place in range(begin[held], begin[held + 1]):
            j = asker[place]
            if not waits[j]:
                waits[j] = True
                queue[(head + size) % n_rows] = j
                size += 1
    price = np.zeros(n, np.int64)
    for i in range(n_rows):
        if row_entry[i] >= 0:
            price[column[row_entry[i]]] = weight[row_entry[i]] - row_price[i]
    return price
