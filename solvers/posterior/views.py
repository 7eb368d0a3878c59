"""Two views of the same links: what each mother does, and whose daughter each cell is, made to agree to the last digit.

What a mother chooses comes first, for pieces are weighed by mothers. Where nothing was cut the daughters' view follows.
Where links were cut, the mothers of a daughter may lie in several pieces, and lean on her a little more than once in
all: then each of them lets go of her in the same proportion, and does what she did without her.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .components import OPTIONAL
from .graph import spans
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


def links_of(graph: ChoiceGraph, choice: Floats, mothers: Ints, link: Floats) -> None:
    """Write the probability of the links of some mothers: the sum of the options that hold each."""
    links, _ = spans(graph.first, mothers)
    pairs, _ = spans(graph.pair_first, mothers)
    link[links] = choice[graph.single_of(links)]
    together = choice[graph.pair_of(pairs)]
    np.add.at(link, graph.pair_a[pairs], together)
    np.add.at(link, graph.pair_b[pairs], together)


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
    childless = mothers[graph.first[mothers] == graph.first[mothers + 1]]
    choice[graph.none_of(childless)] = 1.0
    links_of(graph, choice, mothers, link)
    at, owner = spans(graph.into_first, daughters)
    into = graph.into[at]
    n = len(daughters)
    selected = 1.0 - _absent_of(graph, cut, choice, link, absent, daughters, into, owner)
    is_mine = np.zeros(graph.n_cells, dtype=bool)
    is_mine[mothers] = True
    mine = is_mine[graph.source[into]]
    of_mine = np.bincount(owner[mine], link[into[mine]], n)
    of_others = np.bincount(owner[~mine], link[into[~mine]], n)
    too_much = (of_mine + of_others > 1.0) & (of_mine > 0.0)
    loose = mine & too_much[owner]
    if loose.any():
        hold = np.ones(graph.n_links)
        hold[into[loose]] = (np.maximum(1.0 - of_others, 0.0)[owner] / of_mine[owner].clip(1e-300))[loose]
        link[into[loose]] *= hold[into[loose]]
        _let_go(graph, choice, hold, np.unique(graph.source[into[loose]]))
    total = np.bincount(owner, link[into], n)
    optional = graph.state[daughters] == OPTIONAL
    busy = np.maximum(total, 1.0 - choice[graph.none_of(daughters)])
    present[daughters] = np.where(optional, np.minimum(np.maximum(selected, busy), 1.0), selected)
    new[daughters] = np.maximum(present[daughters] - total, 0.0)


def _absent_of(
    graph: ChoiceGraph, cut: Cut, choice: Floats, link: Floats, absent: Floats, cells: Ints, into: Ints, owner: Ints
) -> Floats:
    """Return the probability that each cell is not selected, from the side on which its options live."""
    lives = cut.alive[into]
    n = len(cells)
    taken = np.bincount(owner[lives], link[into[lives]], n)
    lived = np.bincount(owner[lives], minlength=n) > 0
    as_daughter = np.maximum(1.0 - taken, 0.0) * cut.unborn[cells]
    as_mother = choice[graph.none_of(cells)] * cut.absent[cells]
    childless = graph.first[cells] == graph.first[cells + 1]
    free = np.where(cut.tied[cells], absent[cells], np.where(lived | childless, as_daughter, as_mother))
    state = graph.state[cells]
    return np.where(state == OPTIONAL, free, np.where(state > OPTIONAL, 0.0, 1.0))


def _let_go(graph: ChoiceGraph, choice: Floats, hold: Floats, mothers: Ints) -> None:
    """Thin what mothers choose: each daughter stays with the probability `hold` of the link, by herself."""
    none = graph.none_of(mothers)
    links, owner = spans(graph.first, mothers)
    single = graph.single_of(links)
    gone = choice[single] * (1.0 - hold[links])
    choice[single] -= gone
    np.add.at(choice, none[owner], gone)
    pairs, owner = spans(graph.pair_first, mothers)
    a, b = graph.pair_a[pairs].astype(np.int64), graph.pair_b[pairs].astype(np.int64)
    pair = graph.pair_of(pairs)
    p = choice[pair]
    choice[pair] = p * hold[a] * hold[b]
    np.add.at(choice, graph.single_of(a), p * hold[a] * (1.0 - hold[b]))
    np.add.at(choice, graph.single_of(b), p * hold[b] * (1.0 - hold[a]))
    np.add.at(choice, none[owner], p * (1.0 - hold[a]) * (1.0 - hold[b]))


def ranked(graph: ChoiceGraph, choice: Floats, mothers: Ints) -> Outcomes:
    """Return what each of some mothers chooses, links as in the graph."""
    begin = graph.none_of(mothers)
    size = 1 + np.diff(graph.first)[mothers] + np.diff(graph.pair_first)[mothers]
    owner = np.repeat(np.arange(len(mothers)), size)
    option = np.arange(len(owner)) + (begin - np.cumsum(size) + size)[owner]
    likely = choice[option] >= LEAST
    owner, option = owner[likely], option[likely]
    return ranked_outcomes(len(mothers), owner, *graph.links_of(mothers[owner], option), choice[option])
