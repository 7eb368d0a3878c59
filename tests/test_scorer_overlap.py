"""The overlap scorer: drawn squares by hand, brute force on random masks, drift, shift and time reversal."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.candidates import link_nearest
from trackdb.engine.pixels import NO_PIXELS, PixelsInMemory
from trackdb.engine.scorers import ScoreScale, open_scorer
from trackdb.engine.scorers.overlap import OverlapScorer, drift_of, frame_pairs, shared_pixels
from trackdb.errors import MissingRowsError
from trackdb.storage.schema import CandidateEdges
from trackdb.testing.movies import cells, measured, painted, walk
from trackdb.testing.scorer_contract import ScorerContract

from .movies import square_mask


class TestContract(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return OverlapScorer()


def all_pairs(detections, gaps=(1,)):
    """Every pair of cells so many frames apart is a candidate."""
    gap = detections.frame[None, :] - detections.frame[:, None]
    source, target = np.nonzero(np.isin(gap, gaps))
    place = detections.position_um
    distance = np.linalg.norm(place[target] - place[source], axis=1)
    return CandidateEdges(np.full(len(source), -1), source, target, gap[source, target], distance)


def scored(detections, edges, pixels):
    """Score of each pair of cells, by frame and label."""
    names = list(zip(detections.frame.tolist(), detections.label.tolist(), strict=True))
    value = OverlapScorer().score(detections, edges, pixels).value
    pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
    return {(names[a], names[b]): v for (a, b), v in zip(pairs, value.tolist(), strict=True)}


def brute_force(pixels, drift, first, a, last, b):
    """IoU of two labels, pixel by pixel, the first one moved by a drift of whole pixels."""
    here = {tuple(p + drift) for p in np.argwhere(pixels.masks[first] == a)}
    there = {tuple(p) for p in np.argwhere(pixels.masks[last] == b)}
    return len(here & there) / len(here | there)


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_the_overlap_of_squares_by_hand():
    """Squares of side 5: one moves 1 to the right, one divides into a column of each side, one is gone."""
    before = square_mask({1: (5, 5), 2: (5, 20), 3: (20, 5)}, (30, 30))
    after = square_mask({1: (5, 6)}, (30, 30))
    after[3:8, 18:20], after[3:8, 21:23] = 7, 8
    movie, pixels = measured(before, after)
    score = scored(movie, all_pairs(movie), pixels)
    assert score[(0, 1), (1, 1)] == 20 / 30
    assert score[(0, 2), (1, 7)] == score[(0, 2), (1, 8)] == 10 / 25
    assert sum(score.values()) == 20 / 30 + 2 * 10 / 25


def test_gaps_and_volumes_by_hand():
    """A cube of side 5 moves by 1 along z in each frame."""
    movie, pixels = measured(*(square_mask({4: (4 + t, 6, 6)}, (12, 12, 12)) for t in range(3)))
    score = scored(movie, all_pairs(movie, gaps=(1, 2)), pixels)
    assert score == {
        ((0, 4), (1, 4)): 100 / 150,
        ((1, 4), (2, 4)): 100 / 150,
        ((0, 4), (2, 4)): 75 / 175,
    }


def test_labels_may_be_huge_and_in_any_order():
    big = 2**62
    movie, pixels = measured(
        np.array([[big, big, 0, 3, 3]], np.uint64).repeat(2, 0), np.array([[3, big, 0, 0, big]], np.uint64).repeat(2, 0)
    )
    score = scored(movie, all_pairs(movie), pixels)
    assert score[(0, big), (1, 3)] == 2 / 4
    assert score[(0, big), (1, big)] == 2 / 6
    assert score[(0, 3), (1, big)] == 2 / 6
    assert score[(0, 3), (1, 3)] == 0


# -- brute force ------------------------------------------------------------------------------------------------------


@st.composite
def label_masks(draw, ndim):
    """Two masks of one shape with a few labels, scattered or in blocks."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=ndim, max_size=ndim)))
    label = st.sampled_from([0, 0, 1, 2, 5, 900])
    n = int(np.prod(shape))
    return [np.array(draw(st.lists(label, min_size=n, max_size=n))).reshape(shape) for _ in range(2)]


