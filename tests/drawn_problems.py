"""Problems of tracking that are drawn by hand."""

import numpy as np

from trackdb.solvers.problem import TrackingProblem


def two_that_may_be_one_another() -> TrackingProblem:
    r"""Return two cells in three frames, close enough to be taken for one another.

    ::

        0 --- 2 --- 4      links straight on gain 3, across 1
           X     X
        1 --- 3 --- 5
    """
    n = 6
    return TrackingProblem(
        frame=np.array([0, 0, 1, 1, 2, 2]),
        source=np.array([0, 0, 1, 1, 2, 2, 3, 3]),
        target=np.array([2, 3, 2, 3, 4, 5, 4, 5]),
        edge_cost=np.array([-3.0, -1, -1, -3, -3, -1, -1, -3]),
        node_cost=np.full(n, -1.0),
        appear_cost=np.repeat([0.0, 4.0], [2, 4]),
        disappear_cost=np.repeat([4.0, 0.0], [4, 2]),
        division_cost=np.full(n, 6.0),
        pinned_node=np.zeros(n, dtype=np.int8),
    )
