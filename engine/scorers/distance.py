"""Score of a link by its distance alone: random motion whose step size and tails are learned from the cells.

A target's place is the source's place plus a step. Steps are normal with variance ``sigma^2 dt`` along each axis, or,
where some cells move much further than others, Student-t: normal with a variance of its own for each step. A pure
normal density cannot hold both ordinary steps and those of daughters, which jump several sigma; the measurements stand
in ``docs/design/0003-one-cost-model.md``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import gammaln

from ..candidates import density_of, spread
from ..pixels import NO_PIXELS
from .base import Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..pixels import Pixels

log = logging.getLogger(__name__)

TAILS: Final = (0.0, 1 / 20, 1 / 10, 1 / 6, 1 / 4, 1 / 3, 1 / 2.5)
"""One over the degrees of freedom that are tried; 0 is the normal density."""

SAMPLE_TARGETS: Final = 30_000
NEW: Final = 0.01  # share of new cells; a larger one would take the steps of daughters away from the tails
SWEEPS: Final = 60
SETTLED: Final = 1e-3  # relative change of sigma^2 at which the iteration stops


@dataclass(frozen=True, slots=True)
class Motion:
    """Density of the steps of cells.

    Parameters
    ----------
    sigma : float
        Scale of a step along each axis in one frame, micrometres or pixels.
    tail : float
        One over the degrees of freedom of the Student-t density; 0 is the normal density.
    """

    sigma: float
    tail: float = 0.0

    def log_density(
        self, distance: NDArray[np.float64], ndim: int, frames: NDArray[np.int64] | int = 1
    ) -> NDArray[np.float64]:
        """Return the log density of steps over `frames` frames at these distances, per unit of area or volume."""
        variance = self.sigma**2 * np.asarray(frames, dtype=np.float64)
        square = distance**2 / variance
        if self.tail == 0:
            shape = -0.5 * ndim * np.log(2 * np.pi) - 0.5 * square
        else:
            freedom = 1 / self.tail
            constant = float(gammaln((freedom + ndim) / 2) - gammaln(freedom / 2)) - 0.5 * ndim * np.log(
                np.pi * freedom
            )
            shape = constant - 0.5 * (freedom + ndim) * np.log1p(square / freedom)
        return np.asarray(shape - 0.5 * ndim * np.log(variance), dtype=np.float64)


class DistanceScorer:
    """Scores each edge by the log density of its step under motion learned from the same cells."""

    name = "distance"

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Learn the motion, then return the log density of every edge.

        Parameters
        ----------
        detections : Detections
            n cells.
        edges : CandidateEdges
            m candidates, from `link_nearest`.
        pixels : Pixels
            Not looked at.

        Returns
        -------
        Scores
            Log densities per um^2 or um^3 (px where the voxel size is not known); the estimates hold ``sigma_um`` (or
            ``sigma_px``) and ``one_over_degrees_of_freedom``.
        """
        if not len(edges):
            return Scores(np.empty(0), ScoreScale.LOG_DENSITY)
        motion = fit_motion(detections, edges)
        unit = "px" if detections.scale_um is None else "um"
        return Scores(
            motion.log_density(edges.distance, detections.ndim, edges.frames),
            ScoreScale.LOG_DENSITY,
            {f"sigma_{unit}": motion.sigma, "one_over_degrees_of_freedom": motion.tail},
        )


def fit_motion(detections: Detections, edges: CandidateEdges, *, tails: Sequence[float] = TAILS) -> Motion:
    """Learn the motion of cells by expectation maximisation over the unknown parents.

    The cells of a frame are drawn with intensity ``(1 - b) sum_i q(x - x_i) + b rho``: children of the cells before,
    and new cells anywhere. Each target's parent is one of its candidates or nobody, in proportion to the terms; sigma
    is re-estimated from these shares. b is held at one in a hundred: cells come from cells, and were b free, daughters
    that jump would count as new. Of the tails tried, the likeliest stays.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates, at least one; only those of the shortest gap are looked at, of some 30 000 targets in frames
        evenly spread.
    tails : sequence of float
        One over the degrees of freedom of each density that is tried; (0,) for the normal one alone.

    Returns
    -------
    Motion
        Its sigma is at least a thousandth of the longest candidate, 1 where all cells stand still.
    """
    longest = float(edges.distance.max())
    if longest == 0:
        return Motion(1.0)
    rows = sample_edges(detections, edges, int(edges.frames.min()))
    distance = edges.distance[rows] / np.sqrt(edges.frames[rows])
    source = edges.source[rows]
    _, target = np.unique(edges.target[rows], return_inverse=True)
    ndim, clutter = detections.ndim, density_of(detections, thinnest=longest)
    start = max(_robust_sigma(distance, source, target, ndim), 1e-3 * longest)
    best, likelihood = Motion(start), -np.inf
    for tail in tails:
        motion, found = _maximise(Motion(start, tail), distance, target, ndim, clutter, 1e-3 * longest)
        if found > likelihood:
            best, likelihood = motion, found
    log.info("motion: sigma %.4g, tail %.3g from %d targets", best.sigma, best.tail, int(target.max()) + 1)
    return best


def sample_edges(detections: Detections, edges: CandidateEdges, frames: int) -> NDArray[np.int64]:
    """Pick the edges over so many `frames` that end in some frames, evenly spread, of some 30 000 targets together."""
    as_long = edges.frames == frames
    number = np.unique(detections.frame[edges.target[as_long]])
    per_frame = max(len(detections) // len(np.unique(detections.frame)), 1)
    chosen = number[spread(len(number), max(SAMPLE_TARGETS // per_frame, 3))]
    return np.flatnonzero(as_long & np.isin(detections.frame[edges.target], chosen))


def _robust_sigma(
    distance: NDArray[np.float64], source: NDArray[np.int64], target: NDArray[np.int64], ndim: int
) -> float:
    """Return the sigma that gives cells and their mutually nearest candidates their median distance."""
    nearest_of_target = np.full(target.max() + 1, np.inf)
    nearest_of_source = np.full(source.max() + 1, np.inf)
    np.minimum.at(nearest_of_target, target, distance)
    np.minimum.at(nearest_of_source, source, distance)
    mutual = (distance == nearest_of_target[target]) & (distance == nearest_of_source[source])
    chi_median = {2: 1.17741, 3: 1.53817}[ndim]  # median length of a standard normal vector
    return float(np.median(distance[mutual])) / chi_median


def _maximise(
    motion: Motion,
    distance: NDArray[np.float64],
    target: NDArray[np.int64],
    ndim: int,
    clutter: float,
    least_sigma: float,
) -> tuple[Motion, float]:
    """Raise the likelihood of the targets over sigma, the tail held: the motion, and the mean log likelihood."""
    n, tail = int(target.max()) + 1, motion.tail
    variance, square = motion.sigma**2, distance**2
    likelihood = -np.inf
    for _ in range(SWEEPS):
        weight = (1 - NEW) * np.exp(Motion(variance**0.5, tail).log_density(distance, ndim))
        intensity = np.bincount(target, weight, n) + NEW * clutter
        likelihood = float(np.log(intensity).mean())
        share = weight / intensity[target]
        children = float(share.sum())
        if children == 0:
            break
        # the expected precision of a step, relative to 1 / variance: steps far out count less
        precision = (1 + tail * ndim) / (1 + tail * square / variance)
        before = variance
        variance = max(float((share * precision * square).sum() / children / ndim), least_sigma**2)
        if abs(variance / before - 1) < SETTLED:
            break
    return Motion(variance**0.5, tail), likelihood
