"""Base trackers: their conversions by hand, and that each of them tracks cells that hardly move."""

import math

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.posterior.softmax import softmax
from trackdb.engine.posterior.trackers import (
    TRACKERS,
    TrackerCosts,
    tracker_costs,
    tracker_problem,
    tracker_scorer,
)
from trackdb.engine.scorers import Scores, ScoreScale
from trackdb.errors import ConfigError, SchemaError
from trackdb.solvers import open_solver
from trackdb.storage.schema import CandidateEdges
from trackdb.testing.movies import cells, painted, walk


@pytest.fixture
def three():
    """Cells at 0, 4 and 10 on a line, and one at 1 in the next frame."""
    movie = cells([0, 0, 0, 1], [[0, 0], [0, 4], [0, 10], [0, 1]])
    distance = np.array([1.0, 3.0, 9.0])
    return movie, CandidateEdges(np.full(3, -1), np.arange(3), np.full(3, 3), np.ones(3, int), distance)


def test_overlaps_by_hand(three):
    costs = tracker_costs(*three, Scores(np.array([0.5, 0.02, 0.0]), ScoreScale.IOU), tracker="overlap")
    assert costs.link == pytest.approx([math.log(2), math.log(50), math.log(100)])
    assert costs.appear == pytest.approx(1.05 * math.log(100))


def test_distances_by_hand():
    """Steps of spread 2 along both axes: d^2 / 8 + ln(8 pi); a cell appears at the price of the longest candidate."""
    rng = np.random.default_rng(0)
    home = np.stack(np.divmod(np.arange(400), 20), axis=1) * 60.0
    movie = cells(np.repeat([0, 1], 400), np.r_[home, home + rng.normal(0, 2.0, home.shape)])
    edges = link_nearest(movie, max_distance=70.0, neighbors=3)
    scores = tracker_scorer("distance").score(movie, edges)
    sigma = scores.estimates["sigma_px"]
    assert sigma == pytest.approx(2.0, rel=0.1)
    costs = tracker_costs(movie, edges, scores, tracker="distance")
    assert costs.link == pytest.approx(edges.distance**2 / (2 * sigma**2) + math.log(2 * math.pi * sigma**2))
    assert costs.appear == pytest.approx(costs.link.max())


def test_probabilities_of_a_transformer_come_back_from_softmax(three):
    movie, edges = three
    p = np.array([0.6, 0.2, 0.1])
    costs = tracker_costs(movie, edges, Scores(p, ScoreScale.PROBABILITY), tracker="transformer")
    assert costs.appear == 0
    found = softmax(tracker_problem(movie, edges, costs))
    assert found.link == pytest.approx(p)
    assert found.new[3] == pytest.approx(0.1)


def test_beginning_and_ending_where_nobody_looked_is_free(three):
    problem = tracker_problem(*three, TrackerCosts(np.ones(3), 2.0), disappear=3.0, division=1.0)
    assert problem.appear_cost.tolist() == [0, 0, 0, 2]
    assert problem.disappear_cost.tolist() == [3, 3, 3, 0]
    assert problem.division_cost.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_each_tracks_cells_that_hardly_move(tracker):
    movie, pixels = painted(walk(3, n_frames=5, n_cells=30, sigma=1.0, extent=90.0))
    edges = link_nearest(movie)
    costs = tracker_costs(movie, edges, tracker_scorer(tracker).score(movie, edges, pixels), tracker=tracker)
    chosen = edges.take(open_solver("ilp").solve(tracker_problem(movie, edges, costs)).edge)
    assert np.count_nonzero(chosen.target - chosen.source == 30) > 0.9 * 4 * 30


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_movie_without_candidates_has_no_costs(tracker):
    movie, pixels = painted(cells([0, 0], [[5, 5], [15, 15]]))
    edges = link_nearest(movie)
    costs = tracker_costs(movie, edges, tracker_scorer(tracker).score(movie, edges, pixels), tracker=tracker)
    assert len(costs.link) == 0
    assert tracker_problem(movie, edges, costs).n_edges == 0


def test_what_nobody_knows_or_does_not_fit_is_refused(three):
    with pytest.raises(ConfigError, match="no base tracker 'psychic'"):
        tracker_scorer("psychic")
    with pytest.raises(ConfigError, match="no base tracker"):
        tracker_costs(*three, Scores(np.zeros(3), ScoreScale.IOU), tracker="psychic")
    with pytest.raises(SchemaError, match="scale iou"):
        tracker_costs(*three, Scores(np.zeros(3), ScoreScale.PROBABILITY), tracker="overlap")
    with pytest.raises(SchemaError, match="needs a score"):
        tracker_costs(*three, Scores(np.zeros(2), ScoreScale.IOU), tracker="overlap")
