"""What the mothers of a piece do once it is known what one of them does, from her step onward and back.

What came before her step is known from the sweep forward, what comes after it from the way back. So both are swept
again only from her on, and only until the states are those without the answer: from there on nothing changes. An answer
changes what a few mothers around do, so that a piece of thousands costs no more than one of ten.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ..inner import inner
from .states import FARTHEST, SUM, choose, choose_back, close_up, gather, open_up, reopen, rescale, spread, weight_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .script import Script

    Floats = NDArray[np.float64]

SAME: Final = 1e-12
"""States that sum to 1 and are no farther apart than this are the same."""


class Kept(NamedTuple):
    """What sweeps over pieces, forward and back, leave behind: see `states.sweep_backward`.

    Parameters
    ----------
    at : (L + 1,) int64
        Where the states of each step are kept.
    before, after : float64
        Weights of the states before each mother chooses, and what those after it lead to.
    mass : (G,) float64
        Probability of each group of options.
    """

    at: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    mass: NDArray[np.float64]


@inner
def onward(
    script: Script, kept: Kept, t: int, end: int, g: int, room: tuple[Floats, Floats, Floats], mass: Floats, mode: int
) -> tuple[int, bool]:
    """Sweep on from a step at which the mother is known to take a group of options.

    Writes the probability of each group of the mothers whom that changes. Returns the step before which it ends to
    change anything, and whether plain sums can be trusted.
    """
    now, alpha, spare = room
    before = kept.before[kept.at[t] : kept.at[t + 1]]
    for s in range(len(before)):
        now[s] = 0.0 if mode == SUM else -np.inf
    spread(before, now, script.bits[g, 0], script.bits[g, 1], weight_of(script, g, mode), mode)
    least = 0.0
    n_open = script.n_open[t]
    while True:
        n_open = close_up(script, t, now, n_open, mode)
        if mode == SUM:
            if not least + script.span[t] > FARTHEST:
                return t + 1, False
            _, least = rescale(now, 1 << n_open)
        t += 1
        if t == end:
            return t, True
        n_open += script.opened[t]
        size = 1 << n_open
        open_up(now, alpha[:size], script.opened[t], mode)
        if mode == SUM and _same(alpha, kept.before[kept.at[t] : kept.at[t + 1]]):
            return t, True
        choose_back(script, t, alpha[:size], kept.after[kept.at[t] : kept.at[t + 1]], spare, mass, mode)
        choose(script, t, alpha[:size], now, mode)


@inner
def backward(
    script: Script, kept: Kept, t: int, begin: int, g: int, room: tuple[Floats, Floats, Floats], mass: Floats, mode: int
) -> tuple[int, bool]:
    """Sweep back from a step at which the mother is known to take a group of options; as `onward`.

    Returns the first step at which it changes something.
    """
    beta, back, spare = room
    size = kept.at[t + 1] - kept.at[t]
    for s in range(size):
        back[s] = 0.0 if mode == SUM else -np.inf
        spare[s] = 0.0
    after = kept.after[kept.at[t] : kept.at[t + 1]]
    gather(spare[:size], after, back, script.bits[g, 0], script.bits[g, 1], weight_of(script, g, mode), mode)
    n_open = script.n_open[t]
    while True:
        beta, back = back, beta
        n_open -= script.opened[t]
        if t == begin:
            return t, True
        least = 0.0
        if mode == SUM:
            _, least = rescale(beta, 1 << n_open)
        t -= 1
        if mode == SUM and not least + script.span[t] > FARTHEST:
            return t, False
        n_open = reopen(script, t, beta, back, n_open, mode)
        if mode == SUM and _same(beta, kept.after[kept.at[t] : kept.at[t + 1]]):
            return t + 1, True
        choose_back(script, t, kept.before[kept.at[t] : kept.at[t + 1]], beta, back, mass, mode)


@inner
def _same(some: Floats, others: Floats) -> bool:
    """Tell whether states are those that were kept."""
    apart = 0.0
    for s in range(len(others)):
        apart += math.fabs(some[s] - others[s])
    return apart < SAME
