"""States of a sweep, forward and back: weights of which daughters are taken, or logarithms of these weights.

Sums of weights are quick, with a factor taken out at each step; where weights lie too far apart for that, the same
sweep adds logarithms. Each function here does either, as its last argument says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ..inner import inner
from .components import log_add

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .script import Script

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

SUM: Final = 0
LOG_SUM: Final = 1
"""What states hold: weights, or their logarithms."""

FARTHEST: Final = -690.0
"""Nats below the largest state that a plain sum may reach in one step; float64 ends a little below."""


@njit(cache=True, nogil=True)
def sweep_forward(
    script: Script, pieces: Ints, kept_at: Ints, kept: Floats, log_z: Floats, sure: Bools, most: int, mode: int
) -> None:
    """Sweep over pieces and keep the states before each step.

    Parameters
    ----------
    script : Script
        What to do at each step.
    pieces : (k,) int64
        Which pieces.
    kept_at, kept
        Where states are kept (`Script.kept_at`), and the room for them.
    log_z : (p,) float64
        Is written: the logarithm of what the states of each piece sum to in the end.
    sure : (p,) bool
        Is written: whether plain sums could be trusted.
    most : int
        Daughters that are open at once at most.
    mode : int
        `SUM` or `LOG_SUM`.
    """
    now = np.empty(2 << most)
    for p in pieces:
        now[0] = 1.0 if mode == SUM else 0.0
        n_open = 0
        least = 0.0
        log_z[p] = 0.0
        sure[p] = True
        for t in range(script.first[p], script.first[p + 1]):
            n_open += script.opened[t]
            before = kept[kept_at[t] : kept_at[t + 1]]
            open_up(now, before, script.opened[t], mode)
            choose(script, t, before, now, mode)
            n_open = close_up(script, t, now, n_open, mode)
            if mode == SUM:
                if not least + script.span[t] > FARTHEST:
                    sure[p] = False
                    break
                factor, least = rescale(now, 1 << n_open)
                log_z[p] += factor
        if mode != SUM:
            log_z[p] = now[0]


@njit(cache=True, nogil=True)
def sweep_backward(
    script: Script,
    pieces: Ints,
    kept_at: Ints,
    kept: Floats,
    after: Floats,
    mass: Floats,
    sure: Bools,
    most: int,
    mode: int,
) -> None:
    """Sweep back over pieces and write the probability of each group of options.

    Parameters
    ----------
    script, pieces, kept_at, kept, most, mode
        As in `sweep_forward`, which came before.
    after : float64
        Is written, if there is room: what each state after a mother chose leads to, at the places of `kept`.
    mass : (G,) float64
        Is written: the probability of each group.
    sure : (p,) bool
        Is set to false where plain sums cannot be trusted.
    """
    beta, back = np.empty(2 << most), np.empty(2 << most)
    for p in pieces:
        beta[0] = 1.0 if mode == SUM else 0.0
        n_open = 0
        least = 0.0
        for t in range(script.first[p + 1] - 1, script.first[p] - 1, -1):
            if mode == SUM and not least + script.span[t] > FARTHEST:
                sure[p] = False
                break
            n_open = reopen(script, t, beta, back, n_open, mode)
            if len(after):
                after[kept_at[t] : kept_at[t + 1]] = beta[: 1 << n_open]
            choose_back(script, t, kept[kept_at[t] : kept_at[t + 1]], beta, back, mass, mode)
            beta, back = back, beta
            n_open -= script.opened[t]
            if mode == SUM:
                _, least = rescale(beta, 1 << n_open)


@inner
def open_up(now: Floats, before: Floats, opened: int, mode: int) -> None:
    """Write the states before a mother chooses: nobody has taken the daughters who open."""
    was = len(before) >> opened
    for s in range(len(before)):
        before[s] = now[s] if s < was else (0.0 if mode == SUM else -np.inf)


@inner
def choose(script: Script, t: int, before: Floats, now: Floats, mode: int) -> None:
    """Let the mother of a step choose: write the states after it."""
    for s in range(len(before)):
        now[s] = 0.0 if mode == SUM else -np.inf
    for g in range(script.group_first[t], script.group_first[t + 1]):
        spread(before, now, script.bits[g, 0], script.bits[g, 1], weight_of(script, g, mode), mode)


@inner
def choose_back(script: Script, t: int, before: Floats, beta: Floats, back: Floats, mass: Floats, mode: int) -> None:
    """Undo on the way back what the mother of a step chose, and write the probability of each group of hers."""
    for s in range(len(before)):
        back[s] = 0.0 if mode == SUM else -np.inf
    for g in range(script.group_first[t], script.group_first[t + 1]):
        mass[g] = gather(before, beta, back, script.bits[g, 0], script.bits[g, 1], weight_of(script, g, mode), mode)
    _share(mass, script.group_first[t], script.group_first[t + 1], mode)


@inner
def close_up(script: Script, t: int, now: Floats, n_open: int, mode: int) -> int:
    """Close the daughters whose last mother chose; return how many stay open."""
    for c in range(script.closed_first[t], script.closed_first[t + 1]):
        n_open -= 1
        _close(now, 1 << n_open, script.place[c], script.leave[c], mode)
    return n_open


@inner
def reopen(script: Script, t: int, beta: Floats, spare: Floats, n_open: int, mode: int) -> int:
    """Undo on the way back the closing of daughters after a step; return how many are open then."""
    for c in range(script.closed_first[t + 1] - 1, script.closed_first[t] - 1, -1):
        _reopen(beta, spare, 1 << n_open, script.place[c], script.leave[c], mode)
        n_open += 1
    return n_open


@inner
def weight_of(script: Script, g: int, mode: int) -> float:
    """Return what states are multiplied by, or their logarithms go up by, where a mother takes a group of options."""
    return float(script.factor[g] if mode == SUM else script.weight[g])


@inner
def spread(old: Floats, new: Floats, low: int, high: int, weight: float, mode: int) -> None:
    """Add to each state with the bits `low` and `high` set what reaches it from the state without; 0 is no bit."""
    size = len(old)
    inmost = low if low > 0 else (high if high > 0 else size)
    step = 2 * high if high > 0 else size
    half = high if low > 0 else inmost
    stride = 2 * low if low > 0 else half
    shift = low + high
    for outer in range(0, size, step):
        for middle in range(outer, outer + half, stride):
            if mode == SUM:
                for s in range(middle, middle + inmost):
                    new[s + shift] += weight * old[s]
            else:
                for s in range(middle, middle + inmost):
                    new[s + shift] = log_add(new[s + shift], weight + old[s])


@inner
def gather(alpha: Floats, beta: Floats, back: Floats, low: int, high: int, weight: float, mode: int) -> float:
    """Add to each state without the bits what it reaches by setting them; return what passes through here in all."""
    size = len(alpha)
    inmost = low if low > 0 else (high if high > 0 else size)
    step = 2 * high if high > 0 else size
    half = high if low > 0 else inmost
    stride = 2 * low if low > 0 else half
    shift = low + high
    total = 0.0 if mode == SUM else -np.inf
    for outer in range(0, size, step):
        for middle in range(outer, outer + half, stride):
            if mode == SUM:
                for s in range(middle, middle + inmost):
                    x = weight * beta[s + shift]
                    back[s] += x
                    total += alpha[s] * x
            else:
                for s in range(middle, middle + inmost):
                    x = weight + beta[s + shift]
                    back[s] = log_add(back[s], x)
                    total = log_add(total, alpha[s] + x)
    return total


@inner
def _close(now: Floats, size: int, place: int, leave: float, mode: int) -> None:
    """Close a daughter: add up the states without and with her bit, of which `size` are left."""
    left, taken = min(leave, 0.0), min(-leave, 0.0)
    exp_left, exp_taken = math.exp(left), math.exp(taken)
    below = (1 << place) - 1
    for s in range(size):
        without = ((s & ~below) << 1) | (s & below)
        a, b = now[without], now[without + below + 1]
        now[s] = a * exp_left + b * exp_taken if mode == SUM else log_add(a + left, b + taken)


@inner
def _reopen(beta: Floats, spare: Floats, size: int, place: int, leave: float, mode: int) -> None:
    """Undo on the way back the closing of a daughter; `size` states become twice as many."""
    left, taken = min(leave, 0.0), min(-leave, 0.0)
    exp_left, exp_taken = math.exp(left), math.exp(taken)
    below = (1 << place) - 1
    for s in range(size):
        spare[s] = beta[s]
    for s in range(size):
        without = ((s & ~below) << 1) | (s & below)
        beta[without] = spare[s] * exp_left if mode == SUM else spare[s] + left
        beta[without + below + 1] = spare[s] * exp_taken if mode == SUM else spare[s] + taken


@inner
def rescale(state: Floats, size: int) -> tuple[float, float]:
    """Scale weights to a sum of 1; return the logarithms of what was taken out, and of the least one then."""
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


@inner
def _share(mass: Floats, begin: int, end: int, mode: int) -> None:
    """Scale what passes through the groups of a step to a sum of 1."""
    top = -np.inf
    for g in range(begin, end):
        top = max(top, mass[g])
    total = 0.0
    for g in range(begin, end):
        mass[g] = mass[g] / top if mode == SUM else math.exp(mass[g] - top)
        total += mass[g]
    for g in range(begin, end):
        mass[g] /= total
