"""Linking in two steps [1]_: cells from frame to frame, then the segments that come out: gaps, divisions, merges.

Both steps are assignments, solved exactly and sparsely (`assignment`). In the first one a cell takes at most one cell
of the next frame. In the second one the row of a cell without a child is the end of its segment, that of a cell with
one a place where the segment can split; the column of a cell without a parent is the beginning of its segment, that of
a cell with one a place where another segment can merge into it:

                        no parent yet       has a parent
    no child yet        close a gap         merge
    has a child         split               -

What is settled in the first step is not looked at again: that is what an exact linker does better.

References
----------
.. [1] Jaqaman et al., "Robust single-particle tracking in live-cell time-lapse sequences", Nature Methods 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ..errors import ConfigError, SchemaError
from .assignment import cheapest_matching, in_steps
from .greedy import shed
from .problem import FORBIDDEN, GridProblem, Selection, objective, refuse_conflicts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import TrackingProblem

    Ints = NDArray[np.int64] | NDArray[np.int32]

SMALLEST: Final = 1e-6
"""Stands for an alternative cost of 0, so that a link that costs nothing is still better than none."""


@dataclass(frozen=True, slots=True)
class LapRule:
    """How costly a link may be, and what it is weighed against.

    Parameters
    ----------
    max_cost : float
        Costliest link from frame to frame or over a gap.
    max_gap : int or None
        Frames that a cell may be missing; None: as many as the candidates skip.
    split_cost, merge_cost : float or None
        Costliest link of a second daughter, and of a second mother; None: nothing divides, nothing merges.
    factor : float
        The alternative to a link costs this many times the costliest candidate of its two frames in the first step,
    percentile : float
        and this many times this percentile of all candidates in the second one.

    Raises
    ------
    ConfigError
        If a number is not one that costs, frames or percentiles can be.
    """

    max_cost: float = math.inf
    max_gap: int | None = None
    split_cost: float | None = math.inf
    merge_cost: float | None = None
    factor: float = 1.05
    percentile: float = 90.0

    def __post_init__(self) -> None:
        for name in ("max_cost", "split_cost", "merge_cost"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"{name} must be 0 or more, got {value}")
        if self.max_gap is not None and self.max_gap < 0:
            raise ConfigError(f"max_gap is a number of frames, 0 or more, got {self.max_gap}")
        if not 0 < self.factor < math.inf:
            raise ConfigError(f"factor must be more than 0, got {self.factor}")
        if not 0 <= self.percentile <= 100:
            raise ConfigError(f"percentile must be 0 .. 100, got {self.percentile}")


class JaqamanSolver:
    """The two steps as published, on costs of their own such as squared distances; the problem prices what comes out.

    Every detection that is not forbidden is kept. Divisions and merges tie cells of successive frames.

    Parameters
    ----------
    cost : (m,) float64
        Of each edge of the problem, 0 or more.
    rule : LapRule
        How costly a link may be.

    Raises
    ------
    SchemaError
        If a cost is not finite, or negative.
    """

    def __init__(self, cost: NDArray[np.float64], rule: LapRule | None = None) -> None:
        self.cost = require_costs(cost)
        self.rule = rule or LapRule()

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return the links; those into cells of several mothers stand in `Selection.merge`, and have no price.

        Raises
        ------
        SchemaError
            If the problem does not have the edges that the costs are of, or detections of it exclude each other.
        """
        refuse_conflicts(problem)
        if len(self.cost) != problem.n_edges:
            raise SchemaError(f"every edge needs a cost: wanted {problem.n_edges}, got {len(self.cost)}")
        node = problem.pinned_node != FORBIDDEN
        rows = np.flatnonzero(node[problem.source] & node[problem.target])
        source, target = problem.source[rows], problem.target[rows]
        taken = link_in_two_steps(problem.frame, source, target, self.cost[rows], self.rule)
        merge = taken & (np.bincount(target[taken], minlength=problem.n_nodes) > 1)[target]
        edges = np.zeros((2, problem.n_edges), dtype=bool)
        edges[:, rows] = taken & ~merge, merge
        cost = objective(problem, edges[0], node)
        return Selection(edges[0], node, cost, -math.inf, proven=False, merge=edges[1])


