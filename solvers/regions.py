"""Regions: what surrounds the places where prices and a selection disagree, walked through options that cost little.

Prices of at most 0 on rows and columns give every option a reduced cost ``r = w - u - v (- v') >= 0``. A cluster is
what is reached from a port (a row, or a column) through options with r <= tau; a region is a set of disjoint clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from .options import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]


class Priced(NamedTuple):
    """The options of all rows, and the prices at which they stand.

    Parameters
    ----------
    indptr, column, weight
        As in `Options`.
    row_price, column_price : (n,) int64
        At most 0. Ports are numbered rows first, then columns.
    """

    indptr: NDArray[np.int64]
    column: NDArray[np.int32]
    weight: NDArray[np.int64]
    row_price: NDArray[np.int64]
    column_price: NDArray[np.int64]


class ByColumn(NamedTuple):
    """The options turned around: those of column j, and their rows, stand at ``indptr[j] .. indptr[j + 1] - 1``."""

    indptr: NDArray[np.int64]
    option: NDArray[np.int64]
    row: NDArray[np.int32]


class Excludes(NamedTuple):
    """Whom each node excludes: those of node i stand at ``indptr[i] .. indptr[i + 1] - 1``."""

    indptr: NDArray[np.int64]
    node: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Disjoint clusters.

    Parameters
    ----------
    of_port : (2n,) int32
        Cluster of each row, then of each column; -1 outside.
    reach : (k,) int64
        tau of each cluster.
    seed : (k,) int64
        The port from which each grew.
    option, row : int64
        Options inside, and the row of each, ordered by option.
    around : int64
        Rows with an option that touches a cluster.
    """

    of_port: NDArray[np.int32]
    reach: NDArray[np.int64]
    seed: NDArray[np.int64]
    option: NDArray[np.int64]
    row: NDArray[np.int64]
    around: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.reach)

    @property
    def of_option(self) -> NDArray[np.int32]:
        """Cluster of each option inside."""
        return self.of_port[self.row]


def grow(
    at: Priced,
    by_column: ByColumn,
    excludes: Excludes,
    choice: NDArray[np.int64],
    reach: NDArray[np.int64],
    most_options: int,
) -> tuple[Region, NDArray[np.int64]]:
    """Grow disjoint clusters around ports, the widest first: what a later one could reach, they hold already.

    Nodes that exclude each other come together, with their loops.

    Parameters
    ----------
    at, by_column, excludes
        Options and prices, and who excludes whom.
    choice : (n,) int64
        Option of each row, -1 where it does nothing; a cluster holds whole choices.
    reach : (2n,) int64
        How far each port reaches; -1 where nothing grows.
    most_options : int
        A cluster of more is no cluster.

    Returns
    -------
    region : Region
        The clusters.
    vast : int64
        The seeds that reach too far.
    """
    seeds = np.flatnonzero(reach >= 0)
    seeds = seeds[np.argsort(-reach[seeds], kind="stable")]
    of_port, seed, vast = _grow(at, by_column, excludes, choice, _holders(at, choice), seeds, reach, most_options)
    option, row = _inside(at, excludes, choice, of_port, reach[seed])
    return Region(of_port, reach[seed], seed, option, row, _around(by_column, of_port)), vast


