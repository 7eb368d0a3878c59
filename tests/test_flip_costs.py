"""Prices of flips against every selection in turn, against fresh solves, and against an open tracking with pins."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from trackdb.errors import InfeasibleError, SchemaError
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.linker import Linker
from trackdb.solvers.posterior.flips import flip_costs
from trackdb.solvers.posterior.gaps import min_marginals
from trackdb.solvers.problem import TrackingProblem
from trackdb.testing.problems import (
    PER_CELL,
    crowded_movie,
    shuffle_edges,
    small_problem,
    with_every_pair,
    with_hypotheses,
)

from .drawn_problems import two_that_may_be_one_another
from .strategies import paired_problems, tracking_problems
from .weighed import flipped_by_trying_all

FAR = 1000.0
"""More than all costs of a small movie, to force a link by its cost."""

CHEAP_DIVISION = {"division": 0.5, "false_cost": 2.0}
GAINFUL_DIVISION = {"division": -5.0, "false_cost": 2.0}


def is_new(problem, selection):
    new = selection.node.copy()
    new[problem.target[selection.edge]] = False
    return new


def cheapest(problem):
    try:
        return IlpSolver().solve(problem).objective
    except InfeasibleError:
        return np.inf


def without(problem, rows):
    """Return the problem without some links."""
    keep = np.setdiff1d(np.arange(problem.n_edges), rows)
    return replace(
        problem,
        source=problem.source[keep],
        target=problem.target[keep],
        edge_cost=problem.edge_cost[keep],
        pairs=None if problem.pairs is None else problem.pairs.among(keep, problem.n_edges),
    )


def with_node(problem, node, value):
    pinned = problem.pinned_node.copy()
    pinned[node] = value
    return replace(problem, pinned_node=pinned)


def with_link(problem, row):
    """Return the least cost with a link forced in, by a cost that nobody would leave."""
    cost = problem.edge_cost.copy()
    cost[row] -= FAR
    pairs = problem.pairs
    if pairs is not None:
        pairs = replace(pairs, cost=pairs.cost - FAR * ((pairs.first == row) | (pairs.second == row)))
    return cheapest(replace(problem, edge_cost=cost, pairs=pairs)) + FAR


def side_by_side(a, b):
    """Return two movies with pairs as one."""
    n, m = a.n_nodes, a.n_edges
    pairs = Pairs(
        np.concatenate([a.pairs.first, b.pairs.first + m]),
        np.concatenate([a.pairs.second, b.pairs.second + m]),
        np.concatenate([a.pairs.cost, b.pairs.cost]),
    )
    rows = {
        name: np.concatenate([getattr(a, name), getattr(b, name)])
        for name in ("frame", "edge_cost", "pinned_node", *PER_CELL)
    }
    ends = {name: np.concatenate([getattr(a, name), getattr(b, name) + n]) for name in ("source", "target")}
    return TrackingProblem(**rows, **ends, pairs=pairs)


def link_flipped_anew(problem, selection, row):
    """Return what a link costs to flip, by solving the whole problem with it flipped."""
    cost = cheapest(without(problem, [row])) if selection.edge[row] else with_link(problem, row)
    return cost - selection.objective


def new_flipped_anew(problem, selection, node):
    into = np.flatnonzero(problem.target == node)
    if not is_new(problem, selection)[node]:
        return cheapest(with_node(without(problem, into), node, 1)) - selection.objective
    parents = [with_link(problem, row) for row in into]
    absent = np.inf if problem.pinned_node[node] == 1 else cheapest(with_node(problem, node, -1))
    return min([*parents, absent]) - selection.objective


def require_between(flips, wanted, rows):
    for place, row in enumerate(rows):
        if np.isinf(wanted[place]):
            assert np.isinf(flips.lower[place]), row
        else:
            assert flips.lower[place] - 1e-9 <= wanted[place] <= flips.upper[place] + 1e-9, row


def require_all_as_tried(problem):
    """Every flip of a small problem costs exactly what trying all selections finds."""
    found = flip_costs(problem)
    selection = found.selection
    known = flipped_by_trying_all(problem)
    states = {"link": selection.edge, "new": is_new(problem, selection), "present": selection.node}
    for name, state in states.items():
        flips, (without_it, with_it) = getattr(found, name), known[name]
        wanted = np.where(state, without_it, with_it) - known["best"]
        assert flips.exact.all(), name
        assert np.array_equal(np.isinf(flips.lower), np.isinf(wanted)), name
        finite = np.isfinite(wanted)
        assert np.allclose(flips.lower[finite], wanted[finite], atol=1e-9), name


@pytest.fixture
def movie():
    return two_that_may_be_one_another()


def test_a_link_taken_out_sends_both_cells_across(movie):
    found = flip_costs(movie)
    assert np.flatnonzero(found.selection.edge).tolist() == [0, 3, 4, 7]
    assert found.link.exact.all()
    assert (found.link.lower == 4).all()  # two links across for two straight on, whichever of the four is flipped
    assert set(found.link.radius.tolist()) == {1}


def test_who_is_none_or_new_takes_along_what_cannot_do_without(movie):
    found = flip_costs(movie)
    assert found.present.exact.all()
    assert found.new.exact.all()
    assert found.present.lower[2] == 2 * 3 + 3 * 1  # two links; cells 0 and 4 alone are better left out
    assert found.new.lower[2] == 3 + 1 + 4  # the link and cell 0 are gone, and cell 2 appears
    assert np.isinf(flip_costs(replace(movie, pinned_node=np.ones(6, dtype=np.int8))).present.lower).all()


@given(tracking_problems())
@settings(max_examples=100, deadline=None)
def test_every_flip_of_a_small_problem_costs_what_trying_all_finds(problem):
    require_all_as_tried(problem)


@given(paired_problems(max_edges=9))
@settings(max_examples=40, deadline=None)
def test_with_pairs_too(problem):
    require_all_as_tried(problem)


@pytest.mark.parametrize("options", [{}, CHEAP_DIVISION, GAINFUL_DIVISION, {"skip": True}])
def test_random_flips_of_a_movie_cost_what_fresh_solves_cost(options):
    problem, _ = shuffle_edges(crowded_movie(1, n_frames=6, per_frame=12, **options), 1)
    rng = np.random.default_rng(0)
    links = rng.choice(problem.n_edges, 30, replace=False)
    cells = rng.choice(problem.n_nodes, 15, replace=False)
    found = flip_costs(problem, links=links, cells=cells)
    selection = found.selection
    assert np.mean(found.link.exact) > 0.95
    require_between(found.link, [link_flipped_anew(problem, selection, e) for e in links], links)
    require_between(found.new, [new_flipped_anew(problem, selection, v) for v in cells], cells)
    wanted = [cheapest(with_node(problem, v, -1 if selection.node[v] else 1)) - selection.objective for v in cells]
    require_between(found.present, wanted, cells)


def test_two_hundred_flips_cost_what_an_open_tracking_finds():
    problem = crowded_movie(3, n_frames=20, per_frame=25)
    found = flip_costs(problem)
    linker = Linker(problem)
    best = linker.objective
    rng = np.random.default_rng(0)
    taken = rng.choice(np.flatnonzero(found.selection.edge), 100, replace=False)
    cells = rng.choice(problem.n_nodes, 100, replace=False)
    for e in taken:
        linker.pin_link(e, -1)
        assert found.link.lower[e] == pytest.approx(linker.objective - best, abs=1e-9)
        assert found.link.exact[e]
        linker.pin_link(e, 0)
    for v in cells:
        linker.pin_cell(v, -1 if found.selection.node[v] else 1)
        assert found.present.lower[v] == pytest.approx(linker.objective - best, abs=1e-9)
        assert found.present.exact[v]
        linker.pin_cell(v, 0)


def test_all_that_a_flip_moves_lies_within_its_radius():
    problem = crowded_movie(2, n_frames=8, per_frame=12)
    found = flip_costs(problem)
    assert found.link.radius.max() > 1
    farthest = np.argsort(-found.link.radius)[:20]
    for e in farthest:
        inside = np.zeros(problem.n_nodes, dtype=bool)
        inside[[problem.source[e], problem.target[e]]] = True
        for _ in range(found.link.radius[e]):
            wider = inside.copy()
            wider[problem.target[inside[problem.source]]] = True
            wider[problem.source[inside[problem.target]]] = True
            inside = wider
        frozen = ~(inside[problem.source] & inside[problem.target]) & ~found.selection.edge
        rest = without(problem, np.flatnonzero(frozen))
        row = int(np.flatnonzero((rest.source == problem.source[e]) & (rest.target == problem.target[e]))[0])
        kept = np.delete(found.selection.edge, np.flatnonzero(frozen))
        flipped = cheapest(without(rest, [row])) if kept[row] else with_link(rest, row)
        assert flipped - found.selection.objective == pytest.approx(found.link.upper[e], abs=1e-9)


def test_pairs_that_add_up_cost_what_divisions_cost():
    problem = crowded_movie(4, n_frames=4, per_frame=8)
    links = np.arange(0, problem.n_edges, 5)
    plain = flip_costs(problem, links=links)
    paired = flip_costs(with_every_pair(problem, 0, spread=0.0), links=links)
    both = paired.link.exact
    assert both.mean() > 0.95
    assert np.allclose(plain.link.lower[both], paired.link.lower[both], atol=3e-6)  # a pair rounds a sum, not each term


@pytest.mark.parametrize("skip", [False, True])
def test_where_nothing_is_tied_the_min_marginals_of_parent_maps_are_the_same(skip):
    problem = crowded_movie(6, n_frames=10, per_frame=20, skip=skip)
    problem = replace(problem, pinned_node=np.ones(problem.n_nodes, dtype=np.int8))
    found, known = flip_costs(problem), min_marginals(problem)
    assert found.link.exact.all()
    assert found.new.exact.all()
    assert np.allclose(found.link.lower, known.link, atol=1e-9)
    assert np.allclose(found.new.lower, known.new, atol=1e-9)


def test_a_ball_that_may_not_grow_tells_an_interval_that_holds_the_price():
    problem = with_every_pair(crowded_movie(0, n_frames=6, per_frame=15, division=1.0), 0)
    links = np.arange(0, problem.n_edges, 11)
    near, far = (flip_costs(problem, links=links, cells=links[:0], most_hops=hops) for hops in (1, 6))
    assert not near.link.exact.all()
    assert near.link.exact.mean() < far.link.exact.mean()
    assert (near.link.lower <= far.link.lower + 1e-9).all()
    assert (near.link.upper >= far.link.upper - 1e-9).all()
    assert (near.link.radius <= 1).all()
    rows = np.flatnonzero(near.link.lower < near.link.upper)[:10]
    wanted = [link_flipped_anew(problem, near.selection, e) for e in links[rows]]
    assert (near.link.lower[rows] <= np.array(wanted) + 1e-9).all()
    assert (near.link.upper[rows] >= np.array(wanted) - 1e-9).all()


def test_where_the_bound_of_the_prices_is_short_other_places_are_exact_all_the_same():
    gap = with_every_pair(
        crowded_movie(9, n_frames=8, per_frame=10, **CHEAP_DIVISION), 9
    )  # its relaxation takes halves
    other = with_every_pair(crowded_movie(0, n_frames=3, per_frame=8, **CHEAP_DIVISION), 0)
    links = np.arange(0, other.n_edges, 6)
    alone = flip_costs(other, links=links, cells=links[:0]).link
    beside = flip_costs(side_by_side(gap, other), links=gap.n_edges + links, cells=links[:0]).link
    assert alone.exact.all()
    assert beside.exact.all()
    assert np.allclose(alone.lower, beside.lower, atol=1e-9)


@pytest.mark.parametrize("seed", [22, 23])
def test_a_cell_that_gains_by_a_second_child_alone_is_no_detour(seed):
    require_all_as_tried(small_problem(seed, 3, 3))  # the matching lets it, the best selection does not


def test_some_flips_cost_what_they_cost_among_all(movie):
    all_of_them, some = flip_costs(movie), flip_costs(movie, links=np.array([5, 2]), cells=np.array([4]))
    assert some.link.lower.tolist() == all_of_them.link.lower[[5, 2]].tolist()
    assert some.new.upper.tolist() == all_of_them.new.upper[[4]].tolist()
    assert len(some.present) == 1


def test_links_of_forbidden_cells_cannot_be_forced(movie):
    found = flip_costs(with_node(movie, 2, -1))
    assert np.isinf(found.link.lower[[0, 2, 4, 5]]).all()
    assert found.link.exact.all()
    assert np.isinf(found.new.lower[2])
    assert np.isinf(found.present.lower[2])


def test_what_cannot_be_priced_is_refused(movie):
    with pytest.raises(SchemaError, match="exclude"):
        flip_costs(with_hypotheses(crowded_movie(0, n_frames=3, per_frame=6), 0))
    with pytest.raises(SchemaError, match=r"links name rows 3 \.\. 8, expected 0 \.\. 7"):
        flip_costs(movie, links=np.array([3, 8]))
    with pytest.raises(SchemaError, match=r"cells name rows -1 \.\. 2, expected 0 \.\. 5"):
        flip_costs(movie, cells=np.array([-1, 2]))


def test_a_movie_of_nothing_has_no_flips():
    found = flip_costs(crowded_movie(0, n_frames=0))
    assert len(found.link) == len(found.new) == len(found.present) == 0
