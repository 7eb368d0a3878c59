"""Where a graph is cut, so that each piece can be weighed exactly; and what that leaves out.

Pieces that are narrow enough as they are stay whole: nothing of them is left out. In the others, belief propagation
tells which links are unlikely, also by way of a swap; these are cut, and each end sees the other as a message. Cutting
at `prune` is all that is needed where cells move less than they are apart. Where a piece is still too wide, its links
are cut at twice that, and so on: what is said of it is then no better than belief propagation is for the links that
were cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ...errors import SolverError
from .belief import propagate
from .components import OPTIONAL, Pieces, cut_graph, find_pieces, no_messages
from .order import Sweep, order_of_sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .believing import Beliefs
    from .components import Cut, Messages
    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

WIDTH: Final = 14
"""How many daughters may be open at once, unless said otherwise: some 16,000 states for each mother."""


class Plan(NamedTuple):
    """Pieces, each with an order in which its mothers are swept.

    Parameters
    ----------
    cut : Cut
        What is weighed together.
    pieces, sweep
        p pieces and their orders.
    level : (p,) int64
        0 where nothing of the piece is cut; k where its links were cut at ``2**(k - 1)`` times `prune`, so that from 2
        on it is known no better than by belief.
    dropped : (p,) float64
        Estimate of the probability of all that was cut from each piece, by belief propagation, at most 1.
    messages : Messages
        What belief propagation says along what was cut.
    converged : bool
        Whether it came to rest, where it was needed.
    """

    cut: Cut
    pieces: Pieces
    sweep: Sweep
    level: NDArray[np.int64]
    dropped: NDArray[np.float64]
    messages: Messages
    converged: bool


def whole_plan(graph: ChoiceGraph, width: int) -> Plan:
    """Return the plan that cuts nothing; pieces that would need more than `width` are in it."""
    none = no_messages(graph)
    cut = cut_graph(graph, np.ones(graph.n_links, bool), np.ones(graph.n_cells, bool), none)
    pieces = find_pieces(graph, cut.alive, cut.tied, mothers_of(graph))
    sweep = order_of_sweep(graph, cut, pieces, width)
    p = len(sweep.width)
    return Plan(cut, pieces, sweep, np.zeros(p, np.int64), np.zeros(p), none, True)


def belief_plan(graph: ChoiceGraph) -> Plan:
    """Return the plan that cuts everything: what mothers choose follows from messages alone."""
    said = propagate(graph)
    cut = cut_graph(graph, np.zeros(graph.n_links, bool), np.zeros(graph.n_cells, bool), said.messages)
    mothers = mothers_of(graph)
    p = len(mothers)
    pieces = Pieces(np.arange(p + 1), mothers)
    one = np.ones(p, np.int64)
    return Plan(cut, pieces, Sweep(mothers, one - 1, one), 2 * one, np.ones(p), said.messages, said.converged)


def cut_plan(beliefs: Beliefs, prune: float, width: int) -> Plan:
    """Return a plan none of whose pieces needs more than `width`, cut only where that is needed.

    Parameters
    ----------
    beliefs : Beliefs
        Of the graph; it learns of the pieces that are too wide.
    prune : float
        Probability below which links are cut at first.
    width : int
        Most daughters that may be open at once.
    """
    graph = beliefs.graph
    whole = whole_plan(graph, width)
    if not len(whole.sweep.width) or whole.sweep.width.max() <= width:
        return whole
    done = [_some(whole, whole.sweep.width <= width)]
    wide = _some(whole, whole.sweep.width > width)
    beliefs.learn(wide[1])
    likely, absent, messages = beliefs.likely, beliefs.absent, beliefs.messages
    alive, tied = np.ones(graph.n_links, bool), np.ones(graph.n_cells, bool)
    in_wide = np.zeros(graph.n_cells, bool)
    level, threshold = 0, prune
    levels = [np.zeros(len(done[0][0]) - 1, np.int64)]
    while len(wide[1]):
        level += 1
        in_wide[:] = False
        in_wide[wide[1]] = True  # as mothers: what their daughters do later is a piece of its own
        alive &= ~(in_wide[graph.source] & (likely < threshold))
        tied &= ~(in_wide & (absent < threshold))
        cut = cut_graph(graph, alive, tied, messages)
        pieces = find_pieces(graph, cut.alive, cut.tied, wide[1])
        sweep = order_of_sweep(graph, cut, pieces, width)
        part = whole._replace(cut=cut, pieces=pieces, sweep=sweep)
        narrow = sweep.width <= width
        done.append(_some(part, narrow))
        levels.append(np.full(np.count_nonzero(narrow), level))
        wide = _some(part, ~narrow)
        threshold *= 2
    pieces, sweep = _together(done)
    cut = cut_graph(graph, alive, tied, messages)
    dropped = _dropped(graph, cut, pieces, likely, absent)
    return Plan(cut, pieces, sweep, np.concatenate(levels), dropped, messages, beliefs.converged)


def require_narrow(plan: Plan, width: int) -> None:
    """Raise SolverError where a piece of a plan needs more than `width`."""
    if len(plan.sweep.width) and plan.sweep.width.max() > width:
        piece = int(np.argmax(plan.sweep.width > width))
        size = int(np.diff(plan.pieces.first)[piece])
        raise SolverError(
            f"a piece of {size} mothers has {plan.sweep.width[piece]} daughters or more open at once",
            wanted=f"a width of at most {width}",
            use="auto, which cuts what is unlikely, or a larger width",
        )


def piece_of_cells(graph: ChoiceGraph, pieces: Pieces) -> Ints:
    """Return the piece in which each cell is a mother, -1 where it has no candidates."""
    piece = np.full(graph.n_cells, -1, dtype=np.int64)
    piece[pieces.mother] = np.repeat(np.arange(len(pieces.first) - 1), np.diff(pieces.first))
    return piece


def mothers_of(graph: ChoiceGraph) -> Ints:
    """Return the cells that have candidates for daughters."""
    return np.flatnonzero(np.diff(graph.first) > 0)


_Part = tuple["Ints", "Ints", "Ints", "Ints"]
"""First of each piece, mothers in the order of the sweep, widths, numbers of states."""


def _some(plan: Plan, which: Bools) -> _Part:
    """Return those pieces of a plan."""
    size = np.diff(plan.pieces.first)
    mother = plan.sweep.mother[np.repeat(which, size)]
    first = np.concatenate([[0], np.cumsum(size[which])]).astype(np.int64)
    return first, mother, plan.sweep.width[which], plan.sweep.n_states[which]


def _together(parts: list[_Part]) -> tuple[Pieces, Sweep]:
    """Join the pieces of several parts."""
    size = np.concatenate([np.diff(part[0]) for part in parts])
    first = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    mother, width, n_states = (np.concatenate([part[k] for part in parts]) for k in (1, 2, 3))
    return Pieces(first, mother), Sweep(mother, width, n_states)


def _dropped(
    graph: ChoiceGraph, cut: Cut, pieces: Pieces, link: NDArray[np.float64], absent: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Add up what was cut from each piece: links at either end, and ties."""
    as_mother = piece_of_cells(graph, pieces)
    as_daughter = np.full(graph.n_cells, -1, dtype=np.int64)
    as_daughter[graph.target[cut.alive]] = as_mother[graph.source[cut.alive]]
    gone = ~cut.alive
    here, there = as_mother[graph.source[gone]], as_daughter[graph.target[gone]]
    n_pieces = len(pieces.first) - 1
    dropped = np.bincount(here, link[gone], n_pieces)
    other = (there >= 0) & (there != here)
    dropped += np.bincount(there[other], link[gone][other], n_pieces)
    untied = (graph.state == OPTIONAL) & ~cut.tied & (as_daughter >= 0) & (as_mother >= 0)
    for piece in (as_mother, as_daughter):
        dropped += np.bincount(piece[untied], absent[untied], n_pieces)
    return np.minimum(dropped, 1.0)
