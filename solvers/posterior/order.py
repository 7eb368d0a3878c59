"""In which order the mothers of a piece choose, so that few daughters are open at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .graph import spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut, Pieces
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


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


class Ties(NamedTuple):
    """Which mothers, by their place in L, share which of D daughters that are remembered.

    Parameters
    ----------
    first : (p + 1,) int64
        Mothers ``first[k] .. first[k + 1] - 1`` are those of piece k.
    daughter_first, daughter : (L + 1,), (s,) int64
        Daughters of each mother.
    mother_first, mother : (D + 1,), (s,) int64
        Mothers of each daughter.
    own : (L,) int64
        The mother herself as a daughter, -1 where her roles are not tied.
    owner : (D,) int64
        The same the other way round.
    frame : (L,) int64
        Frame of each mother.
    """

    first: NDArray[np.int64]
    daughter_first: NDArray[np.int64]
    daughter: NDArray[np.int64]
    mother_first: NDArray[np.int64]
    mother: NDArray[np.int64]
    own: NDArray[np.int64]
    owner: NDArray[np.int64]
    frame: NDArray[np.int64]


def order_of_sweep(graph: ChoiceGraph, cut: Cut, pieces: Pieces, width: int) -> Sweep:
    """Return an order of each piece that keeps few daughters open, chosen greedily.

    Parameters
    ----------
    graph, cut, pieces
        What is weighed, and where it falls apart.
    width : int
        Pieces that need more are given up, their `width` then is larger.
    """
    link, step = spans(graph.first, pieces.mother)
    shared = cut.shared[link]
    return ordered(graph, pieces, link[shared], step[shared], cut.tied[pieces.mother], width)


def ordered(graph: ChoiceGraph, pieces: Pieces, link: Ints, step: Ints, tied: Bools, width: int) -> Sweep:
    """Order pieces whose mothers, by their place, share daughters along these links; one of two pieces is two."""
    ties = _ties(graph, pieces, link, step, tied)
    order, widths, n_states = _order_pieces(ties, width)
    return Sweep(pieces.mother[order], widths, n_states)


def _ties(graph: ChoiceGraph, pieces: Pieces, link: Ints, step: Ints, tied: Bools) -> Ties:
    n_mothers = len(pieces.mother)
    piece = np.repeat(np.arange(len(pieces.first) - 1), np.diff(pieces.first))
    found, daughter = np.unique(piece[step] * graph.n_cells + graph.target[link], return_inverse=True)
    own, owner = np.full(n_mothers, -1), np.full(len(found), -1)
    at = np.flatnonzero(tied)
    own[at] = np.searchsorted(found, piece[at] * graph.n_cells + pieces.mother[at])
    owner[own[at]] = at
    into = np.lexsort((link, daughter))
    return Ties(
        first=pieces.first,
        daughter_first=np.searchsorted(step, np.arange(n_mothers + 1)),
        daughter=daughter,
        mother_first=np.searchsorted(daughter[into], np.arange(len(found) + 1)),
        mother=step[into],
        own=own,
        owner=owner,
        frame=graph.frame[pieces.mother],
    )


class _Desk(NamedTuple):
    """What ordering a piece writes on: mothers to come of each daughter, whether she is open, and where mothers are."""

    left: NDArray[np.int64]
    is_open: NDArray[np.bool_]
    mark: NDArray[np.int8]
    near: NDArray[np.int64]


QUICK: Final = 6
"""A piece of no more open daughters is swept sooner than ordered anew."""


def keep_order(graph: ChoiceGraph, cut: Cut, pieces: Pieces, position: Ints, width: int) -> Sweep:
    """Return a sweep in which pieces keep an earlier order of their mothers, unless a new one is worth its while.

    Where options were taken away, the order of before is one still, and no wider than it was. A new one is looked for
    where some piece is wider than `QUICK`, and taken by the pieces for which it needs less memory.

    Parameters
    ----------
    graph, cut, pieces
        What is weighed, and where it falls apart.
    position : (n,) int64
        Place of each mother in the earlier order.
    width : int
        As in `order_of_sweep`.
    """
    before = earlier_order(graph, cut, pieces, position)
    if before.width.max(initial=0) <= QUICK:
        return before
    anew = order_of_sweep(graph, cut, pieces, width)
    piece = _piece_of_each(pieces)
    less = anew.n_states <= before.n_states
    return Sweep(
        np.where(less[piece], anew.mother, before.mother),
        np.where(less, anew.width, before.width),
        np.where(less, anew.n_states, before.n_states),
    )


def earlier_order(graph: ChoiceGraph, cut: Cut, pieces: Pieces, position: Ints) -> Sweep:
    """Return the sweep in which the mothers of each piece come as they did earlier; as `keep_order`."""
    mother = pieces.mother[np.lexsort((position[pieces.mother], _piece_of_each(pieces)))]
    return Sweep(mother, *_states_of(graph.first, graph.target, cut.shared, cut.tied, pieces.first, mother))


def _piece_of_each(pieces: Pieces) -> Ints:
    return np.repeat(np.arange(len(pieces.first) - 1), pieces.first[1:] - pieces.first[:-1])


@njit(cache=True, nogil=True)
def _states_of(
    first: Ints, target: Ints, shared: Bools, tied: Bools, piece_first: Ints, mothers: Ints
) -> tuple[Ints, Ints]:
    """Return the width and the states of each piece whose mothers are swept in this order."""
    left = np.zeros(len(tied), np.int64)
    is_open = np.zeros(len(tied), np.bool_)
    width = np.zeros(len(piece_first) - 1, np.int64)
    n_states = np.zeros(len(piece_first) - 1, np.int64)
    for u in mothers:
        for e in range(first[u], first[u + 1]):
            if shared[e]:
                left[target[e]] += 1
    for p in range(len(piece_first) - 1):
        n_open = 0
        for t in range(piece_first[p], piece_first[p + 1]):
            u = mothers[t]
            for e in range(first[u], first[u + 1]):
                if shared[e] and not is_open[target[e]]:
                    is_open[target[e]] = True
                    n_open += 1
            width[p] = max(width[p], n_open)
            n_states[p] += (1 << min(n_open, 40)) * (2 if tied[u] else 1)
            if tied[u]:
                n_open -= 1
            for e in range(first[u], first[u + 1]):
                if shared[e]:
                    left[target[e]] -= 1
                    if left[target[e]] == 0:
                        is_open[target[e]] = False
                        if not tied[target[e]]:
                            n_open -= 1
    return width, n_states


@njit(cache=True, nogil=True)
def _order_pieces(ties: Ties, width: int) -> tuple[Ints, Ints, Ints]:
    """Try two starts for each piece: the mother farthest from where the search for it began, and that one."""
    n_pieces, n_mothers = len(ties.first) - 1, len(ties.own)
    order = np.arange(n_mothers)
    widths = np.empty(n_pieces, np.int64)
    n_states = np.empty(n_pieces, np.int64)
    trial = np.empty(n_mothers, np.int64)
    n_daughters = len(ties.owner)
    desk = _Desk(
        np.empty(n_daughters, np.int64),
        np.empty(n_daughters, np.bool_),
        np.empty(n_mothers, np.int8),
        np.empty(n_mothers, np.int64),
    )
    for p in range(n_pieces):
        low, high = ties.first[p], ties.first[p + 1]
        n_states[p] = 1 << 62
        for start in (high - 1, low):
            wide, states = _order_piece(ties, low, high, start, width, desk, trial)
            if states < n_states[p]:
                widths[p], n_states[p] = wide, states
                for k in range(low, high):
                    order[k] = trial[k] if wide <= width else k
            if wide <= 2 or high - low == 1:
                break
    return order, widths, n_states


@inner
def _order_piece(ties: Ties, low: int, high: int, start: int, width: int, desk: _Desk, order: Ints) -> tuple[int, int]:
    """Write a greedy order of one piece; return its width and states, or the width that was too much and a lot."""
    for u in range(low, high):
        desk.mark[u] = UNSEEN
        for k in range(ties.daughter_first[u], ties.daughter_first[u + 1]):
            d = ties.daughter[k]
            desk.is_open[d] = False
            desk.left[d] = ties.mother_first[d + 1] - ties.mother_first[d]
    n_near = np.int64(0)  # a constant would be compiled for itself
    n_open = 0
    wide = 0
    states = 0
    for step in range(low, high):
        u = start
        if step > low or _waits(ties, desk, start):
            u, n_near = _next(ties, desk, low, high, n_near)
        desk.mark[u] = DONE
        order[step] = u
        for k in range(ties.daughter_first[u], ties.daughter_first[u + 1]):
            d = ties.daughter[k]
            if not desk.is_open[d]:
                desk.is_open[d] = True
                n_open += 1
                n_near = _note_near(ties, desk, d, n_near)
        wide = max(wide, n_open)
        if wide > width:
            return wide, 1 << 61
        states += 1 << n_open
        n_open -= ties.own[u] >= 0
        for k in range(ties.daughter_first[u], ties.daughter_first[u + 1]):
            d = ties.daughter[k]
            desk.left[d] -= 1
            n_open -= desk.left[d] == 0 and ties.owner[d] < 0
    return wide, states


@inner
def _waits(ties: Ties, desk: _Desk, u: int) -> bool:
    """Return whether a mother whose roles are tied waits for mothers of her own."""
    return bool(ties.own[u] >= 0 and desk.left[ties.own[u]] > 0)


@inner
def _note_near(ties: Ties, desk: _Desk, d: int, n_near: int) -> int:
    """Note who may be next as a daughter opens: her mothers, and herself; return how many these are in all."""
    for k in range(ties.mother_first[d], ties.mother_first[d + 1] + 1):
        v = ties.mother[k] if k < ties.mother_first[d + 1] else ties.owner[d]
        if v >= 0 and desk.mark[v] == UNSEEN:
            desk.mark[v] = NEAR
            desk.near[n_near] = v
            n_near += 1
    return n_near


@inner
def _next(ties: Ties, desk: _Desk, low: int, high: int, n_near: int) -> tuple[int, int]:
    """Take the mother that opens least from those near, or the earliest that may choose; return how many stay near."""
    best = 1 << 40
    at = -1
    for k in range(n_near):
        v = desk.near[k]
        if not _waits(ties, desk, v):
            score = _score(ties, desk, v)
            if score < best:
                best, at = score, k
    if at >= 0:
        u = desk.near[at]
        desk.near[at] = desk.near[n_near - 1]
        return u, n_near - 1
    u = -1
    for v in range(low, high):
        if desk.mark[v] != DONE and not _waits(ties, desk, v) and (u < 0 or ties.frame[v] < ties.frame[u]):
            u = v
    for k in range(n_near):
        if desk.near[k] == u:
            desk.near[k] = desk.near[n_near - 1]
            return u, n_near - 1
    return u, n_near


@inner
def _score(ties: Ties, desk: _Desk, v: int) -> int:
    """Return how much a mother would open and not close again, the less the better."""
    opens, touches = 0, 0
    closes = 1 if ties.own[v] >= 0 else 0
    for k in range(ties.daughter_first[v], ties.daughter_first[v + 1]):
        d = ties.daughter[k]
        if desk.is_open[d]:
            touches += 1
        else:
            opens += 1
        if desk.left[d] == 1 and ties.owner[d] < 0:
            closes += 1
    return 16 * (opens - closes) + 4 * opens - touches
