"""The exact solver: match, look whether a coupling broke, solve those neighbourhoods apart, prove the whole."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from .clusters import FIRST_REACH, Cluster, ClusterOptimum, Neighbourhoods
from .matching import LOOP, Entries, Matching, build_entries, match, row_prices
from .problem import SCALE, GridProblem, Selection, objective

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import TrackingProblem

log = logging.getLogger(__name__)


class IlpSolver:
    """Finds a cheapest lineage and proves it, in about the time that reading the costs takes.

    The lineage problem without the couplings within a node is a bipartite matching (`matching`), solved exactly with
    prices. Where no optional detection is dropped while it divides, that is the answer. The others are few: each is
    solved again with what surrounds it, and the prices prove that nothing farther away matters (`clusters`).

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
        grid = GridProblem.of(problem)
        entries = build_entries(grid)
        matching = match(entries)
        row_price = row_prices(entries, matching.price)
        bound = entries.base + int(row_price.sum()) + int(matching.price.sum())

        draft = _Draft(grid, entries, matching)
        broken = draft.broken(grid)
        if len(broken):
            draft.settle(grid)
            around = Neighbourhoods(entries, matching, row_price, grid.division + grid.disappear < 0)
            bound += _repair(draft, around, broken, deadline)

        edge = grid.in_problem_order(draft.edge)
        cost = objective(problem, edge, draft.node)
        lower_bound = min(bound / SCALE, cost)
        log.debug("%d nodes, %d edges, %d couplings broken", problem.n_nodes, problem.n_edges, len(broken))
        return Selection(edge, draft.node, cost, lower_bound, lower_bound == cost, matching.price / SCALE)


def dual_bound(problem: TrackingProblem, dual: NDArray[np.float64]) -> float:
    """Return the lower bound that in-port prices prove, in one pass over the edges.

    Parameters
    ----------
    problem : TrackingProblem
        The problem, also one whose costs have changed since.
    dual : (n,) float64
        As in a `Selection`; any numbers give a valid bound, those of a solution a tight one. Couplings that broke
        are not counted, so it may lie below the `lower_bound` of the selection.
    """
    entries = build_entries(GridProblem.of(problem))
    price = np.minimum(np.rint(dual * SCALE), 0).astype(np.int64)
    return (entries.base + int(row_prices(entries, price).sum()) + int(price.sum())) / SCALE


class _Draft:
    """A selection in the making, and the entries that it stands for.

    Parameters
    ----------
    grid : GridProblem
        The problem.
    entries : Entries
        Its entries.
    matching : Matching
        The relaxed optimum to start from.
    """

    def __init__(self, grid: GridProblem, entries: Entries, matching: Matching) -> None:
        self._entries = entries
        used = matching.column_entry[matching.column_entry >= 0]
        chosen = entries.edge[used]
        self.edge: NDArray[np.bool_] = np.zeros(len(grid.edge), dtype=bool)
        self.edge[chosen[chosen != LOOP]] = True
        self.node: NDArray[np.bool_] = grid.pinned >= 0
        self.node[entries.column[used[chosen == LOOP]]] = False
        self._first_child = matching.row_column[0::2]
        self._second_child = matching.row_column[1::2]
        self._column_entry = matching.column_entry

    def broken(self, grid: GridProblem) -> NDArray[np.int64]:
        """Return the nodes whose division slot is used while no first child is there: unselected, or better off."""
        divided = self._second_child >= 0
        lonely = divided & (self._first_child < 0) & (grid.division + grid.disappear < 0)
        return np.flatnonzero((divided & ~self.node) | lonely)

    def settle(self, grid: GridProblem) -> None:
        """Make the draft feasible, each broken node for itself: select it, or cut its child off, what costs less."""
        dropped = np.flatnonzero((self._second_child >= 0) & ~self.node)
        entry = self._column_entry[self._second_child[dropped]]
        select = grid.node[dropped] + grid.appear[dropped] - grid.division[dropped]
        cut = -self._entries.weight[entry]
        self.node[dropped[select <= cut]] = True
        self.edge[self._entries.edge[entry[select > cut]]] = False

    def write(self, cluster: Cluster, chosen: NDArray[np.int64]) -> None:
        """Put the optimum of a cluster in place of what the draft held there."""
        edges = self._entries.edge
        held = edges[cluster.entries]
        self.edge[held[held != LOOP]] = False
        self.node[cluster.owners] = True
        taken = edges[chosen]
        self.edge[taken[taken != LOOP]] = True
        self.node[self._entries.column[chosen[taken == LOOP]]] = False


def _repair(draft: _Draft, around: Neighbourhoods, broken: NDArray[np.int64], deadline: float) -> int:
    """Solve the clusters of the broken nodes in the draft; return by how much that raises the lower bound."""
    reach = dict.fromkeys(map(int, broken), FIRST_REACH)
    fallback: dict[int, int | None] = dict.fromkeys(reach, 0)
    solved: dict[tuple[int, int], ClusterOptimum] = {}
    most = 0
    while True:
        clusters = around.grow(reach, fallback)
        raised = 0
        wider: dict[int, int] = {}
        for number, cluster in enumerate(clusters):
            key = cluster.seed, cluster.reach
            if key not in solved:
                left = deadline - time.monotonic()
                if left <= 0:
                    continue
                solved[key] = around.solve(cluster, left if math.isfinite(left) else None)
                chosen = solved[key].chosen
                if chosen is not None:
                    draft.write(cluster, chosen)
            optimum = solved[key]
            free, shared = around.room(number, cluster)
            raised += min(optimum.bound, free, shared // 2)
            wanted = 2 * optimum.excess if shared // 2 < optimum.excess else optimum.excess
            proven = optimum.excess <= min(free, shared // 2)
            if not proven and optimum.bound == optimum.excess and fallback[cluster.seed] is not None:
                wider[cluster.seed] = min(2 * cluster.reach, wanted)
        most = max(most, raised)
        if not wider or time.monotonic() >= deadline:
            sizes = [len(cluster.entries) for cluster in clusters]
            log.debug("%d clusters, the largest with %d entries", len(sizes), max(sizes, default=0))
            return most
        for seed, limit in wider.items():
            fallback[seed] = reach[seed]
            reach[seed] = limit
