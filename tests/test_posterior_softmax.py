"""Softmax over parents: by hand, against brute force, and at the edges of numbers."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trackdb.engine.posterior.softmax import (
    column_normalised,
    parent_entropy,
    softmax,
    softmax_over_parents,
)
from trackdb.errors import ConfigError, SchemaError
from trackdb.solvers.problem import TrackingProblem

INF = math.inf


def problem(source, target, cost, frame, *, appear=2.0, pinned=None):
    n = len(frame)
    flat = np.zeros(n)
    return TrackingProblem(
        frame=np.array(frame),
        source=np.array(source),
        target=np.array(target),
        edge_cost=np.array(cost, float),
        node_cost=flat,
        appear_cost=np.full(n, appear),
        disappear_cost=flat,
        division_cost=flat,
        pinned_node=np.ones(n, np.int8) if pinned is None else np.array(pinned, np.int8),
    )


def test_two_candidates_and_new_by_hand():
    """Costs 1, 2 and 2 for new: e^-1, e^-2, e^-2 over their sum; without new, 1 / (1 + e^-1)."""
    drawn = problem([0, 1], [2, 2], [1, 2], [0, 0, 1])
    found = softmax(drawn)
    total = math.exp(-1) + 2 * math.exp(-2)
    assert found.link == pytest.approx([math.exp(-1) / total, math.exp(-2) / total])
    assert found.new == pytest.approx([1, 1, math.exp(-2) / total])
    paper = softmax(drawn, null=False)
    assert paper.link == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))])
    assert paper.new.tolist() == [1, 1, 0]


def test_a_higher_temperature_is_less_sure():
    drawn = problem([0, 1], [2, 2], [1, 2], [0, 0, 1])
    hot = softmax(drawn, temperature=2.0, null=False).link
    assert hot[0] == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert softmax(drawn, temperature=1e6).link == pytest.approx([1 / 3, 1 / 3], abs=1e-5)
    assert softmax(drawn, temperature=1e-3).link == pytest.approx([1, 0])


def test_links_of_a_forbidden_cell_are_impossible():
    found = softmax(problem([0, 1], [2, 2], [1, 2], [0, 0, 1], pinned=[-1, 1, 1]))
    assert found.link == pytest.approx([0, 0.5])
    assert found.new.tolist() == pytest.approx([0, 1, 0.5])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, INF])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ConfigError, match="temperature"):
        softmax(problem([0], [1], [1], [0, 1]), temperature=temperature)


@pytest.mark.parametrize(
    ("cost", "link", "new"),
    [
        ([INF, 0.0], [0, 1], 0),
        ([-INF, 0.0], [1, 0], 0),
        ([-INF, -INF], [0.5, 0.5], 0),
        ([INF, INF], [0, 0], 1),
        ([1e308, -1e308], [0, 1], 0),
    ],
)
def test_costs_without_end_forbid_and_force(cost, link, new):
    found = softmax_over_parents(np.zeros(2, int), np.array(cost), 1)
    assert found.link.tolist() == link
    assert found.new.tolist() == [new]


def test_a_cost_that_is_no_number_is_refused():
    with pytest.raises(SchemaError, match="no number"):
        softmax_over_parents(np.zeros(1, int), np.array([math.nan]), 1)


@st.composite
def candidates(draw):
    n = draw(st.integers(1, 5))
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.floats(-30, 30)), max_size=12))
    new = draw(st.lists(st.floats(-30, 30), min_size=n, max_size=n))
    target = np.array([t for t, _ in pairs], dtype=np.int64)
    return target, np.array([c for _, c in pairs], float), np.array(new), n


@example((np.array([0, 0]), np.array([-21.0, -23.0]), np.array([22.0]), 1), 0.0625)  # weights beyond any number
@given(candidates(), st.floats(0.05, 20))
def test_softmax_is_that_of_a_loop(drawn, temperature):
    target, cost, new, n = drawn
    found = softmax_over_parents(target, cost, n, temperature=temperature, new_cost=new)
    for j in range(n):
        worth = [-c / temperature for c in [new[j], *cost[target == j].tolist()]]
        weights = [math.exp(each - max(worth)) for each in worth]
        assert [found.new[j], *found.link[target == j]] == pytest.approx([w / sum(weights) for w in weights])


@given(candidates(), st.floats(-1000, 1000))
def test_costs_of_a_daughter_are_known_up_to_a_constant(drawn, more):
    target, cost, new, n = drawn
    here = softmax_over_parents(target, cost, n, new_cost=new)
    there = softmax_over_parents(target, cost + more, n, new_cost=new + more)
    assert np.allclose(here.link, there.link)
    assert np.allclose(here.new, there.new)


@given(candidates())
def test_the_paper_is_the_column_normalised_form_of_ours(drawn):
    """Given that a daughter has a mother, both speak alike where daughters do not compete: Eq. 5 is Eq. 4."""
    target, cost, new, n = drawn
    ours = softmax_over_parents(target, cost, n, new_cost=np.maximum(new, cost.min(initial=0)))
    paper = softmax_over_parents(target, cost, n)
    assert np.allclose(column_normalised(target, ours.link, n).link, paper.link)


def test_all_on_new_is_told_apart():
    found = column_normalised(np.array([0, 0, 1]), np.array([0.0, 0.0, 0.3]), 3)
    assert found.link.tolist() == [0, 0, 1]
    assert found.undecided.tolist() == [True, False, False]


def test_entropy_with_and_without_new():
    target, link, new = np.array([0, 0, 1]), np.array([0.25, 0.25, 0.0]), np.array([0.5, 1.0])
    assert parent_entropy(target, link, new) == pytest.approx([1.5 * math.log(2), 0])
    assert parent_entropy(target, link, new, null=False) == pytest.approx([math.log(2), 0])
