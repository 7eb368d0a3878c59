"""The exact solver: match; where a matching is not the whole truth, price and prove what surrounds the trouble."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .matching import LOOP, bound_of_prices, build_entries, lowest_prices, match
from .options import GRAIN, bound_at, build_options
from .packing import Draft
from .problem import FORBIDDEN, SCALE, GridProblem, Selection, objective
from .vicinity import MOST, STEPS, Vicinity, widened

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .conflicts import Conflicts
    from .matching import Entries, Matching
    from .options import Options
    from .problem import TrackingProblem

log = logging.getLogger(__name__)


class IlpSolver:
    """Finds a cheapest lineage and proves it, in about the time that reading the costs takes.

    The lineage problem without the couplings within a node is a bipartite matching (`matching`), solved exactly with
    prices. Where no optional detection is dropped while it divides, that is the answer. Otherwise, and where pairs of
    daughters have costs of their own, each mother takes one option of several (`options`); the matching and its
    prices are the start, and only what surrounds the difference is solved again (`packing`).

    Parameters
    ----------
    time_limit_s : float or None
        After how many seconds to stop proving and return the best selection with the gap that is left. The matching
        itself is not interrupted.
    """

    def __init__(self, time_limit_s: float | None = None) -> None:
        self.time_limit_s = time_limit_s

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return a cheapest selection with its proof, or a good one with an honest gap."""
        deadline = math.inf if self.time_limit_s is None else time.monotonic() + self.time_limit_s
        return solve_within(problem, deadline)[0]


def solve_within(
    problem: TrackingProblem, deadline: float, matcher: Callable[[Entries], Matching] = match
) -> tuple[Selection, NDArray[np.bool_] | None]:
    """Return a cheapest selection, and the rows and columns, (2n,) bool, where it is not that of the matching.

    None where it is the matching everywhere. `deadline` is in terms of `time.monotonic`; `matcher` stands for `match`
    where a cheapest matching is known.
    """
    grid = GridProblem.of(problem)
    conflicts, excluded = _open_conflicts(problem, grid)
    apart, entries, matching, known = _match_apart(problem, grid, conflicts, matcher)
    out = apart.pinned != grid.pinned
    if conflicts is None and problem.pairs is not None and not len(problem.pairs):
        return _as_matched(problem, grid, entries, matching), None
    if problem.pairs is None and not out.any():
        broken = _broken_couplings(grid, matching)
        if not broken.any():
            return _as_matched(problem, grid, entries, matching), None
        if conflicts is None and (repaired := _repaired(problem, grid, entries, matching, broken, deadline)):
            return repaired
    options = known if known is not None and conflicts is None else build_options(grid, problem.pairs, excluded)
    price = matching.price if problem.pairs is None else lowest_prices(entries, matching)
    draft = Draft(options, options.chosen_by(entries, matching), price, conflicts, out)
    draft.price_pairs(deadline)
    bound = draft.prove(deadline)
    edge, node = draft.selection(grid)
    return _selected(problem, grid, edge, node, _whole(bound), draft.price / (SCALE * GRAIN)), draft.touched


def _repaired(
    problem: TrackingProblem,
    grid: GridProblem,
    entries: Entries,
    matching: Matching,
    broken: NDArray[np.bool_],
    deadline: float,
) -> tuple[Selection, NDArray[np.bool_]] | None:
    """Solve again what surrounds broken couplings, wider where it leads out; None where that is too much."""
    columns = widened(grid, broken, STEPS)
    start = bound_of_prices(entries, matching.price)
    while np.count_nonzero(columns) < MOST * len(columns):
        vicinity = Vicinity.of(grid, matching, columns)
        draft = vicinity.draft(entries, matching, start)
        draft.price_pairs(deadline)
        bound = draft.prove(deadline)
        left = vicinity.left(draft)
        if not len(left):
            edge, node = _masks(grid, entries, matching)
            vicinity.put(draft, edge, node)
            price = matching.price * GRAIN
            price[vicinity.node[vicinity.inner]] = draft.price[vicinity.inner]
            touched = np.zeros(2 * entries.n_nodes, dtype=bool)
            touched[np.concatenate([vicinity.node, entries.n_nodes + vicinity.node])] = draft.touched
            return _selected(problem, grid, edge, node, _whole(bound), price / (SCALE * GRAIN)), touched
        more = np.zeros(len(columns), dtype=bool)
        more[left] = True
        columns |= widened(grid, more, STEPS)
    return None


