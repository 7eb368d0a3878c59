"""Rates and motion of cells without any truth: expectation maximisation over exact marginals.

`costs.fit` takes one solution at its word and shares births; here every link counts as far as it is likely, so that
rates do not depend on which of several selections happens to be cheapest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import CalibrationError, ConfigError
from ...solvers.posterior.marginals import estimate
from ..costs.model import problem_from
from ..scorers.base import Scores, ScoreScale
from .temperature import LEAST_DAUGHTERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..costs.model import Rates
    from ..scorers.distance import Motion

log = logging.getLogger(__name__)

ROUNDS: Final = 30
SETTLED: Final = 1e-3  # relative change of every number
PSEUDO: Final = 0.5  # a count that every rate starts with, on either side
LARGEST: Final = 0.3  # no rate is larger: cells that do what they like cannot be tracked


@dataclass(frozen=True, slots=True)
class Expected:
    """What was learned of a movie without truth.

    Parameters
    ----------
    rates : Rates
        What cells do.
    motion : Motion
        How far they go.
    rounds : int
        How many it took.
    """

    rates: Rates
    motion: Motion
    rounds: int


def learn_without_truth(
    detections: Detections, edges: CandidateEdges, motion: Motion, rates: Rates, *, rounds: int = ROUNDS
) -> Expected:
    """Raise the likelihood of a movie over its rates and the spread of its steps.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    motion : Motion
        Where to begin, as `fit_motion` gives it; its tail stays.
    rates : Rates
        Where to begin, as `costs.fit` gives them; density, border and what daughters are like stay.
    rounds : int
        At most so many.

    Raises
    ------
    CalibrationError
        If fewer than 200 cells have candidates.
    ConfigError
        If there is not one round at least.
    """
    if rounds < 1:
        raise ConfigError(f"{rounds} rounds of expectation maximisation", expected="1 or more")
    daughters = len(np.unique(edges.target))
    if daughters < LEAST_DAUGHTERS:
        raise CalibrationError(f"{daughters} cells with candidates are too few to learn from, {LEAST_DAUGHTERS} needed")
    for number in range(1, rounds + 1):
        before = _numbers(rates, motion)
        rates, motion = _round(detections, edges, motion, rates)
        change = np.abs(_numbers(rates, motion) / before - 1).max()
        log.debug("round %d: %s, %s", number, rates, motion)
        if change < SETTLED:
            break
    return Expected(rates, motion, number)


def _numbers(rates: Rates, motion: Motion) -> NDArray[np.float64]:
    return np.array(
        [rates.division, rates.appear, rates.appear_border, rates.disappear, rates.disappear_border, motion.sigma]
    )


def _round(detections: Detections, edges: CandidateEdges, motion: Motion, rates: Rates) -> tuple[Rates, Motion]:
    """Return the rates and the motion that the marginals of the present ones expect."""
    ndim, frame = detections.ndim, detections.frame
    density = motion.log_density(edges.distance, ndim, edges.frames)
    problem = problem_from(detections, edges, Scores(density, ScoreScale.LOG_DENSITY), rates)
    found = estimate(problem)
    outcomes = found.outcomes
    cell = np.repeat(np.arange(len(detections)), np.diff(outcomes.first))

    def of_cells(outcome: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(cell, np.where(outcome, outcomes.probability, 0.0), len(detections)).astype(np.float64)

    divides, ends = of_cells(outcomes.b >= 0), of_cells(outcomes.a < 0)
    inside, later, earlier = ~rates.at_border(detections.position_um), frame > frame[0], frame < frame[-1]

    def share(cases: NDArray[np.float64], of: NDArray[np.bool_]) -> float:
        rate = (float(cases[of].sum()) + PSEUDO) / (np.count_nonzero(of) + 2 * PSEUDO)
        return min(float(rate), LARGEST)

    square = edges.distance**2 / edges.frames
    # the expected precision of a step relative to 1 / sigma^2: with tails, steps far out count less
    precision = (1 + motion.tail * ndim) / (1 + motion.tail * square / motion.sigma**2)
    children = float(found.link.sum())
    sigma = motion.sigma
    if children > 0:
        sigma = max(float((found.link * precision * square).sum() / children / ndim) ** 0.5, 1e-3 * motion.sigma)
    learned = replace(
        rates,
        division=share(divides, earlier),
        appear=share(found.new, later & inside),
        appear_border=share(found.new, later & ~inside),
        disappear=share(ends, earlier & inside),
        disappear_border=share(ends, earlier & ~inside),
    )
    return learned, replace(motion, sigma=sigma)
