"""Simulated points: a forest of cells that step by one pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.lineages import label_lineages
from trackdb.engine.simulation import simulate_points

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
