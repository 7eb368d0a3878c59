"""In which order the mothers of a piece choose, so that few daughters are open at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut, Pieces
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]


UNSEEN: Final = 0
NEAR: Final = 1
DONE: Final = 2
"""Mothers who share no open daughter, who do and may be next, and who have chosen or do not take part."""


class Sweep(NamedTuple):
    """In which order the mothers of each piece choose, and how much has to be remembered.

    Parameters
    ----------
    mother : (k,) int64
        Mothers piece by piece as in `Pieces`, now in the order of the sweep.
    width : (p,) int64
        Largest number of daughters that are open at once; more than was allowed where the piece is too wide.
    n_states : (p,) int64
        States that the sweep over a piece keeps.
    """

    mother: NDArray[np.int64]
    width: NDArray[np.int64]
    n_states: NDArray[np.int64]


def order_of_sweep(graph: ChoiceGraph, cut: Cut, pieces: Pieces, width: int) -> Sweep:
    """Return an order of each piece that keeps few daughters open, chosen greedily.

    Parameters
    ----------
    graph, cut, pieces
        What is weighed, and where it falls apart.
    width : int
        Pieces that need more are given up, their `width` then is larger.
    """
    return Sweep(*_order_pieces(graph, cut.shared, cut.tied, pieces.first, pieces.mother, width))


@njit(cache=True, nogil=True)
def _order_pieces(
    graph: ChoiceGraph, shared: Bools, tied: Bools, first: Ints, found: Ints, width: int
) -> tuple[Ints, Ints, Ints]:
    n = len(graph.state)
    mother = found.copy()
    widths = np.zeros(len(first) - 1, np.int64)
    n_states = np.zeros(len(first) - 1, np.int64)
    left = np.zeros(n, np.int64)
    mark = np.full(n, DONE, np.int8)
    is_open = np.zeros(n, np.bool_)
    near = np.empty(n, np.int64)
    for p in range(len(first) - 1):
        low, high = first[p], first[p + 1]
        if high - low == 1:
            u = mother[low]
            wide = 0
            for e in range(graph.first[u], graph.first[u + 1]):
                wide += shared[e]
            widths[p], n_states[p] = wide, 1 << min(wide, 40)
            continue
        starts = (high - 1, low)  # the mother farthest from where the search began, then that one
        best = 1 << 62
        trial = np.empty(high - low, np.int64)
        for start in starts:
            wide, states = order_piece(
                graph, shared, tied, found[low:high], start - low, width, left, mark, is_open, near, trial
            )
            if states < best:
                best = states
                widths[p], n_states[p] = wide, states
                for k in range(high - low):
                    mother[low + k] = trial[k]
            if wide <= 2:
                break
        if widths[p] > width:
            for k in range(low, high):
                mother[k] = found[k]
    return mother, widths, n_states


@inner
def order_piece(
    graph: ChoiceGraph,
    shared: Bools,
    tied: Bools,
    mothers: Ints,
    start: int,
    width: int,
    left: Ints,
    mark: NDArray[np.int8],
    is_open: Bools,
    near: Ints,
    order: Ints,
) -> tuple[int, int]:
    """Write a greedy order of one piece; return its width and states, or the width that was too much and a lot.

    Between calls, `mark` is `DONE` everywhere.
    """
    for u in mothers:
        mark[u] = UNSEEN
        is_open[u] = False
        for e in range(graph.first[u], graph.first[u + 1]):
            if shared[e]:
                left[graph.target[e]] = 0
                is_open[graph.target[e]] = False
    for u in mothers:
        for e in range(graph.first[u], graph.first[u + 1]):
            if shared[e]:
                left[graph.target[e]] += 1
    n_near = 0
    n_open = 0
    wide = 0
    states = 0
    for step in range(len(mothers)):
        best = 1 << 40
        u = -1
        at = -1
        if step == 0 and not (tied[mothers[start]] and left[mothers[start]] > 0):
            u = mothers[start]
        else:
            k = 0
            while k < n_near:
                v = near[k]
                if mark[v] == DONE:
                    n_near -= 1
                    near[k] = near[n_near]
                    continue
                if tied[v] and left[v] > 0:
                    k += 1
                    continue
                opens = 0
                closes = 1 if tied[v] else 0
                touches = 0
                for e in range(graph.first[v], graph.first[v + 1]):
                    if shared[e]:
                        d = graph.target[e]
                        if is_open[d]:
                            touches += 1
                        else:
                            opens += 1
                        if left[d] == 1 and not tied[d]:
                            closes += 1
                score = 16 * (opens - closes) + 4 * opens - touches
                if score < best:
                    best, u, at = score, v, k
                k += 1
        if u < 0:  # nothing near may choose yet: the earliest that may
            for v in mothers:
                may = mark[v] != DONE and not (tied[v] and left[v] > 0)
                if may and (u < 0 or graph.frame[v] < graph.frame[u]):
                    u = v
        elif at >= 0:
            n_near -= 1
            near[at] = near[n_near]
        mark[u] = DONE
        order[step] = u
        for e in range(graph.first[u], graph.first[u + 1]):
            d = graph.target[e]
            if shared[e] and not is_open[d]:
                is_open[d] = True
                n_open += 1
                for k in range(graph.into_first[d], graph.into_first[d + 1]):
                    v = graph.source[graph.into[k]]
                    if shared[graph.into[k]] and mark[v] == UNSEEN:
                        mark[v] = NEAR
                        near[n_near] = v
                        n_near += 1
                if tied[d] and mark[d] == UNSEEN:
                    mark[d] = NEAR
                    near[n_near] = d
                    n_near += 1
        wide = max(wide, n_open)
        if wide > width:
            for v in mothers:
                mark[v] = DONE
            return wide, 1 << 61
        states += (1 << n_open) * (2 if tied[u] else 1)
        if tied[u]:
            n_open -= 1
        for e in range(graph.first[u], graph.first[u + 1]):
            if shared[e]:
                d = graph.target[e]
                left[d] -= 1
                if left[d] == 0 and not tied[d]:
                    n_open -= 1
    return wide, states
