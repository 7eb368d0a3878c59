"""Cells and detections paired by their places: drawn, and scipy's assignment frame by frame as oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from trackdb.engine.imports import pairing
from trackdb.engine.imports.pairing import NO_ROW, Places, at_the_same_place, label_under, pair_within, radius_of
from trackdb.errors import ConfigError
from trackdb.storage.schema import Detections


def places(*cells):
    """Return places from (frame, y, x) or (frame, y, x, label)."""
    frame = np.array([c[0] for c in cells], dtype=np.int64)
    position = np.array([c[1:3] for c in cells], dtype=np.float64).reshape(-1, 2)
    label = np.array([c[3] if len(c) > 3 else k for k, c in enumerate(cells)], dtype=np.int64)
    return Places(frame, label, position)


def test_cells_are_paired_within_their_frame_and_the_radius():
    cells = places((0, 0, 0), (0, 10, 0), (2, 0, 0), (3, 0, 0))
    detections = places((0, 10, 1), (0, 0, 3.1), (1, 0, 0), (3, 0, 3))
    assert pair_within(cells, detections, 3.0, None).tolist() == [NO_ROW, 0, NO_ROW, 3]
    assert pair_within(cells, detections, 3.2, None).tolist() == [1, 0, NO_ROW, 3]


def test_distances_are_in_micrometres():
    cells, detections = places((0, 0, 0)), places((0, 0, 4), (0, 3, 0))
    assert pair_within(cells, detections, 5.0, None).tolist() == [1]
    assert pair_within(cells, detections, 5.0, (2.0, 0.5)).tolist() == [0]


def test_a_radius_that_reaches_everything_is_refused(monkeypatch):
    monkeypatch.setattr(pairing, "MOST_PAIRS", 3)
    two = places((0, 0, 0), (0, 0, 1))
    with pytest.raises(ConfigError, match=r"within 9 of each other 4 cells and detections.*--match-distance"):
        pair_within(two, two, 9.0, None)
    assert pair_within(two, two, 0.5, None).tolist() == [0, 1]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_pairs_are_those_of_scipy_in_each_frame(data):
    spot = st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 9))
    cells, detections = (places(*sorted(data.draw(st.lists(spot, max_size=14)))) for _ in range(2))
    radius = data.draw(st.sampled_from([1.0, 2.5, 20.0]))
    row = pair_within(cells, detections, radius, None)
    paired = np.flatnonzero(row != NO_ROW)
    assert len(np.unique(row[paired])) == len(paired)
    assert np.array_equal(cells.frame[paired], detections.frame[row[paired]])
    distance = np.linalg.norm(cells.position_px[paired] - detections.position_px[row[paired]], axis=1)
    n_best, best = 0, 0.0
    for frame in range(3):
        a, b = (side.position_px[side.frame == frame] for side in (cells, detections))
        apart = np.linalg.norm(a[:, None] - b[None], axis=2)
        i, j = linear_sum_assignment(np.where(apart <= radius, apart, 1e6))
        n_best += int(np.count_nonzero(apart[i, j] <= radius))
        best += float(apart[i, j][apart[i, j] <= radius].sum())
    assert (len(paired), distance.sum()) == (n_best, pytest.approx(best, abs=1e-4))


def test_the_label_decides_between_detections_at_one_place():
    cells = places((0, 5, 5, 7), (0, 5, 5, 3), (0, 5.004, 5, 1), (1, 5, 5.5, 3))
    detections = places((0, 5, 5, 3), (0, 5, 5, 7), (1, 5, 5, 3))
    assert at_the_same_place(cells, detections).tolist() == [1, 0, NO_ROW, NO_ROW]


def test_a_point_lies_in_the_pixel_around_it():
    mask = np.array([[1, 0, 2], [0, 3, 3]])
    position = np.array([(0, 0), (-0.5, 2.49), (0.5, 1.4), (0.49, 1), (1.49, 2), (1.5, 2), (0, -0.51), (0, 7)])
    assert label_under(mask, position).tolist() == [1, 2, 3, 0, 3, 0, 0, 0]
    volume = np.arange(8).reshape(2, 2, 2)
    assert label_under(volume, np.array([(1, 0, 1), (2, 0, 0)])).tolist() == [5, 0]


def radius_at(*cells):
    """Return the radius for detections at (frame, y, x), and whether it is one of a spacing."""
    at = places(*cells)
    n = np.arange(len(cells))
    radius, how = radius_of(Detections(n, at.frame, at.position_px, n, np.full(len(n), np.nan)))
    return radius, "spacing of the detections" in how


def test_the_radius_is_half_the_spacing_where_there_is_one():
    assert radius_at((0, 0, 0), (0, 0, 8), (0, 0, 16), (1, 0, 0)) == (4.0, True)
    assert radius_at((0, 0, 0), (0, 3, 4)) == (2.5, True)
    assert radius_at((0, 0, 0), (1, 3, 4), (2, 0, 0)) == (5.0, False)
    assert radius_at((0, 7, 7)) == (1.0, False)
    assert radius_at() == (1.0, False)
