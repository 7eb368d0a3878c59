"""Shortest augmenting paths: how a row enters a cheapest matching, and how a column recovers from losing its row.

Prices u of rows and v of columns, all at most 0, keep every entry's reduced cost ``w - u - v`` at 0 or above and that
of every matched one at 0; a row or column that is left alone has the price 0. Both steps search outward from where this
does not hold, by Dijkstra over columns, and repair what lies within the shortest path. Only column prices are stored:
the price of a matched row is what its entry leaves of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Items = Ints | Ints32


class Table(NamedTuple):
    """Entries row by row: those of row i stand at ``indptr[i] .. indptr[i + 1] - 1``; weights in millionths."""

    indptr: NDArray[np.int64]
    column: NDArray[np.int32]
    weight: NDArray[np.int64]


class ByColumn(NamedTuple):
    """Entries column by column: those of column j, and their rows, stand at ``indptr[j] .. indptr[j + 1] - 1``."""

    indptr: NDArray[np.int64]
    entry: NDArray[np.int64]
    row: NDArray[np.int32]


class Matched(NamedTuple):
    """A matching in the making; -1 where a row or a column has no other side."""

    row_column: NDArray[np.int32]
    column_row: NDArray[np.int32]
    column_entry: NDArray[np.int64]
    price: NDArray[np.int64]


class Search(NamedTuple):
    """What searches write on; after each, ``scanned[: n_scanned]`` are the columns whose price or row may be new."""

    distance: NDArray[np.int64]
    path_entry: NDArray[np.int64]
    path_row: NDArray[np.int32]
    reached: NDArray[np.int64]
    heap_key: NDArray[np.int64]
    heap_item: NDArray[np.int32]
    scanned: NDArray[np.int32]
    clock: NDArray[np.int64]


def empty_matching(n_rows: int, n_columns: int) -> Matched:
    """Return the matching of nothing."""
    return Matched(
        np.full(n_rows, -1, np.int32),
        np.full(n_columns, -1, np.int32),
        np.full(n_columns, -1, np.int64),
        np.zeros(n_columns, np.int64),
    )


def room_to_search(n_columns: int, n_entries: int) -> Search:
    """Return scratch space for searches."""
    return Search(
        np.zeros(n_columns, np.int64),
        np.zeros(n_columns, np.int64),
        np.zeros(n_columns, np.int32),
        np.full(n_columns, -1, np.int64),
        np.empty(n_entries + 1, np.int64),
        np.empty(n_entries + 1, np.int32),
        np.empty(n_columns + 1, np.int32),
        np.zeros(1, np.int64),
    )


@njit(cache=True, nogil=True)
def turn(indptr: Ints, column: Ints32, n_columns: int) -> tuple[Ints, Ints, Ints32]:
    """Turn a table around: `ByColumn` of it."""
    begin = np.zeros(n_columns + 1, np.int64)
    for k in range(len(column)):
        begin[column[k] + 1] += 1
    for j in range(n_columns):
        begin[j + 1] += begin[j]
    free = begin[:-1].copy()
    entry = np.empty(len(column), np.int64)
    row = np.empty(len(column), np.int32)
    for i in range(len(indptr) - 1):
        for k in range(indptr[i], indptr[i + 1]):
            entry[free[column[k]]] = k
            row[free[column[k]]] = i
            free[column[k]] += 1
    return begin, entry, row


@njit(cache=True, inline="always")
def push(heap_key: Ints, heap_item: Items, size: int, key: np.int64, item: int) -> int:
    """Put an item on the heap; return its new size."""
    i = size
    while i > 0:
        above = (i - 1) >> 1
        if heap_key[above] <= key:
            break
        heap_key[i] = heap_key[above]
        heap_item[i] = heap_item[above]
        i = above
    heap_key[i] = key
    heap_item[i] = item
    return size + 1


@njit(cache=True, inline="always")
def pop(heap_key: Ints, heap_item: Items, size: int) -> tuple[np.int64, int, int]:
    """Take the item of least key off the heap; return both and its new size."""
    least_key = heap_key[0]
    least_item = heap_item[0]
    size -= 1
    key = heap_key[size]
    item = heap_item[size]
    i = 0
    while True:
        below = 2 * i + 1
        if below >= size:
            break
        if below + 1 < size and heap_key[below + 1] < heap_key[below]:
            below += 1
        if heap_key[below] >= key:
            break
        heap_key[i] = heap_key[below]
        heap_item[i] = heap_item[below]
        i = below
    heap_key[i] = key
    heap_item[i] = item
    return least_key, least_item, size


@njit(cache=True, nogil=True)
def insert(table: Table, matched: Matched, search: Search, root: int) -> int:
    """Let a row in at least cost: into a column, past others, or not at all; return the number of scanned columns."""
    return insert_rows(table, matched, search, np.full(1, np.int64(root)))


@njit(cache=True, nogil=True)
def insert_rows(table: Table, matched: Matched, search: Search, rows: Ints) -> int:
    """Let rows in, one after the other; return how many columns the last one scanned.

    All in one kernel: handing the arrays to another costs as much as a search.
    """
    indptr, column, weight = table
    row_column, column_row, column_entry, price = matched
    distance, path_entry, path_row, reached, heap_key, heap_item, scanned, clock = search
    now = clock[0]
    n_scanned = 0
    for root in rows:
        n_scanned = 0
        best = np.int64(0)
        entry = -1
        for k in range(indptr[root], indptr[root + 1]):
            cost = weight[k] - price[column[k]]
            if cost < best:
                best = cost
                entry = k
        if entry < 0:
            continue  # staying alone costs no more
        j = column[entry]
        if column_row[j] < 0:
            column_row[j] = root
            column_entry[j] = entry
            row_column[root] = j
            scanned[0] = j
            n_scanned = 1
            continue

        now += 1
        size = 0
        best = np.int64(0)
        last_row = root
        last_column = -1
        for k in range(indptr[root], indptr[root + 1]):
            j = column[k]
            cost = weight[k] - price[j]
            if cost < best:
                distance[j] = cost
                path_entry[j] = k
                path_row[j] = root
                reached[j] = now
                size = push(heap_key, heap_item, size, cost, j)
        while size > 0:
            so_far, j, size = pop(heap_key, heap_item, size)
            if so_far >= best:
                break
            if so_far > distance[j]:
                continue
            i = column_row[j]
            if i < 0:
                last_column = j
                best = so_far
                break
            scanned[n_scanned] = j
            n_scanned += 1
            held = weight[column_entry[j]] - price[j] - so_far
            if -held < best:
                best = -held
                last_row = i
            for k in range(indptr[i], indptr[i + 1]):
                c = column[k]
                cost = weight[k] - price[c] - held
                if cost < best and c != j and (reached[c] != now or cost < distance[c]):
                    distance[c] = cost
                    path_entry[c] = k
                    path_row[c] = i
                    reached[c] = now
                    size = push(heap_key, heap_item, size, cost, c)
        for s in range(n_scanned):
            j = scanned[s]
            if distance[j] < best:
                price[j] += distance[j] - best

        if last_column >= 0:
            j = last_column
            scanned[n_scanned] = j
            n_scanned += 1
        elif last_row == root:
            continue
        else:
            j = row_column[last_row]
            row_column[last_row] = -1
        while True:  # walk the path back to the root, each row taking the column it reached
            i = path_row[j]
            before = row_column[i]
            column_row[j] = i
            column_entry[j] = path_entry[j]
            row_column[i] = j
            if i == root:
                break
            j = before
    clock[0] = now
    return n_scanned


@njit(cache=True, nogil=True)
def refill(
    table: Table, by_column: ByColumn, matched: Matched, search: Search, absent: NDArray[np.bool_], hole: int
) -> int:
    """Let a column that lost its row find another, or its price rise to 0; return the number of scanned columns.

    Rows that are `absent` take no part: they are to be inserted later.
    """
    _, column, weight = table
    row_column, column_row, column_entry, price = matched
    distance, path_entry, _, reached, heap_key, heap_item, scanned, clock = search
    clock[0] += 1
    now = clock[0]
    distance[hole] = 0
    reached[hole] = now
    size = push(heap_key, heap_item, 0, np.int64(0), hole)
    n_scanned = 0
    best = np.int64(2) ** 62
    last_column = hole
    last_row = -1
    last_entry = np.int64(-1)
    while size > 0:
        so_far, j, size = pop(heap_key, heap_item, size)
        if so_far >= best:
            break
        if so_far > distance[j]:
            continue
        scanned[n_scanned] = j
        n_scanned += 1
        if so_far - price[j] < best:  # left alone, its price is 0
            best = so_far - price[j]
            last_column, last_row, last_entry = j, -1, np.int64(-1)
        for place in range(by_column.indptr[j], by_column.indptr[j + 1]):
            i = by_column.row[place]
            c = row_column[i]
            if absent[i] or c == j:
                continue
            k = by_column.entry[place]
            cost = so_far + weight[k] - price[j]
            if c < 0 and cost < best:
                best = cost
                last_column, last_row, last_entry = j, i, k
            elif c >= 0:
                cost -= weight[column_entry[c]] - price[c]
                if cost < best and (reached[c] != now or cost < distance[c]):
                    distance[c] = cost
                    path_entry[c] = k
                    reached[c] = now
                    size = push(heap_key, heap_item, size, cost, c)
    for s in range(n_scanned):
        j = scanned[s]
        if distance[j] < best:
            price[j] += best - distance[j]

    j = last_column
    i = column_row[j]
    column_row[j] = last_row
    column_entry[j] = last_entry
    if last_row >= 0:
        row_column[last_row] = j
    while j != hole:  # walk the path back to the hole, each row moving over
        k = path_entry[j]
        j = column[k]
        after = column_row[j]
        column_row[j] = i
        column_entry[j] = k
        row_column[i] = j
        i = after
    return n_scanned
