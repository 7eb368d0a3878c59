"""The activity scorer: activity by hand, what is learned from cells of two kinds, and refusals by name."""

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import ScoreConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link, score
from trackdb.engine.pixels import PixelsInMemory
from trackdb.engine.scorers import ScoreScale, open_scorer
from trackdb.engine.scorers.activity import ActivityScorer, Habits, activity_of, fit_habits
from trackdb.errors import MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.schema import CandidateEdges
from trackdb.testing.movies import cells, measured, painted, walk
from trackdb.testing.scorer_contract import ScorerContract

from .movies import square_mask, write_ctc, write_points


class TestContract(ScorerContract):
    @pytest.fixture
    def scorer(self):
        return ActivityScorer()


def pairs(source, target, frames=None):
    m = len(source)
    return CandidateEdges(np.full(m, -1), np.array(source), np.array(target), np.array(frames or [1] * m), np.ones(m))


@pytest.fixture
def two():
    """Two squares that stay; the image under the first changes by 8 in every pixel, under the second by 40 in five."""
    mask = square_mask({7: (4, 4), 2: (4, 14)}, (10, 20))
    image = np.zeros((3, 10, 20), np.uint8)
    image[0] = 100
    image[1:] = 100 + (mask == 7) * np.uint8(8)
    image[1:, 2, 12:17] = 60
    movie, pixels = measured(mask, mask, mask)
    return movie, PixelsInMemory(pixels.masks, {"dna": dict(enumerate(image)), "other": {}})


def test_activity_is_half_the_mean_change_under_the_mask(two):
    """Cells of a frame are rows in the order of labels: 2, then 7; the number in bytes does not run over."""
    movie, pixels = two
    edges = pairs([0, 1, 2, 3], [2, 3, 4, 5])
    assert activity_of(movie, edges, pixels) == pytest.approx([0.5 * 40 * 5 / 25, 4.0, 0, 0])


def test_activity_over_a_gap_is_that_until_the_target(two):
    movie, pixels = two
    assert activity_of(movie, pairs([0, 1], [4, 5], [2, 2]), pixels) == pytest.approx([4.0, 4.0])


def test_pixels_that_are_no_number_are_left_out(two):
    movie, pixels = two
    first, second = (pixels.images["dna"][t].astype(np.float64) for t in (0, 1))
    second[2, 12:17] = np.nan
    holes = PixelsInMemory(pixels.masks, {"dna": {0: first, 1: second}})
    assert activity_of(movie, pairs([0, 1], [2, 3]), holes) == pytest.approx([0.0, 4.0])
    second[:] = np.nan
    assert activity_of(movie, pairs([0, 1], [2, 3]), holes).tolist() == [0, 0]


def test_the_density_of_a_child_by_hand():
    """One unit away at spread 2, of the same area; relative to areas of any cell with spread 1 about it."""
    habits = Habits(reach=0.5, area_spread=0.1, mean_log_area=3.0, log_area_spread=1.0)
    said = habits.log_density(*(np.array([x]) for x in (1.0, 4.0, 0.0, 3.0)), ndim=2)[0]
    normal = lambda x, s: np.exp(-0.5 * (x / s) ** 2) / np.sqrt(2 * np.pi) / s  # noqa: E731
    place = normal(1.0, 2.0) * normal(0.0, 2.0)
    area = 0.95 * (0.95 * normal(0, 0.1) + 0.05 * normal(np.log(2), 0.1)) + 0.05 * normal(0, 1.0)
    assert said == pytest.approx(np.log(place * area / normal(0, 1.0)))


def test_half_the_area_is_likelier_than_a_third():
    habits = Habits(0.5, 0.1, 3.0, 1.0)
    near = np.full(3, 1.0)
    ratio = np.log([1.0, 0.5, 1 / 3])
    whole, half, third = habits.log_density(near, near, ratio, np.full(3, 3.0), 2)
    assert whole > half > third + 2


