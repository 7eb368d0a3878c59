"""The greedy solvers: best link first, by cost or by score; quick baselines without any bound."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..errors import SchemaError
from .problem import FORBIDDEN, KEPT, GridProblem, Selection, objective, refuse_conflicts, settled_pins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import TrackingProblem

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Bools = NDArray[np.bool_]


class GreedySolver:
    """Links from the best gain down, then drops the detections that do not pay, until nothing changes.

    A first child of u changes the cost by ``c_e - c_a(v) - c_d(u)``, a second one by ``c_e - c_a(v) + c_s(u)``. All
    changes below 0 are taken in order, as long as v has no parent and u has room. Then each tree of links sheds the
    optional detections without which it is cheaper, the best choice by dynamic programming; what that sets free may be
    linked again.

    Where a problem prices daughters in pairs, no cell divides. Of two detections that exclude each other and were both
    taken, the one that gains less by itself and its links is ruled out, and linking starts again.

    Equal gains go to first children, then to the edge with the lower (source, target), so the answer does not depend on
    the order of the edges or on the platform.
    """

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return a feasible selection; its lower bound is -inf, for greedy knows none."""
        if problem.conflicts is None:
            return self._solve(problem)
        pinned = settled_pins(problem)
        while True:
            chosen = self._solve(replace(problem, pinned_node=pinned, conflicts=None))
            out = problem.conflicts.losers(chosen.node, _worth(problem, chosen))
            if not len(out):
                return chosen
            pinned[out] = FORBIDDEN

    def _solve(self, problem: TrackingProblem) -> Selection:
        grid = GridProblem.of(problem)
        source = np.repeat(np.arange(problem.n_nodes, dtype=np.int32), np.diff(grid.first))
        gain = grid.edge - grid.appear[grid.target]
        as_first, as_second = gain - grid.disappear[source], gain + grid.division[source]
        # a price of two daughters together is no gain of one link after the other: then no cell divides
        gain = as_first if problem.pairs is not None else np.concatenate([as_first, as_second])
        useful = np.flatnonzero(gain < 0)
        best_first = useful[np.argsort(gain[useful], kind="stable")]
        latest_first = np.argsort(-problem.frame, kind="stable")

        node = grid.pinned != FORBIDDEN
        parent_edge = np.full(problem.n_nodes, -1, dtype=np.int64)
        n_children = np.zeros(problem.n_nodes, dtype=np.int64)
        while True:
            _link(best_first, source, grid.target, node, parent_edge, n_children)
            if not shed(grid, source, latest_first, node, parent_edge, n_children):
                break
        return self._selection(problem, grid, node, parent_edge)

    def _selection(
        self, problem: TrackingProblem, grid: GridProblem, node: NDArray[np.bool_], parent_edge: NDArray[np.int64]
    ) -> Selection:
        edge = np.zeros(problem.n_edges, dtype=bool)
        edge[parent_edge[parent_edge >= 0]] = True
        edge = grid.in_problem_order(edge)
        return Selection(edge, node, objective(problem, edge, node), -math.inf, proven=False)


def _worth(problem: TrackingProblem, chosen: Selection) -> NDArray[np.float64]:
    """Return what each detection and its links gain."""
    worth = -problem.node_cost
    for end in (problem.source, problem.target):
        np.add.at(worth, end[chosen.edge], -problem.edge_cost[chosen.edge])
    return worth