def room(at: Priced, region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least reduced cost of an option left out that touches each cluster: alone, and with others."""
    return _room(at, region.around, region.of_port, len(region), _marked(at, region.option))


def cheapest_way_out(at: Priced, region: Region) -> NDArray[np.int64]:
    """Return what the cheapest option costs that has one port alone within the region, (2n,) int64.

    Its other ports are paid at their prices; 0 where nothing pays.
    """
    return _way_out(at, region.around, region.of_port)


def violated(
    at: Priced, region: Region, known: NDArray[np.bool_], tolerance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the unknown options that touch the region and are cheaper than their prices, and the row of each."""
    return _violated(at, region.around, region.of_port, known, tolerance)


def excess_of(at: Priced, choice: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how much each row, then each column, costs above its price where options are chosen, (2n,) int64."""
    return _excess_of(at, choice)


def repriced(at: Priced, rows: NDArray[np.int64], column_price: NDArray[np.int64], weight: NDArray[np.int64]) -> Priced:
    """Return the options at new prices and weights, which make new prices of some rows only."""
    at = at._replace(column_price=column_price, weight=weight, row_price=at.row_price.copy())
    _best(at, rows)
    return at


def _marked(at: Priced, option: NDArray[np.int64]) -> NDArray[np.bool_]:
    mark = np.zeros(len(at.weight), dtype=bool)
    mark[option] = True
    return mark


@njit(cache=True, nogil=True)
def _reduced(at: Priced, u: int, option: int) -> np.int64:
    cost: np.int64 = at.weight[option] - at.row_price[u] - at.column_price[at.column[option, 0]]
    if at.column[option, 1] != NONE:
        cost -= at.column_price[at.column[option, 1]]
    return cost


@njit(cache=True, nogil=True)
def _excess_of(at: Priced, choice: Ints) -> Ints:
    n = len(choice)
    excess = np.empty(2 * n, np.int64)
    for u in range(n):
        excess[n + u] = -at.column_price[u]
    for u in range(n):
        option = choice[u]
        if option < 0:
            excess[u] = -at.row_price[u]
            continue
        excess[u] = _reduced(at, u, option)
        for side in range(2):
            if at.column[option, side] != NONE:
                excess[n + at.column[option, side]] = 0
    return excess


@njit(cache=True, nogil=True)
def _best(at: Priced, rows: Ints) -> None:
    """Set the prices of rows to what their best options cost."""
    for u in rows:
        at.row_price[u] = 0
        least = np.int64(0)
        for o in range(at.indptr[u], at.indptr[u + 1]):
            least = min(least, _reduced(at, u, o))
        at.row_price[u] = least


@njit(cache=True, nogil=True)
def _belongs(at: Priced, excludes: Excludes, choice: Ints, u: int, option: int, reach: int) -> np.bool_:
    """Return whether an option of a row within a cluster belongs to it."""
    is_loop = at.column[option, 0] == u and at.column[option, 1] == NONE
    must_be_free = is_loop and excludes.indptr[u] < excludes.indptr[u + 1]
    belongs: np.bool_ = must_be_free or option == choice[u] or _reduced(at, u, option) <= reach
    return belongs


@njit(cache=True, nogil=True)
def _join(of_port: Ints32, queue: Ints32, size: int, port: int, cluster: int) -> int:
    if of_port[port] < 0:
        of_port[port] = cluster
        queue[size] = port
        size += 1
    return size


@njit(cache=True, nogil=True)
def _holders(at: Priced, choice: Ints) -> Ints32:
    """Return the row that takes each column, -1 where none does."""
    holder = np.full(len(choice), -1, np.int32)
    for u in range(len(choice)):
        if choice[u] >= 0:
            for side in range(2):
                if at.column[choice[u], side] != NONE:
                    holder[at.column[choice[u], side]] = u
    return holder


@njit(cache=True, nogil=True)
def _grow(
    at: Priced,
    by_column: ByColumn,
    excludes: Excludes,
    choice: Ints,
    holder: Ints32,
    seeds: Ints,
    reach_of: Ints,
    most_options: int,
) -> tuple[Ints32, Ints, Ints]:
    n = len(choice)
    of_port = np.full(2 * n, -1, np.int32)
    queue = np.empty(2 * n, np.int32)
    started = np.empty(len(seeds), np.int64)
    vast = np.empty(len(seeds), np.int64)
    k = 0
    n_vast = 0
    for seed in seeds:
        if of_port[seed] >= 0:
            continue
        reach = reach_of[seed]
        size = _join(of_port, queue, 0, seed, k)
        head = 0
        n_options = 0
        while head < size and n_options <= most_options:
            port = queue[head]
            head += 1
            node = port if port < n else port - n
            for place in range(excludes.indptr[node], excludes.indptr[node + 1]):
                for mine in (int(node), int(excludes.node[place])):
                    size = _join(of_port, queue, size, mine, k)
                    size = _join(of_port, queue, size, n + mine, k)
            if port < n:
                for o in range(at.indptr[port], at.indptr[port + 1]):
                    if _belongs(at, excludes, choice, port, o, reach):
                        n_options += 1
                        for side in range(2):
                            if at.column[o, side] != NONE:
                                size = _join(of_port, queue, size, n + at.column[o, side], k)
                continue
            if holder[node] >= 0:
                size = _join(of_port, queue, size, holder[node], k)
            for place in range(by_column.indptr[node], by_column.indptr[node + 1]):
                u = by_column.row[place]
                if of_port[u] < 0 and _reduced(at, u, by_column.option[place]) <= reach:
                    size = _join(of_port, queue, size, u, k)
        if n_options > most_options:
            for place in range(size):
                of_port[queue[place]] = -1
            vast[n_vast] = seed
            n_vast += 1
        else:
            started[k] = seed
            k += 1
    return of_port, started[:k], vast[:n_vast]


@njit(cache=True, nogil=True)
def _inside(at: Priced, excludes: Excludes, choice: Ints, of_port: Ints32, reach: Ints) -> tuple[Ints, Ints]:
    n = len(choice)
    most = 0
    for u in range(n):
        if of_port[u] >= 0:
            most += at.indptr[u + 1] - at.indptr[u]
    option = np.empty(most, np.int64)
    row = np.empty(most, np.int64)
    size = 0
    for u in range(n):
        if of_port[u] < 0:
            continue
        for o in range(at.indptr[u], at.indptr[u + 1]):
            if _belongs(at, excludes, choice, u, o, reach[of_port[u]]):
                option[size] = o
                row[size] = u
                size += 1
    return option[:size], row[:size]


@njit(cache=True, nogil=True)
def _around(by_column: ByColumn, of_port: Ints32) -> Ints:
    n = len(of_port) // 2
    touches = of_port[:n] >= 0
    for j in range(n):
        if of_port[n + j] >= 0:
            for place in range(by_column.indptr[j], by_column.indptr[j + 1]):
                touches[by_column.row[place]] = True
    return np.flatnonzero(touches)


@njit(cache=True, nogil=True)
def _touched(at: Priced, of_port: Ints32, u: int, option: int) -> tuple[np.int32, np.int32, np.int32]:
    """Return the clusters of an option's row and columns, -1 for none."""
    n = len(at.row_price)
    second = at.column[option, 1]
    last = of_port[n + second] if second != NONE else np.int32(-1)
    return of_port[u], of_port[n + at.column[option, 0]], last


@njit(cache=True, nogil=True)
def _room(at: Priced, around: Ints, of_port: Ints32, k: int, inside: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    free = np.full(k, np.int64(2) ** 62)
    shared = np.full(k, np.int64(2) ** 62)
    for u in around:
        for o in range(at.indptr[u], at.indptr[u + 1]):
            if inside[o]:
                continue
            a, b, c = _touched(at, of_port, u, o)
            one = max(a, max(b, c))
            if one < 0:
                continue
            alone = (a < 0 or a == one) and (b < 0 or b == one) and (c < 0 or c == one)
            cost = _reduced(at, u, o)
            for touched in (a, b, c):
                if touched >= 0 and alone:
                    free[touched] = min(free[touched], cost)
                elif touched >= 0:
                    shared[touched] = min(shared[touched], cost)
    return free, shared


@njit(cache=True, nogil=True)
def _way_out(at: Priced, around: Ints, of_port: Ints32) -> Ints:
    n = len(at.row_price)
    cheapest = np.zeros(2 * n, np.int64)
    for u in around:
        for o in range(at.indptr[u], at.indptr[u + 1]):
            a, b, c = _touched(at, of_port, u, o)
            if (a >= 0) + (b >= 0) + (c >= 0) != 1:
                continue
            if a >= 0:
                port = np.int64(u)
                own = at.row_price[u]
            else:
                column = at.column[o, 0] if b >= 0 else at.column[o, 1]
                port = np.int64(n + column)
                own = at.column_price[column]
            cheapest[port] = min(cheapest[port], _reduced(at, u, o) + own)
    return cheapest


@njit(cache=True, nogil=True)
def _violated(at: Priced, around: Ints, of_port: Ints32, known: NDArray[np.bool_], tolerance: int) -> tuple[Ints, Ints]:
    option = np.empty(len(at.weight), np.int64)
    row = np.empty(len(at.weight), np.int64)
    size = 0
    for u in around:
        for o in range(at.indptr[u], at.indptr[u + 1]):
            if known[o] or max(_touched(at, of_port, u, o)) < 0:
                continue
            if _reduced(at, u, o) < -tolerance:
                option[size] = o
                row[size] = u
                size += 1
    return option[:size], row[:size]
