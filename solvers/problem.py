"""The tracking problem as arrays, the selection that answers it, and the judge that prices any selection.

The lineage problem in flow form: with x, n, a, d, s in {0, 1} for links, cells, appearances, disappearances, divisions,

    minimise    sum_e c_e x_e + sum_v (c_n n_v + c_a a_v + c_d d_v + c_s s_v)
    such that   a_v + in_v = n_v,    d_v + out_v = n_v + s_v,    s_v <= n_v - d_v

where in_v and out_v count the selected links that end and begin at v: a cell has at most one parent and two children.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InfeasibleError, SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .conflicts import Conflicts
    from .daughters import Pairs

SCALE: Final = 1_000_000
"""Costs are counted in whole millionths, so that sums are exact and equal costs are equal."""

KEPT: Final = 1
FORBIDDEN: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class TrackingProblem:
    """What the cells and links of a movie would cost; lower is better.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each detection, in any order.
    source, target : (m,) int64
        Rows of the detections that each candidate edge ties, in any order; the source lies in the earlier frame.
    edge_cost : (m,) float64
        Cost of each link.
    node_cost, appear_cost, disappear_cost, division_cost : (n,) float64
        Cost of selecting a detection, and of what it does there: no parent, no child, two children.
    pinned_node : (n,) int8
        1 where the detection must be selected, -1 where it must not, 0 where the solver decides.
    pairs : Pairs or None
        Where given, the only divisions, each with a cost of its own; `division_cost` is not read then.
    conflicts : Conflicts or None
        Detections of which at most one may be selected.

    Raises
    ------
    SchemaError
        If the arrays do not fit together, a cost is not finite, an edge does not run forward in time or stands twice,
        or the costs add up to more than exact arithmetic holds.
    """

    frame: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    edge_cost: NDArray[np.float64]
    node_cost: NDArray[np.float64]
    appear_cost: NDArray[np.float64]
    disappear_cost: NDArray[np.float64]
    division_cost: NDArray[np.float64]
    pinned_node: NDArray[np.int8]
    pairs: Pairs | None = None
    conflicts: Conflicts | None = None

    def __post_init__(self) -> None:
        for name, dtype, length in (
            ("frame", np.int64, self.n_nodes),
            ("source", np.int64, self.n_edges),
            ("target", np.int64, self.n_edges),
            ("edge_cost", np.float64, self.n_edges),
            ("node_cost", np.float64, self.n_nodes),
            ("appear_cost", np.float64, self.n_nodes),
            ("disappear_cost", np.float64, self.n_nodes),
            ("division_cost", np.float64, self.n_nodes),
            ("pinned_node", np.int8, self.n_nodes),
        ):
            column = getattr(self, name)
            if column.dtype != dtype or column.shape != (length,):
                wanted = f"({length},) {np.dtype(dtype)}"
                raise SchemaError(f"{name} must be {wanted}, got {column.shape} {column.dtype}")
        self._check_costs()
        self._check_edges()
        if len(self.pinned_node) and (self.pinned_node.min() < FORBIDDEN or self.pinned_node.max() > KEPT):
            raise SchemaError("pinned_node must be 1 (kept), 0 (optional) or -1 (forbidden)")
        if self.pairs is not None:
            self.pairs.check(self.source)
        if self.conflicts is not None:
            self.conflicts.check(self.n_nodes)

    @property
    def n_nodes(self) -> int:
        """Number of detections."""
        return len(self.frame)

    @property
    def n_edges(self) -> int:
        """Number of candidate edges."""
        return len(self.source)

    def _check_costs(self) -> None:
        total = 0.0
        for name in ("edge_cost", "node_cost", "appear_cost", "disappear_cost", "division_cost"):
            size = float(np.abs(getattr(self, name)).sum())
            if not math.isfinite(size):
                raise SchemaError(f"{name} must be finite", use="pinned_node to force or forbid a detection")
            total += size
        if self.pairs is not None:
            total += float(np.abs(self.pairs.cost).sum())
        if total * SCALE >= 2**53:  # beyond it a float no longer tells one millionth from the next
            raise SchemaError(f"the costs add up to {total:.3g}, expected less than {2**53 / SCALE:.3g}")

    def _check_edges(self) -> None:
        if not self.n_edges:
            return
        lowest = min(self.source.min(), self.target.min())
        highest = max(self.source.max(), self.target.max())
        if lowest < 0 or highest >= self.n_nodes:
            raise SchemaError(f"edges name rows {lowest} .. {highest}, expected 0 .. {self.n_nodes - 1}")
        backward = self.frame[self.source] >= self.frame[self.target]
        if backward.any():
            edge = int(np.argmax(backward))
            raise SchemaError(
                f"edge {self.source[edge]} -> {self.target[edge]} does not run forward in time",
                got=f"frames {self.frame[self.source[edge]]} -> {self.frame[self.target[edge]]}",
            )
        order = order_by_ends(self)
        if order is not None:
            source, target = self.source[order], self.target[order]
            twice = (source[1:] == source[:-1]) & (target[1:] == target[:-1])
            if twice.any():
                edge = int(np.argmax(twice))
                raise SchemaError(f"edge {source[edge]} -> {target[edge]} stands twice")


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a solver chose, and how sure it is that nothing better exists.

    Parameters
    ----------
    edge : (m,) bool
        Selected links, rows as in the problem.
    node : (n,) bool
        Selected detections.
    objective : float
        What they cost, by `objective`.
    lower_bound : float
        No selection costs less; -inf where the solver gives none.
    proven : bool
        True where the objective is the lower bound: this is an optimum.
    dual : (n,) float64 or None
        Price of the in-port of each node in the matching relaxation, at most 0; `ilp.dual_bound` turns it into a lower
        bound in one pass over the edges. None where the solver knows no prices.
    merge : (m,) bool or None
        Links into cells of several mothers, for which the costs have no price: they are not among `edge`, and for the
        objective such a cell appears. None where the solver knows no merges.
    """

    edge: NDArray[np.bool_]
    node: NDArray[np.bool_]
    objective: float
    lower_bound: float
    proven: bool
    dual: NDArray[np.float64] | None = None
    merge: NDArray[np.bool_] | None = None

    @property
    def gap(self) -> float:
        """How far the objective may lie above the optimum, as a share of the objective's size; 0 if proven."""
        if self.objective == self.lower_bound:
            return 0.0
        return (self.objective - self.lower_bound) / abs(self.objective) if self.objective else math.inf


