"""Exact min-marginals: what the cheapest map with another choice costs more than the cheapest of all.

A daughter who takes another option sends her unit by way of the sink, or from mother to mother (`residual`). How far
each mother is from the sink, to and fro, is found once for all; what is left is a short search for each option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..augment import pop, push
from .assignment import AssignmentProblem, in_costs
from .parents import cheapest_parents
from .residual import FAR, Held, hold, room_to_search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .assignment import Choices
    from .parents import ParentMap
    from .residual import Room

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """What it costs to flip each choice, in millionths, 0 or more; `FAR` where it cannot be flipped.

    Parameters
    ----------
    option : (k,) int64
        Of each option: taking it if the cheapest map does not, doing without it if it does.
    begin : (n,) int64
        The same of the beginning of each cell.
    """

    option: NDArray[np.int64]
    begin: NDArray[np.int64]

    def of_answers(self, best: ParentMap) -> NDArray[np.int64]:
        """Return what it costs that each cell gives up what the cheapest map has it do, (n,)."""
        return np.where(best.option >= 0, np.append(self.option, FAR)[best.option], self.begin)


@dataclass(frozen=True, slots=True, eq=False)
class MinMarginals:
    """What it costs to flip each answer of the optimum, rows as in the problem; inf where nothing else is open.

    Parameters
    ----------
    link : (m,) float64
        Of each link: taking it if the optimum does not, doing without it if it does.
    new : (n,) float64
        The same of the beginning of each cell.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]


def gaps_of(assignment: AssignmentProblem, best: ParentMap) -> Gaps:
    """Return the exact min-marginals of all options and beginnings."""
    option, begin = _gaps(assignment.choices, best.option, best.price)
    return Gaps(option, begin)


def min_marginals(problem: TrackingProblem) -> MinMarginals:
    """Return how much the optimum is worth against flipping each of its answers, in units of cost.

    Unlike a probability they need no temperature; multiplied they mean nothing.

    Raises
    ------
    SchemaError
        If the problem chooses more than parents (`AssignmentProblem`).
    """
    assignment = AssignmentProblem.of(problem)
    gaps = gaps_of(assignment, cheapest_parents(assignment))
    link = np.full(assignment.n_links, np.inf)
    link[assignment.link] = np.where(gaps.option < FAR, in_costs(gaps.option), np.inf)
    return MinMarginals(link, np.where(gaps.begin < FAR, in_costs(gaps.begin), np.inf))


@njit(cache=True, nogil=True)
def _gaps(choices: Choices, taken: Ints, price: Ints) -> tuple[Ints, Ints]:
    n, m = len(taken), len(price)
    held = Held(taken, price, np.empty(m, np.int64), np.empty((m, 2), np.int32))
    hold(choices, held, np.zeros(m, np.int64))
    room = room_to_search(m, len(choices.mother))
    from_sink = _from_sink(choices, held, room)
    to_sink = _to_sink(choices, held, room)
    option = np.full(len(choices.mother), FAR, np.int64)
    begin = np.full(n, FAR, np.int64)
    for j in range(n):
        left = taken[j]
        least = np.int64(FAR)
        value = np.int64(0)
        missed = np.int64(0)
        if left >= 0:
            target = choices.mother[left]
            value = choices.cost[left] - price[target]
            missed = from_sink[target]
            if choices.may_begin[j]:
                begin[j] = missed - value
                least = begin[j]
        for a in range(choices.first[j], choices.first[j + 1]):
            if a == left:
                continue
            i = choices.mother[a]
            length = choices.cost[a] - value - price[i]
            option[a] = length + to_sink[i] + missed
            if left >= 0:
                option[a] = _direct(choices, held, room, i, length, target, option[a], from_sink, to_sink)
            least = min(least, option[a])
        if left >= 0:
            option[left] = least
        else:
            begin[j] = least
    return option, begin


