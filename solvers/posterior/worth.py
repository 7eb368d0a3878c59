"""What an answer would be worth: how many errors fewer are expected once it is known what a mother does.

Her piece is swept once for each set of its shared daughters that she may take: who takes the same ones leaves the same
to the others. What else an outcome does is local: a daughter whom she takes has no other mother, and who else may have
a daughter whom she does not take is as likely as it was among themselves. Links that were cut carry nothing further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .components import search
from .trial import reset, sweep_backward, sweep_forward
from .trial_states import LOG_SUM, SUM, Tape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

LEAST_LEFT = 1e-6  # probability of a mother to leave a daughter to others: below it nobody knows who has her then


class Asked(NamedTuple):
    """Mothers that are asked about, and what each may do.

    Parameters
    ----------
    mother : (q,) int64
        Rows of the mothers.
    first : (q + 1,) int64
        Outcomes ``first[i] .. first[i + 1] - 1`` are those of mother i.
    a, b : (k,) int64
        Links of the graph that are real in each outcome, -1 for none.
    probability : (k,) float64
        Of each outcome.
    """

    mother: NDArray[np.int64]
    first: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    probability: NDArray[np.float64]


class Weighing(NamedTuple):
    """Room to weigh pieces in: a tape, and what their mothers choose, and the links that this comes to."""

    tape: Tape
    choice: NDArray[np.float64]
    absent: NDArray[np.float64]
    link: NDArray[np.float64]


@njit(cache=True, nogil=True)
def error_reductions(
    graph: ChoiceGraph, cut: Cut, link: Floats, position: Ints, asked: Asked, room: Weighing
) -> Floats:
    """Return by how many errors the answer to each question lessens those that are expected, (q,); never negative.

    sum_d (sum_o P(o) max_i P(i | o) - max_i P(i)) over daughters d, outcomes o and parents i of d, "new" among them.

    Parameters
    ----------
    graph, cut
        What is weighed together; no cell is optional.
    link : (m,) float64
        Probability of each link, for those that were cut.
    position : (n,) int64
        Order in which the mothers of each piece are swept.
    asked : Asked
        The questions.
    room : Weighing
        With a tape that holds the sweep of each piece in this order.
    """
    found = np.zeros(len(asked.mother))
    mine = np.zeros(len(graph.state), np.bool_)
    for i in range(len(asked.mother)):
        u = asked.mother[i]
        if graph.first[u] < graph.first[u + 1]:
            begin, end = asked.first[i], asked.first[i + 1]
            outcomes = asked.a[begin:end], asked.b[begin:end], asked.probability[begin:end]
            found[i] = _reduction(graph, cut, link, position, u, outcomes, room, mine)
    return found


@inner
def _reduction(
    graph: ChoiceGraph,
    cut: Cut,
    link: Floats,
    position: Ints,
    u: int,
    outcomes: tuple[Ints, Ints, Floats],
    room: Weighing,
    mine: Bools,
) -> float:
    a, b, probability = outcomes
    _, piece = search(
        graph.first, graph.target, graph.into_first, graph.into, graph.source, cut.alive, cut.tied, np.array([u])
    )
    others = piece[piece != u]
    others = others[np.argsort(position[others])]
    group, sets = _groups(graph, cut, a, b)
    daughters, first, near = _around(graph, cut, u, others)
    mine[others] = True
    lanes = np.empty((len(sets), len(near)))
    for g in range(len(sets)):
        _weigh_without(graph, cut, u, others, sets[g], room)
        for d in range(len(daughters)):
            _parents_of(graph, cut, link, room.link, u, mine, near[first[d] : first[d + 1]], lanes[g, first[d] :])
    mine[others] = False
    total = probability.sum()
    now = np.zeros(len(near))
    now_new = np.zeros(len(daughters))
    later = 0.0
    for o in range(len(a)):
        share = probability[o] / total
        for d in range(len(daughters)):
            part = slice(first[d], first[d + 1])
            later += share * _one_daughter(
                a[o], b[o], near[part], lanes[group[o], part], share, now[part], now_new[d : d + 1]
            )
    for d in range(len(daughters)):
        best = now_new[d]
        for k in range(first[d], first[d + 1]):
            best = max(best, now[k])
        later -= best
    return max(later, 0.0)


@njit(cache=True, inline="always")
def _groups(graph: ChoiceGraph, cut: Cut, a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Return which set of shared daughters each outcome takes, (k,), and these sets, (s, 2), -1 for none."""
    group = np.empty(len(a), np.int64)
    sets = np.empty((len(a), 2), np.int64)
    n = 0
    for o in range(len(a)):
        one = graph.target[a[o]] if a[o] >= 0 and cut.shared[a[o]] else -1
        two = graph.target[b[o]] if b[o] >= 0 and cut.shared[b[o]] else -1
        one, two = min(one, two), max(one, two)
        g = 0
        while g < n and not (sets[g, 0] == one and sets[g, 1] == two):
            g += 1
        if g == n:
            sets[n] = one, two
            n += 1
        group[o] = g
    return group, sets[:n]


