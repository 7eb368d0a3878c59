"""What every scorer promises; the test file of each scorer inherits these tests and makes it in `scorer`."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.measure import measure
from trackdb.engine.pixels import PixelsInMemory
from trackdb.engine.scorers import SHARES, Scorer, ScoreScale
from trackdb.solvers import open_solver
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


def painted(movie, radius=4.0):
    """Draw each cell as a disc (ball), touching ones cut half way; return the cells with their areas, and the pixels.

    The movie is moved so that all cells lie within the frames.
    """
    movie = replace(movie, position_px=movie.position_px - movie.position_px.min(axis=0) + radius + 1)
    shape = tuple(int(n) for n in movie.position_px.max(axis=0) + radius + 2)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    masks, area = {}, np.zeros(len(movie))
    for frame in np.unique(movie.frame).tolist():
        rows = np.flatnonzero(movie.frame == frame)
        far = np.stack([np.linalg.norm(grid - place, axis=-1) for place in movie.position_px[rows]])
        nearest = far.argmin(axis=0)
        drawn = np.where(far.min(axis=0) <= radius, nearest, -1)
        masks[frame] = np.where(drawn >= 0, movie.label[rows][drawn], 0).astype(np.uint32)
        area[rows] = np.bincount(drawn[drawn >= 0], minlength=len(rows))
    image = {frame: (mask > 0) * np.uint16(100) for frame, mask in masks.items()}
    return replace(movie, area=area), PixelsInMemory(masks, {"image": image})


def measured(*masks, scale_um=None):
    """The cells of masks, frame after frame, and the masks as pixels."""
    regions = [measure(mask) for mask in masks]
    n = sum(map(len, regions))
    found = Detections(
        id=np.arange(n),
        frame=np.repeat(np.arange(len(masks)), list(map(len, regions))),
        position_px=np.concatenate([r.centroid_px for r in regions]),
        label=np.concatenate([r.label for r in regions]),
        area=np.concatenate([r.area for r in regions]),
        scale_um=scale_um,
    )
    return found, PixelsInMemory(dict(enumerate(masks)))


class ScorerContract:
    """Inherit, and give the scorer as a fixture."""

    @pytest.fixture
    def scorer(self) -> Scorer:
        raise NotImplementedError

    @pytest.fixture
    def movie(self):
        """Thirty cells that walk a pixel or so in a frame of some 80 x 80 pixels, with masks and an image."""
        return painted(walk(3, n_frames=5, n_cells=30, sigma=1.0, extent=80.0))

    @pytest.mark.parametrize("ndim", [2, 3])
    @pytest.mark.parametrize("max_gap", [0, 2])
    def test_every_edge_gets_one_finite_score(self, scorer, ndim, max_gap):
        movie, pixels = painted(walk(1, n_frames=5, n_cells=20, ndim=ndim, sigma=1.0, extent=30.0))
        edges = link_nearest(movie, max_gap=max_gap)
        scores = scorer.score(movie, edges, pixels)
        assert scores.value.shape == (len(edges),)
        assert scores.value.dtype == np.float64
        assert np.isfinite(scores.value).all()

    def test_the_scale_is_told_and_kept(self, scorer, movie):
        cells, pixels = movie
        edges = link_nearest(cells)
        scores = scorer.score(cells, edges, pixels)
        assert scores.scale in ScoreScale
        if scores.scale in SHARES:
            of_target = np.bincount(edges.target, scores.value, len(cells))
            assert of_target.max() <= 1 + 1e-9

    def test_the_same_cells_get_the_same_scores(self, scorer, movie):
        cells, pixels = movie
        edges = link_nearest(cells)
        first, second = scorer.score(cells, edges, pixels), scorer.score(cells, edges, pixels)
        assert np.array_equal(first.value, second.value)
        assert first.estimates == second.estimates

    def test_the_order_of_cells_within_a_frame_does_not_matter(self, scorer, movie):
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

    def test_a_movie_without_candidates_has_no_scores(self, scorer):
        movie, pixels = painted(cells([0, 0], [[5, 5], [15, 15]]))
        assert len(scorer.score(movie, link_nearest(movie), pixels)) == 0

    def test_what_was_learned_can_be_written_down(self, scorer, movie):
        cells, pixels = movie
        estimates = scorer.score(cells, link_nearest(cells), pixels).estimates
        assert all(isinstance(name, str) and type(value) is float for name, value in estimates.items())
        assert np.isfinite(list(estimates.values())).all()

    def test_pixels_are_read_in_the_order_of_frames_and_never_written_to(self, scorer, movie):
        cells, pixels = movie
        for frames in (pixels.masks, *pixels.images.values()):
            for frame in frames.values():
                frame.flags.writeable = False
        watched = Watched(pixels)
        scorer.score(cells, link_nearest(cells), watched)
        assert all(later >= earlier - 1 for earlier, later in pairwise(watched.asked))

    def test_its_scores_track_cells_that_hardly_move(self, scorer, movie):
        """Cell i of frame t is row 30 t + i: the cost model makes a lineage of the scores, whatever their scale."""
        cells, pixels = movie
        edges = link_nearest(cells)
        scores = scorer.score(cells, edges, pixels)
        rates = fit(cells, edges, scores)
        chosen = edges.take(open_solver("ilp").solve(problem_from(cells, edges, scores, rates)).edge)
        right = chosen.target - chosen.source == 30
        assert right.mean() > 0.9
        assert np.count_nonzero(right) > 0.9 * 4 * 30

    def test_it_knows_its_name(self, scorer):
        from trackdb.engine.scorers import open_scorer

        assert type(open_scorer(scorer.name)) is type(scorer)


class Watched:
    """Pixels that remember which frames were asked for."""

    def __init__(self, pixels):
        self._pixels = pixels
        self.has_masks, self.channels = pixels.has_masks, pixels.channels
        self.asked = []

    def mask(self, frame):
        self.asked.append(frame)
        return self._pixels.mask(frame)

    def image(self, channel, frame):
        self.asked.append(frame)
        return self._pixels.image(channel, frame)
