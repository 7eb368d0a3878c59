"""Costs learned without truth: what expectation maximisation changes, as shifts that other movies can take.

Rates and motion that were learned of a movie are numbers of that movie. What can be taken elsewhere is how far they are
from those that were fitted to it, in nats: the same terms are priced by both, and each difference is averaged over the
cells and links that are expected to pay it.

    links:     cost under EM ~ fitted cost / T + k, by least squares; T = (sigma_EM / sigma_fit)^2 for normal steps
    appear:    mean difference of -ln(p_a rho), less k, since a cell that is not new pays for a link
    end:       mean difference of ln(p_c / p_d)
    division:  mean difference of ln(p_c / 2 p_v); 0 where the rate of divisions was kept

Several movies are averaged with the weight of their cells, temperatures by their logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ..costs.model import problem_from
from ..costs.shifts import CostShifts, inner_frames
from .expectation import Expected, expected_at, learn_without_truth, scores_of, what_cells_do

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...solvers.posterior.marginals import Marginals
    from ...solvers.problem import TrackingProblem
    from ...storage.schema import CandidateEdges, Detections
    from ..costs.model import Rates
    from ..scorers.base import Scores
    from ..scorers.distance import Motion

LEAST_SPREAD: Final = 1e-12  # of what links cost, in squared nats: with less there is no slope


@dataclass(frozen=True, slots=True)
class UnlabelledFit:
    """What one movie without truth says of its costs.

    Parameters
    ----------
    shifts : CostShifts
        From the fitted costs to the learned ones.
    fitted : Rates
        Where learning began.
    learned : Expected
        Where it settled.
    cells : int
        Cells with candidates.
    """

    shifts: CostShifts
    fitted: Rates
    learned: Expected
    cells: int


def fit_without_truth(
    detections: Detections, edges: CandidateEdges, steps: Motion | Scores, rates: Rates
) -> UnlabelledFit:
    """Learn what the cells of a movie do, and return how its costs change by that.

    Parameters and errors are those of `learn_without_truth`.
    """
    learned = learn_without_truth(detections, edges, steps, rates)
    moved = learned.motion or steps
    before = problem_from(detections, edges, scores_of(detections, edges, steps), rates)
    after = problem_from(detections, edges, scores_of(detections, edges, moved), learned.rates)
    shifts = shifts_between(before, after, expected_at(detections, edges, moved, learned.rates))
    if learned.kept_division:
        shifts = CostShifts(shifts.temperature, shifts.appear, 0.0, shifts.end)
    return UnlabelledFit(shifts, rates, learned, len(np.unique(edges.target)))


def shifts_between(before: TrackingProblem, after: TrackingProblem, expected: Marginals) -> CostShifts:
    """Return the shifts that bring the costs of a problem as near as can be to other costs of the same problem.

    Parameters
    ----------
    before, after : TrackingProblem
        The same cells and candidates at two prices; divisions not as pairs.
    expected : Marginals
        How likely each link and each outcome is: what each difference counts.
    """
    begins, ends = inner_frames(before)
    divides, stops = what_cells_do(expected)
    temperature, constant = _line(before.edge_cost, after.edge_cost, expected.link)

    def difference(name: str, weight: NDArray[np.float64]) -> float:
        return _mean(getattr(after, name) - getattr(before, name), weight)

    return CostShifts(
        temperature=temperature,
        appear=difference("appear_cost", expected.new * begins) - constant,
        division=difference("division_cost", divides * ends),
        end=difference("disappear_cost", stops * ends),
    )


def average(fits: Sequence[UnlabelledFit]) -> CostShifts:
    """Return the mean of several movies' shifts; each counts as many times as it has cells."""
    cells = np.array([fit.cells for fit in fits], dtype=np.float64)

    def mean(values: Sequence[float]) -> float:
        return _mean(np.array(values), cells)

    return CostShifts(
        temperature=math.exp(mean([math.log(fit.shifts.temperature) for fit in fits])),
        appear=mean([fit.shifts.appear for fit in fits]),
        division=mean([fit.shifts.division for fit in fits]),
        end=mean([fit.shifts.end for fit in fits]),
    )


def _line(x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Return T and k of the line ``y = x / T + k`` that is nearest, each point counting by its weight."""
    middle_x, middle_y = _mean(x, weight), _mean(y, weight)
    spread = _mean((x - middle_x) ** 2, weight)
    together = _mean((x - middle_x) * (y - middle_y), weight)
    temperature = spread / together if min(spread, together) > LEAST_SPREAD else 1.0
    return temperature, middle_y - middle_x / temperature


def _mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the weighted mean; 0 where nothing has a weight."""
    total = float(weight.sum())
    return float((values * weight).sum()) / total if total > 0 else 0.0
