"""Probabilities of links, beginnings and outcomes from maps of pieces with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from .outcomes import ranked_outcomes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .assignment import AssignmentProblem
    from .outcomes import Outcomes
    from .parents import ParentMap
    from .undecided import Compact, Undecided

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class WeightedMaps:
    """Maps of pieces, each with a weight; those of one piece sum to 1. A piece without any is as in the optimum.

    Parameters
    ----------
    piece : (t,) int64
        Piece of each map, in rising order.
    weight : (t,) float64
        Its share.
    option : (s,) int64
        What the daughters of the piece take, map after map, numbered within the piece.
    """

    piece: NDArray[np.int64]
    weight: NDArray[np.float64]
    option: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What weighted lineages say, by rows of the tracking problem.

    Parameters
    ----------
    link : (m,) float64
        Probability of each link.
    new : (n,) float64
        Probability that each cell begins; 0 where it is forbidden.
    outcomes : Outcomes
        What each cell does as a mother.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]
    outcomes: Outcomes


def shares(assignment: AssignmentProblem, best: ParentMap, pieces: Undecided, weighted: WeightedMaps) -> Shares:
    """Return what weighted maps say of each link, each beginning and each mother."""
    share, begin, child = _optimum(best.option, assignment.choices.mother, assignment.link, assignment.cell)
    seen = _add_up(
        pieces.compact, pieces.daughter, pieces.mother, pieces.option, weighted.piece, weighted.weight, weighted.option,
        best.option, assignment.choices.mother, assignment.link, share, begin, child,
    )  # fmt: skip
    first, a, b, weight = _gathered(seen, pieces.mother, child)
    cell = np.repeat(np.arange(len(begin)), np.diff(first))
    link = np.zeros(assignment.n_links)
    link[assignment.link] = share
    return Shares(np.clip(link, 0.0, 1.0), np.clip(begin, 0.0, 1.0), ranked_outcomes(len(begin), cell, a, b, weight))


class _Seen(NamedTuple):
    """Outcomes of mothers of pieces: of each the first is ``head``, then what is ``following``; -1 where none is.

    Parameters
    ----------
    weighed : (u,) bool
        Whether a map tells of the mother.
    head : (u,) int64
    following : (o,) int64
    pair : (o, 2) int64
        Links to both daughters, -1 in the place of the second where one is missing.
    total : (o,) float64
        Sum of weights.
    """

    weighed: NDArray[np.bool_]
    head: NDArray[np.int64]
    following: NDArray[np.int64]
    pair: NDArray[np.int64]
    total: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _optimum(
    best: Ints, leads_to: NDArray[np.int32], link: Ints, cell: NDArray[np.bool_]
) -> tuple[Floats, Floats, Ints]:
    """Return share of each option, of each beginning, and both links of each mother, as the optimum has them."""
    share, begin, child = np.zeros(len(link)), np.zeros(len(best)), np.full((len(best), 2), -1, np.int64)
    for j in range(len(best)):
        if best[j] >= 0:
            share[best[j]] = 1.0
            i = leads_to[best[j]]
            child[i, 0 if child[i, 0] < 0 else 1] = link[best[j]]
        elif cell[j]:
            begin[j] = 1.0
    return share, begin, child


@njit(cache=True, nogil=True)
def _add_up(
    pieces: Compact,
    daughter: Ints,
    mother: Ints,
    option: Ints,
    item_piece: Ints,
    weight: Floats,
    taken: Ints,
    best: Ints,
    leads_to: NDArray[np.int32],
    link: Ints,
    share: Floats,
    begin: Floats,
    child: Ints,
) -> _Seen:
    """Put what maps of pieces say in the place of what the optimum says of their cells; return outcomes of mothers."""
    u = len(mother)
    place = np.full(len(best), -1, np.int64)
    place[mother] = np.arange(u)
    weighed = np.zeros(u, np.bool_)
    settled = child[mother]
    head = np.full(u, -1, np.int64)
    following = np.empty(u + 16, np.int64)
    pair = np.empty((u + 16, 2), np.int64)
    total = np.empty(u + 16)
    size = 0
    at = 0
    now = -1
    held = np.empty((u, 2), np.int64)
    for t in range(len(item_piece)):
        c = item_piece[t]
        r0, r1 = pieces.first_daughter[c], pieces.first_daughter[c + 1]
        i0, i1 = pieces.first_mother[c], pieces.first_mother[c + 1]
        a0 = pieces.first_option[r0]
        if c != now:
            now = c
            weighed[i0:i1] = True
            for r in range(r0, r1):
                j = daughter[r]
                begin[j] = 0.0
                if best[j] >= 0:
                    share[best[j]] = 0.0
                    _forget(settled[place[leads_to[best[j]]]], link[best[j]])
        held[i0:i1] = settled[i0:i1]
        for r in range(r0, r1):
            if taken[at] < 0:
                begin[daughter[r]] += weight[t]
            else:
                o = option[a0 + taken[at]]
                share[o] += weight[t]
                i = i0 + pieces.goes_to[a0 + taken[at]]
                held[i, 0 if held[i, 0] < 0 else 1] = link[o]
            at += 1
        for i in range(i0, i1):
            a, b = _in_order(held[i])
            o = head[i]
            while o >= 0 and (pair[o, 0] != a or pair[o, 1] != b):
                o = following[o]
            if o < 0:
                if size == len(total):
                    following = np.concatenate((following, np.empty_like(following)))
                    total = np.concatenate((total, np.empty_like(total)))
                    pair = np.concatenate((pair, np.empty_like(pair)))
                o = size
                size += 1
                pair[o, 0], pair[o, 1], total[o] = a, b, 0.0
                following[o] = head[i]
                head[i] = o
            total[o] += weight[t]
    return _Seen(weighed, head, following[:size], pair[:size], total[:size])


@njit(cache=True, nogil=True)
def _gathered(seen: _Seen, mother: Ints, child: Ints) -> tuple[Ints, Ints, Ints, Floats]:
    """Return outcomes cell by cell, in any order: where those of each begin, both links, and their weight."""
    n, most = len(child), len(seen.total) + len(child)
    place = np.full(n, -1, np.int64)
    place[mother] = np.arange(len(mother))
    first = np.zeros(n + 1, np.int64)
    a, b, weight = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    k = 0
    for v in range(n):
        if place[v] >= 0 and seen.weighed[place[v]]:
            o = seen.head[place[v]]
            while o >= 0:
                a[k], b[k], weight[k] = seen.pair[o, 0], seen.pair[o, 1], seen.total[o]
                k += 1
                o = seen.following[o]
        else:
            a[k], b[k] = _in_order(child[v])
            weight[k] = 1.0
            k += 1
        first[v + 1] = k
    return first, a[:k], b[:k], weight[:k]


@njit(cache=True, inline="always")
def _in_order(children: Ints) -> tuple[int, int]:
    """Return both links of a mother, the lower first; one that is missing comes last."""
    low, high = min(children[0], children[1]), max(children[0], children[1])
    return (high, low) if low < 0 else (low, high)


@njit(cache=True, inline="always")
def _forget(children: Ints, link: int) -> None:
    """Take a link out of the two that a mother has."""
    if children[0] == link:
        children[0] = children[1]
    children[1] = -1
