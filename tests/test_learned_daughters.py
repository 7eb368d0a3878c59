"""Daughters of the learned model: their density, the pairs that a problem lists, soft births, hazard and rates."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import lognorm, multivariate_t

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import learn
from trackdb.engine.costs.learned.daughters import Daughters, Shapes, shapes_of
from trackdb.engine.costs.learned.drift import drift_of
from trackdb.engine.costs.learned.hazard import hazard_of
from trackdb.engine.costs.learned.lineage import Lineage
from trackdb.engine.costs.learned.model import Spans, problem_of
from trackdb.engine.costs.learned.rates import LearnedRates, count_rates
from trackdb.engine.costs.learned.surroundings import surroundings_of
from trackdb.testing.movies import cells, walk

from .learned_movies import lineage, sheet

DAUGHTERS = Daughters(-0.2, 0.3, 0.04, 0.02, -0.2, 0.03)


def triples(position, *, frames=(0, 1, 1)):
    """A mother and two cells that could be her daughters, and their shape; nobody drifts."""
    movie = cells(frames, position)
    around = surroundings_of(movie)
    edges = link_nearest(movie, max_distance=1e3, max_gap=1)
    drift = drift_of(around, Lineage.unlinked(edges, len(movie)), np.ones(len(edges)))
    one = np.ones(1)
    mother, first, second = np.arange(3)[:, None]
    return around, shapes_of(around, drift, mother, first, second, (one, one), 0.5)


def test_the_density_is_that_of_mid_point_and_distance():
    """Daughters at x = 2 and 6 of a mother at y = 1, x = 3: the mid-point is 1 off along their line and 1 across."""
    around, shape = triples([[1, 3], [0, 2], [0, 6]])
    h = around.spacing[0]
    middle = multivariate_t(shape=np.diag([0.04, 0.02]) * h**2, df=8).logpdf([1, 1])
    apart = lognorm(s=0.3, scale=np.exp(-0.2) * h).logpdf(4) - np.log(2 * np.pi * 4)
    assert DAUGHTERS.log_density(shape) == pytest.approx(middle + apart + np.log(2))


def test_the_density_does_not_depend_on_which_daughter_is_named_first():
    one = triples([[1, 3], [0, 2], [0, 6]])[1]
    other = triples([[1, 3], [0, 6], [0, 2]])[1]
    assert DAUGHTERS.log_density(one) == pytest.approx(DAUGHTERS.log_density(other))


def test_a_turned_and_shifted_family_is_as_likely():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    family = np.array([[1.0, 3.0], [0.0, 2.0], [0.0, 6.0]])
    plain, turned = triples(family)[1], triples(family @ turn.T + 7)[1]
    assert DAUGHTERS.log_density(turned) == pytest.approx(DAUGHTERS.log_density(plain))


def test_what_daughters_are_like_is_recovered():
    rng = np.random.default_rng(0)
    n = 5000
    chi = rng.chisquare(8, n) / 8
    shape = Shapes(
        rng.normal(-0.4, 0.2, n),
        0.09 * rng.normal(size=n) ** 2 / chi,
        0.01 * rng.normal(size=n) ** 2 / chi,
        np.zeros(n),
        2,
    )
    found = DAUGHTERS
    for _ in range(20):
        found = found.learned(shape, np.ones(n))
    assert (found.log_distance, found.spread) == pytest.approx((-0.4, 0.2), abs=0.01)
    assert (found.along, found.across) == pytest.approx((0.09, 0.01), rel=0.1)


def test_pairs_cost_what_their_density_says_and_none_that_pays_is_left_out():
    """Against the density of every two candidates of a mother in the next frame."""
    movie = sheet(1, n_frames=5, side=4, division=0.1)
    cells_, edges = movie.detections, link_nearest(movie.detections)
    learned = learn(cells_, edges)
    model = replace(learned.model, hazard=np.linspace(0.5, 2, len(cells_)))
    around, spans = surroundings_of(cells_), Spans.of(surroundings_of(cells_), edges)
    drift = drift_of(around, learned.lineage, spans.elapsed)
    problem = problem_of(around, edges, spans, drift, model)
    both = [(a, b) for a, b in combinations(range(len(edges)), 2) if edges.source[a] == edges.source[b]]
    first, second = np.array(both).T
    mother, one, other = edges.source[first], edges.target[first], edges.target[second]
    time = np.ones(len(first))
    shape = shapes_of(around, drift, mother, one, other, (time, time), model.motion.drift_coefficient)
    cost = -model.daughters.log_density(shape) - np.log(model.rates.division * model.hazard[mother])
    cost -= 2 * np.log(1 - model.rates.miss)
    pays = cost < problem.appear_cost[one] + problem.appear_cost[other] + problem.disappear_cost[mother]
    listed = zip(problem.pairs.first.tolist(), problem.pairs.second.tolist(), strict=True)
    assert set(listed) == set(zip(first[pays].tolist(), second[pays].tolist(), strict=True))
    assert problem.pairs.cost_of(first[pays], second[pays], len(edges)) == pytest.approx(cost[pays])


def test_pairs_that_people_forced_in_are_listed_whatever_they_cost():
    movie = walk(3, n_frames=3, n_cells=20)
    edges = link_nearest(movie)
    learned = learn(movie, edges)
    forced = edges.source == 0
    rows = np.flatnonzero(forced)
    problem = learned.problem(movie, edges, forced)
    listed = set(zip(problem.pairs.first.tolist(), problem.pairs.second.tolist(), strict=True))
    assert set(combinations(rows.tolist(), 2)) <= listed


def test_a_daughter_over_a_missed_frame_is_offered_only_where_the_lineage_has_a_birth():
    """The mother at frame 0, one daughter in frame 1 and the other in frame 2 alone."""
    movie = cells([0, 1, 2, 2], [[0, 0], [0, -2], [0, -2], [0, 2]])
    edges = link_nearest(movie, max_distance=10, max_gap=1)
    learned = learn(movie, edges, rounds=2)
    ends = [(0, 1), (0, 3)]
    row = {(s, t): i for i, (s, t) in enumerate(zip(edges.source.tolist(), edges.target.tolist(), strict=True))}
    around, spans = surroundings_of(movie), Spans.of(surroundings_of(movie), edges)
    drift = drift_of(around, learned.lineage, spans.elapsed)
    shut = np.zeros(4, dtype=bool)
    for open_, there in ((shut, False), (np.arange(4) == 3, True)):
        model = replace(learned.model, open=open_, skipped_to=shut)
        pairs = problem_of(around, edges, spans, drift, model).pairs
        listed = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
        assert (tuple(row[e] for e in ends) in listed) == there


@pytest.fixture
def family():
    r"""Two mothers in 4 frames; the first divides from frame 1 to 2, a cell appears in frame 2 and ends there.

    0 - 2 - 4 - 8
          \ 5 - 9
    1 - 3 - 6 - 10
            7
    """
    movie = cells([0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3], [[10.0 * i, 7.0 * (i % 3)] for i in range(11)])
    links = [(0, 2), (1, 3), (2, 4), (2, 5), (3, 6), (4, 8), (5, 9), (6, 10)]
    return surroundings_of(movie), lineage(links, 11)


def test_rates_are_counted_and_start_at_the_usual_ones(family):
    """Of 300 cells 1.5 appear; 7 of the frames 2 and 3 come on top, of which one appears. No border is told apart."""
    around, found = family
    around = replace(around, border=np.zeros(11, dtype=bool))
    rates = count_rates(around, found, np.zeros(8, dtype=np.int64), 0, 0.01)
    both = (1 + 1.5) / (9 + 300)  # frames 1, 2 and 3
    assert rates.appear[0] == pytest.approx((1 + 300 * both) / (9 + 300))
    both = (1 + 1.5) / (8 + 300)  # frames 0, 1 and 2: only the last cell of frame 2 ends
    assert rates.disappear[0] == pytest.approx((1 + 300 * both) / (8 + 300))
    assert rates.false == pytest.approx(3 / 311)
    assert rates.miss == pytest.approx(1.5 / (7 + 300))
    assert rates.division == 0.01


def test_missed_frames_are_counted(family):
    around, found = family
    missed = np.array([0, 1, 0, 0, 0, 0, 0, 0])
    assert count_rates(around, found, missed, 1, 0.01).miss == pytest.approx(2.5 / (7 + 1 + 300))


def test_a_cell_that_is_missed_is_missed_again_at_a_rate_of_its_own(family):
    """One link misses three frames, as many as one may: a gap begins and goes on twice, beside 20 of which 2 go on."""
    around, found = family
    rates = count_rates(around, found, np.array([0, 3, 0, 0, 0, 0, 0, 0]), 3, 0.01)
    assert rates.miss == pytest.approx(2.5 / (7 + 3 + 300))
    assert rates.again == pytest.approx(4 / 22)
    assert count_rates(around, found, np.array([0, 3, 0, 0, 0, 0, 0, 0]), 4, 0.01).again == pytest.approx(4 / 23)
    assert count_rates(around, found, np.array([0, 1, 0, 0, 0, 0, 0, 0]), 1, 0.01).again == 0.1


def test_gaps_end_with_some_probability_and_the_longest_for_sure():
    none = np.zeros(2)
    rates = LearnedRates(0.01, none, none, 0.01, miss=0.05, again=0.4)
    assert np.exp(rates.log_missed(np.arange(4), 3)) == pytest.approx([1, 0.05 * 0.6, 0.05 * 0.4 * 0.6, 0.05 * 0.4**2])
    assert np.exp(rates.log_missed(np.arange(1, 4), 3)).sum() == pytest.approx(0.05)
    assert np.exp(rates.log_missed(np.array([1]), 1)) == pytest.approx(0.05)


def test_a_cell_is_new_for_sure_in_the_first_frame_and_perhaps_just_missed_in_it_in_the_second(family):
    around, _ = family
    rates = LearnedRates(0.01, np.array([0.1, 0.2]), np.array([0.3, 0.4]), 0.01, 0.05)
    border = around.border.astype(int)
    new = rates.new(around, 1)
    assert (new[around.order == 0] == 1).all()
    assert new[around.order == 1] == pytest.approx(np.array([0.15, 0.25])[border[around.order == 1]])
    assert new[around.order == 2] == pytest.approx(np.array([0.1, 0.2])[border[around.order == 2]])
    last = rates.last(around, 1)
    assert (last[around.order == 3] == 1).all()
    assert last[around.order == 2] == pytest.approx(np.array([0.35, 0.45])[border[around.order == 2]])
    assert (rates.new(around, 0)[around.order == 1] <= 0.2).all()


def test_the_hazard_follows_waves_and_spares_the_newly_born():
    """200 cells in each of 20 frames; half of them divide in frame 10, nobody else."""
    n = 200
    number = np.arange(20 * n).reshape(20, n)
    movie = cells(np.repeat(np.arange(20), n), np.random.default_rng(1).uniform(0, 100, (20 * n, 2)))
    links = np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1)
    found = lineage(links.tolist(), 20 * n)
    divisions = np.where((movie.frame == 10) & (number.ravel() % 2 == 0), 1.0, 0.0)
    around = surroundings_of(movie)
    hazard = hazard_of(around, found, divisions, float(divisions.sum() / (19 * n)))
    assert hazard[movie.frame == 10].min() > 3
    assert hazard[movie.frame == 2].max() < 0.2
    assert hazard[movie.frame == 8].min() > 3  # windows are 5 frames wide


def test_ages_count_from_the_last_division(family):
    around, found = family
    divisions = np.zeros(11)
    hazard = hazard_of(around, found, divisions, 0.5)
    assert hazard[4] == hazard[5] < hazard[6]  # 0.5 of the newborn were expected to divide, and nobody did
