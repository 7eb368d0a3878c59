"""The distance scorer: densities by hand, motion recovered from simulated cells, the contract, the choice by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trackdb.engine.candidates import link_nearest
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer
from trackdb.engine.scorers.distance import DistanceScorer, Motion, fit_motion
from trackdb.errors import ConfigError, SchemaError
from trackdb.testing.movies import cells, walk
from trackdb.testing.scorer_contract import ScorerContract


class TestContract(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return DistanceScorer()


def test_the_log_density_of_a_step_by_hand():
    # sigma 2, two axes, distance 2: -ln(2 pi 4) - 2^2 / (2 * 4)
    assert Motion(2.0).log_density(np.array([2.0]), 2) == pytest.approx(-np.log(8 * np.pi) - 0.5)


def test_over_two_frames_the_variance_is_twice_as_large():
    motion, distance = Motion(1.5), np.array([0.0, 1.0, 4.0])
    twice = Motion(1.5 * 2**0.5).log_density(distance, 3)
    assert motion.log_density(distance, 3, np.full(3, 2)) == pytest.approx(twice)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("tail", [0.0, 1 / 4])
def test_densities_are_those_of_scipy(ndim, tail):
    steps = np.random.default_rng(0).normal(size=(20, ndim)) * 3
    ours = Motion(1.3, tail).log_density(np.linalg.norm(steps, axis=1), ndim)
    shape = 1.3**2 * np.eye(ndim)
    peer = stats.multivariate_t(shape=shape, df=1 / tail) if tail else stats.multivariate_normal(cov=shape)
    assert ours == pytest.approx(peer.logpdf(steps))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.25])
def test_sigma_is_recovered_from_normal_motion(ndim, sigma):
    extent = 120 ** (1 / ndim)  # one cell per unit of area or volume
    movie = walk(7, n_frames=20, n_cells=120, ndim=ndim, sigma=sigma, extent=extent)
    motion = fit_motion(movie, link_nearest(movie))
    assert motion.sigma == pytest.approx(sigma, rel=0.08)
    assert motion.tail <= 1 / 10


def test_sigma_is_recovered_over_gaps_alone():
    movie = walk(8, n_frames=20, sigma=0.1)
    odd = movie.frame % 2 == 0
    sparse = cells(movie.frame[odd], movie.position_px[odd])
    assert fit_motion(sparse, link_nearest(sparse, max_gap=1)).sigma == pytest.approx(0.1, rel=0.08)


def test_heavy_tails_are_recognised_and_leave_sigma_alone():
    """Steps are Student-t with 3 degrees of freedom."""
    rng = np.random.default_rng(9)
    steps = rng.normal(0, 0.05, (30, 100, 2)) / np.sqrt(rng.chisquare(3, (30, 100, 1)) / 3)
    place = rng.uniform(0, 14, (1, 100, 2)) + np.cumsum(steps, axis=0)
    movie = cells(np.repeat(np.arange(30), 100), place.reshape(-1, 2))
    motion = fit_motion(movie, link_nearest(movie))
    assert 1 / 4 <= motion.tail <= 1 / 2.5
    assert motion.sigma == pytest.approx(0.05, rel=0.08)


def test_the_estimate_tells_its_unit():
    movie = walk(10)
    known = walk(10, scale_um=(0.5, 0.5))
    in_pixels = open_scorer("distance").score(movie, link_nearest(movie)).estimates
    in_um = open_scorer("distance").score(known, link_nearest(known)).estimates
    assert in_um["sigma_um"] == pytest.approx(in_pixels["sigma_px"] / 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(-20, 20), st.integers(2, 3))
def test_another_unit_shifts_all_log_densities_alike(power, ndim):
    movie = walk(11, n_frames=5, n_cells=30, ndim=ndim)
    other = cells(movie.frame, movie.position_px * 2.0**power)
    here = DistanceScorer().score(movie, link_nearest(movie)).value
    there = DistanceScorer().score(other, link_nearest(other)).value
    assert there == pytest.approx(here - ndim * power * np.log(2), abs=1e-6)


def test_cells_that_stand_still_have_a_finite_score():
    movie = cells([0, 0, 1, 1, 2, 2], [[0, 0], [9, 9]] * 3)
    scores = DistanceScorer().score(movie, link_nearest(movie))
    assert np.isfinite(scores.value).all()
    one = cells([0, 1], [[3, 3], [3, 3]])
    assert np.isfinite(DistanceScorer().score(one, link_nearest(one)).value).all()


def test_an_unknown_scorer_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match="distance"):
        open_scorer("crystal ball")


def test_a_scorer_of_another_package_is_found(monkeypatch):
    class Point:
        name = "theirs"

        def load(self):
            return DistanceScorer

    monkeypatch.setattr("trackdb.engine.scorers.entry_points", lambda group: [Point()])
    assert isinstance(open_scorer("theirs"), DistanceScorer)
    with pytest.raises(ConfigError, match="theirs"):
        open_scorer("nobody's")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(value):
    with pytest.raises(SchemaError, match="edge 1"):
        Scores(np.array([0.0, value]), ScoreScale.LOG_DENSITY)


def test_probabilities_lie_between_0_and_1():
    with pytest.raises(SchemaError, match=r"0 \.\. 1"):
        Scores(np.array([0.5, 1.5]), ScoreScale.PROBABILITY)
