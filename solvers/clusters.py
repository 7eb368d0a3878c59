"""Clusters: the small neighbourhoods in which a matching breaks a coupling, each solved exactly, all proven together.

Prices u of rows and v of columns give every entry a reduced cost ``r = w - u - v >= 0``, and any selection costs what
the relaxation costs plus an excess: the reduced costs of its entries, and the prices of what it leaves unmatched.
A cluster K is what is reached from a broken node through entries with r <= tau_K. Inside it the coupled problem is
solved alone; its least excess is delta_K. A selection escapes this excess only through an entry that leaves K, and pays
its reduced cost. So with shares y_K <= delta_K such that every entry left out has r >= y_K + y_L for the clusters K and
L that it touches (r >= y_K if it touches one), the relaxation plus all y_K is a lower bound on every selection; where
y_K = delta_K throughout, it is attained. Otherwise tau_K grows.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from scipy import sparse

from .highs import minimise_binary, whole_bound
from .matching import LOOP
from .problem import SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matching import Entries, Matching

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]

FIRST_REACH: Final = SCALE // 4
"""Reduced cost up to which a cluster reaches at first: a quarter of a cost unit."""

MOST_ENTRIES: Final = 20_000
"""Entries of a cluster beyond which an integer programme is hopeless and the gap is stated instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """The neighbourhood of a broken node.

    Parameters
    ----------
    seed : int
        The broken node it grew from.
    reach : int
        tau_K in millionths.
    owners, columns : int32
        Nodes whose slots and whose in-ports belong to it.
    entries, rows : int64
        Its entries, and the row of each.
    """

    seed: int
    reach: int
    owners: NDArray[np.int32]
    columns: NDArray[np.int32]
    entries: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ClusterOptimum:
    """The cheapest way to match within a cluster.

    Parameters
    ----------
    chosen : int64 or None
        Entries to select; None if the optimum was not found in time.
    excess : int
        What `chosen` costs above the relaxation.
    bound : int
        No way costs less; at most `excess`.
    """

    chosen: NDArray[np.int64] | None
    excess: int
    bound: int


