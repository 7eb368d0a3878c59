"""Tracking problems to draw: small ones of every kind by hypothesis, larger ones that look like a movie by seed."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from trackdb.solvers.daughters import Pairs
from trackdb.solvers.problem import TrackingProblem

PER_CELL = ("node_cost", "appear_cost", "disappear_cost", "division_cost")


def quarters(low, high):
    """Costs in steps of 1/4: ties are common, float32 holds them exactly, and shrunk examples read well."""
    return st.integers(4 * low, 4 * high).map(lambda quarter: quarter / 4)


@st.composite
def tracking_problems(draw, max_nodes=7, max_edges=11, division=(-4, 4), pins=(1, 0, -1)):
    """Draw a few detections in up to four frames, any edges between them, cheap divisions, and pins."""
    n = draw(st.integers(0, max_nodes))
    frame = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=np.int64)
    forward = [(u, v) for u in range(n) for v in range(n) if frame[u] < frame[v]]
    ends = draw(st.lists(st.sampled_from(forward), unique=True, max_size=max_edges)) if forward else []

    def costs(low, high, length=n):
        return np.array(draw(st.lists(quarters(low, high), min_size=length, max_size=length)), dtype=np.float64)

    source, target = np.array(ends, dtype=np.int64).reshape(-1, 2).T.copy()
    return TrackingProblem(
        frame=frame,
        source=source,
        target=target,
        edge_cost=costs(-4, 3, len(ends)),
        node_cost=costs(-1, 4),
        appear_cost=costs(0, 3),
        disappear_cost=costs(0, 3),
        division_cost=costs(*division),
        pinned_node=np.array(draw(st.lists(st.sampled_from(pins), min_size=n, max_size=n)), dtype=np.int8),
    )


@st.composite
def paired_problems(draw, **options):
    """Draw a problem as before, some pairs of its edges that leave the same mother, and what each pair costs."""
    problem = draw(tracking_problems(**options))
    together = [
        (a, b)
        for b in range(problem.n_edges)
        for a in range(problem.n_edges)
        if a != b and problem.source[a] == problem.source[b]
    ]
    drawn = draw(st.lists(st.sampled_from(together), unique_by=frozenset)) if together else []
    first, second = np.array(drawn, dtype=np.int64).reshape(-1, 2).T.copy()
    cost = draw(st.lists(quarters(-12, 4), min_size=len(first), max_size=len(first)))
    return replace(problem, pairs=Pairs(first, second, np.array(cost, dtype=np.float64)))


def with_every_pair(problem, seed, bonus=0.0, spread=1.5):
    """Return the problem with a price for every two edges of a mother: about what both cost, and a division of 4."""
    rng = np.random.default_rng(seed)
    edge = np.argsort(problem.source, kind="stable")
    source = problem.source[edge]
    one, other = np.nonzero((source[:, None] == source[None, :]) & np.tri(len(edge), k=-1, dtype=bool))
    cost = problem.edge_cost[edge[one]] + problem.edge_cost[edge[other]] + 4 - bonus + rng.normal(0, spread, len(one))
    return replace(problem, pairs=Pairs(edge[one], edge[other], np.round(cost * 64) / 64))


def crowded_movie(seed, n_frames=8, per_frame=25, skip=False, division=4.0, false_cost=3.0):
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

    def rounded(cost):
        return np.round(cost * 64) / 64

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


def shuffle_edges(problem, seed):
    """Return the problem with its edges in another order, and that order."""
    order = np.random.default_rng(seed).permutation(problem.n_edges)
    rows = {name: getattr(problem, name)[order] for name in ("source", "target", "edge_cost")}
    if problem.pairs is not None:
        rank = np.argsort(order)
        rows["pairs"] = replace(problem.pairs, first=rank[problem.pairs.first], second=rank[problem.pairs.second])
    return replace(problem, **rows), order


def renumber_nodes(problem, seed):
    """Return the problem with its detections in another order."""
    order = np.random.default_rng(seed).permutation(problem.n_nodes)
    place = np.argsort(order)
    rows = {name: getattr(problem, name)[order] for name in ("frame", *PER_CELL, "pinned_node")}
    return replace(problem, source=place[problem.source], target=place[problem.target], **rows)
