"""Every selection of a small problem in turn, and what their weights say: the oracle of the posterior."""

from typing import NamedTuple

import numpy as np


class Truth(NamedTuple):
    """Probabilities of links and cells; outcomes of each mother by the tuple of her links; the log of all weights."""

    link: np.ndarray
    new: np.ndarray
    present: np.ndarray
    outcomes: list[dict[tuple[int, ...], float]]
    log_z: float


def weigh_all(problem, temperature=1.0, keep=None):
    """Weigh all 2^m sets of links, each with every set of detections that suits it.

    `keep` takes sets of links (k, m) and tells which of them count.
    """
    m, n = problem.n_edges, problem.n_nodes
    links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1
    parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)
    children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
    linked = (parents > 0) | (children > 0)
    feasible = ((parents <= 1) & (children <= 2) & ~(linked & (problem.pinned_node == -1))).all(axis=1)
    price = links @ problem.edge_cost
    if problem.pairs is None:
        price = price + (children == 2) @ problem.division_cost
    else:
        divisions = np.zeros(2**m, dtype=int)
        for first, second, cost in zip(problem.pairs.first, problem.pairs.second, problem.pairs.cost, strict=True):
            both = links[:, first] & links[:, second]
            price = price + both * (cost - problem.edge_cost[first] - problem.edge_cost[second])
            divisions += both
        feasible &= divisions == (children == 2).sum(axis=1)
    if keep is not None:
        feasible &= keep(links)
    links, parents, children, linked, price = (x[feasible] for x in (links, parents, children, linked, price))
    there = linked | (problem.pinned_node == 1)
    price = price + there @ problem.node_cost
    price = price + (there & (parents == 0)) @ problem.appear_cost + (there & (children == 0)) @ problem.disappear_cost
    alone = -(problem.node_cost + problem.appear_cost + problem.disappear_cost) / temperature
    either = (problem.pinned_node == 0) & ~linked  # selected without links, or not at all
    log_weight = -price / temperature + either @ np.logaddexp(0, alone)
    top = log_weight.max()
    weight = np.exp(log_weight - top)
    p = weight / weight.sum()
    selected = np.where(either, np.exp(alone - np.logaddexp(0, alone)), there)
    outcomes = []
    for u in range(n):
        rows = np.flatnonzero(problem.source == u)
        found = {}
        for taken, share in zip(links[:, rows], p, strict=True):
            found[tuple(rows[taken].tolist())] = found.get(tuple(rows[taken].tolist()), 0.0) + share
        outcomes.append(found)
    new = p @ np.where(parents == 0, selected, 0.0)
    return Truth(p @ links, new, p @ selected, outcomes, float(top + np.log(weight.sum())))


def outcomes_of(marginals, u):
    """Return the outcomes of a mother as `Truth` has them."""
    found = marginals.outcomes
    return {
        tuple(sorted(x for x in (int(found.a[k]), int(found.b[k])) if x >= 0)): float(found.probability[k])
        for k in range(found.first[u], found.first[u + 1])
    }
