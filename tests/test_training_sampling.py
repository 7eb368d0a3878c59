"""Which windows an association transformer learns from, in which order, and which of their cells it is shown."""

import dataclasses
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.lineages import label_lineages
from trackdb.engine.models.cells import Cells
from trackdb.engine.training.association import sampling as sampling_module
from trackdb.engine.training.association.crops import cropped
from trackdb.engine.training.association.examples import UNKNOWN
from trackdb.engine.training.association.movies import LabelledMovie
from trackdb.engine.training.association.sampling import (
    Sampling,
    batches_of_epoch,
    validation_batches,
    windows_of,
)
from trackdb.engine.training.association.truth import TrueLineages, divisions_of
from trackdb.errors import CalibrationError, ConfigError


def sheet(n_frames=8, side=4, *, spacing=20.0, seed=0, divides=(), unknown=(), name="sheet"):
    """A movie of cells on a grid that walk; row (cell, frame) in `divides` gets a daughter 5 px aside from there on."""
    rng = np.random.default_rng(seed)
    home = spacing * np.stack(np.divmod(np.arange(side * side), side), axis=1)
    rows, links, before = [], [], {}
    for t in range(n_frames):
        here = {}
        for cell, place in enumerate(home):
            here[cell] = len(rows)
            rows.append((t, *(place + rng.normal(0, 1, 2))))
        for number, (cell, born) in enumerate(divides):
            if t >= born:
                here["daughter", number] = len(rows)
                rows.append((t, *(home[cell] + 5)))
        for who, row in here.items():
            mother = before.get(who, before.get(divides[who[1]][0]) if isinstance(who, tuple) else None)
            if mother is not None:
                links.append((mother, row))
        before = here
    table, ends = np.array(rows), np.array(links).T
    frame = table[:, 0].astype(np.int64)
    labels = label_lineages(frame, *ends)
    pre, last = labels.pre.copy(), labels.tracks.last[labels.pre]
    pre[list(unknown)] = last[list(unknown)] = UNKNOWN
    divide = np.bincount(ends[0])[ends[0]] > 1
    daughters = np.bincount(ends[0], minlength=len(frame))
    truth = TrueLineages(pre, last, daughters, divisions_of(frame, ends[0][divide], ends[1][divide]))
    cells = Cells(frame, table.astype(np.float32), np.empty((len(frame), 0), np.float32))
    return LabelledMovie(name, cells, truth, 0, n_frames)


SMALL = Sampling(window=3, samples=40, batch=4, pool=3, crop_px=45)


def same(a, b):
    """Tell whether two lists of examples are equal."""
    names = ("frame", "places", "features", "associated", "weight")
    return len(a) == len(b) and all(
        np.array_equal(getattr(x, name), getattr(y, name)) for x, y in zip(a, b, strict=True) for name in names
    )


def test_windows_with_divisions_are_drawn_more_often():
    movie = sheet(divides=[(0, 4), (5, 4), (9, 4), (2, 5)])
    windows = windows_of([movie], 3)
    assert windows.start.tolist() == [0, 1, 2, 3, 4, 5]
    # mothers in frame 3 (three of them) and 4, daughters a frame later
    assert windows.divisions.tolist() == [0, 0, 3, 4, 1, 0]
    weight = 1 + np.sqrt([0, 0, 3, 4, 1, 0])
    assert windows.share == pytest.approx(weight / weight.sum())


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=8),
    st.sets(st.integers(0, 13), min_size=1),
    st.integers(2, 6),
)
def test_windows_are_those_of_looking_into_each(divisions, known, window):
    frame = np.arange(14)
    pre = np.where(np.isin(frame, list(known)), 0, UNKNOWN)
    pairs = np.array([(mother, mother + later) for mother, later in divisions], dtype=np.int64).reshape(-1, 2)
    cells = Cells(frame, np.zeros((14, 3), np.float32), np.zeros((14, 0), np.float32))
    movie = LabelledMovie("drawn", cells, TrueLineages(pre, pre, np.zeros(14, np.int64), pairs), 0, 14)
    expected = {}
    for start in range(14 - window + 1):
        inside = range(start, start + window)
        if any(a in known and b in known for a in inside for b in inside if 0 < b - a <= 2):
            expected[start] = sum(mother in inside and daughter in inside for mother, daughter in pairs)
    if not expected:
        with pytest.raises(CalibrationError):
            windows_of([movie], window)
        return
    found = windows_of([movie], window)
    assert dict(zip(found.start.tolist(), found.divisions.tolist(), strict=True)) == expected


