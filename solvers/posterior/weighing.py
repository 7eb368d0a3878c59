"""Probabilities of links, beginnings and outcomes from maps of pieces with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    share, begin, first, a, b, weight = _weigh(
        pieces.compact, pieces.daughter, pieces.mother, pieces.option, weighted.piece, weighted.weight, weighted.option,
        best.option, assignment.choices.mother, assignment.link, assignment.cell,
    )  # fmt: skip
    cell = np.repeat(np.arange(len(begin)), np.diff(first))
    link = np.zeros(assignment.n_links)
    link[assignment.link] = share
    return Shares(np.clip(link, 0.0, 1.0), np.clip(begin, 0.0, 1.0), ranked_outcomes(len(begin), cell, a, b, weight))


@njit(cache=True, nogil=True)
def _weigh(
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
    cell: NDArray[np.bool_],
) -> tuple[Floats, Floats, Ints, Ints, Ints, Floats]:
    """Add up weights; outcomes by cell in any order, with their sums."""
    n, u = len(best), len(mother)
    share = np.zeros(len(link))
    begin = np.zeros(n)
    child = np.full((n, 2), -1, np.int64)  # links that the optimum takes
    for j in range(n):
        if best[j] >= 0:
            share[best[j]] = 1.0
            i = leads_to[best[j]]
            child[i, 0 if child[i, 0] < 0 else 1] = link[best[j]]
        elif cell[j]:
            begin[j] = 1.0

    place = np.full(n, -1, np.int64)
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
            low, high = min(held[i, 0], held[i, 1]), max(held[i, 0], held[i, 1])
            a, b = (high, low) if low < 0 else (low, high)
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

    first = np.empty(n + 1, np.int64)
    first[0] = 0
    a = np.empty(size + n, np.int64)
    b = np.empty(size + n, np.int64)
    probability = np.empty(size + n)
    k = 0
    for v in range(n):
        if place[v] >= 0 and weighed[place[v]]:
            o = head[place[v]]
            while o >= 0:
                a[k], b[k], probability[k] = pair[o, 0], pair[o, 1], total[o]
                k += 1
                o = following[o]
        else:
            low, high = min(child[v, 0], child[v, 1]), max(child[v, 0], child[v, 1])
            a[k], b[k], probability[k] = (high, low, 1.0) if low < 0 else (low, high, 1.0)
            k += 1
        first[v + 1] = k
    return share, begin, first, a[:k], b[:k], probability[:k]


@njit(cache=True, inline="always")
def _forget(children: Ints, link: int) -> None:
    """Take a link out of the two that a mother has."""
    if children[0] == link:
        children[0] = children[1]
    children[1] = -1
