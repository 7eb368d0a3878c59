"""Lists of the cheapest lineages: every choice of parents in order as oracle, the whole frame against its pieces."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.errors import ConfigError, SchemaError
from trackdb.solvers.posterior.assignment import AssignmentProblem
from trackdb.solvers.posterior.by_component import best_by_component
from trackdb.solvers.posterior.gaps import gaps_of
from trackdb.solvers.posterior.murty import cheapest_of
from trackdb.solvers.posterior.parents import cheapest_parents
from trackdb.solvers.posterior.product import best_assignments
from trackdb.solvers.posterior.residual import FAR
from trackdb.solvers.posterior.undecided import undecided, undecided_within
from trackdb.solvers.problem import SCALE, TrackingProblem
from trackdb.testing.problems import crowded_movie

from .parent_maps import every_map, kept_problem


def in_millionths(cost):
    return np.rint(cost * SCALE).astype(np.int64)


def priced(problem, parent):
    """Return what a lineage costs, in millionths."""
    children = np.bincount(problem.source[parent[parent >= 0]], minlength=problem.n_nodes)
    assert children.max(initial=0) <= 2
    assert (problem.target[parent[parent >= 0]] == np.flatnonzero(parent >= 0)).all()
    cost = in_millionths(problem.edge_cost)[parent[parent >= 0]].sum() + in_millionths(problem.node_cost).sum()
    cost += (
        in_millionths(problem.appear_cost)[parent < 0].sum()
        + in_millionths(problem.disappear_cost)[children == 0].sum()
    )
    return cost + in_millionths(problem.division_cost)[children == 2].sum()


def whole_list(problem, k):
    """Return costs and lineages of the whole problem as one piece."""
    assignment = AssignmentProblem.of(problem)
    best = cheapest_parents(assignment)
    pieces = undecided(assignment, best, gaps_of(assignment, best))
    if not len(pieces):
        return np.zeros(1, dtype=np.int64), [assignment.links(best.option)]
    cost, answers = cheapest_of(pieces.compact, 0, k, FAR)
    lineages = []
    for answer in answers:
        option = best.option.copy()
        option[pieces.daughters_of(0)] = pieces.options_of(0, answer)
        lineages.append(assignment.links(option))
    return cost, lineages


def crowd(seed, **options):
    problem = crowded_movie(seed, **options)
    return replace(problem, pinned_node=np.ones(problem.n_nodes, dtype=np.int8))


def weighed(problem, temperature=1.0, k=None):
    """Return the probabilities of links, beginnings and outcomes from all lineages, or the k cheapest."""
    parent, cost = every_map(problem)
    parent, cost = parent[:k], cost[:k]
    weight = np.exp(-(cost - cost[0]) / SCALE / temperature)
    weight /= weight.sum()
    link = np.array([weight[(parent == e).any(axis=1)].sum() for e in range(problem.n_edges)])
    outcomes = [{} for _ in range(problem.n_nodes)]
    for row, w in zip(parent, weight, strict=True):
        for v, of in enumerate(outcomes):
            pair = tuple([*sorted(e for e in row.tolist() if e >= 0 and problem.source[e] == v), -1, -1][:2])
            of[pair] = of.get(pair, 0.0) + w
    return link, weight @ (parent < 0), outcomes


def same_outcomes(found, wanted):
    for v, of in enumerate(wanted):
        rows = range(found.first[v], found.first[v + 1])
        got = {(int(found.a[o]), int(found.b[o])): found.probability[o] for o in rows}
        likely = {pair: w for pair, w in of.items() if w >= 2e-6}
        assert likely.keys() <= got.keys() <= of.keys()
        assert all(got[pair] == pytest.approx(w, abs=2e-5) for pair, w in likely.items())


@pytest.mark.parametrize("seed", range(220))
def test_all_lineages_come_in_order_and_once(seed):
    """Whole, and by pieces; also when more are asked for than there are."""
    problem = kept_problem(seed, most=400)
    parent, cost = every_map(problem)
    one_more, lineages = whole_list(problem, len(cost) + 1)
    assert one_more.tolist() == (cost - cost[0]).tolist()
    assert len({tuple(row) for row in lineages}) == len(cost)
    assert [priced(problem, row) for row in lineages] == cost.tolist()

    found = best_assignments(problem, len(cost) + 5)
    assert found.complete
    assert found.objective == cost[0] / SCALE
    assert in_millionths(found.cost).tolist() == (cost - cost[0]).tolist()
    lineages = [found.parents(i) for i in range(len(found))]
    assert {tuple(row) for row in lineages} == {tuple(row) for row in parent}
    assert [priced(problem, row) for row in lineages] == cost.tolist()


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_a_short_list_is_the_beginning_of_the_long_one(seed, k):
    problem = kept_problem(seed, most=400)
    _, cost = every_map(problem)
    found = best_assignments(problem, k)
    assert in_millionths(found.cost).tolist() == (cost - cost[0])[:k].tolist()
    assert found.complete == (k >= len(cost))
    assert len({tuple(found.parents(i)) for i in range(len(found))}) == len(found)
    listed, _ = whole_list(problem, k)
    assert listed.tolist() == (cost - cost[0])[:k].tolist()


@pytest.mark.parametrize(("seed", "skip", "division"), [(0, False, 4.0), (1, True, 1.0), (2, False, 0.0)])
def test_pieces_and_the_whole_movie_give_the_same_list(seed, skip, division):
    problem = crowd(seed, n_frames=4, per_frame=40, skip=skip, division=division)
    k = 700
    found = best_assignments(problem, k)
    cost, lineages = whole_list(problem, k)
    assert len(found.pieces) > 1
    assert in_millionths(found.cost).tolist() == cost.tolist()
    own = [found.parents(i) for i in range(k)]
    objective = round(found.objective * SCALE)
    assert [priced(problem, row) - objective for row in own] == cost.tolist()
    assert len({tuple(row) for row in own}) == len({tuple(row) for row in lineages}) == k
    below = np.flatnonzero(cost < cost[-1])  # ties of the last one may fall either way
    assert {tuple(own[i]) for i in below} == {tuple(lineages[i]) for i in below}


@pytest.mark.parametrize("price", [0.0, 1.0])
def test_twenty_divisions_make_no_duplicates(price):
    """20 mothers of two daughters each, who have another mother near: doubled mothers would list 2^20 of the first."""
    n = 20
    rng = np.random.default_rng(0)
    source = np.concatenate([np.repeat(np.arange(n), 2), np.arange(n)])
    target = np.concatenate([n + np.arange(2 * n), n + (2 * np.arange(n) + 2) % (2 * n)])
    problem = TrackingProblem(
        frame=np.repeat([0, 1], [n, 2 * n]),
        source=source,
        target=target,
        edge_cost=np.concatenate([np.full(2 * n, -6.0), np.round(rng.normal(-3, 1, n), 3)]),
        node_cost=np.zeros(3 * n),
        appear_cost=np.full(3 * n, price),
        disappear_cost=np.full(3 * n, price),
        division_cost=np.full(3 * n, price),
        pinned_node=np.ones(3 * n, dtype=np.int8),
    )
    found = best_assignments(problem, 500)
    lineages = [found.parents(i) for i in range(500)]
    assert np.count_nonzero(np.bincount(problem.source[lineages[0][n:]]) == 2) == n
    assert len({tuple(row) for row in lineages}) == 500
    assert whole_list(problem, 500)[0].tolist() == in_millionths(found.cost).tolist()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_weights_are_shares_of_the_list(seed, temperature):
    problem = kept_problem(2 * seed, most=300)  # no ties: the list is one list
    for k in (1, 5, 30):
        found = best_assignments(problem, k).shares(temperature)
        link, new, outcomes = weighed(problem, temperature, k)
        assert found.link == pytest.approx(link, abs=1e-9)
        assert found.new == pytest.approx(new, abs=1e-9)
        same_outcomes(found.outcomes, outcomes)


@pytest.mark.parametrize("seed", range(40))
def test_lists_of_pieces_that_are_complete_are_the_posterior(seed):
    problem = kept_problem(seed, most=300)
    found = best_by_component(problem, 300, temperature=1.5, limit=np.inf)
    link, new, outcomes = weighed(problem, 1.5)
    assert found.complete.all()
    assert found.link == pytest.approx(link, abs=1e-9)
    assert found.new == pytest.approx(new, abs=1e-9)
    same_outcomes(found.outcomes, outcomes)


def test_short_lists_of_pieces_say_that_there_is_more():
    problem = crowd(3, n_frames=3, per_frame=60)
    found = best_by_component(problem, 3)
    assert found.listed.max() == 3
    assert not found.complete.all()
    assert (found.listed[~found.complete] == 3).all()
    assert (found.piece >= 0).any()
    parents = np.bincount(problem.target, found.link, problem.n_nodes)
    assert parents + found.new == pytest.approx(np.ones(problem.n_nodes))
    one = best_by_component(problem, 1)
    assert set(np.unique(one.link)) == {0.0, 1.0}
    assert np.flatnonzero(one.link).tolist() == sorted(p for p in best_assignments(problem, 1).parents(0) if p >= 0)


def test_what_is_cut_is_in_none_of_the_maps_within_the_limit():
    problem = crowd(4, n_frames=3, per_frame=40)
    assignment = AssignmentProblem.of(problem)
    best = cheapest_parents(assignment)
    gaps = gaps_of(assignment, best)
    whole_cost, lineages = whole_list(problem, 300)
    limit = int(whole_cost[-1])
    pieces = undecided_within(assignment, best, gaps, limit)
    left = set(assignment.link[pieces.option].tolist()) | set(assignment.links(best.option).tolist())
    assert {row for lineage in lineages for row in lineage.tolist()} <= left | {-1}
    assert len(pieces) > 1
    assert len(pieces.option) < assignment.n_links


def test_one_answer_where_there_is_no_choice():
    lonely = replace(kept_problem(1), pinned_node=np.full(kept_problem(1).n_nodes, -1, dtype=np.int8))
    found = best_assignments(lonely, 10)
    assert found.complete
    assert found.cost.tolist() == [0.0]
    assert not found.shares().new.any()
    assert not found.shares().link.any()
    assert best_by_component(lonely, 10).outcomes.probability.tolist() == [1.0] * lonely.n_nodes


def test_equal_costs_are_all_listed():
    """Four mothers and four daughters who do not care: 4! and more ways that cost the same."""
    source, target = (axis.ravel() for axis in np.meshgrid(np.arange(4), 4 + np.arange(4)))
    free = np.zeros(8)
    problem = TrackingProblem(
        np.repeat([0, 1], 4), source, target, free[:1].repeat(16), free, free + 5, free + 5, free + 5,
        np.ones(8, dtype=np.int8),
    )  # fmt: skip
    found = best_assignments(problem, 30)
    assert np.count_nonzero(found.cost == 0) == 24
    assert len({tuple(found.parents(i)) for i in range(30)}) == 30
    assert found.shares(0.01).link == pytest.approx(np.full(16, 0.25))


def test_bad_requests_are_refused():
    problem = kept_problem(1)
    with pytest.raises(ConfigError, match="expected 1 at least"):
        best_assignments(problem, 0)
    with pytest.raises(ConfigError, match="expected 1 at least"):
        best_by_component(problem, 0)
    for temperature in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ConfigError, match="temperature"):
            best_by_component(problem, 5, temperature=temperature)
        with pytest.raises(ConfigError, match="temperature"):
            best_assignments(problem, 5).shares(temperature)
    with pytest.raises(ConfigError, match="limit"):
        best_by_component(problem, 5, limit=-1.0)
    with pytest.raises(SchemaError, match="optional"):
        best_assignments(replace(problem, pinned_node=np.zeros(problem.n_nodes, dtype=np.int8)))
