"""Which detection a true cell is: by overlap or by distance, one to one, the best in sum."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from trackdb.engine.ingest import ingest
from trackdb.engine.models.settings import TransformerSettings
from trackdb.engine.training.association.examples import UNKNOWN, associations
from trackdb.engine.training.association.matching import overlaps_of, pair_by_fit
from trackdb.engine.training.association.movies import labelled_movies
from trackdb.engine.training.association.truth import of_lineage
from trackdb.errors import ConfigError, FormatError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import LabelLineage

from .movies import DIVIDING, dividing_cells, square_mask, write_ctc, write_rows

PLACES = TransformerSettings(coord_dim=2, feat_dim=0, window=2)


def paired(theirs, ours, overlapping=None, **options):
    theirs, ours = (np.array(places, float) for places in (theirs, ours))
    return list(zip(*(ends.tolist() for ends in pair_by_fit(theirs, ours, overlapping, **options)), strict=True))


def test_cells_are_paired_where_the_sum_is_best_not_where_each_is_nearest():
    """Cells at 0 and 6, detections at 5 and 14: 0-5 and 6-14 fit together worse than 6-5 alone."""
    assert paired([[0, 0], [0, 6]], [[0, 5], [0, 14]]) == [(0, 0), (1, 1)]  # 11/16 + 8/16 against 15/16
    assert paired([[0, 0], [0, 6]], [[0, 5], [0, 16]]) == [(0, 0), (1, 1)]  # 11/16 + 6/16
    assert paired([[0, 0], [0, 6]], [[0, 5], [0, 18]]) == [(1, 0)]  # 4/16 is below the threshold


def test_the_threshold_is_one_of_both_measures():
    assert paired([[0, 0]], [[0, 11]]) == [(0, 0)]
    assert paired([[0, 0]], [[0, 11.3]]) == []
    assert paired([[0, 0]], [[0, 9]], threshold=0.5) == []
    far = np.array([0]), np.array([0])
    assert paired([[0, 0]], [[0, 50]], (*far, np.array([0.31]))) == [(0, 0)]  # long cells may lie on each other
    assert paired([[0, 0]], [[0, 50]], (*far, np.array([0.3]))) == []


PLACE = st.tuples(st.integers(0, 30), st.integers(0, 30))


@given(
    st.lists(PLACE, min_size=1, max_size=7),
    st.lists(PLACE, min_size=1, max_size=7),
    st.sampled_from([0.1, 0.3, 0.5]),
    st.integers(0, 2**32),
)
def test_pairs_are_those_of_an_assignment_over_all(theirs, ours, threshold, seed):
    rng = np.random.default_rng(seed)
    theirs, ours = np.array(theirs, float), np.array(ours, float)
    iou = np.where(rng.random((len(theirs), len(ours))) < 0.3, rng.random((len(theirs), len(ours))), 0)
    fit = np.maximum(iou, 1 - np.linalg.norm(theirs[:, None] - ours, axis=2) / 16)
    fit[fit <= threshold] = 0
    best = fit[linear_sum_assignment(fit, maximize=True)].sum()
    row, column = np.nonzero(iou)
    a, b = pair_by_fit(theirs, ours, (row, column, iou[row, column]), threshold=threshold)
    assert len(set(a.tolist())) == len(set(b.tolist())) == len(a)
    assert (fit[a, b] > threshold).all()
    assert fit[a, b].sum() == pytest.approx(best, abs=1e-6)


MASKS = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 0, 1, 2, 5]))


@given(MASKS, MASKS)
def test_overlaps_are_those_of_counting_pixels(one, other):
    found = overlaps_of(one, other)
    told = {(a, b): iou for a, b, iou in zip(found.first, found.second, found.iou, strict=True)}
    expected = {
        (a, b): ((one == a) & (other == b)).sum() / ((one == a) | (other == b)).sum()
        for a in np.unique(one[one > 0])
        for b in np.unique(other[other > 0])
        if ((one == a) & (other == b)).any()
    }
    assert told == pytest.approx(expected)


def test_descent_leads_over_cells_that_were_not_detected():
    """a - b - c, of which b has no detection; c divides into d and e, of which e has none."""
    frame = np.array([0, 1, 2, 3, 3])
    lineage = LabelLineage("truth", "drawn", frame, np.arange(1, 6), np.array([0, 1, 2, 2]), np.array([1, 2, 3, 4]))
    row = np.array([0, -1, 1, 2, -1])
    found = of_lineage(lineage, row, 4)
    assert found.known.tolist() == [True, True, True, False]
    assert found.pre[3] == found.last[3] == UNKNOWN
    associated = associations(np.array([0, 2, 3, 3]), found.pre, found.last)
    assert associated[:3, :3].all()
    assert not associated[3].any()
    assert found.divisions.tolist() == []  # one daughter is seen
    assert found.daughters.tolist() == [1, 2, 0, 0]
    whole = of_lineage(lineage, np.arange(5), 5)
    assert whole.divisions.tolist() == [[2, 3]]


def told(movie):
    """Return which pairs of cells belong together, and the divisions."""
    return associations(movie.cells.frame, movie.truth.pre, movie.truth.last), movie.truth.divisions


def the_movie(store, truth="truth", **options):
    [movie] = labelled_movies(store, store.detection_set(), PLACES, truth=truth, **options)
    return movie


def test_a_file_says_what_the_store_says_where_detections_are_the_truth(tmp_path):
    folder, store = write_ctc(tmp_path / "drawn"), DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(folder, store)
    (stored, stored_divisions), (read, divisions) = told(the_movie(store)), told(the_movie(store, folder))
    assert stored.sum() == 27
    assert np.array_equal(stored, read)
    assert divisions.tolist() == stored_divisions.tolist() == [[0, 1]]


def test_points_find_their_file(tmp_path):
    table, store = (
        write_rows(tmp_path / "a.csv", dividing_cells(), header=DIVIDING),
        DuckDBStore(tmp_path / "a.trackdb"),
    )
    ingest(table, store)
    moved = [(t, y + 1, x - 2, *more) for t, y, x, *more in dividing_cells()]
    other = write_rows(tmp_path / "moved.csv", moved, header=DIVIDING)
    (stored, stored_divisions), (read, divisions) = told(the_movie(store)), told(the_movie(store, str(other)))
    assert np.array_equal(stored, read)
    assert np.array_equal(np.unique(divisions, axis=0), np.unique(stored_divisions, axis=0))


def test_masks_are_matched_by_overlap_and_distance(tmp_path):
    """Of cell 1 detection 7 is half, 6 less but nearer to its middle; 8 lies 6 px beside cell 2, 9 is nobody."""
    seg = tmp_path / "seg"
    seg.mkdir()
    truth = []
    for t in range(3):
        mask = np.zeros((48, 64), np.uint16)
        mask[10:20, 10:15], mask[10:20, 15:18] = 7, 6
        tifffile.imwrite(seg / f"mask{t}.tif", mask + square_mask({8: (30, 36), 9: (40, 10)}))
        true = square_mask({2: (30, 30)})
        true[10:20, 10:20] = 1
        truth.append(true)
    folder = write_ctc(tmp_path / "true", centres=[{}] * 3, tracks=[(1, 0, 2, 0), (2, 0, 2, 0)])
    for t, true in enumerate(truth):
        tifffile.imwrite(folder / "01_GT" / "TRA" / f"man_track{t:03d}.tif", true)
    store = DuckDBStore(tmp_path / "seg.trackdb")
    ingest(seg, store)
    labels = store.detections(store.detection_set()).label
    known = the_movie(store, folder).truth.known
    assert labels[known].tolist() == [6, 8] * 3  # 1 - 1.5 / 16, 1 - 6 / 16
    known = the_movie(store, folder, match_threshold=0.7).truth.known
    assert labels[known].tolist() == [6] * 3


def test_truths_and_thresholds_that_cannot_be_are_refused(tmp_path):
    folder, store = write_ctc(tmp_path / "drawn"), DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(folder, store)
    with pytest.raises(ConfigError, match="in the store: its cells were matched when it came"):
        the_movie(store, match_threshold=0.5)
    with pytest.raises(ConfigError, match="threshold of matches is 1"):
        the_movie(store, folder, match_threshold=1.0)
    with pytest.raises(MissingRowsError, match=r"solution named nowhere of .*no such file.*known: truth"):
        the_movie(store, "nowhere")
    longer = write_ctc(tmp_path / "longer", centres=[{1: (10, 10)}] * 4, tracks=[(1, 0, 3, 0)])
    with pytest.raises(FormatError, match="more frames"):
        the_movie(store, longer)
