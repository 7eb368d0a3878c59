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
from .graph import spans

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
    at, as_daughter = spans(graph.into_first, cells)
    link = graph.into[at]
    lives = cut.alive[link]
    n_in = np.bincount(as_daughter[lives], minlength=len(cells))
    out, as_mother = spans(graph.first, cells)
    n_out = np.bincount(as_mother[cut.alive[out]], minlength=len(cells))
    optional = graph.state[cells] == OPTIONAL
    tied = optional & wanted[cells] & (n_in > 0) & (n_out > 0)
    dead = link[~lives]
    without = graph.new[cells]
    np.logaddexp.at(without, as_daughter[~lives], graph.link[dead] + messages.down[dead])
    cut.tied[cells], cut.leave[cells], cut.idle[cells] = tied, without, graph.none[cells]
    cut.absent[cells] = 0.0
    cut.unborn[cells] = 0.0
    _see_untied(graph, cut, messages, cells, without, n_in, n_out, np.flatnonzero(optional & ~tied))
    cut.shared[link] = lives & (tied | (n_in > 1))[as_daughter]
    private = np.where(cut.shared[link], 0.0, cut.leave[cells][as_daughter])
    cut.take[link] = np.where(lives, graph.link[link] - private, messages.up[link])


def _see_untied(
    graph: ChoiceGraph, cut: Cut, messages: Messages, cells: Ints, without: Floats, n_in: Ints, n_out: Ints, rows: Ints
) -> None:
    """Write what optional cells see whose roles are not tied: of each role the other one is a message."""
    cells, without = cells[rows], without[rows]
    outward = np.where(n_out[rows] == 0, _outward(graph, messages, cells), messages.outward[cells])
    inward = np.where(n_in[rows] == 0, without, messages.inward[cells]) + graph.node[cells]
    cut.leave[cells] = np.logaddexp(without, -outward)
    cut.unborn[cells] = np.exp(-outward - cut.leave[cells])
    cut.idle[cells] = np.logaddexp(graph.none[cells], -inward)
    cut.absent[cells] = np.exp(-inward - cut.idle[cells])


def _outward(graph: ChoiceGraph, messages: Messages, cells: Ints) -> Floats:
    """Return all that cells may do as mothers when all their links are cut, being selected included."""
    whole = graph.none[cells]
    link, owner = spans(graph.first, cells)
    np.logaddexp.at(whole, owner, messages.up[link])
    pair, owner = spans(graph.pair_first, cells)
    a, b = graph.pair_a[pair], graph.pair_b[pair]
    np.logaddexp.at(whole, owner, messages.up[a] + messages.up[b] + graph.bond[pair])
    return np.asarray(graph.node[cells] + whole)


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
