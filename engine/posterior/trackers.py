"""The base trackers of the paper: what each says of a link, and the costs that this becomes.

A posterior needs negative log probabilities, and most trackers give something else. The conversions are ours, for the
paper tells none:

============  ================================================  ===================================================
tracker       cost of a link                                    cost of a cell without a mother
============  ================================================  ===================================================
distance      d^2 / (2 s^2) + ln(2 pi s^2), s by EM; in 3D      that of the longest candidate: the cut of the method
              3/2 ln(2 pi s^2)
overlap       -ln max(IoU, 0.01)                                1.05 times the largest cost there is, as LapTrack has
activity      -ln p, with a term for the areas                  -ln of a hundredth of the density of cells
transformer   -ln(p / (1 - sum p)) over a target's candidates   0: its "+1" is the class of new cells
============  ================================================  ===================================================

Ends and divisions are free, as in Eq. (1) of the paper with a uniform prior, unless they are given. A transformer's
probabilities are those of `trackdb score --by` a model, or of a table; with these costs SM gives them back.

References
----------
.. [1] Paul et al., "Reliable Cell Trackers Say 'I dunno!'": Activity (Ruzaeva et al. 2022), Distance (Crocker & Grier
   1996), Overlap (Fukai & Kawaguchi 2023), Transformer (Gallusser & Weigert).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError, SchemaError
from ...solvers.problem import TrackingProblem
from ..candidates import density_of
from ..costs.model import odds_costs
from ..pixels import NO_PIXELS
from ..scorers.activity import ActivityScorer
from ..scorers.base import Scores, ScoreScale
from ..scorers.distance import NEW, fit_motion
from ..scorers.overlap import OverlapScorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..pixels import Pixels
    from ..scorers.base import Scorer

TRACKERS: Final = ("activity", "distance", "overlap")
"""Base trackers whose scorers are here."""

LEAST_IOU: Final = 0.01
UNMATCHED: Final = 1.05  # LapTrack: what costs more than this times the largest cost is not matched


@dataclass(frozen=True, slots=True, eq=False)
class TrackerCosts:
    """What a base tracker's links cost, in nats.

    Parameters
    ----------
    link : (m,) float64
        Of each candidate.
    appear : float
        Of a cell without a mother.
    """

    link: NDArray[np.float64]
    appear: float


class NormalDistanceScorer:
    """Scores each edge by a normal density of steps, whose spread is learned: Brownian motion (Crocker & Grier)."""

    name = "distance"

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Return the log density of every step; `DistanceScorer` without its tails."""
        if not len(edges):
            return Scores(np.empty(0), ScoreScale.LOG_DENSITY)
        motion = fit_motion(detections, edges, tails=(0.0,))
        unit = "px" if detections.scale_um is None else "um"
        value = motion.log_density(edges.distance, detections.ndim, edges.frames)
        return Scores(value, ScoreScale.LOG_DENSITY, {f"sigma_{unit}": motion.sigma})


def tracker_scorer(name: str) -> Scorer:
    """Return the scorer of a base tracker.

    Raises
    ------
    ConfigError
        If it is none of `TRACKERS`.
    """
    match name:
        case "activity":
            return ActivityScorer()
        case "distance":
            return NormalDistanceScorer()
        case "overlap":
            return OverlapScorer()
    raise ConfigError(f"there is no base tracker {name!r}", known=", ".join(TRACKERS))


def tracker_costs(detections: Detections, edges: CandidateEdges, scores: Scores, *, tracker: str) -> TrackerCosts:
    """Turn what a base tracker says into costs.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    scores : Scores
        Of its scorer.
    tracker : str
        One of `TRACKERS`, or ``transformer`` with scores that are probabilities.

    Raises
    ------
    ConfigError
        If there is no such tracker.
    SchemaError
        If the scores are not on the scale of the tracker, or not as many as the edges.
    """
    scale = {
        "activity": ScoreScale.LOG_DENSITY,
        "distance": ScoreScale.LOG_DENSITY,
        "overlap": ScoreScale.IOU,
        "transformer": ScoreScale.PROBABILITY,
    }
    if tracker not in scale:
        raise ConfigError(f"there is no base tracker {tracker!r}", known=", ".join(scale))
    if scores.scale is not scale[tracker]:
        raise SchemaError(f"scores of {tracker} are on the scale {scale[tracker]}, got {scores.scale}")
    if len(scores) != len(edges):
        raise SchemaError("every candidate edge needs a score", wanted=str(len(edges)), got=str(len(scores)))
    if not len(edges):
        return TrackerCosts(np.empty(0), 0.0)
    if tracker == "transformer":
        return TrackerCosts(odds_costs(edges, scores.value, len(detections)), 0.0)
    if tracker == "overlap":
        return TrackerCosts(-np.log(np.maximum(scores.value, LEAST_IOU)), -UNMATCHED * float(np.log(LEAST_IOU)))
    if tracker == "distance":
        return TrackerCosts(-scores.value, float(-scores.value[np.argmax(edges.distance)]))
    rho = density_of(detections, thinnest=float(edges.distance.max()) or 1.0)
    return TrackerCosts(-scores.value, float(-np.log(NEW * rho)))


def tracker_problem(
    detections: Detections,
    edges: CandidateEdges,
    costs: TrackerCosts,
    *,
    disappear: float = 0.0,
    division: float = 0.0,
) -> TrackingProblem:
    """Return the problem of a base tracker: all cells kept; to begin in the first frame, or end in the last, is free.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    costs : TrackerCosts
        Of its links.
    disappear, division : float
        Cost of a cell without a child, and of a second one (w_d and w_div of the paper's Eq. 1).
    """
    n, frame = len(detections), detections.frame
    return TrackingProblem(
        frame=frame,
        source=edges.source,
        target=edges.target,
        edge_cost=costs.link,
        node_cost=np.zeros(n),
        appear_cost=np.where(frame == (frame[0] if n else 0), 0.0, costs.appear),
        disappear_cost=np.where(frame == frame.max(initial=0), 0.0, disappear),
        division_cost=np.where(frame == frame.max(initial=0), 0.0, division),
        pinned_node=np.ones(n, dtype=np.int8),
    )
