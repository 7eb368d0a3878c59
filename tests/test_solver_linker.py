"""An open tracking against fresh solves of the pinned problem."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.linker import Linker
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.testing.problems import crowded_movie, shuffle_edges

from .drawn_problems import two_that_may_be_one_another
from .strategies import tracking_problems

CHEAP_DIVISION = {"division": 0.5, "false_cost": 2.0}


def solved_anew(problem, pins):
    """Return the optimum that honours some pins, by a solver that knows nothing of what was before."""
    pinned = pin(problem, pins)
    return pinned.whole(IlpSolver().solve(pinned.problem))


def require_optimal(linker, problem, pins):
    """The selection honours the pins, and costs what a fresh one costs."""
    assert (linker.edge[pins.edge == 1]).all()
    assert not linker.edge[pins.edge == -1].any()
    assert linker.node[pins.node == 1].all()
    assert not linker.node[pins.node == -1].any()
    anew = solved_anew(problem, pins)
    assert linker.objective == objective(problem, linker.edge, linker.node) == anew.objective
    assert linker.lower_bound <= linker.objective


def pin_one(linker, pins, draw_of):
    """Pin something at random, in the linker and in the pins; return the change, None if it is refused."""
    kind, row, value = draw_of
    try:
        change = (linker.pin_link if kind == "link" else linker.pin_cell)(row, value)
    except InfeasibleError:
        return None
    (pins.edge if kind == "link" else pins.node)[row] = value
    return change


@pytest.fixture
def movie():
    return two_that_may_be_one_another()


def test_a_link_across_takes_the_other_with_it_and_both_come_back(movie):
    linker = Linker(movie)
    assert np.flatnonzero(linker.edge).tolist() == [0, 3, 4, 7]
    change = linker.pin_link(1, 1)
    assert np.flatnonzero(linker.edge).tolist() == [1, 2, 4, 7]
    assert (change.linked.tolist(), change.unlinked.tolist()) == ([1, 2], [0, 3])
    assert linker.objective == 2 * -1 + 2 * -3 + 6 * -1
    change = linker.pin_link(1, 0)
    assert (change.linked.tolist(), change.unlinked.tolist()) == ([0, 3], [1, 2])
    assert linker.n_solved == 1


def test_a_link_that_is_pinned_out_is_gone_and_a_cell_that_is_none_takes_its_links_along(movie):
    linker = Linker(movie)
    assert linker.pin_link(0, -1).unlinked.tolist() == [0, 3]  # both across gain 2, one straight on and two ends less
    change = linker.pin_cell(2, -1)
    assert change.dropped.tolist() == [0, 2, 4]  # what was linked by way of it does not pay alone
    assert not linker.edge[[0, 2, 4, 5]].any()
    assert linker.pin_cell(2, 0).selected.tolist() == [0, 2, 4]


def test_what_was_pinned_before_stays_pinned(movie):
    pins = Pins(np.array([0, 1, 0, 0, 0, 0, 0, 0], dtype=np.int8), np.array([0, 0, 0, 0, -1, 0], dtype=np.int8))
    linker = Linker(movie, pins)
    require_optimal(linker, movie, pins)
    linker.pin_link(7, -1)
    pins.edge[7] = -1
    require_optimal(linker, movie, pins)


def test_a_pin_where_a_coupling_broke_is_followed_though_the_matching_does_not_change():
    """Cell 2 would divide into cell 1 alone, which the matching likes and no rule allows; so 1 is out, till kept."""
    problem = TrackingProblem(
        frame=np.array([0, 1, 0]),
        source=np.array([2]),
        target=np.array([1]),
        edge_cost=np.array([-0.25]),
        node_cost=np.zeros(3),
        appear_cost=np.zeros(3),
        disappear_cost=np.array([0.0, 0.5, 0.0]),
        division_cost=np.array([0.0, 0.0, -0.5]),
        pinned_node=np.array([1, 0, 1], dtype=np.int8),
    )
    linker = Linker(problem)
    assert linker.node.tolist() == [True, False, True]
    linker.pin_cell(1, 1)
    assert linker.edge.tolist() == [True]
    assert linker.objective == 0.25


@settings(deadline=None, max_examples=200)
@given(
    tracking_problems(),
    st.lists(st.tuples(st.sampled_from(["link", "cell"]), st.integers(0, 40), st.sampled_from([1, -1, 0])), max_size=8),
)
def test_after_each_pin_the_selection_is_the_one_of_a_fresh_solve(problem, decisions):
    linker = Linker(problem)
    pins = Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8))
    for kind, number, value in decisions:
        rows = problem.n_edges if kind == "link" else problem.n_nodes
        if not rows:
            continue
        before = linker.edge.copy(), linker.node.copy()
        change = pin_one(linker, pins, (kind, number % rows, value))
        if change is None:
            assert (linker.edge == before[0]).all()
            tried = Pins(pins.edge.copy(), pins.node.copy())
            (tried.edge if kind == "link" else tried.node)[number % rows] = value
            with pytest.raises(InfeasibleError):
                pin(problem, tried)
            continue
        require_optimal(linker, problem, pins)
        assert np.array_equal(change.linked, np.flatnonzero(linker.edge & ~before[0]))
        assert np.array_equal(change.unlinked, np.flatnonzero(~linker.edge & before[0]))
        assert np.array_equal(change.selected, np.flatnonzero(linker.node & ~before[1]))
        assert np.array_equal(change.dropped, np.flatnonzero(~linker.node & before[1]))


@pytest.mark.parametrize(("seed", "costs"), [(1, {}), (2, CHEAP_DIVISION)], ids=["usual", "cheap divisions"])
def test_two_hundred_pins_of_a_crowded_movie(seed, costs):
    problem, _ = shuffle_edges(crowded_movie(seed, n_frames=12, per_frame=30, skip=True, **costs), seed)
    linker, rng = Linker(problem), np.random.default_rng(seed)
    pins = Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8))
    for number in range(200):
        if rng.random() < 0.8:
            chosen = np.flatnonzero(linker.edge if rng.random() < 0.5 else ~linker.edge)
            decision = "link", int(rng.choice(chosen)), int(rng.choice([1, -1, 0]))
        else:
            decision = "cell", int(rng.integers(problem.n_nodes)), int(rng.choice([1, -1, 0]))
        pin_one(linker, pins, decision)
        if number % 5 == 0:
            require_optimal(linker, problem, pins)
    require_optimal(linker, problem, pins)
    if not costs:
        assert linker.n_solved < 60  # far from broken couplings nothing is solved again


@pytest.mark.parametrize(
    ("first", "then", "complaint"),
    [
        (("link", 0), ("link", 2), "would give detection 2 two pinned parents"),
        (("cell", 2, -1), ("link", 0), "the link 0 -> 2 is pinned, but detection 2 is pinned out"),
        (("link", 0), ("cell", 0, -1), "detection 0 is pinned out, but a link of it is pinned"),
    ],
)
def test_pins_that_contradict_are_refused_and_change_nothing(movie, first, then, complaint):
    def decide(linker, kind, row, value=1):
        return (linker.pin_link if kind == "link" else linker.pin_cell)(row, value)

    linker = Linker(movie)
    decide(linker, *first)
    edge, node = linker.edge.copy(), linker.node.copy()
    with pytest.raises(InfeasibleError, match=complaint):
        decide(linker, *then)
    assert (linker.edge == edge).all()
    assert (linker.node == node).all()


def test_a_detection_that_the_problem_keeps_is_not_pinned_out_and_pairs_are_refused(movie):
    kept = Linker(replace(movie, pinned_node=np.ones(6, dtype=np.int8)))
    with pytest.raises(InfeasibleError, match="pinned against what the problem says"):
        kept.pin_cell(2, -1)
    with pytest.raises(SchemaError, match="a pin is 1, 0 or -1, got 2"):
        kept.pin_link(0, 2)
    none = np.empty(0, dtype=np.int64)
    with pytest.raises(SchemaError, match="not pairs of daughters"):
        Linker(replace(movie, pairs=Pairs(none, none, np.empty(0))))