@pytest.mark.parametrize("ndim", [2, 3])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_shared_pixels_are_those_of_brute_force(ndim, data):
    here, there = data.draw(label_masks(ndim))
    shift = np.array(data.draw(st.lists(st.integers(-8, 8), min_size=ndim, max_size=ndim)))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from([1, 2, 5, 7, 900]), st.sampled_from([1, 2, 900, 901])),
                               unique=True, max_size=8))  # fmt: skip
    source, target = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    moved = {a: {tuple(p + shift) for p in np.argwhere(here == a)} for a in set(source.tolist())}
    still = {b: {tuple(p) for p in np.argwhere(there == b)} for b in set(target.tolist())}
    expected = [len(moved[a] & still[b]) for a, b in pairs]
    assert shared_pixels(here, there, shift, source, target).tolist() == expected


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("gaps", [(1,), (1, 2)])
def test_scores_are_those_of_brute_force(ndim, gaps):
    movie, pixels = painted(walk(2, n_frames=4, n_cells=12, ndim=ndim, sigma=1.5, extent=24.0))
    edges = all_pairs(movie, gaps)
    value = OverlapScorer().score(movie, edges, pixels).value
    assert np.count_nonzero(value) > len(movie) / 2
    place = movie.position_px
    for first, last, rows in frame_pairs(movie, edges):
        s, t = edges.source[rows], edges.target[rows]
        drift = np.rint(drift_of(place, s, t)).astype(int)
        expected = [
            brute_force(pixels, drift, first, a, last, b)
            for a, b in zip(movie.label[s].tolist(), movie.label[t].tolist(), strict=True)
        ]
        assert value[rows].tolist() == pytest.approx(expected)


# -- drift ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", [(0, 0), (3, -2), (-9, 7), (12, 0)])
def test_the_drift_of_a_frame_is_found_beyond_half_the_spacing(drift):
    """Forty cells about 16 pixels apart move as one, and a pixel each on their own."""
    rng = np.random.default_rng(0)
    place = np.stack(np.divmod(np.arange(40), 8), axis=1) * 16.0 + rng.normal(0, 2.5, (40, 2))
    movie = cells(np.repeat([0, 1], 40), np.concatenate([place, place + drift + rng.normal(0, 0.7, (40, 2))]))
    edges = link_nearest(movie, max_distance=28.0)
    found = drift_of(movie.position_px, edges.source, edges.target)
    assert found == pytest.approx(drift, abs=0.5)


def test_few_cells_tell_no_drift():
    """Seven cells that move alike may well have moved themselves; eight tell."""
    for n, expected in ((7, 0), (8, 3)):
        place = np.arange(n)[:, None] * np.array([[20.0, 0.0]])
        movie = cells(np.repeat([0, 1], n), np.concatenate([place, place + np.array([3, 0])]))
        edges = link_nearest(movie, max_distance=10)
        assert drift_of(movie.position_px, edges.source, edges.target).tolist() == [expected, 0]


def test_cells_that_stand_still_do_not_drift():
    movie = cells(np.repeat([0, 1], 9), np.tile(np.arange(18.0).reshape(9, 2) * 7, (2, 1)))
    edges = link_nearest(movie, max_distance=2)
    for some in (slice(None), slice(0)):
        assert drift_of(movie.position_px, edges.source[some], edges.target[some]).tolist() == [0, 0]


