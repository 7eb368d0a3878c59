"""Divisions priced as pairs: drawn, against every selection in turn, and against HiGHS."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers import packing
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.greedy import GreedySolver
from trackdb.solvers.highs import HighsSolver
from trackdb.solvers.ilp import IlpSolver, dual_bound
from trackdb.solvers.options import build_options
from trackdb.solvers.problem import GridProblem, TrackingProblem, objective, on_grid
from trackdb.testing.problems import crowded_movie, shuffle_edges, with_every_pair
from trackdb.testing.solver_contract import LAWS

from .oracles import cheapest_by_trying_all
from .strategies import paired_problems

ALL_KEPT = {"pins": (1,)}


def two_frames(n_mothers, n_daughters, links, pairs):
    """Return mothers, daughters, their links (mother, daughter, cost) and pairs (link, link, cost); all are kept."""
    n = n_mothers + n_daughters
    source, target, cost = zip(*links, strict=True)
    first, second, together = zip(*pairs, strict=True) if pairs else ((), (), ())
    return TrackingProblem(
        frame=np.repeat([0, 1], [n_mothers, n_daughters]),
        source=np.array(source),
        target=n_mothers + np.array(target),
        edge_cost=np.array(cost, dtype=float),
        node_cost=np.zeros(n),
        appear_cost=np.repeat([0.0, 4.0], [n_mothers, n_daughters]),
        disappear_cost=np.repeat([4.0, 0.0], [n_mothers, n_daughters]),
        division_cost=np.full(n, -100.0),  # what no problem with pairs reads
        pinned_node=np.ones(n, dtype=np.int8),
        pairs=Pairs(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64), np.array(together, dtype=float)),
    )


def test_daughters_on_both_sides_are_a_division_though_each_link_is_far():
    r"""::

    0 --,-- 2    each link costs 3, both together 1
         `- 3
    1 ----- 4    a link that costs 0
    """
    movie = two_frames(2, 3, [(0, 0, 3), (0, 1, 3), (1, 2, 0)], [(0, 1, 1)])
    chosen = IlpSolver().solve(movie)
    assert chosen.edge.tolist() == [True, True, True]
    assert chosen.objective == chosen.lower_bound == 1


def test_what_is_no_pair_is_no_division_and_an_only_child_pays_its_own_link():
    movie = two_frames(1, 3, [(0, 0, -9), (0, 1, -9), (0, 2, -1)], [(0, 2, -4)])
    chosen = IlpSolver().solve(movie)
    assert chosen.edge.sum() == 1
    assert chosen.objective == -9 + 8  # two daughters appear; the pair would cost -4 + 4
    cheaper = replace(movie, pairs=replace(movie.pairs, cost=np.array([-6.0])))
    assert IlpSolver().solve(cheaper).edge.tolist() == [True, False, True]


def test_three_mothers_that_fight_for_three_daughters_are_settled_though_halves_would_be_cheaper():
    r"""Each mother wants another two of the three daughters: one of them gets two, and nobody halves."""
    links = [(mother, daughter, 3.5) for mother in range(3) for daughter in range(3) if daughter != mother]
    movie = two_frames(3, 3, links, [(0, 1, -6), (2, 3, -6), (4, 5, -6)])
    chosen = IlpSolver().solve(movie)
    assert chosen.objective == cheapest_by_trying_all(movie)
    assert chosen.proven
    assert dual_bound(movie, chosen.dual) < chosen.objective  # prices alone count the halves


@settings(deadline=None, max_examples=300)
@given(paired_problems())
def test_no_selection_is_cheaper(problem):
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None, max_examples=100)
@given(paired_problems(**ALL_KEPT))
def test_no_selection_is_cheaper_where_all_is_kept(problem):
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None, max_examples=100)
@given(paired_problems())
def test_a_pair_that_costs_as_much_as_one_link_and_an_appearance_is_not_listed_and_not_missed(problem):
    appear, link, pairs = problem.appear_cost, problem.edge_cost, problem.pairs
    one, other = problem.target[pairs.first], problem.target[pairs.second]
    alone = np.minimum(link[pairs.first] + appear[other], link[pairs.second] + appear[one])
    needed = on_grid(pairs.cost) < on_grid(alone)
    lean = replace(problem, pairs=Pairs(pairs.first[needed], pairs.second[needed], pairs.cost[needed]))
    listed, lean_listed = (build_options(GridProblem.of(p), p.pairs) for p in (problem, lean))
    assert np.array_equal(listed.weight, lean_listed.weight)
    assert HighsSolver().solve(lean).objective == cheapest_by_trying_all(problem)


@settings(deadline=None, max_examples=60)
@given(paired_problems())
def test_highs_finds_no_cheaper_one_either(problem):
    assert HighsSolver().solve(problem).objective == cheapest_by_trying_all(problem)


@settings(deadline=None, max_examples=60)
@given(paired_problems())
def test_prices_bound_every_selection(problem):
    chosen = IlpSolver().solve(problem)
    for shift in (0, 0.75, -0.75):
        assert dual_bound(problem, chosen.dual + shift) <= chosen.objective


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("solver", [IlpSolver, HighsSolver, GreedySolver])
@settings(deadline=None, max_examples=15)
@given(problem=paired_problems())
def test_the_contract_holds_with_pairs(solver, law, problem):
    law(solver(), problem)


@pytest.mark.parametrize("seed", range(8))
def test_crowded_movies_agree_with_highs(seed):
    problem = with_every_pair(crowded_movie(seed, skip=seed % 2 == 1), seed, bonus=seed % 4)
    if seed % 3 == 0:
        problem = replace(problem, pinned_node=np.ones_like(problem.pinned_node))
    ours, theirs = IlpSolver().solve(problem), HighsSolver(time_limit_s=60).solve(problem)
    assert ours.objective == theirs.objective
    assert ours.proven


def test_pairs_that_cost_what_their_links_and_a_division_cost_change_nothing():
    plain = crowded_movie(seed=4, n_frames=12, per_frame=30, skip=True, division=0.5, false_cost=2.0)
    paired = with_every_pair(plain, seed=0, bonus=3.5, spread=0.0)
    assert IlpSolver().solve(paired).objective == IlpSolver().solve(plain).objective


def test_the_order_of_edges_does_not_matter():
    problem = with_every_pair(crowded_movie(seed=8, n_frames=10, skip=True), seed=8, bonus=2)
    chosen = IlpSolver().solve(problem)
    shuffled, order = shuffle_edges(problem, seed=1)
    turned = Pairs(shuffled.pairs.second, shuffled.pairs.first, shuffled.pairs.cost)
    again = IlpSolver().solve(replace(shuffled, pairs=turned))
    assert np.array_equal(again.edge, chosen.edge[order])
    assert again.objective == chosen.objective


@pytest.mark.parametrize("most_options", [1, 12, 40])
def test_a_cluster_too_large_leaves_an_honest_gap(monkeypatch, most_options):
    problem = with_every_pair(crowded_movie(seed=3, n_frames=6, per_frame=16), seed=3, bonus=3)
    optimum = IlpSolver().solve(problem).objective
    monkeypatch.setattr(packing, "MOST_OPTIONS", most_options)
    monkeypatch.setattr(packing, "HOPELESS", most_options)
    hurried = IlpSolver().solve(problem)
    assert hurried.lower_bound <= optimum <= hurried.objective
    assert most_options > 1 or not hurried.proven


@pytest.mark.parametrize("solver", [IlpSolver, HighsSolver])
def test_without_time_a_feasible_selection_and_an_honest_gap_come_back(solver):
    problem = with_every_pair(crowded_movie(seed=3, skip=True), seed=3, bonus=3)
    optimum = IlpSolver().solve(problem).objective
    hurried = solver(time_limit_s=0.0).solve(problem)
    assert hurried.lower_bound < optimum < hurried.objective
    assert not hurried.proven


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [
        (([0], [1], [np.nan]), "must be finite"),
        (([0], [0], [1.0]), "pair 0 ties edges 0 and 0, not of one mother"),
        (([0], [2], [1.0]), "pair 0 ties edges 0 and 2, not of one mother"),
        (([0], [9], [1.0]), r"name edges 0 \.\. 9, expected 0 \.\. 2"),
        (([0, 1], [1, 0], [1.0, 2.0]), "stands twice"),
        (([0], [1], [1]), r"pairs.cost must be \(1,\) float64"),
        (([0, 0], [1], [1.0]), r"pairs.first must be \(1,\) int64|pairs.second must be \(2,\) int64"),
        (([0], [1], [1e10]), "the costs add up to"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(pairs, complaint):
    movie = two_frames(2, 3, [(0, 0, 3), (0, 1, 3), (1, 2, 0)], [])
    with pytest.raises(SchemaError, match=complaint):
        replace(movie, pairs=Pairs(*map(np.array, pairs)))


def test_a_division_into_no_pair_has_no_price():
    movie = two_frames(1, 2, [(0, 0, 0), (0, 1, 0)], [])
    with pytest.raises(InfeasibleError, match="edges 0 and 1 divide a cell, but are no pair"):
        objective(movie, np.ones(2, dtype=bool), np.ones(3, dtype=bool))
