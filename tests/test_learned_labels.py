"""Parameters that a known lineage teaches: by hand, of simulated movies to stated errors, and as they are kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import Labels, Taught, Trait, follow, learn, learn_from_labels
from trackdb.engine.costs.learned.daughters import Daughters, Shapes
from trackdb.engine.costs.learned.rates import USUAL, USUAL_FALSE, WORTH
from trackdb.engine.evidence import EVERYTHING
from trackdb.engine.simulation import Simulation, simulate_points
from trackdb.engine.simulation.life import live
from trackdb.solvers import open_solver
from trackdb.testing.movies import cells

from .learned_movies import f1, sheet


def taught_by(movie, **options):
    labels = Labels(movie.link[:, 0], movie.link[:, 1], movie.real)
    return learn_from_labels(movie.detections, link_nearest(movie.detections, max_gap=1), labels, **options)[0]


# One row of four cells, 10 apart; frames go down. b divides into e and f, whose mid-point is where she was; c is
# missed in frame 1; x is no cell; d ends.
#
#   frame 0    a    b    c    d
#   frame 1    a   e f        d  x
#   frame 2    a   e f   c
#   frame 3    a   e f   c
PLACES = [
    [(0, 0), (0, 10), (0, 20), (0, 30)],
    [(0, 0), (0, 8), (0, 12), (0, 30), (0, 37)],
    [(0, 0), (0, 8), (0, 12), (0, 20)],
    [(0, 0), (0, 8), (0, 12), (0, 20)],
]
LINKS = [(0, 4), (1, 5), (1, 6), (3, 7), (2, 12), (4, 9), (5, 10), (6, 11), (9, 13), (10, 14), (11, 15), (12, 16)]


@pytest.fixture
def drawn():
    position = np.concatenate([np.array(frame, dtype=float) for frame in PLACES])
    frame = np.repeat(np.arange(4), [len(p) for p in PLACES])
    link = np.array(LINKS)
    real = np.arange(len(frame)) != 8
    return cells(frame, position), link, real


def test_what_cells_do_is_counted(drawn):
    """17 points: 11 cells have children, one of them two, one is missed, one point is none; 300 usual ones beside."""
    movie, link, real = drawn
    edges = link_nearest(movie, max_distance=12, max_gap=1)
    taught, lineage = learn_from_labels(movie, edges, Labels(link[:, 0], link[:, 1], real))
    assert lineage.has_child.sum() == 11
    assert taught.rates.division == pytest.approx((1 + 0.003 * 50) / (11 + 50))
    assert taught.rates.false == pytest.approx((1 + USUAL_FALSE * WORTH) / (17 + WORTH))
    assert taught.rates.miss == pytest.approx((1 + USUAL * WORTH) / (11 + 1 + WORTH))


def test_a_link_that_is_no_candidate_is_an_end_and_a_beginning(drawn):
    movie, link, real = drawn
    near = link_nearest(movie, max_distance=12)  # none over the frame that c is missed in
    taught, lineage = learn_from_labels(movie, near, Labels(link[:, 0], link[:, 1], real))
    assert lineage.has_child.sum() == 10
    assert not lineage.has_parent[12]
    assert taught.rates.miss < USUAL


def test_of_three_daughters_two_are_hers(drawn):
    movie, link, real = drawn
    link = np.concatenate([link, [[3, 8]], [[3, 6]]])[[0, 3, 5, 12, 13]]  # d has children 6, 7 and 8
    edges = link_nearest(movie, max_distance=25, max_gap=1)
    _, lineage = learn_from_labels(movie, edges, Labels(link[:, 0], link[:, 1], real))
    assert (lineage.second >= 0).sum() == 1
    assert lineage.has_parent[[6, 7, 8]].sum() == 2


def test_without_divisions_none_are_learned(drawn):
    movie, link, real = drawn
    edges = link_nearest(movie, max_distance=12, max_gap=1)
    read = replace(EVERYTHING, divisions=False)
    taught, lineage = learn_from_labels(movie, edges, Labels(link[:, 0], link[:, 1], real), read)
    assert taught.rates.division < 1e-6
    assert not (lineage.second >= 0).any()


@pytest.mark.parametrize("ndim", [2, 3])
def test_rates_and_steps_are_those_of_the_simulation(ndim):
    """Eight thousand Brownian cells: rates are held against what was drawn, steps against a mean square of 1."""
    points = simulate_points(40, 200, 3, ndim=ndim, spacing=8.0, division_rate=0.01, missed=0.03, false=0.03)
    movie = cells(points.frame, points.position_px, (1.0,) * ndim)
    source, target = points.links
    labels = Labels(source, target, points.track != 0)
    taught, _ = learn_from_labels(movie, link_nearest(movie, max_gap=1), labels)
    children = np.bincount(source)
    gap = points.frame[target] - points.frame[source] == 2
    assert taught.rates.division == pytest.approx((children == 2).sum() / (children > 0).sum(), abs=3e-4)
    assert taught.rates.miss == pytest.approx(gap.mean(), abs=0.003)
    assert taught.rates.false == pytest.approx((points.track == 0).mean(), abs=0.001)
    variance = np.trace(taught.motion.scale[3]) * taught.motion.freedom / (taught.motion.freedom - 2)
    assert variance == pytest.approx(1, rel=0.06)
    assert taught.motion.growth == pytest.approx(2, abs=0.25)  # Brownian: variances add up


def test_persistence_and_drift_are_those_of_the_simulation():
    """Steps that keep 0.6 of the last one: given the steps before and after, each tells 0.6 / (1 + 0.36) = 0.44."""
    told = Simulation(
        frames=30, cells=150, motion=0.1, persistence=0.6, drift=0.3, division_rate=0.0, death_rate=0.0, density=0.1,
        seed=4,
    )  # fmt: skip
    scenes = [scene.position for scene in live(told)]
    n = len(scenes[0])
    assert {len(scene) for scene in scenes} == {n}
    movie = cells(np.repeat(np.arange(30), n), np.concatenate(scenes), (1.0, 1.0))
    source = np.arange(29 * n)
    labels = Labels(source, source + n, np.ones(30 * n, dtype=bool))
    motion = learn_from_labels(movie, link_nearest(movie, max_gap=1), labels)[0].motion
    assert motion.coefficient[3, 1:3] == pytest.approx([0.44, 0.44], abs=0.04)
    assert motion.coefficient[3, 0] == pytest.approx(1, abs=0.03)


@pytest.fixture(scope="module")
def movie():
    return sheet(41, n_frames=10, side=6, drift=(2.0, 1.0), division=0.03, missed=0.02, false=0.03)


def sheet_areas(movie):
    rng = np.random.default_rng(3)
    return [Trait.of("area", np.exp(rng.normal(4, 0.3, len(movie.detections))), adds_up=True)]


def test_daughters_part_as_they_were_drawn(movie):
    """By 7 um in steps of 0.6 um; spacings of a jittered grid of 10 um are about 5.6 um."""
    daughters = taught_by(movie).daughters
    mother = np.flatnonzero(np.bincount(movie.link[:, 0], minlength=len(movie.detections)) == 2)
    assert len(mother) > 5
    around = np.exp(daughters.log_distance)
    assert 1.0 < around < 1.5


def test_what_is_kept_prices_as_what_was_taught(movie):
    taught = taught_by(movie, traits=sheet_areas(movie))
    kept = Taught.from_dict(json.loads(json.dumps(taught.as_dict())))
    edges = link_nearest(movie.detections, max_gap=1)
    one, other = (
        follow(movie.detections, edges, known, traits=sheet_areas(movie)).problem(movie.detections, edges)
        for known in (taught, kept)
    )
    assert np.array_equal(one.edge_cost, other.edge_cost)
    assert np.array_equal(one.node_cost, other.node_cost)
    assert np.array_equal(one.pairs.cost, other.pairs.cost)


def test_another_movie_of_the_kind_is_followed_as_well_as_if_it_had_learned_itself(movie):
    """Its drift is another one, which belongs to it and is not taught."""
    other = sheet(42, n_frames=10, side=6, drift=(-1.5, 2.0), division=0.03, missed=0.02, false=0.03)
    edges = link_nearest(other.detections, max_gap=1)
    found = []
    for learned in (learn(other.detections, edges), follow(other.detections, edges, taught_by(movie))):
        found.append(f1(other, edges, open_solver("ilp").solve(learned.problem(other.detections, edges))))
    assert found[1] > 0.97
    assert found[1] >= found[0] - 0.005


def test_what_was_not_taught_is_not_looked_at(movie):
    edges = link_nearest(movie.detections, max_gap=1)
    blind = taught_by(movie)
    one, other = (
        follow(movie.detections, edges, blind, traits=traits).problem(movie.detections, edges)
        for traits in ((), sheet_areas(movie))
    )
    assert np.array_equal(one.edge_cost, other.edge_cost)


def test_few_divisions_leave_daughters_near_where_nobody_was_taught(drawn):
    """One division counts a tenth of what the distance of neighbours does at the start."""
    movie, link, real = drawn
    edges = link_nearest(movie, max_distance=12, max_gap=1)
    daughters = learn_from_labels(movie, edges, Labels(link[:, 0], link[:, 1], real))[0].daughters
    assert daughters.log_distance == pytest.approx(daughters.usual_log_distance, abs=0.15)
    assert daughters.log_distance != daughters.usual_log_distance


def test_a_lineage_without_errors_leaves_their_rates_to_the_movie_that_is_followed(drawn, movie):
    """Points that were made of the truth itself: nothing is false or missed, which tells nothing of other points."""
    clean = sheet(43, n_frames=10, side=6, drift=(2.0, 1.0), division=0.03)
    taught = taught_by(clean)
    assert not taught.knows_errors
    edges = link_nearest(movie.detections, max_gap=1)
    rates = follow(movie.detections, edges, taught).model.rates
    assert rates.false == pytest.approx((~movie.real).mean(), abs=0.015)
    assert rates.miss > USUAL
    knowing = taught_by(movie)
    assert knowing.knows_errors
    assert follow(clean.detections, link_nearest(clean.detections, max_gap=1), knowing).model.rates.false == (
        knowing.rates.false
    )
    points, link, real = drawn
    near = link_nearest(points, max_distance=12)
    kept = real.copy()
    kept[8] = True
    assert not learn_from_labels(points, near, Labels(link[:, 0], link[:, 1], kept))[0].knows_errors


def test_known_and_expected_divisions_count_alike(movie):
    """A lineage of two frames knows next to no division: how often cells divide is then told by the movie."""
    other = sheet(44, n_frames=2, side=6, drift=(2.0, 1.0))
    few, many = taught_by(other), taught_by(movie)
    assert few.rates.division < 0.005
    edges = link_nearest(movie.detections, max_gap=1)
    true = movie.divisions / movie.link.shape[0]
    for taught in (few, many):
        assert follow(movie.detections, edges, taught).model.rates.division == pytest.approx(true, rel=0.4)


def test_daughters_that_join_are_weighed_by_their_number():
    """Ten that are known and ten others: means of the logarithms and of the squares."""
    ten = Daughters(1.0, 0.2, 0.1, 0.1, 0.0, 1.0)
    shape = Shapes(np.full(10, 2.0), np.full(10, 0.1), np.full(10, 0.1), np.zeros(10), 2)
    joined = ten.joined_by(shape, np.ones(10), ten, 10.0)
    assert joined.log_distance == pytest.approx(1.5)
    assert joined.spread == pytest.approx(np.sqrt((10 * (0.04 + 0.25) + 10 * 0.25) / 20))
    assert joined.along == pytest.approx((10 * 0.1 + 10 * 0.1 * 10 / (8 + 2)) / 20)
    alone = ten.joined_by(shape, np.zeros(10), ten, 10.0)
    assert (alone.log_distance, alone.spread) == (pytest.approx(1.0), pytest.approx(0.2))
