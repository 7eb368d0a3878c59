"""How a matching comes back to its optimum: after weights changed, or from what is known of an earlier one.

A matching is cheapest if and only if there are prices of at most 0 that leave no entry a reduced cost below 0, each
entry in use one of 0, and each row and column that is left alone the price 0. One pass finds where given prices do not
say so. The rows there are taken out, columns that lost theirs find another or become free (`augment.refill`), and the
rows go back in along shortest augmenting paths (`augment.insert`); the rest stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .augment import ByColumn, Matched, Search, Table, empty_matching, insert, refill
from .matching import LOOP, insert_all
from .problem import SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matching import Entries

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Bools = NDArray[np.bool_]

OFF: Final = 2**50
"""Weight of an entry that a decision rules out: nothing that costs anything is ever chosen."""

FEW: Final = 50
"""Where more than one row in so many does not fit, matching afresh is quicker."""

AT_LEAST: Final = 64
"""So many rows are put right whatever the size."""


def take_up(
    table: Table, by_column: ByColumn, search: Search, row_entry: NDArray[np.int64], price: NDArray[np.int64]
) -> tuple[Matched, int | None]:
    """Return a cheapest matching that keeps of an earlier one what still fits.

    Parameters
    ----------
    table, by_column : Table, ByColumn
        The entries of r rows and n columns.
    search : Search
        Scratch space.
    row_entry : (r,) int64
        Entry that each row held, -1 for none; any choice will do, also one that takes a column twice.
    price : (n,) int64
        Price of each column, at most 0; any will do.

    Returns
    -------
    matched : Matched
        The matching with the prices that prove it.
    again : int or None
        How many rows and columns did not fit and were matched again; None where there were so many that everything was.
    """
    n_rows, n_columns = len(row_entry), len(price)
    matched = empty_matching(n_rows, n_columns)
    matched.price[:] = price
    again, holes = _misfits(table, matched, row_entry)
    if len(again) + len(holes) > max(AT_LEAST, n_rows // FEW):
        matched = empty_matching(n_rows, n_columns)
        insert_all(table, matched, search)
        return matched, None
    _mend(table, by_column, matched, search, again, holes)
    return matched, len(again) + len(holes)


def held_entries(
    entries: Entries, weight: NDArray[np.int64], edge: NDArray[np.bool_], node: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the entry that each row holds in a selection, (2n,) int64; -1 for none, or where it is ruled out.

    Parameters
    ----------
    entries : Entries
        Of n nodes.
    weight : (k,) int64
        Their weights as they are now.
    edge : (m,) bool
        Selected links, in the order of the grid.
    node : (n,) bool
        Selected detections.
    """
    return _held_entries(entries.indptr, entries.edge, weight, edge, node)


