"""Two frames whose true lineage is drawn from the cost model itself, so that the right probabilities are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ..solvers.problem import TrackingProblem

if TYPE_CHECKING:
    from numpy.typing import NDArray

GATE = 4.0  # in standard deviations; one link in 3,000 is longer


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """Mothers in rows ``0 .. n_mothers - 1`` of a problem, daughters in the rows behind.

    Parameters
    ----------
    problem : TrackingProblem
        Costs are minus log densities, so that the posterior at temperature 1 is that of the drawing.
    n_mothers : int
        Cells of the first frame.
    parent : (n_daughters,) int64
        True parent of each daughter, -1 where it is new.
    """

    problem: TrackingProblem
    n_mothers: int
    parent: NDArray[np.int64]


def frame_pair(
    n_mothers: int,
    sigma: float,
    seed: int,
    *,
    division: float = 0.05,
    end: float = 0.03,
    appear: float = 0.03,
    neighbors: int = 5,
) -> FramePair:
    """Draw cells of density 1 that move, divide, end and appear.

    Parameters
    ----------
    n_mothers : int
        Cells of the first frame.
    sigma : float
        Standard deviation of a step along each axis, in units of the spacing of cells.
    seed : int
        Of the drawing.
    division, end : float
        Probability that a cell divides, that it ends.
    appear : float
        New cells per mother.
    neighbors : int
        Candidates of each daughter: so many nearest mothers, within `GATE` standard deviations.
    """
    rng = np.random.default_rng(seed)
    side = math.sqrt(n_mothers)
    mothers = rng.uniform(0, side, (n_mothers, 2))
    fate = rng.random(n_mothers)
    n_children = np.where(fate < end, 0, np.where(fate < end + division, 2, 1))
    parent = np.repeat(np.arange(n_mothers), n_children)
    steps = sigma * rng.normal(size=(len(parent), 2))
    n_new = rng.poisson(appear * n_mothers)
    daughters = np.concatenate([mothers[parent] + steps, rng.uniform(0, side, (n_new, 2))])
    parent = np.concatenate([parent, np.full(n_new, -1)])
    order = rng.permutation(len(parent))
    daughters, parent = daughters[order], parent[order]
    found = cKDTree(mothers).query(daughters, k=np.arange(1, min(neighbors, n_mothers) + 1))
    distance, near = np.asarray(found[0], dtype=np.float64), np.asarray(found[1], dtype=np.int64)
    within = np.less_equal(distance, GATE * sigma)
    target, _ = np.nonzero(within)
    n = n_mothers + len(parent)
    first = np.arange(n) < n_mothers
    go_on = 1 - division - end
    problem = TrackingProblem(
        frame=np.where(first, 0, 1),
        source=near[within],
        target=target.astype(np.int64) + n_mothers,
        edge_cost=distance[within] ** 2 / (2 * sigma**2) + math.log(2 * math.pi * sigma**2),
        node_cost=np.where(first, -math.log(go_on), 0.0),
        appear_cost=np.where(first, 0.0, -math.log(appear)),
        disappear_cost=np.where(first, math.log(go_on / end), 0.0),
        division_cost=np.where(first, math.log(go_on / (2 * division)), 0.0),
        pinned_node=np.ones(n, dtype=np.int8),
    )
    return FramePair(problem, n_mothers, parent)
