"""Belief propagation where a mother takes up to two daughters: quick, exact on trees, and close where loops are long.

Each link carries two messages [1]_: from the daughter, how much she leans on this mother, beside all else that she may
be; from the mother, how much room there is, beside the other daughters that lean on her. The sum-product algorithm
of [1]_ is for one daughter a mother; with two, all that changes is the sum that the mother does. An optional cell sends
itself two more: all that it may do as a mother, O, weighs against not being there, so that a daughter has the further
way out 1/O; likewise with I, all that it may do as a daughter.

References
----------
.. [1] Williams & Lau, "Approximate evaluation of marginal association probabilities with belief propagation", IEEE
   Transactions on Aerospace and Electronic Systems 50(4), 2014.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from .components import OPTIONAL, Messages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

TOLERANCE: Final = 1e-6
"""Messages that change by less, relatively, are at rest."""

MOST_SWEEPS: Final = 2000
PATIENCE: Final = 200
"""Sweeps after which messages go only half of the way, in logarithms."""

WIDEST: Final = 150.0
"""Nats by which options of a role are told apart; beyond it they count as that much worse. 1e65 to 1 is certain."""


class Belief(NamedTuple):
    """Messages at rest, and what they say of links and cells.

    Parameters
    ----------
    messages : Messages
        Of all links and ties.
    link : (m,) float64
        Probability of each link.
    absent : (n,) float64
        Probability that an optional cell is not selected.
    converged : bool
        Whether the messages came to rest.
    sweeps : int
        After how many sweeps.
    """

    messages: Messages
    link: NDArray[np.float64]
    absent: NDArray[np.float64]
    converged: bool
    sweeps: int


def propagate(graph: ChoiceGraph, cells: Ints | None = None) -> Belief:
    """Pass messages until they rest.

    Parameters
    ----------
    graph : ChoiceGraph
        n cells, m links.
    cells : (k,) int64 or None
        Cells whose roles take part: whole pieces; all where None. What is said of others means nothing.
    """
    n, m = graph.n_cells, graph.n_links
    awake = np.ones(n, dtype=bool)
    if cells is not None:
        awake[:] = False
        awake[cells] = True
    top = graph.new.copy()
    np.maximum.at(top, graph.target, graph.link)
    at_new = np.exp(np.maximum(graph.new - top, -WIDEST))
    at_link = np.exp(np.maximum(graph.link - top[graph.target], -WIDEST))
    bond = np.exp(np.clip(graph.bond, -WIDEST, WIDEST))
    up, down = np.ones(m), np.ones(m)
    inward, outward = np.zeros(n), np.zeros(n)
    sweeps = _sweep(graph, top, at_new, at_link, bond, awake, awake.copy(), up, down, inward, outward)
    link, absent = _beliefs(graph, top, at_new, at_link, down, outward)
    messages = Messages(np.log(up), np.log(down), inward, outward)
    return Belief(messages, link, absent, sweeps < MOST_SWEEPS, sweeps)


@njit(cache=True, inline="always")
def _away(log_weight: float) -> float:
    """Return the inverse of a weight, within the range that is told apart."""
    return math.exp(min(max(-log_weight, -WIDEST), WIDEST))


@njit(cache=True)
def _most_links(graph: ChoiceGraph) -> int:
    """Return how many links the cell with most of them has, on either side."""
    most = 0
    for cell in range(len(graph.state)):
        leaving, entering = (
            graph.first[cell + 1] - graph.first[cell],
            graph.into_first[cell + 1] - graph.into_first[cell],
        )
        most = max(most, leaving, entering)
    return most


@njit(cache=True, nogil=True)
def _sweep(
    graph: ChoiceGraph,
    top: Floats,
    at_new: Floats,
    at_link: Floats,
    bond: Floats,
    daughter_awake: Bools,
    mother_awake: Bools,
    up: Floats,
    down: Floats,
    inward: Floats,
    outward: Floats,
) -> int:
    """Pass messages in turn, daughters then mothers; only roles of which a message changed are visited again.

    All in one kernel: cut into one for each role it takes nearly twice as long, as references to arrays that are
    handed on are counted.
    """
    n = len(graph.state)
    for v in range(n):
        inward[v] = graph.new[v]
        outward[v] = graph.node[v] + graph.none[v]
    share = np.empty(_most_links(graph))  # of each link of one cell
    for sweep in range(MOST_SWEEPS):
        damped = sweep >= PATIENCE
        busy = False
        for v in range(n):
            if not daughter_awake[v]:
                continue
            daughter_awake[v] = False
            begin, end = graph.into_first[v], graph.into_first[v + 1]
            optional = graph.state[v] == OPTIONAL
            for k in range(begin, end):
                share[k - begin] = at_link[graph.into[k]] * down[graph.into[k]]
            before = at_new[v] + (_away(outward[v] + top[v]) if optional else 0.0)
            for k in range(begin, end):
                others = before
                for q in range(k + 1 - begin, end - begin):
                    others += share[q]
                before += share[k - begin]
                e = graph.into[k]
                said = at_link[e] / others
                if damped:
                    said = math.sqrt(said * up[e])
                if abs(said - up[e]) > TOLERANCE * up[e]:
                    mother_awake[graph.source[e]] = True
                    busy = True
                up[e] = said
            if optional:
                whole = at_new[v]
                for k in range(end - begin):
                    whole += share[k]
                said = top[v] + math.log(whole)
                if damped:
                    said = 0.5 * (said + inward[v])
                if abs(said - inward[v]) > TOLERANCE:
                    mother_awake[v] = True
                    busy = True
                inward[v] = said
        for u in range(n):
            if not mother_awake[u]:
                continue
            mother_awake[u] = False
            begin, end = graph.first[u], graph.first[u + 1]
            if begin == end:
                continue
            low, high = graph.pair_first[u], graph.pair_first[u + 1]
            optional = graph.state[u] == OPTIONAL
            none = math.exp(min(max(graph.none[u], -WIDEST), WIDEST))
            idle = none + (_away(inward[u] + graph.node[u]) if optional else 0.0)
            one = 0.0
            for e in range(begin, end):
                one += up[e]
                share[e - begin] = 0.0  # what another daughter adds to it
            two = 0.0
            for q in range(low, high):
                a, b = graph.pair_a[q], graph.pair_b[q]
                with_a, with_b = bond[q] * up[a], bond[q] * up[b]
                two += with_a * up[b]
                share[a - begin] += with_b
                share[b - begin] += with_a
            total = idle + one + two
            for e in range(begin, end):
                with_another = share[e - begin]
                without = total - up[e] * (1.0 + with_another)
                if without < 1e-6 * total:  # too little is left of the difference to be exact
                    without = idle
                    for other in range(begin, end):
                        if other != e:
                            without += up[other]
                    for q in range(low, high):
                        if graph.pair_a[q] != e and graph.pair_b[q] != e:
                            without += bond[q] * up[graph.pair_a[q]] * up[graph.pair_b[q]]
                said = (1.0 + with_another) / without
                if damped:
                    said = math.sqrt(said * down[e])
                if abs(said - down[e]) > TOLERANCE * down[e]:
                    daughter_awake[graph.target[e]] = True
                    busy = True
                down[e] = said
            if optional:
                said = graph.node[u] + math.log(none + one + two)
                if damped:
                    said = 0.5 * (said + outward[u])
                if abs(said - outward[u]) > TOLERANCE:
                    daughter_awake[u] = True
                    busy = True
                outward[u] = said
        if not busy:
            return sweep
    return MOST_SWEEPS


def _beliefs(
    graph: ChoiceGraph, top: Floats, at_new: Floats, at_link: Floats, down: Floats, outward: Floats
) -> tuple[Floats, Floats]:
    """Return what messages say of each link, and of not being selected."""
    optional = graph.state == OPTIONAL
    out = np.where(optional, np.exp(np.clip(-outward - top, -WIDEST, WIDEST)), 0.0)
    total = at_new + out
    np.add.at(total, graph.target, at_link * down)
    absent = np.where(graph.state >= OPTIONAL, out / total, 1.0)
    return at_link * down / total[graph.target], absent
