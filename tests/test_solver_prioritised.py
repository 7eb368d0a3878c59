"""The linker by activity: who chooses first, who waits, and how what is left over is shared out."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import SchemaError
from trackdb.solvers.prioritised import PrioritisedSolver
from trackdb.solvers.problem import FORBIDDEN, TrackingProblem, objective
from trackdb.testing.problems import shuffle_edges


def problem_of(frame, edges):
    """Return a problem of some links, all costs 1 or 0."""
    n = len(frame)
    return TrackingProblem(
        frame=np.array(frame),
        source=np.array([s for s, _ in edges], dtype=np.int64),
        target=np.array([t for _, t in edges], dtype=np.int64),
        edge_cost=np.ones(len(edges)),
        node_cost=np.zeros(n),
        appear_cost=np.ones(n),
        disappear_cost=np.ones(n),
        division_cost=np.zeros(n),
        pinned_node=np.zeros(n, dtype=np.int8),
    )


def links(problem, chosen):
    return sorted(zip(problem.source[chosen.edge].tolist(), problem.target[chosen.edge].tolist(), strict=True))


@pytest.fixture
def drawn():
    r"""Mothers 0 to 3 with activities 3, 1, 2, 4, all of area 10, and daughters 4 to 8; on the links, likelihoods.

    ::

        0 (3) --.9-- 4 (area 10)      1 chooses first, and takes 4 from 0, though 0 would be likelier
        0 (3) --.5-- 5 (4)            2 comes next: 6 is its best and too small, so 2 waits
        1 (1) --.6-- 4                0 finds 4 gone; its next is 5, too small: 0 waits, too
        2 (2) --.8-- 6 (5)            3 has nothing likelier than .01, and ends
        2 (2) --.7-- 5                0 and 2 share 5, 6 and 7: 2 takes 6 and 7, for .8 + .3, and 0 takes 5, for .5;
        2 (2) --.3-- 7 (3)            2 with 6 and 5 would leave 0 nothing: 1.5 in the place of 1.6
        3 (4) -.005- 8 (10)           8 begins
    """
    edges = [(0, 4), (0, 5), (1, 4), (2, 6), (2, 5), (2, 7), (3, 8)]
    likelihood = np.array([0.9, 0.5, 0.6, 0.8, 0.7, 0.3, 0.005])
    activity = np.array([3.0, 1.0, 2.0, 4.0])
    problem = problem_of([0] * 4 + [1] * 5, edges)
    area = np.array([10.0, 10, 10, 10, 10, 4, 5, 3, 10])
    return problem, PrioritisedSolver(likelihood, activity[problem.source], area)


def test_the_drawn_cells_by_hand(drawn):
    problem, solver = drawn
    chosen = solver.solve(problem)
    assert links(problem, chosen) == [(0, 5), (1, 4), (2, 6), (2, 7)]
    assert chosen.node.all()
    assert chosen.objective == objective(problem, chosen.edge, chosen.node)
    assert (chosen.lower_bound, chosen.proven) == (-np.inf, False)


def test_who_is_less_active_comes_first(drawn):
    problem, solver = drawn
    other = replace(solver, activity=np.array([0.5, 1.0, 2.0, 4.0])[problem.source])
    assert links(problem, other.solve(problem)) == [(0, 4), (2, 5), (2, 6)]  # 1 has no other daughter, and ends


def test_a_daughter_of_more_than_nine_tenths_is_the_cell_itself_and_comes_before_likelier_mothers():
    problem = problem_of([0, 0, 1], [(0, 2), (1, 2)])
    solver = PrioritisedSolver(np.array([0.4, 0.5]), np.array([1.0, 2.0]), np.array([10.0, 10, 9.01]))
    assert links(problem, solver.solve(problem)) == [(0, 2)]
    both_wait = replace(solver, area=np.array([10.0, 10, 9.0]))
    assert links(problem, both_wait.solve(problem)) == [(1, 2)]


def test_links_that_skip_frames_and_forbidden_cells_are_left_aside(drawn):
    problem, solver = drawn
    later = replace(problem, frame=np.array([0] * 4 + [2] * 5))
    assert not solver.solve(later).edge.any()
    pinned = problem.pinned_node.copy()
    pinned[1] = FORBIDDEN
    chosen = solver.solve(replace(problem, pinned_node=pinned))
    assert links(problem, chosen) == [(0, 4), (2, 5), (2, 6)]
    assert not chosen.node[1]


def test_numbers_that_do_not_fit_are_refused(drawn):
    problem, solver = drawn
    for wrong, why in (
        ({"likelihood": np.array([np.nan] * 7)}, "likelihood 0 is not a number"),
        ({"likelihood": np.full(7, 1.5)}, r"likelihoods lie in 0 .. 1, got 1.5 .. 1.5"),
        ({"area": np.full(9, np.nan)}, "area 0 is not a number"),
        ({"least": np.nan}, "a threshold is not a number"),
    ):
        with pytest.raises(SchemaError, match=why):
            replace(solver, **wrong)
    with pytest.raises(SchemaError, match="wanted 9 numbers as area, got 8"):
        replace(solver, area=solver.area[:8]).solve(problem)


def by_hand(problem, solver):
    """Follow the description cell by cell, and try every sharing out of what is left."""
    edge_of = {(s, t): e for e, (s, t) in enumerate(zip(problem.source.tolist(), problem.target.tolist(), strict=True))}
    frame = problem.frame.tolist()
    taken = set()
    for now in sorted(set(frame)):
        mothers = {s: solver.activity[e] for (s, _), e in edge_of.items() if frame[s] == now}
        free = {t for t in range(len(frame)) if frame[t] == now + 1}
        waiting = []
        for mother in sorted(mothers, key=lambda s: (mothers[s], s)):
            likely = {t: solver.likelihood[edge_of[mother, t]] for t in free if (mother, t) in edge_of}
            likely = {t: p for t, p in likely.items() if p > solver.least}
            if not likely:
                continue
            best = min(likely, key=lambda t: (-likely[t], t))
            if solver.kept_area * solver.area[mother] < solver.area[best]:
                taken.add((mother, best))
                free.remove(best)
            else:
                waiting.append(mother)
        rest = sorted(free)
        most, found = -1.0, set()
        for mother_of in product([None, *waiting], repeat=len(rest)):
            pairs = {(m, t) for m, t in zip(mother_of, rest, strict=True) if m is not None}
            if any(e not in edge_of or solver.likelihood[edge_of[e]] <= solver.least for e in pairs):
                continue
            if any(sum(m == mother for m, _ in pairs) > 2 for mother in waiting):
                continue
            worth = sum(solver.likelihood[edge_of[e]] for e in pairs)
            if worth > most + 1e-9:
                most, found = worth, pairs
        taken |= found
    return sorted(taken)


@st.composite
def movies(draw):
    frame = [0] * draw(st.integers(1, 4)) + [1] * draw(st.integers(0, 4)) + [2] * draw(st.integers(0, 3))
    ends = [(s, t) for s in range(len(frame)) for t in range(len(frame)) if frame[t] == frame[s] + 1]
    edges = [e for e in ends if draw(st.booleans())]
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    problem = problem_of(frame, edges)
    activity = rng.random(len(frame))
    likelihood = rng.random(len(edges)).round(6)  # sums of which no two are equal
    area = rng.uniform(5, 10, len(frame))
    return problem, PrioritisedSolver(likelihood, activity[problem.source], area, least=0.2)


@settings(max_examples=150)
@given(movies(), st.integers(0, 2**16))
def test_it_does_what_is_described_in_any_order_of_the_edges(made, seed):
    problem, solver = made
    expected = by_hand(problem, solver)
    assert links(problem, solver.solve(problem)) == expected
    again, order = shuffle_edges(problem, seed)
    shuffled = replace(solver, likelihood=solver.likelihood[order], activity=solver.activity[order])
    assert links(again, shuffled.solve(again)) == expected
