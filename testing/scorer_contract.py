"""What every scorer promises; the test class of yours inherits these tests and makes it in `scorer`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ..engine.candidates import link_nearest
from ..engine.costs import fit, problem_from
from ..engine.scorers import SHARES, Scorer, ScoreScale, open_scorer
from ..solvers import open_solver
from .movies import cells, painted, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..engine.pixels import Pixels, PixelsInMemory
    from ..storage.schema import Detections

    Movie = tuple[Detections, PixelsInMemory]


class ScorerContract:
    """Inherit, and give the scorer as a fixture.

    Examples
    --------
    >>> class TestMine(ScorerContract):
    ...     @pytest.fixture
    ...     def scorer(self):
    ...         return MyScorer()  # doctest: +SKIP
    """

    @pytest.fixture
    def scorer(self) -> Scorer:
        """Return the scorer; yours stands here."""
        raise NotImplementedError

    @pytest.fixture
    def movie(self) -> Movie:
        """Thirty cells that walk a pixel or so in a frame of some 80 x 80 pixels, with masks and an image."""
        return painted(walk(3, n_frames=5, n_cells=30, sigma=1.0, extent=80.0))

    @pytest.mark.parametrize("ndim", [2, 3])
    @pytest.mark.parametrize("max_gap", [0, 2])
    def test_every_edge_gets_one_finite_score(self, scorer: Scorer, ndim: int, max_gap: int) -> None:
        movie, pixels = painted(walk(1, n_frames=5, n_cells=20, ndim=ndim, sigma=1.0, extent=30.0))
        edges = link_nearest(movie, max_gap=max_gap)
        scores = scorer.score(movie, edges, pixels)
        assert scores.value.shape == (len(edges),)
        assert scores.value.dtype == np.float64
        assert np.isfinite(scores.value).all()

    def test_the_scale_is_told_and_kept(self, scorer: Scorer, movie: Movie) -> None:
        cells, pixels = movie
        edges = link_nearest(cells)
        scores = scorer.score(cells, edges, pixels)
        assert scores.scale in ScoreScale
        if scores.scale in SHARES:
            of_target = np.bincount(edges.target, scores.value, len(cells))
            assert of_target.max() <= 1 + 1e-9

    def test_the_same_cells_get_the_same_scores(self, scorer: Scorer, movie: Movie) -> None:
        cells, pixels = movie
        edges = link_nearest(cells)
        first, second = scorer.score(cells, edges, pixels), scorer.score(cells, edges, pixels)
        assert np.array_equal(first.value, second.value)
        assert first.estimates == second.estimates

    def test_the_order_of_cells_within_a_frame_does_not_matter(self, scorer: Scorer, movie: Movie) -> None:
        cells, pixels = movie
        rng = np.random.default_rng(0)
        order = np.lexsort((rng.random(len(cells)), cells.frame))
        moved = replace(cells, position_px=cells.position_px[order], label=cells.label[order], area=cells.area[order])
        ours, theirs = link_nearest(cells), link_nearest(moved)
        score = scorer.score(cells, ours, pixels).value
        here = dict(zip(zip(ours.source, ours.target, strict=True), score, strict=True))
        pairs = zip(order[theirs.source], order[theirs.target], strict=True)
        there = dict(zip(pairs, scorer.score(moved, theirs, pixels).value, strict=True))
        assert here.keys() == there.keys()
        assert [there[pair] for pair in here] == pytest.approx(list(here.values()))

    def test_a_movie_without_candidates_has_no_scores(self, scorer: Scorer) -> None:
        movie, pixels = painted(cells([0, 0], [[5, 5], [15, 15]]))
        assert len(scorer.score(movie, link_nearest(movie), pixels)) == 0

    def test_what_was_learned_can_be_written_down(self, scorer: Scorer, movie: Movie) -> None:
        cells, pixels = movie
        estimates = scorer.score(cells, link_nearest(cells), pixels).estimates
        assert all(isinstance(name, str) and type(value) is float for name, value in estimates.items())
        assert np.isfinite(list(estimates.values())).all()

    def test_pixels_are_read_in_the_order_of_frames_and_never_written_to(self, scorer: Scorer, movie: Movie) -> None:
        cells, pixels = movie
        for frames in (pixels.masks, *pixels.images.values()):
            for frame in frames.values():
                frame.flags.writeable = False
        watched = Watched(pixels)
        scorer.score(cells, link_nearest(cells), watched)
        assert all(later >= earlier - 1 for earlier, later in pairwise(watched.asked))

    def test_its_scores_track_cells_that_hardly_move(self, scorer: Scorer, movie: Movie) -> None:
        """Cell i of frame t is row 30 t + i: the cost model makes a lineage of the scores, whatever their scale."""
        cells, pixels = movie
        edges = link_nearest(cells)
        scores = scorer.score(cells, edges, pixels)
        rates = fit(cells, edges, scores)
        chosen = edges.take(open_solver("ilp").solve(problem_from(cells, edges, scores, rates)).edge)
        right = chosen.target - chosen.source == 30
        assert right.mean() > 0.9
        assert np.count_nonzero(right) > 0.9 * 4 * 30

    def test_it_knows_its_name(self, scorer: Scorer) -> None:
        assert type(open_scorer(scorer.name)) is type(scorer)


class Watched:
    """Pixels that remember which frames were asked for."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self.has_masks, self.channels = pixels.has_masks, pixels.channels
        self.asked: list[int] = []

    def mask(self, frame: int) -> NDArray[np.integer]:
        """Return a mask, and remember."""
        self.asked.append(frame)
        return self._pixels.mask(frame)

    def image(self, channel: str, frame: int) -> NDArray[np.generic]:
        """Return an image, and remember."""
        self.asked.append(frame)
        return self._pixels.image(channel, frame)
