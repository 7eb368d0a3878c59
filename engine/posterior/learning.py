"""Costs fitted to truth: what a new cell and a division should cost, and how far steps are to be trusted.

A selection is likely as exp(-cost), where the cost of links is divided by a temperature and the costs of appearing and
of dividing are moved by some nats. What ends cost need not be moved: where all cells are kept, a cell that appears
beyond what divides leaves another to end, so appearances - ends + divisions is the same in all selections, and only
w_a + w_d and w_div + w_d can be told. The likelihood of what is known of the parents,

    ln P(known) = ln Z(what is known holds) - ln Z(nothing is known),

has the gradient *expected minus observed counts*: of appearances, divisions and of what links cost. Both
expectations are exact marginals, so that a truth of some cells only is used for what it says and no more. For steps
with a normal density the temperature is a motion scale: steps are its root times longer than was thought. A weak prior
keeps what was hardly seen from becoming infinite; of a truth that knows no division at all nothing is learned of what
one costs.

Without truth the rates are raised by expectation maximisation over the same marginals (`expectation`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import CalibrationError
from ...solvers.ilp import IlpSolver
from ...solvers.posterior.marginals import estimate
from ..costs.shifts import CostShifts, inner_frames, require_no_pairs
from ..metrics.calibration import NEW, ParentQuestions, answers, mean_nll
from ..metrics.parents import ask_parents
from .temperature import require_fittable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...solvers.problem import TrackingProblem
    from .judging import TrueParents

    Gradient = Callable[[NDArray[np.float64]], NDArray[np.float64]]

log = logging.getLogger(__name__)

PRIOR_NATS: Final = 3.0  # standard deviation of every shift before anything was seen
STEPS: Final = 25
SETTLED: Final = 0.05  # standard errors
DIFFERENCE: Final = 1e-2  # of a parameter, for the second derivatives
MOST_DAUGHTERS: Final = 2
IMPOSSIBLE: Final = 40.0  # nats above all else that a daughter could do
LONGEST: Final = 1.5  # nats that a step moves a parameter by
HALVINGS: Final = 8  # of a step that leads away; the shortest one is taken all the same


@dataclass(frozen=True, slots=True, eq=False)
class TrainingMovie:
    """A movie to learn from.

    Parameters
    ----------
    problem : TrackingProblem
        n cells, m candidates, as they are priced now.
    truth : TrueParents
        Of the n cells.
    """

    problem: TrackingProblem
    truth: TrueParents


@dataclass(frozen=True, slots=True)
class FittedCosts:
    """Costs and what they were fitted to.

    Parameters
    ----------
    shifts : CostShifts
        What was fitted.
    error : CostShifts
        Standard error of each; that of the temperature is of its logarithm.
    daughters, errors : int
        Daughters with candidates that the truth knows, and wrong parents among those of the cheapest solution before.
    divisions : int
        Mothers that the truth knows two daughters of; where there are none, the shift of divisions is 0 and its error
        no number.
    nll_before, nll_after : float
        Mean negative log likelihood of their parents in nats.
    """

    shifts: CostShifts
    error: CostShifts
    daughters: int
    errors: int
    divisions: int
    nll_before: float
    nll_after: float


def fit_costs(movies: Sequence[TrainingMovie]) -> FittedCosts:
    """Return the costs at which what is known of some movies is likeliest.

    Parameters
    ----------
    movies : sequence of TrainingMovie
        Movies other than those that the costs are for.

    Raises
    ------
    CalibrationError
        If there are fewer than 200 daughters, or the cheapest solutions are free of errors.
    SchemaError
        If divisions are priced as pairs.
    """
    for movie in movies:
        require_no_pairs(movie.problem)
    reported = [_mothers(movie.problem, IlpSolver().solve(movie.problem).edge) for movie in movies]
    before = _questions(movies, reported, CostShifts())
    errors = require_fittable(before)
    pinned = [_Known.of(movie) for movie in movies]

    def gradient(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        shifts = _shifts(theta)
        slope = theta / PRIOR_NATS**2
        for movie, known in zip(movies, pinned, strict=True):
            counts = _counts(known.problem, known.priced(shifts))
            counts = counts - _counts(movie.problem, shifts.applied(movie.problem))
            slope = slope + counts * np.array([-1 / shifts.temperature, 1, 1])
        return slope

    divisions = sum(_divisions(movie.truth) for movie in movies)
    theta, spread = np.zeros(3), np.full(3, np.nan)
    free = np.arange(3 if divisions else 2)  # the last one is the division's

    def slope_of_free(part: NDArray[np.float64]) -> NDArray[np.float64]:
        return gradient(np.append(part, theta[len(free) :]))[free]

    theta[free], covariance = _root(slope_of_free, len(free))
    spread[free] = np.sqrt(np.diag(covariance))
    after = _questions(movies, reported, _shifts(theta))
    log.info("costs learned from %d daughters: %s", len(before), _shifts(theta))
    return FittedCosts(
        _shifts(theta),
        CostShifts(*spread.tolist()),
        len(before),
        errors,
        divisions,
        mean_nll(answers(before).true_probability),
        mean_nll(answers(after).true_probability),
    )


def _divisions(truth: TrueParents) -> int:
    """Return how many mothers have two daughters for certain."""
    mother = truth.mother[truth.known & (truth.mother >= 0)]
    return int(np.count_nonzero(np.bincount(mother) == MOST_DAUGHTERS))


def _shifts(theta: NDArray[np.float64]) -> CostShifts:
    """Return the shifts that parameters stand for: the logarithm of the temperature, and the two shifts."""
    return CostShifts(float(np.exp(theta[0])), float(theta[1]), float(theta[2]))


def _mothers(problem: TrackingProblem, edge: NDArray[np.bool_]) -> NDArray[np.int64]:
    mother = np.full(problem.n_nodes, NEW, dtype=np.int64)
    mother[problem.target[edge]] = problem.source[edge]
    return mother


def _questions(
    movies: Sequence[TrainingMovie], reported: Sequence[NDArray[np.int64]], shifts: CostShifts
) -> ParentQuestions:
    """Return one question for each daughter that is known, with exact marginals at some costs."""
    parts = []
    for movie, mother in zip(movies, reported, strict=True):
        problem, truth = movie.problem, movie.truth
        link = estimate(shifts.applied(problem)).link
        asked = ask_parents(problem.source, problem.target, link, reported=mother, true=truth.mother, known=truth.known)
        parts.append(asked.questions)
    return ParentQuestions.concatenate(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is left of a movie when all that is known of the parents holds.

    Parameters
    ----------
    problem : TrackingProblem
        The n cells with the candidates that are still possible: of a daughter whose mother is known that link alone.
    linked : (n,) bool
        Daughters that have a mother for certain.
    """

    problem: TrackingProblem
    linked: NDArray[np.bool_]

    @classmethod
    def of(cls, movie: TrainingMovie) -> _Known:
        """Take out what is known not to be; a true mother that is no candidate, or of more than two, says nothing."""
        problem, truth = movie.problem, movie.truth
        true = truth.known[problem.target] & (truth.mother[problem.target] == problem.source)
        true &= np.bincount(problem.source[true], minlength=problem.n_nodes)[problem.source] <= MOST_DAUGHTERS
        linked = np.zeros(problem.n_nodes, dtype=bool)
        linked[problem.target[true]] = True
        settled = linked | (truth.known & (truth.mother == NEW))
        rows = true | ~settled[problem.target]
        left = replace(
            problem, source=problem.source[rows], target=problem.target[rows], edge_cost=problem.edge_cost[rows]
        )
        return cls(left, linked)

    def priced(self, shifts: CostShifts) -> TrackingProblem:
        """Return what is left at other costs; that a known daughter is new is as good as impossible."""
        changed = shifts.applied(self.problem)
        dearest = np.full(changed.n_nodes, -np.inf)
        np.maximum.at(dearest, changed.target, changed.edge_cost)
        return replace(
            changed,
            appear_cost=np.where(
                self.linked, np.maximum(changed.appear_cost, dearest) + IMPOSSIBLE, changed.appear_cost
            ),
        )