class BestScoreSolver:
    """Links from the best score down to a least one [1]_: at most one parent and two children, whatever links cost.

    Every detection that is not forbidden is kept; the problem prices what comes out. Equal scores go to the edge with
    the lower (source, target).

    Parameters
    ----------
    score : (m,) float64
        Of each edge of the problem; more is better.
    least : float
        No link scores less.
    max_children : int
        1 forbids divisions.

    Raises
    ------
    SchemaError
        If a score, or the least one, is not a number.

    References
    ----------
    .. [1] Gallusser & Weigert, "Trackastra", ECCV 2024 (the greedy linker; the least score is that of its code).
    """

    def __init__(self, score: NDArray[np.float64], *, least: float = 0.5, max_children: int = 2) -> None:
        if np.isnan(score).any():
            raise SchemaError(f"the score of edge {np.argmax(np.isnan(score))} is not a number")
        if math.isnan(least):
            raise SchemaError("the least score is not a number")
        self.score, self.least, self.max_children = score, least, max_children

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return a feasible selection; its lower bound is -inf, for greedy knows none.

        Raises
        ------
        SchemaError
            If the problem does not have the edges that the scores are of, or detections of it exclude each other.
        """
        refuse_conflicts(problem)
        if len(self.score) != problem.n_edges:
            raise SchemaError(f"every edge needs a score: wanted {problem.n_edges}, got {len(self.score)}")
        node = problem.pinned_node != FORBIDDEN
        rows = np.flatnonzero((self.score >= self.least) & node[problem.source] & node[problem.target])
        order = np.lexsort((problem.target[rows], problem.source[rows], -self.score[rows]))
        rows = rows[order]
        edge = np.zeros(problem.n_edges, dtype=bool)
        edge[rows[_take(problem.source[rows], problem.target[rows], problem.n_nodes, self.max_children)]] = True
        return Selection(edge, node, objective(problem, edge, node), -math.inf, proven=False)


@njit(cache=True, nogil=True)
def _take(source: Ints, target: Ints, n: int, max_children: int) -> Bools:
    """Take links in the order given as long as there is room."""
    taken = np.zeros(len(source), np.bool_)
    has_parent = np.zeros(n, np.bool_)
    n_children = np.zeros(n, np.int64)
    for e in range(len(source)):
        if not has_parent[target[e]] and n_children[source[e]] < max_children:
            taken[e] = True
            has_parent[target[e]] = True
            n_children[source[e]] += 1
    return taken


def shed(
    grid: GridProblem, source: Ints32, latest_first: Ints, node: Bools, parent_edge: Ints, n_children: Ints
) -> bool:
    """Drop from each tree of links the optional nodes and the links without which it is cheapest, in place.

    Parameters
    ----------
    grid : GridProblem
        n nodes and their m edges.
    source : (m,) int32
        Where each edge begins.
    latest_first : (n,) int64
        The nodes, the last frame first.
    node : (n,) bool
        Selected nodes.
    parent_edge, n_children : (n,) int64
        Edge on the grid into each node, -1 for none, and how many leave it.

    Returns
    -------
    bool
        Whether any were dropped.
    """
    costs = (grid.edge, grid.node, grid.appear, grid.disappear, grid.division)
    return bool(_shed(latest_first, source, *costs, grid.pinned, node, parent_edge, n_children))


@njit(cache=True, nogil=True)
def _link(best_first: Ints, source: Ints32, target: Ints32, node: Bools, parent_edge: Ints, n_children: Ints) -> None:
    """Take changes in order until a whole pass takes none; change k is edge k as first child, m + k as second."""
    m = len(source)
    waiting = best_first
    later = np.empty(len(best_first), np.int64)
    taken = True
    while taken:
        taken = False
        n_later = 0
        for change in waiting:
            second = change // m
            e = change - second * m
            u = source[e]
            v = target[e]
            if not (node[u] and node[v]) or parent_edge[v] >= 0 or n_children[u] > second:
                continue
            if n_children[u] == second:
                parent_edge[v] = e
                n_children[u] += 1
                taken = True
            else:  # a second child whose mother has no first one yet: all that a further pass could take
                later[n_later] = change
                n_later += 1
        waiting = later[:n_later].copy()


@njit(cache=True, nogil=True)
def _shed(
    latest_first: Ints,
    source: Ints32,
    edge_cost: Ints,
    node_cost: Ints,
    appear: Ints,
    disappear: Ints,
    division: Ints,
    pinned: NDArray[np.int8],
    node: Bools,
    parent_edge: Ints,
    n_children: Ints,
) -> bool:
    """Drop the nodes and links whose absence makes their tree cheapest; tell whether any were dropped."""
    n = len(node)
    child = np.full((n, 2), -1, np.int64)
    root_cost = np.zeros(n, np.int64)  # of the subtree, the node selected and appearing
    least_cost = np.zeros(n, np.int64)  # of the subtree without a parent, the node selected or not
    links = np.zeros((n, 2), np.bool_)  # to which children, if the node is selected
    for v in latest_first:
        if not node[v]:
            continue
        alone = np.int64(0)
        gain = np.zeros(2, np.int64)
        for c in range(2):
            w = child[v, c]
            if w >= 0:
                alone += least_cost[w]
                gain[c] = edge_cost[parent_edge[w]] - appear[w] + root_cost[w] - least_cost[w]
        # more links win ties, so a node without a better choice stays as it is
        both = gain[0] + gain[1] + division[v] if child[v, 1] >= 0 else np.int64(2) ** 62
        one = min(gain[0], gain[1]) if child[v, 1] >= 0 else gain[0]
        if child[v, 0] < 0:
            one = np.int64(2) ** 62
        best = disappear[v]
        if both <= one and both <= disappear[v]:
            links[v] = True
            best = both
        elif one <= disappear[v]:
            links[v, 0] = child[v, 1] < 0 or gain[0] <= gain[1]
            links[v, 1] = not links[v, 0]
            best = one
        root_cost[v] = node_cost[v] + appear[v] + best + alone
        least_cost[v] = root_cost[v] if pinned[v] == KEPT else min(root_cost[v], alone)
        if parent_edge[v] >= 0:
            u = source[parent_edge[v]]
            child[u, 0 if child[u, 0] < 0 else 1] = v

    changed = False
    for v in latest_first[::-1]:
        if not node[v]:
            continue
        if parent_edge[v] < 0 and least_cost[v] < root_cost[v]:
            node[v] = False
            changed = True
        for c in range(2):
            w = child[v, c]
            if w >= 0 and not (node[v] and links[v, c]):
                parent_edge[w] = -1
                n_children[v] -= 1
                changed = True
    return changed
