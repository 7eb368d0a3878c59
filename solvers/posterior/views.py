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
from .outcomes import LEAST, Outcomes, ranked_outcomes

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
    outcomes : Outcomes
        What each mother does, links as in the graph.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]
    present: NDArray[np.float64]
    outcomes: Outcomes


def both_views(graph: ChoiceGraph, cut: Cut, choice: Floats, absent: Floats) -> Views:
    """Return both views of what mothers choose.

    Parameters
    ----------
    graph, cut
        n cells, m links, and what was cut.
    choice : (n + m + q,) float64
        As in `frontier.Weighed`; that of mothers who have candidates. It is changed where daughters are let go.
    absent : (n,) float64
        Probability that a cell whose roles are tied is not selected.
    """
    n = graph.n_cells
    link, new, present = np.zeros(graph.n_links), np.empty(n), np.empty(n)
    everyone = np.arange(n)
    agree(graph, cut, choice, absent, everyone, everyone, link, new, present)
    return Views(link, new, present, ranked(graph, choice, everyone))


@njit(cache=True, nogil=True)
def links_of(graph: ChoiceGraph, choice: Floats, mothers: Ints, link: Floats) -> None:
    """Write the probability of the links of some mothers: the sum of the options that hold each."""
    for u in mothers:
        begin, end = graph.first[u], graph.first[u + 1]
        single = u + graph.pair_first[u] + 1
        for e in range(begin, end):
            link[e] = choice[single + e]
        for q in range(graph.pair_first[u], graph.pair_first[u + 1]):
            together = choice[u + end + 1 + q]
            link[graph.pair_a[q]] += together
            link[graph.pair_b[q]] += together


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
    mine = np.zeros(len(graph.state), np.bool_)
    for u in mothers:
        mine[u] = True
        if graph.first[u] == graph.first[u + 1]:
            choice[u + graph.first[u] + graph.pair_first[u]] = 1.0
    links_of(graph, choice, mothers, link)
    for v in daughters:
        present[v] = 1.0 - _absent_of(graph, cut, choice, link, absent, v)
    for v in daughters:
        of_mine, of_others = 0.0, 0.0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            e = graph.into[k]
            if mine[graph.source[e]]:
                of_mine += link[e]
            else:
                of_others += link[e]
        if of_mine + of_others > 1.0 and of_mine > 0.0:
            hold = max(1.0 - of_others, 0.0) / of_mine
            for k in range(graph.into_first[v], graph.into_first[v + 1]):
                if mine[graph.source[graph.into[k]]]:
                    _let_go(graph, choice, graph.into[k], hold, link)
    for v in daughters:
        total = 0.0
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            total += link[graph.into[k]]
        if graph.state[v] == OPTIONAL:
            busy = max(total, 1.0 - choice[v + graph.first[v] + graph.pair_first[v]])
            present[v] = min(max(present[v], busy), 1.0)
        new[v] = max(present[v] - total, 0.0)


@inner
def _absent_of(graph: ChoiceGraph, cut: Cut, choice: Floats, link: Floats, absent: Floats, v: int) -> float:
    """Return the probability that a cell is not selected, from the side on which its options live."""
    if graph.state[v] != OPTIONAL:
        return 0.0 if graph.state[v] > OPTIONAL else 1.0
    if cut.tied[v]:
        return float(absent[v])
    lived = graph.first[v] == graph.first[v + 1]  # a cell that is never a mother counts as a daughter
    taken = 0.0
    for k in range(graph.into_first[v], graph.into_first[v + 1]):
        if cut.alive[graph.into[k]]:
            lived = True
            taken += link[graph.into[k]]
    if lived:
        return float(max(1.0 - taken, 0.0) * cut.unborn[v])
    return float(choice[v + graph.first[v] + graph.pair_first[v]] * cut.absent[v])


@inner
def _let_go(graph: ChoiceGraph, choice: Floats, e: int, hold: float, link: Floats) -> None:
    """Thin what a mother chooses: the daughter of a link stays with the probability `hold`, whatever else she takes."""
    u = graph.source[e]
    none = u + graph.first[u] + graph.pair_first[u]
    single = u + graph.pair_first[u] + 1
    pair = u + graph.first[u + 1] + 1
    link[e] *= hold
    gone = choice[single + e] * (1.0 - hold)
    choice[single + e] -= gone
    choice[none] += gone
    for q in range(graph.pair_first[u], graph.pair_first[u + 1]):
        if e == graph.pair_a[q] or e == graph.pair_b[q]:
            other = graph.pair_b[q] if e == graph.pair_a[q] else graph.pair_a[q]
            gone = choice[pair + q] * (1.0 - hold)
            choice[pair + q] -= gone
            choice[single + other] += gone


def ranked(graph: ChoiceGraph, choice: Floats, mothers: Ints) -> Outcomes:
    """Return what each of some mothers chooses, links as in the graph."""
    begin = graph.none_of(mothers)
    size = 1 + np.diff(graph.first)[mothers] + np.diff(graph.pair_first)[mothers]
    owner = np.repeat(np.arange(len(mothers)), size)
    option = np.arange(len(owner)) + (begin - np.cumsum(size) + size)[owner]
    likely = choice[option] >= LEAST
    owner, option = owner[likely], option[likely]
    return ranked_outcomes(len(mothers), owner, *graph.links_of(mothers[owner], option), choice[option])
