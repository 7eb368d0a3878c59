"""What belief propagation says of the pieces of a graph, found once for each piece and for whoever asks.

Whole pieces know nothing of each other, so that those of which nothing is known yet can be added at any time: what is
said of a piece is the same, to the last digit, whichever others were asked about with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .belief import propagate
from .components import no_messages
from .graph import ChoiceGraph
from .swaps import with_stand_ins, with_swaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem


class Beliefs:
    """Messages and probabilities by belief propagation, piece by piece.

    Parameters
    ----------
    graph : ChoiceGraph
        n cells, m links; none of it is written to, and it must not change.

    Attributes
    ----------
    graph : ChoiceGraph
        As given.
    messages : Messages
        Of all links and ties in the pieces that were asked about; to be read only, as all that follows.
    likely : (m,) float64
        Probability of each link, also by way of a swap.
    absent : (n,) float64
        Probability that an optional cell is not selected, also since another one stands in for it.
    converged : bool
        Whether all messages came to rest.
    """

    def __init__(self, graph: ChoiceGraph) -> None:
        self.graph = graph
        self.messages = no_messages(graph)._replace(inward=graph.new.copy(), outward=graph.node + graph.none)
        self.likely, self.absent = np.zeros(graph.n_links), np.zeros(graph.n_cells)
        self.converged = True
        self._known = np.zeros(graph.n_cells, dtype=bool)  # mothers of pieces that were asked about

    @classmethod
    def of(cls, problem: TrackingProblem, temperature: float = 1.0) -> Beliefs:
        """Read a problem; parameters and errors as of `ChoiceGraph.of`."""
        return cls(ChoiceGraph.of(problem, temperature))

    def learn(self, mothers: NDArray[np.int64]) -> None:
        """Find out what is said of some pieces, unless it is known.

        Parameters
        ----------
        mothers : (k,) int64
            All mothers of pieces of which nothing is cut.
        """
        lacking = mothers[~self._known[mothers]]
        if not len(lacking):
            return
        graph = self.graph
        here = np.zeros(graph.n_cells, dtype=bool)
        here[lacking] = True
        links = np.flatnonzero(here[graph.source])
        here[graph.target[links]] = True
        cells = np.flatnonzero(here)
        said = propagate(graph, cells)
        likely, absent = with_stand_ins(graph, with_swaps(graph, said.link), said.absent)
        self.likely[links], self.absent[cells] = likely[links], absent[cells]
        known, new = self.messages, said.messages
        known.up[links], known.down[links] = new.up[links], new.down[links]
        known.inward[cells], known.outward[cells] = new.inward[cells], new.outward[cells]
        self.converged = self.converged and said.converged
        self._known[lacking] = True
