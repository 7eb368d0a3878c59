"""Other ways to the same answer: every selection in turn, and motile with SCIP."""

import warnings

import numpy as np

from trackdb.solvers.problem import SCALE


def cheapest_by_trying_all(problem):
    """Return the objective of the best of all 2^m sets of links, each with the detections that suit it best."""
    m, n = problem.n_edges, problem.n_nodes
    links = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 == 1  # (2^m, m)
    parents = links.astype(int) @ (problem.target[:, None] == np.arange(n)).astype(int)  # (2^m, n)
    children = links.astype(int) @ (problem.source[:, None] == np.arange(n)).astype(int)
    linked = (parents > 0) | (children > 0)
    lonely_pays = problem.node_cost + problem.appear_cost + problem.disappear_cost < 0
    node = linked | (problem.pinned_node == 1) | ((problem.pinned_node == 0) & lonely_pays)
    feasible = ((parents <= 1) & (children <= 2) & ~(linked & (problem.pinned_node == -1))).all(axis=1)
    cost = (
        links @ problem.edge_cost
        + node @ problem.node_cost
        + (node & (parents == 0)) @ problem.appear_cost
        + (node & (children == 0)) @ problem.disappear_cost
        + (children == 2) @ problem.division_cost
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