def test_the_drift_is_told_in_pixels_of_the_mask():
    """Voxels of 2 x 0.5 um: the cells drift 1 pixel down and 4 to the right."""
    _, pixels = painted(walk(6, n_frames=2, n_cells=20, sigma=0.1, extent=60.0))
    second = np.roll(pixels.masks[0], (1, 4), axis=(0, 1))
    twin, _ = measured(np.pad(pixels.masks[0], 8), np.pad(second, 8), scale_um=(2.0, 0.5))
    twin_pixels = PixelsInMemory({0: np.pad(pixels.masks[0], 8), 1: np.pad(second, 8)})
    scores = OverlapScorer().score(twin, link_nearest(twin), twin_pixels)
    assert scores.estimates["drift_px"] == pytest.approx(17**0.5)
    assert scores.value.max() == 1


# -- laws -------------------------------------------------------------------------------------------------------------


def a_movie(seed, n_frames=3):
    """Twenty cells that walk, well inside of frames of 90 x 90 pixels."""
    _, pixels = painted(walk(seed, n_frames=n_frames, n_cells=20, sigma=1.2, extent=50.0))
    wide = {f: np.pad(m, ((15, 90 - 15 - m.shape[0]), (15, 90 - 15 - m.shape[1]))) for f, m in pixels.masks.items()}
    return measured(*wide.values())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 50), shift=st.tuples(st.integers(-12, 12), st.integers(-12, 12)))
def test_a_movie_that_drifts_by_whole_pixels_has_the_same_scores(seed, shift):
    movie, pixels = a_movie(seed)
    edges = all_pairs(movie)
    moved, moved_pixels = measured(*(np.roll(m, (t * shift[0] // 2, t * shift[1] // 2), axis=(0, 1))
                                     for t, m in pixels.masks.items()))  # fmt: skip
    here = scored(movie, edges, pixels)
    there = scored(moved, edges, moved_pixels)
    assert there == pytest.approx(here)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 50))
def test_time_reversed_the_scores_are_the_same(seed):
    """Of cells that do not drift: rounding to whole pixels turns round with the movie."""
    movie, pixels = a_movie(seed)
    back, back_pixels = measured(*reversed(pixels.masks.values()))
    here, there = scored(movie, all_pairs(movie), pixels), scored(back, all_pairs(back), back_pixels)
    last = len(pixels.masks) - 1
    assert {((last - u, b), (last - t, a)): v for ((t, a), (u, b)), v in here.items()} == pytest.approx(there)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 50))
def test_a_target_is_shared_by_disjoint_sources(seed):
    movie, pixels = a_movie(seed)
    edges = all_pairs(movie, gaps=(1, 2))
    scores = OverlapScorer().score(movie, edges, pixels)
    for gap in (1, 2):
        rows = edges.frames == gap
        assert np.bincount(edges.target[rows], scores.value[rows]).max() <= 1 + 1e-12
    assert scores.scale is ScoreScale.IOU


def test_each_mask_is_asked_for_with_the_one_before():
    class Counting(PixelsInMemory):
        asked: list = []  # noqa: RUF012 - a list for the one instance of this test

        def mask(self, frame):
            self.asked.append(frame)
            return super().mask(frame)

    movie, pixels = a_movie(1, n_frames=4)
    OverlapScorer().score(movie, link_nearest(movie), Counting(pixels.masks))
    assert Counting.asked == [0, 1, 1, 2, 2, 3]


# -- what it needs ----------------------------------------------------------------------------------------------------


def test_points_have_no_overlap():
    movie = walk(1, n_frames=2, n_cells=5)
    drawn, pixels = painted(walk(1, n_frames=2, n_cells=5))
    for given_cells, given_pixels in ((movie, pixels), (drawn, NO_PIXELS), (movie, NO_PIXELS)):
        with pytest.raises(MissingRowsError, match="--by distance"):
            OverlapScorer().score(given_cells, link_nearest(movie), given_pixels)


def test_no_cells_need_no_masks():
    none = replace(walk(1), **{k: getattr(walk(1), k)[:0] for k in ("id", "frame", "position_px", "label", "area")})
    assert len(open_scorer("overlap").score(none, link_nearest(none))) == 0