def same_edges(entries: Entries, row_edge: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the entry by which each row takes an edge on the grid, or its `LOOP`; -1 where there is none."""
    return _same_edges(entries.indptr, entries.edge, row_edge)


def whole_prices(dual: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return prices in millionths, (n,) int64; what cannot be a price is 0."""
    sound = np.isfinite(dual) & (dual < 0) & (dual > -(2**53) / SCALE)
    price: NDArray[np.int64] = np.rint(np.where(sound, dual, 0.0) * SCALE).astype(np.int64)
    return price


@njit(cache=True, nogil=True)
def ruled_out(
    entries_indptr: Ints,
    column: Ints32,
    entry_edge: Ints32,
    edge: NDArray[np.int8],
    node: NDArray[np.int8],
    n_children: Ints32,
    n_parents: Ints32,
) -> NDArray[np.int32]:
    """Count for each entry the pins that rule it out.

    `edge` and `node` are pins, by edge on the grid and by detection; `n_children` and `n_parents` count the links that
    are pinned in: those leave nothing to choose about the rows of their source and the column of their target.
    """
    off = np.zeros(len(column), np.int32)
    for u in range(len(node)):
        for k in range(entries_indptr[2 * u], entries_indptr[2 * u + 2]):
            j = column[k]
            off[k] = n_children[u] + n_parents[j] + (node[u] < 0) + (node[j] < 0)
            off[k] += (node[j] > 0) if entry_edge[k] == LOOP else (edge[entry_edge[k]] < 0)
    return off


@njit(cache=True, nogil=True)
def switch(
    table: Table,
    by_column: ByColumn,
    matched: Matched,
    search: Search,
    absent: Bools,
    off: NDArray[np.int32],
    weight: Ints,
    entry: Ints,
    step: NDArray[np.int32],
    touched: Ints,
    seen: Ints,
) -> tuple[Ints, int]:
    """Rule entries out (step 1) and in again (-1), and restore the cheapest matching and its prices.

    Returns the rows that were put back, and how many columns `touched` names: those whose row or price may be new.
    """
    rows = np.empty(len(entry), np.int64)
    n_rows = 0
    for q in range(len(entry)):
        k = entry[q]
        was_off = off[k] > 0
        off[k] += step[q]
        if was_off == (off[k] > 0):
            continue
        table.weight[k] = weight[k] if was_off else OFF
        if not was_off and matched.column_entry[table.column[k]] != k:
            continue  # nobody used it
        row = np.searchsorted(table.indptr, k, side="right") - 1
        if not absent[row]:
            absent[row] = True
            rows[n_rows] = row
            n_rows += 1
    search.clock[0] += 1
    now = search.clock[0]
    n_touched = 0
    holes = np.empty(n_rows, np.int64)
    n_holes = 0
    for q in range(n_rows):
        j = matched.row_column[rows[q]]
        if j >= 0:
            matched.row_column[rows[q]] = -1
            matched.column_row[j] = -1
            matched.column_entry[j] = -1
            holes[n_holes] = j
            n_holes += 1
            n_touched = _touch(touched, n_touched, seen, now, j)
    for q in range(n_holes):
        if matched.column_row[holes[q]] < 0 and matched.price[holes[q]] < 0:
            n_scanned = refill(table, by_column, matched, search, absent, holes[q])
            for s in range(n_scanned):
                n_touched = _touch(touched, n_touched, seen, now, search.scanned[s])
    for q in range(n_rows):
        absent[rows[q]] = False
        n_scanned = insert(table, matched, search, rows[q])
        for s in range(n_scanned):
            n_touched = _touch(touched, n_touched, seen, now, search.scanned[s])
    return rows[:n_rows], n_touched


@njit(cache=True, inline="always")
def _touch(touched: Ints, n_touched: int, seen: Ints, now: int, column: int) -> int:
    if seen[column] == now:
        return n_touched
    seen[column] = now
    touched[n_touched] = column
    return n_touched + 1


@njit(cache=True, nogil=True)
def _held_entries(indptr: Ints, entry_edge: Ints32, weight: Ints, edge: Bools, node: Bools) -> Ints:
    held = np.full(2 * len(node), -1, np.int64)
    found = np.empty((2, 2), np.int64)  # of each slot, the entries of two children
    for u in range(len(node)):
        k = indptr[2 * u]
        if not node[u]:
            if k < indptr[2 * u + 1] and entry_edge[k] == LOOP and weight[k] != OFF:
                held[2 * u] = k
            continue
        found[:] = -1
        for slot in range(2):
            for k in range(indptr[2 * u + slot], indptr[2 * u + slot + 1]):
                if entry_edge[k] != LOOP and edge[entry_edge[k]] and weight[k] != OFF:
                    if found[slot, 0] < 0:
                        found[slot, 0] = k
                    elif found[slot, 1] < 0:
                        found[slot, 1] = k
        held[2 * u] = found[0, 0]
        for a in found[0]:  # which child stands in which slot makes no difference, but one slot may not list it
            for b in found[1]:
                if held[2 * u + 1] < 0 and a >= 0 and b >= 0 and entry_edge[a] != entry_edge[b]:
                    held[2 * u] = a
                    held[2 * u + 1] = b
    return held


@njit(cache=True, nogil=True)
def _same_edges(indptr: Ints, entry_edge: Ints32, row_edge: Ints) -> Ints:
    held = np.full(len(row_edge), -1, np.int64)
    for i in range(len(row_edge)):
        for k in range(indptr[i], indptr[i + 1]):
            if entry_edge[k] == row_edge[i]:
                held[i] = k
    return held


@njit(cache=True, nogil=True)
def _misfits(table: Table, matched: Matched, row_entry: Ints) -> tuple[Ints, Ints]:
    """Match the rows that fit; return the others, and the columns that are priced though nobody takes them."""
    indptr, column, weight = table
    row_column, column_row, column_entry, price = matched
    again = np.empty(len(row_entry), np.int64)
    n_again = 0
    for i in range(len(row_entry)):
        best = np.int64(0)
        for k in range(indptr[i], indptr[i + 1]):
            best = min(best, weight[k] - price[column[k]])
        k = row_entry[i]
        if k < 0 and best == 0:
            continue
        if k >= 0 and column_row[column[k]] < 0 and weight[k] - price[column[k]] == best:
            row_column[i] = column[k]
            column_row[column[k]] = i
            column_entry[column[k]] = k
            continue
        again[n_again] = i
        n_again += 1
    return again[:n_again], np.flatnonzero((column_row < 0) & (price < 0))


@njit(cache=True, nogil=True)
def _mend(table: Table, by_column: ByColumn, matched: Matched, search: Search, again: Ints, holes: Ints) -> None:
    absent = np.zeros(len(matched.row_column), np.bool_)
    absent[again] = True
    for hole in holes:
        if matched.column_row[hole] < 0 and matched.price[hole] < 0:
            refill(table, by_column, matched, search, absent, hole)
    for row in again:
        absent[row] = False
        insert(table, matched, search, row)
