"""Movies of a store as an association transformer learns from them: cells, brightness, truth, and what is refused."""

import numpy as np
import pytest
import tifffile

from trackdb.engine.ingest import ingest
from trackdb.engine.models.settings import TransformerSettings
from trackdb.engine.progress import Recorded
from trackdb.engine.training.association.movies import labelled_movies, split
from trackdb.errors import CalibrationError, ConfigError, FormatError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .movies import DIVIDING, dividing_cells, square_mask, write_ctc, write_rows

FLAT = TransformerSettings(coord_dim=2, feat_dim=7, window=2)
DEEP = TransformerSettings(coord_dim=3, feat_dim=12, window=2)
PLACES = TransformerSettings(coord_dim=2, feat_dim=0, window=2)


@pytest.fixture
def store(tmp_path):
    """The movie drawn in `movies`: 2 divides into 3 and 4 between frames 0 and 1."""
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(write_ctc(tmp_path / "drawn", images=True), store)
    return store


def the_movie(store, settings=FLAT, **options):
    [movie] = labelled_movies(store, store.detection_set(), settings, **options)
    return movie


def test_cells_and_lineages_are_those_of_the_store(store):
    movie = the_movie(store)
    assert movie.cells.frame.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert movie.cells.places[2].tolist() == [1, 10, 21]
    assert movie.truth.known.all()
    assert movie.truth.divisions.tolist() == [[0, 1]]
    assert movie.truth.daughters.tolist() == [1, 2, 1, 1, 1, 0, 0, 0, 0]
    assert (movie.first, movie.stop) == (0, 3)
    assert movie.channel == "image"


def test_a_flat_movie_is_a_slice_of_a_volume_for_a_model_of_volumes(store):
    cells = the_movie(store, DEEP).cells
    assert cells.places[2].tolist() == [1, 0, 10, 21]
    assert cells.features.shape == (9, 12)


def test_each_frame_has_its_own_scale_of_brightness(tmp_path):
    """The second frame is ten times brighter: its cells are as bright as the others all the same."""
    folder = write_ctc(tmp_path / "drawn", images=True)
    for t, gain in enumerate((1, 10, 1)):
        file = folder / "01" / f"t{t:03d}.tif"
        tifffile.imwrite(file, tifffile.imread(file).astype(np.uint16) * gain)
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(folder, store)
    assert the_movie(store).cells.features[:, 1] == pytest.approx(1)


def test_without_images_all_cells_are_equally_bright(tmp_path):
    store, progress = DuckDBStore(tmp_path / "dark.trackdb"), Recorded()
    ingest(write_ctc(tmp_path / "dark"), store)
    movie = the_movie(store, progress=progress)
    assert (movie.cells.features[:, 1] == 0).all()
    assert (movie.cells.features[:, 0] > 0).all()
    assert movie.channel is None
    assert any("no images" in note for note in progress.notes)


@pytest.fixture
def points(tmp_path):
    """Points with truth: every other cell divides."""
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_rows(tmp_path / "points.csv", dividing_cells(), header=DIVIDING), store)
    return store


def test_points_teach_a_model_of_places_and_no_other(points):
    movie = the_movie(points, PLACES)
    assert movie.cells.features.shape == (len(movie.cells.frame), 0)
    assert len(movie.truth.divisions) > 2
    with pytest.raises(MissingRowsError, match=r"are points.*set places_alone"):
        the_movie(points)


def test_a_store_without_truth_is_refused_by_name(tmp_path):
    store = DuckDBStore(tmp_path / "bare.trackdb")
    ingest(write_rows(tmp_path / "bare.csv", [(0, 1, 1), (1, 1, 1)]), store)
    with pytest.raises(MissingRowsError, match=r"named truth of bare.*nothing to learn from.*ingest with --truth"):
        the_movie(store, PLACES)


def test_a_channel_that_is_not_there_is_refused(store):
    with pytest.raises(ConfigError, match=r"channel dna.*known: image"):
        the_movie(store, channel="dna")


def test_volumes_are_no_lesson_for_a_model_of_flat_images(tmp_path):
    centres = [{1: (5, 20, 20)}, {1: (5, 20, 21)}]
    folder = write_ctc(tmp_path / "deep", centres=centres, tracks=[(1, 0, 1, 0)], shape=(10, 40, 40))
    store = DuckDBStore(tmp_path / "deep.trackdb")
    ingest(folder, store)
    with pytest.raises(FormatError, match="flat images"):
        the_movie(store)
    assert the_movie(store, DEEP).cells.places[1].tolist() == [1, 5, 20, 21]


def partly_true(tmp_path, tracks):
    """Three cells in four frames of masks, and a truth of tracks (label, first frame, last frame); 9 is nowhere."""
    seg, truth = tmp_path / "seg", tmp_path / "truth"
    seg.mkdir()
    places = [{1: (10, 10 + t), 2: (30, 10 + t), 3: (30, 40)} for t in range(4)]
    for t, frame in enumerate(places):
        tifffile.imwrite(seg / f"mask{t:03d}.tif", square_mask(frame))
    known = [
        {label: (frame | {9: (5, 60)})[label] for label, first, last in tracks if first <= t <= last}
        for t, frame in enumerate(places)
    ]
    write_ctc(truth, centres=known, tracks=[(*track, 0) for track in tracks])
    store = DuckDBStore(tmp_path / "partly.trackdb")
    ingest(seg, store, options=SourceOptions(truth=truth / "01_GT" / "TRA"))
    return store


def test_detections_that_are_no_true_cells_are_told_apart_and_said(tmp_path):
    progress = Recorded()
    movie = the_movie(partly_true(tmp_path, [(1, 0, 3), (2, 0, 3)]), progress=progress)
    assert movie.truth.known.tolist() == [True, True, False] * 4
    assert any("knows 67 % of the detections" in note for note in progress.notes)


def test_a_truth_without_a_matched_cell_is_refused(tmp_path):
    with pytest.raises(CalibrationError, match="none of the 12 detections"):
        the_movie(partly_true(tmp_path, [(9, 0, 3)]))


def test_the_last_frames_validate_and_no_window_reaches_over(points):
    whole = the_movie(points, PLACES)
    [training], [validation] = split([whole], 2, 0.25)
    assert (training.first, training.stop, validation.first, validation.stop) == (0, 6, 6, 8)
    [training], [validation] = split([whole], 3, 0.1)  # one window at least
    assert (training.n_frames, validation.n_frames) == (5, 3)
    [training], [validation] = split([whole], 3, 0.9)
    assert (training.n_frames, validation.n_frames) == (3, 5)


def test_a_movie_too_short_to_split_is_named(points):
    whole = the_movie(points, PLACES)
    with pytest.raises(ConfigError, match=r"points has truth in 8 frames, too few.*another store to validate on"):
        split([whole], 5)
    with pytest.raises(ConfigError, match="points has truth in 8 frames, fewer than the window"):
        split([whole], 9)
    with pytest.raises(ConfigError, match="share"):
        split([whole], 2, 1.0)


def test_only_frames_that_the_truth_tells_of_are_learned_from(tmp_path):
    movie = the_movie(partly_true(tmp_path, [(1, 1, 2), (2, 1, 2), (3, 1, 2)]))
    assert (movie.first, movie.stop) == (1, 3)
    assert len(movie.cells.frame) == 12
