"""A linker that opens on a selection and its prices: what fits is taken, the rest is put right, and all is optimal."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.linker import Linker
from trackdb.solvers.pins import Pins, pin
from trackdb.testing.problems import crowded_movie, shuffle_edges

from .strategies import tracking_problems
from .test_solver_linker import CHEAP_DIVISION, pin_one, require_optimal, solved_anew

DECISIONS = st.lists(
    st.tuples(st.sampled_from(["link", "cell"]), st.integers(0, 40), st.sampled_from([1, -1, 0])), max_size=5
)


def no_pins(problem):
    return Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8))


def pin_all(linker, pins, problem, decisions):
    """Take the decisions that are feasible, and hold the selection to a fresh one after each."""
    for kind, number, value in decisions:
        rows = problem.n_edges if kind == "link" else problem.n_nodes
        if rows and pin_one(linker, pins, (kind, number % rows, value)) is not None:
            require_optimal(linker, problem, pins)


def drawn_movie(**options):
    """Return a crowded movie with its edges in any order, as no kernel wants them."""
    return shuffle_edges(crowded_movie(5, n_frames=10, per_frame=30, **options), 5)[0]


@pytest.mark.parametrize("options", [{}, {"skip": True}], ids=["links", "skips"])
@pytest.mark.parametrize("kept", [False, True], ids=["optional", "all kept"])
def test_an_optimum_and_its_prices_are_taken_as_they_are(options, kept):
    problem = drawn_movie(**options)
    if kept:
        problem = replace(problem, pinned_node=np.ones(problem.n_nodes, dtype=np.int8))
    solved = IlpSolver().solve(problem)
    assert kept == solved.node.all()
    linker = Linker(problem, start=solved)
    assert (linker.n_again, linker.n_solved) == (0, 0)
    assert np.array_equal(linker.edge, solved.edge)
    assert np.array_equal(linker.node, solved.node)
    assert linker.lower_bound == linker.objective == solved.objective


def test_where_couplings_broke_the_selection_is_that_of_the_solver():
    problem = drawn_movie(**CHEAP_DIVISION)
    solved = IlpSolver().solve(problem)
    linker = Linker(problem, start=solved)
    assert 0 < linker.n_again < 60  # of 900: what surrounds the couplings
    assert linker.n_solved == 1
    assert linker.objective == solved.objective
    assert linker.lower_bound <= solved.objective


@pytest.mark.parametrize("change", [-3.0, -1e-6, 0.5, -1e9, np.nan, np.inf, 1e300])
def test_one_price_that_is_wrong_is_noticed_and_put_right(change):
    problem = drawn_movie()
    solved = IlpSolver().solve(problem)
    cell = int(np.argmin(solved.dual))
    dual = solved.dual.copy()
    dual[cell] += change
    linker = Linker(problem, start=replace(solved, dual=dual))
    assert 0 < linker.n_again < 20
    assert linker.n_solved == 0
    require_optimal(linker, problem, no_pins(problem))


def test_links_that_are_not_there_and_links_too_many_are_put_right():
    problem = drawn_movie()
    solved = IlpSolver().solve(problem)
    edge = solved.edge.copy()
    gone = np.flatnonzero(edge)[:3]
    rival = np.flatnonzero(~edge & np.isin(problem.target, problem.target[np.flatnonzero(edge)[-3:]]))[:3]
    edge[gone], edge[rival] = False, True
    linker = Linker(problem, start=replace(solved, edge=edge))
    assert 0 < linker.n_again < 40
    assert np.array_equal(linker.edge, solved.edge)


def test_prices_that_fit_nowhere_are_left_aside():
    problem = drawn_movie()
    solved = IlpSolver().solve(problem)
    linker = Linker(problem, start=replace(solved, dual=solved.dual[::-1].copy()))
    assert (linker.n_again, linker.n_solved) == (None, 1)
    assert linker.objective == solved.objective


def test_decisions_that_are_newer_than_the_start_touch_what_surrounds_them_alone():
    problem = drawn_movie()
    solved = IlpSolver().solve(problem)
    pins = no_pins(problem)
    pins.edge[np.flatnonzero(~solved.edge)[40]] = 1
    pins.edge[np.flatnonzero(solved.edge)[100]] = -1
    pins.node[int(np.flatnonzero(solved.node)[7])] = -1
    linker = Linker(problem, pins, start=solved)
    assert 0 < linker.n_again < 20
    require_optimal(linker, problem, pins)
    undone = Linker(problem, start=solved_anew(problem, pins))
    assert 0 < undone.n_again < 40
    assert undone.objective == solved.objective


def test_a_start_without_prices_or_of_another_size_is_refused():
    problem = drawn_movie()
    solved = IlpSolver().solve(problem)
    with pytest.raises(SchemaError, match="this one has none"):
        Linker(problem, start=replace(solved, dual=None))
    n, m = problem.n_nodes, problem.n_edges
    for name, length in (("dual", n), ("node", n), ("edge", m)):
        short = replace(solved, **{name: getattr(solved, name)[:-1]})
        with pytest.raises(SchemaError, match=rf"start.{name} must be \({length},\), got \({length - 1},\)"):
            Linker(problem, start=short)


def test_there_is_no_row_beyond_the_last_nor_before_the_first():
    problem = drawn_movie()
    linker = Linker(problem)
    for row in (-1, problem.n_edges):
        with pytest.raises(SchemaError, match=f"there is no edge {row}"):
            linker.pin_link(row, 1)


@settings(deadline=None, max_examples=100)
@given(tracking_problems(), DECISIONS, DECISIONS)
def test_opened_from_prices_it_is_what_it_would_be_afresh_after_any_pins(problem, before, after):
    solved_with = no_pins(problem)
    pin_all(Linker(problem), solved_with, problem, before)
    linker = Linker(problem, solved_with, start=solved_anew(problem, solved_with))
    require_optimal(linker, problem, solved_with)
    pin_all(linker, solved_with, problem, after)


@settings(deadline=None, max_examples=100)
@given(tracking_problems(), st.randoms(use_true_random=False), DECISIONS)
def test_any_start_leads_to_the_optimum(problem, draw, decisions):
    def some(length, values):
        return np.array([draw.choice(values) for _ in range(length)])

    solved = IlpSolver().solve(problem)
    start = replace(
        solved,
        edge=some(problem.n_edges, [True, False]).astype(bool),
        node=some(problem.n_nodes, [True, False]).astype(bool),
        dual=some(problem.n_nodes, [0.0, 0.25, -0.25, -1.0, -8.0, np.nan, -1e12]).astype(np.float64),
    )
    linker, pins = Linker(problem, start=start), no_pins(problem)
    require_optimal(linker, problem, pins)
    pin_all(linker, pins, problem, decisions)


@settings(deadline=None, max_examples=60)
@given(tracking_problems(), DECISIONS)
def test_decisions_taken_together_are_taken_all_or_none(problem, decisions):
    links = {number % problem.n_edges: value for kind, number, value in decisions if kind == "link" and problem.n_edges}
    cells = {number % problem.n_nodes: value for kind, number, value in decisions if kind == "cell" and problem.n_nodes}
    pins = no_pins(problem)
    for row, value in links.items():
        pins.edge[row] = value
    for row, value in cells.items():
        pins.node[row] = value
    linker = Linker(problem)
    try:
        pin(problem, pins)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            linker.decide(links, cells)
        assert not linker.pinned().edge.any()
        assert not linker.pinned().node.any()
        require_optimal(linker, problem, no_pins(problem))
        return
    linker.decide(links, cells)
    require_optimal(linker, problem, pins)
    linker.decide(dict.fromkeys(links, 0), dict.fromkeys(cells, 0))
    require_optimal(linker, problem, no_pins(problem))
