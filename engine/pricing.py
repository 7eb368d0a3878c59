"""What solvers and posteriors share: the problem that scores and settings make of candidates, and what people said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import costs
from .annotations.pins import PinSet, pins_among, told_to
from .linkers import ASSOCIATION, LEARNED, TWO_DISTANCE
from .looks import outlines_of, traits_of
from .posterior.calibration_file import read_calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..solvers.problem import TrackingProblem
    from ..storage.catalogue import DetectionSet, RunInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import CandidateEdges, Detections
    from .config import Config, SolveConfig
    from .costs.shifts import CostShifts
    from .evidence import LearnedConfig
    from .progress import Progress
    from .scorers.base import Scores
    from .teaching import Lesson


def pins_of(store: DuckDBStore, chosen: DetectionSet, detections: Detections, progress: Progress) -> PinSet:
    """Return what people said of these detections, and tell of what was said and pins nothing."""
    pinned = pins_among(store.decisions(), chosen.movie.name, detections)
    told_to(progress, pinned, store.path)
    return pinned.pins


def with_forced(
    value: NDArray[np.float64], forced: NDArray[np.bool_], scores: str, progress: Progress
) -> NDArray[np.float64]:
    """Return the scores with the least one for the links that are forced in and have none: they are chosen anyway."""
    lacking = forced & np.isnan(value)
    if lacking.any():
        known = value[~np.isnan(value)]
        count = np.count_nonzero(lacking)
        progress.note(f"annotated links without a score in {scores}: {count}, priced as its worst")
        value = np.where(lacking, known.min() if len(known) else 0.0, value)
    return value


def learned_costs(
    store: DuckDBStore, chosen: DetectionSet, config: SolveConfig, score_run: RunInfo, progress: Progress
) -> CostShifts | None:
    """Return the costs that were learned from other movies, or without truth, where the settings name a calibration.

    Raises
    ------
    ConfigError
        If it cannot be read.
    CalibrationError
        If it was fitted on the truth of this very movie or on other scores, or holds no costs.
    """
    if not config.calibration:
        return None
    fitted = read_calibration(Path(config.calibration))
    shifts = fitted.costs_for(store, chosen, str(score_run.params["by"]))
    if fitted.learned_of(store, chosen):
        progress.note(f"the costs were learned of {chosen.movie.name} itself, without its truth")
    return shifts


def learned_cost(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    edges: CandidateEdges,
    read: LearnedConfig,
    lesson: Lesson | None,
) -> costs.Learned:
    """Learn the learned cost from the cells themselves, or follow them with what a lineage taught.

    Parameters
    ----------
    store, chosen, detections, edges
        As in `priced`.
    read : LearnedConfig
        What to look at.
    lesson : Lesson or None
        What a lineage taught.
    """
    traits = traits_of(store, chosen, detections, read)
    outlines = outlines_of(store, chosen, detections, edges, read)
    if lesson is None:
        return costs.learn(detections, edges, read, traits, outlines)
    return costs.follow(detections, edges, lesson.taught, read, traits, outlines)


def priced(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    edges: CandidateEdges,
    given: Scores,
    forced: NDArray[np.bool_],
    config: Config,
    scores: str,
    progress: Progress,
    lesson: Lesson | None = None,
) -> tuple[TrackingProblem, dict[str, float]]:
    """Return the problem by the cost that is configured, and what was estimated for it.

    Parameters
    ----------
    store, chosen : DuckDBStore, DetectionSet
        Where the cells are kept.
    detections, edges, given : Detections, CandidateEdges, Scores
        n cells, m candidates and what their scorer says; the learned cost looks at places and masks instead.
    forced : (m,) bool
        Links that people forced in.
    config : Config
        Names the cost.
    scores : str
        Name of the scores.
    progress : Progress
        Who is told what was found.
    lesson : Lesson or None
        What a lineage taught the learned cost.
    """
    if config.solve.cost == LEARNED:
        learned = learned_cost(store, chosen, detections, edges, config.learned, lesson)
        estimates = learned.estimates()
        if lesson is not None:
            estimates["detections_learned_from"] = float(lesson.cells)
        progress.note(costs.told(estimates))
        if learned.sampled:
            first, last = learned.frames
            progress.note(f"learned from frames {first} to {last}, {learned.n_learned:,} of {len(detections):,} cells")
        return learned.problem(detections, edges, forced), estimates
    if config.solve.cost == TWO_DISTANCE:
        priced = costs.two_distance_problem(detections, edges, given, config.two_distance)
        return priced.problem, {**priced.estimates, **given.estimates}
    if config.solve.cost == ASSOCIATION:
        ends = edges.source, edges.target
        numbers = config.association.costs()
        return costs.association_problem(detections.frame, *ends, given.value, numbers), dict(given.estimates)
    known = costs.as_densities(detections, edges, given)
    if known.estimates.get(costs.WORTH.get(given.scale, "")) == 0:
        progress.note(f"{scores} tells nothing of the links of this movie: solved by distance")
    rates = costs.fit(detections, edges, known)
    return costs.problem_from(detections, edges, known, rates), {**rates.as_dict(), **known.estimates}