@njit(cache=True, inline="always")
def _around(graph: ChoiceGraph, cut: Cut, u: int, others: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the daughters of a piece and all of hers, where the links into each begin, and these links."""
    seen = np.zeros(len(graph.state), np.bool_)
    size = graph.first[u + 1] - graph.first[u]
    for v in others:
        size += graph.first[v + 1] - graph.first[v]
    daughters = np.empty(size, np.int64)
    n = 0
    for e in range(graph.first[u], graph.first[u + 1]):
        seen[graph.target[e]] = True
        daughters[n] = graph.target[e]
        n += 1
    for v in others:
        for e in range(graph.first[v], graph.first[v + 1]):
            d = graph.target[e]
            if cut.alive[e] and not seen[d]:
                seen[d] = True
                daughters[n] = d
                n += 1
    first = np.zeros(n + 1, np.int64)
    for k in range(n):
        first[k + 1] = first[k] + graph.into_first[daughters[k] + 1] - graph.into_first[daughters[k]]
    near = np.empty(first[n], np.int64)
    for k in range(n):
        near[first[k] : first[k + 1]] = graph.into[graph.into_first[daughters[k]] : graph.into_first[daughters[k] + 1]]
    return daughters[:n], first, near


@inner
def _weigh_without(graph: ChoiceGraph, cut: Cut, u: int, others: Ints, taken: Ints, room: Weighing) -> None:
    """Weigh what the others of a piece do when its mother u has taken these daughters, and write their links."""
    if not len(others):
        return
    for d in taken:
        _close(graph, cut, d, True)
    reset(graph, cut, others, room.tape)
    for mode in range(SUM, LOG_SUM + 1):
        _, sure = sweep_forward(graph, cut, others, room.tape, mode)
        if sure and sweep_backward(graph, cut, others, room.tape, mode, room.choice, room.absent):
            break
    for v in others:
        _add_up(graph, room.choice, v, room.link)
    for d in taken:
        _close(graph, cut, d, False)


@njit(cache=True, inline="always")
def _close(graph: ChoiceGraph, cut: Cut, d: int, closed: bool) -> None:
    """Take away, or give back, all links into a daughter that is shared."""
    if d >= 0:
        for k in range(graph.into_first[d], graph.into_first[d + 1]):
            e = graph.into[k]
            if cut.alive[e]:
                cut.shared[e] = not closed
                cut.take[e] = -np.inf if closed else graph.link[e]


@njit(cache=True, inline="always")
def _parents_of(
    graph: ChoiceGraph, cut: Cut, whole: Floats, found: Floats, u: int, mine: Bools, near: Ints, into: Floats
) -> None:
    """Write the probability of each link into a daughter, given that the mother u does not take her."""
    left = 1.0
    weighed = True
    for e in near:
        if graph.source[e] == u:
            left = max(1.0 - whole[e], LEAST_LEFT)
            weighed = cut.shared[e]
    for k in range(len(near)):
        e = near[k]
        if graph.source[e] == u:
            into[k] = 0.0
        elif mine[graph.source[e]] and cut.alive[e]:
            into[k] = found[e] if weighed else found[e] / left
        else:
            into[k] = whole[e] / left


@njit(cache=True, inline="always")
def _one_daughter(a: int, b: int, near: Ints, p: Floats, share: float, now: Floats, new: Floats) -> float:
    """Add an outcome to the parents of a daughter, and return the probability of the likeliest given the outcome."""
    total = 0.0
    for k in range(len(near)):
        if near[k] == a or near[k] == b:
            now[k] += share
            return 1.0
        total += p[k]
    scale = 1.0 / max(total, 1.0)
    best = max(1.0 - total, 0.0)
    new[0] += share * best
    for k in range(len(near)):
        now[k] += share * p[k] * scale
        best = max(best, p[k] * scale)
    return best


@njit(cache=True, inline="always")
def _add_up(graph: ChoiceGraph, choice: Floats, u: int, link: Floats) -> None:
    """Write how often a mother takes each of her links: alone, and in pairs."""
    begin, end = graph.first[u], graph.first[u + 1]
    single = u + graph.pair_first[u] + 1
    pair = single + end
    for e in range(begin, end):
        link[e] = choice[single + e]
    for q in range(graph.pair_first[u], graph.pair_first[u + 1]):
        p = choice[pair - graph.pair_first[u] + q]
        link[graph.pair_a[q]] += p
        link[graph.pair_b[q]] += p
