"""How likely a link is by two cells having changed places, which belief propagation hardly sees.

Two mothers and two daughters that may be theirs in either way close the shortest loop there is. Belief propagation goes
around it as if it were endless, and is too sure of the likelier way: it says 0.01 where 0.25 is right. The odds
of the two ways are known, though: they are the weights of two links against those of the other two.

So it is where detections may be no cells. Of two that stand side by side one is the cell: both may come from the same
mother and go on to the same daughter, and again that is a loop; a link that leaps over a detection closes another one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from numba import njit

from .components import OPTIONAL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Floats = NDArray[np.float64]

UNLIKELY: Final = 1e-3
"""A way that belief says is less likely shares nothing."""


@njit(cache=True, nogil=True)
def with_swaps(graph: ChoiceGraph, link: Floats) -> Floats:
    """Return the larger of what belief says of each link, and of what it says of a swap that makes it real.

    Parameters
    ----------
    graph : ChoiceGraph
        m links.
    link : (m,) float64
        Their probabilities by belief.
    """
    likely = link.copy()
    for e in range(len(link)):
        u, v = graph.source[e], graph.target[e]
        for other in range(graph.first[u], graph.first[u + 1]):
            if other == e or link[other] <= likely[e]:
                continue
            for k in range(graph.into_first[v], graph.into_first[v + 1]):
                into = graph.into[k]
                if into == e or link[into] * link[other] <= likely[e]:
                    continue
                back = _between(graph, graph.source[into], graph.target[other])
                if back >= 0:
                    odds = graph.link[e] + graph.link[back] - graph.link[other] - graph.link[into]
                    swapped = link[into] * link[other] / (1.0 + math.exp(-odds))
                    likely[e] = max(likely[e], swapped)
    return likely


@njit(cache=True, inline="always")
def _between(graph: ChoiceGraph, u: int, v: int) -> int:
    """Return the link between two cells, -1 where there is none."""
    for e in range(graph.first[u], graph.first[u + 1]):
        if graph.target[e] == v:
            return e
    return -1


@njit(cache=True, nogil=True)
def with_stand_ins(graph: ChoiceGraph, link: Floats, absent: Floats) -> tuple[Floats, Floats]:
    """Return both beliefs raised where an optional cell may stand in for another one, for a leap, or a leap for it.

    A way from mother to daughter leads through one cell, through another one, or over both. What belief says of the
    likeliest way is shared with each other way by their odds; divisions are left aside.

    Parameters
    ----------
    graph : ChoiceGraph
        n cells, m links.
    link : (m,) float64
        Probability of each link, by belief.
    absent : (n,) float64
        Probability of each optional cell not to be one, by belief.
    """
    likely, gone = link.copy(), absent.copy()
    for v in range(len(graph.state)):
        for k in range(graph.into_first[v], graph.into_first[v + 1]):
            come = graph.into[k]
            u = graph.source[come]
            for other in range(graph.first[u], graph.first[u + 1]):
                if other != come and link[other] > UNLIKELY:
                    _through(graph, link, absent, likely, gone, come, other)
    return likely, gone


@njit(cache=True, nogil=True)
def _through(
    graph: ChoiceGraph, link: Floats, absent: Floats, likely: Floats, gone: Floats, come: int, other: int
) -> None:
    """Weigh all ways through the target of a link, or to it, against a likely way that begins with another link."""
    v, f = graph.target[come], graph.target[other]
    for go in range(graph.first[v], graph.first[v + 1]):
        mine = graph.link[come] + graph.node[v] + graph.link[go]
        if graph.target[go] == f:  # the other way leaps over this cell
            _share(likely, gone, absent[v] * link[other], mine - graph.link[other], come, go, -1)
    if graph.state[f] != OPTIONAL:
        return
    for onward in range(graph.first[f], graph.first[f + 1]):
        way = link[other] * link[onward]
        if way <= UNLIKELY:
            continue
        theirs = graph.link[other] + graph.node[f] + graph.link[onward]
        if graph.target[onward] == v:  # this way leaps over the other cell
            _share(likely, gone, way, graph.link[come] - theirs, come, come, f)
            continue
        go = _between(graph, v, graph.target[onward])
        if go >= 0:
            mine = graph.link[come] + graph.node[v] + graph.link[go]
            _share(likely, gone, absent[v] * way, mine - theirs, come, go, f)


@njit(cache=True, inline="always")
def _share(likely: Floats, gone: Floats, way: float, odds: float, one: int, two: int, cell: int) -> None:
    """Raise what is said of the links of a way, and of the absence of the cell that it leaves out."""
    share = way / (1.0 + math.exp(-odds))
    likely[one], likely[two] = max(likely[one], share), max(likely[two], share)
    if cell >= 0:
        gone[cell] = max(gone[cell], share)
