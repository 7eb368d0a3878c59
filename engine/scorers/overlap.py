"""Score of a link by the overlap of its two masks, once the drift between their frames is taken out.

The score is the intersection over union (IoU) of the mask of the source, shifted by the drift, with that of the target.
Masks of one frame are disjoint and one shift moves them all, so the scores of a target sum to 1 at most. A score is
no probability all the same: a daughter covers half of her mother at best. How the cost model reads it stands in
``docs/design/0006-overlap-and-own-scores.md``.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import MissingRowsError
from ..candidates import nearest_distances, spread
from ..measure import labels_at, runs
from ..pixels import NO_PIXELS
from .base import Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..pixels import Pixels

log = logging.getLogger(__name__)

FEW: Final = 8  # fewer cells than this do not tell the drift of a frame from their own motion
VOTERS: Final = 500  # candidates of a frame pair that vote for its drift
ROUNDS: Final = 20  # of the drift; it settles after two to four


class OverlapScorer:
    """Scores each edge by the overlap of the masks that it ties."""

    name = "overlap"

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Return the intersection over union of every edge; each mask is read once as long as gaps are short.

        Parameters
        ----------
        detections : Detections
            n cells with areas.
        edges : CandidateEdges
            m candidates, from `link_nearest`.
        pixels : Pixels
            The masks.

        Returns
        -------
        Scores
            0 .. 1; the estimates hold the median and the largest drift of a frame pair, ``drift_px`` and
            ``largest_drift_px``.

        Raises
        ------
        MissingRowsError
            If there are no masks of these cells.
        """
        if len(detections) and (not pixels.has_masks or np.isnan(detections.area).any()):
            raise MissingRowsError(
                "scores by overlap need label masks, these cells are points",
                **{"try": "--by distance, or ingest the masks that the points come from"},
            )
        iou, drifts = np.zeros(len(edges)), [0.0]
        area, position = detections.area, detections.position_um
        voxel = np.ones(detections.ndim) if detections.scale_um is None else np.array(detections.scale_um)
        for first, last, rows in frame_pairs(detections, edges):
            source, target = edges.source[rows], edges.target[rows]
            drift = drift_of(position, source, target)
            shift = np.rint(drift / voxel).astype(np.int64)
            shared = shared_pixels(
                pixels.mask(first), pixels.mask(last), shift, detections.label[source], detections.label[target]
            )
            iou[rows] = shared / (area[source] + area[target] - shared)
            drifts.append(float(np.linalg.norm(shift)))
        drift_px = drifts[1:] or drifts
        log.info("overlap: %d edges, median drift %.3g px", len(edges), np.median(drift_px))
        return Scores(
            iou, ScoreScale.IOU, {"drift_px": float(np.median(drift_px)), "largest_drift_px": float(max(drift_px))}
        )


def frame_pairs(detections: Detections, edges: CandidateEdges) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield the frames of source and target, and the edges between the two, pair by pair in the order of frames."""
    first = detections.frame[edges.source]  # never falls: edges are ordered by source
    begin = np.flatnonzero(np.diff(first, prepend=-1))
    for start, stop in pairwise([*begin.tolist(), len(edges)]):
        for gap in np.unique(edges.frames[start:stop]).tolist():
            rows = start + np.flatnonzero(edges.frames[start:stop] == gap)
            yield int(first[start]), int(first[start]) + gap, rows


def drift_of(
    position: NDArray[np.float64], source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how far the cells of a frame moved as one until another frame.

    The displacements of the candidates vote: those of true links lie close together, all others are spread over the
    disc of the link radius, so the drift begins where they lie most densely. From there on it is the median
    displacement of cells that, shifted by it, are each other's nearest candidates, until that settles. There is one
    drift for the whole frame, not one for each neighbourhood: it keeps the shifted masks disjoint, and it tracked
    better where both were tried, since cells that divide or cross pull on the median of a neighbourhood.

    Parameters
    ----------
    position : (n, ndim) float64
        Places of all cells.
    source, target : (m,) int64
        Rows of the cells that the candidates of one frame pair tie.

    Returns
    -------
    drift : (ndim,) float64
        In the unit of the positions; 0 with fewer than 8 cells to tell it from.
    """
    none = np.zeros(position.shape[1])
    sources, nth_source = np.unique(source, return_inverse=True)
    targets, nth_target = np.unique(target, return_inverse=True)
    if min(len(sources), len(targets)) < FEW:
        return none
    displacement = position[target] - position[source]
    drift = _densest(displacement, (_spacing(position[sources]) + _spacing(position[targets])) / 4)
    for _ in range(ROUNDS):
        distance = np.linalg.norm(displacement - drift, axis=1)
        mutual = _nearest(distance, nth_source) & _nearest(distance, nth_target)
        if np.count_nonzero(mutual) < FEW:
            return none
        before, drift = drift, np.median(displacement[mutual], axis=0)
        if np.array_equal(before, drift):
            break
    return drift


