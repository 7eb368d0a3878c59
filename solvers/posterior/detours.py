"""Detours: the cheapest matching with a link, or a cell, flipped; for many of them one after the other.

A flip rules entries of the matching out, or takes a row and a column away for the link that is forced in. What loses
its place goes on by shortest augmenting paths (`augment`). Their search grows outward in reduced costs: prices bound it
from below, the path that it finds bounds it from above, until both meet. Then everything is put back.

A matching may break a coupling within a cell: left out, it still divides. Then the flip is asked twice more, once with
the cell not left out and once with no second child, and so on until the cheapest answer breaks nothing. Where a cell
gains by dividing, so that it does without a first child, the first of both questions is: with a first child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ..matching import LOOP
from .ground import (
    LINK,
    MUST,
    NEVER,
    NEW,
    OFF,
    PRESENT,
    difference,
    mother_of,
    put_back,
    radius_of,
    restored,
    rule_out,
    rule_out_row,
    take_away,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .ground import Ground, Links, Room

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Bools = NDArray[np.bool_]

KEPT_IN: Final = 0
ONE_CHILD: Final = 1
FIRST_CHILD: Final = 2
"""What a question demands of a cell: not left out, no second child, a first child."""

MOST_QUESTIONS: Final = 63
"""Questions that one flip may lead to."""

MOST_DEMANDS: Final = 12
"""Cells of which one question may demand something."""


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
        cost = difference(ground, room, n_touched)
        if row >= 0:
            cost += int(links.cost[item] if kind == LINK else links.cost_absent[v])
        meets_near = _meets_near(ground, room, n_touched) or ground.near[u] or ground.near[v]
        broken = -1
        lonely = False
        if feasible and not meets_near and cost < best:
            broken, lonely = _broken(ground, room, n_touched, row)
            if broken < 0:
                best = cost
                radius = radius_of(ground, links, room, n_touched, u, v)
        put_back(ground, room, n_touched)
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
def _rule_out_flip(ground: Ground, links: Links, room: Room, kind: int, item: int, row: int, column: int) -> None:
    """Rule out what the flip does not allow."""
    by = ground.by_column
    if row >= 0:
        rule_out_row(ground, room, row)
        if kind == PRESENT:
            rule_out_row(ground, room, row + 1)  # who is left out has no second child
        for place in range(by.indptr[column], by.indptr[column + 1]):
            rule_out(ground, room, by.entry[place])
        return
    v = links.target[item] if kind == LINK else item
    for place in range(by.indptr[v], by.indptr[v + 1]):
        k = by.entry[place]
        if kind == NEW or ground.edge[k] == (item if kind == LINK else LOOP):
            rule_out(ground, room, k)


@njit(cache=True, nogil=True)
def _rule_out_demand(ground: Ground, room: Room, x: int, demand: int) -> None:
    if demand == ONE_CHILD:
        rule_out_row(ground, room, 2 * x + 1)
        return
    for k in range(ground.table.indptr[2 * x], ground.table.indptr[2 * x + 1]):
        if ground.edge[k] == LOOP:
            rule_out(ground, room, k)
    if demand == FIRST_CHILD:
        take_away(room, 2 * x)


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
    n_touched = restored(ground, room)
    feasible = True
    for d in range(n_demands):
        if demand[d] == FIRST_CHILD:
            feasible = feasible and matched.row_column[2 * cell[d]] >= 0
    return n_touched, feasible


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
            mother_of(ground, ground.matched.column_entry[j]),
            mother_of(ground, ground.kept.column_entry[j]),
        ):
            if x < 0 or ground.matched.row_column[2 * x + 1] < 0 or 2 * x == forced_row:
                continue
            first = ground.matched.row_column[2 * x]
            if first == x and ground.edge[ground.matched.column_entry[x]] == LOOP:
                return x, False
            if first < 0 and ground.gains[x]:
                return x, True
    return -1, False
