"""The two-distance cost of Attrackt: how far a cell goes and how well it is associated, each in standard scores.

A candidate edge costs ``w1 d1 + w2 d2 + b``; d1 is the distance from cell to cell, d2 what the association model says
of the edge. A division is a pair of edges with a cost of its own: d1 is the distance from the mother to the midpoint of
her daughters, d2 the mean of both edges. Each of the four sets of numbers is brought to mean 0 and standard deviation 1
over the whole graph, so that the weights mean the same in every movie. All cells are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SchemaError
from ...solvers.daughters import Pairs
from ...solvers.problem import KEPT, TrackingProblem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..config import TwoDistanceConfig
    from ..scorers.base import Scores


@dataclass(frozen=True, slots=True, eq=False)
class PricedByDistances:
    """A problem, and what its numbers were measured against.

    Parameters
    ----------
    problem : TrackingProblem
        With pairs.
    estimates : dict of str to float
        Mean and standard deviation of each of the four sets.
    """

    problem: TrackingProblem
    estimates: dict[str, float]


def two_distance_problem(
    detections: Detections, edges: CandidateEdges, scores: Scores, config: TwoDistanceConfig
) -> PricedByDistances:
    """Price links and divisions by two distances.

    Parameters
    ----------
    detections : Detections
        n cells; all of them are kept.
    edges : CandidateEdges
        m candidates. Any two that lead from one cell to the same frame may be a division.
    scores : Scores
        Their m scores, on any scale; larger is likelier, so the weight is negative by default.
    config : TwoDistanceConfig
        Weights, and what an appearance and a disappearance cost; they are free where the frame before or after has no
        cells.

    Raises
    ------
    SchemaError
        If there is not one score an edge.

    References
    ----------
    .. [1] Lalit & Funke, "An Investigation of Unsupervised Cell Tracking and Interactive Fine-Tuning", ICCV workshop
       2025, slides "Globally constrained optimization". That divisions are pairs with a midpoint, and the standard
       scores, are those of its code.
    """
    if len(scores) != len(edges):
        raise SchemaError("every candidate edge needs a score", wanted=str(len(edges)), got=str(len(scores)))
    first, second = pairs_of(edges)
    place, value = detections.position_um, scores.value
    midpoint = (place[edges.target[first]] + place[edges.target[second]]) / 2
    apart = np.linalg.norm(place[edges.source[first]] - midpoint, axis=1)
    unit = "px" if detections.scale_um is None else "um"

    estimates: dict[str, float] = {}
    edge_cost = np.full(len(edges), config.bias)
    pair_cost = np.full(len(first), config.bias + config.division_bias)
    for cost, weight, number, name in (
        (edge_cost, config.distance, edges.distance, f"distance_{unit}"),
        (edge_cost, config.score, value, "score"),
        (pair_cost, config.distance, apart, f"division_distance_{unit}"),
        (pair_cost, config.score, (value[first] + value[second]) / 2, "division_score"),
    ):
        mean, deviation = _spread(number)
        estimates |= {f"{name}_mean": mean, f"{name}_deviation": deviation}
        if deviation:
            cost += weight * (number - mean) / deviation

    n, frame = len(detections), detections.frame
    problem = TrackingProblem(
        frame=frame,
        source=edges.source,
        target=edges.target,
        edge_cost=edge_cost,
        node_cost=np.zeros(n),
        appear_cost=np.where(np.isin(frame - 1, frame), config.appear, 0.0),
        disappear_cost=np.where(np.isin(frame + 1, frame), config.disappear, 0.0),
        division_cost=np.zeros(n),
        pinned_node=np.full(n, KEPT, dtype=np.int8),
        pairs=Pairs(first, second, pair_cost),
    )
    return PricedByDistances(problem, estimates)


def pairs_of(edges: CandidateEdges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of every two edges that lead from one cell to the same frame."""
    key = np.column_stack([edges.source, edges.frames])
    found = [np.empty((2, 0), dtype=np.int64)]
    for shift in range(1, len(edges)):  # as often as the cell with the most candidates has some
        one = np.flatnonzero((key[shift:] == key[:-shift]).all(axis=1))
        if not len(one):
            break
        found.append(np.stack([one, one + shift]))
    first, second = np.concatenate(found, axis=1)
    return first, second


def _spread(number: NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and standard deviation; the latter is 0 where numbers differ by rounding alone, or there are none."""
    if not len(number):
        return 0.0, 0.0
    mean, deviation = float(number.mean()), float(number.std())
    return mean, deviation if deviation > 1e-12 * float(np.abs(number).max()) else 0.0
