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

from ..inner import inner

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
    n, m = graph.n_cells, graph.n_links
    per_cell = [np.zeros(n) for _ in range(4)]
    cut = Cut(alive, np.zeros(n, np.bool_), np.zeros(m, np.bool_), np.empty(m), *per_cell)
    see(graph, cut, tied, messages, np.arange(n))
    return cut


@inner
def log_add(a: float, b: float) -> float:
    """Return the logarithm of a sum."""
    if a < b:
        a, b = b, a
    if b == -np.inf:
        return a
    return a + math.log1p(math.exp(b - a))


@njit(cache=True, nogil=True)
def see(graph: ChoiceGraph, cut: Cut, wanted: Bools, messages: Messages, cells: Ints) -> None:
    """Write what some cells see in both roles, given the links of a cut that live.

    Parameters
    ----------
    graph, cut, messages
        As in `cut_graph`; all of the cut but `alive` is written, for the cells and the links into them.
    wanted : (n,) bool
        Cells whose tie is not cut.
    cells : (k,) int64
        Who looks, each once.
    """
    for v in cells:
        without = graph.new[v]
        n_in, n_out = 0, 0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            if cut.alive[e]:
                n_in += 1
            else:
                without = log_add(without, graph.link[e] + messages.down[e])
        for e in range(graph.first[v], graph.first[v + 1]):
            n_out += cut.alive[e]
        optional = graph.state[v] == OPTIONAL
        tied = bool(optional and wanted[v] and n_in > 0 and n_out > 0)
        cut.tied[v], cut.leave[v], cut.idle[v] = tied, without, graph.none[v]
        cut.absent[v], cut.unborn[v] = 0.0, 0.0
        if optional and not tied:
            _see_untied(graph, cut, messages, v, n_in, n_out)
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            cut.shared[e] = cut.alive[e] and (tied or n_in > 1)
            private = 0.0 if cut.shared[e] else cut.leave[v]
            cut.take[e] = graph.link[e] - private if cut.alive[e] else messages.up[e]


@inner
def _see_untied(graph: ChoiceGraph, cut: Cut, messages: Messages, v: int, n_in: int, n_out: int) -> None:
    """Write what an optional cell sees whose roles are not tied: of each role the other one is a message."""
    without = cut.leave[v]
    outward = messages.outward[v] if n_out > 0 else _outward(graph, messages, v)
    inward = (messages.inward[v] if n_in > 0 else without) + graph.node[v]
    cut.leave[v] = log_add(without, -outward)
    cut.unborn[v] = math.exp(-outward - cut.leave[v])
    cut.idle[v] = log_add(graph.none[v], -inward)
    cut.absent[v] = math.exp(-inward - cut.idle[v])


@inner
def _outward(graph: ChoiceGraph, messages: Messages, v: int) -> float:
    """Return all that a cell may do as a mother when all its links are cut, being selected included."""
    whole = graph.none[v]
    for e in range(graph.first[v], graph.first[v + 1]):
        whole = log_add(whole, messages.up[e])
    for q in range(graph.pair_first[v], graph.pair_first[v + 1]):
        whole = log_add(whole, messages.up[graph.pair_a[q]] + messages.up[graph.pair_b[q]] + graph.bond[q])
    return float(graph.node[v] + whole)


def find_pieces(graph: ChoiceGraph, alive: Bools, tied: Bools, seeds: Ints) -> Pieces:
    """Return the mothers of the pieces that hold the seeds, in the order of the search."""
    return Pieces(*search(graph.first, graph.target, graph.into_first, graph.into, graph.source, alive, tied, seeds))


@njit(cache=True, nogil=True)
def search(
    first: Ints, target: Ints, into_first: Ints, into: Ints, source: Ints, alive: Bools, tied: Bools, seeds: Ints
) -> tuple[Ints, Ints]:
    """Return the mothers of the pieces that hold the seeds, as `find_pieces`, breadth first."""
    n = len(tied)
    seen = np.zeros(n, np.bool_)
    seen_daughter = np.zeros(n, np.bool_)
    piece_first = np.empty(len(seeds) + 1, np.int64)
    mother = np.empty(n, np.int64)
    n_pieces = 0
    end = 0
    piece_first[0] = 0
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
            daughters = first[u + 1] - first[u]
            for k in range(daughters + 1):
                if k < daughters:
                    e = first[u] + k
                    if not alive[e]:
                        continue
                    v = target[e]
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
                for q in range(into_first[v], into_first[v + 1]):
                    other = source[into[q]]
                    if alive[into[q]] and not seen[other]:
                        seen[other] = True
                        mother[end] = other
                        end += 1
        n_pieces += 1
        piece_first[n_pieces] = end
    return piece_first[: n_pieces + 1].copy(), mother[:end].copy()
