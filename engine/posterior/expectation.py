"""Rates and motion of cells without any truth: expectation maximisation over exact marginals.

`costs.fit` takes one solution at its word and shares births; here every link counts as far as it is likely, so that
rates do not depend on which of several selections happens to be cheapest.

The bonus of second daughters is a calibration, no density, so what rises is no likelihood of a normalised model. Where
cells crowd it can run away in either direction: nobody divides any more, or a third of all cells divide and as many
die. The first leaves the rate of divisions as it was and says so; the second is refused.
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

    from ...solvers.posterior.marginals import Marginals
    from ...storage.schema import CandidateEdges, Detections
    from ..costs.model import Rates
    from ..scorers.distance import Motion

log = logging.getLogger(__name__)

ROUNDS: Final = 50
SETTLED: Final = 1e-3  # relative change of every number
PSEUDO: Final = 0.5  # a count that every rate starts with, on either side
LARGEST: Final = 0.3  # no rate is larger: cells that do what they like cannot be tracked
LEAST_DIVISIONS: Final = 1.0  # expected in the whole movie; with fewer there is nothing to learn a rate from


@dataclass(frozen=True, slots=True)
class Expected:
    """What was learned of a movie without truth.

    Parameters
    ----------
    rates : Rates
        What cells do.
    motion : Motion or None
        How far they go; None where scores stayed as they were.
    rounds : int
        How many it took.
    divisions : float
        Expected in the whole movie, at these rates.
    kept_division : bool
        Whether the rate of divisions stayed where it began, since next to none were expected.
    """

    rates: Rates
    motion: Motion | None
    rounds: int
    divisions: float
    kept_division: bool = False


def learn_without_truth(
    detections: Detections, edges: CandidateEdges, steps: Motion | Scores, rates: Rates, *, rounds: int = ROUNDS
) -> Expected:
    """Raise the likelihood of a movie over its rates and, where links go by distance, the spread of its steps.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    steps : Motion or Scores
        Motion to begin with, as `fit_motion` gives it; its tail stays. Or the log densities of the m candidates by
        another scorer, which stay as they are.
    rates : Rates
        Where to begin, as `costs.fit` gives them; density, border and what daughters are like stay.
    rounds : int
        At most so many.

    Raises
    ------
    CalibrationError
        If fewer than 200 cells have candidates, the numbers do not settle, or a rate runs away.
    ConfigError
        If there is not one round at least.
    """
    if rounds < 1:
        raise ConfigError(f"{rounds} rounds of expectation maximisation", expected="1 or more")
    daughters = len(np.unique(edges.target))
    if daughters < LEAST_DAUGHTERS:
        raise CalibrationError(f"{daughters} cells with candidates are too few to learn from, {LEAST_DAUGHTERS} needed")
    found = _settled(detections, edges, steps, rates, rounds, hold_division=False)
    if found.divisions < LEAST_DIVISIONS:
        found = _settled(detections, edges, steps, rates, rounds, hold_division=True)
    return found


def expected_at(detections: Detections, edges: CandidateEdges, steps: Motion | Scores, rates: Rates) -> Marginals:
    """Return how likely each of m links, and what each of n cells does, is at some rates."""
    return estimate(problem_from(detections, edges, scores_of(detections, edges, steps), rates))


def scores_of(detections: Detections, edges: CandidateEdges, steps: Motion | Scores) -> Scores:
    """Return log densities as they are, or those of the links under a motion."""
    if isinstance(steps, Scores):
        return steps
    return Scores(steps.log_density(edges.distance, detections.ndim, edges.frames), ScoreScale.LOG_DENSITY)


def _settled(
    detections: Detections,
    edges: CandidateEdges,
    steps: Motion | Scores,
    rates: Rates,
    rounds: int,
    *,
    hold_division: bool,
) -> Expected:
    """Go round until no number changes any more."""
    for number in range(1, rounds + 1):
        before = _numbers(rates, steps)
        learned, moved, divisions = _round(detections, edges, steps, rates)
        rates, steps = replace(learned, division=rates.division) if hold_division else learned, moved
        change = np.abs(_numbers(rates, steps) / before - 1).max()
        log.debug("round %d: %s, %s", number, rates, steps)
        if change < SETTLED:
            break
    else:
        raise CalibrationError(
            f"what cells do did not settle in {rounds} rounds of expectation maximisation",
            last=f"{rates.division:.3g} of the cells divide in a frame, {rates.disappear:.3g} end",
            **{"try": "a movie with more frames in the same time, or one with truth"},
        )
    _require_sane(rates)
    motion = None if isinstance(steps, Scores) else steps
    return Expected(rates, motion, number, divisions, hold_division)


def _require_sane(rates: Rates) -> None:
    """Raise CalibrationError where a rate went as far as rates may go; at the border cells come and go as they like."""
    for name in ("division", "appear", "disappear"):
        if getattr(rates, name) >= LARGEST:
            raise CalibrationError(
                f"without truth the rate `{name}` runs away to {LARGEST:g} a cell and frame: the candidates leave open "
                "what cells of this movie do",
                **{"try": "a movie with more frames in the same time, or one with truth"},
            )


def _numbers(rates: Rates, steps: Motion | Scores) -> NDArray[np.float64]:
    sigma = [] if isinstance(steps, Scores) else [steps.sigma]
    return np.array(
        [rates.division, rates.appear, rates.appear_border, rates.disappear, rates.disappear_border, *sigma]
    )


def _round(
    detections: Detections, edges: CandidateEdges, steps: Motion | Scores, rates: Rates
) -> tuple[Rates, Motion | Scores, float]:
    """Return the rates and the motion that the marginals of the present ones expect, and how many divisions."""
    frame = detections.frame
    found = expected_at(detections, edges, steps, rates)
    divides, ends = what_cells_do(found)
    inside, later, earlier = ~rates.at_border(detections.position_um), frame > frame[0], frame < frame[-1]

    def share(cases: NDArray[np.float64], of: NDArray[np.bool_]) -> float:
        rate = (float(cases[of].sum()) + PSEUDO) / (np.count_nonzero(of) + 2 * PSEUDO)
        return min(float(rate), LARGEST)

    learned = replace(
        rates,
        division=share(divides, earlier),
        appear=share(found.new, later & inside),
        appear_border=share(found.new, later & ~inside),
        disappear=share(ends, earlier & inside),
        disappear_border=share(ends, earlier & ~inside),
    )
    moved = steps if isinstance(steps, Scores) else _spread(steps, edges, found.link, detections.ndim)
    return learned, moved, float(divides[earlier].sum())


def what_cells_do(found: Marginals) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how likely each of n cells divides, and how likely it ends."""
    outcomes, n = found.outcomes, len(found.new)
    cell = np.repeat(np.arange(n), np.diff(outcomes.first))

    def of_cells(outcome: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(cell, np.where(outcome, outcomes.probability, 0.0), n).astype(np.float64)

    return of_cells(outcomes.b >= 0), of_cells(outcomes.a < 0)


def _spread(motion: Motion, edges: CandidateEdges, link: NDArray[np.float64], ndim: int) -> Motion:
    """Return the motion with the spread that links of these probabilities have."""
    children = float(link.sum())
    if children <= 0:
        return motion
    square = edges.distance**2 / edges.frames
    # the expected precision of a step relative to 1 / sigma^2: with tails, steps far out count less
    precision = (1 + motion.tail * ndim) / (1 + motion.tail * square / motion.sigma**2)
    sigma = max(float((link * precision * square).sum() / children / ndim) ** 0.5, 1e-3 * motion.sigma)
    return replace(motion, sigma=sigma)
