"""Motion of the learned model: Student-t densities, drift of neighbours, and what is learned of links."""

import numpy as np
import pytest
from scipy.stats import multivariate_t

from trackdb.engine.candidates import edges_of
from trackdb.engine.costs.learned.drift import Drift, drift_of, predictors
from trackdb.engine.costs.learned.lineage import Lineage
from trackdb.engine.costs.learned.motion import Motion, learn_motion
from trackdb.engine.costs.learned.student import StudentT, fit_student
from trackdb.engine.costs.learned.surroundings import surroundings_of
from trackdb.testing.movies import cells, walk

SCALE = np.array([[2.0, 0.6], [0.6, 0.5]])


def links_of(edges, n):
    """All edges as links."""
    first = np.full(n, -1)
    first[edges.source] = np.arange(len(edges))
    return Lineage(first, np.full(n, -1), np.ones(n, dtype=bool), edges.source, edges.target)


def still(onward, backward, around, elapsed):
    """What is known of links of n cells to themselves; no two touch."""
    rows = np.arange(len(onward))
    return predictors(Drift(onward, backward, around, around, onward, backward), rows, rows, elapsed)


def test_the_density_is_that_of_scipy():
    residual = np.random.default_rng(0).normal(size=(50, 2)) * 3
    found = StudentT(SCALE, 4.0).log_density(residual)
    assert found == pytest.approx(multivariate_t(shape=SCALE, df=4).logpdf(residual))


def test_scale_and_tails_are_recovered_from_steps():
    drawn = multivariate_t(shape=SCALE, df=4, seed=1).rvs(20_000)
    found = fit_student(drawn, np.eye(2), worth=5)
    assert found.freedom == 4.0
    assert found.scale == pytest.approx(SCALE, rel=0.08, abs=0.03)
    normal = np.random.default_rng(2).multivariate_normal([0, 0], SCALE, 20_000)
    assert fit_student(normal, np.eye(2), worth=5).freedom == 15.0


def test_steps_along_a_line_leave_a_scale_that_is_positive_definite():
    flat = np.c_[np.random.default_rng(3).normal(size=500), np.zeros(500)]
    assert np.linalg.eigvalsh(fit_student(flat, np.eye(2), worth=5).scale).min() > 0


def test_drift_is_the_median_of_the_neighbours_without_the_cell_itself():
    """Four cells go right by 1, a fifth by 9: the median of the others is 1 for each of the five."""
    place = np.array([[0, 0], [0, 10], [10, 0], [10, 10], [5, 5]], dtype=float)
    step = np.array([[0, 1]] * 4 + [[0, 9]], dtype=float)
    movie = cells([0] * 5 + [1] * 5, np.concatenate([place, place + step]))
    edges = edges_of(movie, np.arange(5), np.arange(5, 10))
    found = drift_of(surroundings_of(movie), links_of(edges, 10), np.ones(5))
    assert found.onward[:5] == pytest.approx(step)
    assert found.backward[5:] == pytest.approx(step)
    assert found.around_onward[:5] == pytest.approx(np.array([[0, 1]] * 5))
    assert np.isnan(found.onward[5:]).all()
    assert not found.around_onward[5:].any()


def test_two_neighbours_are_no_drift():
    place = np.array([[0, 0], [0, 10], [10, 0]], dtype=float)
    movie = cells([0] * 3 + [1] * 3, np.concatenate([place, place + 1]))
    edges = edges_of(movie, np.arange(3), np.arange(3, 6))
    found = drift_of(surroundings_of(movie), links_of(edges, 6), np.ones(3))
    assert not found.around_onward.any()


def test_a_link_is_predicted_from_beyond_its_ends_and_never_from_itself():
    """Three frames of one cell, linked throughout: the second link knows what came before, and nothing after."""
    movie = cells([0, 1, 2], [[0, 0], [0, 2], [0, 7]])
    edges = edges_of(movie, np.array([0, 1]), np.array([1, 2]))
    drift = drift_of(surroundings_of(movie), links_of(edges, 3), np.ones(2))
    known = predictors(drift, edges.source, edges.target, np.ones(2))
    assert known.pattern.tolist() == [2, 1]
    assert known.before == pytest.approx(np.array([[0, 0], [0, 2]]))
    assert known.after == pytest.approx(np.array([[0, 5], [0, 0]]))


