"""The sweep that tries an answer: forward over the mothers of a piece, and back.

A question sweeps its piece once for each set of daughters that its mother may take. One compiled pass does all of them
in the same arrays; `frontier` writes a script first, which pays where many pieces are swept once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..inner import inner
from .components import log_add
from .trial_states import (
    LOG_SUM,
    SUM,
    Tape,
    close_weights,
    gather,
    list_options,
    own_weights,
    rescale,
    spread,
    with_bit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .components import Cut
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

FARTHEST = -690.0
"""Nats below the largest state that a plain sum may reach in one step; float64 ends a little below."""


@inner
def sweep_forward(graph: ChoiceGraph, cut: Cut, mothers: Ints, tape: Tape, mode: int) -> tuple[float, bool]:
    """Sweep over a piece; return the logarithm of its weight, and whether plain sums could be trusted."""
    nothing = 0.0 if mode == SUM else -np.inf
    now, then = tape.now, tape.then
    n_left, place = tape.n_left, tape.place
    bits = tape.bits
    n_open = int(np.int64(0))  # a constant would be compiled for itself
    now[0] = 1.0 if mode == SUM else 0.0
    log_z = 0.0
    least = 0.0
    tape.kept_at[0] = 0
    for t in range(len(mothers)):
        u = mothers[t]
        span = 0.0
        opened = 0
        for e in range(graph.first[u], graph.first[u + 1]):
            d = graph.target[e]
            if cut.shared[e] and place[d] < 0:
                place[d] = n_open
                bits[n_open] = d
                size = 1 << n_open
                for s in range(size, 2 * size):
                    now[s] = nothing
                n_open += 1
                opened += 1
        tape.opened[t] = opened
        at = tape.kept_at[t]
        tape.own[t] = -1
        if cut.tied[u]:
            own = place[u]
            tape.own[t] = own
            n_open = _forget(bits, place, n_open, own)
            size = 1 << n_open
            born, led, out, top = own_weights(cut, graph, u)
            log_z += top
            for s in range(size):
                without = with_bit(s, own)
                tape.kept[at + s] = now[without]
                tape.kept[at + size + s] = now[without + (1 << own)]
            tape.kept_at[t + 1] = at + 2 * size
            for s in range(size):
                absent, taken = tape.kept[at + s], tape.kept[at + size + s]
                if mode == SUM:
                    now[s] = absent * math.exp(born) + taken * math.exp(led)
                elif mode == LOG_SUM:
                    now[s] = log_add(absent + born, taken + led)
                else:
                    now[s] = max(absent + born, taken + led)
            span += min(born, led)
        else:
            size = 1 << n_open
            for s in range(size):
                tape.kept[at + s] = now[s]
            tape.kept_at[t + 1] = at + size
        tape.n_open[t] = n_open
        for k in range(n_open):
            tape.layout[t, k] = bits[k]
        _, n_groups, top = list_options(
            graph, cut, u, place, tape.weight, tape.group, tape.low, tape.high, tape.grouped, mode
        )
        for s in range(size):
            then[s] = nothing
        rarest = np.inf
        for g in range(n_groups):
            rarest = min(rarest, tape.grouped[g])
            spread(now, then, size, tape.low[g], tape.high[g], tape.grouped[g], mode)
        if mode == SUM:
            span += math.log(rarest)
        if cut.tied[u]:  # not selected: no daughter, and the options' common factor is not its own
            out -= top
            for s in range(size):
                if mode == SUM:
                    then[s] += math.exp(min(out, 700.0)) * tape.kept[at + s]
                elif mode == LOG_SUM:
                    then[s] = log_add(then[s], out + tape.kept[at + s])
                else:
                    then[s] = max(then[s], out + tape.kept[at + s])
            span -= abs(out)
        log_z += top
        now, then = then, now
        for e in range(graph.first[u], graph.first[u + 1]):
            d = graph.target[e]
            if not cut.shared[e]:
                continue
            n_left[d] -= 1
            if n_left[d] > 0 or cut.tied[d]:
                continue
            tape.place_closed[d] = place[d]
            tape.closed_by[d] = u
            left, taken, top = close_weights(cut.leave[d])
            log_z += top
            span += min(left, taken)
            bit = 1 << place[d]
            at_bit = place[d]
            n_open = _forget(bits, place, n_open, at_bit)
            for s in range(1 << n_open):
                without = with_bit(s, at_bit)
                if mode == SUM:
                    now[s] = now[without] * math.exp(left) + now[without + bit] * math.exp(taken)
                elif mode == LOG_SUM:
                    now[s] = log_add(now[without] + left, now[without + bit] + taken)
                else:
                    now[s] = max(now[without] + left, now[without + bit] + taken)
        if mode == SUM:
            tape.span[t] = span
            if not least + span > FARTHEST:
                reset(graph, cut, mothers, tape)
                return 0.0, False
            factor, least = rescale(now, 1 << n_open)
            log_z += factor
    if mode != SUM:
        log_z += now[0]
    reset(graph, cut, mothers, tape)
    return log_z, True


@inner
def _forget(bits: Ints, place: Ints, n_open: int, at: int) -> int:
    """Take a daughter out of the open ones; those above move down."""
    place[bits[at]] = -1
    for k in range(at + 1, n_open):
        bits[k - 1] = bits[k]
        place[bits[k]] = k - 1
    return n_open - 1


@inner
def reset(graph: ChoiceGraph, cut: Cut, mothers: Ints, tape: Tape) -> None:
    """Leave the tape as if the piece had never been swept: other mothers of its daughters are to come."""
    for u in mothers:
        for e in range(graph.first[u], graph.first[u + 1]):
            if cut.shared[e]:
                tape.n_left[graph.target[e]] = 0
                tape.place[graph.target[e]] = -1
    for u in mothers:
        for e in range(graph.first[u], graph.first[u + 1]):
            if cut.shared[e]:
                tape.n_left[graph.target[e]] += 1


@inner
def sweep_backward(
    graph: ChoiceGraph, cut: Cut, mothers: Ints, tape: Tape, mode: int, choice: Floats, absent: Floats
) -> bool:
    """Sweep back over a piece and write what its mothers choose; return whether plain sums could be trusted."""
    nothing = 0.0 if mode == SUM else -np.inf
    beta, back = tape.now, tape.then
    alpha, mass = tape.alpha, tape.mass
    least = 0.0
    beta[0] = 1.0 if mode == SUM else 0.0
    n_open = int(np.int64(0))
    for t in range(len(mothers) - 1, -1, -1):
        u = mothers[t]
        if mode == SUM and not least + tape.span[t] > FARTHEST:
            return False
        n_open = _reopen(graph, cut, u, tape, beta, back, n_open, mode)
        size = 1 << n_open
        for k in range(n_open):
            tape.place[tape.layout[t, k]] = k
        n_options, n_groups, top = list_options(
            graph, cut, u, tape.place, tape.weight, tape.group, tape.low, tape.high, tape.grouped, mode
        )
        for k in range(n_open):
            tape.place[tape.layout[t, k]] = -1
        at = tape.kept_at[t]
        tied = cut.tied[u]
        born, led, out, _ = own_weights(cut, graph, u)
        out -= top
        for s in range(size):
            alpha[s] = tape.kept[at + s]
            if tied and mode == SUM:
                alpha[s] = alpha[s] * math.exp(born) + tape.kept[at + size + s] * math.exp(led)
            elif tied:
                alpha[s] = log_add(alpha[s] + born, tape.kept[at + size + s] + led)
            back[s] = nothing
        for g in range(n_groups):
            mass[g] = gather(alpha, beta, back, size, tape.low[g], tape.high[g], tape.grouped[g], mode)
        gone = nothing
        if tied:
            for s in range(size):
                if mode == SUM:
                    gone += tape.kept[at + s] * math.exp(out) * beta[s]
                else:
                    gone = log_add(gone, tape.kept[at + s] + out + beta[s])
        _write_choice(graph, u, tape, n_options, n_groups, mass, gone, mode, choice, absent)
        if tied:
            own = tape.own[t]
            for s in range(size):
                alpha[s] = beta[s]
            for s in range(size):
                without = with_bit(s, own)
                if mode == SUM:
                    beta[without] = math.exp(born) * back[s] + math.exp(out) * alpha[s]
                    beta[without + (1 << own)] = math.exp(led) * back[s]
                else:
                    beta[without] = log_add(born + back[s], out + alpha[s])
                    beta[without + (1 << own)] = led + back[s]
            n_open += 1
        else:
            beta, back = back, beta
        n_open -= tape.opened[t]
        if mode == SUM:
            _, least = rescale(beta, 1 << n_open)
    return True


@njit(cache=True, inline="always")
def _reopen(
    graph: ChoiceGraph, cut: Cut, u: int, tape: Tape, beta: Floats, spare: Floats, n_open: int, mode: int
) -> int:
    """Undo, on the way back, the closing of the daughters whose last mother is u."""
    for e in range(graph.first[u + 1] - 1, graph.first[u] - 1, -1):
        d = graph.target[e]
        if not cut.shared[e] or tape.closed_by[d] != u or cut.tied[d]:
            continue
        left, taken, _ = close_weights(cut.leave[d])
        at = tape.place_closed[d]
        for s in range(1 << n_open):
            spare[s] = beta[s]
        for s in range(1 << n_open):
            without = with_bit(s, at)
            if mode == SUM:
                beta[without] = spare[s] * math.exp(left)
                beta[without + (1 << at)] = spare[s] * math.exp(taken)
            else:
                beta[without] = spare[s] + left
                beta[without + (1 << at)] = spare[s] + taken
        n_open += 1
    return n_open


@njit(cache=True, inline="always")
def _write_choice(
    graph: ChoiceGraph,
    u: int,
    tape: Tape,
    n_options: int,
    n_groups: int,
    mass: Floats,
    gone: float,
    mode: int,
    choice: Floats,
    absent: Floats,
) -> None:
    """Share the mass of each group among its options; not being selected counts as taking none."""
    if mode != SUM:
        top = gone
        for g in range(n_groups):
            top = max(top, mass[g])
        gone = math.exp(gone - top)
        for g in range(n_groups):
            mass[g] = math.exp(mass[g] - top)
    total = gone
    for g in range(n_groups):
        total += mass[g]
    at = u + graph.first[u] + graph.pair_first[u]
    for o in range(n_options):
        of = tape.grouped[tape.group[o]]
        share = math.exp(tape.weight[o]) / of if mode == SUM else math.exp(tape.weight[o] - of)
        choice[at + o] = mass[tape.group[o]] / total * share
    choice[at] += gone / total
    absent[u] = gone / total
