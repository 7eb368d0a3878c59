"""Other ways to the same answer: every selection in turn, motile with SCIP, and whole square matrices by scipy."""

import warnings
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from trackdb.solvers.problem import SCALE


def cheapest_by_trying_all(problem):
    """Return the objective of the best of all 2^m sets of links, each with the detections that suit it best.

    Where detections exclude each other, the best over all 2^n sets of those that are out.
    """
    if problem.conflicts is not None:
        a, b = problem.conflicts.first, problem.conflicts.second
        prices = []
        for bits in range(2**problem.n_nodes):
            out = (bits >> np.arange(problem.n_nodes)) & 1 == 1
            if (out[a] | out[b]).all() and not (out & (problem.pinned_node == 1)).any():
                pinned = np.where(out, np.int8(-1), problem.pinned_node)
                prices.append(cheapest_by_trying_all(replace(problem, pinned_node=pinned, conflicts=None)))
        return min(prices)
    m, n = problem.n_edges, problem.n_nodes
    links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1  # (2^m, m)
    parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)  # (2^m, n)
    children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
    linked = (parents > 0) | (children > 0)
    lonely_pays = problem.node_cost + problem.appear_cost + problem.disappear_cost < 0
    node = linked | (problem.pinned_node == 1) | ((problem.pinned_node == 0) & lonely_pays)
    feasible = ((parents <= 1) & (children <= 2) & ~(linked & (problem.pinned_node == -1))).all(axis=1)
    price_of_links = links @ problem.edge_cost
    if problem.pairs is None:
        price_of_links += (children == 2) @ problem.division_cost
    else:
        divisions = np.zeros(2**m, dtype=int)
        for first, second, cost in zip(problem.pairs.first, problem.pairs.second, problem.pairs.cost, strict=True):
            both = links[:, first] & links[:, second]
            price_of_links += both * (cost - problem.edge_cost[first] - problem.edge_cost[second])
            divisions += both
        feasible &= divisions == (children == 2).sum(axis=1)  # a cell divides only into a pair
    cost = (
        price_of_links
        + node @ problem.node_cost
        + (node & (parents == 0)) @ problem.appear_cost
        + (node & (children == 0)) @ problem.disappear_cost
    )
    return round(float(cost[feasible].min()) * SCALE) / SCALE


def cheapest_by_motile(problem):
    """Return the objective that motile and SCIP find, in float32.

    motile charges no appearance in the first frame of the graph and no disappearance in the last; the problem must not
    either.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import ilpy
        import motile
        from motile import constraints, costs

    assert not problem.appear_cost[problem.frame == problem.frame.min()].any()
    assert not problem.disappear_cost[problem.frame == problem.frame.max()].any()
    assert not problem.pinned_node.any()
    graph = motile.TrackGraph()
    for v in range(problem.n_nodes):
        graph.add_node(
            v,
            {
                "t": int(problem.frame[v]),
                "node": float(problem.node_cost[v]),
                "appear": float(problem.appear_cost[v]),
                "disappear": float(problem.disappear_cost[v]),
                "division": float(problem.division_cost[v]),
            },
        )
    for u, v, cost in zip(problem.source, problem.target, problem.edge_cost, strict=True):
        graph.add_edge((int(u), int(v)), {"edge": float(cost)})
    solver = motile.Solver(graph)
    solver.add_cost(costs.EdgeSelectedCost(1.0, attribute="edge"))
    solver.add_cost(costs.NodeSelectedCost(1.0, attribute="node"))
    solver.add_cost(costs.NodeAppearCost(1.0, attribute="appear"))
    solver.add_cost(costs.NodeDisappearCost(1.0, attribute="disappear"))
    solver.add_cost(costs.NodeSplitCost(1.0, attribute="division"))
    solver.add_constraint(constraints.MaxParents(1))
    solver.add_constraint(constraints.MaxChildren(2))
    solution = solver.solve(backend=ilpy.Preference.Scip, verbose=False)
    assert solution.status == ilpy.SolverStatus.OPTIMAL
    return solution.objective_value


def _assignment(size, entries):
    """Return the least cost of a full assignment in a square matrix of which these entries are given."""
    far = 1e9
    table = np.full((size, size), far)
    for i, j, cost in entries:
        table[i, j] = cost
    found = linear_sum_assignment(table)
    assert (table[found] < far).all()
    return table[found].sum()


def cheapest_linking(source, target, cost, *, factor):
    """Return the optimum of the (n + m)^2 matrix that links two frames, and what a set of its pairs costs in it.

    Rows are the cells of the first frame, then one for each beginning; columns the cells of the second, then one for
    each end. The block of a beginning and an end mirrors the pairs, at the least cost of all.
    """
    rows, i = np.unique(source, return_inverse=True)
    columns, j = np.unique(target, return_inverse=True)
    n, m = len(rows), len(columns)
    alone = max(factor * cost.max(initial=0), 1e-6)
    least = min(cost.min(initial=np.inf), alone)
    entries = list(zip(i, j, cost, strict=True))
    entries += [(a, m + a, alone) for a in range(n)] + [(n + b, b, alone) for b in range(m)]
    entries += [(n + b, m + a, least) for a, b in zip(i, j, strict=True)]
    best = _assignment(n + m, entries)

    def price(taken):
        k = np.count_nonzero(taken)
        assert len(set(i[taken])) == len(set(j[taken])) == k
        return cost[taken].sum() + k * least + (n + m - 2 * k) * alone

    return best, price


def cheapest_of_square(frame, source, target, cost, linked, rule):
    """Return the optimum of the square matrix that joins segments, and what a set of its candidates costs in it.

    Rows are ends and places to split, then a beginning or a refused merge for each column; columns are beginnings and
    places to merge, then an end or a refused split for each row.
    """
    goes_on, came = set(source[linked].tolist()), set(target[linked].tolist())
    frames = frame[target] - frame[source]
    allowed = []
    for e, (u, v) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        if u not in goes_on and v not in came:
            may = cost[e] <= rule.max_cost and (rule.max_gap is None or frames[e] - 1 <= rule.max_gap)
        elif v not in came:
            may = rule.split_cost is not None and cost[e] <= rule.split_cost and frames[e] == 1
        elif u not in goes_on:
            may = rule.merge_cost is not None and cost[e] <= rule.merge_cost and frames[e] == 1
        else:
            may = False
        if may:
            allowed.append(e)
    ordered = sorted(cost[allowed].tolist())
    if not ordered:
        return 0.0, lambda taken: 0.0 if not taken.any() else np.inf
    alone = max(rule.factor * ordered[int((len(ordered) - 1) * rule.percentile / 100)], 1e-6)
    rows, i = np.unique(source[allowed], return_inverse=True)
    columns, j = np.unique(target[allowed], return_inverse=True)
    n, m = len(rows), len(columns)
    entries = [(a, b, cost[e]) for a, b, e in zip(i, j, allowed, strict=True)]
    entries += [(a, m + a, alone) for a in range(n)] + [(n + b, b, alone) for b in range(m)]
    entries += [(n + b, m + a, alone) for a, b in zip(i, j, strict=True)]
    best = _assignment(n + m, entries)

    def price(taken):
        k = np.count_nonzero(taken)
        assert set(np.flatnonzero(taken)) <= set(allowed)
        assert len(set(source[taken])) == len(set(target[taken])) == k
        return cost[taken].sum() + k * alone + (n + m - 2 * k) * alone

    return best, price
