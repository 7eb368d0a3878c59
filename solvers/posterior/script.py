"""What the sweeps over pieces do, step by step: written at once, then read on the way there, on the way back, by draws.

At each step one mother chooses. Before that the daughters of whom she is the first mother open, each with a bit of her
own above all others; after it those of whom she is the last one close, from the highest bit down, and what is above a
closed bit moves down by one. Options that set the same bits are one group, so a sweep sees groups only.

An optional cell whose roles are tied has one more option: not being selected. It sets the cell's own bit, as a parent
does, so it is open to those without a parent only; then that bit closes as any other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from ..inner import inner
from .components import log_add

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


class Script(NamedTuple):
    """What is done at each of L steps, piece after piece; all weights in nats.

    Parameters
    ----------
    first : (p + 1,) int64
        Steps ``first[k] .. first[k + 1] - 1`` are those of piece k.
    opened : (L,) int64
        How many daughters open at each step.
    n_open : (L,) int64
        How many are open while the mother chooses.
    group_first : (L + 1,) int64
        Groups of options of each step.
    bits : (G, 2) int64
        The lower and the higher bit that each group sets; 0 is none, and one bit alone is the higher one.
    weight : (G,) float64
        Log weight of all options of the group, the likeliest option of the step at 0.
    factor : (G,) float64
        The weight itself.
    closed_first : (L + 1,) int64
        Daughters that close after each step.
    place, leave : (c,) int64, float64
        Number of the bit of each, and the log weight of nobody having taken her.
    span : (L,) float64
        Logarithm of the least factor by which the step multiplies a state.
    """

    first: NDArray[np.int64]
    opened: NDArray[np.int64]
    n_open: NDArray[np.int64]
    group_first: NDArray[np.int64]
    bits: NDArray[np.int64]
    weight: NDArray[np.float64]
    factor: NDArray[np.float64]
    closed_first: NDArray[np.int64]
    place: NDArray[np.int64]
    leave: NDArray[np.float64]
    span: NDArray[np.float64]

    def kept_at(self) -> Ints:
        """Return where the states before each step are kept, (L + 1,); each piece begins where the one before ends."""
        return np.concatenate([[0], np.cumsum(1 << self.n_open)])


class Options(NamedTuple):
    """The options that a script groups.

    Parameters
    ----------
    group : (o,) int64
        Group of each.
    choice : (o,) int64
        Which option of all cells it is (`ChoiceGraph.none_of`); that of taking none where the cell is not selected.
    absent : (o,) int64
        The cell that is not selected, -1 where it is.
    share : (o,) float64
        Its part of the weight of its group.
    """

    group: NDArray[np.int64]
    choice: NDArray[np.int64]
    absent: NDArray[np.int64]
    share: NDArray[np.float64]


class _Read(NamedTuple):
    """What of a graph and a cut is read, for numba takes longer over more arrays."""

    first: Ints
    target: Ints
    pair_first: Ints
    pair_a: NDArray[np.int32]
    pair_b: NDArray[np.int32]
    bond: Floats
    node: Floats
    tied: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    take: Floats
    leave: Floats
    idle: Floats


class _Desk(NamedTuple):
    """What writing a script goes by, from step to step.

    Parameters
    ----------
    to_come : (n,) int64
        How many mothers of each daughter are still to choose.
    bit : (n,) int64
        Number of the bit of each daughter who is open, from 1; 0 of those who are not.
    daughter : int64
        Open daughters by their bit.
    group : int64
        Group of each link of the mother who chooses, among those of her step.
    """

    to_come: NDArray[np.int64]
    bit: NDArray[np.int64]
    daughter: NDArray[np.int64]
    group: NDArray[np.int64]


def write_script(graph: ChoiceGraph, cut: Cut, first: Ints, mother: Ints) -> tuple[Script, Options, Floats]:
    """Return what sweeps over pieces do, the options behind it, and what is taken out of the weights of each step.

    Parameters
    ----------
    graph, cut
        n cells, m links; no daughter that is remembered has mothers in two of the pieces.
    first, mother : (p + 1,), (L,) int64
        Mothers of each piece in the order of the sweep; a tied cell after all its own mothers.
    """
    read = _Read(
        graph.first, graph.target, graph.pair_first, graph.pair_a, graph.pair_b, graph.bond, graph.node,
        cut.tied, cut.shared, cut.take, cut.leave, cut.idle,
    )  # fmt: skip
    steps, options, closings, top = _write(read, mother)
    opened, n_open, group_first, bits, weight, span = steps
    script = Script(first, opened, n_open, group_first, bits, weight, np.exp(weight), *closings, span)
    return script, Options(*options), top


_Steps = tuple["Ints", "Ints", "Ints", "Ints", "Floats", "Floats"]
_Listed = tuple["Ints", "Ints", "Ints", "Floats"]
_Closings = tuple["Ints", "Ints", "Floats"]


@njit(cache=True, nogil=True)
def _write(read: _Read, mother: Ints) -> tuple[_Steps, _Listed, _Closings, Floats]:
    n_steps = len(mother)
    desk, n_options, n_closings = _desk(read, mother)
    opened, n_open = np.zeros(n_steps, np.int64), np.zeros(n_steps, np.int64)
    group_first, closed_first = np.zeros(n_steps + 1, np.int64), np.zeros(n_steps + 1, np.int64)
    bits, weight = np.zeros((n_options, 2), np.int64), np.empty(n_options)
    group, choice = np.zeros(n_options, np.int64), np.zeros(n_options, np.int64)
    absent, share = np.empty(n_options, np.int64), np.empty(n_options)
    place, leave = np.empty(n_closings, np.int64), np.empty(n_closings)
    span, top = np.empty(n_steps), np.empty(n_steps)
    n = 0  # daughters that are open
    o = 0  # options of the steps before
    for t in range(n_steps):
        u = mother[t]
        opened[t] = _open(read, u, desk, n)
        n += opened[t]
        n_open[t] = n
        g = group_first[t]
        n_groups, end = _list(read, u, desk, g, o, bits, group, choice, absent, share)
        top[t] = _weigh(group[o:end], share[o:end], weight)
        group_first[t + 1] = g + n_groups
        o = end
        if read.tied[u]:
            top[t] += read.node[u]
        c = closed_first[t]
        closed_first[t + 1] = c + _close(read, u, desk, n, place[c:], leave[c:])
        n -= closed_first[t + 1] - c
        span[t] = 0.0
        for k in range(g, g + n_groups):
            span[t] = min(span[t], weight[k])
        for k in range(c, closed_first[t + 1]):
            span[t] -= abs(leave[k])
            top[t] += max(leave[k], 0.0)
    g = group_first[n_steps]
    steps = opened, n_open, group_first, bits[:g], weight[:g], span
    c = closed_first[n_steps]
    return steps, (group[:o], choice[:o], absent[:o], share[:o]), (closed_first, place[:c], leave[:c]), top


@inner
def _desk(read: _Read, mother: Ints) -> tuple[_Desk, int, int]:
    """Return an empty desk, and how many options these mothers have, and shared links at most."""
    n = len(read.node)
    to_come = np.zeros(n, np.int64)
    n_options = 0
    n_shared = 0
    most = 0
    for u in mother:
        begin, end = read.first[u], read.first[u + 1]
        most = max(most, end - begin)
        n_options += 1 + end - begin + read.pair_first[u + 1] - read.pair_first[u] + (1 if read.tied[u] else 0)
        for e in range(begin, end):
            if read.shared[e]:
                to_come[read.target[e]] += 1
                n_shared += 1
    desk = _Desk(to_come, np.zeros(n, np.int64), np.empty(n_shared, np.int64), np.empty(most, np.int64))
    return desk, n_options, n_shared


@inner
def _open(read: _Read, u: int, desk: _Desk, n: int) -> int:
    """Open the daughters of whom a mother is the first one, above n others; return how many."""
    opened = 0
    for e in range(read.first[u], read.first[u + 1]):
        d = read.target[e]
        if read.shared[e]:
            desk.to_come[d] -= 1
            if desk.bit[d] == 0:
                desk.daughter[n + opened] = d
                opened += 1
                desk.bit[d] = n + opened
    return opened


@inner
def _list(
    read: _Read, u: int, desk: _Desk, g: int, o: int, bits: Ints, group: Ints, choice: Ints,
    absent: Ints, weight: Floats,
) -> tuple[int, int]:  # fmt: skip
    """List what a mother may do, from group g and option o on; return how many groups, and where her options end.

    Options that set the same bits: one who is private to her sets none, so a pair with her sets that of the other.
    """
    at = u + read.first[u] + read.pair_first[u]
    begin = o
    group[o], weight[o] = g, read.idle[u]
    o += 1
    n_groups = 1
    for e in range(read.first[u], read.first[u + 1]):
        own = 0
        if read.shared[e]:
            own = n_groups
            bits[g + own, 1] = 1 << (desk.bit[read.target[e]] - 1)
            n_groups += 1
        desk.group[e - read.first[u]] = own
        group[o], weight[o] = g + own, read.take[e]
        o += 1
    for q in range(read.pair_first[u], read.pair_first[u + 1]):
        a, b = np.int64(read.pair_a[q]), np.int64(read.pair_b[q])
        one, other = desk.group[a - read.first[u]], desk.group[b - read.first[u]]
        own = one + other
        if one > 0 and other > 0:
            own = n_groups
            bits[g + own, 0] = min(bits[g + one, 1], bits[g + other, 1])
            bits[g + own, 1] = max(bits[g + one, 1], bits[g + other, 1])
            n_groups += 1
        group[o], weight[o] = g + own, read.take[a] + read.take[b] + read.bond[q]
        o += 1
    for k in range(begin, o):
        choice[k], absent[k] = at + k - begin, -1
    if read.tied[u]:
        bits[g + n_groups, 1] = 1 << (desk.bit[u] - 1)
        group[o], weight[o], choice[o], absent[o] = g + n_groups, -read.node[u], at, u
        n_groups += 1
        o += 1
    return n_groups, o


@inner
def _weigh(group: Ints, share: Floats, weight: Floats) -> float:
    """Add up the weights of options by group, and leave the share of each in its group; return what was taken out."""
    top = -np.inf
    for o in range(len(share)):
        top = max(top, share[o])
        weight[group[o]] = -np.inf
    for o in range(len(share)):
        share[o] -= top
        weight[group[o]] = log_add(weight[group[o]], share[o])
    for o in range(len(share)):
        share[o] = math.exp(share[o] - weight[group[o]])
    return top


@inner
def _close(read: _Read, u: int, desk: _Desk, n: int, place: Ints, leave: Floats) -> int:
    """Close the daughters of whom a mother is the last one, and herself; return how many."""
    closed = 0
    for k in range(n - 1, -1, -1):
        d = desk.daughter[k]
        if desk.to_come[d] > 0 or (read.tied[d] and d != u):
            continue
        desk.bit[d] = 0
        for above in range(k + 1, n - closed):
            moved = desk.daughter[above]
            desk.daughter[above - 1] = moved
            desk.bit[moved] = above
        place[closed], leave[closed] = k, read.leave[d]
        closed += 1
    return closed