def objective(problem: TrackingProblem, edge: NDArray[np.bool_], node: NDArray[np.bool_]) -> float:
    """Price a selection on the grid of `SCALE`, from the problem alone.

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges.
    edge : (m,) bool
        Selected links.
    node : (n,) bool
        Selected detections.

    Returns
    -------
    cost : float
        Appearances, disappearances and divisions follow from the links.

    Raises
    ------
    SchemaError
        If the masks do not fit the problem.
    InfeasibleError
        If the selection breaks a rule: a second parent, a third child, a link of an unselected detection, a kept
        detection left out or a forbidden one used.
    """
    for name, mask, length in (("edge", edge, problem.n_edges), ("node", node, problem.n_nodes)):
        if mask.dtype != np.bool_ or mask.shape != (length,):
            raise SchemaError(f"{name} must be ({length},) bool, got {mask.shape} {mask.dtype}")
    rows = np.flatnonzero(edge)
    parents = np.bincount(problem.target[rows], minlength=problem.n_nodes)
    children = np.bincount(problem.source[rows], minlength=problem.n_nodes)
    for broken, rule in (
        (parents > 1, "has more than one parent"),
        (children > 2, "has more than two children"),
        (~node & ((parents > 0) | (children > 0)), "is linked but not selected"),
        (~node & (problem.pinned_node == KEPT), "must be kept but is not selected"),
        (node & (problem.pinned_node == FORBIDDEN), "is forbidden but selected"),
    ):
        if broken.any():
            raise InfeasibleError(f"detection {np.argmax(broken)} {rule}")
    if problem.conflicts is not None:
        problem.conflicts.require(node)
    cost = _divisions(problem, rows, children == 2)
    single = rows if problem.pairs is None else rows[children[problem.source[rows]] == 1]
    cost += int(on_grid(problem.edge_cost[single]).sum())
    for price, where in (
        (problem.node_cost, node),
        (problem.appear_cost, node & (parents == 0)),
        (problem.disappear_cost, node & (children == 0)),
    ):
        cost += int((on_grid(price) * where).sum())
    return cost / SCALE


