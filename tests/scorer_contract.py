"""What every scorer promises; the test file of each scorer inherits these tests and makes it in `scorer`."""

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.scorers import Scorer, ScoreScale
from trackdb.storage.schema import Detections


def cells(frame, position, scale_um=None):
    """Return detections at these places, numbered from 0."""
    frame, position = np.asarray(frame, dtype=np.int64), np.asarray(position, dtype=np.float64)
    n = np.arange(len(frame))
    return Detections(n, frame, position, n + 1, np.full(len(n), np.nan), scale_um)


def walk(seed, *, n_frames=12, n_cells=60, ndim=2, sigma=0.1, extent=10.0, scale_um=None):
    """Return cells that walk at random: row ``t * n_cells + i`` is cell i in frame t."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, extent, (1, n_cells, ndim))
    steps = rng.normal(0, sigma, (n_frames, n_cells, ndim))
    place = (start + np.cumsum(steps, axis=0)).reshape(-1, ndim)
    return cells(np.repeat(np.arange(n_frames), n_cells), place, scale_um)


class ScorerContract:
    """Inherit, and give the scorer as a fixture."""

    @pytest.fixture
    def scorer(self) -> Scorer:
        raise NotImplementedError

    @pytest.mark.parametrize("ndim", [2, 3])
    @pytest.mark.parametrize("max_gap", [0, 2])
    def test_every_edge_gets_one_finite_score(self, scorer, ndim, max_gap):
        movie = walk(1, ndim=ndim)
        edges = link_nearest(movie, max_gap=max_gap)
        scores = scorer.score(movie, edges)
        assert scores.value.shape == (len(edges),)
        assert scores.value.dtype == np.float64
        assert np.isfinite(scores.value).all()

    def test_the_scale_is_told_and_kept(self, scorer):
        movie = walk(2)
        edges = link_nearest(movie)
        scores = scorer.score(movie, edges)
        assert scores.scale in ScoreScale
        if scores.scale is ScoreScale.PROBABILITY:
            of_target = np.bincount(edges.target, scores.value, len(movie))
            assert of_target.max() <= 1 + 1e-9

    def test_the_same_cells_get_the_same_scores(self, scorer):
        movie = walk(3)
        edges = link_nearest(movie)
        first, second = scorer.score(movie, edges), scorer.score(movie, edges)
        assert np.array_equal(first.value, second.value)
        assert first.estimates == second.estimates

    def test_the_order_of_cells_within_a_frame_does_not_matter(self, scorer):
        movie = walk(4)
        rng = np.random.default_rng(0)
        order = np.lexsort((rng.random(len(movie)), movie.frame))
        moved = cells(movie.frame, movie.position_px[order])
        ours, theirs = link_nearest(movie), link_nearest(moved)
        here = dict(zip(zip(ours.source, ours.target, strict=True), scorer.score(movie, ours).value, strict=True))
        pairs = zip(order[theirs.source], order[theirs.target], strict=True)
        there = dict(zip(pairs, scorer.score(moved, theirs).value, strict=True))
        assert here.keys() == there.keys()
        assert [there[pair] for pair in here] == pytest.approx(list(here.values()))

    def test_a_movie_without_candidates_has_no_scores(self, scorer):
        movie = cells([0, 0], [[0, 0], [5, 5]])
        assert len(scorer.score(movie, link_nearest(movie))) == 0

    def test_what_was_learned_can_be_written_down(self, scorer):
        movie = walk(5)
        estimates = scorer.score(movie, link_nearest(movie)).estimates
        assert all(isinstance(name, str) and type(value) is float for name, value in estimates.items())
        assert np.isfinite(list(estimates.values())).all()

    def test_it_knows_its_name(self, scorer):
        from trackdb.engine.scorers import open_scorer

        assert type(open_scorer(scorer.name)) is type(scorer)