class Neighbourhoods:
    """Reduced costs of a matching, walked from node to in-port and back.

    Parameters
    ----------
    entries : Entries
        All entries.
    matching : Matching
        A cheapest matching of them.
    row_price : (2n,) int64
        The best row prices for its column prices.
    gains_by_dividing : (n,) bool
        Nodes with c_s + c_d < 0, whose division slot must be told to wait for the first.
    """

    def __init__(
        self,
        entries: Entries,
        matching: Matching,
        row_price: NDArray[np.int64],
        gains_by_dividing: NDArray[np.bool_],
    ) -> None:
        self.entries = entries
        self.row_price = row_price
        self.price = matching.price
        self.gains_by_dividing = gains_by_dividing
        self._arrays = (entries.indptr, entries.column, entries.weight, row_price, matching.price)
        self._by_column: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]] = _by_column(
            entries.indptr, entries.column
        )
        self._cluster_of: NDArray[np.int32] = np.full(2 * entries.n_nodes, -1, dtype=np.int32)
        self._queue: NDArray[np.int32] = np.empty(2 * entries.n_nodes, dtype=np.int32)

    def grow(self, reach: dict[int, int], fallback: dict[int, int | None]) -> list[Cluster]:
        """Return disjoint clusters around the seeds, each with its reach.

        The widest go first: what a later one could reach within a narrower limit, they hold already. A seed whose
        cluster becomes too large falls back to its `fallback` reach, or to no cluster at all.
        """
        n = self.entries.n_nodes
        self._cluster_of[:] = -1
        clusters: list[Cluster] = []
        waiting = [(-limit, seed) for seed, limit in reach.items()]
        heapq.heapify(waiting)
        while waiting:
            limit, seed = heapq.heappop(waiting)
            if self._cluster_of[seed] >= 0:
                continue
            size = _grow(
                seed,
                -limit,
                len(clusters),
                MOST_ENTRIES,
                *self._arrays,
                *self._by_column,
                self._cluster_of,
                self._queue,
            )
            if size < 0:
                narrower = fallback[seed]
                fallback[seed] = None  # and it does not grow again
                if narrower is None:
                    del reach[seed]
                else:
                    reach[seed] = narrower
                    heapq.heappush(waiting, (-narrower, seed))
                continue
            members = np.sort(self._queue[:size])
            owners, columns = members[members < n], members[members >= n] - n
            entries, rows = _entries_within(owners, -limit, *self._arrays)
            clusters.append(Cluster(seed, -limit, owners, columns, entries, rows))
        return clusters

    def solve(self, cluster: Cluster, time_limit_s: float | None) -> ClusterOptimum:
        """Find the least excess within a cluster by an integer programme over its entries."""
        n_entries, n_owners = len(cluster.entries), len(cluster.owners)
        weight = self.entries.weight[cluster.entries]
        owner = np.searchsorted(cluster.owners, cluster.rows // 2)
        column = np.searchsorted(cluster.columns, self.entries.column[cluster.entries])
        slot = cluster.rows % 2
        loop = self.entries.edge[cluster.entries] == LOOP

        # a row and a column take one entry each; a division slot excludes the loop, or asks for a first child
        waits = self.gains_by_dividing[cluster.owners]
        coupling = np.where(waits[owner], np.where(loop, 0, 2 * slot - 1), np.where(loop, 1, slot))
        place = np.arange(n_entries)
        row = np.concatenate([2 * owner + slot, 2 * n_owners + owner, 3 * n_owners + column])
        matrix = sparse.csc_matrix(
            (np.concatenate([np.ones(n_entries), coupling, np.ones(n_entries)]), (row, np.tile(place, 3))),
            shape=(3 * n_owners + len(cluster.columns), n_entries),
        )
        matrix.eliminate_zeros()
        most = np.ones(matrix.shape[0])
        most[2 * n_owners : 3 * n_owners][waits] = 0
        found = minimise_binary(weight, matrix, most, time_limit_s=time_limit_s)

        relaxed = int(
            self.row_price[2 * cluster.owners].sum()
            + self.row_price[2 * cluster.owners + 1].sum()
            + self.price[cluster.columns].sum()
        )
        known = whole_bound(found.bound)
        bound = max(int(known) - relaxed, 0) if math.isfinite(known) else 0
        if found.value is None or not found.finished:
            return ClusterOptimum(None, bound, bound)
        excess = int(weight[found.value].sum()) - relaxed
        return ClusterOptimum(cluster.entries[found.value], excess, min(bound, excess))

    def room(self, number: int, cluster: Cluster) -> tuple[int, int]:
        """Return the least reduced cost that leaves a cluster: towards free nodes, and towards other clusters.

        `number` is its place in what `grow` returned last.
        """
        free, shared = _room(
            cluster.owners, cluster.columns, cluster.reach, number, *self._arrays, *self._by_column, self._cluster_of
        )
        return int(free), int(shared)


@njit(cache=True, nogil=True)
def _by_column(indptr: Ints, column: Ints32) -> tuple[Ints, Ints32, Ints32]:
    """Turn the entries around: where those of each column begin, which they are, and their rows."""
    n_rows = len(indptr) - 1
    first = np.zeros(n_rows // 2 + 1, np.int64)
    for k in range(len(column)):
        first[column[k] + 1] += 1
    for j in range(n_rows // 2):
        first[j + 1] += first[j]
    free = first[:-1].copy()
    entry = np.empty(len(column), np.int32)
    row = np.empty(len(column), np.int32)
    for i in range(n_rows):
        for k in range(indptr[i], indptr[i + 1]):
            place = free[column[k]]
            free[column[k]] += 1
            entry[place] = k
            row[place] = i
    return first, entry, row


@njit(cache=True, nogil=True)
def _grow(
    seed: int,
    reach: int,
    number: int,
    limit: int,
    indptr: Ints,
    column: Ints32,
    weight: Ints,
    row_price: Ints,
    price: Ints,
    first: Ints,
    entry: Ints32,
    row: Ints32,
    cluster_of: Ints32,
    queue: Ints32,
) -> int:
    """List in the queue, and number, all that the seed reaches; -1, and nothing is numbered, beyond the limit."""
    n = len(price)
    cluster_of[seed] = number
    queue[0] = seed
    size = 1
    head = 0
    n_entries = 0
    while head < size and n_entries <= limit:
        member = queue[head]
        head += 1
        if member < n:
            for i in range(2 * member, 2 * member + 2):
                for k in range(indptr[i], indptr[i + 1]):
                    if weight[k] - row_price[i] - price[column[k]] <= reach:
                        n_entries += 1
                        if cluster_of[n + column[k]] < 0:
                            cluster_of[n + column[k]] = number
                            queue[size] = n + column[k]
                            size += 1
        else:
            j = member - n
            for place in range(first[j], first[j + 1]):
                i = row[place]
                if weight[entry[place]] - row_price[i] - price[j] <= reach and cluster_of[i // 2] < 0:
                    cluster_of[i // 2] = number
                    queue[size] = i // 2
                    size += 1
    if n_entries <= limit:
        return size
    for place in range(size):
        cluster_of[queue[place]] = -1
    return -1


@njit(cache=True, nogil=True)
def _entries_within(
    owners: Ints32, reach: int, indptr: Ints, column: Ints32, weight: Ints, row_price: Ints, price: Ints
) -> tuple[Ints, Ints]:
    most = 0
    for u in owners:
        most += indptr[2 * u + 2] - indptr[2 * u]
    entries = np.empty(most, np.int64)
    rows = np.empty(most, np.int64)
    size = 0
    for u in owners:
        for i in range(2 * u, 2 * u + 2):
            for k in range(indptr[i], indptr[i + 1]):
                if weight[k] - row_price[i] - price[column[k]] <= reach:
                    entries[size] = k
                    rows[size] = i
                    size += 1
    return entries[:size], rows[:size]


@njit(cache=True, nogil=True)
def _room(
    owners: Ints32,
    columns: Ints32,
    reach: int,
    number: int,
    indptr: Ints,
    column: Ints32,
    weight: Ints,
    row_price: Ints,
    price: Ints,
    first: Ints,
    entry: Ints32,
    row: Ints32,
    cluster_of: Ints32,
) -> tuple[np.int64, np.int64]:
    n = len(price)
    free = np.int64(2) ** 62
    shared = np.int64(2) ** 62
    for u in owners:
        for i in range(2 * u, 2 * u + 2):
            for k in range(indptr[i], indptr[i + 1]):
                cost = weight[k] - row_price[i] - price[column[k]]
                if cost > reach:
                    other = cluster_of[n + column[k]]
                    if other < 0 or other == number:
                        free = min(free, cost)
                    else:
                        shared = min(shared, cost)
    for j in columns:
        for place in range(first[j], first[j + 1]):
            i = row[place]
            cost = weight[entry[place]] - row_price[i] - price[j]
            if cost > reach:
                other = cluster_of[i // 2]
                if other < 0 or other == number:
                    free = min(free, cost)
                else:
                    shared = min(shared, cost)
    return free, shared
