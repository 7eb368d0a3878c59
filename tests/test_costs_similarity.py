"""What a similarity is worth: learned odds against known ones, laws of scale and order, and overlaps that divide."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from trackdb.engine.candidates import density_of, link_nearest
from trackdb.engine.costs import as_densities, fit, problem_from
from trackdb.engine.costs.similarity import covered_share, learn_odds
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer
from trackdb.errors import SchemaError
from trackdb.solvers import open_solver
from trackdb.testing.movies import cells, measured, painted, walk

from .movies import CENTRES, square_mask

SIMILARITY, IOU = ScoreScale.SIMILARITY, ScoreScale.IOU


def crossing(seed=0, n_cells=80):
    """Cells that walk so far that distance alone mistakes them; the right edges, and a number that knows better."""
    movie = walk(seed, n_frames=10, n_cells=n_cells, sigma=0.45, extent=n_cells**0.5)
    edges = link_nearest(movie)
    right = edges.target - edges.source == n_cells
    rng = np.random.default_rng(seed + 1)
    return movie, edges, right, np.where(right, 1.5, -1.5) + rng.normal(0, 1, len(edges))


def solved(movie, edges, scores):
    rates = fit(movie, edges, scores)
    return open_solver("ilp").solve(problem_from(movie, edges, scores, rates)).edge


def share_found(right, chosen):
    return np.count_nonzero(right & chosen) / np.count_nonzero(right)


# -- what is learned --------------------------------------------------------------------------------------------------


def test_known_odds_are_learned_from_shares_that_begin_wrong():
    """Each target has ten candidates of which one is its parent; log odds are -2 + 1.5 x by construction."""
    rng = np.random.default_rng(0)
    n, k, slope = 4000, 10, 1.5
    parent = rng.integers(0, k, n)
    is_parent = np.arange(k) == parent[:, None]
    x = rng.normal(np.where(is_parent, slope, 0.0), 1.0)  # ln f1 / f0 = slope x - slope^2 / 2
    flat = rng.normal(0, 1, (n, k))
    target = np.repeat(np.arange(n), k)
    start = 0.7 * x.ravel() - 1
    offset, slopes = learn_odds(np.stack([x.ravel(), flat.ravel()], axis=1), target, start)
    assert slopes[0] == pytest.approx(slope, rel=0.2)
    assert slopes[1] < 0.1
    assert offset == pytest.approx(-np.log(k - 1) - slope**2 / 2, abs=0.5)


@pytest.mark.parametrize("n", [3, 30])
def test_candidates_that_a_number_parts_without_an_error_keep_sure_and_finite_odds(n):
    """Few targets, three candidates each, of which the first lies far above the others: nothing runs away."""
    x = np.tile([9.0, 0.0, 0.1], n)
    target = np.repeat(np.arange(n), 3)
    for start in (x - 4, np.tile([20.0, -2000.0, -3000.0], n)):
        offset, slopes = learn_odds(np.stack([x, -(x**2)], axis=1), target, start)
        odds = offset + slopes @ np.stack([x, -(x**2)])
        assert odds[0] > 2
        assert np.abs(odds).max() < 40
        assert max(odds[1], odds[2]) < -2


def test_a_number_that_knows_better_than_distance_is_believed():
    movie, edges, right, x = crossing()
    by_distance = solved(movie, edges, open_scorer("distance").score(movie, edges))
    both = solved(movie, edges, Scores(x, SIMILARITY))
    assert share_found(right, by_distance) < 0.85
    assert share_found(right, both) > 0.95


@pytest.mark.parametrize("worthless", ["noise", "constant", "turned round"])
def test_a_number_that_tells_nothing_leaves_distance_alone(worthless):
    movie, edges, right, x = crossing()
    number = {"noise": np.random.default_rng(5).normal(size=len(x)), "constant": np.zeros(len(x)), "turned round": -x}
    known = as_densities(movie, edges, Scores(number[worthless], SIMILARITY))
    assert known.estimates["nats_per_score"] == pytest.approx(0, abs=0.15)
    assert known.estimates["nats_per_nat_of_distance"] > 0.3
    plain = solved(movie, edges, open_scorer("distance").score(movie, edges))
    assert share_found(right, solved(movie, edges, known)) > share_found(right, plain) - 0.03


def test_a_child_lies_with_the_density_of_other_cells_times_its_odds():
    movie, edges, right, x = crossing()
    known = as_densities(movie, edges, Scores(x, SIMILARITY))
    odds = known.value - np.log(density_of(movie, thinnest=float(edges.distance.max())))
    # calibrated: of the candidates with odds around a value, as many are right as the odds say
    bins = np.digitize(odds, [-4, -2, 0, 2, 4])
    for b in range(6):
        inside = bins == b
        if inside.sum() > 30:
            assert right[inside].mean() == pytest.approx(expit(odds[inside]).mean(), abs=0.1)


# -- laws -------------------------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_another_unit_of_the_similarity_changes_nothing(scale, shift):
    movie, edges, _, x = crossing(n_cells=30)
    here = as_densities(movie, edges, Scores(x, SIMILARITY)).value
    there = as_densities(movie, edges, Scores(scale * x + shift, SIMILARITY)).value
    assert there == pytest.approx(here, abs=0.02)


@pytest.mark.parametrize("power", [-10, 7])
def test_another_unit_of_length_shifts_all_log_densities_alike(power):
    movie, edges, _, x = crossing(n_cells=30)
    other = replace(movie, position_px=movie.position_px * 2.0**power)
    here = as_densities(movie, edges, Scores(x, SIMILARITY)).value
    there = as_densities(other, replace(edges, distance=edges.distance * 2.0**power), Scores(x, SIMILARITY)).value
    assert there == pytest.approx(here - 2 * power * np.log(2), abs=1e-3)


def test_more_is_never_less_likely():
    movie, edges, _, x = crossing(n_cells=30)
    low = as_densities(movie, edges, Scores(x, SIMILARITY))
    slope = low.estimates["nats_per_score"]
    order = np.argsort(x)
    same_distance = replace(edges, distance=np.full(len(edges), 1.0))
    value = as_densities(movie, same_distance, Scores(x, SIMILARITY)).value
    assert slope > 0
    assert np.all(np.diff(value[order]) >= 0)


def test_each_gap_learns_its_own_worth():
    movie = walk(4, n_frames=8, n_cells=40, sigma=0.3, extent=7.0)
    edges = link_nearest(movie, max_gap=1)
    right = edges.target - edges.source == 40 * edges.frames
    x = np.where(right, 1.0, 0.0) * np.where(edges.frames == 2, 0.01, 1.0)
    known = as_densities(movie, edges, Scores(x, SIMILARITY))
    worth = known.estimates
    assert worth["nats_per_score_over_2_frames"] > 20 * worth["nats_per_score"] > 0
    for gap in (1, 2):
        rows = edges.frames == gap
        assert known.value[rows & right].min() > np.quantile(known.value[rows & ~right], 0.9)


@pytest.mark.parametrize("scale", [ScoreScale.LOG_DENSITY, ScoreScale.PROBABILITY])
def test_scales_that_say_what_they_mean_are_left_as_they_are(scale):
    movie, edges, _, _ = crossing(n_cells=10)
    scores = Scores(np.zeros(len(edges)), scale)
    assert as_densities(movie, edges, scores) is scores


def test_hardly_any_candidates_have_finite_densities():
    for place in ([[3, 3], [3, 3]], [[3, 3], [3, 4]], [[0, 0], [9, 9], [0, 0], [9, 9]]):
        movie = cells(np.repeat([0, 1], len(place) // 2), place)
        edges = link_nearest(movie)
        for x in (np.zeros(len(edges)), np.linspace(0, 1e6, len(edges))):
            assert np.isfinite(as_densities(movie, edges, Scores(x, SIMILARITY)).value).all()
    assert len(as_densities(movie, edges.take(slice(0)), Scores(np.empty(0), SIMILARITY))) == 0


# -- overlaps ---------------------------------------------------------------------------------------------------------


def test_the_covered_share_of_a_target_by_hand():
    """Two cells of 20 and 10 pixels share 5: IoU 5 / 25, and half of the target is covered."""
    movie = replace(cells([0, 1], [[0, 0], [0, 1]]), area=np.array([20.0, 10.0]))
    assert covered_share(movie, link_nearest(movie), np.array([5 / 25])) == pytest.approx([0.5])


def test_overlaps_of_points_are_refused():
    movie = cells([0, 1], [[0, 0], [0, 1]])
    with pytest.raises(SchemaError, match="areas"):
        as_densities(movie, link_nearest(movie), Scores(np.array([0.5]), IOU))


def test_daughters_that_halve_their_mother_are_found_where_distance_finds_none():
    """A tissue of bricks of 12 x 20 pixels that drifts; one brick in ten splits into its left and its right half.

    The halves lie 5 pixels from the mother's centre; every brick shakes by up to 3 pixels each frame.
    """
    rng = np.random.default_rng(3)
    bricks = [[(y, x, 20) for y in range(0, 120, 12) for x in range(0, 200, 20)]]
    mothers = []
    for _ in range(5):
        after, born = [], []
        for row, (y, x, width) in enumerate(bricks[-1]):
            if width == 20 and rng.random() < 0.1:
                after += [(y, x, 10), (y, x + 10, 10)]
                born += [row, row]
            else:
                after.append((y, x, width))
                born.append(row)
        bricks.append(after)
        mothers.append(born)
    masks = []
    for t, frame in enumerate(bricks):
        mask = np.zeros((150, 240), np.uint32)
        for label, (y, x, width) in enumerate(frame, start=1):
            dy, dx = rng.integers(-2, 3, 2)
            mask[10 + y + t + dy : 10 + y + t + dy + 10, 10 + x + 2 * t + dx : 10 + x + 2 * t + dx + width - 2] = label
        masks.append(mask)
    movie, pixels = measured(*masks)
    start = np.append(0, np.cumsum([len(frame) for frame in bricks]))
    true = {(int(start[t] + m), int(start[t + 1] + d)) for t, born in enumerate(mothers) for d, m in enumerate(born)}
    edges = link_nearest(movie)

    def divisions(scores):
        chosen = edges.take(solved(movie, edges, scores))
        links = set(zip(chosen.source.tolist(), chosen.target.tolist(), strict=True))
        found = np.flatnonzero(np.bincount(chosen.source) == 2)
        return len(links & true) / len(true), len(found)

    overlap = open_scorer("overlap").score(movie, edges, pixels)
    n_true = sum(len(frame) for frame in bricks[1:]) - sum(len(frame) for frame in bricks[:-1])
    share, found = divisions(overlap)
    assert share > 0.97
    assert found == pytest.approx(n_true, abs=4)
    # the plain reading, in which daughters that overlap by a third are more likely new, has none
    assert divisions(Scores(overlap.value, ScoreScale.PROBABILITY))[1] == 0


def test_a_movie_of_nine_cells_is_linked_by_overlap():
    """So few candidates are parted without an error; the odds stay sane, and the cells that overlap are linked."""
    movie, pixels = measured(*map(square_mask, CENTRES))
    edges = link_nearest(movie)
    overlap = open_scorer("overlap").score(movie, edges, pixels)
    chosen = solved(movie, edges, overlap)
    assert chosen.tolist() == (overlap.value > 0).tolist()
    assert np.count_nonzero(chosen) == 5


def test_overlaps_of_discs_say_no_more_than_distance():
    """The overlap of two discs of one size is their distance told twice: the links stay those of distance."""
    movie, pixels = painted(walk(8, n_frames=8, n_cells=40, sigma=2.5, extent=120.0), radius=5.0)
    edges = link_nearest(movie)
    right = edges.target - edges.source == 40
    by_distance = solved(movie, edges, open_scorer("distance").score(movie, edges))
    by_overlap = solved(movie, edges, open_scorer("overlap").score(movie, edges, pixels))
    assert share_found(right, by_overlap) > share_found(right, by_distance) - 0.02
