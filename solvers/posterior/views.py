"""Two views of the same links: what each mother does, and whose daughter each cell is, made to agree to the last digit.

What a mother chooses comes first, for pieces are weighed by mothers. Where nothing was cut the daughters' view follows.
Where links were cut, the mothers of a daughter may lie in several pieces, and lean on her a little more than once in
all: then each of them lets go of her in the same proportion, and does what she did without her.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .components import OPTIONAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


class Views(NamedTuple):
    """Probabilities of both views.

    Parameters
    ----------
    link : (m,) float64
        Of each link of the graph.
    new, present : (n,) float64
        Of each cell having no parent, and of being selected; the links into it and `new` sum to `present`.
    first : (n + 1,) int64
        Outcomes of each mother.
    a, b : (k,) int64
        Links of the graph in each outcome, -1 for none.
    probability : (k,) float64
        Falling within each mother.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]
    present: NDArray[np.float64]
    first: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    probability: NDArray[np.float64]


def both_views(graph: ChoiceGraph, cut: Cut, choice: Floats, absent: Floats, least: float) -> Views:
    """Return both views of what mothers choose.

    Parameters
    ----------
    graph, cut
        n cells, m links, and what was cut.
    choice : (n + m + q,) float64
        As in `frontier.Weighed`; that of mothers who have candidates. It is changed where daughters are let go.
    absent : (n,) float64
        Probability that a cell whose roles are tied is not selected.
    least : float
        Outcomes below it are left out.
    """
    n = graph.n_cells
    link, new, present = np.zeros(graph.n_links), np.empty(n), np.empty(n)
    everyone = np.arange(n)
    agree(graph, cut, choice, absent, everyone, everyone, link, new, present)
    return Views(link, new, present, *ranked(graph, choice, least, everyone))


@njit(cache=True, nogil=True)
def links_of(graph: ChoiceGraph, choice: Floats) -> Floats:
    """Add up the options that hold each link."""
    link = np.zeros(len(graph.link))
    for u in range(len(graph.state)):
        _add_up(graph, choice, u, link)
    return link


@inner
def _add_up(graph: ChoiceGraph, choice: Floats, u: int, link: Floats) -> None:
    begin, end = graph.first[u], graph.first[u + 1]
    single = u + graph.pair_first[u] + 1
    pair = single + end
    for e in range(begin, end):
        link[e] = choice[single + e]
    for q in range(graph.pair_first[u], graph.pair_first[u + 1]):
        p = choice[pair - graph.pair_first[u] + q]
        link[graph.pair_a[q]] += p
        link[graph.pair_b[q]] += p


@njit(cache=True, inline="always")
def _absent_of(graph: ChoiceGraph, cut: Cut, choice: Floats, link: Floats, absent: Floats, v: int) -> float:
    """Return the probability that a cell is not selected, from the side on which its options live."""
    if graph.state[v] != OPTIONAL:
        return 0.0 if graph.state[v] > OPTIONAL else 1.0
    if cut.tied[v]:
        return float(absent[v])
    taken = 0.0
    living = False
    for k in range(graph.into_first[v], graph.into_first[v + 1]):
        if cut.alive[graph.into[k]]:
            living = True
            taken += link[graph.into[k]]
    if living or graph.first[v] == graph.first[v + 1]:
        return float(max(1.0 - taken, 0.0) * cut.unborn[v])
    return float(choice[v + graph.first[v] + graph.pair_first[v]] * cut.absent[v])


@njit(cache=True, inline="always")
def _let_go(graph: ChoiceGraph, choice: Floats, hold: Floats, u: int) -> None:
    """Thin what a mother chooses: each daughter stays with the probability `hold` of the link, by herself."""
    begin, end = graph.first[u], graph.first[u + 1]
    at = u + begin + graph.pair_first[u]
    single = at + 1 - begin
    pair = single + end - graph.pair_first[u]
    for e in range(begin, end):
        gone = choice[single + e] * (1.0 - hold[e])
        choice[single + e] -= gone
        choice[at] += gone
    for q in range(graph.pair_first[u], graph.pair_first[u + 1]):
        a, b = graph.pair_a[q], graph.pair_b[q]
        p = choice[pair + q]
        choice[pair + q] = p * hold[a] * hold[b]
        choice[single + a] += p * hold[a] * (1.0 - hold[b])
        choice[single + b] += p * hold[b] * (1.0 - hold[a])
        choice[at] += p * (1.0 - hold[a]) * (1.0 - hold[b])