def _spacing(position: NDArray[np.float64]) -> float:
    """Return the median distance from a cell to the nearest other one."""
    return float(np.median(nearest_distances(position)))


def _densest(displacement: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return the displacement with the most others around it, nearer ones counting more; of many a sample votes."""
    voter = displacement[spread(len(displacement), VOTERS)]
    square = np.zeros((len(voter), len(voter)))
    for axis in voter.T:
        square += np.subtract.outer(axis, axis) ** 2
    density = np.maximum(1 - square / (width**2 or 1.0), 0).sum(axis=1)
    densest: NDArray[np.float64] = voter[np.argmax(density)]
    return densest


def _nearest(distance: NDArray[np.float64], cell: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which edges are the shortest of their cell."""
    shortest = np.full(int(cell.max()) + 1, np.inf)
    np.minimum.at(shortest, cell, distance)
    return np.asarray(distance == shortest[cell])


def shared_pixels(
    here: NDArray[np.integer],
    there: NDArray[np.integer],
    shift: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Count the pixels that labels of one mask, shifted, share with labels of another.

    One pass cuts both masks into runs of constant labels; only pairs that are asked for are counted, so that memory
    grows with the runs and the pairs, never with labels times labels.

    Parameters
    ----------
    here, there : ([z,] y, x) integer arrays
        Masks of one shape.
    shift : (ndim,) int64
        Pixels that the first one is moved by; what leaves the frame overlaps nothing.
    source, target : (m,) int64
        Pairs of labels, the first in `here`, the second in `there`; no pair twice.

    Returns
    -------
    shared : (m,) int64
        Pixels that the two labels of each pair share.
    """
    here = here[
        tuple(slice(max(0, -s), max(0, n - max(0, s))) for s, n in zip(shift.tolist(), here.shape, strict=True))
    ]
    there = there[
        tuple(slice(max(0, s), max(0, n - max(0, -s))) for s, n in zip(shift.tolist(), there.shape, strict=True))
    ]
    starts, lengths = runs(here, there)
    first, second = labels_at(here, starts), labels_at(there, starts)
    both = (first > 0) & (second > 0)
    first, second, lengths = first[both], second[both], lengths[both]
    sources, targets = np.unique(source), np.unique(target)
    pair = np.searchsorted(sources, source) * len(targets) + np.searchsorted(targets, target)
    order = np.argsort(pair)
    row_of_first, known_first = _find(sources, first)
    row_of_second, known_second = _find(targets, second)
    place, asked = _find(pair[order], row_of_first * len(targets) + row_of_second)
    asked &= known_first & known_second
    shared = np.zeros(len(source), dtype=np.int64)
    # sums of whole numbers below 2**53 are exact in the float64 that bincount uses
    shared[order] = np.bincount(place[asked], lengths[asked], len(source)).astype(np.int64)
    return shared


def _find(known: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each number in an increasing column, and whether it stands there."""
    place = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    return place, known[place] == wanted if len(known) else np.zeros(len(wanted), dtype=bool)