@njit(cache=True, nogil=True)
def _from_sink(choices: Choices, held: Held, room: Room) -> Ints:
    """Return the length of the shortest path from the sink to each mother, `FAR` where there is none."""
    first, mother, cost = choices.first, choices.mother, choices.cost
    option, price, n_children, child = held
    heap_key, heap_item = room.heap_key, room.heap_item
    distance = np.full(len(price), FAR, np.int64)
    size = 0
    for i in range(len(price)):
        if n_children[i] > 0:
            distance[i] = -(choices.one[i] if n_children[i] == 1 else choices.two[i]) - price[i]
            size = push(heap_key, heap_item, size, distance[i], i)
    for r in range(len(option)):
        if option[r] < 0:
            for a in range(first[r], first[r + 1]):
                c = mother[a]
                if cost[a] - price[c] < distance[c]:
                    distance[c] = cost[a] - price[c]
                    size = push(heap_key, heap_item, size, distance[c], c)
    while size > 0:
        so_far, i, size = pop(heap_key, heap_item, size)
        if so_far > distance[i]:
            continue
        for place in range(2):
            r = child[i, place]
            if r < 0:
                continue
            base = so_far - cost[option[r]] + price[i]
            for a in range(first[r], first[r + 1]):
                c = mother[a]
                if base + cost[a] - price[c] < distance[c]:
                    distance[c] = base + cost[a] - price[c]
                    size = push(heap_key, heap_item, size, distance[c], c)
    return distance


@njit(cache=True, nogil=True)
def _to_sink(choices: Choices, held: Held, room: Room) -> Ints:
    """Return the length of the shortest path from each mother to the sink."""
    mother, cost = choices.mother, choices.cost
    option, price, n_children, child = held
    heap_key, heap_item = room.heap_key, room.heap_item
    distance = np.full(len(price), FAR, np.int64)
    size = 0
    for i in range(len(price)):
        if n_children[i] < 2:
            distance[i] = (choices.one[i] if n_children[i] == 0 else choices.two[i]) + price[i]
        for place in range(2):
            r = child[i, place]
            if r >= 0 and choices.may_begin[r]:
                distance[i] = min(distance[i], price[i] - cost[option[r]])
        if distance[i] < FAR:
            size = push(heap_key, heap_item, size, distance[i], i)
    while size > 0:
        so_far, i, size = pop(heap_key, heap_item, size)
        if so_far > distance[i]:
            continue
        for at in range(choices.into_first[i], choices.into_first[i + 1]):
            r = choices.into_daughter[at]
            if option[r] < 0:
                continue
            c = mother[option[r]]
            length = so_far + cost[choices.into[at]] - price[i] - cost[option[r]] + price[c]
            if length < distance[c]:
                distance[c] = length
                size = push(heap_key, heap_item, size, length, c)
    return distance


@njit(cache=True, nogil=True)
def _direct(
    choices: Choices,
    held: Held,
    room: Room,
    start: int,
    length: np.int64,
    target: int,
    best: np.int64,
    from_sink: Ints,
    to_sink: Ints,
) -> np.int64:
    """Return the length of the shortest path to a mother that leaves the sink aside, or `best` where none is below it.

    What lies between two mothers is at least what one is farther from the sink than the other, on either side: paths
    that cannot be below `best` by that are not followed.
    """
    first, mother, cost = choices.first, choices.mother, choices.cost
    option, price, _, child = held
    distance, reached, heap_key, heap_item, clock, _ = room
    if length + max(from_sink[target] - from_sink[start], to_sink[start] - to_sink[target]) >= best or length >= best:
        return best
    clock[0] += 1
    now = clock[0]
    distance[start] = length
    reached[start] = now
    size = push(heap_key, heap_item, 0, length, start)
    while size > 0:
        so_far, i, size = pop(heap_key, heap_item, size)
        if so_far >= best:
            break
        if so_far > distance[i]:
            continue
        for place in range(2):
            r = child[i, place]
            if r < 0:
                continue
            base = so_far - cost[option[r]] + price[i]
            for a in range(first[r], first[r + 1]):
                c = mother[a]
                further = base + cost[a] - price[c]
                if further >= best or c == i:
                    continue
                if c == target:
                    best = further
                    continue
                if further + max(from_sink[target] - from_sink[c], to_sink[c] - to_sink[target]) >= best:
                    continue
                if reached[c] != now or further < distance[c]:
                    distance[c] = further
                    reached[c] = now
                    size = push(heap_key, heap_item, size, further, c)
    return best
