"""Costs that were learned from other movies with truth, or from any without: what they change in a problem.

How they are learned stands in `posterior.learning` and `posterior.unlabelled`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ...solvers.problem import TrackingProblem

NAMES: Final = {
    "temperature": "learned_temperature_of_links",
    "appear": "learned_appear_nats",
    "division": "learned_division_nats",
    "end": "learned_end_nats",
}


@dataclass(frozen=True, slots=True)
class CostShifts:
    """How costs are changed.

    Parameters
    ----------
    temperature : float
        What the costs of links are divided by.
    appear, division, end : float
        Nats that are added to these costs, where they are not free for want of frames. With truth that of an end is
        never moved: what it costs can only be told apart from the others by rates.
    """

    temperature: float = 1.0
    appear: float = 0.0
    division: float = 0.0
    end: float = 0.0

    @property
    def motion_scale(self) -> float:
        """How much longer steps are than a normal density of steps said: for links that go by distance."""
        return float(np.sqrt(self.temperature))

    def applied(self, problem: TrackingProblem) -> TrackingProblem:
        """Return the problem with its costs changed; the first child of a cell stays no dearer than a second one.

        Raises
        ------
        SchemaError
            If its divisions are priced as pairs.
        """
        require_no_pairs(problem)
        begins, ends = inner_frames(problem)
        division = problem.division_cost + np.where(ends, self.division, 0.0)
        disappear = problem.disappear_cost + np.where(ends, self.end, 0.0)
        return replace(
            problem,
            edge_cost=problem.edge_cost / self.temperature,
            appear_cost=problem.appear_cost + np.where(begins, self.appear, 0.0),
            disappear_cost=disappear,
            division_cost=np.where(ends, np.maximum(division, -disappear), division),
        )

    def as_dict(self) -> dict[str, float]:
        """Return every number under a name for the parameters of the run."""
        return {name: getattr(self, part) for part, name in NAMES.items()}

    @classmethod
    def from_dict(cls, params: Mapping[str, float]) -> CostShifts | None:
        """Return the shifts that `as_dict` wrote among the parameters of a run, None where it wrote none."""
        known = {part: params[name] for part, name in NAMES.items() if name in params}
        return cls(**known) if known else None


def require_no_pairs(problem: TrackingProblem) -> None:
    """Raise SchemaError where divisions are priced as pairs: nothing is learned of those."""
    if problem.pairs is not None:
        raise SchemaError(
            "costs are not learned where divisions are priced as pairs", use="a solution of `solve --simple`"
        )


def inner_frames(problem: TrackingProblem) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the cells before which, and after which, there are frames."""
    if not problem.n_nodes:
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    return problem.frame > problem.frame.min(), problem.frame < problem.frame.max()
