"""What a linker goes by: the costs of the problem, squared distances, the scores as they are, or activity."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import ConfigError
from ..solvers import open_solver
from ..solvers.greedy import BestScoreSolver
from ..solvers.lap import JaqamanSolver, LapRule, LapSolver
from ..solvers.prioritised import PrioritisedSolver
from .config import AUTO, LapConfig
from .scorers.activity import observed
from .scorers.base import SHARES, ScoreScale

if TYPE_CHECKING:
    from ..solvers.base import Solver
    from ..storage.catalogue import RunInfo
    from ..storage.schema import CandidateEdges, Detections
    from .config import Config
    from .pixels import Pixels
    from .scorers.base import Scores

ACTIVITY: Final = "activity"
COST: Final = "cost"
DISTANCE: Final = "distance"
SCORE: Final = "score"
TWO_DISTANCE: Final = "two-distance"
LEARNED: Final = "learned"
ASSOCIATION: Final = "association"
IN_PAIRS: Final = (LEARNED, TWO_DISTANCE)
"""Costs that price daughters in pairs, which only exact linkers divide into."""

GOES_BY: Final = {"lap": (DISTANCE, COST), "greedy": (COST, SCORE, ACTIVITY)}
"""What our linkers can go by, their default first; all others go by cost."""

OF_EITHER: Final = ("max_gap", "divisions")
"""Settings of the LAP that mean the same by distance and by cost, where alternatives are priced already."""


@dataclass(frozen=True, slots=True)
class LinkerChoice:
    """The linker that a user asked for, and what it goes by.

    Parameters
    ----------
    config : Config
        Its settings.
    by : str
        What it goes by: ``cost``, ``distance``, ``score`` or ``activity``.
    plain : Solver
        The solver of that name, which reads the problem alone.
    """

    config: Config
    by: str
    plain: Solver

    def require_fitting(self, run: RunInfo) -> None:
        """Raise ConfigError where scores are not on the scale that links are chosen by."""
        scale = run.params["scale"]
        if self.config.solve.cost == ASSOCIATION and scale != ScoreScale.PROBABILITY:
            raise ConfigError(
                f"the cost {ASSOCIATION} reads probabilities; {run.name} is on the scale {scale}",
                **{"try": "--scores of a model, or another cost"},
            )
        if self.by == SCORE and scale not in SHARES:
            raise ConfigError(
                f"links of a least score need scores from 0 to 1; {run.name} is on the scale {scale}",
                **{"try": "--scores of another scorer, or --by cost"},
            )

    def solver(self, detections: Detections, edges: CandidateEdges, given: Scores, pixels: Pixels) -> Solver:
        """Return the solver, bound to what it reads besides the problem.

        Parameters
        ----------
        detections : Detections
            n cells, those of the problem.
        edges : CandidateEdges
            m candidates, those of the problem.
        given : Scores
            Their scores, as the scorer gave them.
        pixels : Pixels
            Of the movie.

        Raises
        ------
        MissingRowsError
            If it needs images or masks that the movie does not have.
        """
        lap = self.config.lap
        max_gap = None if lap.max_gap < 0 else lap.max_gap
        match self.config.solve.linker, self.by:
            case "greedy", "score":
                return BestScoreSolver(given.value, least=self.config.solve.min_score)
            case "greedy", "activity":
                return self._by_activity(detections, edges, pixels)
            case "lap", "cost":
                return LapSolver(max_gap=max_gap, divisions=lap.divisions)
            case "lap", _:
                rule = LapRule(
                    max_cost=_squared(lap.max_distance),
                    max_gap=max_gap,
                    split_cost=_squared(lap.split_distance) if lap.divisions else None,
                    merge_cost=_squared(lap.merge_distance) if lap.merges else None,
                    factor=lap.factor,
                    percentile=lap.percentile,
                )
                return JaqamanSolver(edges.distance**2, rule)
        return self.plain

    def _by_activity(self, detections: Detections, edges: CandidateEdges, pixels: Pixels) -> Solver:
        """Return the linker of Ruzaeva et al., which reads likelihoods and areas and no costs."""
        config = self.config.activity
        if not len(edges):
            return PrioritisedSolver(np.empty(0), np.empty(0), np.zeros(len(detections)))
        seen = observed(detections, edges, pixels)
        return PrioritisedSolver(
            seen.likelihood(detections, edges, k=config.k),
            seen.raw,
            detections.area,
            least=config.least,
            kept_area=config.kept_area,
        )


def choose_linker(config: Config, scores: str | None, solver: Solver | None = None) -> LinkerChoice:
    """Return the linker that is configured; LAP goes by cost where the user named scores, else by distance.

    Parameters
    ----------
    config : Config
        Its settings.
    scores : str or None
        The scores that the user named.
    solver : Solver or None
        One that the user made, in the place of the exact one.

    Raises
    ------
    ConfigError
        If there is no such linker, it does not go by what it shall, or settings of the LAP ask for what it does only by
        distance; if a solver was made and another linker than the exact one is asked for; or if the linker knows no
        pairs of daughters and the cost does.
    """
    settings = config.solve
    if solver is not None and settings.linker != "ilp":
        raise ConfigError(f"a solver of your own stands for ilp, not for {settings.linker}", **{"try": "linker ilp"})
    if settings.cost in IN_PAIRS and settings.linker in GOES_BY:
        raise ConfigError(
            f"the cost {settings.cost} prices daughters in pairs, which {settings.linker} does not divide into",
            **{"try": "--ilp"},
        )
    exact_by_other_means = settings.linker == "ilp" and settings.backend != "matching"
    name = settings.backend if exact_by_other_means else settings.linker
    plain = solver or open_solver(name, time_limit_s=settings.time_limit_s or None)

    known = GOES_BY.get(settings.linker, (COST,))
    by = settings.by
    if by == AUTO:
        by = COST if scores is not None else known[0]
    if by not in known:
        raise ConfigError(f"the linker {settings.linker} does not go by {by}", known=", ".join(known))
    if settings.linker == "lap" and by == COST:
        for setting in fields(LapConfig):
            if setting.name not in OF_EITHER and getattr(config.lap, setting.name) != setting.default:
                why = f"lap.{setting.name} is for a LAP by distance, this one goes by cost"
                raise ConfigError(why, **{"try": "--by distance"})
    return LinkerChoice(config, by, plain)


def _squared(distance: float) -> float:
    """Return the cost of a distance; 0 stands for any."""
    return distance * distance if distance else float("inf")  # ** would refuse what is beyond any number
