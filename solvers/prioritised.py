"""The linker of Ruzaeva et al.: least active mothers choose first, and what is left over divides.

A cell that moves little has little to choose from, so its choice is the safest and comes first [1]_. The description of
the order, of its thresholds and of what becomes of the rest follows the authors' published programme.

References
----------
.. [1] Ruzaeva et al., "Cell tracking for live-cell microscopy using an activity-prioritized assignment strategy", 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ..errors import SchemaError
from .ilp import IlpSolver
from .problem import FORBIDDEN, KEPT, Selection, TrackingProblem, objective, refuse_conflicts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LEAST_LIKELIHOOD: Final = 0.01
KEPT_AREA: Final = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class PrioritisedSolver:
    """Links frame to frame in two steps, whatever links cost; the problem prices what comes out.

    1. Mothers of a frame choose in the order of their activity, the least active first: each the likeliest daughter
       that is still free. If her area is more than `kept_area` of the mother's, the cell goes on as her. If it is not,
       the mother waits, for she may have divided, and the daughter stays free. A mother without a free daughter that is
       likely enough ends.
    2. The mothers that wait and the daughters that are free are assigned together, two daughters to a mother at most,
       so that the likelihoods of their links add up to the most there is.

    Daughters that are left begin tracks. Links that skip frames are not looked at. Equal activities go to the lower
    row, equal likelihoods to the lower target.

    Parameters
    ----------
    likelihood : (m,) float64
        Of each edge of the problem, 0 to 1: 1 where the daughter lies where the mother lay.
    activity : (m,) float64
        Of the source of each edge until the frame of its target.
    area : (n,) float64
        Of each detection.
    least : float
        A link has to be likelier than this.
    kept_area : float
        A cell that does not divide keeps more than this share of its area.

    Raises
    ------
    SchemaError
        If a number is none, or a likelihood lies beyond 0 .. 1.
    """

    likelihood: Floats
    activity: Floats
    area: Floats
    least: float = LEAST_LIKELIHOOD
    kept_area: float = KEPT_AREA

    def __post_init__(self) -> None:
        for name in ("likelihood", "activity", "area"):
            if np.isnan(getattr(self, name)).any():
                raise SchemaError(f"{name} {np.argmax(np.isnan(getattr(self, name)))} is not a number")
        if len(self.likelihood) and not 0 <= self.likelihood.min() <= self.likelihood.max() <= 1:
            got = f"{self.likelihood.min():g} .. {self.likelihood.max():g}"
            raise SchemaError(f"likelihoods lie in 0 .. 1, got {got}")
        if math.isnan(self.least) or math.isnan(self.kept_area):
            raise SchemaError("a threshold is not a number")

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return a feasible selection of all detections that are not forbidden; its lower bound is -inf.

        Raises
        ------
        SchemaError
            If the numbers are of other edges or detections, or detections of the problem exclude each other.
        """
        refuse_conflicts(problem)
        for name, wanted in (("likelihood", problem.n_edges), ("activity", problem.n_edges), ("area", problem.n_nodes)):
            if len(getattr(self, name)) != wanted:
                raise SchemaError(f"wanted {wanted} numbers as {name}, got {len(getattr(self, name))}")
        node = problem.pinned_node != FORBIDDEN
        edge = np.zeros(problem.n_edges, dtype=bool)
        rows = self._in_order(problem, node)
        source, target = problem.source[rows], problem.target[rows]
        goes_on = self.area[target] > self.kept_area * self.area[source]
        taken, waits, free = _choose(source, target, goes_on, problem.n_nodes)
        edge[rows[taken]] = True
        left = rows[waits[source] & free[target]]
        edge[left[_together(problem, left, self.likelihood)]] = True
        return Selection(edge, node, objective(problem, edge, node), -math.inf, proven=False)

    def _in_order(self, problem: TrackingProblem, node: Bools) -> Ints:
        """Return the links that are possible: those of a mother together, mothers and daughters as they are asked."""
        frame = problem.frame
        near = frame[problem.target] == frame[problem.source] + 1
        rows = np.flatnonzero(near & (self.likelihood > self.least) & node[problem.source] & node[problem.target])
        source = problem.source[rows]
        keys = (problem.target[rows], -self.likelihood[rows], source, self.activity[rows], frame[source])
        return rows[np.lexsort(keys)]


@njit(cache=True, nogil=True)
def _choose(source: Ints, target: Ints, goes_on: Bools, n: int) -> tuple[Bools, Bools, Bools]:
    """Let each mother choose her likeliest free daughter; say which links are taken, who waits, and who is free."""
    taken = np.zeros(len(source), np.bool_)
    waits = np.zeros(n, np.bool_)
    free = np.ones(n, np.bool_)
    e = 0
    while e < len(source):
        mother = source[e]
        chosen = -1
        while e < len(source) and source[e] == mother:
            if chosen < 0 and free[target[e]]:
                chosen = e
            e += 1
        if chosen < 0:
            continue
        if goes_on[chosen]:
            taken[chosen] = True
            free[target[chosen]] = False
        else:
            waits[mother] = True
    return taken, waits, free


def _together(problem: TrackingProblem, rows: Ints, likelihood: Floats) -> Bools:
    """Return which of some links have the largest sum of likelihoods, one mother and two daughters at most."""
    n = problem.n_nodes
    nothing = np.zeros(n)
    alone = TrackingProblem(
        frame=problem.frame,
        source=problem.source[rows],
        target=problem.target[rows],
        edge_cost=-likelihood[rows],
        node_cost=nothing,
        appear_cost=nothing,
        disappear_cost=nothing,
        division_cost=nothing,
        pinned_node=np.full(n, KEPT, dtype=np.int8),
    )
    return IlpSolver().solve(alone).edge
