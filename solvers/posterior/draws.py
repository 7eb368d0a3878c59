"""Whole selections of a problem: drawn as often as they are likely, or the likeliest of all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ...errors import ConfigError
from ..inner import inner
from .components import OPTIONAL, log_add
from .frontier import sweep_forward
from .graph import ChoiceGraph
from .plan import WIDTH, require_narrow, whole_plan
from .states import LOG_MAX, SUM, Tape, close_weights, list_options, new_tape, own_weights, with_bit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .components import Cut
    from .plan import Plan

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


def draw_selections(
    problem: TrackingProblem, n_draws: int, *, temperature: float = 1.0, width: int = WIDTH, seed: int = 0
) -> tuple[Bools, Bools]:
    """Draw selections independently, each with its probability under exp(-objective / temperature).

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges; without conflicts.
    n_draws : int
        How many.
    temperature, width
        As in `marginals.estimate`.
    seed : int
        The same draws for the same seed.

    Returns
    -------
    edge : (n_draws, m) bool
        Links of each selection.
    node : (n_draws, n) bool
        Its detections.

    Raises
    ------
    ConfigError
        If an option makes no sense.
    SolverError
        If a piece is too wide.
    """
    if n_draws < 1:
        raise ConfigError(f"n_draws is {n_draws}, expected 1 or more")
    graph = ChoiceGraph.of(problem, temperature)
    plan = whole_plan(graph, width)
    require_narrow(plan, width)
    link, absent = _draw(graph, plan, n_draws, SUM, seed)
    alone = np.exp(-np.logaddexp(0.0, -_alone(graph)))
    by_chance = np.random.default_rng([seed, 1]).random((n_draws, graph.n_cells)) < alone
    return _whole(problem, graph, plan.cut.tied, link, absent, by_chance)


def likeliest_selection(problem: TrackingProblem, *, width: int = WIDTH) -> tuple[Bools, Bools]:
    """Return the links (m,) and detections (n,) of the likeliest selection: one of the cheapest ones.

    Parameters
    ----------
    problem, width
        As in `draw_selections`.

    Raises
    ------
    SolverError
        If a piece is too wide.
    """
    graph = ChoiceGraph.of(problem)
    plan = whole_plan(graph, width)
    require_narrow(plan, width)
    link, absent = _draw(graph, plan, 1, LOG_MAX, 0)
    edge, node = _whole(problem, graph, plan.cut.tied, link, absent, (_alone(graph) > 0)[None])
    return edge[0], node[0]


def _alone(graph: ChoiceGraph) -> NDArray[np.float64]:
    """Return the log weight of each cell being selected without any link."""
    return graph.new + graph.node + graph.none


def _whole(
    problem: TrackingProblem, graph: ChoiceGraph, tied: Bools, link: Bools, absent: Bools, alone: Bools
) -> tuple[Bools, Bools]:
    """Bring links to the rows of the problem, and tell which cells are selected."""
    n_draws = len(link)
    edge = np.zeros((n_draws, problem.n_edges), dtype=np.bool_)
    edge[:, graph.row] = link
    linked = np.zeros((n_draws, graph.n_cells), dtype=np.bool_)
    draw, which = np.nonzero(link)
    linked[draw, graph.source[which]] = True
    linked[draw, graph.target[which]] = True
    free = np.where(tied, ~absent, alone)
    node = (graph.state > OPTIONAL) | linked | ((graph.state == OPTIONAL) & free)
    return edge, node


def _draw(graph: ChoiceGraph, plan: Plan, n_draws: int, mode: int, seed: int) -> tuple[Bools, Bools]:
    """Return the links of each draw, and which of the cells whose roles are tied are not selected."""
    room, most = int(plan.sweep.n_states.max(initial=1)), int(plan.sweep.width.max(initial=0))
    link = np.zeros((n_draws, graph.n_links), dtype=np.bool_)
    absent = np.zeros((n_draws, graph.n_cells), dtype=np.bool_)
    rng = np.random.default_rng(seed)
    tape = new_tape(graph, plan.cut.shared, plan.pieces.first, room, most)
    _draw_all(graph, plan.cut, plan.pieces.first, plan.sweep.mother, tape, mode, rng, link, absent)
    return link, absent


@njit(cache=True, nogil=True)
def _draw_all(
    graph: ChoiceGraph,
    cut: Cut,
    first: Ints,
    mother: Ints,
    tape: Tape,
    mode: int,
    rng: np.random.Generator,
    link: Bools,
    absent: Bools,
) -> None:
    for p in range(len(first) - 1):
        mothers = mother[first[p] : first[p + 1]]
        for how in range(mode, LOG_MAX + 1):  # of a sum that cannot be trusted, the logarithms
            _, sure = sweep_forward(graph, cut, mothers, tape, how)
            if sure:
                break
        for r in range(len(link)):
            draw_piece(graph, cut, mothers, tape, how, rng, link[r], absent[r])


@inner
def draw_piece(
    graph: ChoiceGraph,
    cut: Cut,
    mothers: Ints,
    tape: Tape,
    mode: int,
    rng: np.random.Generator,
    link: Bools,
    absent: Bools,
) -> None:
    """Go back over a piece and choose, at each mother, among what may have led to the state after her."""
    state = int(np.int64(0))  # a constant would be compiled for itself
    closed = np.empty(64, np.int64)
    for t in range(len(mothers) - 1, -1, -1):
        u = mothers[t]
        n_closed = 0
        for e in range(graph.first[u + 1] - 1, graph.first[u] - 1, -1):
            d = graph.target[e]
            if cut.shared[e] and not cut.tied[d] and tape.closed_by[d] == u:
                closed[n_closed] = d
                n_closed += 1
        for k in range(tape.n_open[t]):
            tape.place[tape.layout[t, k]] = k
        n_options, _, top = list_options(
            graph, cut, u, tape.place, tape.weight, tape.group, tape.low, tape.high, tape.grouped, mode
        )
        for k in range(tape.n_open[t]):
            tape.place[tape.layout[t, k]] = -1
        at = tape.kept_at[t]
        size = 1 << tape.n_open[t]
        born, led, out, _ = own_weights(cut, graph, u)
        out -= top
        best = -np.inf
        chosen, before, gone = -1, 0, False
        for combination in range(1 << n_closed):
            after = state
            paid = 0.0
            for k in range(n_closed):
                place = tape.place_closed[closed[k]]
                after = with_bit(after, place)
                left, taken, _ = close_weights(cut.leave[closed[k]])
                if combination >> k & 1:
                    after |= 1 << place
                    paid += taken
                else:
                    paid += left
            for o in range(n_options):
                if tape.weight[o] == -np.inf:
                    continue
                g = tape.group[o]
                bits = tape.low[g] + tape.high[g]
                if after & bits != bits:
                    continue
                s = after - bits
                weight = _log_kept(tape, at + s, mode)
                if cut.tied[u]:
                    weight = weight + born
                    other = _log_kept(tape, at + size + s, mode) + led
                    weight = max(weight, other) if mode == LOG_MAX else log_add(weight, other)
                wins, best = _wins(paid + tape.weight[o] + weight, best, mode, rng)
                if wins:
                    chosen, before, gone = o, s, False
            if cut.tied[u]:
                wins, best = _wins(paid + out + _log_kept(tape, at + after, mode), best, mode, rng)
                if wins:
                    chosen, before, gone = 0, after, True
        _mark(graph, u, chosen, link)
        state = before
        if cut.tied[u]:
            absent[u] = gone
            has_parent = False
            if not gone:
                weight = _log_kept(tape, at + before, mode) + born
                other = _log_kept(tape, at + size + before, mode) + led
                has_parent, _ = _wins(other, weight, mode, rng)
            state = with_bit(before, tape.own[t])
            if has_parent:
                state |= 1 << tape.own[t]


@njit(cache=True, inline="always")
def _log_kept(tape: Tape, at: int, mode: int) -> float:
    """Return the logarithm of a state that was kept."""
    if mode != SUM:
        return float(tape.kept[at])
    return math.log(tape.kept[at]) if tape.kept[at] > 0.0 else -math.inf


@njit(cache=True, inline="always")
def _wins(offer: float, best: float, mode: int, rng: np.random.Generator) -> tuple[bool, float]:
    """Tell whether the next of several offers is chosen over those before, and what all of them weigh so far."""
    if mode == LOG_MAX:
        return offer > best, max(offer, best)
    whole = log_add(offer, best)
    return offer > -np.inf and rng.random() < math.exp(offer - whole), whole


@njit(cache=True, inline="always")
def _mark(graph: ChoiceGraph, u: int, option: int, link: Bools) -> None:
    """Select the links of an option."""
    k = graph.first[u + 1] - graph.first[u]
    if option == 0:
        return
    if option <= k:
        link[graph.first[u] + option - 1] = True
        return
    q = graph.pair_first[u] + option - 1 - k
    link[graph.pair_a[q]] = True
    link[graph.pair_b[q]] = True
