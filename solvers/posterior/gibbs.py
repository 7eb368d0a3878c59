"""Sampling of pieces that are too wide: blocks of mothers are redrawn by exact sweeps, given all that the others do.

A sweep visits the blocks of a partition of the mothers into small balls. What a block may do is weighed as a piece of
its own (`frontier`): daughters that others have taken are gone. It is then redrawn as a whole, so that cells change
places within a block at once, which single cells do only by way of unlikely states [1]_. Each visit also tells the
probabilities of all that the block may do; their mean over the visits, not the frequency of what was drawn, is the
estimate (Rao and Blackwell). Partitions are chosen at random, so that no border stays.

References
----------
.. [1] Jensen, Kjaerulff & Kong, "Blocking Gibbs sampling in very large probabilistic expert systems", International
   Journal of Human-Computer Studies 42, 1995.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .components import OPTIONAL, Cut, log_add
from .draws import draw_piece
from .frontier import sweep_backward, sweep_forward
from .order import DONE, order_piece
from .states import LOG_SUM, SUM, Tape, new_tape
from .views import links_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

BLOCK: Final = 40
"""Mothers in a block."""

BLOCK_WIDTH: Final = 12
"""Most daughters that may be open at once in a block; those that need more are halved."""

PARTITIONS: Final = 8
CHAINS: Final = 2
BATCHES: Final = 5
"""Parts of each chain whose means are compared for the standard error."""

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


class Blocks(NamedTuple):
    """Blocks of mothers: those of block k are ``mother[first[k] : first[k + 1]]``, in the order of a sweep.

    Blocks ``part[r] .. part[r + 1] - 1`` are those of partition r. `room` and `most` are the states and bits that the
    largest needs.
    """

    first: NDArray[np.int64]
    mother: NDArray[np.int64]
    part: NDArray[np.int64]
    room: int
    most: int


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
    blocks = _blocks(graph, mothers, rng)
    size = graph.n_cells + graph.n_links + len(graph.bond)
    of_choice, of_link = _Means(size), _Means(graph.n_links)
    absent = np.zeros(graph.n_cells)
    a_batch = max(sweeps // BATCHES, 1)
    for chain in range(CHAINS):
        parent = np.full(graph.n_cells, -1, dtype=np.int64)
        if chain % 2:
            _take_the_nearest(graph, mothers, parent)
        state = _State(parent, np.bincount(graph.source[parent[parent >= 0]], minlength=graph.n_cells))
        _run(graph, blocks, state, max(int(BURN_IN * sweeps), 1), rng)
        for _ in range(BATCHES):
            choice, gone = _run(graph, blocks, state, a_batch, rng)
            of_choice.add(chain, choice)
            of_link.add(chain, links_of(graph, choice))
            absent += gone / (CHAINS * BATCHES)
    return Sampled(of_choice.mean(), of_choice.error(), of_link.error(), absent)


class _Means:
    """Means of the batches of each chain, added up as they come."""

    def __init__(self, size: int) -> None:
        self._total = np.zeros((CHAINS, size))
        self._squares = np.zeros(size)

    def add(self, chain: int, mean: Floats) -> None:
        self._total[chain] += mean
        self._squares += mean**2

    def mean(self) -> Floats:
        return np.asarray(self._total.sum(axis=0) / (CHAINS * BATCHES), dtype=np.float64)

    def error(self) -> Floats:
        """Return the standard error: as batches differ or, where that is more, as chains do."""
        k = CHAINS * BATCHES
        variance = np.maximum(self._squares / k - self.mean() ** 2, 0.0) / (k - 1)
        of_chains = (self._total / BATCHES).std(axis=0, ddof=1) / np.sqrt(CHAINS)
        return np.asarray(np.maximum(np.sqrt(variance), of_chains), dtype=np.float64)


class _State(NamedTuple):
    """Where a chain is: the link into each daughter, -1 for none, and the number of daughters of each mother."""

    parent: NDArray[np.int64]
    n_children: NDArray[np.int64]


@njit(cache=True, nogil=True)
def error_of_likeliest(graph: ChoiceGraph, choice: Floats, error: Floats) -> Floats:
    """Return the standard error of the likeliest option of each mother."""
    n = len(graph.state)
    found = np.empty(n)
    for u in range(n):
        begin = u + graph.first[u] + graph.pair_first[u]
        end = u + 1 + graph.first[u + 1] + graph.pair_first[u + 1]
        found[u] = error[begin + np.argmax(choice[begin:end])]
    return found


def _blocks(graph: ChoiceGraph, mothers: Ints, rng: np.random.Generator) -> Blocks:
    """Cut the mothers into blocks, in several ways."""
    firsts, found, part = [np.zeros(1, np.int64)], [], [0]
    room, most = 1, 0
    for _ in range(PARTITIONS):
        first, mother, states, width = _partition(graph, rng.permutation(mothers), BLOCK, BLOCK_WIDTH)
        firsts.append(first[1:] + firsts[-1][-1])
        found.append(mother)
        part.append(part[-1] + len(first) - 1)
        room, most = max(room, int(states)), max(most, int(width))
    return Blocks(np.concatenate(firsts), np.concatenate(found), np.array(part), room, most)


@njit(cache=True, nogil=True)
def _partition(graph: ChoiceGraph, seeds: Ints, size: int, limit: int) -> tuple[Ints, Ints, int, int]:
    """Grow a ball around each seed that is still free, and order it; return blocks, most states, largest width."""
    n = len(graph.state)
    free = np.zeros(n, np.bool_)
    for u in seeds:
        free[u] = True
    degree = np.zeros(n, np.int64)
    shared = np.zeros(len(graph.link), np.bool_)
    tied = np.zeros(n, np.bool_)
    left = np.zeros(n, np.int64)
    mark = np.full(n, DONE, np.int8)
    is_open = np.zeros(n, np.bool_)
    near = np.empty(n, np.int64)
    ball = np.empty(size, np.int64)
    order = np.empty(size, np.int64)
    first = np.zeros(len(seeds) + 1, np.int64)
    mother = np.empty(len(seeds), np.int64)
    n_blocks = 0
    end = 0
    most_states = 1
    largest = 0
    for seed in seeds:
        if not free[seed]:
            continue
        take = size
        wide = limit + 1
        while wide > limit:
            k = _grow(graph, seed, take, free, ball)
            _share(graph, ball[:k], degree, shared, tied)
            wide, states = order_piece(graph, shared, tied, ball[:k], 0, limit, left, mark, is_open, near, order)
            _unshare(graph, ball[:k], degree, shared, tied)
            take = max(k // 2, 1)
            if wide > limit and k == 1:
                order[0] = seed
                wide, states = 0, 2
        for at in range(k):
            free[order[at]] = False
            mother[end + at] = order[at]
        end += k
        n_blocks += 1
        first[n_blocks] = end
        most_states = max(most_states, states)
        largest = max(largest, wide)
    return first[: n_blocks + 1].copy(), mother[:end].copy(), most_states, largest


@inner
def _grow(graph: ChoiceGraph, seed: int, size: int, free: Bools, ball: Ints) -> int:
    """Write the free mothers nearest to a seed by common daughters, or as mother and daughter; return how many."""
    ball[0] = seed
    free[seed] = False
    end = 1
    at = 0
    while at < end and end < size:
        u = ball[at]
        at += 1
        for e in range(graph.first[u], graph.first[u + 1]):
            v = graph.target[e]
            if graph.state[v] == OPTIONAL and free[v] and end < size:
                free[v] = False
                ball[end] = v
                end += 1
            for k in range(graph.into_first[v], graph.into_first[v + 1]):
                other = graph.source[graph.into[k]]
                if free[other] and end < size:
                    free[other] = False
                    ball[end] = other
                    end += 1
    for k in range(end):
        free[ball[k]] = True
    return end


@inner
def _share(graph: ChoiceGraph, block: Ints, degree: Ints, shared: Bools, tied: Bools) -> None:
    """Mark daughters that several mothers of a block may take, as if nobody else took any."""
    for u in block:
        for e in range(graph.first[u], graph.first[u + 1]):
            degree[graph.target[e]] += 1
    for u in block:
        tied[u] = graph.state[u] == OPTIONAL and degree[u] > 0
    for u in block:
        for e in range(graph.first[u], graph.first[u + 1]):
            v = graph.target[e]
            shared[e] = degree[v] > 1 or tied[v]


@inner
def _unshare(graph: ChoiceGraph, block: Ints, degree: Ints, shared: Bools, tied: Bools) -> None:
    for u in block:
        tied[u] = False
        for e in range(graph.first[u], graph.first[u + 1]):
            degree[graph.target[e]] = 0
            shared[e] = False


@njit(cache=True, nogil=True)
def _take_the_nearest(graph: ChoiceGraph, mothers: Ints, parent: Ints) -> None:
    """Give each mother the daughter whose link weighs most among those that nobody has."""
    for u in mothers:
        best = -1
        for e in range(graph.first[u], graph.first[u + 1]):
            if parent[graph.target[e]] < 0 and (best < 0 or graph.link[e] > graph.link[best]):
                best = e
        if best >= 0:
            parent[graph.target[best]] = best


@inner
def _open_block(
    graph: ChoiceGraph, block: Ints, state: _State, cut: Cut, tape: Tape, inside: Bools, degree: Ints
) -> None:
    """Write what a block may do, given what all others do, as a piece of its own."""
    for u in block:
        inside[u] = True
    for u in block:
        for e in range(graph.first[u], graph.first[u + 1]):
            v = graph.target[e]
            cut.alive[e] = state.parent[v] < 0 or inside[graph.source[state.parent[v]]]
            degree[v] += cut.alive[e]
    for u in block:
        cut.idle[u] = graph.none[u]
        cut.absent[u] = 0.0
        cut.leave[u] = graph.new[u]
        if graph.state[u] == OPTIONAL:
            cut.tied[u] = degree[u] > 0
            if not cut.tied[u] and state.parent[u] < 0:
                alone = -graph.new[u] - graph.node[u]
                cut.idle[u] = log_add(graph.none[u], alone)
                cut.absent[u] = math.exp(alone - cut.idle[u])
    for u in block:
        for e in range(graph.first[u], graph.first[u + 1]):
            v = graph.target[e]
            cut.shared[e] = cut.alive[e] and (degree[v] > 1 or cut.tied[v])
            if not cut.alive[e]:
                cut.take[e] = -np.inf
                continue
            tape.n_left[v] = degree[v]
            if not cut.tied[v]:
                cut.leave[v] = graph.new[v]
                if graph.state[v] == OPTIONAL and state.n_children[v] == 0:
                    cut.leave[v] = log_add(graph.new[v], -graph.node[v] - graph.none[v])
            cut.take[e] = graph.link[e] if cut.shared[e] else graph.link[e] - cut.leave[v]


@inner
def _close_block(
    graph: ChoiceGraph, block: Ints, state: _State, cut: Cut, inside: Bools, degree: Ints, link: Bools
) -> None:
    """Take over what was drawn for a block, and leave no trace of it in what is used again."""
    for u in block:
        inside[u] = False
        state.n_children[u] = 0
        for e in range(graph.first[u], graph.first[u + 1]):
            if cut.alive[e]:
                state.parent[graph.target[e]] = -1
    for u in block:
        cut.tied[u] = False
        for e in range(graph.first[u], graph.first[u + 1]):
            degree[graph.target[e]] = 0
            cut.shared[e] = False
            if link[e]:
                link[e] = False
                state.parent[graph.target[e]] = e
                state.n_children[u] += 1


def _run(
    graph: ChoiceGraph, blocks: Blocks, state: _State, sweeps: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Sweep over all blocks; return the means of what the mothers choose, and of not being selected."""
    n, m = len(graph.state), len(graph.link)
    cut = Cut(
        np.zeros(m, np.bool_),
        np.zeros(n, np.bool_),
        np.zeros(m, np.bool_),
        np.zeros(m),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
    )
    size = n + m + len(graph.bond)
    total, gone = np.zeros(size), np.zeros(n)
    tape = new_tape(graph, cut.shared, blocks.first, blocks.room, blocks.most)
    _visit(graph, blocks, state, cut, tape, sweeps, rng, total, gone)
    return total / sweeps, gone / sweeps