def _divisions(problem: TrackingProblem, rows: NDArray[np.int64], divides: NDArray[np.bool_]) -> int:
    """Price the divisions among selected links, in millionths: what they cost besides their links, or with them."""
    if problem.pairs is None:
        return int((on_grid(problem.division_cost) * divides).sum())
    rows = rows[divides[problem.source[rows]]]
    rows = rows[np.argsort(problem.source[rows], kind="stable")]
    return int(on_grid(problem.pairs.cost_of(rows[0::2], rows[1::2], problem.n_edges)).sum())


def settled_pins(problem: TrackingProblem) -> NDArray[np.int8]:
    """Return the pins of the detections with what they settle: who excludes a kept one is forbidden.

    Raises
    ------
    InfeasibleError
        If two of the kept detections exclude each other.
    """
    pinned = problem.pinned_node.astype(np.int8, order="C")
    return pinned if problem.conflicts is None else problem.conflicts.pinned(pinned)


def refuse_conflicts(problem: TrackingProblem) -> None:
    """Raise SchemaError where detections exclude each other, for solvers that do not know of it."""
    if problem.conflicts is not None:
        raise SchemaError(
            "the solver does not know of detections that exclude each other", use="ilp, highs, motile or greedy"
        )


def on_grid(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round costs to whole millionths."""
    scaled = cost * SCALE
    return np.rint(scaled, out=scaled).astype(np.int64)


def order_by_ends(problem: TrackingProblem) -> NDArray[np.int64] | None:
    """Return the rows of the edges ordered by (source, target); None where they stand so already."""
    key = problem.source * problem.n_nodes + problem.target
    if np.all(key[1:] > key[:-1]):
        return None
    return np.argsort(key, kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class GridProblem:
    """A tracking problem in whole millionths, its edges ordered by (source, target).

    The kernels read this form: answers do not depend on the order in which the edges came, and the arrays are always
    fresh, contiguous and writable, so that numba compiles each kernel once.

    Parameters
    ----------
    order : (m,) int64 or None
        Row in the problem of each edge here; None where they are the same.
    first : (n + 1,) int64
        Edges ``first[u] .. first[u + 1] - 1`` leave node u.
    target : (m,) int32
        Where each edge ends.
    edge, node, appear, disappear, division : int64
        Costs of the m edges and n nodes.
    pinned : (n,) int8
        As in the problem.
    """

    order: NDArray[np.int64] | None
    first: NDArray[np.int64]
    target: NDArray[np.int32]
    edge: NDArray[np.int64]
    node: NDArray[np.int64]
    appear: NDArray[np.int64]
    disappear: NDArray[np.int64]
    division: NDArray[np.int64]
    pinned: NDArray[np.int8]

    @classmethod
    def of(cls, problem: TrackingProblem) -> GridProblem:
        """Bring a problem to the grid."""
        order = order_by_ends(problem)
        source, target, edge_cost = problem.source, problem.target, problem.edge_cost
        if order is not None:
            source, target, edge_cost = source[order], target[order], edge_cost[order]
        return cls(
            order=order,
            first=np.concatenate([[0], np.cumsum(np.bincount(source, minlength=problem.n_nodes))]),
            target=target.astype(np.int32),
            edge=on_grid(edge_cost),
            node=on_grid(problem.node_cost),
            appear=on_grid(problem.appear_cost),
            disappear=on_grid(problem.disappear_cost),
            division=on_grid(problem.division_cost),
            pinned=settled_pins(problem),
        )

    def in_problem_order(self, edge: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask over the edges here as a mask over the edges of the problem."""
        if self.order is None:
            return edge
        mask = np.empty_like(edge)
        mask[self.order] = edge
        return mask
