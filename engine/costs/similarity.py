"""Similarities to log densities: what a number is worth is learned from the candidates of the movie themselves.

An overlap, or the number that a network gave a pair, is larger where a link is likelier, and more it does not say.
Nobody has labels; but most cells tell their parent by distance alone. So the odds that a candidate is the target's
parent, against all others,

    ln odds = a + b ln q(distance) + c x,    b, c >= 0,

are learned by expectation maximisation: every target shares itself between its candidates and "new", in proportion to
their odds, and a logistic regression on these shares gives the next a, b and c. Where other cells lie with density rho,
a child lies with density ``odds rho``: that is the log density which the cost model reads, on one scale with the
scorer of distances, and no larger for being told twice what distance and overlap both know. The measurements stand in
``docs/design/0006-overlap-and-own-scores.md``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

from ...errors import SchemaError
from ..candidates import density_of
from ..scorers.base import Scores, ScoreScale
from ..scorers.distance import NEW, fit_motion, sample_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..scorers.distance import Motion

log = logging.getLogger(__name__)

WORTH: Final = {ScoreScale.IOU: "nats_per_covered_target", ScoreScale.SIMILARITY: "nats_per_score"}
"""Scales whose worth is learned, and what it is called among the estimates."""

SWEEPS: Final = 60
NEWTON_STEPS: Final = 25  # of the regression in each sweep, at most
HALVINGS: Final = 30  # of a step
SETTLED: Final = 1e-4  # change of every coefficient at which the iteration stops
RIDGE: Final = 0.1  # keeps slopes finite where a number tells links from the rest without an error
SUREST: Final = 30.0  # nats; no odds are taken to be further from even
CLEARLY: Final = 4.0  # standard errors


@dataclass(frozen=True, slots=True)
class Worth:
    """What the scores of a movie are worth, learned from it or from a sample of its frames.

    Parameters
    ----------
    motion : Motion or None
        How far cells move; None where nothing had to be learned, or could be.
    density : float
        Cells in a frame per unit of area or volume.
    odds : dict of int to (float, (float, float))
        For edges over so many frames: offset, and the slopes of log density by distance and of the score.
    estimates : dict of str to float
        The slopes by name.
    """

    motion: Motion | None = None
    density: float = 1.0
    odds: dict[int, tuple[float, tuple[float, float]]] = field(default_factory=dict)
    estimates: dict[str, float] = field(default_factory=dict)

    def as_densities(self, detections: Detections, edges: CandidateEdges, scores: Scores) -> Scores:
        """Return scores whose worth has to be learned as log densities; others are returned as they are.

        Edges over a number of frames that was not learned from go by the nearest one that was.
        """
        if scores.scale not in WORTH:
            return scores
        x = _told(detections, edges, scores)
        estimates = scores.estimates | self.estimates
        if self.motion is None:
            return Scores(x, ScoreScale.LOG_DENSITY, estimates)
        log_q = self.motion.log_density(edges.distance, detections.ndim, edges.frames)
        log_density = np.empty(len(edges))
        for gap in np.unique(edges.frames).tolist():
            offset, slopes = self.odds[min(self.odds, key=lambda known: (abs(known - gap), known))]
            these = edges.frames == gap
            odds = offset + slopes[0] * log_q[these] + slopes[1] * x[these]
            log_density[these] = np.clip(odds, -SUREST, SUREST) + np.log(self.density)
        return Scores(log_density, ScoreScale.LOG_DENSITY, estimates)


def as_densities(detections: Detections, edges: CandidateEdges, scores: Scores) -> Scores:
    """Return scores whose worth has to be learned as log densities; others are returned as they are.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    scores : Scores
        Of the edges.

    Returns
    -------
    Scores
        Never falling with the score for edges of one length; the estimates hold what a score is worth.
    """
    return learn_worth(detections, edges, scores).as_densities(detections, edges, scores)


def learn_worth(detections: Detections, edges: CandidateEdges, scores: Scores) -> Worth:
    """Learn what scores are worth, where that has to be learned; parameters as of `as_densities`."""
    if scores.scale not in WORTH or not len(edges):
        return Worth()
    x = _told(detections, edges, scores)
    motion = fit_motion(detections, edges)
    log_q = motion.log_density(edges.distance, detections.ndim, edges.frames)
    rho = density_of(detections, thinnest=float(edges.distance.max()) or 1.0)
    learned: dict[int, tuple[float, tuple[float, float]]] = {}
    estimates: dict[str, float] = {}
    for gap in np.unique(edges.frames).tolist():
        rows = sample_edges(detections, edges, gap)
        target = np.unique(edges.target[rows], return_inverse=True)[1]
        offset, slopes = learn_odds(np.stack([log_q[rows], x[rows]], axis=1), target, log_q[rows] - np.log(rho))
        learned[gap] = offset, (float(slopes[0]), float(slopes[1]))
        over = f"_over_{gap}_frames" if gap > 1 else ""
        estimates |= {
            f"nats_per_nat_of_distance{over}": float(slopes[0]),
            f"{WORTH[scores.scale]}{over}": float(slopes[1]),
        }
    return Worth(motion, rho, learned, estimates)


def _told(detections: Detections, edges: CandidateEdges, scores: Scores) -> NDArray[np.float64]:
    return covered_share(detections, edges, scores.value) if scores.scale is ScoreScale.IOU else scores.value


def falls_with_links(detections: Detections, edges: CandidateEdges, scores: Scores) -> bool:
    """Tell whether a similarity is turned round: clearly smaller where distance alone makes a link likely.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    scores : Scores
        Of the edges.

    Returns
    -------
    bool
        Whether the mean over links is below that over the other candidates by more than 4 standard errors. Where links
        are likely by distance is said by the shares that `learn_odds` begins with.
    """
    if not len(edges):
        return False
    rows = sample_edges(detections, edges, int(edges.frames.min()))
    rho = density_of(detections, thinnest=float(edges.distance.max()) or 1.0)
    log_q = fit_motion(detections, edges).log_density(edges.distance[rows], detections.ndim, edges.frames[rows])
    link = _shares(log_q - np.log(rho), np.unique(edges.target[rows], return_inverse=True)[1])
    if min(link.sum(), (1 - link).sum()) < 1:
        return False
    x = scores.value[rows]
    if np.ptp(x) == 0:
        return False
    of_links, of_others = (np.average(x, weights=w) for w in (link, 1 - link))
    error = x.std() * np.sqrt(1 / link.sum() + 1 / (1 - link).sum())
    return bool(of_links < of_others - CLEARLY * error)


def covered_share(detections: Detections, edges: CandidateEdges, iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each target that its source covers, (m,) 0 .. 1.

    A daughter lies in her mother's place as a cell that stays lies in its own, but the union of the two masks is twice
    as large: their IoU differs where this share does not.

    Raises
    ------
    SchemaError
        If a cell has no area.
    """
    source, target = detections.area[edges.source], detections.area[edges.target]
    if np.isnan(source).any() or np.isnan(target).any():
        raise SchemaError("overlaps of masks need cells with areas, these are points")
    shared = iou * (source + target) / (1 + iou)
    return np.asarray(np.clip(shared / target, 0, 1), dtype=np.float64)


