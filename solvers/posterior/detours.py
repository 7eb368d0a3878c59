"""Detours: the cheapest matching with a link, or a cell, flipped; for many of them one after the other.

A flip rules entries of the matching out, or takes a row and a column away for the link that is forced in. What loses
its place goes on by shortest augmenting paths (`augment`). Their search grows outward in reduced costs: prices bound it
from below, the path that it finds bounds it from above, until both meet. Then everything is put back.

A matching may break a coupling within a cell: left out, it still divides. Then the flip is asked twice more, once with
the cell not left out and once with no second child, and so on until the cheapest answer breaks nothing. Where a cell
gains by dividing, so that it does without a first child, the first of both questions is: with a first child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..augment import ByColumn, Matched, Search, Table, insert, refill, room_to_search
from ..matching import LOOP

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

KEPT_IN: Final = 0
ONE_CHILD: Final = 1
FIRST_CHILD: Final = 2
"""What a question demands of a cell: not left out, no second child, a first child."""

MOST_QUESTIONS: Final = 63
"""Questions that one flip may lead to."""

MOST_DEMANDS: Final = 12
"""Cells of which one question may demand something."""


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
def flip_each(ground: Ground, links: Links, room: Room, kind: Ints, item: Ints) -> tuple[Ints, Ints, Ints32]:
    """Flip links and cells, each alone.

    Parameters
    ----------
    ground, links, room
        The matching, the candidates, and scratch space.
    kind : (q,) int64
        `LINK`; `NEW`, with the cell not new now; or `PRESENT`.
    item : (q,) int64
        Edge on the grid, or node.

    Returns
    -------
    lower, upper : (q,) int64
        Between what bounds the cheapest selection costs more; `NEVER` where there is none.
    radius : (q,) int32
        How many candidate links away from the ends of the flip the farthest change lies; -1 where the flip touches
        what is `near`: then nothing is known but that the bounds are 0 and `NEVER`.
    """
    lower = np.zeros(len(kind), np.int64)
    upper = np.full(len(kind), np.int64(NEVER))
    radius = np.full(len(kind), -1, np.int32)
    for q in range(len(kind)):
        u = v = item[q]
        row = column = -1
        if kind[q] == LINK:
            u, v = int(links.source[item[q]]), int(links.target[item[q]])
            if not links.edge[item[q]]:
                row, column = 2 * u, v
        elif kind[q] == PRESENT and links.node[v]:
            row, column = 2 * v, v
        impossible = links.pinned[u] < 0 or links.pinned[v] < 0
        impossible = impossible or (kind[q] == PRESENT and links.pinned[v] != 0)
        if impossible:
            lower[q] = NEVER
            radius[q] = 0
        else:
            lower[q], upper[q], radius[q] = _flip(ground, links, room, kind[q], item[q], row, column, u, v)
    return lower, upper, radius


@njit(cache=True, nogil=True)
def _flip(
    ground: Ground, links: Links, room: Room, kind: int, item: int, row: int, column: int, u: int, v: int
) -> tuple[int, int, int]:
    """Ask one question after the other until none could be cheaper; lower bound, upper bound and radius."""
    cell = np.empty((MOST_QUESTIONS + 2, MOST_DEMANDS), np.int64)
    demand = np.empty((MOST_QUESTIONS + 2, MOST_DEMANDS), np.int64)
    n_demands = np.zeros(MOST_QUESTIONS + 2, np.int64)
    least = np.zeros(MOST_QUESTIONS + 2, np.int64)  # what each question costs at least
    waiting = 1
    best = NEVER
    lower = NEVER  # of the questions that were given up
    radius = 0
    asked = 0
    while waiting > 0:
        waiting -= 1
        if least[waiting] >= best:
            continue
        if asked == MOST_QUESTIONS or n_demands[waiting] == MOST_DEMANDS:
            lower = min(lower, int(least[waiting]))
            continue
        asked += 1
        _rule_out_flip(ground, links, room, kind, item, row, column)
        for d in range(n_demands[waiting]):
            _rule_out_demand(ground, room, cell[waiting, d], demand[waiting, d])
        n_touched, feasible = _restore_optimum(ground, room, cell[waiting], demand[waiting], n_demands[waiting])
        cost = _difference(ground, room, n_touched)
        if row >= 0:
            cost += int(links.cost[item] if kind == LINK else links.cost_absent[v])
        meets_near = _meets_near(ground, room, n_touched) or ground.near[u] or ground.near[v]
        broken = -1
        lonely = False
        if feasible and not meets_near and cost < best:
            broken, lonely = _broken(ground, room, n_touched, row)
            if broken < 0:
                best = cost
                radius = _radius(ground, links, room, n_touched, u, v)
        _put_back(ground, room, n_touched)
        if meets_near:
            return 0, NEVER, -1
        if broken >= 0:
            here = n_demands[waiting]
            cell[waiting + 1, :here] = cell[waiting, :here]
            demand[waiting + 1, :here] = demand[waiting, :here]
            for branch in range(2):
                cell[waiting + branch, here] = broken
                least[waiting + branch] = cost
                n_demands[waiting + branch] = here + 1
            demand[waiting, here] = FIRST_CHILD if lonely else KEPT_IN
            demand[waiting + 1, here] = ONE_CHILD
            waiting += 2
    return min(lower, best), best, radius


@njit(cache=True, nogil=True)
def _rule_out(ground: Ground, room: Room, k: int) -> None:
    """Rule an entry out, and take its row away if it was used."""
    if ground.table.weight[k] == OFF:
        return
    ground.table.weight[k] = OFF
    room.off[room.n_off[0]] = k
    room.n_off[0] += 1
    if ground.matched.column_entry[ground.table.column[k]] == k:
        _take_away(room, ground.row_of[k])


@njit(cache=True, nogil=True)
def _take_away(room: Room, row: int) -> None:
    if not room.absent[row]:
        room.absent[row] = True
        room.removed[room.n_removed[0]] = row
        room.n_removed[0] += 1


@njit(cache=True, nogil=True)
def _rule_out_row(ground: Ground, room: Room, row: int) -> None:
    for k in range(ground.table.indptr[row], ground.table.indptr[row + 1]):
        _rule_out(ground, room, k)


@njit(cache=True, nogil=True)
def _rule_out_flip(ground: Ground, links: Links, room: Room, kind: int, item: int, row: int, column: int) -> None:
    """Rule out what the flip does not allow."""
    by = ground.by_column
    if row >= 0:
        _rule_out_row(ground, room, row)
        if kind == PRESENT:
            _rule_out_row(ground, room, row + 1)  # who is left out has no second child
        for place in range(by.indptr[column], by.indptr[column + 1]):
            _rule_out(ground, room, by.entry[place])
        return
    v = links.target[item] if kind == LINK else item
    for place in range(by.indptr[v], by.indptr[v + 1]):
        k = by.entry[place]
        if kind == NEW or ground.edge[k] == (item if kind == LINK else LOOP):
            _rule_out(ground, room, k)


@njit(cache=True, nogil=True)
def _rule_out_demand(ground: Ground, room: Room, x: int, demand: int) -> None:
    if demand == ONE_CHILD:
        _rule_out_row(ground, room, 2 * x + 1)
        return
    for k in range(ground.table.indptr[2 * x], ground.table.indptr[2 * x + 1]):
        if ground.edge[k] == LOOP:
            _rule_out(ground, room, k)
    if demand == FIRST_CHILD:
        _take_away(room, 2 * x)


@njit(cache=True, nogil=True)
def _restore_optimum(ground: Ground, room: Room, cell: Ints, demand: Ints, n_demands: int) -> tuple[int, bool]:
    """Find the cheapest matching again; how many columns are touched, and whether every demand is met."""
    table, matched = ground.table, ground.matched
    for d in range(n_demands):
        if demand[d] == FIRST_CHILD:
            for k in range(table.indptr[2 * cell[d]], table.indptr[2 * cell[d] + 1]):
                if table.weight[k] != OFF:
                    table.weight[k] = ground.weight[k] - MUST
                    room.off[room.n_off[0]] = k
                    room.n_off[0] += 1
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
    feasible = True
    for d in range(n_demands):
        if demand[d] == FIRST_CHILD:
            feasible = feasible and matched.row_column[2 * cell[d]] >= 0
    return n_touched, feasible


@njit(cache=True, inline="always")
def _touch(room: Room, n_touched: int, column: int) -> int:
    if room.seen[column] == room.clock[0]:
        return n_touched
    room.seen[column] = room.clock[0]
    room.touched[n_touched] = column
    return n_touched + 1


@njit(cache=True, nogil=True)
def _difference(ground: Ground, room: Room, n_touched: int) -> int:
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
def _meets_near(ground: Ground, room: Room, n_touched: int) -> bool:
    """Return whether something was looked at that is near to where the selection is not that of the matching."""
    for r in range(room.n_removed[0]):
        if ground.near[room.removed[r] // 2]:
            return True
    for t in range(n_touched):
        j = room.touched[t]
        if ground.near[j]:
            return True
        for k in (ground.matched.column_entry[j], ground.kept.column_entry[j]):
            if k >= 0 and ground.near[ground.row_of[k] // 2]:
                return True
    return False


@njit(cache=True, nogil=True)
def _broken(ground: Ground, room: Room, n_touched: int, forced_row: int) -> tuple[int, bool]:
    """Return a cell that divides and is left out, or has no first child and gains by that; and which of both."""
    for t in range(n_touched):
        j = room.touched[t]
        for x in (
            int(j),
            _mother(ground, ground.matched.column_entry[j]),
            _mother(ground, ground.kept.column_entry[j]),
        ):
            if x < 0 or ground.matched.row_column[2 * x + 1] < 0 or 2 * x == forced_row:
                continue
            first = ground.matched.row_column[2 * x]
            if first == x and ground.edge[ground.matched.column_entry[x]] == LOOP:
                return x, False
            if first < 0 and ground.gains[x]:
                return x, True
    return -1, False


@njit(cache=True, inline="always")
def _mother(ground: Ground, k: int) -> int:
    return int(ground.row_of[k]) // 2 if k >= 0 else -1


@njit(cache=True, nogil=True)
def _radius(ground: Ground, links: Links, room: Room, n_touched: int, u: int, v: int) -> int:
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
        for x in (int(j), _mother(ground, new), _mother(ground, old)):
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


@njit(cache=True, nogil=True)
def _put_back(ground: Ground, room: Room, n_touched: int) -> None:
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
