"""Pieces: sets of roles that no living option ties to any other, so that each may be weighed on its own.

Links that are cut still count: a role sees the far end of a cut link as a message, as if that end were on its own.
Where nothing is cut, nothing is approximate: then a link whose daughter has no other one is private to its mother, and
what the daughter does without it is a constant. So only daughters with several living links have to be remembered
while a piece is swept (`frontier`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

OPTIONAL = 0


class Messages(NamedTuple):
    """What belief propagation says along each link and each tie, as logarithms.

    Parameters
    ----------
    up : (m,) float64
        From the daughter: weight of taking the link against leaving it.
    down : (m,) float64
        From the mother, the weight of the link itself apart.
    inward, outward : (n,) float64
        Of an optional cell: all that it may do as a daughter; and as a mother, being selected included.
    """

    up: NDArray[np.float64]
    down: NDArray[np.float64]
    inward: NDArray[np.float64]
    outward: NDArray[np.float64]


class Cut(NamedTuple):
    """What of a graph is weighed together.

    Parameters
    ----------
    alive : (m,) bool
        Links that are not cut.
    tied : (n,) bool
        Optional cells whose two roles are weighed together.
    shared : (m,) bool
        Living links whose daughter has several of them, or is tied: it has to be remembered.
    take : (m,) float64
        Log weight with which the mother takes each link.
    leave : (n,) float64
        Log weight of each daughter not being taken along one of its living links.
    idle : (n,) float64
        Log weight of each mother taking nothing.
    absent : (n,) float64
        Share of `idle` that is not being selected, where the roles are not tied.
    unborn : (n,) float64
        Share of `leave` that is not being selected, where the roles are not tied.
    """

    alive: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    take: NDArray[np.float64]
    leave: NDArray[np.float64]
    idle: NDArray[np.float64]
    absent: NDArray[np.float64]
    unborn: NDArray[np.float64]


class Pieces(NamedTuple):
    """Mothers piece by piece: those of piece p are ``mother[first[p] : first[p + 1]]``, in the order of a search."""

    first: NDArray[np.int64]
    mother: NDArray[np.int64]


def no_messages(graph: ChoiceGraph) -> Messages:
    """Return messages that nobody reads, for graphs of which nothing is cut."""
    m, n = graph.n_links, graph.n_cells
    return Messages(np.zeros(m), np.zeros(m), np.zeros(n), np.zeros(n))


def cut_graph(graph: ChoiceGraph, alive: Bools, tied: Bools, messages: Messages) -> Cut:
    """Return what each role sees when some links and ties are cut.

    Parameters
    ----------
    graph : ChoiceGraph
        n cells, m links.
    alive : (m,) bool
        Links that are not cut.
    tied : (n,) bool
        Optional cells whose tie is not cut; it counts where there are living links on both sides.
    messages : Messages
        Read where something is cut.
    """
    return Cut(alive, *_views(graph, alive, tied, messages))


@njit(cache=True, inline="always")
def log_add(a: float, b: float) -> float:
    """Return the logarithm of a sum."""
    if a < b:
        a, b = b, a
    if b == -np.inf:
        return a
    return a + math.log1p(math.exp(b - a))


@njit(cache=True, nogil=True)
def _views(
    graph: ChoiceGraph, alive: Bools, wanted: Bools, messages: Messages
) -> tuple[Bools, Bools, Floats, Floats, Floats, Floats, Floats]:
    n, m = len(graph.state), len(graph.link)
    tied = np.zeros(n, np.bool_)
    shared = np.zeros(m, np.bool_)
    take = np.empty(m)
    leave = np.empty(n)
    idle = np.empty(n)
    absent = np.zeros(n)
    unborn = np.zeros(n)
    for v in range(n):
        n_in = 0
        n_out = 0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            n_in += alive[graph.into[k]]
        for e in range(graph.first[v], graph.first[v + 1]):
            n_out += alive[e]
        optional = graph.state[v] == OPTIONAL
        tied[v] = optional and wanted[v] and n_in > 0 and n_out > 0
        without = graph.new[v]
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            if not alive[e]:
                without = log_add(without, graph.link[e] + messages.down[e])
                take[e] = messages.up[e]
        leave[v] = without
        idle[v] = graph.none[v]
        if optional and not tied[v]:
            outward = graph.node[v] + graph.none[v]
            if graph.first[v] < graph.first[v + 1]:
                outward = messages.outward[v]
            inward = without if n_in == 0 else messages.inward[v]
            leave[v] = log_add(without, -outward)
            unborn[v] = math.exp(-outward - leave[v])
            idle[v] = log_add(graph.none[v], -inward - graph.node[v])
            absent[v] = math.exp(-inward - graph.node[v] - idle[v])
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            if alive[e]:
                shared[e] = tied[v] or n_in > 1
                take[e] = graph.link[e] if shared[e] else graph.link[e] - leave[v]
    return tied, shared, take, leave, idle, absent, unborn


@njit(cache=True, nogil=True)
def find_pieces(graph: ChoiceGraph, alive: Bools, tied: Bools, seeds: Ints) -> tuple[Ints, Ints]:
    """Return the mothers of the pieces that hold the seeds: `Pieces` of them, in the order of the search."""
    n = len(graph.state)
    seen = np.zeros(n, np.bool_)
    seen_daughter = np.zeros(n, np.bool_)
    first = np.empty(len(seeds) + 1, np.int64)
    mother = np.empty(n, np.int64)
    n_pieces = 0
    end = 0
    first[0] = 0
    for seed in seeds:
        if seen[seed]:
            continue
        seen[seed] = True
        at = end
        mother[end] = seed
        end += 1
        while at < end:
            u = mother[at]
            at += 1
            daughters = graph.first[u + 1] - graph.first[u]
            for k in range(daughters + 1):
                if k < daughters:
                    e = graph.first[u] + k
                    if not alive[e]:
                        continue
                    v = graph.target[e]
                elif tied[u]:
                    v = u
                else:
                    continue
                if seen_daughter[v]:
                    continue
                seen_daughter[v] = True
                if tied[v] and not seen[v]:
                    seen[v] = True
                    mother[end] = v
                    end += 1
                for q in range(graph.into_first[v], graph.into_first[v + 1]):
                    other = graph.source[graph.into[q]]
                    if alive[graph.into[q]] and not seen[other]:
                        seen[other] = True
                        mother[end] = other
                        end += 1
        n_pieces += 1
        first[n_pieces] = end
    return first[: n_pieces + 1].copy(), mother[:end].copy()
