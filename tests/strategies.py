"""Tracking problems for hypothesis to draw: small ones of every kind."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from trackdb.solvers.conflicts import Conflicts
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.problem import TrackingProblem
from trackdb.testing.problems import PER_CELL


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


@st.composite
def exclusive_problems(draw, problems):
    """Draw a problem, and detections of one frame that exclude each other."""
    problem = draw(problems)
    n, frame = problem.n_nodes, problem.frame
    together = [(a, b) for b in range(n) for a in range(n) if a != b and frame[a] == frame[b]]
    drawn = draw(st.lists(st.sampled_from(together), unique_by=frozenset, max_size=6)) if together else []
    first, second = np.array(drawn, dtype=np.int64).reshape(-1, 2).T.copy()
    return replace(problem, conflicts=Conflicts(first, second))


def renumber_nodes(problem, seed):
    """Return the problem with its detections in another order."""
    order = np.random.default_rng(seed).permutation(problem.n_nodes)
    place = np.argsort(order)
    rows = {name: getattr(problem, name)[order] for name in ("frame", *PER_CELL, "pinned_node")}
    return replace(problem, source=place[problem.source], target=place[problem.target], **rows)
