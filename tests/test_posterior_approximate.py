"""What is said of links that cannot be weighed exactly: pruned, by belief or sampled, flagged, and near the truth."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.solvers.daughters import Pairs
from trackdb.solvers.posterior.belief import propagate
from trackdb.solvers.posterior.graph import ChoiceGraph
from trackdb.solvers.posterior.marginals import estimate
from trackdb.solvers.posterior.outcomes import HowWeighed
from trackdb.solvers.posterior.swaps import with_stand_ins, with_swaps
from trackdb.solvers.problem import TrackingProblem
from trackdb.testing.frame_pairs import frame_pair
from trackdb.testing.problems import crowded_movie, with_every_pair

from .selections import weigh_all
from .strategies import paired_problems, tracking_problems

WIDE_AND_EXACT = 20  # of the crowded pieces below


def total_variation(problem, one, other):
    """Return, for each cell with candidates, how far apart its parents are: half the sum of all differences."""
    apart = np.bincount(problem.target, np.abs(one.link - other.link), problem.n_nodes) + np.abs(one.new - other.new)
    return apart[np.bincount(problem.target, minlength=problem.n_nodes) > 0] / 2


def require_consistent(problem, found):
    """Hold both views to each other: outcomes of mothers, parents of daughters, and cells that are there."""
    n = problem.n_nodes
    first, p = found.outcomes.first, found.outcomes.probability
    assert np.add.reduceat(p, first[:-1]) == pytest.approx(1) if n else True
    by_outcome = np.zeros(problem.n_edges + 1)
    np.add.at(by_outcome, found.outcomes.a, p)
    np.add.at(by_outcome, found.outcomes.b, p)
    assert by_outcome[:-1] == pytest.approx(found.link, abs=1e-5)  # outcomes below 1e-6 are left out
    parents = np.bincount(problem.target, found.link, n)
    assert parents + found.new == pytest.approx(found.present, abs=1e-12)
    assert np.all(found.present[problem.pinned_node == 1] == 1)
    idle = np.bincount(np.repeat(np.arange(n), np.diff(first)), p * (found.outcomes.a < 0), n)
    assert np.all(1 - idle <= found.present + 1e-5)  # who has daughters is there


def crowded(seed, *, pairs=False, optional=False):
    """Return a movie of which no part is on its own, but which the exact method manages."""
    movie = crowded_movie(seed, n_frames=4, per_frame=14)
    if not optional:
        movie = replace(movie, pinned_node=np.ones(movie.n_nodes, dtype=np.int8))
    return with_every_pair(movie, seed) if pairs else movie


KINDS = {
    "kept": {},
    "pairs": {"pairs": True},
    "optional": {"optional": True},
    "optional pairs": {"optional": True, "pairs": True},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["auto", "belief", "gibbs"])
def test_all_methods_are_consistent_flagged_and_near_the_truth(method, kind):
    allowed = {"auto": 0.05, "belief": 0.15, "gibbs": 0.05}[method]
    for seed in range(3):
        problem = crowded(seed, **KINDS[kind])
        true = estimate(problem, method="exact", width=WIDE_AND_EXACT)
        found = estimate(problem, method=method, width=5, sweeps=60)
        require_consistent(problem, true)
        require_consistent(problem, found)
        assert found.converged
        assert total_variation(problem, true, found).mean() <= allowed
        assert np.abs(found.present - true.present).mean() <= allowed
        flags = {"auto": {0, 1, 2}, "belief": {0, 2}, "gibbs": {0, 3}}[method]
        assert set(found.how.tolist()) <= flags
        assert found.how.max() == max(flags)
        exact = found.how == HowWeighed.EXACT
        assert found.link[exact] == pytest.approx(true.link[exact], abs=1e-10)
        assert np.isnan(found.log_z)


def test_the_error_of_pruning_is_about_what_was_pruned():
    """Belief says how likely is what was cut: no proof, and here never wrong by more than a factor of five."""
    seen = 0
    for seed in range(3):
        problem = frame_pair(1000, 0.15, seed).problem
        true, found = estimate(problem, method="exact"), estimate(problem, width=3)
        pruned = found.how == HowWeighed.PRUNED
        seen += np.count_nonzero(pruned)
        assert np.all(np.abs(found.link - true.link)[pruned] <= 5 * found.dropped[pruned] + 1e-6)
        assert np.abs(found.link - true.link)[pruned].mean() <= 5e-4
        assert np.all(found.dropped[pruned] > 0)
        assert not found.dropped[found.how == HowWeighed.EXACT].any()
    assert seen > 1000


def test_a_swap_is_likelier_than_belief_says():
    """Two cells may have changed places, at odds of 1 to 30; belief says a quarter of that at most."""
    same = np.zeros(4)
    problem = TrackingProblem(
        frame=np.array([0, 0, 1, 1]),
        source=np.array([0, 0, 1, 1]),
        target=np.array([2, 3, 2, 3]),
        edge_cost=np.array([0.0, 1.7, 1.7, 0.0]),
        node_cost=same,
        appear_cost=np.full(4, 8.0),
        disappear_cost=np.full(4, 8.0),
        division_cost=np.full(4, 8.0),
        pinned_node=np.ones(4, dtype=np.int8),
    )
    true, graph = weigh_all(problem).link, ChoiceGraph.of(problem)
    said = propagate(graph).link
    assert said[1] < true[1] / 4
    assert with_swaps(graph, said) == pytest.approx(true, rel=0.05)


def either_of_two(second, leap):
    """Return a cell that goes on by way of one detection or of another, or over both, and what each way costs.

    ::

        frame   0   1   2
                0---1---3      costs 0
                 `--2--'       costs `second`; 0---3 costs `leap`
    """
    return TrackingProblem(
        frame=np.array([0, 1, 1, 2]),
        source=np.array([0, 0, 0, 1, 2]),
        target=np.array([1, 2, 3, 3, 3]),
        edge_cost=np.array([5.0, 5.0 + second / 2, leap, 5.0, 5.0 + second / 2]),
        node_cost=np.array([0.0, -10.0, -10.0, 0.0]),
        appear_cost=np.full(4, 12.0),
        disappear_cost=np.full(4, 12.0),
        division_cost=np.full(4, 12.0),
        pinned_node=np.array([1, 0, 0, 1], dtype=np.int8),
    )


@pytest.mark.parametrize(("second", "leap"), [(3.0, 30.0), (30.0, 3.0), (2.0, 3.0), (-3.0, 30.0), (30.0, -3.0)])
def test_a_detection_that_may_stand_in_for_another_is_likelier_than_belief_says(second, leap):
    problem = either_of_two(second, leap)
    true, graph = weigh_all(problem), ChoiceGraph.of(problem)
    said = propagate(graph)
    link, absent = with_stand_ins(graph, said.link, said.absent)
    assert graph.row.tolist() == [0, 1, 2, 3, 4]
    unlikely = (true.link > 1e-3) & (true.link < 0.5)
    assert unlikely.any()
    assert said.link[unlikely].min() < true.link[unlikely].min() / 2
    assert np.all(link[unlikely] >= 0.6 * true.link[unlikely])
    assert np.all(link <= np.maximum(said.link, 1.6 * true.link + 1e-3))
    doubted = (problem.pinned_node == 0) & (1 - true.present > 1e-3) & (true.present > 0.5)
    assert np.all(absent[doubted] >= 0.6 * (1 - true.present[doubted]))


def one_of_others(leap):
    """Return a cell that leaps over a detection which is surely on the way of another cell.

    ::

        frame   0   1   2
                0-------3      costs `leap`; 0---2---3 costs 0
                1---2---4      costs -20
    """
    return TrackingProblem(
        frame=np.array([0, 0, 1, 2, 2]),
        source=np.array([0, 0, 1, 2, 2]),
        target=np.array([2, 3, 2, 3, 4]),
        edge_cost=np.array([5.0, leap, -5.0, 5.0, -5.0]),
        node_cost=np.array([0.0, 0.0, -10.0, 0.0, 0.0]),
        appear_cost=np.full(5, 12.0),
        disappear_cost=np.full(5, 12.0),
        division_cost=np.full(5, 12.0),
        pinned_node=np.array([1, 1, 0, 1, 1], dtype=np.int8),
    )


@pytest.mark.parametrize(
    "problem",
    [one_of_others(3.0), replace(either_of_two(3.0, 30.0), pinned_node=np.array([1, 1, 0, 1], dtype=np.int8))],
    ids=["on the way of another", "sure to be a cell"],
)
def test_a_detection_that_is_a_cell_anyway_stands_in_for_nothing(problem):
    true, graph = weigh_all(problem), ChoiceGraph.of(problem)
    said = propagate(graph)
    link, absent = with_stand_ins(graph, said.link, said.absent)
    assert np.all(link <= np.maximum(said.link, 1.6 * true.link[graph.row] + 1e-3))
    assert np.all(absent <= np.maximum(said.absent, 1.6 * (1 - true.present) + 1e-3))


def test_which_of_two_detections_is_the_cell_is_weighed_where_pieces_are_cut():
    """Many such choices side by side, tied by unlikely links; the odds of each are known."""
    one, n = either_of_two(3.0, 30.0), 12
    shift = 4 * np.arange(n)[:, None]
    row = np.argsort(np.tile(one.frame, n), kind="stable")
    place = np.argsort(row)
    source, target = ((end + shift).ravel() for end in (one.source, one.target))
    mother, daughter = np.repeat(4 * np.arange(n), 2), (4 * ((np.arange(n)[:, None] + [1, 2]) % n) + 1).ravel()
    source, target = place[np.append(source, mother)], place[np.append(target, daughter)]
    cost = np.append(np.tile(one.edge_cost, n), np.full(2 * n, 13.0))
    order = np.lexsort((target, source))
    columns = ("node_cost", "appear_cost", "disappear_cost", "division_cost", "pinned_node")
    problem = TrackingProblem(
        frame=np.tile(one.frame, n)[row],
        source=source[order],
        target=target[order],
        edge_cost=cost[order],
        **{name: np.tile(getattr(one, name), n)[row] for name in columns},
    )
    found = estimate(problem, width=3)
    assert (found.how_cell == HowWeighed.PRUNED).any()
    assert found.present[place[4 * np.arange(n) + 1]] == pytest.approx(1 / (1 + np.exp(-3.0)), abs=0.01)


def test_samples_lie_within_their_errors():
    far = []
    for seed in range(4):
        problem = crowded(seed, optional=seed % 2 == 1)
        true = estimate(problem, method="exact", width=WIDE_AND_EXACT)
        found = estimate(problem, method="gibbs", width=2, sweeps=200, seed=seed)
        sampled = found.how == HowWeighed.SAMPLED
        assert np.isnan(found.error[~sampled]).all()
        assert not np.isnan(found.error[sampled]).any()
        assert not np.isnan(found.error_cell[found.how_cell == HowWeighed.SAMPLED]).any()
        far.append((found.link - true.link)[sampled] / np.maximum(found.error[sampled], 1e-4))
    far = np.abs(np.concatenate(far))
    assert len(far) > 100
    assert np.quantile(far, 0.5) < 1.5
    assert np.quantile(far, 0.95) < 5


def test_the_same_seed_samples_the_same():
    problem = crowded(1)
    one, again, other = (estimate(problem, method="gibbs", width=2, sweeps=20, seed=s).link for s in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def line_of_cells(n=4):
    r"""Return cells of which each may follow the one before it only: no loops.

    ::

        frame 0     1     2
              0 --- 1 --- 2        every cell optional
    """
    rng = np.random.default_rng(0)
    return TrackingProblem(
        frame=np.arange(n),
        source=np.arange(n - 1),
        target=np.arange(1, n),
        edge_cost=rng.normal(-1, 1, n - 1),
        node_cost=rng.normal(0, 1, n),
        appear_cost=np.full(n, 1.0),
        disappear_cost=np.full(n, 1.0),
        division_cost=np.zeros(n),
        pinned_node=np.zeros(n, dtype=np.int8),
    )


def test_belief_is_exact_on_a_tree():
    problem = line_of_cells(6)
    true, found = weigh_all(problem), estimate(problem, method="belief")
    assert found.link == pytest.approx(true.link, abs=1e-6)
    assert found.present == pytest.approx(true.present, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.one_of(tracking_problems(), paired_problems()), st.sampled_from(["auto", "belief", "gibbs"]))
def test_drawn_problems_have_consistent_answers(problem, method):
    require_consistent(problem, estimate(problem, method=method, width=0, prune=0.05, sweeps=5))


@pytest.mark.parametrize("temperature", [0.003, 300.0])
@pytest.mark.parametrize("method", ["auto", "belief", "gibbs"])
def test_extreme_temperatures_have_consistent_answers(method, temperature):
    problem = crowded(5, optional=True)
    require_consistent(problem, estimate(problem, method=method, temperature=temperature, width=4, sweeps=5))


def equal_costs(side):
    """Return two frames of cells on a grid, each tied to its own place and the four beside it, all costs 0."""
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    source, target = np.nonzero(np.abs(place[:, None] - place[None]).sum(axis=-1) <= 1)
    n = 2 * len(place)
    return TrackingProblem(
        frame=np.repeat([0, 1], len(place)),
        source=source,
        target=target + len(place),
        edge_cost=np.zeros(len(source)),
        node_cost=np.zeros(n),
        appear_cost=np.zeros(n),
        disappear_cost=np.zeros(n),
        division_cost=np.zeros(n),
        pinned_node=np.ones(n, dtype=np.int8),
    )


def test_one_giant_component_of_equal_costs_is_flagged_as_belief():
    problem = equal_costs(12)
    found = estimate(problem)
    require_consistent(problem, found)
    assert set(found.how.tolist()) == {HowWeighed.BELIEF}
    assert np.all(found.piece[:144] >= 0)
    sampled = estimate(problem, method="gibbs", sweeps=100)
    assert total_variation(problem, found, sampled).mean() < 0.03


def test_frames_without_candidates_are_fine():
    problem = equal_costs(2)
    apart = replace(problem, frame=problem.frame * 3, source=problem.source[:0], target=problem.target[:0],
                    edge_cost=problem.edge_cost[:0])  # fmt: skip
    for method in ("auto", "exact", "belief", "gibbs"):
        found = estimate(apart, method=method)
        assert np.all(found.new == 1)
        assert np.all(found.piece == -1)


def test_a_mother_without_pairs_never_divides():
    problem = equal_costs(3)
    none = replace(problem, pairs=Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)))
    found = estimate(none, width=4)
    assert np.all(found.outcomes.b == -1)
    require_consistent(none, found)


def test_belief_takes_few_sweeps_to_rest():
    said = propagate(ChoiceGraph.of(frame_pair(1000, 0.3, 0).problem))
    assert said.converged
    assert said.sweeps < 300


def test_a_thousand_cells_are_near_the_exact_marginals():
    clear = frame_pair(1000, 0.15, 0).problem
    exact = estimate(clear, method="exact")
    assert total_variation(clear, exact, estimate(clear)).mean() <= 1e-9  # narrow as it is
    assert total_variation(clear, exact, estimate(clear, width=3)).mean() <= 0.005
    blurred = frame_pair(400, 0.30, 0).problem
    found, sampled = estimate(blurred), estimate(blurred, method="gibbs", sweeps=150)
    assert total_variation(blurred, found, sampled).mean() <= 0.03


def test_a_known_posterior_is_calibrated():
    """The truth is drawn from the model: confidence is accuracy, and the log score that of the exact posterior."""
    confidence, right, score = [], [], []
    for seed in range(8):
        pair = frame_pair(1000, 0.15, seed)
        problem, found = pair.problem, estimate(pair.problem, width=3)
        true = estimate(problem, method="exact")
        daughters = np.arange(len(pair.parent)) + pair.n_mothers
        links = np.full((len(daughters), 6), -1)
        rank = np.arange(problem.n_edges) - np.searchsorted(problem.target, problem.target)
        links[problem.target - pair.n_mothers, rank] = np.arange(problem.n_edges)
        parent = np.where(links >= 0, problem.source[links], -2)
        for answer in (found, true):
            p = np.where(links >= 0, answer.link[links], 0.0)
            p[:, 5] = answer.new[daughters]
            parent[:, 5] = -1
            best = p.argmax(axis=1)
            hit = parent == pair.parent[:, None]
            at_truth = np.maximum((p * hit).sum(axis=1), 1e-6)
            score.append(-np.log(at_truth).mean())
            if answer is found:
                confidence.append(p.max(axis=1))
                right.append(hit[np.arange(len(p)), best])
    confidence, right = np.concatenate(confidence), np.concatenate(right)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gap = np.bincount(bins, right, 15) - np.bincount(bins, confidence, 15)
    assert np.abs(gap).sum() / len(bins) <= 0.015
    assert np.mean(score[0::2]) == pytest.approx(np.mean(score[1::2]), abs=0.02)


def test_standard_errors_of_sampling_are_as_large_as_the_errors_are():
    z = []
    for seed in range(4):
        problem = frame_pair(60, 0.3, seed).problem
        true = estimate(problem, method="exact", width=WIDE_AND_EXACT)
        found = estimate(problem, method="gibbs", width=2, sweeps=60, seed=seed)
        sampled = (found.how == HowWeighed.SAMPLED) & (true.link > 1e-4)
        z.append(((found.link - true.link) / found.error)[sampled])
    z = np.concatenate(z)
    assert len(z) > 200
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.25
    assert np.mean(np.abs(z) > 3) < 0.05
