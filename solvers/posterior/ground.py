"""The matching from which flips start: entries are ruled out, the optimum is restored nearby, and all is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..augment import ByColumn, Matched, Search, Table, insert, refill, room_to_search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Bools = NDArray[np.bool_]

OFF: Final = 2**50
"""Weight of an entry that is ruled out: nothing that costs anything is ever chosen."""

MUST: Final = 2**55
"""What a first child that must be gains besides; all costs together are less than 2**53."""

NEVER: Final = 2**61
"""Cost of what is impossible."""

LINK: Final = 0
NEW: Final = 1
PRESENT: Final = 2
"""What is flipped: a link; being a cell without parent; being a cell."""


class Ground(NamedTuple):
    """The matching from which each flip starts, and to which it comes back.

    Parameters
    ----------
    table : Table
        Entries; weights are changed and put back.
    by_column : ByColumn
        The same by column.
    weight : (k,) int64
        What the entries weigh.
    edge : (k,) int32
        Edge on the grid of each, `LOOP` for a loop.
    row_of : (k,) int32
        Row of each.
    matched, kept : Matched
        A cheapest matching, which is changed and put back, and a copy of it.
    gains : (n,) bool
        Whether a second child without a first one is cheaper than the end that it saves.
    near : (n,) bool
        Nodes that no flip may touch, since there the best selection is not that of the matching.
    """

    table: Table
    by_column: ByColumn
    weight: Ints
    edge: Ints32
    row_of: Ints32
    matched: Matched
    kept: Matched
    gains: Bools
    near: Bools


class Links(NamedTuple):
    """The candidate links on the grid, and what may be said of them.

    Parameters
    ----------
    first : (n + 1,) int64
        Links ``first[u] .. first[u + 1] - 1`` leave node u.
    source, target : (m,) int32
        Ends.
    into_first : (n + 1,) int64
        Links ``into[into_first[v] .. into_first[v + 1] - 1]`` enter node v.
    into : (m,) int64
        See there.
    cost : (m,) int64
        What each changes as a first child.
    cost_absent : (n,) int64
        What leaving each node out changes.
    pinned : (n,) int8
        As in the problem.
    edge : (m,) bool
    node : (n,) bool
        What the best selection holds.
    """

    first: Ints
    source: Ints32
    target: Ints32
    into_first: Ints
    into: Ints
    cost: Ints
    cost_absent: Ints
    pinned: NDArray[np.int8]
    edge: Bools
    node: Bools


class Room(NamedTuple):
    """What flips write on."""

    search: Search
    absent: Bools
    removed: Ints
    n_removed: Ints
    off: Ints
    n_off: Ints
    touched: Ints
    seen: Ints
    hop_seen: Ints
    queue: Ints32
    clock: Ints


def room_to_flip(ground: Ground) -> Room:
    """Return scratch space."""
    n, k = len(ground.near), len(ground.weight)

    def counter() -> Ints:
        return np.zeros(1, dtype=np.int64)

    return Room(
        search=room_to_search(n, k),
        absent=np.zeros(2 * n, dtype=bool),
        removed=np.empty(2 * n, dtype=np.int64),
        n_removed=counter(),
        off=np.empty(k, dtype=np.int64),
        n_off=counter(),
        touched=np.empty(n, dtype=np.int64),
        seen=np.zeros(n, dtype=np.int64),
        hop_seen=np.zeros(n, dtype=np.int64),
        queue=np.empty(n, dtype=np.int32),
        clock=counter(),
    )


@njit(cache=True, nogil=True)
def rule_out(ground: Ground, room: Room, k: int) -> None:
    """Rule an entry out, and take its row away if it was used."""
    if ground.table.weight[k] == OFF:
        return
    ground.table.weight[k] = OFF
    room.off[room.n_off[0]] = k
    room.n_off[0] += 1
    if ground.matched.column_entry[ground.table.column[k]] == k:
        take_away(room, ground.row_of[k])


@njit(cache=True, nogil=True)
def take_away(room: Room, row: int) -> None:
    """Take a row out of the matching, until `restored` puts it back where it may go."""
    if not room.absent[row]:
        room.absent[row] = True
        room.removed[room.n_removed[0]] = row
        room.n_removed[0] += 1


@njit(cache=True, nogil=True)
def rule_out_row(ground: Ground, room: Room, row: int) -> None:
    """Rule all entries of a row out."""
    for k in range(ground.table.indptr[row], ground.table.indptr[row + 1]):
        rule_out(ground, room, k)


@njit(cache=True, nogil=True)
def restored(ground: Ground, room: Room) -> int:
    """Restore the cheapest matching around the rows that were taken away; return how many columns are touched."""
    table, matched = ground.table, ground.matched
    room.clock[0] += 1
    n_touched = 0
    n_holes = 0
    for r in range(room.n_removed[0]):
        row = room.removed[r]
        j = matched.row_column[row]
        if j >= 0:
            matched.row_column[row] = -1
            matched.column_row[j] = -1
            matched.column_entry[j] = -1
            n_touched = _touch(room, n_touched, j)
            n_holes = n_touched  # as yet nothing but holes is touched
    for h in range(n_holes):
        j = room.touched[h]
        if matched.column_row[j] < 0 and matched.price[j] < 0:
            n_scanned = refill(table, ground.by_column, matched, room.search, room.absent, j)
            for s in range(n_scanned):
                n_touched = _touch(room, n_touched, room.search.scanned[s])
    for r in range(room.n_removed[0]):
        room.absent[room.removed[r]] = False
        n_scanned = insert(table, matched, room.search, room.removed[r])
        for s in range(n_scanned):
            n_touched = _touch(room, n_touched, room.search.scanned[s])
    return n_touched


@njit(cache=True, inline="always")
def _touch(room: Room, n_touched: int, column: int) -> int:
    if room.seen[column] == room.clock[0]:
        return n_touched
    room.seen[column] = room.clock[0]
    room.touched[n_touched] = column
    return n_touched + 1


@njit(cache=True, nogil=True)
def difference(ground: Ground, room: Room, n_touched: int) -> int:
    """Return what the matching now costs more than that from which it came."""
    cost = 0
    for t in range(n_touched):
        new = ground.matched.column_entry[room.touched[t]]
        old = ground.kept.column_entry[room.touched[t]]
        if new >= 0:
            cost += int(ground.weight[new])
        if old >= 0:
            cost -= int(ground.weight[old])
    return cost


@njit(cache=True, nogil=True)
def put_back(ground: Ground, room: Room, n_touched: int) -> None:
    """Undo all that a question changed."""
    matched, kept = ground.matched, ground.kept
    for o in range(room.n_off[0]):
        ground.table.weight[room.off[o]] = ground.weight[room.off[o]]
    room.n_off[0] = 0
    room.n_removed[0] = 0
    for t in range(n_touched):
        row = matched.column_row[room.touched[t]]
        if row >= 0:
            matched.row_column[row] = -1
    for t in range(n_touched):
        j = room.touched[t]
        row = kept.column_row[j]
        matched.column_row[j] = row
        matched.column_entry[j] = kept.column_entry[j]
        matched.price[j] = kept.price[j]
        if row >= 0:
            matched.row_column[row] = j


@njit(cache=True, nogil=True)
def radius_of(ground: Ground, links: Links, room: Room, n_touched: int, u: int, v: int) -> int:
    """Return how many candidate links away from u and v the farthest cell lies that does something else now."""
    room.clock[0] += 1
    changed = room.clock[0]  # marks what is looked for
    room.clock[0] += 1
    reached = room.clock[0]
    left = 0
    for t in range(n_touched):
        j = room.touched[t]
        new, old = ground.matched.column_entry[j], ground.kept.column_entry[j]
        if new == old:
            continue
        for x in (int(j), mother_of(ground, new), mother_of(ground, old)):
            if x >= 0 and room.hop_seen[x] != changed:
                room.hop_seen[x] = changed
                left += 1
    size = 0
    for x in (u, v):
        if room.hop_seen[x] != reached:
            left -= room.hop_seen[x] == changed
            room.hop_seen[x] = reached
            room.queue[size] = x
            size += 1
    radius = 0
    head = 0
    while left > 0 and head < size:
        radius += 1
        end = size
        for place in range(head, end):
            x = room.queue[place]
            for e in range(links.first[x], links.first[x + 1]):
                size, left = _reach(room, links.target[e], changed, reached, size, left)
            for e in range(links.into_first[x], links.into_first[x + 1]):
                size, left = _reach(room, links.source[links.into[e]], changed, reached, size, left)
        head = end
    return radius


@njit(cache=True, inline="always")
def _reach(room: Room, x: int, changed: int, reached: int, size: int, left: int) -> tuple[int, int]:
    if room.hop_seen[x] == reached:
        return size, left
    left -= room.hop_seen[x] == changed
    room.hop_seen[x] = reached
    room.queue[size] = x
    return size + 1, left


@njit(cache=True, inline="always")
def mother_of(ground: Ground, k: int) -> int:
    """Return the node whose row holds an entry, -1 where there is none."""
    return int(ground.row_of[k]) // 2 if k >= 0 else -1