@njit(cache=True, nogil=True)
def agree(
    graph: ChoiceGraph,
    cut: Cut,
    choice: Floats,
    absent: Floats,
    mothers: Ints,
    daughters: Ints,
    link: Floats,
    new: Floats,
    present: Floats,
) -> None:
    """Write both views of some mothers, whose links lead to these daughters; other mothers stay as they are."""
    hold = np.ones(len(link))
    mine = np.zeros(len(graph.state), np.bool_)
    loose = np.zeros(len(graph.state), np.bool_)
    for u in mothers:
        mine[u] = True
        if graph.first[u] == graph.first[u + 1]:
            choice[u + graph.first[u] + graph.pair_first[u]] = 1.0
        _add_up(graph, choice, u, link)
    for v in daughters:
        present[v] = 1.0 - _absent_of(graph, cut, choice, link, absent, v)
        of_mine = 0.0
        of_others = 0.0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            if mine[graph.source[e]]:
                of_mine += link[e]
            else:
                of_others += link[e]
        if of_mine + of_others > 1.0 and of_mine > 0.0:
            for k in range(graph.into_first[v], graph.into_first[v + 1]):
                e = graph.into[k]
                if mine[graph.source[e]]:
                    hold[e] = max(1.0 - of_others, 0.0) / of_mine
                    link[e] *= hold[e]
                    loose[graph.source[e]] = True
    for u in mothers:
        if loose[u]:
            _let_go(graph, choice, hold, u)
    for v in daughters:
        total = 0.0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            total += link[graph.into[k]]
        if graph.state[v] == OPTIONAL:
            busy = 1.0 - choice[v + graph.first[v] + graph.pair_first[v]]
            present[v] = min(max(present[v], max(total, busy)), 1.0)
        new[v] = max(present[v] - total, 0.0)


@njit(cache=True, nogil=True)
def ranked(graph: ChoiceGraph, choice: Floats, least: float, mothers: Ints) -> tuple[Ints, Ints, Ints, Floats]:
    """Rank what each of some mothers chooses, likeliest first, without what is hardly ever chosen."""
    k = 0
    first = np.empty(len(mothers) + 1, np.int64)
    first[0] = 0
    for m in range(len(mothers)):
        u = mothers[m]
        begin = u + graph.first[u] + graph.pair_first[u]
        end = u + 1 + graph.first[u + 1] + graph.pair_first[u + 1]
        for o in range(begin, end):
            k += choice[o] >= least
        first[m + 1] = k
    a = np.empty(k, np.int64)
    b = np.empty(k, np.int64)
    probability = np.empty(k)
    for m in range(len(mothers)):
        u = mothers[m]
        begin = u + graph.first[u] + graph.pair_first[u]
        n_links = graph.first[u + 1] - graph.first[u]
        size = 0
        total = 0.0
        for o in range(1 + n_links + graph.pair_first[u + 1] - graph.pair_first[u]):
            p = choice[begin + o]
            if p < least:
                continue
            one, other = -1, -1
            if o > n_links:
                one = graph.pair_a[graph.pair_first[u] + o - 1 - n_links]
                other = graph.pair_b[graph.pair_first[u] + o - 1 - n_links]
            elif o > 0:
                one = graph.first[u] + o - 1
            at = first[m] + size
            while at > first[m] and probability[at - 1] < p:
                probability[at], a[at], b[at] = probability[at - 1], a[at - 1], b[at - 1]
                at -= 1
            probability[at], a[at], b[at] = p, one, other
            size += 1
            total += p
        for at in range(first[m], first[m + 1]):
            probability[at] /= total
    return first, a, b, probability
