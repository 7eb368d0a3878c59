"""Score of a link by how much the image changes where the source lies: a cell that is busy may have gone far.

The activity of a cell is the mean over its mask of half the change of the image until the target's frame. The target's
place is normal around the source, with a spread in proportion to the activity; and its area is that of the source, or,
for a daughter, half of it. Both proportions are learned from the movie: those of the authors (a spread of activity /
2.5 pixels) hold for images of 8 bits, and their rule for areas, that a cell keeps nine tenths of its own at least, is a
threshold where a posterior needs a density. Their own order of assignment, the least active cell first, is that of
`trackdb solve --greedy --by activity`, which reads activities and likelihoods from here, too.

References
----------
.. [1] Ruzaeva et al., "Cell tracking for live-cell microscopy using an activity-prioritized assignment strategy", 2022.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import MissingRowsError
from ..candidates import density_of
from ..pixels import NO_PIXELS
from .base import Scores, ScoreScale
from .distance import NEW, Motion, fit_motion, sample_edges
from .overlap import frame_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..pixels import Pixels

log = logging.getLogger(__name__)

AUTHORS_K: Final = 2.5
"""Activity in grey values of images of 8 bits, over this, is the spread of a place in pixels."""

SWEEPS: Final = 60
SETTLED: Final = 1e-3  # relative change of both proportions at which the iteration stops
QUIETEST: Final = 0.1  # no cell is taken to be less active than this share of the median: noise alone is activity
DAUGHTERS: Final = 0.05  # share of the children that are daughters of a division
MISDRAWN: Final = 0.05  # share of the outlines whose areas tell nothing: touching cells, merged or split ones
LEAST_SPREAD: Final = 0.05  # of the logarithm of an area


@dataclass(frozen=True, slots=True)
class Habits:
    """How places and areas of children follow from their parents.

    Parameters
    ----------
    reach : float
        Spread of a child's place along each axis per unit of activity, micrometres (pixels) a grey value.
    area_spread : float
        Spread of the logarithm of a child's area around its parent's, or around half of it.
    mean_log_area, log_area_spread : float
        Of all cells: what the area of a new one is like.
    """

    reach: float
    area_spread: float
    mean_log_area: float
    log_area_spread: float

    def log_density(
        self,
        distance: NDArray[np.float64],
        activity: NDArray[np.float64],
        log_ratio: NDArray[np.float64],
        log_area: NDArray[np.float64],
        ndim: int,
    ) -> NDArray[np.float64]:
        """Return the log density of each child's place, and the log odds of its area against that of any cell.

        Parameters
        ----------
        distance, activity : (m,) float64
            How far each child lies, and the activity of its parent.
        log_ratio, log_area : (m,) float64
            Logarithm of its area, over its parent's, and on its own.
        ndim : int
            Number of space axes.
        """
        sigma = self.reach * activity
        place = -0.5 * (distance / sigma) ** 2 - 0.5 * ndim * np.log(2 * np.pi * sigma**2)
        any_cell = _log_normal(log_area - self.mean_log_area, self.log_area_spread)
        told = np.logaddexp(*self.area_terms(log_ratio)) - any_cell
        return np.asarray(place + np.logaddexp(told, np.log(MISDRAWN)), dtype=np.float64)

    def area_terms(self, log_ratio: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the log density of areas as those of cells that go on, and of daughters."""
        return (
            np.log((1 - MISDRAWN) * (1 - DAUGHTERS)) + _log_normal(log_ratio, self.area_spread),
            np.log((1 - MISDRAWN) * DAUGHTERS) + _log_normal(log_ratio + np.log(2), self.area_spread),
        )


