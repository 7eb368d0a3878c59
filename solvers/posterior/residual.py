"""What a map of parents costs when one daughter chooses otherwise: a shortest path among mothers and a sink.

A cheapest map is a cheapest flow: a unit from each daughter to her mother and on to the sink, or to the sink at once
where she begins. A daughter who leaves mother i sends her unit along a path that ends where her old one is missed, at i
or, if she had none, at the sink. Mothers are the nodes; with the price y and ``v_r = cost of her option - y`` of a
daughter r (0 where she begins), the steps and what they change are

    i -> i'    a daughter r of i moves to i'      cost - v_r - y_i'
    i -> sink  r begins, or i keeps one more      -v_r,    g_(k+1) + y_i
    sink -> i  a beginning r moves to i           cost - y_i
    sink -> i  i goes on with one less            -g_k - y_i

None is negative, and all are whole numbers. A path by way of the sink is two paths that know nothing of each other, so
that each search stays near its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..augment import pop, push

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .assignment import Choices

    Ints = NDArray[np.int64]

FAR: Final = 1 << 62
"""More than any path costs."""


class Held(NamedTuple):
    """A map in the making: option of each daughter, price and number of children of each mother, her daughters here.

    `n_children` counts also daughters who are no part of the choices; of `child`, at most two, -1 is nobody.
    """

    option: NDArray[np.int64]
    price: NDArray[np.int64]
    n_children: NDArray[np.int64]
    child: NDArray[np.int32]


class Room(NamedTuple):
    """What searches write on."""

    distance: NDArray[np.int64]
    reached: NDArray[np.int64]
    heap_key: NDArray[np.int64]
    heap_item: NDArray[np.int32]
    clock: NDArray[np.int64]
    barred: NDArray[np.bool_]


@njit(cache=True, nogil=True)
def room_to_search(n_mothers: int, n_options: int) -> Room:
    """Return scratch space; no option is barred."""
    return Room(
        np.zeros(n_mothers + 1, np.int64),
        np.zeros(n_mothers + 1, np.int64),
        np.empty(n_options + 4 * n_mothers + 4, np.int64),
        np.empty(n_options + 4 * n_mothers + 4, np.int32),
        np.zeros(1, np.int64),
        np.zeros(n_options, np.bool_),
    )


@njit(cache=True, nogil=True)
def hold(choices: Choices, held: Held, outside: Ints) -> None:
    """Count the children that a map gives each mother, beside those that she has outside of it."""
    option, _, n_children, child = held
    child[:] = -1
    n_children[:] = outside
    for r in range(len(option)):
        if option[r] >= 0:
            i = choices.mother[option[r]]
            child[i, 0 if child[i, 0] < 0 else 1] = r
            n_children[i] += 1


@njit(cache=True, nogil=True)
def detour(choices: Choices, held: Held, room: Room, daughter: int, may_begin: bool, below: int, free: int) -> np.int64:
    """Return what it costs that a daughter gives up her option, `FAR` where that is not below a bound.

    Parameters
    ----------
    choices, held, room
        A cheapest map and scratch space.
    daughter : int
        Who chooses otherwise.
    may_begin : bool
        Whether she may begin instead, beside the options that are not barred.
    below : int
        Bound, at most `FAR`.
    free : int
        Daughters from this one on may move over for her; those before stay.
    """
    first, mother, cost, begins = choices.first, choices.mother, choices.cost, choices.may_begin
    one, two = choices.one, choices.two
    option, price, n_children, child = held
    distance, reached, heap_key, heap_item, clock, barred = room
    clock[0] += 1
    now = clock[0]
    left = option[daughter]
    target = -1
    dropping = np.int64(0)
    value = np.int64(0)
    best = np.int64(below)
    if left >= 0:
        target = mother[left]
        value = cost[left] - price[target]
        dropping = -(one[target] if n_children[target] == 1 else two[target]) - price[target]
    sink = np.int64(FAR)
    size = 0
    if may_begin:
        sink = -value
        best = min(best, sink + dropping)
    for a in range(first[daughter], first[daughter + 1]):
        i = mother[a]
        length = cost[a] - value - price[i]
        if a != left and not barred[a] and length < best:
            distance[i] = length
            reached[i] = now
            size = push(heap_key, heap_item, size, length, i)

    while size > 0:
        so_far, i, size = pop(heap_key, heap_item, size)
        if so_far >= best:
            break
        if so_far > distance[i]:
            continue
        if n_children[i] < 2:
            length = so_far + (one[i] if n_children[i] == 0 else two[i]) + price[i]
            if length < sink:
                sink = length
                best = min(best, sink + dropping)
        for place in range(2):
            r = child[i, place]
            if r < free:
                continue
            base = so_far - cost[option[r]] + price[i]
            if begins[r] and base < sink:
                sink = base
                best = min(best, sink + dropping)
            for a in range(first[r], first[r + 1]):
                c = mother[a]
                length = base + cost[a] - price[c]
                if length >= best or c == i:
                    continue
                if c == target:
                    best = length
                elif reached[c] != now or length < distance[c]:
                    distance[c] = length
                    reached[c] = now
                    size = push(heap_key, heap_item, size, length, c)

    if target >= 0 and sink < best:
        best = sink + _from_sink(choices, held, room, target, min(dropping, best - sink), free)
    return best if best < below else np.int64(FAR)


@njit(cache=True, nogil=True)
def _from_sink(choices: Choices, held: Held, room: Room, target: int, best: np.int64, free: int) -> np.int64:
    """Return the shortest way from the sink to a mother, or `best` where it is not below that."""
    mother, cost, one, two = choices.mother, choices.cost, choices.one, choices.two
    into_first, into, into_daughter = choices.into_first, choices.into, choices.into_daughter
    option, price, n_children, _ = held
    distance, reached, heap_key, heap_item, clock, _ = room
    clock[0] += 1
    now = clock[0]
    distance[target] = 0
    reached[target] = now
    size = push(heap_key, heap_item, 0, np.int64(0), target)
    while size > 0:
        so_far, i, size = pop(heap_key, heap_item, size)
        if so_far >= best:
            break
        if so_far > distance[i]:
            continue
        if n_children[i] > 0:
            best = min(best, so_far - (one[i] if n_children[i] == 1 else two[i]) - price[i])
        for at in range(into_first[i], into_first[i + 1]):
            r = into_daughter[at]
            a = into[at]
            if r < free or option[r] == a:
                continue
            length = so_far + cost[a] - price[i]
            if option[r] < 0:
                best = min(best, length)
                continue
            c = mother[option[r]]
            length -= cost[option[r]] - price[c]
            if length < best and (reached[c] != now or length < distance[c]):
                distance[c] = length
                reached[c] = now
                size = push(heap_key, heap_item, size, length, c)
    return best
