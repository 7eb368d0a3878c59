"""Tracking problems by seed: small ones of every kind, and crowded ones that look like a movie."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..solvers.conflicts import Conflicts
from ..solvers.daughters import Pairs
from ..solvers.problem import TrackingProblem

if TYPE_CHECKING:
    from numpy.typing import NDArray

PER_CELL: Final = ("node_cost", "appear_cost", "disappear_cost", "division_cost")
"""Columns of a problem that have a cost for each detection."""


def small_problem(seed: int, n_frames: int = 4, per_frame: int = 3) -> TrackingProblem:
    """Return a few detections, some of their forward edges, cheap divisions and pins; costs are multiples of 1/4."""
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, n_frames, n_frames * per_frame))
    source, target = np.nonzero((frame[:, None] < frame[None, :]) & (rng.random((len(frame), len(frame))) < 0.4))

    def costs(low: int, high: int, length: int = len(frame)) -> NDArray[np.float64]:
        return rng.integers(4 * low, 4 * high + 1, length) / 4

    return TrackingProblem(
        frame=frame,
        source=source.astype(np.int64),
        target=target.astype(np.int64),
        edge_cost=costs(-4, 3, len(source)),
        node_cost=costs(-1, 4),
        appear_cost=costs(0, 3),
        disappear_cost=costs(0, 3),
        division_cost=costs(-4, 4),
        pinned_node=rng.integers(-1, 2, len(frame)).astype(np.int8),
    )


def movie_without_links(n_cells: int) -> TrackingProblem:
    """Return cells with no candidate edge, the first of which is worth more than its ends cost."""
    none, cost = np.empty(0, dtype=np.int64), np.arange(n_cells, dtype=np.float64)
    frame, free = cost.astype(np.int64), np.zeros(n_cells, dtype=np.int8)
    return TrackingProblem(frame, none, none, np.empty(0), cost - 2.5, cost, cost, cost, free)


def crowded_movie(
    seed: int,
    n_frames: int = 8,
    per_frame: int = 25,
    skip: bool = False,
    division: float = 4.0,
    false_cost: float = 3.0,
) -> TrackingProblem:
    """Return a movie of wandering cells on a line, a tenth of them false, each tied to what is near in the next frame.

    Costs are multiples of 1/64; appearing is free in the first frame and disappearing in the last.
    """
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(n_frames), per_frame)
    place = (rng.random(per_frame) * per_frame + np.cumsum(rng.normal(0, 0.4, (n_frames, per_frame)), axis=0)).ravel()
    false = rng.random(len(frame)) < 0.1
    place[false] = rng.random(false.sum()) * per_frame
    step = frame[None, :] - frame[:, None]
    near = (step == 1) | (skip & (step == 2))
    source, target = np.nonzero(near & (np.abs(place[None, :] - place[:, None]) < 2.5))
    distance = np.abs(place[target] - place[source])

    def rounded(cost: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.round(cost * 64) / 64)

    n = len(frame)
    return TrackingProblem(
        frame=frame.astype(np.int64),
        source=source.astype(np.int64),
        target=target.astype(np.int64),
        edge_cost=rounded(1.5 * distance - 2 + (step[source, target] - 1) + rng.normal(0, 1, len(source))),
        node_cost=rounded(np.where(false, false_cost, -1.0) + rng.normal(0, 1, n)),
        appear_cost=np.where(frame == 0, 0.0, 4.0),
        disappear_cost=np.where(frame == n_frames - 1, 0.0, 4.0),
        division_cost=np.full(n, division),
        pinned_node=np.zeros(n, dtype=np.int8),
    )


def with_every_pair(problem: TrackingProblem, seed: int, bonus: float = 0.0, spread: float = 1.5) -> TrackingProblem:
    """Return the problem with a price for every two edges of a mother: about what both cost, and a division of 4."""
    rng = np.random.default_rng(seed)
    edge = np.argsort(problem.source, kind="stable")
    source = problem.source[edge]
    one, other = np.nonzero((source[:, None] == source[None, :]) & np.tri(len(edge), k=-1, dtype=bool))
    cost = problem.edge_cost[edge[one]] + problem.edge_cost[edge[other]] + 4 - bonus + rng.normal(0, spread, len(one))
    return replace(problem, pairs=Pairs(edge[one], edge[other], np.round(cost * 64) / 64))


def with_hypotheses(problem: TrackingProblem, seed: int, share: float = 0.3) -> TrackingProblem:
    """Return the problem with a share of the detections excluding one of the next two rows, if in the same frame."""
    rng = np.random.default_rng(seed)
    first = np.flatnonzero(rng.random(problem.n_nodes - 2) < share)
    second = first + rng.integers(1, 3, len(first))
    same = problem.frame[first] == problem.frame[second]
    return replace(problem, conflicts=Conflicts(first[same], second[same]))


def shuffle_edges(problem: TrackingProblem, seed: int) -> tuple[TrackingProblem, NDArray[np.int64]]:
    """Return the problem with its edges in another order, and that order."""
    order = np.random.default_rng(seed).permutation(problem.n_edges)
    rows: dict[str, Any] = {name: getattr(problem, name)[order] for name in ("source", "target", "edge_cost")}
    if problem.pairs is not None:
        rank = np.argsort(order)
        rows["pairs"] = replace(problem.pairs, first=rank[problem.pairs.first], second=rank[problem.pairs.second])
    return replace(problem, **rows), order