class ActivityScorer:
    """Scores each edge by its length against the change of the image at its source, and by the two areas."""

    name = "activity"

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Learn the habits of the cells, then return the log density of every edge.

        Parameters
        ----------
        detections : Detections
            n cells with areas.
        edges : CandidateEdges
            m candidates, from `link_nearest`.
        pixels : Pixels
            Masks, and images of which the first channel is looked at.

        Returns
        -------
        Scores
            Log densities per um^2 or um^3 (px where the voxel size is not known); the estimates hold
            ``reach_um_per_grey_value`` (or ``_px_``), ``median_activity_grey_values`` and ``log_area_spread``.

        Raises
        ------
        MissingRowsError
            If there are no images, or no masks.
        """
        if not len(edges):
            return Scores(np.empty(0), ScoreScale.LOG_DENSITY)
        seen = observed(detections, edges, pixels)
        unit = "px" if detections.scale_um is None else "um"
        log.info("activity: median %.3g, reach %.3g %s a grey value", seen.median, seen.habits.reach, unit)
        return Scores(
            seen.log_density(detections, edges),
            ScoreScale.LOG_DENSITY,
            {
                f"reach_{unit}_per_grey_value": seen.habits.reach,
                "median_activity_grey_values": seen.median,
                "log_area_spread": seen.habits.area_spread,
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """How active the cells are, and what follows from that.

    Parameters
    ----------
    raw : (m,) float64
        Activity of the source of each edge, grey values.
    median : float
        Of all of them.
    habits : Habits
        What was learned from the movie.
    """

    raw: NDArray[np.float64]
    median: float
    habits: Habits

    @property
    def activity(self) -> NDArray[np.float64]:
        """Activities, (m,), more than 0: noise alone is some."""
        return _floored(self.raw, self.median)

    def log_density(self, detections: Detections, edges: CandidateEdges) -> NDArray[np.float64]:
        """Return the score of each edge, (m,)."""
        log_area = np.log(detections.area)
        return self.habits.log_density(
            edges.distance,
            self.activity,
            log_area[edges.target] - log_area[edges.source],
            log_area[edges.target],
            detections.ndim,
        )

    def likelihood(self, detections: Detections, edges: CandidateEdges, *, k: float = 0.0) -> NDArray[np.float64]:
        """Return the authors' likelihood of each edge's place, (m,): 1 where the source lay, less the farther it is.

        Parameters
        ----------
        detections : Detections
            n cells.
        edges : CandidateEdges
            m candidates.
        k : float
            The spread is activity over k pixels along the last axis, `AUTHORS_K` for images of 8 bits; 0 takes what was
            learned from the movie.
        """
        if not k:
            return np.asarray(np.exp(-0.5 * (edges.distance / (self.habits.reach * self.activity)) ** 2))
        pixel = 1.0 if detections.scale_um is None else detections.scale_um[-1]
        spread = np.maximum(self.raw / k * pixel, np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):  # beyond any spread: likelihood 0
            return np.asarray(np.exp(-0.5 * (edges.distance / spread) ** 2))


def observed(detections: Detections, edges: CandidateEdges, pixels: Pixels) -> Observed:
    """Look at the images under the sources of m edges, one at least, and learn the habits of the cells.

    Raises
    ------
    MissingRowsError
        If there are no images, or no masks.
    """
    if not pixels.channels:
        raise MissingRowsError(
            "scores by activity need images, and there are none of these cells",
            **{"try": "--by distance or overlap, or ingest with --images FOLDER"},
        )
    if not pixels.has_masks or bool(np.isnan(detections.area).any()):
        raise MissingRowsError(
            "scores by activity need label masks, these cells are points",
            **{"try": "--by distance, or ingest the masks that the points come from"},
        )
    raw = activity_of(detections, edges, pixels)
    median = float(np.median(raw))
    return Observed(raw, median, fit_habits(detections, edges, _floored(raw, median)))


def _floored(raw: NDArray[np.float64], median: float) -> NDArray[np.float64]:
    return np.maximum(raw, QUIETEST * median) if median else np.ones(len(raw))  # nothing changes: all alike


def activity_of(detections: Detections, edges: CandidateEdges, pixels: Pixels) -> NDArray[np.float64]:
    """Return the activity of the source of each edge until the frame of its target, (m,), in grey values.

    Pixels that are no number in either frame are left out; a cell that has no other has activity 0.
    """
    channel = pixels.channels[0]
    found = np.zeros(len(edges))
    for first, last, rows in frame_pairs(detections, edges):
        source, place = np.unique(edges.source[rows], return_inverse=True)
        mask = pixels.mask(first)
        change = np.subtract(pixels.image(channel, last), pixels.image(channel, first), dtype=np.float64)
        label = mask[mask > 0]
        change = 0.5 * np.abs(change[mask > 0])
        order = np.argsort(detections.label[source])
        known = detections.label[source][order]
        row = np.minimum(np.searchsorted(known, label), len(known) - 1)
        seen = (known[row] == label) & np.isfinite(change)
        total = np.bincount(row[seen], change[seen], len(known))
        count = np.bincount(row[seen], minlength=len(known))
        mean = np.empty(len(known))
        mean[order] = total / np.maximum(count, 1)
        found[rows] = mean[place]
    return found


def fit_habits(detections: Detections, edges: CandidateEdges, activity: NDArray[np.float64]) -> Habits:
    """Learn reach and spread of areas by expectation maximisation over the unknown parents.

    Every target shares itself between its candidates and "new", as in `distance.fit_motion`, which says where to begin;
    one target in a hundred is held to be new.

    Parameters
    ----------
    detections : Detections
        n cells with areas.
    edges : CandidateEdges
        m candidates, at least one; only those of the shortest gap are looked at.
    activity : (m,) float64
        Of their sources, more than 0.
    """
    rows = sample_edges(detections, edges, int(edges.frames.min()))
    target = np.unique(edges.target[rows], return_inverse=True)[1]
    distance, activity, ndim = edges.distance[rows], activity[rows], detections.ndim
    all_areas = np.log(detections.area)
    log_area = all_areas[edges.target[rows]]
    log_ratio = log_area - all_areas[edges.source[rows]]
    longest = float(edges.distance.max()) or 1.0
    clutter = density_of(detections, thinnest=longest)
    least = 1e-3 * longest / float(activity.max())
    motion: Motion = fit_motion(detections, edges)
    habits = Habits(
        max(motion.sigma / float(np.median(activity)), least),
        max(float(np.median(np.abs(log_ratio))), LEAST_SPREAD),
        float(all_areas.mean()),
        max(float(all_areas.std()), LEAST_SPREAD),
    )
    for _ in range(SWEEPS):
        weight = (1 - NEW) * np.exp(habits.log_density(distance, activity, log_ratio, log_area, ndim))
        share = weight / (np.bincount(target, weight) + NEW * clutter)[target]
        children = float(share.sum())
        if children == 0:
            break
        reach = max(float(((share * (distance / activity) ** 2).sum() / children / ndim) ** 0.5), least)
        spread = _area_spread(habits, share, log_ratio, log_area)
        change = max(abs(reach / habits.reach - 1), abs(spread / habits.area_spread - 1))
        habits = Habits(reach, spread, habits.mean_log_area, habits.log_area_spread)
        if change < SETTLED:
            break
    return habits


def _area_spread(
    habits: Habits, share: NDArray[np.float64], log_ratio: NDArray[np.float64], log_area: NDArray[np.float64]
) -> float:
    """Return the spread of areas about those of the parents, or half of them, with misdrawn ones left aside."""
    whole, half = habits.area_terms(log_ratio)
    any_cell = np.log(MISDRAWN) + _log_normal(log_area - habits.mean_log_area, habits.log_area_spread)
    all_of_them = np.logaddexp(np.logaddexp(whole, half), any_cell)
    goes_on, daughter = share * np.exp(whole - all_of_them), share * np.exp(half - all_of_them)
    square = (goes_on * log_ratio**2 + daughter * (log_ratio + np.log(2)) ** 2).sum()
    return max(float((square / max((goes_on + daughter).sum(), 1e-300)) ** 0.5), LEAST_SPREAD)


def _log_normal(x: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return the log density of a normal distribution around 0."""
    return np.asarray(-0.5 * (x / sigma) ** 2 - 0.5 * np.log(2 * np.pi * sigma**2))
