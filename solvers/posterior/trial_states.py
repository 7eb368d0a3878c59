"""States of the sweep that tries an answer: the same pieces again and again, with little that changes between."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .components import log_add

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

SUM: Final = 0
LOG_SUM: Final = 1
LOG_MAX: Final = 2
"""What states hold: weights, their logarithms, or the logarithm of the largest weight that leads there."""


class Tape(NamedTuple):
    """What a sweep over one piece leaves behind for the way back.

    `kept` holds the states before each mother chose, from ``kept_at[t]``; of a tied one those without her own bit, then
    those with it. ``n_open[t]`` daughters are open then, her own bit apart, ``opened[t]`` of them just now. `place` is
    the bit of each open daughter, `place_closed` that of each daughter when she closed, `n_left` her mothers to come,
    `bits` the open daughters of the sweep under way by their bit.
    `span` is the logarithm of the least factor by which a step may multiply a state.
    """

    kept: NDArray[np.float64]
    kept_at: NDArray[np.int64]
    n_open: NDArray[np.int64]
    opened: NDArray[np.int64]
    own: NDArray[np.int64]
    place: NDArray[np.int64]
    layout: NDArray[np.int64]
    bits: NDArray[np.int64]
    n_left: NDArray[np.int64]
    place_closed: NDArray[np.int64]
    closed_by: NDArray[np.int64]
    span: NDArray[np.float64]
    now: NDArray[np.float64]
    then: NDArray[np.float64]
    alpha: NDArray[np.float64]
    mass: NDArray[np.float64]
    weight: NDArray[np.float64]
    group: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    grouped: NDArray[np.float64]


def new_tape(graph: ChoiceGraph, shared: Bools, first: Ints, room: int, most: int) -> Tape:
    """Return a tape for pieces that keep at most `room` states, of at most `most` bits."""
    n = graph.n_cells
    longest = int(np.diff(first).max(initial=1))
    options = int(np.diff(graph.first + graph.pair_first).max(initial=0)) + 1
    n_left = np.bincount(graph.target[shared], minlength=n)
    size = 1 << (most + 1)
    return Tape(
        np.empty(room),
        np.empty(longest + 1, np.int64),
        np.empty(longest, np.int64),
        np.empty(longest, np.int64),
        np.full(longest, -1, np.int64),
        np.full(n, -1, np.int64),
        np.empty((longest, most + 1), np.int64),
        np.empty(most + 1, np.int64),
        n_left,
        np.full(n, -1, np.int64),
        np.full(n, -1, np.int64),
        np.empty(longest),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(options),
        np.empty(options),
        np.empty(options, np.int64),
        np.empty(options, np.int64),
        np.empty(options, np.int64),
        np.empty(options),
    )


@njit(cache=True, inline="always")
def spread(old: Floats, new: Floats, size: int, low: int, high: int, weight: float, mode: int) -> None:
    """Add to each state with the bits `low` and `high` set what reaches it from the state without; 0 is no bit."""
    inner = low if low > 0 else (high if high > 0 else size)
    step = 2 * high if high > 0 else size
    half = high if low > 0 else inner
    stride = 2 * low if low > 0 else half
    shift = low + high
    for outer in range(0, size, step):
        for middle in range(outer, outer + half, stride):
            if mode == SUM:
                for s in range(middle, middle + inner):
                    new[s + shift] += weight * old[s]
            elif mode == LOG_SUM:
                for s in range(middle, middle + inner):
                    new[s + shift] = log_add(new[s + shift], weight + old[s])
            else:
                for s in range(middle, middle + inner):
                    new[s + shift] = max(new[s + shift], weight + old[s])


@njit(cache=True, inline="always")
def gather(
    alpha: Floats, beta: Floats, back: Floats, size: int, low: int, high: int, weight: float, mode: int
) -> float:
    """Add to each state without the bits what it reaches by setting them; return what passes through here in all."""
    inner = low if low > 0 else (high if high > 0 else size)
    step = 2 * high if high > 0 else size
    half = high if low > 0 else inner
    stride = 2 * low if low > 0 else half
    shift = low + high
    total = 0.0 if mode == SUM else -np.inf
    for outer in range(0, size, step):
        for middle in range(outer, outer + half, stride):
            if mode == SUM:
                for s in range(middle, middle + inner):
                    x = weight * beta[s + shift]
                    back[s] += x
                    total += alpha[s] * x
            else:
                for s in range(middle, middle + inner):
                    x = weight + beta[s + shift]
                    back[s] = log_add(back[s], x)
                    total = log_add(total, alpha[s] + x)
    return total


@inner
def rescale(state: Floats, size: int) -> tuple[float, float]:
    """Scale states to a sum of 1; return the logarithms of what was taken out, and of the least state then."""
    total = 0.0
    least = np.inf
    for s in range(size):
        x = state[s]
        total += x
        if x > 0.0 and x < least:
            least = x
    if not total > 0.0:
        return 0.0, -np.inf
    for s in range(size):
        state[s] /= total
    return math.log(total), math.log(least / total)


@njit(cache=True, inline="always")
def with_bit(state: int, at: int) -> int:
    """Return a state with a bit that is not set put in at a place."""
    low = state & ((1 << at) - 1)
    return ((state - low) << 1) | low


@inner
def list_options(
    graph: ChoiceGraph,
    cut: Cut,
    u: int,
    place: Ints,
    weight: Floats,
    group: Ints,
    low: Ints,
    high: Ints,
    grouped: Floats,
    mode: int,
) -> tuple[int, int, float]:
    """Write what a mother may choose, and group it by the bits that it sets.

    Returns the number of options and of groups, and the logarithm that was taken out of all weights.
    """
    begin, end = graph.first[u], graph.first[u + 1]
    n_options = 1
    n_groups = 1
    weight[0] = cut.idle[u]
    group[0] = 0
    low[0] = 0
    high[0] = 0
    for e in range(begin, end):
        weight[n_options] = cut.take[e]
        group[n_options] = 0
        if cut.shared[e]:
            low[n_groups] = 0
            high[n_groups] = 1 << place[graph.target[e]]
            group[n_options] = n_groups
            n_groups += 1
        n_options += 1
    for q in range(graph.pair_first[u], graph.pair_first[u + 1]):
        a, b = graph.pair_a[q], graph.pair_b[q]
        weight[n_options] = cut.take[a] + cut.take[b] + graph.bond[q]
        of_a, of_b = group[1 + a - begin], group[1 + b - begin]
        if of_a == 0 or of_b == 0:
            group[n_options] = of_a + of_b
        else:
            one, other = high[of_a], high[of_b]
            low[n_groups] = min(one, other)
            high[n_groups] = max(one, other)
            group[n_options] = n_groups
            n_groups += 1
        n_options += 1
    top = -np.inf
    for o in range(n_options):
        top = max(top, weight[o])
    for g in range(n_groups):
        grouped[g] = 0.0 if mode == SUM else -np.inf
    for o in range(n_options):
        weight[o] -= top
        if mode == SUM:
            grouped[group[o]] += math.exp(weight[o])
        elif mode == LOG_SUM:
            grouped[group[o]] = log_add(grouped[group[o]], weight[o])
        else:
            grouped[group[o]] = max(grouped[group[o]], weight[o])
    return n_options, n_groups, top


@njit(cache=True, inline="always")
def own_weights(cut: Cut, graph: ChoiceGraph, u: int) -> tuple[float, float, float, float]:
    """Return log weights of a tied cell: selected and new, selected with a parent, absent; and what was taken out."""
    node = graph.node[u]
    top = max(max(cut.leave[u] + node, node), 0.0)
    return cut.leave[u] + node - top, node - top, -top, top


@njit(cache=True, inline="always")
def close_weights(leave: float) -> tuple[float, float, float]:
    """Return log weights of closing with the bit not set and set, and what was taken out of both."""
    top = max(leave, 0.0)
    return leave - top, -top, top