def test_the_reach_of_quiet_and_busy_cells_is_learned():
    """Steps have a spread of activity times 0.4, for activities of 2 and 10; areas vary by 8 %."""
    rng = np.random.default_rng(3)
    n = 400
    activity = np.where(np.arange(n) % 2, 10.0, 2.0)
    home = np.stack(np.divmod(np.arange(n), 20), axis=1) * 60.0
    there = home + rng.normal(size=(n, 2)) * 0.4 * activity[:, None]
    movie = cells(np.repeat([0, 1], n), np.r_[home, there])
    area = 100 * np.exp(rng.normal(0, 0.4, n))
    movie = type(movie)(
        movie.id, movie.frame, movie.position_px, movie.label, np.r_[area, area * np.exp(rng.normal(0, 0.08, n))]
    )
    edges = link_nearest(movie, max_distance=70.0, neighbors=5)
    habits = fit_habits(movie, edges, activity[edges.source])
    assert habits.reach == pytest.approx(0.4, rel=0.1)
    assert habits.area_spread == pytest.approx(0.08, rel=0.2)


def test_a_busy_cell_reaches_further():
    """Of two cells at the same distance from a target the one whose image changed more is the likelier parent."""
    rng = np.random.default_rng(0)
    movie, pixels = painted(walk(3, n_frames=4, n_cells=30, sigma=1.0, extent=80.0))
    image = {t: rng.normal(100, 5, pixels.mask(t).shape) for t in range(4)}
    edges = link_nearest(movie, max_distance=20.0)
    calm = ActivityScorer().score(movie, edges, PixelsInMemory(pixels.masks, {"image": image}))
    image[0] = image[0] + 60 * (pixels.mask(0) == 1)
    busy = ActivityScorer().score(movie, edges, PixelsInMemory(pixels.masks, {"image": image}))
    first = (movie.label[edges.source] == 1) & (movie.frame[edges.source] == 0)
    far = first & (edges.distance > 6)
    assert far.any()
    assert np.all(busy.value[far] > calm.value[far])


def test_grey_values_have_no_scale(two):
    """The same movie in other grey values has the same scores."""
    movie, pixels = painted(walk(5, n_frames=4, n_cells=25, sigma=1.0, extent=70.0))
    rng = np.random.default_rng(1)
    image = {t: (pixels.mask(t) > 0) * 50 + rng.integers(0, 20, pixels.mask(t).shape) for t in range(4)}
    edges = link_nearest(movie)
    told = [
        ActivityScorer().score(movie, edges, PixelsInMemory(pixels.masks, {"i": {t: k * f for t, f in image.items()}}))
        for k in (1, 16)
    ]
    assert told[0].scale is ScoreScale.LOG_DENSITY
    assert np.allclose(told[0].value, told[1].value)
    reach = [t.estimates["reach_px_per_grey_value"] for t in told]
    assert reach[0] == pytest.approx(16 * reach[1])


def test_a_movie_without_images_is_refused_by_name(tmp_path):
    store = DuckDBStore(tmp_path / "plain.trackdb")
    ingest(write_ctc(tmp_path / "plain"), store)
    link(store, store.detection_set())
    with pytest.raises(MissingRowsError, match="activity need images"):
        score(store, store.detection_set(), ScoreConfig("activity"))


def test_points_are_refused_by_name(tmp_path):
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_points(tmp_path / "points.csv"), store)
    link(store, store.detection_set())
    with pytest.raises(MissingRowsError, match="activity need images"):
        score(store, store.detection_set(), ScoreConfig("activity"))
    movie = walk(0, n_frames=2, n_cells=9)
    with pytest.raises(MissingRowsError, match="need label masks"):
        ActivityScorer().score(movie, link_nearest(movie), PixelsInMemory({}, {"i": {0: np.zeros((3, 3))}}))


def test_a_store_with_images_is_scored(solved):
    report = score(solved, solved.detection_set(), ScoreConfig("activity"))
    assert report.scores == "activity"
    assert report.edges > 0


def test_it_is_among_the_scorers():
    assert open_scorer("activity").name == "activity"
