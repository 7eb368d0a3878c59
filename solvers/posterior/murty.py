"""The cheapest maps of parents in order, each once: Murty's method on maps, not on places.

Given a map p and an order of the daughters, the maps other than p fall into classes: those that agree with p on all
daughters before j and differ from it at j. The best of a class is one shortest path away from p (`residual`), so that a
class costs one search, and a map that is listed one path with its prices. Two daughters of a mother who change places
are the same map, so that none comes twice, whatever divisions cost.

References
----------
.. [1] Murty, "An algorithm for ranking all the assignments in order of increasing cost", Operations Research 1968.
.. [2] Miller, Stone & Cox, "Optimizing Murty's ranked assignment method", IEEE T-AES 1997 (prices are kept).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..augment import pop, push
from .assignment import Choices
from .residual import FAR, Held, detour, hold, room_to_search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .residual import Room
    from .undecided import Compact

    Ints = NDArray[np.int64]

NOBODY = -1


@njit(cache=True, nogil=True)
def cheapest_of(pieces: Compact, piece: int, k: int, limit: int) -> tuple[Ints, Ints]:
    """Return the cheapest maps of a piece in order, the optimum first.

    Parameters
    ----------
    pieces, piece
        Which one.
    k : int
        How many at most.
    limit : int
        What a map may cost more than the optimum, in millionths; at most `FAR`.

    Returns
    -------
    cost : (l,) int64
        What each costs more than the optimum, rising.
    option : (l, d) int64
        What each of the d daughters takes, numbered within the piece, -1 where she begins.
    """
    r0, r1 = pieces.first_daughter[piece], pieces.first_daughter[piece + 1]
    i0, i1 = pieces.first_mother[piece], pieces.first_mother[piece + 1]
    a0, a1 = pieces.first_option[r0], pieces.first_option[r1]
    first = pieces.first_option[r0 : r1 + 1] - a0
    goes_to = pieces.goes_to[a0:a1]
    into_first, into, into_daughter = _turned(first, goes_to, i1 - i0)
    choices = Choices(
        first,
        goes_to,
        pieces.cost[a0:a1],
        pieces.may_begin[r0:r1],
        pieces.one[i0:i1],
        pieces.two[i0:i1],
        into_first,
        into,
        into_daughter,
    )
    return _cheapest(choices, pieces.taken[r0:r1], pieces.price[i0:i1], pieces.outside[i0:i1], k, limit)


@njit(cache=True, nogil=True)
def _turned(first: Ints, goes_to: NDArray[np.int32], n_mothers: int) -> tuple[Ints, Ints, NDArray[np.int32]]:
    """List the options mother by mother, with their daughters."""
    begin = np.zeros(n_mothers + 1, np.int64)
    for a in range(len(goes_to)):
        begin[goes_to[a] + 1] += 1
    for i in range(n_mothers):
        begin[i + 1] += begin[i]
    free = begin.copy()
    into = np.empty(len(goes_to), np.int64)
    daughter = np.empty(len(goes_to), np.int32)
    for r in range(len(first) - 1):
        for a in range(first[r], first[r + 1]):
            into[free[goes_to[a]]] = a
            daughter[free[goes_to[a]]] = r
            free[goes_to[a]] += 1
    return begin, into, daughter


@njit(cache=True, nogil=True)
def _cheapest(choices: Choices, taken: Ints, price: Ints, outside: Ints, k: int, limit: int) -> tuple[Ints, Ints]:
    n, m = len(taken), len(price)
    held = Held(taken.copy(), price.copy(), np.empty(m, np.int64), np.empty((m, 2), np.int32))
    room = room_to_search(m, len(choices.mother))
    via = np.empty(m + 1, np.int64)
    via_daughter = np.empty(m + 1, np.int64)

    # maps that are listed: each but the first is the best of the class of `parent` that differs at `branch`
    size = 4
    option = np.empty((size, n), np.int64)
    prices = np.empty((size, m), np.int64)
    cost = np.zeros(size, np.int64)
    parent = np.full(size, NOBODY, np.int64)
    branch = np.zeros(size, np.int64)
    option[0], prices[0] = held.option, held.price
    found = 1

    # classes whose best map is known but not listed: ``map * n + daughter``
    heap_key = np.empty(16, np.int64)
    heap_item = np.empty(16, np.int64)
    waiting = 0
    while found < k:
        last = found - 1
        hold(choices, held, outside)
        for j in range(branch[last], n):
            may_begin = _bar(choices, room, option, parent, branch, last, j, True)
            more = detour(choices, held, room, j, may_begin, limit - cost[last] + 1, j + 1)
            _bar(choices, room, option, parent, branch, last, j, False)
            if more == FAR:
                continue
            if waiting == len(heap_key):
                if waiting >= 2 * (k - found) + 16:
                    waiting = k - found
                    keep = np.argsort(heap_key)[:waiting]
                    heap_key[:waiting] = heap_key[keep]
                    heap_item[:waiting] = heap_item[keep]
                    limit = min(limit, heap_key[waiting - 1])
                    if cost[last] + more > limit:
                        continue
                else:
                    heap_key = _doubled(heap_key)
                    heap_item = _doubled(heap_item)
            waiting = push(heap_key, heap_item, waiting, cost[last] + more, last * n + j)
        if not waiting:
            break
        _, item, waiting = pop(heap_key, heap_item, waiting)
        q, j = item // n, item % n
        if found == len(cost):
            option, prices = _doubled_rows(option), _doubled_rows(prices)
            cost, parent, branch = _doubled(cost), _doubled(parent), _doubled(branch)
        held.option[:], held.price[:] = option[q], prices[q]
        hold(choices, held, outside)
        may_begin = _bar(choices, room, option, parent, branch, q, j, True)
        more = _reroute(choices, held, room, via, via_daughter, j, may_begin)
        _bar(choices, room, option, parent, branch, q, j, False)
        option[found], prices[found] = held.option, held.price
        cost[found] = cost[q] + more
        parent[found] = q
        branch[found] = j
        found += 1
    return cost[:found].copy(), option[:found].copy()


@njit(cache=True, nogil=True)
def _bar(choices: Choices, room: Room, option: Ints, parent: Ints, branch: Ints, q: int, j: int, value: bool) -> bool:
    """Bar, or free again, what j takes in a map and in those that it differs from at j; return if she may begin."""
    may_begin = bool(choices.may_begin[j])
    while True:
        if option[q, j] < 0:
            may_begin = False
        else:
            room.barred[option[q, j]] = value
        if branch[q] != j or parent[q] == NOBODY:
            return may_begin
        q = parent[q]


@njit(cache=True, nogil=True)
def _doubled(values: Ints) -> Ints:
    more = np.empty(2 * len(values), values.dtype)
    more[: len(values)] = values
    return more


@njit(cache=True, nogil=True)
def _doubled_rows(values: Ints) -> Ints:
    more = np.empty((2 * len(values), values.shape[1]), values.dtype)
    more[: len(values)] = values
    return more


@njit(cache=True, nogil=True)
def _reroute(
    choices: Choices, held: Held, room: Room, via: Ints, via_daughter: Ints, daughter: int, may_begin: bool
) -> np.int64:
    """Send a daughter along the shortest path to where she is missed, move prices up to it; return what it costs.

    She has one: `detour` found it. Daughters before her stay. The sink is the node after the mothers; it is entered by
    a daughter who begins (`via_daughter`) or from a mother who keeps one more (`via`), and a mother by an option of a
    daughter or, where that is `NOBODY`, from the sink.
    """
    first, mother, cost, begins = choices.first, choices.mother, choices.cost, choices.may_begin
    one, two = choices.one, choices.two
    option, price, n_children, child = held
    distance, reached, heap_key, heap_item, clock, barred = room
    sink = len(price)
    clock[0] += 1
    now = clock[0]
    left = option[daughter]
    goal = int(mother[left]) if left >= 0 else sink
    value = cost[left] - price[goal] if left >= 0 else np.int64(0)
    size = 0
    if may_begin:
        size = _reach(room, via, via_daughter, size, sink, -value, NOBODY, daughter)
    for a in range(first[daughter], first[daughter + 1]):
        if not barred[a]:
            length = cost[a] - value - price[mother[a]]
            size = _reach(room, via, via_daughter, size, mother[a], length, a, daughter)
    whole = np.int64(FAR)
    while size > 0:
        so_far, i, size = pop(heap_key, heap_item, size)
        if so_far > distance[i]:
            continue
        if i == goal:
            whole = so_far
            break
        if i == sink:
            for c in range(sink):
                if n_children[c] > 0:
                    length = so_far - (one[c] if n_children[c] == 1 else two[c]) - price[c]
                    size = _reach(room, via, via_daughter, size, c, length, NOBODY, NOBODY)
            for r in range(daughter + 1, len(option)):
                if option[r] < 0:
                    for a in range(first[r], first[r + 1]):
                        length = so_far + cost[a] - price[mother[a]]
                        size = _reach(room, via, via_daughter, size, mother[a], length, a, r)
            continue
        if n_children[i] < 2:
            length = so_far + (one[i] if n_children[i] == 0 else two[i]) + price[i]
            size = _reach(room, via, via_daughter, size, sink, length, i, NOBODY)
        for place in range(2):
            r = child[i, place]
            if r <= daughter:
                continue
            base = so_far - cost[option[r]] + price[i]
            if begins[r]:
                size = _reach(room, via, via_daughter, size, sink, base, NOBODY, r)
            for a in range(first[r], first[r + 1]):
                size = _reach(room, via, via_daughter, size, mother[a], base + cost[a] - price[mother[a]], a, r)

    to_sink = min(distance[sink], whole) if reached[sink] == now else whole
    for c in range(sink):
        price[c] += (min(distance[c], whole) if reached[c] == now else whole) - to_sink
    i = goal
    while True:  # walk the path back to the daughter, each on it taking what she reached
        r = via_daughter[i]
        if r == NOBODY:
            i = int(via[i]) if i == sink else sink
            continue
        before = option[r]
        option[r] = via[i]  # of the sink it is NOBODY, which is what a beginning is
        if r == daughter:
            return whole
        i = int(mother[before]) if before >= 0 else sink


@njit(cache=True, nogil=True)
def _reach(
    room: Room, via: Ints, via_daughter: Ints, size: int, i: int, length: np.int64, option: int, daughter: int
) -> int:
    """Note that a node is reached, if that is the shortest way so far; return the size of the heap."""
    if room.reached[i] != room.clock[0] or length < room.distance[i]:
        room.distance[i] = length
        room.reached[i] = room.clock[0]
        via[i] = option
        via_daughter[i] = daughter
        return push(room.heap_key, room.heap_item, size, length, i)
    return size
