"""The tracking problem at its door, and the judge that prices a selection."""

import math
from dataclasses import replace

import numpy as np
import pytest

from trackdb.errors import InfeasibleError, SchemaError, SolverError
from trackdb.solvers.problem import Selection, TrackingProblem, objective


@pytest.fixture
def problem():
    r"""Three frames: cell 0 may divide into 1, 2 or 3, and 2 may go on to 4.

    ::

        frame 0     1     2
                ,-- 1
              0 --- 2 --- 4
                `-- 3
    """
    return TrackingProblem(
        frame=np.array([0, 1, 1, 1, 2]),
        source=np.array([0, 0, 0, 2]),
        target=np.array([1, 2, 3, 4]),
        edge_cost=np.array([-1.0, -2.0, -4.0, -8.0]),
        node_cost=np.array([0.25, 0.5, 0.0, 0.0, 0.0]),
        appear_cost=np.full(5, 10.0),
        disappear_cost=np.full(5, 100.0),
        division_cost=np.full(5, 1000.0),
        pinned_node=np.array([1, 0, 0, -1, 0], dtype=np.int8),
    )


def mask(*rows, length):
    return np.isin(np.arange(length), rows)


def test_a_selection_costs_its_cells_links_ends_and_divisions(problem):
    cost = objective(problem, mask(0, 1, 3, length=4), mask(0, 1, 2, 4, length=5))
    links, cells, appearance, disappearances, division = -1 - 2 - 8, 0.25 + 0.5, 10, 2 * 100, 1000
    assert cost == links + cells + appearance + disappearances + division


def test_costs_are_counted_in_millionths(problem):
    thirds = replace(problem, node_cost=np.full(5, 1 / 3))
    assert objective(thirds, mask(length=4), mask(0, length=5)) == 110.333333


@pytest.mark.parametrize(
    ("edges", "nodes", "rule"),
    [
        ([0], [1], "detection 0 is linked but not selected"),
        ([0], [0], "detection 1 is linked but not selected"),
        ([], [1], "detection 0 must be kept but is not selected"),
        ([], [0, 3], "detection 3 is forbidden but selected"),
        ([0, 1, 2], [0, 1, 2, 3], "detection 0 has more than two children"),
    ],
)
def test_a_selection_that_breaks_a_rule_has_no_price(problem, edges, nodes, rule):
    with pytest.raises(InfeasibleError, match=rule) as caught:
        objective(problem, mask(*edges, length=4), mask(*nodes, length=5))
    assert isinstance(caught.value, SolverError)


def test_a_cell_has_at_most_one_parent(problem):
    merging = replace(problem, target=np.array([1, 2, 4, 4]))
    with pytest.raises(InfeasibleError, match="detection 4 has more than one parent"):
        objective(merging, mask(2, 3, length=4), mask(0, 2, 4, length=5))


@pytest.mark.parametrize(("n_edges", "n_nodes"), [(3, 5), (4, 6)])
def test_masks_must_fit_the_problem(problem, n_edges, n_nodes):
    with pytest.raises(SchemaError, match="must be"):
        objective(problem, np.zeros(n_edges, dtype=bool), np.ones(n_nodes, dtype=bool))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"node_cost": np.zeros(4)}, r"node_cost must be \(5,\) float64, got \(4,\) float64"),
        ({"edge_cost": np.zeros(4, dtype=np.float32)}, "got .* float32"),
        ({"target": np.array([1, 2, 3, 5])}, r"edges name rows 0 .. 5, expected 0 .. 4"),
        ({"source": np.array([0, 0, 0, -1])}, r"edges name rows -1 .. 4"),
        ({"source": np.array([0, 0, 2, 2])}, "edge 2 -> 3 does not run forward in time; got: frames 1 -> 1"),
        ({"target": np.array([3, 2, 3, 4])}, "edge 0 -> 3 stands twice"),
        ({"edge_cost": np.array([0, np.nan, 0, 0])}, "edge_cost must be finite"),
        ({"appear_cost": np.array([0, 0, np.inf, 0, 0])}, "appear_cost must be finite"),
        ({"division_cost": np.full(5, 1e10)}, "the costs add up to 5e[+]10, expected less than"),
        ({"pinned_node": np.full(5, 2, dtype=np.int8)}, "pinned_node must be 1"),
    ],
)
def test_a_problem_whose_arrays_do_not_fit_is_refused(problem, change, message):
    with pytest.raises(SchemaError, match=message):
        replace(problem, **change)


@pytest.mark.parametrize(
    ("cost", "bound", "gap"), [(-5.0, -5.0, 0), (-4.0, -5.0, 0.25), (0.0, -1.0, math.inf), (2.0, -math.inf, math.inf)]
)
def test_the_gap_is_a_share_of_the_objective(cost, bound, gap):
    none = np.empty(0, dtype=bool)
    assert Selection(none, none, cost, bound, proven=cost == bound).gap == gap