@njit(cache=True, nogil=True)
def _visit(
    graph: ChoiceGraph,
    blocks: Blocks,
    state: _State,
    cut: Cut,
    tape: Tape,
    sweeps: int,
    rng: np.random.Generator,
    total: Floats,
    gone: Floats,
) -> None:
    """Add up over all sweeps what the mothers choose, and that they are not selected."""
    n, m = len(graph.state), len(graph.link)
    now, absent = np.zeros(len(total)), np.zeros(n)
    inside = np.zeros(n, np.bool_)
    degree = np.zeros(n, np.int64)
    link = np.zeros(m, np.bool_)
    drawn_absent = np.zeros(n, np.bool_)
    for _ in range(sweeps):
        r = rng.integers(0, len(blocks.part) - 1)
        for k in range(blocks.part[r], blocks.part[r + 1]):
            block = blocks.mother[blocks.first[k] : blocks.first[k + 1]]
            _open_block(graph, block, state, cut, tape, inside, degree)
            for mode in range(SUM, LOG_SUM + 1):
                _, sure = sweep_forward(graph, cut, block, tape, mode)
                if sure and sweep_backward(graph, cut, block, tape, mode, now, absent):
                    break
            draw_piece(graph, cut, block, tape, mode, rng, link, drawn_absent)
            for u in block:
                if not cut.tied[u]:
                    absent[u] = now[u + graph.first[u] + graph.pair_first[u]] * cut.absent[u]
            _close_block(graph, block, state, cut, inside, degree, link)
        for x in range(len(total)):
            total[x] += now[x]
        for v in range(n):
            gone[v] += absent[v]
