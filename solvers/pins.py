"""What people decided, taken out of a problem: what is left is an ordinary one, and any solver honours the decisions.

A link that is forced in settles two questions at once: its target has no other parent, and its source no other children
than those forced in with it. So nothing about that link is left to choose. It leaves the problem, its cost (with that
of a division) goes into the cost of its source, which is kept, and the ends that it saves become free. A link that is
forced out leaves the problem alone. No large number stands for "must", and every selection of what is left costs the
same in both problems, to the millionth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InfeasibleError, SchemaError, SolverError
from .problem import FORBIDDEN, KEPT, SCALE, Selection, on_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import TrackingProblem

MOST_CHILDREN = 2


@dataclass(frozen=True, slots=True, eq=False)
class Pins:
    """What is decided about the n detections and m candidate edges of a problem.

    Parameters
    ----------
    edge : (m,) int8
        1 where the link is forced in, and with it that its source has no further children; -1 where it is forced out;
        0 where the solver decides.
    node : (n,) int8
        1 where the detection is a cell, -1 where it is none, 0 where the problem says it (`pinned_node`).

    Raises
    ------
    SchemaError
        If a value is not one of these.
    """

    edge: NDArray[np.int8]
    node: NDArray[np.int8]

    def __post_init__(self) -> None:
        for name, column in (("edge", self.edge), ("node", self.node)):
            if column.dtype != np.int8 or column.ndim != 1 or not np.isin(column, (FORBIDDEN, 0, KEPT)).all():
                raise SchemaError(f"pins.{name} must be int8: 1 (forced in), 0 (free) or -1 (forced out)")

    @property
    def forced(self) -> NDArray[np.bool_]:
        """(m,) Whether each link is forced in."""
        return np.equal(self.edge, KEPT)


@dataclass(frozen=True, slots=True, eq=False)
class PinnedProblem:
    """What pins leave of a problem, and the way back.

    Parameters
    ----------
    problem : TrackingProblem
        All n detections and the k edges about which nothing is decided.
    rows : (k,) int64
        Row of each of these edges in the whole problem, increasing.
    forced : (m,) bool
        Links of the whole problem that are forced in.
    asked : TrackingProblem
        The whole problem.
    """

    problem: TrackingProblem
    rows: NDArray[np.int64]
    forced: NDArray[np.bool_]
    asked: TrackingProblem

    def whole(self, selection: Selection) -> Selection:
        """Return a selection of what is left as one of the whole problem, with the links that are forced in.

        Its objective is that of the whole problem, its bound holds for all selections that honour the pins, and its
        prices are those of what is left.

        Raises
        ------
        SolverError
            If it is no selection of these links, as that of a solver of another package may be.
        """
        _require_selection(selection, len(self.rows))
        edge = self.forced.copy()
        edge[self.rows] = selection.edge
        merge = selection.merge
        if merge is not None:
            merge = np.zeros(len(self.forced), dtype=bool)
            merge[self.rows] = selection.merge
        return replace(selection, edge=edge, merge=merge)


def _require_selection(selection: object, n_edges: int) -> None:
    """Raise SolverError if what a solver returned, which may be of another package, selects among other links."""
    if not isinstance(selection, Selection):
        raise SolverError(f"the solver returned a {type(selection).__name__}, expected a Selection: nothing was kept")
    for name, mask in {"edge": selection.edge, "merge": selection.merge}.items():
        if mask is not None and mask.shape != (n_edges,):
            wanted = f"expected one a candidate, ({n_edges},)"
            raise SolverError(f"the solver's {name} is of shape {mask.shape}, {wanted}: nothing was kept")


def pin(problem: TrackingProblem, pins: Pins) -> PinnedProblem:
    """Take out of a problem what is decided.

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges.
    pins : Pins
        What is decided about them.

    Raises
    ------
    SchemaError
        If the pins do not fit the problem.
    InfeasibleError
        If no selection honours them: a second parent, a third child, a division into no pair of the problem, a link of
        a forbidden detection, or a detection that the problem keeps and the pins forbid, or the other way round.
    """
    forced = pins.forced
    node, n_children, n_parents = settled_by(problem, pins)
    mother, daughter = n_children > 0, n_parents > 0
    rows = np.flatnonzero((pins.edge != FORBIDDEN) & ~mother[problem.source] & ~daughter[problem.target])
    spent = on_grid(problem.node_cost) + _children_cost(problem, np.flatnonzero(forced), n_children)
    left = replace(
        problem,
        pairs=None if problem.pairs is None else problem.pairs.among(rows, problem.n_edges),
        source=problem.source[rows],
        target=problem.target[rows],
        edge_cost=problem.edge_cost[rows],
        node_cost=np.where(mother, spent / SCALE, problem.node_cost),
        appear_cost=np.where(daughter, 0.0, problem.appear_cost),
        disappear_cost=np.where(mother, 0.0, problem.disappear_cost),
        division_cost=np.where(mother, 0.0, problem.division_cost),
        pinned_node=node,
    )
    return PinnedProblem(left, rows, forced, problem)


def settled_by(problem: TrackingProblem, pins: Pins) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
    """Return which detections must and must not be selected, and how many children and parents are forced on each.

    Raises
    ------
    SchemaError, InfeasibleError
        As `pin` raises them, but for divisions into no pair.
    """
    if len(pins.edge) != problem.n_edges or len(pins.node) != problem.n_nodes:
        wanted = f"{problem.n_edges} edges and {problem.n_nodes} nodes"
        raise SchemaError(
            f"the pins are of {len(pins.edge)} edges and {len(pins.node)} nodes, the problem has {wanted}"
        )
    forced = np.flatnonzero(pins.forced)
    n_children = np.bincount(problem.source[forced], minlength=problem.n_nodes)
    n_parents = np.bincount(problem.target[forced], minlength=problem.n_nodes)
    node = _kept(problem, pins, (n_children > 0) | (n_parents > 0))
    for broken, rule in ((n_parents > 1, "two parents"), (n_children > MOST_CHILDREN, "more than two children")):
        if broken.any():
            raise InfeasibleError(f"detection {np.argmax(broken)} is pinned to {rule}")
    return node, n_children, n_parents


def _kept(problem: TrackingProblem, pins: Pins, linked: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return which detections must and must not be selected; an end of a link that is forced in must be."""
    wanted = np.where(linked, np.int8(KEPT), pins.node)
    torn = (linked & (pins.node == FORBIDDEN)) | (wanted * problem.pinned_node == FORBIDDEN)
    if torn.any():
        raise InfeasibleError(f"detection {np.argmax(torn)} is pinned both in and out")
    return np.where(wanted != 0, wanted, problem.pinned_node)


def _children_cost(
    problem: TrackingProblem, forced: NDArray[np.int64], n_children: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return in millionths what the links that are forced in cost the source of each, a division included."""
    divides = n_children == MOST_CHILDREN
    cost = np.zeros(problem.n_nodes, dtype=np.int64)
    single = forced if problem.pairs is None else forced[~divides[problem.source[forced]]]
    np.add.at(cost, problem.source[single], on_grid(problem.edge_cost[single]))
    if problem.pairs is None:
        cost[divides] += on_grid(problem.division_cost[divides])
    else:
        both = forced[divides[problem.source[forced]]]
        both = both[np.argsort(problem.source[both], kind="stable")]
        price = problem.pairs.cost_of(both[0::2], both[1::2], problem.n_edges)
        cost[problem.source[both[0::2]]] += on_grid(price)
    return cost
