"""What the sweeps over pieces do, step by step: written at once, then read on the way there, on the way back, by draws.

At each step one mother chooses. Before that the daughters of whom she is the first mother open, each with a bit of her
own above all others; after it those of whom she is the last one close, from the highest bit down, and what is above a
closed bit moves down by one. Options that set the same bits are one group, so a sweep sees groups only.

An optional cell whose roles are tied has one more option: not being selected. It sets the cell's own bit, as a parent
does, so it is open to those without a parent only; then that bit closes as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from .graph import spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

MASK: Final = 32
"""Bits that a mask of bits may take."""


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


class _Bits(NamedTuple):
    """When the daughters that are remembered are open, in the order in which they open, and which bit they have then.

    The bit of daughter d is ``rank[at[d] + step - opened[d]]``.
    """

    number: Ints
    opened: Ints
    closed: Ints
    at: Ints
    rank: Ints
    n_open: Ints

    def of(self, cell: Ints, step: Ints) -> Ints:
        """Return the bits of cells at steps at which they are open."""
        d = self.number[cell]
        return np.asarray(1 << self.rank[self.at[d] + step - self.opened[d]])


def write_script(graph: ChoiceGraph, cut: Cut, first: Ints, mother: Ints) -> tuple[Script, Options, Floats]:
    """Return what sweeps over pieces do, the options behind it, and what is taken out of the weights of each step.

    Parameters
    ----------
    graph, cut
        n cells, m links; no daughter that is remembered has mothers in two of the pieces.
    first, mother : (p + 1,), (L,) int64
        Mothers of each piece in the order of the sweep; a tied cell after all its own mothers.
    """
    n_steps = len(mother)
    link, step = spans(graph.first, mother)
    bits = _bits(graph, cut, mother, link, step)
    bit = np.zeros(len(link), np.int64)
    kept = cut.shared[link]
    bit[kept] = bits.of(graph.target[link[kept]], step[kept])

    pair, pair_step = spans(graph.pair_first, mother)
    tied = np.flatnonzero(cut.tied[mother])
    a, b = graph.pair_a[pair], graph.pair_b[pair]
    of_first = np.searchsorted(step, np.arange(n_steps)) - graph.first[mother]  # from links to their rows here
    at = np.concatenate([np.arange(n_steps), step, pair_step, tied])
    weight = np.concatenate(
        [cut.idle[mother], cut.take[link], cut.take[a] + cut.take[b] + graph.bond[pair], -graph.node[mother[tied]]]
    )
    mask = np.concatenate(
        [
            np.zeros(n_steps, np.int64),
            bit,
            bit[a + of_first[pair_step]] | bit[b + of_first[pair_step]],
            bits.of(mother[tied], tied),
        ]
    )
    none = graph.none_of(mother)
    choice = np.concatenate([none, graph.single_of(link), graph.pair_of(pair), none[tied]])
    absent = np.full(len(at), -1, np.int64)
    absent[len(at) - len(tied) :] = mother[tied]

    top = np.full(n_steps, -np.inf)
    np.maximum.at(top, at, weight)
    weight -= top[at]
    key = (at << MASK) | mask
    order = np.argsort(key)
    key = key[order]
    new = np.append(True, key[1:] != key[:-1])[: len(key)]
    group = np.empty(len(key), np.int64)
    group[order] = np.cumsum(new) - 1
    begin = np.flatnonzero(new)
    grouped = np.logaddexp.reduceat(weight[order], begin) if len(begin) else np.empty(0)
    key = key[begin]
    mask = key & ((1 << MASK) - 1)
    low = mask & -mask
    several = mask != low
    group_first = np.searchsorted(key >> MASK, np.arange(n_steps + 1))

    closing = np.lexsort((-bits.rank[bits.at + bits.closed - bits.opened], bits.closed))
    cell = np.flatnonzero(bits.number >= 0)
    cell = cell[np.argsort(bits.number[cell])][closing]
    leave, closed = cut.leave[cell], bits.closed[closing]
    least = np.minimum.reduceat(grouped, group_first[:-1]) if n_steps else grouped
    top += np.bincount(closed, np.maximum(leave, 0.0), n_steps)
    top[tied] += graph.node[mother[tied]]
    script = Script(
        first=first,
        opened=np.bincount(bits.opened, minlength=n_steps),
        n_open=bits.n_open,
        group_first=group_first,
        bits=np.stack([np.where(several, low, 0), np.where(several, mask - low, mask)], axis=1),
        weight=grouped,
        closed_first=np.searchsorted(closed, np.arange(n_steps + 1)),
        place=bits.rank[bits.at + bits.closed - bits.opened][closing],
        leave=leave,
        span=least - np.bincount(closed, np.abs(leave), n_steps),
    )
    return script, Options(group, choice, absent, np.exp(weight - grouped[group])), top


def _bits(graph: ChoiceGraph, cut: Cut, mother: Ints, link: Ints, step: Ints) -> _Bits:
    """Tell when each daughter is open, and her bit at each of these steps: how many below her opened before."""
    shared = cut.shared[link]
    cell, step = graph.target[link[shared]], step[shared]
    found, begin = np.unique(cell, return_index=True)
    order = np.argsort(begin)
    found, opened = found[order], step[begin[order]]
    number = np.full(graph.n_cells, -1, np.int64)
    number[found] = np.arange(len(found))
    closed = np.zeros(len(found), np.int64)
    np.maximum.at(closed, number[cell], step)
    own = np.flatnonzero(cut.tied[mother])
    closed[number[mother[own]]] = own
    size = closed - opened + 1
    at = np.cumsum(size) - size
    daughter = np.repeat(np.arange(len(found)), size)
    when = np.arange(len(daughter)) - at[daughter] + opened[daughter]
    by_step = np.argsort(when, kind="stable")
    n_open = np.bincount(when, minlength=len(mother))
    rank = np.empty(len(daughter), np.int64)
    rank[by_step] = np.arange(len(daughter)) - (np.cumsum(n_open) - n_open)[when[by_step]]
    return _Bits(number, opened, closed, at, rank, n_open)
