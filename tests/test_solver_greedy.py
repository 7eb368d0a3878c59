"""The greedy solvers: best gain first, and nothing kept that does not pay; or best score first."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import SchemaError
from trackdb.solvers import open_solver
from trackdb.solvers.greedy import BestScoreSolver, GreedySolver
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.testing.problems import crowded_movie, shuffle_edges

from .strategies import tracking_problems


def two_frames(edges, node_cost, *, division=1.0):
    """Return a problem of two mothers 0, 1 and daughters 2, 3, 4 whose ends cost 2."""
    n = 5
    source, target, cost = zip(*edges, strict=True)
    return TrackingProblem(
        frame=np.array([0, 0, 1, 1, 1]),
        source=np.array(source),
        target=np.array(target),
        edge_cost=np.array(cost, dtype=np.float64),
        node_cost=np.array(node_cost, dtype=np.float64),
        appear_cost=np.full(n, 2.0),
        disappear_cost=np.full(n, 2.0),
        division_cost=np.full(n, division),
        pinned_node=np.zeros(n, dtype=np.int8),
    )


def links(problem, chosen):
    return sorted(zip(problem.source[chosen.edge].tolist(), problem.target[chosen.edge].tolist(), strict=True))


def test_the_better_link_wins_even_where_two_others_would_be_worth_more():
    r"""0 takes 2 at -3, so 1 is left with nothing: -3 where 0 -> 3 and 1 -> 2 would give -2 - 2.

    ::

        0 -(-3)- 2
          \    /
      (-2) \  / (-2)
            \/
            /\
        1 -'  `- 3
    """
    problem = two_frames([(0, 2, -3), (0, 3, -2), (1, 2, -2)], [-9, -9, -9, -9, 5], division=50.0)
    greedy, exact = GreedySolver().solve(problem), open_solver("ilp").solve(problem)
    assert links(problem, greedy) == [(0, 2)]
    assert links(problem, exact) == [(0, 3), (1, 2)]
    assert greedy.objective > exact.objective


def test_a_second_daughter_pays_for_the_division():
    problem = two_frames([(0, 2, -3), (0, 3, -2), (0, 4, 1.5)], [-9, 5, -9, -9, -9])
    chosen = GreedySolver().solve(problem)
    assert links(problem, chosen) == [(0, 2), (0, 3)]
    assert chosen.node.tolist() == [True, False, True, True, True]


def test_a_false_cell_is_dropped_with_its_links_and_its_parent_is_free_again():
    r"""2 looks like the best daughter of 0, but a cell there costs 9; without it 3 comes in.

    ::

        0 -(-3)- 2 (cost 9)
          \(-1)
           `---- 3
    """
    problem = two_frames([(0, 2, -3), (0, 3, -1)], [-9, 5, 9, -9, 5], division=50.0)
    chosen = GreedySolver().solve(problem)
    assert links(problem, chosen) == [(0, 3)]
    assert chosen.node.tolist() == [True, False, False, True, False]


def test_a_false_daughter_is_dropped_and_her_sister_stays():
    problem = two_frames([(0, 2, -3), (0, 3, -1)], [-9, 5, -9, 4, 5])
    chosen = GreedySolver().solve(problem)
    assert links(problem, chosen) == [(0, 2)]
    assert chosen.node.tolist() == [True, False, True, False, False]


def test_equal_gains_go_to_the_lower_pair():
    problem = two_frames([(1, 3, -1), (1, 2, -1), (0, 3, -1), (0, 2, -1)], [-9] * 5, division=50.0)
    assert links(problem, GreedySolver().solve(problem)) == [(0, 2), (1, 3)]


@settings(deadline=None)
@given(tracking_problems())
def test_greedy_is_never_better_than_the_optimum(problem):
    assert GreedySolver().solve(problem).objective >= open_solver("ilp").solve(problem).objective


@settings(deadline=None)
@given(tracking_problems())
def test_no_link_between_selected_cells_could_still_be_added_with_gain(problem):
    chosen = GreedySolver().solve(problem)
    parents = np.bincount(problem.target[chosen.edge], minlength=problem.n_nodes)
    children = np.bincount(problem.source[chosen.edge], minlength=problem.n_nodes)
    source, target = problem.source, problem.target
    end = np.where(children == 0, -problem.disappear_cost, problem.division_cost)
    change = problem.edge_cost - problem.appear_cost[target] + end[source]
    possible = chosen.node[source] & chosen.node[target] & (parents[target] == 0) & (children[source] < 2)
    assert not np.any(possible & (change < 0))


@settings(deadline=None)
@given(tracking_problems())
def test_no_optional_cell_would_be_better_left_out(problem):
    chosen = GreedySolver().solve(problem)
    for cell in np.flatnonzero(chosen.node & (problem.pinned_node == 0)):
        without = chosen.edge & (problem.source != cell) & (problem.target != cell)
        others = chosen.node & (np.arange(problem.n_nodes) != cell)
        assert objective(problem, without, others) >= chosen.objective


@pytest.mark.parametrize("seed", range(3))
def test_the_same_links_are_chosen_in_any_order_of_the_edges(seed):
    problem = crowded_movie(seed)
    shuffled, order = shuffle_edges(problem, seed)
    assert np.array_equal(GreedySolver().solve(shuffled).edge, GreedySolver().solve(problem).edge[order])


def test_greedy_proves_nothing():
    chosen = GreedySolver().solve(crowded_movie(0))
    assert (chosen.lower_bound, chosen.proven, chosen.dual) == (-np.inf, False, None)


# -- by score ---------------------------------------------------------------------------------------------------------


def test_links_of_half_and_more_are_taken_from_the_best_down_at_most_two_from_a_mother():
    r"""0 has three likely daughters, 3 is the third and goes to 1, its next best.

    ::

        0 --(.9)- 2
        |`--(.8)- 4 -(.49)- 1
         `--(.7)- 3 -(.50)- 1
    """
    problem = two_frames([(0, 2, 0), (0, 4, 0), (0, 3, 0), (1, 3, 0), (1, 4, 0)], [0] * 5)
    score = np.array([0.9, 0.8, 0.7, 0.5, 0.49])
    assert links(problem, BestScoreSolver(score).solve(problem)) == [(0, 2), (0, 4), (1, 3)]
    assert links(problem, BestScoreSolver(score, least=0.51).solve(problem)) == [(0, 2), (0, 4)]
    assert links(problem, BestScoreSolver(score, max_children=1).solve(problem)) == [(0, 2), (1, 3)]
    without = replace(problem, pinned_node=np.array([0, 0, -1, 0, 0], dtype=np.int8))
    chosen = BestScoreSolver(score).solve(without)
    assert links(problem, chosen) == [(0, 3), (0, 4)]
    assert chosen.node.tolist() == [True, True, False, True, True]


SCORES = st.integers(0, 8).map(lambda eighth: eighth / 8)


@settings(deadline=None)
@given(st.data(), tracking_problems(), st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from([1, 2]))
def test_by_score_is_what_the_rule_says_word_by_word(data, problem, least, max_children):
    score = np.array(data.draw(st.lists(SCORES, min_size=problem.n_edges, max_size=problem.n_edges)), dtype=np.float64)
    ends = list(zip(problem.source.tolist(), problem.target.tolist(), strict=True))
    parents, children, expected = set(), [], []
    for s, (u, v) in sorted(zip(score.tolist(), ends, strict=True), key=lambda e: (-e[0], e[1])):
        allowed = s >= least and problem.pinned_node[u] >= 0 and problem.pinned_node[v] >= 0
        if allowed and v not in parents and children.count(u) < max_children:
            parents.add(v)
            children.append(u)
            expected.append((u, v))
    solver = BestScoreSolver(score, least=least, max_children=max_children)
    chosen = solver.solve(problem)
    assert links(problem, chosen) == sorted(expected)
    assert objective(problem, chosen.edge, chosen.node) == chosen.objective
    assert (chosen.lower_bound, chosen.proven) == (-np.inf, False)
    shuffled, order = shuffle_edges(problem, seed=5)
    again = BestScoreSolver(score[order], least=least, max_children=max_children).solve(shuffled)
    assert np.array_equal(again.edge, chosen.edge[order])


@settings(deadline=None)
@given(tracking_problems(division=(9, 9), pins=(1,)))
def test_by_cost_is_what_the_rule_says_word_by_word_where_all_is_kept_and_nothing_divides(problem):
    change = problem.edge_cost - problem.appear_cost[problem.target] - problem.disappear_cost[problem.source]
    ends = zip(problem.source.tolist(), problem.target.tolist(), strict=True)
    parents, children, expected = set(), set(), []
    for c, (u, v) in sorted(zip(change.tolist(), ends, strict=True)):
        if c < 0 and u not in children and v not in parents:
            parents.add(v)
            children.add(u)
            expected.append((u, v))
    assert links(problem, GreedySolver().solve(problem)) == sorted(expected)


def test_scores_that_are_no_numbers_or_of_another_problem_are_refused():
    problem = two_frames([(0, 2, 0), (0, 4, 0)], [0] * 5)
    with pytest.raises(SchemaError, match="edge 1 is not a number"):
        BestScoreSolver(np.array([0.5, np.nan]))
    with pytest.raises(SchemaError, match="least score"):
        BestScoreSolver(np.array([0.5]), least=np.nan)
    with pytest.raises(SchemaError, match="wanted 2, got 1"):
        BestScoreSolver(np.array([0.5])).solve(problem)