def touching_pair(swapped):
    """Cells a, b, 1 apart and far from six that stand, go right by 5 a frame for 3 frames; perhaps swapped at first."""
    standing = np.array([[100, 0], [100, 20], [100, 40], [120, 0], [120, 20], [120, 40]], dtype=float)
    place = [np.concatenate([[[0, 5.0 * t], [1, 5.0 * t]], standing]) for t in range(3)]
    movie = cells(np.repeat(np.arange(3), 8), np.concatenate(place))
    number = np.arange(8)
    first = np.r_[[1, 0], number[2:]] if swapped else number
    edges = edges_of(movie, np.arange(16), np.r_[8 + first, 16 + number])
    around = surroundings_of(movie)
    drift = drift_of(around, links_of(edges, 24), np.ones(16))
    return drift, predictors(drift, np.array([8, 8, 9, 9]), np.array([16, 17, 16, 17]), np.ones(4))


def test_a_mistaken_swap_of_cells_that_touch_changes_no_prediction_but_their_own_part():
    """Their steps are (0, 5) each; swapped (1, 5) and (-1, 5), of which the mean is (0, 5) again."""
    _, right = touching_pair(swapped=False)
    _, wrong = touching_pair(swapped=True)
    assert right.before == pytest.approx(np.tile([0.0, 5.0], (4, 1)), abs=0.01)
    assert wrong.before == pytest.approx(right.before, abs=0.01)
    assert right.own_before == pytest.approx(np.zeros((4, 2)), abs=0.01)
    assert wrong.own_before == pytest.approx(np.array([[-1, 0], [-1, 0], [1, 0], [1, 0]]), abs=0.01)


def test_cells_that_do_not_touch_share_no_velocity():
    drift, _ = touching_pair(swapped=False)
    assert drift.shared_backward[10:16] == pytest.approx(np.zeros((6, 2)), abs=0.01)
    lone = np.array([[0, 0], [0, 10], [10, 0], [10, 10]], dtype=float)
    step = np.array([[0, 1], [0, 2], [1, 0], [2, 0]], dtype=float)
    movie = cells([0] * 4 + [1] * 4, np.concatenate([lone, lone + step]))
    edges = edges_of(movie, np.arange(4), np.arange(4, 8))
    found = drift_of(surroundings_of(movie), links_of(edges, 8), np.ones(4))
    assert found.shared_onward[:4] == pytest.approx(step, abs=0.01)


def test_what_cells_that_touch_keep_for_themselves_is_learned_apart_from_what_they_share():
    """Of what they share 0.5 lasts, while 0.6 of their own turns back, as jitter does."""
    rng = np.random.default_rng(7)
    n = 2000
    shared, own = rng.normal(size=(2, n, 2))
    zero, none = np.zeros((n, 2)), np.full((n, 2), np.nan)
    rows = np.arange(n)
    known = predictors(Drift(none, shared + own, zero, zero, none, shared), rows, rows, np.ones(n))
    step = 0.5 * shared - 0.6 * own + rng.normal(0, 0.1, (n, 2))
    motion = Motion.unlearned(1.0, 2, 1)
    for _ in range(4):
        motion = learn_motion(step, known, np.zeros(n, dtype=np.int64), np.ones(n), motion)
    assert motion.coefficient[1] == pytest.approx([0, 0.5, 0, -0.6, 0], abs=0.02)


def test_a_prediction_grows_with_the_time_that_a_link_spans():
    onward, backward = np.full((2, 2), np.nan), np.array([[0.0, 3.0], [np.nan] * 2])
    drift = Drift(onward, backward, np.ones((2, 2)), np.ones((2, 2)), onward, backward)
    known = predictors(drift, np.array([0]), np.array([1]), np.array([2.0]))
    assert known.drift == pytest.approx(np.array([[2, 2]]))
    assert known.before == pytest.approx(np.array([[-2, 4]]))


def test_coefficients_and_scale_are_recovered_from_links():
    """Cells follow 0.8 of the drift and 0.5 of their own velocity; residuals have the scale 0.04."""
    rng = np.random.default_rng(4)
    n = 4000
    drift, before = rng.normal(size=(2, n, 2))
    nothing = np.full((n, 2), np.nan)
    known = still(nothing, before + drift, drift, np.ones(n))
    step = 0.8 * drift + 0.5 * before + rng.normal(0, 0.2, (n, 2))
    motion = Motion.unlearned(1.0, 2, 1)
    for _ in range(4):
        motion = learn_motion(step, known, np.zeros(n, dtype=np.int64), np.ones(n), motion)
    assert motion.coefficient[1] == pytest.approx([0.8, 0.5, 0, 0, 0], abs=0.02)
    assert motion.scale[1] * motion.frame_scale[0] ** 2 == pytest.approx(0.04 * np.eye(2), abs=0.01)


