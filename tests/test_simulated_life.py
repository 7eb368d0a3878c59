"""What simulated cells do: the truth is whole, and motion, births, deaths and crowding are as asked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from trackdb.engine.measure import measure
from trackdb.engine.simulation import Simulation, simulate
from trackdb.engine.simulation.life import live
from trackdb.errors import ConfigError

from .simulations import simulations, steps_and_spacings, within_binomial


@settings(max_examples=40, deadline=None)
@given(simulations())
def test_the_tracks_tell_who_lives_in_each_frame(options):
    movie = simulate(options)
    present = [np.unique(drawn.truth[drawn.truth > 0]).tolist() for drawn in movie]
    label, begin, end, mother = movie.tracks.T
    assert len(present) == options.frames
    assert label.tolist() == list(range(1, len(label) + 1))
    for frame, labels in enumerate(present):
        assert labels == label[(begin <= frame) & (frame <= end)].tolist()
    daughters = mother > 0
    np.testing.assert_array_equal(begin[daughters], end[mother[daughters] - 1] + 1)
    assert np.bincount(mother[daughters], minlength=1).max() <= 2
    assert len(present[0]) == options.cells
    assert np.all(np.diff(begin) >= 0)


@settings(max_examples=15, deadline=None)
@given(simulations())
def test_who_turns_back_at_the_borders_and_never_dies_ends_by_dividing(options):
    movie = simulate(replace(options, open_borders=False, death_rate=0.0))
    for _ in movie.frames(images=False):
        pass
    label, begin, end, mother = movie.tracks.T
    assert np.all(begin[mother == 0] == 0)
    divided = np.isin(label, mother)
    assert set(np.bincount(mother[mother > 0]).tolist()) <= {0, 2}
    assert np.all(end[~divided] == options.frames - 1)


@pytest.mark.parametrize("density", [None, 1.0])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("motion", [0.1, 0.3, 0.5, 0.7])
def test_steps_are_as_long_as_asked_in_units_of_the_spacing(motion, ndim, density):
    options = Simulation(frames=12, cells=250, ndim=ndim, density=density, motion=motion, seed=4)
    step, spacing = steps_and_spacings(options)
    measured = np.median(np.linalg.norm(step, axis=1)) / np.median(spacing)
    assert measured == pytest.approx(motion, rel=0.1)


def test_the_motion_is_that_of_the_masks():
    movie = simulate(Simulation(frames=6, cells=120, motion=0.4, missed=0, false=0, division_rate=0, seed=2))
    before, steps = None, []
    for drawn in movie.frames(images=False):
        regions = measure(drawn.truth)
        if before is not None:
            _, old, new = np.intersect1d(before.label, regions.label, return_indices=True)
            steps.append(regions.centroid_px[new] - before.centroid_px[old])
        before = regions
    _, spacing = steps_and_spacings(movie.settings)
    median = np.median(np.linalg.norm(np.concatenate(steps), axis=1))
    assert median / np.median(spacing) == pytest.approx(0.4, rel=0.12)


def test_all_drift_together_and_wander_besides():
    step, spacing = steps_and_spacings(Simulation(frames=12, cells=250, motion=0.2, drift=0.5, seed=1))
    common = step.mean(axis=0)
    assert np.linalg.norm(common) / np.median(spacing) == pytest.approx(0.5, rel=0.1)
    assert np.median(np.linalg.norm(step - common, axis=1)) / np.median(spacing) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("persistence", [0.0, 0.8])
def test_a_step_goes_on_with_the_last_one_as_asked(persistence):
    options = Simulation(
        frames=6, cells=300, density=0.05, motion=0.2, persistence=persistence, division_rate=0, death_rate=0,
        open_borders=False, seed=3,
    )  # fmt: skip
    path = np.stack([scene.position for scene in live(options)])
    step = np.diff(path, axis=0)
    assert np.corrcoef(step[1:].ravel(), step[:-1].ravel())[0, 1] == pytest.approx(persistence, abs=0.06)


def test_cells_without_motion_stay():
    options = Simulation(frames=5, cells=60, density=0.02, motion=0, division_rate=0, death_rate=0)
    step, _ = steps_and_spacings(options)
    assert np.median(np.linalg.norm(step, axis=1)) < 0.05


def test_grown_cells_divide_and_all_cells_die_at_the_rates_asked_for():
    options = Simulation(frames=40, cells=150, density=0.05, division_rate=0.03, death_rate=0.01, open_borders=False)
    movie = simulate(options)
    grown = alive = 0
    for scene in list(live(options))[:-1]:
        alive += len(scene)
        grown += np.count_nonzero(scene.radius > 0.8 * options.radius)
    for _ in movie.frames(images=False):
        pass
    label, _, end, mother = movie.tracks.T
    divided = np.isin(label, mother)
    assert within_binomial(np.count_nonzero(divided), grown, 0.03)
    assert within_binomial(np.count_nonzero(~divided & (end < options.frames - 1)), alive, 0.01)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("open_borders", [True, False])
def test_a_movie_goes_on_when_all_cells_are_dead(ndim, open_borders):
    options = Simulation(frames=4, cells=5, ndim=ndim, death_rate=1.0, open_borders=open_borders)
    drawn = list(simulate(options))
    assert [np.count_nonzero(np.unique(d.truth)) for d in drawn] == [5, 0, 0, 0]
    assert all(not d.mask.any() and d.image.std() > 0 for d in drawn[1:])


def test_cells_come_and_go_and_their_number_stays():
    options = Simulation(frames=40, cells=100, motion=0.3, division_rate=0, death_rate=0, seed=5)
    movie = simulate(options)
    counts = [len(measure(drawn.truth)) for drawn in movie.frames(images=False)]
    _, begin, end, mother = movie.tracks.T
    came, went = np.count_nonzero(begin > 0), np.count_nonzero(end < options.frames - 1)
    assert not mother.any()
    assert came > 50
    assert went == pytest.approx(came, rel=0.25)
    assert np.mean(counts) == pytest.approx(100, rel=0.1)


def test_a_full_frame_stops_dividing():
    options = Simulation(frames=120, cells=4, division_rate=0.5, death_rate=0, open_borders=False, shape_px=(80, 80))
    last = max(measure(drawn.truth).area.sum() for drawn in simulate(options).frames(images=False))
    assert 0.25 * 80 * 80 < last < 0.6 * 80 * 80


@pytest.mark.parametrize(("ndim", "cells"), [(2, 200), (3, 100)])
@pytest.mark.parametrize("density", [0.08, 0.4, 0.9])
def test_cells_fill_the_share_of_the_frame_that_is_asked_for(ndim, cells, density):
    drawn = next(simulate(Simulation(cells=cells, ndim=ndim, density=density, seed=6)).frames(images=False))
    inner = drawn.truth[(slice(10, -10),) * ndim]  # cells at the border are not all in the truth
    assert np.mean(inner > 0) == pytest.approx(density, rel=0.15)


def test_at_confluence_cells_touch_and_hardly_any_gap_is_left():
    def touching(density):
        drawn = next(simulate(Simulation(cells=150, density=density, seed=6)).frames(images=False))
        a, b = drawn.truth[:, 1:], drawn.truth[:, :-1]
        met = (a != b) & (a > 0) & (b > 0)
        return len(np.unique(np.concatenate([a[met], b[met]]))) / 150, np.mean(drawn.truth[10:-10, 10:-10] == 0)

    assert touching(0.05)[0] < 0.2
    assert touching(1.0)[0] > 0.95
    assert touching(1.0)[1] < 0.06


def test_cells_are_round_in_micrometres():
    options = Simulation(ndim=3, cells=30, scale_um=(2.0, 0.5, 0.5), seed=2)
    drawn = next(simulate(options).frames(images=False))
    regions = measure(drawn.truth)
    size = regions.features.bbox_max - regions.features.bbox_min
    inside = np.all((regions.features.bbox_min > 0) & (regions.features.bbox_max < drawn.truth.shape), axis=1)
    assert inside.sum() >= 3
    deep, wide = size[inside, 0].mean() * 2.0, size[inside, 1:].mean() * 0.5
    assert deep == pytest.approx(wide, rel=0.3)


def test_a_shape_and_a_density_tell_the_radius():
    options = Simulation(cells=50, shape_px=(200, 300), density=0.5)
    assert options.covered == pytest.approx(0.5)
    assert options.shape == (200, 300)


def test_the_same_seed_gives_the_same_movie_and_another_seed_another():
    one, again, other = (list(simulate(Simulation(frames=3, cells=5, seed=seed))) for seed in (1, 1, 2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_array_equal(a.image, b.image)
    assert one[0].truth.shape != other[0].truth.shape or not np.array_equal(one[0].truth, other[0].truth)


@settings(max_examples=10, deadline=None)
@given(simulations())
def test_a_movie_read_from_the_middle_is_the_end_of_the_whole_one(options):
    whole = list(simulate(options))
    middle = options.frames // 2
    movie = simulate(options)
    for a, b in zip(whole[middle:], movie.frames(middle), strict=True):
        assert a.frame == b.frame
        for name in ("truth", "mask", "image"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(movie.tracks[:, 0], np.arange(len(movie.tracks)) + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, got 0"),
        ({"cells": -2}, "cells must be at least 1, got -2"),
        ({"ndim": 4}, "space axes must be between 2 and 3, got 4"),
        ({"division_rate": 1.5}, "division rate must be between 0 and 1, got 1.5"),
        ({"death_rate": -1}, "death rate must be between 0 and 1, got -1"),
        ({"motion": -0.1}, "motion must be between 0 and 5, got -0.1"),
        ({"motion": float("inf")}, "motion must be between 0 and 5, got inf"),
        ({"persistence": 1}, "persistence must be between 0 and 0.99, got 1"),
        ({"drift": 9}, "drift must be between 0 and 5, got 9"),
        ({"density": 1.2}, "density must be between 0.001 and 1, got 1.2"),
        ({"radius_px": 0}, "radius must be between 1 and 1000, got 0"),
        ({"missed": -0.1}, "missed must be between 0 and 1, got -0.1"),
        ({"false": float("nan")}, "false must be between 0 and 1, got nan"),
        ({"ragged_px": -1}, "ragged outlines must be between 0 and 10, got -1"),
        ({"missed": 0.5, "merged": 0.3}, "more cells are missed, split and merged than there are"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"modality": "x-ray"}, "there is no modality x-ray; expected: nuclei or phase"),
        ({"condition": "c"}, "there is no condition c; expected: a or b"),
        ({"modality": "phase", "ndim": 3}, "phase contrast images are flat"),
        ({"scale_um": (1.0, 0.5, 0.5)}, "the voxel size of a 2D movie needs 2 numbers"),
        ({"scale_um": (1.0, -0.5)}, "a voxel size needs positive numbers"),
        ({"interval_s": 0.0}, "the frame interval must be positive"),
        ({"cells": 100, "shape_px": (100, 90)}, "100 cells do not fit into 100 x 90 pixels; try: fewer cells"),
        ({"shape_px": (20, 400)}, r"a frame needs 36 pixels a side, got \(20, 400\)"),
        ({"shape_px": (20, 400, 400)}, "the shape of a 2D movie needs 2 numbers"),
        ({"shape_px": (0, 400)}, "a frame has no pixels"),
        ({"shape_px": (10**6, 10**6)}, "is too large; expected: 2,147,483,648 at most"),
        ({"cells": 10**9}, "is too large"),
        ({"shape_px": (99, 99), "density": 0.2, "radius_px": 5}, "one follows from the others; try: two of them"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Simulation(**options)
