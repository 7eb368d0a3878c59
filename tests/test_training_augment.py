"""Windows that are turned, stretched and shaken: what changes with what, and what never changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.measure import measure
from trackdb.engine.training.association import augment
from trackdb.engine.training.association.augment import LEVELS, augmented, each_frame_by_itself
from trackdb.engine.training.association.examples import Example, weights

KINDS = ("flat", "slice", "volume")
"""A flat movie, the same as a slice of a volume, and a volume."""
CHANGES = ("flipped", "stretched", "brightened", "adrift", "shaken", "shifted", "each_frame_by_itself")
SEEDS = st.integers(0, 2**32)


def example(kind="flat", seed=0, n=30, features=True):
    """A window of four frames of cells of any shape; frames begin at 7."""
    rng = np.random.default_rng(seed)
    axes = 2 if kind == "flat" else 3
    frame = np.sort(rng.integers(7, 11, n))
    places = np.column_stack([frame, rng.uniform(0, 200, (n, axes))])
    if kind == "slice":
        places[:, 1] = 0
    root = rng.normal(0, 3, (n, axes, axes))
    shape = [rng.uniform(5, 20, n), rng.uniform(0, 1, n), (root @ root.swapaxes(1, 2)).reshape(n, -1), np.zeros(n)]
    told = np.column_stack(shape) if features else np.empty((n, 0))
    associated = np.equal.outer(np.arange(n) % 5, np.arange(n) % 5)
    return Example(frame, places.astype(np.float32), told.astype(np.float32), associated, weights(frame, associated))


def changed(name, window, seed):
    return getattr(augment, name)(window, np.random.default_rng(seed))


def inertia(window):
    axes = window.places.shape[1] - 1
    return window.features[:, 2:-1].reshape(-1, axes, axes)


def matrix_between(before, after):
    """Return the matrix and the residuals of the affine map between the places of two examples."""
    known = np.column_stack([before.places[:, 1:], np.ones(len(before))]).astype(np.float64)
    found, *_ = np.linalg.lstsq(known, after.places[:, 1:].astype(np.float64))
    return found[:-1].T, after.places[:, 1:] - known @ found


def same(a, b):
    names = ("frame", "places", "features", "associated", "weight")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("features", [True, False])
@given(seed=SEEDS, level=st.sampled_from(LEVELS), each_frame=st.booleans())
def test_cells_keep_their_times_and_their_relatives(kind, features, seed, level, each_frame):
    before = example(kind, seed % 7, features=features)
    after = augmented(before, np.random.default_rng(seed), level, each_frame=each_frame)
    assert np.array_equal(after.places[:, 0], before.places[:, 0])
    for name in ("frame", "associated", "weight"):
        assert getattr(after, name) is getattr(before, name)
    assert after.features.shape == before.features.shape
    assert after.places.dtype == after.features.dtype == np.float32
    again = augmented(before, np.random.default_rng(seed), level, each_frame=each_frame)
    assert same(after, again)


def test_level_0_changes_nothing():
    before = example()
    rng = np.random.default_rng(3)
    assert augmented(before, rng, 0) is before
    assert rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize("name", CHANGES)
def test_an_example_that_is_changed_stays_as_it_was_itself(name):
    before, untouched = example(), example()
    assert not same(changed(name, before, 1), untouched)
    assert same(before, untouched)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=SEEDS)
def test_diameters_and_inertia_follow_the_places(kind, seed):
    """Whatever matrix moves the places scales diameters by the root of its determinant, and turns inertia."""
    before = example(kind, 1)
    for name in ("flipped", "stretched"):
        after = changed(name, before, seed)
        matrix, residual = matrix_between(before, after)
        if kind == "slice":
            matrix[0] = matrix[:, 0] = [1, 0, 0]  # no place tells what happens along z: nothing
        assert np.abs(residual).max() < 1e-3
        axes = len(matrix)
        scale = abs(np.linalg.det(matrix)) ** (1 / axes)
        np.testing.assert_allclose(after.features[:, 0], before.features[:, 0] * scale, rtol=1e-4)
        np.testing.assert_allclose(inertia(after), matrix @ inertia(before) @ matrix.T, rtol=1e-3, atol=2e-2)
        assert np.array_equal(after.features[:, [1, -1]], before.features[:, [1, -1]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["flipped", "stretched"])
@given(seed=SEEDS)
def test_a_cell_in_the_middle_of_the_window_stays_where_it_is(name, kind, seed):
    before = example(kind)
    places = before.places[:, 1:]
    places[0] = (places.min(axis=0) + places.max(axis=0)) / 2
    np.testing.assert_allclose(changed(name, before, seed).places[0], before.places[0], atol=1e-3)


@given(seed=SEEDS)
def test_mirrors_keep_lengths_and_shapes(seed):
    before = example("volume")
    after = changed("flipped", before, seed)
    matrix, _ = matrix_between(before, after)
    np.testing.assert_allclose(np.abs(matrix), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(np.linalg.eigvalsh(inertia(after)), np.linalg.eigvalsh(inertia(before)), rtol=1e-3)


@given(seed=SEEDS)
def test_turns_keep_the_determinant_of_inertia(seed):
    before = example()
    angle = np.random.default_rng(seed).uniform(-np.pi, np.pi)
    after = augment._moved(before, augment._turn(angle))
    np.testing.assert_allclose(np.linalg.det(inertia(after)), np.linalg.det(inertia(before)), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(after.features[:, 0], before.features[:, 0], rtol=1e-5)


def test_a_quarter_turn_gives_the_features_of_the_turned_image():
    mask = np.zeros((40, 40), np.uint8)
    mask[5:9, 6:20], mask[20:34, 22:25], mask[30:36, 5:12] = 1, 2, 3
    mask[9:12, 6:8] = 1  # aslant
    here, there = measure(mask), measure(np.rot90(mask).copy())

    def told(regions):
        diameter = np.sqrt(4 * regions.area / np.pi)
        columns = [diameter, np.ones(3), regions.features.inertia_px2.reshape(3, 4), np.zeros(3)]
        places = np.column_stack([np.zeros(3), regions.centroid_px]).astype(np.float32)
        frame, nobody = np.zeros(3, np.int64), np.zeros((3, 3))
        features = np.column_stack(columns).astype(np.float32)
        return Example(frame, places, features, nobody.astype(bool), nobody.astype(np.float32))

    turned = augment._moved(told(here), np.array([[0.0, -1.0], [1.0, 0.0]]))  # (y, x) -> (-x, y)
    np.testing.assert_allclose(turned.features, told(there).features, rtol=1e-5, atol=1e-4)
    off = turned.places - told(there).places
    np.testing.assert_allclose(off, np.tile(off[0], (3, 1)), atol=1e-4)


def test_stretching_reaches_what_it_should_and_no_further():
    before = example("volume")
    found = [matrix_between(before, changed("stretched", before, seed))[0] for seed in range(300)]
    depth = np.array([matrix[0, 0] for matrix in found])
    flat = np.array([np.linalg.svd(matrix[1:, 1:], compute_uv=False) for matrix in found])
    assert 0.5 <= depth.min() < 0.55
    assert 1.95 < depth.max() <= 2
    assert flat.min() > 0.5 * 0.89
    assert flat.max() < 2 * 1.11
    assert all(np.abs(matrix[0, 1:]).max() < 1e-5 and np.abs(matrix[1:, 0]).max() < 1e-4 for matrix in found)


@pytest.mark.parametrize("name", ["flipped", "stretched", "adrift", "shaken", "each_frame_by_itself"])
def test_a_slice_stays_in_its_plane(name):
    before = example("slice")
    after = changed(name, before, 1)
    assert (after.places[:, 1] == 0).all()
    assert not np.array_equal(after.places, before.places)
    np.testing.assert_allclose(inertia(after)[:, 0, 0], inertia(before)[:, 0, 0])


@given(seed=SEEDS)
def test_brightness_changes_for_all_cells_alike(seed):
    before = example()
    after = changed("brightened", before, seed)
    factor, offset = np.polyfit(before.features[:, 1], after.features[:, 1], 1)
    np.testing.assert_allclose(factor * before.features[:, 1] + offset, after.features[:, 1], atol=1e-5)
    assert 0.5 - 1e-4 < factor < 2 + 1e-4
    assert abs(offset) < 0.1 + 1e-4
    assert np.array_equal(np.delete(after.features, 1, axis=1), np.delete(before.features, 1, axis=1))
    assert np.array_equal(after.places, before.places)


@given(seed=SEEDS)
def test_drift_grows_with_time(seed):
    before = example("volume")
    after = changed("adrift", before, seed)
    step = after.places[:, 1:] - before.places[:, 1:]
    time = before.frame - before.frame[0]
    pace = step[time == 1][0]
    assert np.abs(pace).max() <= 10.001
    np.testing.assert_allclose(step, time[:, None] * pace, atol=1e-3)


@given(seed=SEEDS)
def test_shaking_moves_each_cell_a_little(seed):
    before = example("volume")
    step = changed("shaken", before, seed).places - before.places
    assert np.abs(step).max() <= 3.001
    assert len(np.unique(step[:, 1:])) > 80


@given(seed=SEEDS)
def test_the_last_shift_is_of_whole_pixels_for_all_cells_alike(seed):
    before = example("slice")
    step = changed("shifted", before, seed).places - before.places
    np.testing.assert_allclose(step, np.tile(np.rint(step[0]), (len(before), 1)), atol=1e-3)
    assert step.min() > -1e-3
    assert step.max() < 511.001


def test_each_frame_moves_by_itself():
    before = example(n=200)
    after = each_frame_by_itself(before, np.random.default_rng(2))
    found = []
    for t in range(7, 11):
        rows = before.frame == t
        part, moved = (
            Example(
                w.frame[rows], w.places[rows], w.features[rows], w.associated[:, rows][rows], w.weight[:, rows][rows]
            )
            for w in (before, after)
        )
        matrix, noise = matrix_between(part, moved)
        assert 0.7 < noise.std() < 1.3
        assert np.abs(matrix - np.eye(2)).max() < 0.15
        found.append(matrix)
    assert len({round(float(matrix[0, 1]), 3) for matrix in found}) == 4


def test_levels_add_changes(monkeypatch):
    called = []

    def noted(name):
        def change(window, rng):
            called.append(name)
            return window

        return change

    kinds = [(least, 1.0, noted(change.__name__)) for least, _, change in augment.CHANGES]
    monkeypatch.setattr(augment, "CHANGES", tuple(kinds))
    told = []
    for level in LEVELS:
        called.clear()
        augmented(example(), np.random.default_rng(0), level)
        told.append(list(called))
    assert told == [
        [],
        ["flipped"],
        ["flipped", "stretched", "brightened"],
        ["flipped", "stretched", "brightened", "adrift", "shaken"],
    ]
