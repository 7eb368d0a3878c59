"""The links of Distance and Overlap by the rules of their authors, and by the assignments of the paper at our costs.

Run: python benchmarks/uncertainty/origins.py [NAME ...]

Crocker & Grier link one to one with the least sum of squared steps, where a cell that is left costs the square of the
longest step. LapTrack's overlap links one to one, too; a pair left apart costs twice 1.05 times the largest cost of its
two frames, and a link costs 1 less the overlap as a share of the later cell, unless the user says otherwise.
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

import numpy as np
from methods import mothers_of_optimum
from movies import STEPS, cropped, frame_pairs, real_sources, simulated_sources
from scipy.optimize import linear_sum_assignment

from trackdb.engine.candidates import link_nearest
from trackdb.engine.metrics.calibration import NEW
from trackdb.engine.posterior.trackers import tracker_costs, tracker_problem, tracker_scorer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from movies import FramePairs, Source
    from numpy.typing import NDArray

    from trackdb.storage.schema import CandidateEdges

APART = 1e9  # costs more than any link: what is no candidate


def one_to_one(pairs: FramePairs, edges: CandidateEdges, cost: NDArray[np.float64], apart: float) -> NDArray[np.int64]:
    """Return the row of each cell's mother where links of m edges and pairs left apart cost least, `NEW` for none.

    `apart` is in units of the largest cost of two frames, or a cost where it is negative.
    """
    mother = np.full(len(pairs.detections), NEW)
    frame = pairs.detections.frame
    for first in np.unique(frame[edges.source]).tolist():
        source, target = np.flatnonzero(frame == first), np.flatnonzero(frame == first + 1)
        rows = np.flatnonzero(frame[edges.source] == first)
        left = apart * cost[rows].max() if apart > 0 else -apart
        table = np.full((len(source) + len(target),) * 2, APART)
        table[edges.source[rows] - source[0], edges.target[rows] - target[0]] = cost[rows]
        table[np.arange(len(source)), len(target) + np.arange(len(source))] = left / 2
        table[len(source) + np.arange(len(target)), np.arange(len(target))] = left / 2
        table[len(source) :, len(target) :] = 0.0
        row, column = linear_sum_assignment(table)
        linked = (row < len(source)) & (column < len(target)) & (table[row, column] < APART)
        mother[target[column[linked]]] = source[row[linked]]
    return mother


def mothers_by(pairs: FramePairs, edges: CandidateEdges) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the mothers by each rule that applies."""
    trackers = ("distance", "overlap") if pairs.pixels.has_masks else ("distance",)
    for tracker in trackers:
        scores = tracker_scorer(tracker).score(pairs.detections, edges, pairs.pixels)
        costs = tracker_costs(pairs.detections, edges, scores, tracker=tracker)
        yield f"{tracker}, here", mothers_of_optimum(tracker_problem(pairs.detections, edges, costs))
    yield "Crocker & Grier", one_to_one(pairs, edges, edges.distance**2, -(float(edges.distance.max()) ** 2))
    if "overlap" in trackers:
        area, iou = pairs.detections.area, scores.value
        shared = iou * (area[edges.source] + area[edges.target]) / (1 + iou)
        yield "LapTrack", one_to_one(pairs, edges, 1 - shared / area[edges.target], 2.1)
        yield "LapTrack, 1 - IoU", one_to_one(pairs, edges, 1 - iou, 2.1)


def sources(names: list[str]) -> Iterator[Source]:
    """Read the movies that the page speaks of, or those that are named."""
    if names:
        yield from real_sources(names)
        return
    judges = (s for s in simulated_sources(4, frames=33, cells=40) if s.movie.role == "judge")
    yield from chain([cropped()], real_sources(["epidermis", "Pm04"]), judges)


def main(names: list[str]) -> None:
    """Print a line for each movie, resolution and rule."""
    for source in sources(names):
        for step in STEPS:
            pairs = frame_pairs(source, step, most_pairs=12, most_cells=1200)
            if pairs is None:
                continue
            edges = link_nearest(pairs.detections, max_distance=pairs.radius, neighbors=10)
            asked = np.unique(edges.target)
            for rule, mother in mothers_by(pairs, edges):
                right = float((mother[asked] == pairs.true[asked]).mean())
                print(f"{source.movie.name} x{step} {rule}: {right:.3f} of {len(asked)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
