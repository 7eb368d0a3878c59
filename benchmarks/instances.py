"""Tracking problems with noisy scores, of any size, the same for every solver.

Cells move as in `simulate_points`: one step a frame, neighbours two steps apart (dense: one), 0.6 % divide, 2 % are
missed and 2 % are false. Each keeps its five nearest possible parents within four steps. A score tells true links from
false ones with an area under the curve of about 0.97; every detection is optional.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from trackdb.engine.candidates import link_nearest
from trackdb.engine.simulation import simulate_points
from trackdb.solvers.conflicts import Conflicts
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.problem import TrackingProblem
from trackdb.storage.schema import Detections

if TYPE_CHECKING:
    from trackdb.engine.simulation import SimulatedPoints

SIZES = {
    "1k": (20, 50, 2.0),
    "3k": (30, 100, 2.0),
    "10k": (50, 200, 2.0),
    "100k": (100, 1000, 2.0),
    "1M": (500, 2000, 2.0),
    "1M dense": (500, 2000, 1.0),
}
"""Frames, cells in each, and the mean distance of neighbours in steps of a cell."""

NEIGHBORS = 5
STEPS = 4.0
EVENT = 4.0  # cost of appearing, disappearing, dividing


def detections_of(points: SimulatedPoints) -> Detections:
    """Return simulated points as detections."""
    row = np.arange(len(points.frame))
    return Detections(row, points.frame, points.position_px, row + 1, np.full(len(row), np.nan), None)


def instance(
    n_frames: int,
    cells_per_frame: int,
    spacing: float,
    seed: int = 0,
    *,
    ndim: int = 2,
    max_gap: int = 0,
    split: float = EVENT,
) -> TrackingProblem:
    """Simulate a movie and price its candidates: minus the log odds of each score, on a grid of 1e-6.

    Appearing is free in the first frame, disappearing in the last. Dividing costs `split`; candidates skip up to
    `max_gap` frames, at one more a frame.
    """
    points = simulate_points(n_frames, cells_per_frame, seed, spacing=spacing, ndim=ndim)
    edges = link_nearest(detections_of(points), max_distance=STEPS, neighbors=NEIGHBORS, max_gap=max_gap)
    rng = np.random.default_rng(seed + 1)
    true = points.parent[edges.target] == edges.source
    log_odds = 2.2 - 2.4 * (edges.distance - 1) + 1.8 * true + rng.normal(0, 1.2, len(edges)) - (edges.frames - 1)
    likely = rng.normal(np.where(points.track > 0, 3.0, 0.0), 1.2)
    frame = points.frame
    return TrackingProblem(
        frame=frame,
        source=edges.source,
        target=edges.target,
        edge_cost=np.round(-np.clip(log_odds, -8, 8), 6),
        node_cost=np.round(-0.5 * likely, 6),
        appear_cost=np.where(frame == frame[0], 0.0, EVENT),
        disappear_cost=np.where(frame == frame[-1], 0.0, EVENT),
        division_cost=np.full(len(frame), split),
        pinned_node=np.zeros(len(frame), dtype=np.int8),
    )


def with_pairs(problem: TrackingProblem, seed: int = 0) -> TrackingProblem:
    """Price every two links of a mother into one frame: what both and a division cost, with noise of its own."""
    order = np.argsort(problem.source, kind="stable")
    source, frame = problem.source[order], problem.frame[problem.target[order]]
    first, second = [], []
    for apart in range(1, int(np.bincount(source).max())):
        here = np.arange(len(order) - apart)
        together = (source[here] == source[here + apart]) & (frame[here] == frame[here + apart])
        first.append(order[here[together]])
        second.append(order[here[together] + apart])
    one, other = np.concatenate(first), np.concatenate(second)
    noise = np.random.default_rng(seed).normal(0, 1.5, len(one))
    cost = problem.edge_cost[one] + problem.edge_cost[other] + problem.division_cost[problem.source[one]] + noise
    return replace(problem, pairs=Pairs(one, other, np.round(cost, 6)))


def with_outlines(problem: TrackingProblem, share: float = 0.3, seed: int = 0) -> TrackingProblem:
    """Draw a second outline of some detections, with links and costs of its own; at most one of both is a cell."""
    rng = np.random.default_rng(seed)
    n = problem.n_nodes
    drawn = np.sort(rng.choice(n, int(share * n), replace=False))
    twin = np.full(n, -1)
    twin[drawn] = n + np.arange(len(drawn))
    source, target, cost = [problem.source], [problem.target], [problem.edge_cost]
    for begin, end in ((twin, np.arange(n)), (np.arange(n), twin), (twin, twin)):
        u, v = begin[problem.source], end[problem.target]
        there = (u >= 0) & (v >= 0)
        source.append(u[there])
        target.append(v[there])
        cost.append(np.round(problem.edge_cost[there] + rng.normal(0, 1, np.count_nonzero(there)), 6))
    more = {
        name: np.concatenate([getattr(problem, name), getattr(problem, name)[drawn]])
        for name in ("frame", "appear_cost", "disappear_cost", "division_cost", "pinned_node")
    }
    worth = np.round(problem.node_cost[drawn] + rng.normal(0, 0.5, len(drawn)), 6)
    return TrackingProblem(
        source=np.concatenate(source),
        target=np.concatenate(target),
        edge_cost=np.concatenate(cost),
        node_cost=np.concatenate([problem.node_cost, worth]),
        conflicts=Conflicts(drawn, twin[drawn]),
        **more,
    )
