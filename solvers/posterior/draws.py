"""Whole selections of a problem: drawn as often as they are likely, or the likeliest of all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ...errors import ConfigError
from ..groups import grouped
from ..inner import inner
from .components import OPTIONAL, log_add
from .frontier import sweep_over
from .graph import ChoiceGraph
from .plan import WIDTH, require_narrow, whole_plan
from .script import write_script

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .frontier import Swept
    from .plan import Plan
    from .script import Options, Script

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]


COLD: Final = 1e-8
"""Temperature at which a millionth, the least by which selections differ, is a hundred nats."""


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
    link, absent = _draw(graph, plan, n_draws, seed)
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
    edge, node = draw_selections(problem, 1, temperature=COLD, width=width)
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


def _draw(graph: ChoiceGraph, plan: Plan, n_draws: int, seed: int) -> tuple[Bools, Bools]:
    """Return the links of each draw, and which of the cells whose roles are tied are not selected."""
    link = np.zeros((n_draws, graph.n_links), dtype=np.bool_)
    absent = np.zeros((n_draws, graph.n_cells), dtype=np.bool_)
    mother = plan.sweep.mother
    if not len(mother):
        return link, absent
    script, options, _ = write_script(graph, plan.cut, plan.pieces.first, mother)
    swept, _ = sweep_over(script, int(plan.sweep.width.max()), both_ways=False)
    drawn = draw_options(script, options, swept, n_draws, np.random.default_rng(seed))
    draw = np.repeat(np.arange(n_draws), len(mother))
    for links in graph.links_of(np.tile(mother, n_draws), options.choice[drawn].ravel()):
        link[draw[links >= 0], links[links >= 0]] = True
    gone = options.absent[drawn]
    absent[draw.reshape(gone.shape)[gone >= 0], gone[gone >= 0]] = True
    return link, absent


def draw_options(script: Script, options: Options, swept: Swept, n_draws: int, rng: np.random.Generator) -> Ints:
    """Draw what happens at each step, (n_draws, L): which of the options of a script; after a sweep forward."""
    group = np.empty((n_draws, len(script.n_open)), dtype=np.int64)
    _draw_groups(script, swept.kept_at, swept.kept, swept.logs, rng, group)
    order, first = grouped(options.group, len(script.weight))
    up_to = np.cumsum(options.share[order])  # the shares of each group sum to 1
    at = np.searchsorted(up_to, group + rng.random(group.shape), side="right")
    return np.asarray(order[np.clip(at, first[group], first[group + 1] - 1)])


@njit(cache=True, nogil=True)
def _draw_groups(
    script: Script, kept_at: Ints, kept: Floats, logs: Bools, rng: np.random.Generator, group: Ints
) -> None:
    """Go back over each piece and choose at each step among what may have led to the state after it."""
    for draw in range(len(group)):
        for p in range(len(logs)):
            state = 0
            for t in range(script.first[p + 1] - 1, script.first[p] - 1, -1):
                best = -np.inf
                before = 0
                for closed in range(1 << (script.closed_first[t + 1] - script.closed_first[t])):
                    after, paid = _before_closing(script, t, state, closed)
                    for g in range(script.group_first[t], script.group_first[t + 1]):
                        bits = script.bits[g, 0] + script.bits[g, 1]
                        if after & bits != bits:
                            continue
                        weight = kept[kept_at[t] + after - bits]
                        if not logs[p]:
                            weight = math.log(weight) if weight > 0.0 else -np.inf
                        offer = paid + script.weight[g] + weight
                        whole = log_add(offer, best)
                        if offer > -np.inf and rng.random() < math.exp(offer - whole):
                            group[draw, t] = g
                            before = after - bits
                        best = whole
                state = before


@inner
def _before_closing(script: Script, t: int, state: int, closed: int) -> tuple[int, float]:
    """Return the state before daughters closed, of whom those in the mask `closed` were taken; and what that weighs."""
    nats = 0.0
    first = script.closed_first[t]
    for c in range(script.closed_first[t + 1] - 1, first - 1, -1):
        bit = 1 << script.place[c]
        below = state & (bit - 1)
        state = ((state - below) << 1) | below
        if closed >> (c - first) & 1:
            state |= bit
            nats += min(-script.leave[c], 0.0)
        else:
            nats += min(script.leave[c], 0.0)
    return state, nats