def test_windows_are_drawn_as_often_as_their_share_says():
    movie = sheet(divides=[(cell, 4) for cell in range(9)])
    sampling = dataclasses.replace(SMALL, samples=4000, crop_px=None)
    starts = [int(example.frame[0]) for batch in batches_of_epoch([movie], sampling, 0) for example in batch]
    found = np.bincount(starts, minlength=6) / len(starts)
    assert found == pytest.approx(windows_of([movie], 3).share, abs=0.03)


def test_no_window_reaches_over_the_border_of_what_is_learned_from():
    movie = sheet().between(2, 6)
    assert windows_of([movie], 3).start.tolist() == [2, 3]
    for batch in batches_of_epoch([movie], SMALL, 0):
        assert all(example.frame.min() >= 2 and example.frame.max() < 6 for example in batch)


def test_windows_without_two_true_cells_in_reach_are_left_out():
    lonely = sheet(n_frames=6, side=1, unknown=[0, 1, 2, 3])
    assert windows_of([lonely], 3).start.tolist() == [3]
    far_apart = sheet(n_frames=6, side=1, unknown=[1, 2, 4, 5], name="far_apart")
    with pytest.raises(CalibrationError, match="no window of 6 frames of far_apart"):
        windows_of([far_apart], 6)


def test_a_movie_shorter_than_the_window_is_named():
    with pytest.raises(ConfigError, match="brief has truth in 4 frames, fewer than the window"):
        windows_of([sheet(), sheet(n_frames=4, name="brief")], 5)


def test_an_epoch_is_the_same_whenever_it_is_drawn_and_none_is_like_another():
    movies = [sheet(), sheet(seed=1, divides=[(3, 3)])]
    first, again, other, seeded = (
        list(batches_of_epoch(movies, sampling, epoch))
        for sampling, epoch in ((SMALL, 0), (SMALL, 0), (SMALL, 1), (dataclasses.replace(SMALL, seed=1), 0))
    )
    assert [len(batch) for batch in first] == [4] * 10
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not any(same(a, b) for a, b in zip(first, other, strict=True))
    assert not any(same(a, b) for a, b in zip(first, seeded, strict=True))


@pytest.mark.parametrize("first", [0, 1, 3, 5, 9, 10, 11])
def test_an_epoch_that_goes_on_has_the_batches_that_it_would_have_had(first):
    movies = [sheet(divides=[(3, 3)])]
    sampling = dataclasses.replace(SMALL, samples=42)
    whole = list(batches_of_epoch(movies, sampling, 2))
    rest = list(batches_of_epoch(movies, sampling, 2, first=first))
    assert len(whole) == sampling.batches == 11
    assert len(rest) == 11 - first
    assert all(same(a, b) for a, b in zip(whole[first:], rest, strict=True))


def test_batches_of_a_pool_hold_examples_of_like_size():
    movies = [sheet(side=3), sheet(side=6)]
    batches = list(islice(batches_of_epoch(movies, dataclasses.replace(SMALL, crop_px=None), 0), 3))
    sizes = sorted([len(example) for example in batch] for batch in batches)
    assert sizes[0][-1] <= sizes[1][0] <= sizes[1][-1] <= sizes[2][0]
    assert sizes[0][0] < sizes[2][-1]


def test_batches_of_a_pool_come_in_another_order_in_each_epoch_and_for_each_seed():
    movies = [sheet(n_frames=4, side=side) for side in range(1, 13)]

    def ranks(epoch, seed):
        sampling = dataclasses.replace(SMALL, samples=24, pool=6, crop_px=None, seed=seed)
        sizes = [sum(map(len, batch)) for batch in batches_of_epoch(movies, sampling, epoch)]
        assert len(set(sizes)) == 6
        return np.argsort(sizes).tolist()

    assert ranks(0, 0) != ranks(1, 0)
    assert ranks(0, 0) != ranks(0, 1)


def test_every_window_validates_once_and_always_alike():
    movies = [sheet(), sheet(seed=1).between(0, 4)]
    found = list(validation_batches(movies, SMALL))
    assert sorted(int(example.frame[0]) for batch in found for example in batch) == [0, 0, 1, 1, 2, 3, 4, 5]
    assert all(same(a, b) for a, b in zip(found, validation_batches(movies, SMALL), strict=True))


