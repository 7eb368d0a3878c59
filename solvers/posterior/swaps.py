"""How likely a link is by two cells having changed places, which belief propagation hardly sees.

Two mothers and two daughters that may be theirs in either way close the shortest loop there is. Belief propagation goes
around it as if it were endless, and is too sure of the likelier way: it says 0.01 where 0.25 is right. The odds
of the two ways are known, though: they are the weights of two links against those of the other two.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Floats = NDArray[np.float64]


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
