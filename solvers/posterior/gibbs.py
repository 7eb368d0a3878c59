"""Sampling of pieces that are too wide: blocks of mothers are redrawn by exact sweeps, given all that the others do.

A sweep visits the blocks of a partition of the mothers (`blocks`), all that know nothing of each other at once. What a
block may do is weighed as a piece of its own (`frontier`): daughters that others have taken are gone. It is then
redrawn as a whole, so that cells change places within a block at once, which single cells do only by way of unlikely
states [1]_. Each visit also tells the probabilities of all that the block may do; their mean over the visits, not the
frequency of what was drawn, is the estimate (Rao and Blackwell). Partitions are chosen at random, so that no border
stays.

References
----------
.. [1] Jensen, Kjaerulff & Kong, "Blocking Gibbs sampling in very large probabilistic expert systems", International
   Journal of Human-Computer Studies 42, 1995.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from .ball_blocks import partitions
from .components import OPTIONAL, Cut
from .draws import draw_options
from .frontier import Weighed, sweep_over, write_choice
from .graph import spans
from .script import write_script
from .views import links_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .ball_blocks import Group
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

CHAINS: Final = 2
FEWEST: Final = 3
"""Batches of each chain at least whose means are compared for the standard error."""

UNSEEN: Final = 0.5
"""Of a sweep that was not made, and would have found the opposite: what is rare is seldom seen in a short chain."""

BURN_IN: Final = 0.1
"""Share of the sweeps that comes before, and does not count."""


class Sampled(NamedTuple):
    """Estimates and their standard errors.

    Parameters
    ----------
    choice, choice_error : (n + m + q,) float64
        As in `frontier.Weighed`, of the mothers that were sampled.
    link_error : (m,) float64
        Of the probability of each link.
    absent : (n,) float64
        Probability that an optional cell with candidates is not selected.
    """

    choice: NDArray[np.float64]
    choice_error: NDArray[np.float64]
    link_error: NDArray[np.float64]
    absent: NDArray[np.float64]


def sample(graph: ChoiceGraph, mothers: Ints, sweeps: int, seed: int) -> Sampled:
    """Sample what mothers choose, who with their daughters are whole pieces.

    Parameters
    ----------
    graph : ChoiceGraph
        n cells, m links.
    mothers : (k,) int64
        Whose choices are sampled.
    sweeps : int
        Of each of the `CHAINS` chains.
    seed : int
        The same answer for the same seed.
    """
    rng = np.random.default_rng(seed)
    ways = partitions(graph, mothers, rng)
    of_choice, of_link = _Means(graph.n_options, sweeps), _Means(graph.n_links, sweeps)
    absent, link = np.zeros(graph.n_cells), np.zeros(graph.n_links)
    for chain in range(CHAINS):
        parent = np.full(graph.n_cells, -1, dtype=np.int64)
        if chain % 2:
            _take_nearest(graph.first, graph.target, graph.link, mothers, parent)
        sampler = _Chain(graph, parent, rng)
        for sweep in range(-max(int(BURN_IN * sweeps), 1), sweeps):
            now = sampler.sweep(ways)
            if sweep < 0:
                continue
            links_of(graph, now.choice, mothers, link)
            of_choice.add(now.choice)
            of_link.add(link)
            absent += now.absent / (CHAINS * sweeps)
        of_choice.end_chain()
        of_link.end_chain()
    return Sampled(of_choice.mean(), of_choice.error(), of_link.error(), absent)


class _Means:
    """Means over chains, and how far the means of their batches are apart: of one sweep, two, four and so on.

    Sweeps that follow one another are alike, so short batches differ too little; long ones are few. The largest of the
    errors that any length tells, and of that between chains, is the standard error, with a share for what was not seen.
    """

    def __init__(self, size: int, sweeps: int) -> None:
        self._sweeps = sweeps
        self._n_levels = max(int(np.log2(max(sweeps / FEWEST, 1))), 0) + 1
        self._sum, self._squares = np.zeros((self._n_levels, size)), np.zeros((self._n_levels, size))
        self._n = np.zeros(self._n_levels, dtype=np.int64)
        self._of_chain, self._chains = np.zeros(size), np.zeros((2, size))
        self._waiting: dict[int, Floats] = {}

    def add(self, value: Floats) -> None:
        """Take what a sweep found."""
        self._of_chain += value
        batch = value
        for level in range(self._n_levels):
            mean = batch / 2**level
            self._sum[level] += mean
            self._squares[level] += mean**2
            self._n[level] += 1
            if level not in self._waiting:
                self._waiting[level] = batch.copy()
                break
            batch = batch + self._waiting.pop(level)

    def end_chain(self) -> None:
        """Let the next sweep be the first of another chain; batches that are not full are left out."""
        mean = self._of_chain / self._sweeps
        self._chains += np.stack([mean, mean**2])
        self._of_chain[:] = 0.0
        self._waiting.clear()

    def mean(self) -> Floats:
        """Return the mean over all sweeps."""
        return np.asarray(self._chains[0] / CHAINS, dtype=np.float64)

    def error(self) -> Floats:
        """Return the standard error of the mean."""
        largest = _variance_of_mean(self._chains[0], self._chains[1], CHAINS)
        for level in range(self._n_levels):
            of_level = _variance_of_mean(self._sum[level], self._squares[level], int(self._n[level]))
            largest = np.maximum(largest, of_level)
        p = np.clip(self.mean(), 0.0, 1.0)
        unseen = UNSEEN * p * (1.0 - p) / (CHAINS * self._sweeps) ** 2
        return np.asarray(np.sqrt(largest + unseen), dtype=np.float64)


def _variance_of_mean(total: Floats, squares: Floats, n: int) -> Floats:
    """Return the variance of the mean of n values, as they differ; from their sum and that of their squares."""
    return np.asarray(np.maximum(squares / n - (total / n) ** 2, 0.0) / max(n - 1, 1), dtype=np.float64)


def error_of_likeliest(graph: ChoiceGraph, choice: Floats, error: Floats) -> Floats:
    """Return the standard error of the likeliest option of each mother."""
    cells = np.arange(graph.n_cells)
    begin = graph.none_of(cells)
    owner = np.repeat(cells, np.diff(np.append(begin, graph.n_options)))
    order = np.lexsort((-choice, owner))
    return np.asarray(error[order[begin]], dtype=np.float64)


@njit(cache=True, nogil=True)
def _take_nearest(first: Ints, target: Ints, weight: Floats, mothers: Ints, parent: Ints) -> None:
    """Give each mother the daughter whose link weighs most among those that nobody has."""
    for u in mothers:
        best = -1
        for e in range(first[u], first[u + 1]):
            if parent[target[e]] < 0 and (best < 0 or weight[e] > weight[best]):
                best = e
        if best >= 0:
            parent[target[best]] = best


class _Chain:
    """A selection that is redrawn again and again: the link into each daughter, -1 for none, and what mothers have."""

    def __init__(self, graph: ChoiceGraph, parent: Ints, rng: np.random.Generator) -> None:
        n, m = graph.n_cells, graph.n_links
        self._graph, self._parent, self._rng = graph, parent, rng
        self._n_children = np.bincount(graph.source[parent[parent >= 0]], minlength=n)
        per_cell = [np.zeros(n) for _ in range(4)]
        flags = np.zeros(m, np.bool_), np.zeros(n, np.bool_), np.zeros(m, np.bool_)
        self._cut = Cut(*flags, np.zeros(m), *per_cell)
        self._now = Weighed(np.zeros(graph.n_options), np.zeros(n), np.empty(0))
        self._inside = np.zeros(n, dtype=bool)

    def sweep(self, ways: list[list[Group]]) -> Weighed:
        """Visit all blocks of a partition; return the probabilities of what they may do, until the next sweep."""
        for group in ways[self._rng.integers(len(ways))]:
            self._visit(group)
        return self._now

    def _visit(self, group: Group) -> None:
        """Weigh what the blocks of a group may do, given all others, and draw it."""
        graph, cut, mother = self._graph, self._cut, group.mother
        link, _ = spans(graph.first, mother)
        self._see(mother, link)
        script, options, _ = write_script(graph, cut, group.first, mother)
        swept, mass = sweep_over(script, group.most)
        write_choice(options, mass, mother, self._now)
        free = mother[~cut.tied[mother]]
        self._now.absent[free] = self._now.choice[graph.none_of(free)] * cut.absent[free]
        chosen = options.choice[draw_options(script, options, swept, 1, self._rng)[0]]
        self._parent[graph.target[link[cut.alive[link]]]] = -1
        self._n_children[mother] = 0
        for taken in graph.links_of(mother, chosen):
            taken = taken[taken >= 0]
            self._parent[graph.target[taken]] = taken
            self._n_children[graph.source[taken]] += 1
        cut.tied[mother] = False

    def _see(self, mother: Ints, link: Ints) -> None:
        """Write what mothers may do, given what all others do, as pieces of their own."""
        graph, cut = self._graph, self._cut
        self._inside[mother] = True
        daughter = graph.target[link]
        parent = self._parent[daughter]
        alive = (parent < 0) | self._inside[graph.source[parent]]
        self._inside[mother] = False
        degree = np.bincount(daughter[alive], minlength=graph.n_cells)
        cut.alive[link] = alive
        cut.idle[mother], cut.absent[mother], cut.leave[mother] = graph.none[mother], 0.0, graph.new[mother]
        optional = graph.state[mother] == OPTIONAL
        cut.tied[mother] = optional & (degree[mother] > 0)
        lone = mother[optional & (degree[mother] == 0) & (self._parent[mother] < 0)]
        alone = -graph.new[lone] - graph.node[lone]
        cut.idle[lone] = np.logaddexp(graph.none[lone], alone)
        cut.absent[lone] = np.exp(alone - cut.idle[lone])
        free = daughter[~cut.tied[daughter]]
        may_be_none = (graph.state[free] == OPTIONAL) & (self._n_children[free] == 0)
        without = np.where(may_be_none, -graph.node[free] - graph.none[free], -np.inf)
        cut.leave[free] = np.logaddexp(graph.new[free], without)
        cut.shared[link] = alive & ((degree[daughter] > 1) | cut.tied[daughter])
        private = np.where(cut.shared[link], 0.0, cut.leave[daughter])
        cut.take[link] = np.where(alive, graph.link[link] - private, -np.inf)