def test_windows_to_validate_on_are_crops_that_nothing_was_changed_in():
    movie = sheet()
    there = set(map(tuple, movie.cells.places.tolist()))
    found = [example for batch in validation_batches([movie], SMALL) for example in batch]
    assert all(set(map(tuple, example.places.tolist())) <= there for example in found)
    assert all(len(example) < 3 * 16 for example in found)
    other = [example for batch in validation_batches([movie], dataclasses.replace(SMALL, seed=1)) for example in batch]
    assert not same(found, other)


def test_long_movies_validate_on_windows_spread_over_them(monkeypatch):
    monkeypatch.setattr(sampling_module, "MOST_VALIDATED", 4)
    found = validation_batches([sheet(n_frames=12)], SMALL)
    starts = sorted(int(example.frame[0]) for batch in found for example in batch)
    assert len(starts) == 4
    assert starts[0] < 3
    assert starts[-1] > 6


def test_cells_that_a_sparse_truth_does_not_know_teach_nothing():
    movie = sheet(side=2, unknown=[1, 5])
    whole = dataclasses.replace(SMALL, crop_px=None)
    sparse = dataclasses.replace(whole, sparse_truth=True)
    [[dense, *_], *_] = validation_batches([movie], whole)
    [[bare, *_], *_] = validation_batches([movie], sparse)
    assert dense.compared[1, 4]
    assert not bare.compared[1].any()
    assert not bare.compared[:, 5].any()
    assert bare.compared[0, 4]
    assert np.array_equal(bare.associated, dense.associated)


def test_the_pairs_of_mothers_weigh_more_as_the_paper_has_it():
    """Cell 0 divides after frame 3; window 2..4 has 4 cells in frames 2 and 3, 5 in frame 4."""
    movie = sheet(side=2, divides=[(0, 4)]).between(2, 5)
    sampling = dataclasses.replace(SMALL, crop_px=None, weigh="mothers", div_upweight=10)
    [[example]] = validation_batches([movie], sampling)
    assert len(example) == 13
    mother = 4
    assert example.weight[mother].tolist() == [0] * 8 + [11] * 5  # wherever its daughters are
    assert example.weight[0].tolist() == [0] * 4 + [2] * 9  # two frames before it is as any other cell
    by_links = dataclasses.replace(sampling, weigh="links")
    [[example]] = validation_batches([movie], by_links)
    assert example.weight[mother].tolist() == [0] * 8 + [11, 1, 1, 1, 11]


@st.composite
def windows(draw):
    """Draw places of cells in three frames, each of which has some."""
    counts = draw(st.lists(st.integers(1, 12), min_size=3, max_size=3))
    frame = np.repeat(np.arange(3), counts)
    place = st.integers(0, 300)
    rows = [(t, draw(place), draw(place)) for t in frame]
    return np.array(rows, np.float32)


@given(windows(), st.integers(0, 99), st.one_of(st.none(), st.integers(1, 400)), st.integers(3, 40))
def test_a_crop_is_a_box_that_keeps_a_cell_of_each_frame(places, seed, side, most):
    kept = cropped(places, np.random.default_rng(seed), crop_px=side, most=most)
    assert (np.diff(kept) > 0).all()
    assert set(places[kept, 0]) == {0, 1, 2}
    assert len(kept) <= most
    boxed = cropped(places, np.random.default_rng(seed), crop_px=side, most=10**6)
    assert set(kept) <= set(boxed)
    if len(boxed) < len(places):
        assert (np.ptp(places[boxed, 1:], axis=0) <= side).all()
        low, high = places[boxed, 1:].min(axis=0), places[boxed, 1:].max(axis=0)
        inside = ((places[:, 1:] >= low) & (places[:, 1:] <= high)).all(axis=1)
        assert np.array_equal(np.flatnonzero(inside), boxed)  # nobody in the box was left out


def test_a_crop_of_a_volume_keeps_its_depth():
    rng = np.random.default_rng(0)
    places = np.column_stack([np.repeat([0, 1], 400), rng.uniform(0, 500, (800, 3))]).astype(np.float32)
    kept = cropped(places, rng, crop_px=150, most=10_000)
    assert 20 < len(kept) < 200
    depth, *flat = np.ptp(places[kept, 1:], axis=0)
    assert depth > 400
    assert max(flat) <= 150


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", 1),
        ("samples", 0),
        ("batch", 0),
        ("pool", 0),
        ("crop_px", 0),
        ("max_tokens", 2),
        ("seed", -1),
        ("weigh", "all"),
        ("augment", 4),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        dataclasses.replace(SMALL, **{name: value})
