"""Detections that exclude each other: drawn, against every selection in turn, and against HiGHS."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers import packing
from trackdb.solvers.conflicts import Cliques, Conflicts
from trackdb.solvers.greedy import BestScoreSolver, GreedySolver
from trackdb.solvers.highs import HighsSolver
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.lap import JaqamanSolver, LapSolver
from trackdb.solvers.linker import Linker
from trackdb.solvers.motile_bridge import MotileSolver
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.testing.problems import crowded_movie, with_every_pair, with_hypotheses
from trackdb.testing.solver_contract import LAWS

from .oracles import cheapest_by_trying_all
from .strategies import exclusive_problems, paired_problems, tracking_problems

FREE = tracking_problems(max_nodes=6, max_edges=8, pins=(0,))


@pytest.fixture
def movie():
    r"""One cell in three frames; in the middle its outline was drawn three times, whole (1) and as two halves (2, 3).

    ::

        0 --- 1 --- 4      1 excludes 2 and 3
          `-- 2 --'
           `- 3
    """
    n = 5
    return TrackingProblem(
        frame=np.array([0, 1, 1, 1, 2]),
        source=np.array([0, 0, 0, 1, 2]),
        target=np.array([1, 2, 3, 4, 4]),
        edge_cost=np.array([-3.0, -1, -1, -3, -1]),
        node_cost=np.array([-1.0, -1, -1.5, -1, -1]),
        appear_cost=np.array([0.0, 4, 4, 4, 4]),
        disappear_cost=np.array([4.0, 4, 4, 4, 0]),
        division_cost=np.full(n, 5.0),
        pinned_node=np.zeros(n, dtype=np.int8),
        conflicts=Conflicts(np.array([1, 3]), np.array([2, 1])),
    )


def test_the_whole_cell_is_taken_and_its_halves_are_not(movie):
    chosen = IlpSolver().solve(movie)
    assert chosen.node.tolist() == [True, True, False, False, True]
    assert chosen.edge.tolist() == [True, False, False, True, False]
    assert chosen.objective == chosen.lower_bound == -3 - 3 - 3


def test_what_is_kept_rules_out_what_it_excludes(movie):
    kept = replace(movie, pinned_node=np.array([0, 0, 0, 1, 0], dtype=np.int8))
    chosen = IlpSolver().solve(kept)
    assert chosen.node[[1, 3]].tolist() == [False, True]
    assert chosen.objective == chosen.lower_bound == cheapest_by_trying_all(kept)


@settings(deadline=None, max_examples=200)
@given(exclusive_problems(FREE))
def test_no_selection_is_cheaper(problem):
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None, max_examples=80)
@given(exclusive_problems(tracking_problems(max_nodes=6, max_edges=8)))
def test_no_selection_that_honours_the_pins_is_cheaper(problem):
    kept = problem.pinned_node == 1
    assume(not (kept[problem.conflicts.first] & kept[problem.conflicts.second]).any())
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None, max_examples=80)
@given(exclusive_problems(paired_problems(max_nodes=6, max_edges=8, pins=(0,))))
def test_no_selection_is_cheaper_where_daughters_are_priced_in_pairs(problem):
    chosen = IlpSolver().solve(problem)
    assert chosen.objective == cheapest_by_trying_all(problem)
    assert chosen.proven


@settings(deadline=None, max_examples=60)
@given(exclusive_problems(FREE))
def test_highs_and_motile_find_no_cheaper_one_either_and_greedy_none_that_excludes_itself(problem):
    best = cheapest_by_trying_all(problem)
    assert HighsSolver().solve(problem).objective == best
    assert MotileSolver().solve(problem).objective == best
    assert GreedySolver().solve(problem).objective >= best


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("solver", [IlpSolver, HighsSolver, GreedySolver])
@settings(deadline=None, max_examples=10)
@given(problem=exclusive_problems(FREE))
def test_the_contract_holds_where_detections_exclude_each_other(solver, law, problem):
    if law.__name__ != "kept_detections_are_kept":  # it keeps all, which exclude each other
        law(solver(), problem)


@pytest.mark.parametrize("seed", range(6))
def test_crowded_movies_agree_with_highs(seed):
    problem = with_hypotheses(crowded_movie(seed, skip=seed % 2 == 1), seed)
    if seed % 3 == 0:
        problem = with_every_pair(problem, seed, bonus=2)
    ours, theirs = IlpSolver().solve(problem), HighsSolver(time_limit_s=60).solve(problem)
    assert ours.objective == theirs.objective
    assert ours.proven


@pytest.mark.parametrize("most_options", [1, 30])
def test_a_cluster_too_large_leaves_an_honest_gap(monkeypatch, most_options):
    problem = with_hypotheses(crowded_movie(seed=3, n_frames=6, per_frame=16), seed=3)
    optimum = IlpSolver().solve(problem).objective
    monkeypatch.setattr(packing, "MOST_OPTIONS", most_options)
    monkeypatch.setattr(packing, "HOPELESS", most_options)
    hurried = IlpSolver().solve(problem)
    assert hurried.lower_bound <= optimum <= hurried.objective


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1]), max_size=25))
def test_cliques_cover_every_conflict_and_nothing_else(pairs):
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T.copy()
    cliques = Cliques.covering(Conflicts(first, second), 10)
    covered = set()
    for begin, end in zip(cliques.indptr[:-1], cliques.indptr[1:], strict=True):
        group = cliques.member[begin:end].tolist()
        assert len(set(group)) == len(group) >= 2
        covered |= {frozenset((a, b)) for a in group for b in group if a != b}
    assert covered == {frozenset(pair) for pair in pairs}


def test_five_that_all_exclude_each_other_are_one_group():
    first, second = np.triu_indices(5, 1)
    cliques = Cliques.covering(Conflicts(first.astype(np.int64), second.astype(np.int64)), 5)
    assert sorted(cliques.member.tolist()) == list(range(5))
    assert cliques.least_out.tolist() == [4]


@pytest.mark.parametrize(
    ("conflicts", "complaint"),
    [
        (([0], [9]), r"conflicts name detections 0 \.\. 9, expected 0 \.\. 4"),
        (([2], [2]), "detection 2 excludes itself"),
        (([0.5], [1.0]), r"conflicts.first must be \(1,\) int64"),
    ],
)
def test_conflicts_that_make_no_sense_are_refused(movie, conflicts, complaint):
    with pytest.raises(SchemaError, match=complaint):
        replace(movie, conflicts=Conflicts(*map(np.array, conflicts)))


def test_two_kept_detections_that_exclude_each_other_are_refused_by_name(movie):
    torn = replace(movie, pinned_node=np.array([0, 1, 1, 0, 0], dtype=np.int8))
    for solver in (IlpSolver(), HighsSolver(), GreedySolver(), MotileSolver()):
        with pytest.raises(InfeasibleError, match="detections 1 and 2 exclude each other"):
            solver.solve(torn)
    with pytest.raises(InfeasibleError, match="detections 1 and 2 exclude each other"):
        objective(movie, np.zeros(5, dtype=bool), np.ones(5, dtype=bool))


def test_what_does_not_know_of_exclusion_says_so(movie):
    for solver in (LapSolver(), JaqamanSolver(np.zeros(5)), BestScoreSolver(np.ones(5))):
        with pytest.raises(SchemaError, match=r"does not know of detections .* use: ilp, highs, motile or greedy"):
            solver.solve(movie)
    with pytest.raises(SchemaError, match="does not know of detections that exclude each other"):
        Linker(movie)