class LapSolver:
    """The two steps on the costs of the problem: a link is weighed against the ends that it saves.

    A first child costs ``c_e - c_a(v) - c_d(u)``, a second one ``c_e - c_a(v) + c_s(u)``; only what gains is taken.
    Links over several frames close gaps, in the second step, where daughters come too; nothing merges, and where a
    problem prices daughters in pairs, nothing divides. At last each tree sheds the optional detections without which it
    is cheaper, as that of the greedy solver.

    Parameters
    ----------
    max_gap : int or None
        Frames that a cell may be missing; None: as many as the candidates skip.
    divisions : bool
        Whether cells divide.
    """

    def __init__(self, *, max_gap: int | None = None, divisions: bool = True) -> None:
        self.max_gap, self.divisions = LapRule(max_gap=max_gap).max_gap, divisions

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return a feasible selection; its lower bound is -inf, for two optima apart are none of the whole.

        Raises
        ------
        SchemaError
            If detections exclude each other.
        """
        refuse_conflicts(problem)
        grid = GridProblem.of(problem)
        node = grid.pinned != FORBIDDEN
        source = np.repeat(np.arange(problem.n_nodes, dtype=np.int32), np.diff(grid.first))
        target = grid.target
        usable = node[source] & node[target]
        frames = problem.frame[target] - problem.frame[source]
        second = grid.edge - grid.appear[target] + grid.division[source]
        first = grid.edge - grid.appear[target] - grid.disappear[source]

        rows = np.flatnonzero(usable & (frames == 1))
        linked = rows[cheapest_matching(source[rows], target[rows], first[rows])]
        places = Places.after(problem.n_nodes, source, target, linked)
        gap = places.gap if self.max_gap is None else places.gap & (frames <= 1 + self.max_gap)
        divides = self.divisions and problem.pairs is None
        rows = np.flatnonzero(usable & (gap | (places.split & (frames == 1) & divides)))
        weight = np.where(places.split, second, first)[rows]
        joined = rows[cheapest_matching(source[rows], target[rows], weight)]

        parent_edge = np.full(problem.n_nodes, -1, dtype=np.int64)
        for links in (linked, joined):
            parent_edge[target[links]] = links
        n_children = np.bincount(source[parent_edge[parent_edge >= 0]], minlength=problem.n_nodes)
        shed(grid, source, np.argsort(-problem.frame, kind="stable"), node, parent_edge, n_children)
        edge = np.zeros(problem.n_edges, dtype=bool)
        edge[parent_edge[parent_edge >= 0]] = True
        edge = grid.in_problem_order(edge)
        return Selection(edge, node, objective(problem, edge, node), -math.inf, proven=False)


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """What each of m candidates would do to the segments: close a gap, split one, or merge one into another; or none.

    Parameters
    ----------
    gap, split, merge : (m,) bool
        At most one of them.
    """

    gap: NDArray[np.bool_]
    split: NDArray[np.bool_]
    merge: NDArray[np.bool_]

    @classmethod
    def after(cls, n: int, source: Ints, target: Ints, linked: NDArray[np.int64] | NDArray[np.bool_]) -> Places:
        """Find them for n cells of which some are linked."""
        goes_on, came = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        goes_on[source[linked]] = True
        came[target[linked]] = True
        has_child, has_parent = goes_on[source], came[target]
        return cls(~has_child & ~has_parent, has_child & ~has_parent, ~has_child & has_parent)


def link_in_two_steps(
    frame: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    cost: NDArray[np.float64],
    rule: LapRule | None = None,
) -> NDArray[np.bool_]:
    """Link cells from frame to frame, then join the segments.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell.
    source, target : (m,) int64
        Rows of the cells that each candidate ties, the source in an earlier frame.
    cost : (m,) float64
        What each candidate costs, 0 or more.
    rule : LapRule
        How costly a link may be.

    Returns
    -------
    taken : (m,) bool
        At most two links leave a cell, and at most two enter it.

    Raises
    ------
    SchemaError
        If a cost is not finite, or negative.
    """
    rule, cost = rule or LapRule(), require_costs(cost)
    taken = link_frames(frame, source, target, cost, rule)
    return taken | join_segments(frame, source, target, cost, taken, rule)


def link_frames(
    frame: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    cost: NDArray[np.float64],
    rule: LapRule,
) -> NDArray[np.bool_]:
    """Choose the links of successive frames, each frame and the next for themselves: the first step.

    A cell that stays single costs `factor` times the costliest candidate between the two frames, as in laptrack: no
    pair of frames waits for another.
    """
    rows = np.flatnonzero((frame[target] - frame[source] == 1) & (cost <= rule.max_cost))
    taken = np.zeros(len(source), dtype=bool)
    if not len(rows):
        return taken
    c, pair = cost[rows], np.unique(frame, return_inverse=True)[1][source[rows]]
    largest, least = _extremes(pair, c, int(pair.max()) + 1)
    alone = np.maximum(rule.factor * largest, SMALLEST)
    weight = c + (np.minimum(least, alone) - 2 * alone)[pair]
    taken[rows] = cheapest_matching(source[rows], target[rows], in_steps(weight))
    return taken


@njit(cache=True, nogil=True)
def _extremes(
    group: NDArray[np.int64], value: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest and the least value of each of n groups, 0 and infinity where it has none."""
    largest, least = np.zeros(n), np.full(n, np.inf)
    for i in range(len(group)):
        largest[group[i]] = max(largest[group[i]], value[i])
        least[group[i]] = min(least[group[i]], value[i])
    return largest, least


def join_segments(
    frame: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    cost: NDArray[np.float64],
    linked: NDArray[np.bool_],
    rule: LapRule,
) -> NDArray[np.bool_]:
    """Choose the links between segments, all together: the second step.

    Beginnings, ends and places to split or merge that stay single cost `factor` times a percentile of the candidates.
    """
    frames = frame[target] - frame[source]
    places = Places.after(len(frame), source, target, linked)
    may = places.gap & (cost <= rule.max_cost)
    if rule.max_gap is not None:
        may &= frames <= 1 + rule.max_gap
    for there, most in ((places.split, rule.split_cost), (places.merge, rule.merge_cost)):
        if most is not None:
            may |= there & (frames == 1) & (cost <= most)
    taken = np.zeros(len(source), dtype=bool)
    rows = np.flatnonzero(may)
    if len(rows):
        c = cost[rows]
        alone = max(rule.factor * float(np.percentile(c, rule.percentile, method="lower")), SMALLEST)
        # all alternatives are equal here, that of a mirrored pair too: c + alone - 2 alone
        taken[rows] = cheapest_matching(source[rows], target[rows], in_steps(c - alone))
    return taken


def require_costs(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the costs, or raise SchemaError if one is not a finite number of 0 or more."""
    wrong = ~(np.isfinite(cost) & (cost >= 0))
    if wrong.any():
        edge = int(np.argmax(wrong))
        raise SchemaError(
            f"edge {edge} costs {cost[edge]}", expected="a finite number, 0 or more; leave out what cannot be linked"
        )
    return cost
