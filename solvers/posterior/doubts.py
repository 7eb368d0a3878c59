"""What is in doubt about mothers: entropy, margin, expected daughters; and which of them lean on the same daughters.

Two mothers are in one group if they may have a daughter in common, each more often than `TIES`: what becomes known of
one then changes the other. Where detections may be no cells, one that may have neither mother nor daughter is in one
group in both of its roles. The errors that are expected in a group are added up, as a list of questions sees them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

TIES: Final = 0.1
"""A daughter that a mother has less often than this ties her to nobody. With fewer doubts than these counted, crowded
tissue stays one group, of which a list would ask a single question."""


class Doubts(NamedTuple):
    """What is in doubt about n cells and m links of a graph.

    Parameters
    ----------
    entropy, doubt, children : (n,) float64
        Entropy in bits of what each cell does as a mother; 1 - P1 + P2 of its two likeliest outcomes; and how many
        daughters it is expected to have. 0 for cells that are not asked about.
    piece, daughter_piece : (n,) int64
        Group of each cell as a mother and as a daughter, named by its first mother; -1 where it has none.
    errors : (n,) float64
        At the name of each group: how many of its daughters are expected to have another mother than their likeliest,
        "new" being one.
    likely : (m,) float64
        Probability of each link of the graph whose mother is asked about.
    """

    entropy: NDArray[np.float64]
    doubt: NDArray[np.float64]
    children: NDArray[np.float64]
    piece: NDArray[np.int64]
    daughter_piece: NDArray[np.int64]
    errors: NDArray[np.float64]
    likely: NDArray[np.float64]

    @classmethod
    def none(cls, n: int, m: int) -> Doubts:
        """Return those of cells of which nothing is asked."""
        entropy, doubt, children, errors = np.zeros((4, n))
        piece, daughter_piece = np.full((2, n), -1)
        return cls(entropy, doubt, children, piece, daughter_piece, errors, np.zeros(m))


@njit(cache=True, nogil=True)
def judge(
    graph: ChoiceGraph,
    choice: Floats,
    least: float,
    asked: Bools,
    changed: Ints,
    mothers: Ints,
    daughters: Ints,
    into: Doubts,
    optional: bool,
) -> None:
    """Write anew what is in doubt about all cells of some groups.

    Parameters
    ----------
    graph : ChoiceGraph
        n cells.
    choice : (n + m + q,) float64
        What each mother does, as in `frontier.Weighed`.
    least : float
        Outcomes that are less likely are left aside, and the rest scaled up.
    asked : (n,) bool
        Cells that are asked about.
    changed : int64
        Rows of the mothers, among the next, who do something else than before.
    mothers, daughters : int64
        Rows of all cells of these groups, before and now, increasing.
    into : Doubts
        What is known of the others.
    optional : bool
        Whether detections may be no cells.
    """
    for u in mothers:
        into.errors[u] = 0.0
        into.piece[u] = u if asked[u] else -1
    for u in changed:
        into.entropy[u] = 0.0
        into.doubt[u] = 0.0
        into.children[u] = 0.0
        into.likely[graph.first[u] : graph.first[u + 1]] = 0.0
        if asked[u]:
            _describe(graph, choice, least, u, into)
    for v in daughters:
        into.daughter_piece[v] = -1
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            if into.likely[e] <= TIES:
                continue
            root = _root(into.piece, graph.source[e])
            if into.daughter_piece[v] < 0:
                into.daughter_piece[v] = root
            other = _root(into.piece, into.daughter_piece[v])
            into.piece[max(root, other)] = min(root, other)
    if optional:
        for v in daughters:
            if into.daughter_piece[v] >= 0 and into.piece[v] >= 0 and _is_loose(graph, choice, least, v, into.likely):
                root, other = _root(into.piece, v), _root(into.piece, into.daughter_piece[v])
                into.piece[max(root, other)] = min(root, other)
    for u in mothers:
        if into.piece[u] >= 0:
            into.piece[u] = _root(into.piece, u)
    for v in daughters:
        if into.daughter_piece[v] < 0:
            continue
        into.daughter_piece[v] = into.piece[into.daughter_piece[v]]
        best = 0.0
        new = 1.0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            p = into.likely[graph.into[k]]
            best = max(best, p)
            new -= p
        into.errors[into.daughter_piece[v]] += min(max(1.0 - max(best, new), 0.0), 1.0)


@njit(cache=True, inline="always")
def _is_loose(graph: ChoiceGraph, choice: Floats, least: float, v: int, likely: Floats) -> bool:
    """Tell whether a cell may have neither mother nor daughter."""
    new = 1.0
    for k in range(graph.into_first[v], graph.into_first[v + 1]):
        new -= likely[graph.into[k]]
    if new <= TIES:
        return False
    at = v + graph.first[v] + graph.pair_first[v]
    total = 0.0
    for o in range(at, v + 1 + graph.first[v + 1] + graph.pair_first[v + 1]):
        if choice[o] >= least:
            total += choice[o]
    return bool(choice[at] > TIES * total)


@njit(cache=True, inline="always")
def _root(piece: Ints, u: int) -> int:
    while piece[u] != u:
        u = piece[u]
    return u


@njit(cache=True, inline="always")
def _describe(graph: ChoiceGraph, choice: Floats, least: float, u: int, into: Doubts) -> None:
    begin, end = graph.first[u], graph.first[u + 1]
    at = u + begin + graph.pair_first[u]
    pair = at + 1 + end - begin
    stop = pair + graph.pair_first[u + 1] - graph.pair_first[u]
    total = 0.0
    for o in range(at, stop):
        if choice[o] >= least:
            total += choice[o]
    best = 0.0
    second = 0.0
    for o in range(at, stop):
        if choice[o] < least:
            continue
        p = choice[o] / total
        into.entropy[u] -= p * math.log2(p)
        if p > best:
            best, second = p, best
        else:
            second = max(second, p)
        if o >= pair:
            q = graph.pair_first[u] + o - pair
            into.likely[graph.pair_a[q]] += p
            into.likely[graph.pair_b[q]] += p
            into.children[u] += 2.0 * p
        elif o > at:
            into.likely[begin + o - at - 1] += p
            into.children[u] += p
    into.doubt[u] = 1.0 - best + second
