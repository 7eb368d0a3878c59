"""Density of the step of a cell: Student-t around where drift and its own velocity take it, as learned from links.

A displacement is ``b0 drift + b1 before + b2 after + b3 own_before + b4 own_after`` plus a Student-t residual. The
coefficients and the scale matrix depend on what is known of the link (`Predictors.pattern`); the scale also changes
from frame to frame. Over a missed frame the variance grows by a factor of its own: 1 where cells jitter around their
places, 2 where they diffuse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .hazard import smoothed
from .student import USUAL_FREEDOM, StudentT, fit_student, log_fall, log_peak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .drift import Predictors

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PATTERNS: Final = 4  # of `Predictors`
BOTH_KNOWN: Final = 3  # the last of them
COLUMNS: Final = 5
REACH_SCALES: Final = 3.5  # of a step in the plane before anything is learned, in the length that few exceed
SWEEPS: Final = 5  # of the scales of frames
FEW: Final = 20  # links from which nothing is learned, nor from fewer
OWN: Final = 30  # links of a pattern from which on it has coefficients of its own
RIDGE: Final = 20 / 3  # mean squared lengths of all predictors of a link, added to the squares of each of them
TINY: Final = 1e-9  # square of a length; where no cell moves the coefficients are 0
ALL_WORTH: Final = 5.0  # links that the scale at the start counts for
PATTERN_WORTH: Final = 20.0  # links that the scale of all counts for in that of a pattern
WIDER: Final = 1.5  # scale of a pattern that no link has, relative to that of all; nothing is known in the first
WINDOW: Final = 7  # frames that a frame's scale is learned from
WINDOW_WORTH: Final = 30.0  # links at the usual scale in each window
SKIP_WORTH: Final = 20.0  # links that diffuse
FAR: Final = 9.0  # squared length, in units of the scale, that a step over a missed frame counts for at most


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What is learned of the steps of cells.

    Parameters
    ----------
    coefficient : (4, 5) float64
        Of the columns of `Predictors`, for each pattern.
    scale : (4, ndim, ndim) float64
        Scale matrix of the residual for each pattern.
    freedom : float
        Degrees of freedom.
    frame_scale : (t,) float64
        Length of the residuals that begin in each frame that has cells, relative to the usual one.
    growth : float
        Variance of a step over twice the usual time, relative to one over it.
    prior : (ndim, ndim) float64
        Scale matrix before anything is learned.
    """

    coefficient: NDArray[np.float64]
    scale: NDArray[np.float64]
    freedom: float
    frame_scale: NDArray[np.float64]
    growth: float
    prior: NDArray[np.float64]

    @classmethod
    def unlearned(cls, reach: float, ndim: int, n_frames: int) -> Motion:
        """Return the motion to start from: steps of which six in a hundred are longer than `reach`."""
        prior = np.eye(ndim) * 2 * (reach / REACH_SCALES) ** 2 / ndim
        return cls(
            coefficient=np.zeros((PATTERNS, COLUMNS)),
            scale=np.stack([prior] * PATTERNS),
            freedom=USUAL_FREEDOM,
            frame_scale=np.ones(n_frames),
            growth=2.0,
            prior=prior,
        )

    @property
    def drift_coefficient(self) -> float:
        """Share of the drift that a cell follows of which nothing else is known."""
        return float(self.coefficient[0, 0])

    @property
    def typical_step(self) -> float:
        """Scale of the residual along each axis in a usual frame, both neighbours in time known.

        The standard deviation is ``sqrt(freedom / (freedom - 2))`` times as long.
        """
        return float(np.sqrt(np.trace(self.scale[BOTH_KNOWN]) / len(self.prior)))

    def log_density(
        self,
        step: NDArray[np.float64],
        known: Predictors,
        order: NDArray[np.int64],
        elapsed: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the log density of k steps per unit of area or volume.

        Parameters
        ----------
        step : (k, ndim) float64
            Displacements.
        known : Predictors
            What is known of each.
        order : (k,) int64
            Frame that each begins in, counted over those that have cells.
        elapsed : (k,) float64
            Time that each spans, in usual times between frames.
        """
        ndim = len(self.prior)
        peak = log_peak(self.freedom, ndim) - 0.5 * np.linalg.slogdet(self.scale)[1]
        variance = self.frame_scale[order] ** 2 * (1 + (self.growth - 1) * (elapsed - 1))
        square = self._squared_lengths(step, known) / variance
        fall = log_fall(square, self.freedom, ndim)
        return np.asarray(peak[known.pattern] + fall - 0.5 * ndim * np.log(variance))

    def at_speeds_of(
        self,
        step: NDArray[np.float64],
        known: Predictors,
        order: NDArray[np.int64],
        elapsed: NDArray[np.float64],
        n: int,
    ) -> Motion:
        """Return the same motion with the frame scales of k links that begin in n frames; all else stays."""
        usual = np.flatnonzero(elapsed == elapsed.min(initial=np.inf))
        known = known.take(usual)
        square = self._squared_lengths(step[usual], known)
        return replace(self, frame_scale=_frame_scale(square, order[usual], self.freedom, len(self.prior), n))

    def _squared_lengths(self, step: NDArray[np.float64], known: Predictors) -> NDArray[np.float64]:
        """Return the squared lengths of the residuals of k steps in units of the scale of a usual frame."""
        precision = np.asarray(np.linalg.inv(self.scale), dtype=np.float64)
        return np.asarray(_squares(self.residual(step, known), known.pattern, precision))

    def residual(self, step: NDArray[np.float64], known: Predictors) -> NDArray[np.float64]:
        """Return what is left of k steps when drift and velocity are taken off, (k, ndim)."""
        b = self.coefficient[known.pattern][:, :, None]
        left = step - b[:, 0] * known.drift - b[:, 1] * known.before - b[:, 2] * known.after
        return np.asarray(left - b[:, 3] * known.own_before - b[:, 4] * known.own_after)


def learn_motion(
    step: NDArray[np.float64],
    known: Predictors,
    order: NDArray[np.int64],
    elapsed: NDArray[np.float64],
    before: Motion,
) -> Motion:
    """Learn motion from the links of a lineage.

    Parameters
    ----------
    step, known, order, elapsed
        As in `Motion.log_density`, of links that do not divide.
    before : Motion
        What the lineage was found with; 20 links or fewer leave it as it is.
    """
    usual = elapsed == elapsed.min(initial=np.inf)
    if usual.sum() <= FEW:
        return before
    rows = np.flatnonzero(usual)
    near = known.take(rows)
    weight = StudentT(before.scale[0], before.freedom).weights(before.residual(step[rows], near))
    coefficient = _regressed(step[rows], near, weight)
    motion = replace(before, coefficient=coefficient)
    residual = motion.residual(step[rows], near)
    all_links = fit_student(residual, before.prior, worth=ALL_WORTH)
    square, ndim = all_links.squares(residual), residual.shape[1]
    frame_scale = _frame_scale(square, order[rows], all_links.freedom, ndim, len(before.frame_scale))
    residual /= frame_scale[order[rows]][:, None]
    scale = np.stack(
        [
            _scale_of_pattern(residual[near.pattern == pattern], all_links, WIDER if pattern == 0 else 1.0)
            for pattern in range(PATTERNS)
        ]
    )
    motion = replace(motion, scale=scale, freedom=all_links.freedom, frame_scale=frame_scale)
    far = np.flatnonzero(~usual)
    return replace(motion, growth=_growth(motion, step[far], known.take(far), order[far], elapsed[far], all_links))


def _regressed(step: NDArray[np.float64], known: Predictors, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients of each pattern by weighted least squares; a ridge holds those that say nothing at 0."""
    columns = known.columns
    coefficient = np.zeros((PATTERNS, COLUMNS))
    for pattern in range(PATTERNS):
        rows = np.flatnonzero(known.pattern == pattern)
        if len(rows) < OWN:
            rows = np.arange(len(step))
        a, w = columns[rows], weight[rows][:, None, None]
        gram = np.einsum("nda,ndb->ab", a * w, a)
        gram += np.eye(COLUMNS) * (TINY + RIDGE * np.trace(gram) / len(rows))
        coefficient[pattern] = np.linalg.solve(gram, np.einsum("nda,nd->a", a * w, step[rows]))
    return coefficient


def _frame_scale(
    square: NDArray[np.float64], order: NDArray[np.int64], freedom: float, ndim: int, n_frames: int
) -> NDArray[np.float64]:
    """Return how long residuals are around each frame, relative to the usual ones, from their squared lengths."""
    count = smoothed(np.bincount(order, minlength=n_frames).astype(np.float64), WINDOW) + WINDOW_WORTH
    variance = np.ones(n_frames)
    for _ in range(SWEEPS):
        weight = (freedom + ndim) / (freedom + square / variance[order])
        total = smoothed(np.bincount(order, weight * square, n_frames).astype(np.float64), WINDOW) + WINDOW_WORTH * ndim
        variance = total / (ndim * count)
    return np.asarray(np.sqrt(variance))


def _scale_of_pattern(residual: NDArray[np.float64], usual: StudentT, unseen: float) -> NDArray[np.float64]:
    if not len(residual):
        return unseen * usual.scale
    return fit_student(residual, usual.scale, worth=PATTERN_WORTH, freedoms=(usual.freedom,)).scale


def _growth(
    motion: Motion,
    step: NDArray[np.float64],
    known: Predictors,
    order: NDArray[np.int64],
    elapsed: NDArray[np.float64],
    usual: StudentT,
) -> float:
    """Return by how much the variance of longer steps grows, from those that were taken."""
    residual = motion.residual(step, known) / motion.frame_scale[order][:, None]
    square = np.minimum(usual.squares(residual), FAR) / len(motion.prior)
    each = 1 + (square - 1) / (elapsed - 1)
    return float(np.clip((2 * SKIP_WORTH + each.sum()) / (SKIP_WORTH + len(each)), 1.0, 3.0))


@njit(cache=True, nogil=True)
def _squares(residual: Floats, pattern: Ints, precision: Floats) -> Floats:
    k, ndim = residual.shape
    square = np.zeros(k)
    for i in range(k):
        for a in range(ndim):
            for b in range(ndim):
                square[i] += residual[i, a] * precision[pattern[i], a, b] * residual[i, b]
    return square