def learn_odds(
    features: NDArray[np.float64], target: NDArray[np.int64], odds: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Learn the log odds of being the parent as an offset and a slope for each feature, none of them negative.

    Parameters
    ----------
    features : (m, k) float64
        What is known of each candidate.
    target : (m,) int64
        Its target, numbered from 0.
    odds : (m,) float64
        Log odds to begin with.

    Returns
    -------
    offset : float
        Log odds where all features are 0.
    slopes : (k,) float64
        Nats a unit of each feature; 0 for a feature that tells nothing or the wrong way.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    standard = (features - mean) / spread
    weight = np.zeros(1 + features.shape[1])
    for _ in range(SWEEPS):
        before, weight = weight, _regress(standard, _shares(odds, target), weight)
        odds = weight[0] + standard @ weight[1:]
        if np.abs(weight - before).max() < SETTLED:
            break
    slopes = weight[1:] / spread
    return float(weight[0] - slopes @ mean), slopes


def _shares(odds: NDArray[np.float64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share each target between its candidates and "new", in proportion to their odds; `odds` are logs."""
    w = (1 - NEW) * np.exp(np.clip(odds, -SUREST, SUREST))
    return np.asarray(w / (np.bincount(target, w) + NEW)[target], dtype=np.float64)


def _regress(
    standard: NDArray[np.float64], share: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights of a logistic regression; slopes that come out negative are left out, the worst one first."""
    columns = np.column_stack([np.ones(len(share)), standard])
    used = np.ones(len(weight), dtype=bool)
    while True:
        found = np.zeros(len(used))
        found[used] = _newton(columns[:, used], share, weight[used])
        if found[1:].min(initial=0.0) >= 0:
            return found
        used[1 + np.argmin(found[1:])] = False


def _newton(
    columns: NDArray[np.float64], share: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise the logistic loss and the ridge from `weight` on; a step that overshoots is halved until it does not."""
    ridge = np.r_[0.0, np.full(columns.shape[1] - 1, RIDGE)]

    def loss(w: NDArray[np.float64]) -> float:
        z = columns @ w
        return float((np.logaddexp(0, z) - share * z).sum() + (ridge * w**2).sum() / 2)

    reached = loss(weight)
    for _ in range(NEWTON_STEPS):
        p = expit(columns @ weight)
        curvature = (columns * (p * (1 - p) + 1e-9)[:, None]).T @ columns + np.diag(ridge)
        step = np.linalg.solve(curvature, columns.T @ (share - p) - ridge * weight)
        before = reached
        for _ in range(HALVINGS):
            reached = loss(weight + step)
            if reached < before:
                break
            step /= 2
        else:
            return weight
        weight = weight + step
        if np.abs(step).max() < SETTLED / 10:
            break
    return weight
