"""Pins: what is left of a problem is solved as if the pins were constraints of the whole one, by every solver."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers import open_solver
from trackdb.solvers.greedy import BestScoreSolver
from trackdb.solvers.lap import JaqamanSolver, LapRule
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.testing.problems import crowded_movie

from .strategies import paired_problems, tracking_problems


def pins_of(problem, *, forced=(), out=(), cells=(), none=()):
    """Return pins by rows of edges and nodes."""
    edge, node = np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8)
    edge[list(forced)], edge[list(out)] = 1, -1
    node[list(cells)], node[list(none)] = 1, -1
    return Pins(edge, node)


def solved(problem, pins, solver):
    """Return the selection of a solver that was given what the pins leave."""
    left = pin(problem, pins)
    return left.whole(solver.solve(left.problem))


def honoured(problem, pins, edge, node):
    """Whether a selection does all that pins ask for."""
    mothers = set(problem.source[pins.edge == 1].tolist())
    others = [e for e in np.flatnonzero(edge).tolist() if problem.source[e] in mothers and pins.edge[e] != 1]
    return (
        edge[pins.edge == 1].all()
        and not edge[pins.edge == -1].any()
        and node[pins.node == 1].all()
        and not node[pins.node == -1].any()
        and not others
    )


def cheapest_that_honours(problem, pins):
    """Return the least cost of all selections that honour the pins, None if there is none: every one is tried."""
    costs = []
    for chosen in itertools.product((False, True), repeat=problem.n_edges):
        edge = np.array(chosen, dtype=bool)
        linked = np.zeros(problem.n_nodes, dtype=bool)
        linked[problem.source[edge]] = linked[problem.target[edge]] = True
        lonely = problem.node_cost + problem.appear_cost + problem.disappear_cost < 0
        optional = (problem.pinned_node == 0) & (pins.node == 0)
        node = linked | (problem.pinned_node == 1) | (pins.node == 1) | (optional & lonely)
        if honoured(problem, pins, edge, node):
            try:
                costs.append(objective(problem, edge, node))
            except InfeasibleError:
                continue
    return min(costs, default=None)


@pytest.fixture
def crossing():
    r"""Two cells that seem to go straight on, costs of the links beside them; cell 4 is a speck.

    ::

        frame 0           1
              0 --- -4 --- 2        0 -> 2 and 1 -> 3 are cheap, 0 -> 3 and 1 -> 2 are dear;
                \        /          a second child costs 1
                  \ 1  /
                   ><
                  / 1  \
                /        \
              1 --- -4 --- 3        1 -> 4 costs 2
    """
    free = np.zeros(5)
    return TrackingProblem(
        frame=np.array([0, 0, 1, 1, 1]),
        source=np.array([0, 0, 1, 1, 1]),
        target=np.array([2, 3, 2, 3, 4]),
        edge_cost=np.array([-4.0, 1.0, 1.0, -4.0, 2.0]),
        node_cost=free,
        appear_cost=np.array([0.0, 0.0, 3.0, 3.0, 0.5]),
        disappear_cost=np.array([3.0, 3.0, 0.0, 0.0, 0.0]),
        division_cost=np.full(5, 1.0),
        pinned_node=np.ones(5, dtype=np.int8),
    )


EVERY_SOLVER = {
    "ilp": lambda problem: open_solver("ilp"),
    "highs": lambda problem: open_solver("highs"),
    "greedy": lambda problem: open_solver("greedy"),
    "lap": lambda problem: open_solver("lap"),
    "greedy by score": lambda problem: BestScoreSolver(-problem.edge_cost, least=-100.0),
    "lap by distance": lambda problem: JaqamanSolver(problem.edge_cost + 8, LapRule(merge_cost=np.inf)),
}
EXACT = ("ilp", "highs")


def chosen_links(problem, selection):
    return [*zip(problem.source[selection.edge].tolist(), problem.target[selection.edge].tolist(), strict=True)]


def test_a_link_forced_in_crosses_the_cells(crossing):
    selection = solved(crossing, pins_of(crossing, forced=[1]), open_solver("ilp"))
    # 0 -> 3 is said; 1 may then take 2 (1), and 4 besides (2 + 1 - 0.5): not worth it
    assert chosen_links(crossing, selection) == [(0, 3), (1, 2)]
    assert selection.objective == selection.lower_bound == 1 + 1 + 0.5


def test_a_link_forced_out_is_not_chosen_and_its_ends_are_free(crossing):
    selection = solved(crossing, pins_of(crossing, out=[0]), open_solver("ilp"))
    # 1 takes both, with a division for 1, and 0 ends, for 3: less than 0 -> 3 and 1 -> 2, for 4 is new either way
    assert chosen_links(crossing, selection) == [(1, 2), (1, 3)]
    assert selection.objective == 1 - 4 + 1 + 3 + 0.5


def test_a_division_forced_in_costs_both_links_and_the_division(crossing):
    selection = solved(crossing, pins_of(crossing, forced=[3, 4]), open_solver("ilp"))
    assert chosen_links(crossing, selection) == [(0, 2), (1, 3), (1, 4)]
    assert selection.objective == -4 - 4 + 2 + 1


def test_a_false_detection_takes_its_links_along(crossing):
    optional = replace(crossing, pinned_node=np.zeros(5, dtype=np.int8))
    selection = solved(optional, pins_of(crossing, none=[2], cells=[0]), open_solver("ilp"))
    assert not selection.node[2]
    assert selection.node[0]
    assert chosen_links(crossing, selection) == [(1, 3)]


def test_a_kept_detection_that_is_called_false_is_refused(crossing):
    with pytest.raises(InfeasibleError, match="detection 2 is pinned both in and out"):
        pin(crossing, pins_of(crossing, none=[2]))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"forced": [0, 2]}, "detection 2 is pinned to two parents"),
        ({"forced": [2, 3, 4]}, "detection 1 is pinned to more than two children"),
        ({"forced": [0], "none": [2]}, "detection 2 is pinned both in and out"),
    ],
    ids=["two parents", "three children", "a link of a false detection"],
)
def test_pins_that_no_selection_honours_are_refused(crossing, wanted, message):
    optional = replace(crossing, pinned_node=np.zeros(5, dtype=np.int8))
    with pytest.raises(InfeasibleError, match=message):
        pin(optional, pins_of(optional, **wanted))


def test_pins_of_another_problem_are_refused(crossing):
    with pytest.raises(SchemaError, match="of 4 edges and 5 nodes, the problem has 5 edges"):
        pin(crossing, Pins(np.zeros(4, dtype=np.int8), np.zeros(5, dtype=np.int8)))
    with pytest.raises(SchemaError, match=r"pins\.edge must be int8"):
        Pins(np.full(5, 2, dtype=np.int8), np.zeros(5, dtype=np.int8))


@st.composite
def pinned_problems(draw, problems):
    """Draw a problem with pins of all kinds, some of which no selection honours."""
    problem = draw(problems)
    values = st.sampled_from([0, 0, 0, 1, -1])
    edge = draw(st.lists(values, min_size=problem.n_edges, max_size=problem.n_edges))
    node = draw(st.lists(values, min_size=problem.n_nodes, max_size=problem.n_nodes))
    return problem, Pins(np.array(edge, dtype=np.int8), np.array(node, dtype=np.int8))


@settings(deadline=None)
@given(pinned_problems(st.one_of(tracking_problems(max_edges=9), paired_problems(max_edges=9))))
def test_exact_solvers_find_the_best_of_all_selections_that_honour_the_pins(drawn):
    problem, pins = drawn
    best = cheapest_that_honours(problem, pins)
    if best is None:
        with pytest.raises(InfeasibleError):
            pin(problem, pins)
        return
    for name in EXACT:
        selection = solved(problem, pins, EVERY_SOLVER[name](problem))
        assert selection.objective == best == objective(problem, selection.edge, selection.node)
        assert honoured(problem, pins, selection.edge, selection.node)


@settings(deadline=None)
@given(
    pinned_problems(tracking_problems(max_edges=9)),
    st.sampled_from([name for name in EVERY_SOLVER if name not in EXACT]),
)
def test_every_other_solver_honours_the_pins_at_its_own_price(drawn, name):
    problem, pins = drawn
    try:
        left = pin(problem, pins)
    except InfeasibleError:
        assert cheapest_that_honours(problem, pins) is None
        return
    selection = left.whole(EVERY_SOLVER[name](left.problem).solve(left.problem))
    assert honoured(problem, pins, selection.edge, selection.node)
    assert selection.objective == objective(problem, selection.edge, selection.node)
    if selection.merge is not None:
        settled = np.isin(problem.target, problem.target[pins.forced]) | (pins.edge != 0)
        assert not selection.merge[settled].any()


@pytest.mark.parametrize("name", ["ilp", "greedy", "lap"])
def test_a_movie_with_many_pins_keeps_them_all(name):
    problem = crowded_movie(3)
    rng = np.random.default_rng(5)
    whole = open_solver("ilp").solve(problem)
    edge = np.zeros(problem.n_edges, dtype=np.int8)
    edge[rng.choice(np.flatnonzero(whole.edge), 30, replace=False)] = -1
    free = np.flatnonzero(~whole.edge)
    for row in rng.permutation(free)[:60]:  # one link of its source and its target at the most
        taken = problem.source[edge == 1], problem.target[edge == 1]
        if problem.source[row] not in taken[0] and problem.target[row] not in taken[1]:
            edge[row] = 1
    pins = Pins(edge, np.zeros(problem.n_nodes, dtype=np.int8))
    assert pins.forced.sum() > 20
    selection = solved(problem, pins, open_solver(name))
    assert honoured(problem, pins, selection.edge, selection.node)
    assert selection.objective == objective(problem, selection.edge, selection.node) > whole.objective
    if name == "ilp":
        left = pin(problem, pins)
        assert selection.objective == open_solver("highs").solve(left.problem).objective


def test_without_pins_nothing_changes():
    problem = crowded_movie(1)
    free = Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8))
    plain, pinned = open_solver("ilp").solve(problem), solved(problem, free, open_solver("ilp"))
    assert np.array_equal(plain.edge, pinned.edge)
    assert np.array_equal(plain.dual, pinned.dual)
    assert plain.objective == pinned.objective