def dual_bound(problem: TrackingProblem, dual: NDArray[np.float64]) -> float:
    """Return the lower bound that in-port prices prove, in one pass over the edges.

    Parameters
    ----------
    problem : TrackingProblem
        The problem, also one whose costs have changed since.
    dual : (n,) float64
        As in a `Selection`; any numbers give a valid bound, those of a solution a tight one. What fractions leave open
        is not counted, so it may lie below the `lower_bound` of the selection.
    """
    grid = GridProblem.of(problem)
    if problem.pairs is not None:
        options = build_options(grid, problem.pairs)
        price = np.minimum(np.rint(dual * (SCALE * GRAIN)), 0).astype(np.int64)
        return bound_at(options, price) / (SCALE * GRAIN)
    entries = build_entries(grid)
    price = np.minimum(np.rint(dual * SCALE), 0).astype(np.int64)
    return bound_of_prices(entries, price) / SCALE


def _open_conflicts(problem: TrackingProblem, grid: GridProblem) -> tuple[Conflicts | None, NDArray[np.bool_] | None]:
    """Return the conflicts that pins leave open, and whose they are."""
    if problem.conflicts is None:
        return None, None
    conflicts = problem.conflicts.among(grid.pinned != FORBIDDEN)
    excluded = np.zeros(problem.n_nodes, dtype=bool)
    excluded[conflicts.first] = excluded[conflicts.second] = True
    return conflicts, excluded


def _match_apart(
    problem: TrackingProblem, grid: GridProblem, conflicts: Conflicts | None, matcher: Callable[[Entries], Matching]
) -> tuple[GridProblem, Entries, Matching, Options | None]:
    """Match; while two are selected that exclude each other, forbid who is worth less, and match again.

    Where there are pairs the options that were matched come last.
    """
    while True:
        options = None if problem.pairs is None else build_options(grid, problem.pairs)
        entries = build_entries(grid) if options is None else options.without_pairs()
        matching = matcher(entries)
        if conflicts is None:
            return grid, entries, matching, options
        node = (grid.pinned >= 0) & ~_left_out(matching)
        out = conflicts.losers(node, _worth(grid, entries, matching))
        if not len(out):
            return grid, entries, matching, options
        pinned = grid.pinned.copy()
        pinned[out] = FORBIDDEN
        grid = replace(grid, pinned=pinned)


def _worth(grid: GridProblem, entries: Entries, matching: Matching) -> NDArray[np.int64]:
    """Return what each node gains by itself and what it is matched to, in millionths."""
    worth = -(grid.node + grid.appear + grid.disappear)
    column = np.flatnonzero(matching.column_entry >= 0)
    gain = -entries.weight[matching.column_entry[column]]
    worth[column] += gain
    row = np.flatnonzero(matching.row_column >= 0)
    np.add.at(worth, row // 2, -entries.weight[matching.column_entry[matching.row_column[row]]])
    return worth


def _whole(bound: int) -> int:
    """Round a bound in grains up to millionths: costs are whole ones."""
    return -(-bound // GRAIN)


def _broken_couplings(grid: GridProblem, matching: Matching) -> NDArray[np.bool_]:
    """Return which nodes use their division slot while no first child is there: left out, or better off."""
    divided = matching.row_column[1::2] >= 0
    lonely = divided & (matching.row_column[0::2] < 0) & (grid.division + grid.disappear < 0)
    broken: NDArray[np.bool_] = lonely | (divided & _left_out(matching))
    return broken


def _left_out(matching: Matching) -> NDArray[np.bool_]:
    """Return the nodes whose first row takes their own column: the loop."""
    first: NDArray[np.int32] = matching.row_column[0::2]
    left_out: NDArray[np.bool_] = first == np.arange(len(first))
    return left_out


def _as_matched(problem: TrackingProblem, grid: GridProblem, entries: Entries, matching: Matching) -> Selection:
    edge, node = _masks(grid, entries, matching)
    return _selected(problem, grid, edge, node, bound_of_prices(entries, matching.price), matching.price / SCALE)


def _masks(grid: GridProblem, entries: Entries, matching: Matching) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the links, in the order of the grid, and the detections that a matching selects."""
    chosen = entries.edge[matching.column_entry[matching.column_entry >= 0]]
    edge = np.zeros(len(grid.edge), dtype=bool)
    edge[chosen[chosen != LOOP]] = True
    return edge, (grid.pinned >= 0) & ~_left_out(matching)


def _selected(
    problem: TrackingProblem,
    grid: GridProblem,
    edge: NDArray[np.bool_],
    node: NDArray[np.bool_],
    bound: int,
    dual: NDArray[np.float64],
) -> Selection:
    edge = grid.in_problem_order(edge)
    cost = objective(problem, edge, node)
    lower_bound = min(bound / SCALE, cost)
    return Selection(edge, node, cost, lower_bound, lower_bound == cost, dual)