def test_restless_frames_have_a_scale_of_their_own():
    rng = np.random.default_rng(5)
    order = np.repeat(np.arange(30), 100)
    step = rng.normal(size=(len(order), 2)) * np.where(order < 15, 1.0, 3.0)[:, None]
    zero = np.zeros((len(order), 2))
    known = still(np.full_like(zero, np.nan), np.full_like(zero, np.nan), zero, np.ones(len(order)))
    motion = learn_motion(step, known, order, np.ones(len(order)), Motion.unlearned(5.0, 2, 30))
    assert motion.frame_scale[25] / motion.frame_scale[4] == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(("growth", "sigma"), [(1.0, 1.0), (2.0, 2**0.5)])
def test_steps_over_a_missed_frame_tell_whether_cells_diffuse(growth, sigma):
    rng = np.random.default_rng(6)
    elapsed = np.r_[np.ones(3000), np.full(1000, 2.0)]
    step = rng.normal(size=(4000, 2)) * np.where(elapsed == 1, 1.0, sigma)[:, None]
    zero = np.zeros_like(step)
    known = still(np.full_like(zero, np.nan), np.full_like(zero, np.nan), zero, elapsed)
    motion = learn_motion(step, known, np.zeros(4000, dtype=np.int64), elapsed, Motion.unlearned(5.0, 2, 1))
    assert motion.growth == pytest.approx(growth, abs=0.25)


def test_a_few_links_teach_nothing():
    start = Motion.unlearned(3.0, 2, 1)
    zero = np.zeros((5, 2))
    known = still(zero, zero, zero, np.ones(5))
    assert learn_motion(zero, known, np.zeros(5, dtype=np.int64), np.ones(5), start) is start


def test_the_density_of_motion_integrates_to_one():
    """Over a fine grid of targets, drift and a restless frame included."""
    motion = Motion(np.full((4, 5), 0.5), np.stack([SCALE] * 4), 4.0, np.array([1.5]), 2.0, np.eye(2))
    axis = np.arange(-60, 60, 0.25)
    step = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    n = len(step)
    nothing, velocity, common = np.full((1, 2), np.nan), np.full((1, 2), 3.0), np.ones((1, 2))
    drift = Drift(nothing, velocity, common, common, nothing, velocity)
    nobody = np.zeros(n, dtype=np.int64)
    known = predictors(drift, nobody, nobody, np.full(n, 2.0))
    density = np.exp(motion.log_density(step, known, nobody, np.full(n, 2.0)))
    assert density.sum() * 0.25**2 == pytest.approx(1, abs=0.01)


def test_the_density_of_a_restless_frame_and_of_a_longer_time_is_that_of_a_wider_scale():
    """Steps that are 1.5 times as long as usual, over two units of time in which the variance grows by 1.8."""
    motion = Motion(np.zeros((4, 5)), np.stack([SCALE] * 4), 4.0, np.array([1.5]), 1.8, np.eye(2))
    step = np.random.default_rng(0).normal(size=(20, 2)) * 3
    zero, first = np.zeros_like(step), np.zeros(20, dtype=np.int64)
    found = motion.log_density(step, still(zero, zero, zero, np.full(20, 2.0)), first, np.full(20, 2.0))
    assert found == pytest.approx(multivariate_t(shape=SCALE * 1.5**2 * 1.8, df=4).logpdf(step))


def test_cells_in_one_place_are_no_singularity():
    movie = cells([0] * 4, [[1, 1]] * 4)
    around = surroundings_of(movie)
    assert np.isfinite(around.log_density).all()
    assert (around.neighbours[:, :3] >= 0).all()
    assert all(i not in row for i, row in enumerate(around.neighbours.tolist()))


def test_spacing_and_density_are_those_of_a_lattice():
    """Nine by nine cells 2 um apart, one in 4 um^2; inside, the spacing is the radius of a disc of 4 um^2."""
    grid = 2.0 * np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1).reshape(-1, 2)
    around = surroundings_of(cells([0] * 81, grid))
    middle = 40
    assert np.exp(around.log_density[middle]) == pytest.approx(1 / 4, rel=0.35)
    assert around.spacing[middle] == pytest.approx((4 / np.pi) ** 0.5, rel=0.2)


def test_a_lone_cell_of_a_frame_gets_the_usual_spacing():
    movie = walk(1, n_frames=2, n_cells=30)
    lone = cells(np.append(movie.frame, 2), np.append(movie.position_px, [[5.0, 5.0]], axis=0))
    around = surroundings_of(lone)
    assert around.spacing[-1] == pytest.approx(np.median(around.spacing), rel=0.3)
    assert (around.neighbours[-1] == -1).all()