def _counts(before: TrackingProblem, problem: TrackingProblem) -> NDArray[np.float64]:
    """Return the expected cost of links as it was before, and numbers of appearances and divisions."""
    begins, ends = inner_frames(problem)
    found = estimate(problem)
    outcomes = found.outcomes
    cell = np.repeat(np.arange(problem.n_nodes), np.diff(outcomes.first))
    p = np.where(ends[cell], outcomes.probability, 0.0)
    return np.array(
        [
            float((found.link * before.edge_cost).sum()),
            float(found.new[begins].sum()),
            float(p[outcomes.b >= 0].sum()),
        ]
    )


def _root(gradient: Gradient, n_parameters: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where a gradient is 0, and the inverse of the second derivatives there.

    Newton's steps, halved until the gradient is nearer to 0; second derivatives are differences.
    """
    theta = np.zeros(n_parameters)
    slope = gradient(theta)
    for _ in range(STEPS):
        curvature = _curvature(gradient, theta, slope)
        inverse = np.asarray(np.linalg.inv(curvature), dtype=np.float64)
        if slope @ inverse @ slope < SETTLED**2:
            return theta, inverse
        step = -inverse @ slope
        step *= min(1.0, LONGEST / np.abs(step).max())
        for _ in range(HALVINGS):
            tried = gradient(theta + step)
            if tried @ inverse @ tried < slope @ inverse @ slope:
                break
            step = step / 2
        theta, slope = theta + step, tried
    raise CalibrationError(
        f"no costs were found at which this truth is likeliest, in {STEPS} steps",
        **{"try": "more movies, or a temperature alone"},
    )


def _curvature(
    gradient: Gradient,
    theta: NDArray[np.float64],
    slope: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the second derivatives, symmetric and no less than those of the prior."""
    rows = [(gradient(theta + DIFFERENCE * side) - slope) / DIFFERENCE for side in np.eye(len(theta))]
    raw = np.array(rows)
    value, vector = np.linalg.eigh((raw + raw.T) / 2)
    return np.asarray(vector * np.maximum(value, 1 / PRIOR_NATS**2) @ vector.T)
