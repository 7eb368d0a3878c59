"""The two steps of LAP: drawn, laws, and scipy's assignment of the whole square matrix of each step as oracle."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import ConfigError, SchemaError
from trackdb.solvers import open_solver
from trackdb.solvers.assignment import cheapest_matching, in_steps
from trackdb.solvers.lap import JaqamanSolver, LapRule, LapSolver, join_segments, link_frames, link_in_two_steps
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.testing.problems import crowded_movie, shuffle_edges

from .oracles import cheapest_linking, cheapest_of_square
from .strategies import paired_problems, quarters, tracking_problems

NO_DIVISIONS = LapRule(split_cost=None)
ANYTHING = LapRule(merge_cost=np.inf)


def movie(*frames):
    """Return frame, source, target and squared distance of cells on a line, any two of different frames a candidate."""
    frame = np.repeat(np.arange(len(frames)), [len(cells) for cells in frames])
    place = np.concatenate([np.asarray(cells, dtype=np.float64) for cells in frames])
    source, target = np.nonzero(frame[:, None] < frame[None, :])
    return frame, source, target, (place[target] - place[source]) ** 2


def links(drawn, rule=None):
    """Return the links that the two steps take."""
    taken = link_in_two_steps(*drawn, rule)
    return list(zip(drawn[1][taken].tolist(), drawn[2][taken].tolist(), strict=True))


def problem_of(frame, source, target):
    """Return a problem in which everything is free and kept."""
    n = len(frame)
    free = np.zeros(n)
    return TrackingProblem(
        frame, source, target, np.zeros(len(source)), free, free, free, free, np.ones(n, dtype=np.int8)
    )


def test_cells_that_cross_are_told_apart_by_the_sum_of_their_steps():
    r"""0 goes to 2 and 1 to 3; nearest first would take 1 -> 2 and leave 0 -> 3, which is far.

    ::

        place    0    3  4        8
        frame 0  0       1
        frame 1       2           3
    """
    assert links(movie([0, 4], [3, 8]), NO_DIVISIONS) == [(0, 2), (1, 3)]


def test_a_cell_that_is_missed_is_found_again():
    """Cell 1 is missed in frame 1: 0 - 2 - 3 goes on, and 1 is tied to 4 over the gap."""
    drawn = movie([0, 10], [0], [0, 10])
    assert links(drawn) == [(0, 2), (1, 4), (2, 3)]
    assert links(drawn, LapRule(max_gap=1)) == [(0, 2), (1, 4), (2, 3)]
    assert links(drawn, LapRule(max_gap=0, split_cost=None)) == [(0, 2), (2, 3)]
    assert links(drawn, LapRule(max_cost=0.0, split_cost=None)) == [(0, 2), (1, 4), (2, 3)]


def test_a_cell_divides():
    r"""0 takes the nearer 1 as its first child, the segment of 2 begins beside it.

    ::

        0 -- 1 -- 3
         \
          `- 2 -- 4
    """
    drawn = movie([0], [-1, 1.5], [-1, 2])
    assert links(drawn) == [(0, 1), (0, 2), (1, 3), (2, 4)]
    assert links(drawn, NO_DIVISIONS) == [(0, 1), (1, 3), (2, 4)]
    assert links(drawn, LapRule(split_cost=2.0)) == [(0, 1), (1, 3), (2, 4)]


def test_two_cells_merge_and_their_links_stand_apart():
    r"""1 ends before 2, which 0 has reached: all links into 2 are those of a merge.

    ::

        0 -- 2 -- 3
            /
        1 -'
    """
    drawn = movie([-1, 1.5], [0], [0])
    assert links(drawn) == [(0, 2), (2, 3)]
    assert links(drawn, ANYTHING) == [(0, 2), (1, 2), (2, 3)]
    problem = problem_of(*drawn[:3])
    chosen = JaqamanSolver(drawn[3], ANYTHING).solve(problem)
    ends = np.stack([drawn[1], drawn[2]], axis=1)
    assert ends[chosen.edge].tolist() == [[2, 3]]
    assert ends[chosen.merge].tolist() == [[0, 2], [1, 2]]
    assert not JaqamanSolver(drawn[3]).solve(problem).merge.any()


def test_candidates_beyond_the_percentile_are_worse_than_none():
    """Ten gaps of equal cost but one: the alternative cost is 1.05 times that of the nine, and the tenth stays."""
    n = 10
    frame = np.repeat([0, 2], n)
    source, target = np.arange(n), n + np.arange(n)
    cost = np.where(source == 9, 1.1, 1.0)
    taken = link_in_two_steps(frame, source, target, cost)
    assert taken.tolist() == 9 * [True] + [False]
    assert link_in_two_steps(frame, source, target, cost, LapRule(percentile=100)).all()
    assert link_in_two_steps(frame, source, target, cost, LapRule(factor=1.2)).all()


def test_cells_that_stand_still_are_linked_though_every_cost_is_0():
    assert links(movie([0], [0], [], [0])) == [(0, 1), (1, 2)]


def test_the_steps_on_the_costs_of_a_problem_find_the_drawn_division_and_the_gap():
    r"""Ends cost 2, a division 1; 1 -> 2 is the cheaper child, 3 comes as the second, 5 over the gap.

    ::

        frame   0    1    2    3
                0 -- 1 -- 2
                      \
                       `- 3 ------ (gap) 4 in frame 4
    """
    problem = TrackingProblem(
        frame=np.array([0, 1, 2, 2, 4]),
        source=np.array([0, 1, 1, 3]),
        target=np.array([1, 2, 3, 4]),
        edge_cost=np.array([-1.0, -1.0, 0.5, 3.0]),
        node_cost=np.full(5, -1.0),
        appear_cost=np.full(5, 2.0),
        disappear_cost=np.full(5, 2.0),
        division_cost=np.full(5, 1.0),
        pinned_node=np.ones(5, dtype=np.int8),
    )
    assert LapSolver().solve(problem).edge.all()
    dear = replace(problem, edge_cost=np.array([-1.0, -1.0, 1.5, 4.5]))
    assert LapSolver().solve(dear).edge.tolist() == [True, True, False, False]
    optional = replace(problem, pinned_node=np.zeros(5, dtype=np.int8))
    assert LapSolver().solve(optional).node.tolist() == [True, True, True, False, False]  # 3 and 4 do not pay


def test_what_the_first_step_settled_stays_though_the_optimum_knows_better():
    """0 -> 1 gains more than it would to save both for the two links over the gap."""
    problem = TrackingProblem(
        frame=np.array([0, 1, 2]),
        source=np.array([0, 0]),
        target=np.array([1, 2]),
        edge_cost=np.array([0.0, -3.0]),
        node_cost=np.zeros(3),
        appear_cost=np.full(3, 1.0),
        disappear_cost=np.full(3, 1.0),
        division_cost=np.full(3, 9.0),
        pinned_node=np.ones(3, dtype=np.int8),
    )
    assert LapSolver().solve(problem).edge.tolist() == [True, False]
    assert open_solver("ilp").solve(problem).edge.tolist() == [False, True]


# -- laws -------------------------------------------------------------------------------------------------------------


@st.composite
def drawn_movies(draw, n_frames=4, per_frame=4):
    """Draw cells in a few frames, any candidates between them, and costs of which many are equal."""
    frame = np.repeat(
        np.arange(n_frames), draw(st.lists(st.integers(0, per_frame), min_size=n_frames, max_size=n_frames))
    )
    pairs = np.argwhere(frame[:, None] < frame[None, :])
    keep = draw(st.lists(st.integers(0, max(len(pairs) - 1, 0)), unique=True, max_size=20)) if len(pairs) else []
    source, target = pairs[sorted(keep)].T.astype(np.int64) if keep else np.empty((2, 0), dtype=np.int64)
    costs = draw(st.lists(quarters(0, 8), min_size=len(keep), max_size=len(keep)))
    return frame, source, target, np.array(costs, dtype=np.float64)


RULES = st.builds(
    LapRule,
    max_cost=st.sampled_from([3.0, np.inf]),
    max_gap=st.sampled_from([None, 0, 1]),
    split_cost=st.sampled_from([None, 2.0, np.inf]),
    merge_cost=st.sampled_from([None, 2.0, np.inf]),
    factor=st.sampled_from([0.5, 1.05, 2.0]),
    percentile=st.sampled_from([0, 50, 90, 100]),
)


@settings(deadline=None, max_examples=300)
@given(drawn_movies(), RULES)
def test_the_first_step_costs_what_the_square_matrix_of_each_pair_of_frames_costs(drawn, rule):
    frame, source, target, cost = drawn
    taken = link_frames(*drawn, rule)
    for t in range(3):
        rows = (frame[source] == t) & (frame[target] == t + 1) & (cost <= rule.max_cost)
        best, price = cheapest_linking(source[rows], target[rows], cost[rows], factor=rule.factor)
        assert price(taken[rows]) == pytest.approx(best, abs=1e-9)
    assert not taken[(frame[target] - frame[source] > 1) | (cost > rule.max_cost)].any()


@settings(deadline=None, max_examples=300)
@given(drawn_movies(), RULES)
def test_the_second_step_costs_what_the_square_matrix_of_the_segments_costs(drawn, rule):
    linked = link_frames(*drawn, rule)
    taken = join_segments(*drawn, linked, rule)
    best, price = cheapest_of_square(*drawn, linked, rule)
    assert price(taken) == pytest.approx(best, abs=1e-9)


@settings(deadline=None)
@given(drawn_movies(), RULES)
def test_nobody_has_more_than_two_mothers_or_daughters_and_nothing_is_taken_twice(drawn, rule):
    frame, source, target, cost = drawn
    chosen = JaqamanSolver(cost, rule).solve(problem_of(frame, source, target))
    both = chosen.edge | chosen.merge
    assert not (chosen.edge & chosen.merge).any()
    assert np.bincount(source[both], minlength=1).max() <= 2
    mothers = np.bincount(target[both], minlength=len(frame))
    assert mothers.max(initial=0) <= 2
    assert np.array_equal(chosen.merge, both & (mothers[target] == 2))
    if rule.merge_cost is None:
        assert not chosen.merge.any()
    if rule.split_cost is None:
        assert np.bincount(source[both], minlength=1).max() <= 1
    assert chosen.objective == objective(problem_of(frame, source, target), chosen.edge, chosen.node) == 0


@settings(deadline=None)
@given(drawn_movies(), RULES, st.integers(0, 9))
def test_costs_in_another_unit_a_shift_in_time_and_another_order_change_nothing(drawn, rule, seed):
    frame, source, target, cost = drawn
    taken = link_in_two_steps(*drawn, rule)
    limits = {name: getattr(rule, name) for name in ("max_cost", "split_cost", "merge_cost")}
    eighth = replace(rule, **{name: None if limit is None else limit / 8 for name, limit in limits.items()})
    assert np.array_equal(link_in_two_steps(frame, source, target, cost / 8, eighth), taken)
    assert np.array_equal(link_in_two_steps(frame + 7, source, target, cost, rule), taken)
    order = np.random.default_rng(seed).permutation(len(source))
    assert np.array_equal(link_in_two_steps(frame, source[order], target[order], cost[order], rule), taken[order])


@settings(deadline=None)
@given(tracking_problems())
def test_two_steps_are_never_better_than_the_optimum(problem):
    assert LapSolver().solve(problem).objective >= open_solver("ilp").solve(problem).objective


@settings(deadline=None)
@given(paired_problems())
def test_where_daughters_are_priced_in_pairs_nothing_divides(problem):
    chosen = LapSolver().solve(problem)
    assert np.bincount(problem.source[chosen.edge], minlength=1).max() <= 1
    assert chosen.objective == objective(problem, chosen.edge, chosen.node)
    assert chosen.objective >= open_solver("ilp").solve(problem).objective


@settings(deadline=None)
@given(tracking_problems(division=(9, 12), pins=(1,)))
def test_one_step_is_the_optimum_where_nothing_skips_a_frame_or_divides(problem):
    near = problem.frame[problem.target] - problem.frame[problem.source] == 1
    rows = {name: getattr(problem, name)[near] for name in ("source", "target", "edge_cost")}
    near = replace(problem, **rows)
    assert LapSolver().solve(near).objective == open_solver("ilp").solve(near).objective


@pytest.mark.parametrize("seed", range(3))
def test_the_same_links_are_chosen_in_any_order_of_the_edges(seed):
    problem = crowded_movie(seed, skip=True)
    shuffled, order = shuffle_edges(problem, seed)
    assert np.array_equal(LapSolver().solve(shuffled).edge, LapSolver().solve(problem).edge[order])


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 7), st.integers(0, 7)), st.integers(-6, 3).map(lambda w: w / 4), max_size=30
    )
)
def test_the_cheapest_matching_is_that_of_scipy(drawn):
    from scipy.optimize import linear_sum_assignment

    row, column = (np.array([place[i] for place in drawn], dtype=np.int64) for i in (0, 1))
    weight = np.array(list(drawn.values()), dtype=np.float64)
    chosen = cheapest_matching(row, column, in_steps(weight))
    table = np.zeros((8, 8))
    table[row, column] = np.minimum(weight, 0)
    assert weight[chosen].sum() == table[linear_sum_assignment(table)].sum()
    for side in (row[chosen], column[chosen]):
        assert len(np.unique(side)) == len(side)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", [np.nan, np.inf, -np.inf, -1.0])
def test_a_cost_that_is_no_cost_is_refused(cost):
    frame, source, target, costs = movie([0], [0], [0])
    costs[1] = cost
    for ask in (lambda: JaqamanSolver(costs), lambda: link_in_two_steps(frame, source, target, costs)):
        with pytest.raises(SchemaError, match=f"edge 1 costs {cost}"):
            ask()


def test_costs_of_another_problem_are_refused():
    frame, source, target, cost = movie([0], [0])
    with pytest.raises(SchemaError, match="wanted 1, got 2"):
        JaqamanSolver(np.append(cost, 1.0)).solve(problem_of(frame, source, target))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_cost": -1.0},
        {"split_cost": np.nan},
        {"merge_cost": -1.0},
        {"max_gap": -1},
        {"factor": 0.0},
        {"factor": np.inf},
        {"percentile": 101.0},
        {"percentile": np.nan},
    ],
)
def test_a_rule_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        LapRule(**wrong)


def test_forbidden_cells_are_not_linked_and_a_movie_without_links_is_no_error():
    frame, source, target, cost = movie([0], [0], [0])
    problem = problem_of(frame, source, target)
    chosen = JaqamanSolver(cost).solve(replace(problem, pinned_node=np.array([1, -1, 1], dtype=np.int8)))
    assert chosen.node.tolist() == [True, False, True]
    assert np.flatnonzero(chosen.edge).tolist() == [1]  # 0 -> 2
    none = np.empty(0, dtype=np.int64)
    assert not len(link_in_two_steps(frame, none, none, np.empty(0)))
