"""Frequencies over perturbed solutions against probabilities known by adding up every selection."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.errors import ConfigError
from trackdb.solvers.daughters import Pairs
from trackdb.solvers.greedy import GreedySolver
from trackdb.solvers.highs import HighsSolver
from trackdb.solvers.posterior import perturbed as module
from trackdb.solvers.posterior.outcomes import HowWeighed
from trackdb.solvers.posterior.perturbed import perturb_and_map, perturbed, perturbed_selections
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.solvers.windows import Windows
from trackdb.testing.problems import crowded_movie, with_every_pair, with_hypotheses

from .weighed import coupled_problem, weigh_all


@pytest.fixture
def one_cell():
    """A cell that is kept, and in the next frame a detection that may be its daughter, be new, or be none."""
    return TrackingProblem(
        frame=np.array([0, 1]),
        source=np.array([0]),
        target=np.array([1]),
        edge_cost=np.array([0.5]),
        node_cost=np.array([0.0, 0.3]),
        appear_cost=np.array([0.0, 1.0]),
        disappear_cost=np.array([0.2, 0.0]),
        division_cost=np.array([3.0, 3.0]),
        pinned_node=np.array([1, 0], dtype=np.int8),
    )


def daughters_distance(problem, found, known):
    """Return the mean total variation over what a detection may be: daughter of each, new, no cell."""
    apart = np.abs(found.new - known.new) + np.abs(found.present - known.present)
    np.add.at(apart, problem.target, np.abs(found.link - known.link))
    return apart.mean() / 2


def mothers_distance(found, known):
    """Return the mean total variation over what cells do as mothers."""
    apart = 0.0
    for v, weighed in enumerate(known.outcomes):
        rows = slice(found.outcomes.first[v], found.outcomes.first[v + 1])
        a, b = found.outcomes.a[rows].tolist(), found.outcomes.b[rows].tolist()
        counted = dict(zip(zip(a, b, strict=True), found.outcomes.probability[rows], strict=True))
        apart += sum(abs(counted.get(o, 0.0) - weighed.get(o, 0.0)) for o in {*counted, *weighed}) / 2
    return apart / len(known.outcomes)


@pytest.mark.parametrize("gaps", [False, True])
def test_frequencies_come_near_to_the_probabilities_and_nearer_at_the_default_scale(gaps):
    apart = {0.7: [], 1.0: []}
    for seed in range(4):
        problem = coupled_problem(seed, gaps=gaps)
        known = weigh_all(problem)
        for scale, distances in apart.items():
            found = perturb_and_map(problem, draws=250, scale=scale)
            distances.append((daughters_distance(problem, found, known), mothers_distance(found, known)))
    near, far = (np.mean(apart[scale], axis=0) for scale in (0.7, 1.0))
    assert (near < 0.035).all()
    assert (near < far).all()


def test_a_higher_temperature_is_that_of_the_probabilities():
    problem = coupled_problem(3)
    found = perturb_and_map(problem, draws=400, temperature=3.0)
    assert daughters_distance(problem, found, weigh_all(problem, temperature=3.0)) < 0.035
    assert daughters_distance(problem, found, weigh_all(problem)) > 0.06


def test_what_is_told_of_cells_fits_together():
    problem = coupled_problem(1)
    found = perturb_and_map(problem, draws=50)
    into = np.bincount(problem.target, found.link, minlength=problem.n_nodes)
    assert np.allclose(into + found.new, found.present)
    outcomes = found.outcomes
    in_outcomes = np.zeros(problem.n_edges)
    for side in (outcomes.a, outcomes.b):
        np.add.at(in_outcomes, side[side >= 0], outcomes.probability[side >= 0])
    assert np.allclose(in_outcomes, found.link)
    assert (found.present[problem.pinned_node == 1] == 1).all()
    assert (found.how == HowWeighed.SAMPLED).all()
    assert (found.how_cell == HowWeighed.SAMPLED).all()
    assert np.allclose(found.error, np.sqrt(found.link * (1 - found.link) / 50))
    assert np.isnan(found.log_z)


def test_a_piece_holds_what_links_in_doubt_tie_and_what_is_certain_lies_in_none(one_cell):
    alone = perturb_and_map(one_cell)
    assert alone.piece.tolist() == [0, -1]  # the second one is nobody's mother
    two = TrackingProblem(
        frame=np.tile(one_cell.frame, 3),
        source=np.array([0, 2, 4]),
        target=np.array([1, 3, 5]),
        edge_cost=np.array([0.5, 0.5, -60.0]),
        **{
            name: np.tile(getattr(one_cell, name), 3)
            for name in ("node_cost", "appear_cost", "disappear_cost", "division_cost", "pinned_node")
        },
    )
    assert perturb_and_map(two).piece.tolist() == [0, -1, 1, -1, -1, -1]


def test_the_same_seed_draws_the_same_and_more_draws_begin_with_fewer(one_cell):
    few = [draw.edge.tolist() for draw in perturbed_selections(one_cell, draws=20, seed=4)]
    more = [draw.edge.tolist() for draw in perturbed_selections(one_cell, draws=40, seed=4)]
    other = [draw.edge.tolist() for draw in perturbed_selections(one_cell, draws=20, seed=5)]
    assert few == more[:20]
    assert few != other
    counted = perturb_and_map(one_cell, draws=20, seed=4)
    assert counted.link[0] == np.mean(few)


def test_pairs_that_add_up_are_drawn_as_no_pairs():
    problem = crowded_movie(2, n_frames=4, per_frame=12, division=-1.0)
    paired = with_every_pair(problem, 0, bonus=5.0, spread=0.0)
    noisy, noisy_pairs = (perturbed(p, np.random.default_rng(0), 0.7) for p in (problem, paired))
    found, found_pairs = (HighsSolver().solve(p) for p in (noisy, noisy_pairs))
    assert found.objective == pytest.approx(found_pairs.objective, abs=1e-4)
    assert np.array_equal(found.edge, found_pairs.edge)
    assert np.bincount(problem.source[found.edge]).max() == 2


def test_pairs_and_exclusions_are_honoured_in_every_draw():
    problem = with_hypotheses(with_every_pair(crowded_movie(0, n_frames=4, per_frame=8), 0), 0)
    scarce = Pairs(problem.pairs.first[::2], problem.pairs.second[::2], problem.pairs.cost[::2])
    problem = replace(problem, pairs=scarce)
    for draw in perturbed_selections(problem, draws=10):
        objective(problem, draw.edge, draw.node)  # raises where a rule is broken
    found = perturb_and_map(problem, draws=10)
    a, b = problem.conflicts.first, problem.conflicts.second
    assert (found.present[a] + found.present[b] <= 1 + 1e-12).all()


def test_any_solver_draws(one_cell):
    exact, greedy = (perturb_and_map(one_cell, solver=solver, draws=60) for solver in (None, GreedySolver()))
    assert np.array_equal(exact.link, perturb_and_map(one_cell, solver=HighsSolver(), draws=60).link)
    assert 0 < greedy.link[0] < 1


def test_windows_draw_what_the_whole_draws():
    problem = crowded_movie(5, n_frames=12, per_frame=6, skip=True)
    whole = perturb_and_map(problem, draws=8)
    cut = perturb_and_map(problem, draws=8, window=Windows(0, 11, core=3, context=8, reach=2))
    assert np.array_equal(whole.link, cut.link)
    assert np.array_equal(whole.present, cut.present)


def test_a_large_movie_is_cut_unless_exclusions_run_across_frames(monkeypatch):
    cuts = []
    monkeypatch.setattr(module, "WHOLE", 30)
    solved = module.solve_in_windows
    monkeypatch.setattr(
        module, "solve_in_windows", lambda load, windows, solver: cuts.append(windows) or solved(load, windows, solver)
    )
    problem = crowded_movie(5, n_frames=12, per_frame=6, skip=True)
    perturb_and_map(problem, draws=1)
    (window,) = cuts
    assert (window.first_frame, window.last_frame, window.reach, window.context) == (0, 11, 2, 10)
    assert 6 * window.core <= 30
    across = with_hypotheses(problem, 0)
    across = replace(across, conflicts=replace(across.conflicts, second=(across.conflicts.first + 6) % 72))
    perturb_and_map(across, draws=1)
    assert len(cuts) == 1


def test_clones_are_told_by_founders_and_as_often_as_is_likely():
    problem = coupled_problem(2)
    draws = list(perturbed_selections(problem, draws=400))
    for draw in draws[:5]:
        mother = {v: u for u, v in zip(problem.source[draw.edge], problem.target[draw.edge], strict=True)}
        for v, founder in enumerate(draw.founder(problem)):
            if not draw.node[v]:
                assert founder == -1
                continue
            while v in mother:
                v = mother[v]
            assert founder == v
    founders = np.array([draw.founder(problem) for draw in draws])
    together = ((founders[:, :, None] == founders[:, None, :]) & (founders[:, :, None] >= 0)).mean(axis=0)
    assert np.abs(together - weigh_all(problem).same_clone).mean() < 0.02


@pytest.mark.parametrize(
    "wrong", [{"draws": 0}, {"scale": 0.0}, {"scale": np.inf}, {"temperature": -1.0}, {"temperature": np.nan}]
)
def test_nonsense_is_refused_by_name(one_cell, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong)).removesuffix("s")):
        perturb_and_map(one_cell, **wrong)


def test_a_movie_without_links_or_cells_has_probabilities(one_cell):
    lonely = replace(
        one_cell,
        source=np.empty(0, dtype=np.int64),
        target=np.empty(0, dtype=np.int64),
        edge_cost=np.empty(0),
    )
    found = perturb_and_map(lonely, draws=2000)
    assert found.present[0] == 1
    assert found.new[1] == pytest.approx(1 / (1 + np.exp(1.3)), abs=0.12)  # noise on three options, so not the same
    none = perturb_and_map(crowded_movie(0, n_frames=0), draws=3)
    assert len(none.link) == len(none.new) == len(none.outcomes.a) == 0
