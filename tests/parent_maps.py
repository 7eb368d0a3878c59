"""Problems in which every cell is kept, and all their lineages by trying every choice of parents."""

import itertools

import numpy as np

from trackdb.solvers.problem import SCALE, TrackingProblem


def kept_problem(seed, *, n_daughters=9, most=4000):
    """Return a few cells in three frames, links over gaps among them; every cell is kept.

    Divisions are cheap, dear, or free as everything else is, by seed; costs are quarters, so that ties are common, or
    any number. Links are left out until there are no more than `most` choices of parents.
    """
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, 3, rng.integers(2, n_daughters + 4))).astype(np.int64)
    frame -= frame[0]
    n = len(frame)
    source, target = np.nonzero((frame[:, None] < frame[None, :]) & (rng.random((n, n)) < 0.5))
    order = rng.permutation(len(source))
    while np.prod(1.0 + np.bincount(target[order], minlength=n)) > most or len(set(target[order])) > n_daughters:
        order = order[:-1]
    step = 0.25 if seed % 2 else 1e-6

    def costs(low, high, length=n):
        return np.round(rng.uniform(low, high, length) / step) * step

    disappear = costs(0, 3) * (seed % 3 > 0)
    division = (-disappear + costs(0, 2)) * (seed % 3 == 1) + costs(0, 4) * (seed % 3 == 2)
    return TrackingProblem(
        frame=frame,
        source=source[order].astype(np.int64),
        target=target[order].astype(np.int64),
        edge_cost=costs(-2, 2, len(order)),
        node_cost=costs(-1, 1),
        appear_cost=costs(0, 3),
        disappear_cost=disappear,
        division_cost=division,
        pinned_node=np.ones(n, dtype=np.int8),
    )


def every_map(problem):
    """Return all choices of parents and what each lineage costs: (N, n) rows of links, -1 for none; (N,) millionths.

    In order of cost. Pairs, conflicts and pins of the problem are not read: all cells are kept.
    """
    n = problem.n_nodes
    choices = [[-1, *np.flatnonzero(problem.target == v).tolist()] for v in range(n)]
    parent = np.array(list(itertools.product(*choices)), dtype=np.int64).reshape(-1, n)
    link = np.zeros((len(parent), problem.n_edges + 1), dtype=np.int64)
    np.put_along_axis(link, parent, 1, axis=1)  # -1 falls into the last column
    link = link[:, :-1]
    children = link @ (problem.source[:, None] == np.arange(n)).astype(np.int64)

    def whole(cost):
        return np.rint(cost * SCALE).astype(np.int64)

    cost = link @ whole(problem.edge_cost) + whole(problem.node_cost).sum()
    cost += (parent < 0) @ whole(problem.appear_cost)
    cost += (children == 0) @ whole(problem.disappear_cost) + (children == 2) @ whole(problem.division_cost)
    lineage = np.flatnonzero((children <= 2).all(axis=1))
    lineage = lineage[np.argsort(cost[lineage], kind="stable")]
    return parent[lineage], cost[lineage]
