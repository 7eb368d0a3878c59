"""A scorer and a solver of one's own, which trackdb finds by their names."""

import numpy as np

from trackdb.engine.scorers import Scores, ScoreScale
from trackdb.solvers.problem import FORBIDDEN, KEPT, Selection, objective


class Closeness:
    """Shares the candidates of each cell out among its possible mothers, most to the nearest."""

    name = "closeness"

    def score(self, detections, edges, pixels=None):
        """Return a probability for each candidate."""
        weight = (0.1 + edges.distance / (edges.distance.mean() or 1.0)) ** -6 if len(edges) else np.empty(0)
        of_target = np.bincount(edges.target, weight, len(detections))
        return Scores(weight / (1 + of_target)[edges.target], ScoreScale.PROBABILITY)


class MutualSolver:
    """Links cells that are each other's cheapest; nothing divides. It is quick whatever the time limit."""

    def __init__(self, *, time_limit_s=None):
        pass

    def solve(self, problem):
        """Return the links, without a bound."""
        forbidden = problem.pinned_node == FORBIDDEN
        free = np.flatnonzero(~forbidden[problem.source] & ~forbidden[problem.target])
        free = free[np.lexsort((problem.target[free], problem.source[free], problem.edge_cost[free]))]
        first = [free[np.unique(column[free], return_index=True)[1]] for column in (problem.source, problem.target)]
        edge = np.isin(np.arange(problem.n_edges), np.intersect1d(*first))
        node = problem.pinned_node == KEPT
        node[problem.source[edge]] = node[problem.target[edge]] = True
        cost = objective(problem, edge, node)
        return Selection(edge, node, cost, lower_bound=-np.inf, proven=False)
