"""Simulated movies and points: what is promised of the truth, of the errors, and of the files."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.lineages import label_lineages
from trackdb.engine.measure import measure
from trackdb.engine.progress import Recorded
from trackdb.engine.simulation import Simulation, simulate, simulate_points, write_simulated
from trackdb.errors import ConfigError, FormatError

SMALL = Simulation(frames=8, cells=12, division_rate=0.1, missed=0.1, false=0.1, seed=3)

SETTINGS = st.builds(
    Simulation,
    frames=st.integers(1, 12),
    cells=st.integers(1, 15),
    division_rate=st.floats(0, 0.5),
    missed=st.floats(0, 1),
    false=st.floats(0, 1),
    seed=st.integers(0, 2**40),
)


@settings(max_examples=25, deadline=None)
@given(SETTINGS)
def test_the_tracks_tell_who_lives_in_each_frame(options):
    movie = simulate(options)
    present = [np.unique(drawn.truth[drawn.truth > 0]).tolist() for drawn in movie]
    label, begin, end, mother = movie.tracks.T
    assert len(present) == options.frames
    for frame, labels in enumerate(present):
        assert labels == label[(begin <= frame) & (frame <= end)].tolist()
    daughters = mother > 0
    np.testing.assert_array_equal(begin[daughters], end[mother[daughters] - 1] + 1)
    assert set(np.bincount(mother[daughters]).tolist()) <= {0, 2}
    assert np.all(begin[~daughters] == 0)
    divided = np.isin(label, mother)
    assert np.all(end[~divided] == options.frames - 1)  # nobody dies, nobody leaves


@settings(max_examples=20, deadline=None)
@given(SETTINGS)
def test_masks_are_the_truth_but_for_missed_and_false_cells(options):
    for drawn in simulate(options):
        pairs = np.stack(divmod(np.unique(drawn.truth.astype(np.int64) * 10_000 + drawn.mask), 10_000), axis=1)
        both = pairs[(pairs > 0).all(axis=1)]
        seen = both[np.isin(both[:, 0], pairs[pairs[:, 1] == 0, 0], invert=True)]
        assert len(np.unique(seen[:, 0])) == len(seen)  # one label for one cell
        if options.missed == 0:
            assert len(seen) == len(np.unique(drawn.truth)) - 1
        if options.false == 0:
            assert set(pairs[pairs[:, 0] == 0, 1].tolist()) <= {0}


def test_the_rates_of_errors_are_those_asked_for():
    movie = simulate(Simulation(frames=25, cells=80, missed=0.1, false=0.2, seed=1))
    cells = missed = false = 0
    for drawn in movie:
        detected = np.unique(drawn.mask[drawn.truth > 0])
        found = np.unique(drawn.truth[(drawn.truth > 0) & (drawn.mask > 0)])
        n = len(measure(drawn.truth))
        cells, missed = cells + n, missed + n - len(found)
        false += len(np.setdiff1d(np.unique(drawn.mask), np.append(detected, 0)))
    assert missed / cells == pytest.approx(0.1, abs=0.025)
    assert 0.1 < false / cells < 0.2  # some are hidden behind true cells


def test_labels_of_the_masks_carry_no_identity():
    movie = simulate(Simulation(frames=2, cells=40, division_rate=0, missed=0, false=0))
    first, second = (dict(zip(d.truth.ravel().tolist(), d.mask.ravel().tolist(), strict=True)) for d in movie)
    assert first.keys() == second.keys()
    assert sum(first[cell] == second[cell] for cell in first if cell) < 8


def test_the_same_seed_gives_the_same_movie_and_another_seed_another():
    one, again, other = (list(simulate(Simulation(frames=3, cells=5, seed=seed))) for seed in (1, 1, 2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_array_equal(a.image, b.image)
    assert not np.array_equal(one[0].truth, other[0].truth)


def test_cells_are_bright_in_the_image_those_missed_too():
    drawn = next(iter(simulate(Simulation(cells=30, missed=1.0, false=0.0))))
    assert drawn.image.dtype == np.uint16
    assert not drawn.mask.any()
    assert drawn.image[drawn.truth > 0].mean() > 3 * drawn.image[drawn.truth == 0].mean()


def test_a_full_frame_stops_dividing():
    movie = simulate(Simulation(frames=120, cells=4, division_rate=0.5, shape_px=(80, 80)))
    last = max(measure(drawn.truth).area.sum() for drawn in movie)
    assert 0.25 * 80 * 80 < last < 0.6 * 80 * 80


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames must be at least 1, got 0"),
        ({"cells": -2}, "cells must be at least 1, got -2"),
        ({"division_rate": 1.5}, "division rate must be between 0 and 1, got 1.5"),
        ({"missed": -0.1}, "missed must be between 0 and 1, got -0.1"),
        ({"false": float("nan")}, "false must be between 0 and 1, got nan"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"cells": 100, "shape_px": (100, 90)}, "100 cells do not fit into 100 x 90 pixels; try: fewer cells"),
        ({"shape_px": (20, 400)}, r"a frame needs 36 pixels a side, got \(20, 400\)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Simulation(**options)


def test_the_files_are_those_of_the_challenge_and_hold_the_movie(tmp_path):
    folder = tmp_path / "deep" / "movie"
    progress = Recorded()
    n_tracks = write_simulated(folder, SMALL, progress=progress)
    movie = simulate(SMALL)
    for drawn in movie:
        truth = tifffile.imread(folder / "01_GT" / "TRA" / f"man_track{drawn.frame:03d}.tif")
        np.testing.assert_array_equal(truth, drawn.truth)
        np.testing.assert_array_equal(tifffile.imread(folder / "01_SEG" / f"mask{drawn.frame:03d}.tif"), drawn.mask)
        np.testing.assert_array_equal(tifffile.imread(folder / "01" / f"t{drawn.frame:03d}.tif"), drawn.image)
    np.testing.assert_array_equal(np.loadtxt(folder / "01_GT" / "TRA" / "man_track.txt", dtype=int), movie.tracks)
    assert truth.dtype == np.uint16
    assert n_tracks == len(movie.tracks)
    assert (progress.stages, progress.steps) == (["simulate"], 8)
    assert "missed 0.1, false 0.1, seed 3" in (folder / "README.txt").read_text()
    assert [p.name for p in folder.parent.iterdir()] == ["movie"]


def test_images_can_be_left_out_and_an_empty_folder_is_taken(tmp_path):
    folder = tmp_path / "movie"
    folder.mkdir()
    write_simulated(folder, Simulation(frames=1, cells=1), images=False)
    assert sorted(p.name for p in folder.iterdir()) == ["01_GT", "01_SEG", "README.txt"]


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(FormatError, match="holds something already; try: name a new folder"):
            write_simulated(place, SMALL)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_an_interrupted_run_leaves_nothing(tmp_path):
    class Impatient(Recorded):
        def advance(self, steps=1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulated(tmp_path / "movie", SMALL, progress=Impatient())
    assert list(tmp_path.iterdir()) == []


POINTS = st.builds(
    simulate_points,
    st.integers(1, 15),
    st.integers(1, 30),
    st.integers(0, 2**40),
    ndim=st.sampled_from([2, 3]),
    division_rate=st.floats(0, 0.5),
    missed=st.floats(0, 0.9),
    false=st.floats(0, 1),
)


@settings(max_examples=100, deadline=None)
@given(POINTS)
def test_points_are_a_forest_whose_tracklets_are_the_tracks(points):
    source, target = points.links
    labels = label_lineages(points.frame, source, target)  # raises where it is no forest of two daughters
    assert np.all(np.diff(points.frame) >= 0)
    assert points.position_px.shape in {(len(points.frame), 2), (len(points.frame), 3)}
    true = points.track > 0
    assert np.all(true[source])
    assert np.all(true[target])
    # cells of one track are one tracklet, unless a daughter or her sister was never detected
    pairs = np.unique(np.stack([points.track[true], labels.track_id[true]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]


def test_points_step_by_one_pixel_and_keep_their_number():
    points = simulate_points(60, 300, seed=2, missed=0.05, false=0.1)
    source, target = points.links
    steady = (points.track[source] == points.track[target]) & (points.frame[target] - points.frame[source] == 1)
    step = (points.position_px[target] - points.position_px[source])[steady]
    assert np.mean(np.sum(step**2, axis=1)) == pytest.approx(1.0, rel=0.05)
    per_frame = np.bincount(points.frame[points.track > 0])
    assert len(per_frame) == 60
    assert per_frame.mean() == pytest.approx(0.95 * 300, rel=0.1)
    assert np.mean(points.track == 0) == pytest.approx(0.1 / 1.05, abs=0.01)
    divisions = np.bincount(source)
    assert np.count_nonzero(divisions == 2) > 40


def test_points_of_one_seed_are_the_same():
    one, again, other = (simulate_points(4, 20, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.position_px, again.position_px)
    assert not np.array_equal(one.position_px[:5], other.position_px[:5])
