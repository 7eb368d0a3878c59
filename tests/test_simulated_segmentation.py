"""What a simulated segmentation gets wrong: each kind of error at its rate, listed, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.ndimage import label as components

from trackdb.engine.simulation import Simulation, simulate
from trackdb.engine.simulation.segmentation import KINDS

from .simulations import simulations, within_binomial

MISSED, FALSE, MERGED, SPLIT = range(4)


def overlaps(drawn) -> np.ndarray:
    """Return pairs of truth and mask labels that share pixels, (k, 3) with the number of them."""
    pairs, n = np.unique(np.stack([drawn.truth.ravel(), drawn.mask.ravel()]), axis=1, return_counts=True)
    return np.column_stack([pairs.T, n])


def listed(drawn, kind) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and tracks of one kind of error."""
    rows = drawn.errors.kind == kind
    return drawn.errors.label[rows], drawn.errors.track[rows]


@settings(max_examples=40, deadline=None)
@given(simulations())
def test_the_list_of_errors_tells_what_each_label_is(options):
    for drawn in simulate(options).frames(images=False):
        truth = set(np.unique(drawn.truth[drawn.truth > 0]).tolist())
        labels = set(np.unique(drawn.mask[drawn.mask > 0]).tolist())
        missed = set(listed(drawn, MISSED)[1].tolist())
        false = set(listed(drawn, FALSE)[0].tolist())
        (merged, merged_track), (halves, split_track) = listed(drawn, MERGED), listed(drawn, SPLIT)
        assert missed <= truth
        assert false <= labels
        assert set(merged.tolist()) <= labels
        assert set(halves.tolist()) <= labels
        assert len(set(halves.tolist())) == len(halves) == 2 * len(set(split_track.tolist()))
        assert len(set(merged_track.tolist())) == len(merged) == 2 * len(set(merged.tolist()))
        touched = [*missed, *merged_track.tolist(), *split_track[::2].tolist()]
        assert len(set(touched)) == len(touched)  # a cell has one fate
        # what is not listed is a cell with a label of its own
        alone = len(truth) - len(touched)
        assert len(labels) == alone + len(false) + len(halves) + len(merged) // 2


def test_without_errors_the_mask_is_the_truth_under_other_labels():
    options = Simulation(frames=3, cells=40, density=0.6, missed=0, false=0, ragged_px=0)
    for drawn in simulate(options):
        pairs = overlaps(drawn)
        assert len(pairs) == len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1]))
        assert len(drawn.errors) == 0


@pytest.mark.parametrize("density", [0.15, 1.0])
@pytest.mark.parametrize("ndim", [2, 3])
def test_each_kind_of_error_comes_at_its_rate(ndim, density):
    rates = {"missed": 0.1, "false": 0.08, "merged": 0.05, "split": 0.06}
    options = Simulation(frames=12, cells=150, ndim=ndim, density=density, division_rate=0, seed=1, **rates)
    cells, counts = 0, np.zeros(4, dtype=int)
    for drawn in simulate(options).frames(images=False):
        cells += len(np.unique(drawn.truth)) - 1
        counts += np.bincount(drawn.errors.kind, minlength=4) // [1, 1, 2, 2]
    for kind, count in zip(KINDS, counts, strict=True):
        assert within_binomial(count, cells, rates[kind]), kind


def test_missed_cells_have_no_label_and_false_ones_lie_on_no_cell():
    options = Simulation(frames=6, cells=60, missed=0.2, false=0.2, ragged_px=0, seed=2)
    for drawn in simulate(options).frames(images=False):
        pairs = overlaps(drawn)
        under = dict(zip(pairs[pairs[:, 1] == 0, 0].tolist(), pairs[pairs[:, 1] == 0, 2].tolist(), strict=True))
        for track in listed(drawn, MISSED)[1].tolist():
            assert under[track] == np.count_nonzero(drawn.truth == track)
        assert not np.isin(drawn.mask[drawn.truth > 0], listed(drawn, FALSE)[0]).any()
        assert len(listed(drawn, FALSE)[0]) > 0


def test_where_no_room_is_left_false_detections_are_specks_that_leave_every_cell_its_label():
    options = Simulation(frames=4, cells=80, density=1.0, missed=0, false=0.3, ragged_px=0, seed=2)
    specks = 0
    for drawn in simulate(options).frames(images=False):
        pairs = overlaps(drawn)
        false = listed(drawn, FALSE)[0]
        specks += len(false)
        for track in np.unique(drawn.truth[drawn.truth > 0]):
            mine = pairs[pairs[:, 0] == track]
            most = mine[np.argmax(mine[:, 2])]
            assert most[1] not in {0, *false.tolist()}
            assert most[2] > 0.5 * mine[:, 2].sum()
    assert specks > 60


def test_merged_cells_are_neighbours_under_one_label_in_one_piece():
    options = Simulation(frames=6, cells=60, density=0.25, missed=0, false=0, merged=0.2, ragged_px=0, seed=2)
    seen = 0
    for drawn in simulate(options).frames(images=False):
        label, track = listed(drawn, MERGED)
        for one, pair in zip(label[::2], track.reshape(-1, 2), strict=True):
            inside = drawn.mask == one
            assert set(pair.tolist()) <= set(drawn.truth[inside].tolist())
            assert components(inside, np.ones((3, 3)))[1] == 1
            seen += 1
    assert seen > 40


def test_split_cells_are_cut_in_two_parts_across():
    options = Simulation(frames=6, cells=60, missed=0, false=0, split=0.2, ragged_px=0, seed=2)
    shares = []
    for drawn in simulate(options).frames(images=False):
        label, track = listed(drawn, SPLIT)
        for halves, cell in zip(label.reshape(-1, 2), track[::2], strict=True):
            inside = drawn.mask[drawn.truth == cell]
            assert set(inside.tolist()) == set(halves.tolist())
            shares.append(np.mean(inside == halves[0]))
    assert len(shares) > 40
    smaller = np.minimum(shares, 1 - np.array(shares))  # where a neighbour presses, one may be small
    assert smaller.min() > 0
    assert np.median(smaller) > 0.35


def test_outlines_are_ragged_as_far_as_asked():
    def agreement(ragged_px):
        options = Simulation(frames=2, cells=80, missed=0, false=0, ragged_px=ragged_px, seed=3)
        found = [(d.truth > 0, d.mask > 0) for d in simulate(options).frames(images=False)]
        return sum(np.sum(a & b) for a, b in found) / sum(np.sum(a | b) for a, b in found)

    assert agreement(0.0) == 1.0
    assert 0.9 < agreement(0.5) < 0.99
    assert 0.75 < agreement(1.5) < agreement(0.5) - 0.05


def test_labels_carry_no_identity():
    movie = simulate(Simulation(frames=2, cells=40, division_rate=0, death_rate=0, missed=0, false=0, ragged_px=0,
                                open_borders=False))  # fmt: skip
    first, second = (dict(zip(d.truth.ravel().tolist(), d.mask.ravel().tolist(), strict=True)) for d in movie)
    assert first.keys() == second.keys()
    assert sum(first[cell] == second[cell] for cell in first if cell) < 8
