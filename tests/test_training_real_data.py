"""Real movies as lessons of an association transformer: what is told of their windows is what their lineages say."""

import networkx as nx
import numpy as np
import pytest

from trackdb.engine.graphs import graph_of_solution
from trackdb.engine.ingest import ingest
from trackdb.engine.models.settings import TransformerSettings
from trackdb.engine.training.association.movies import labelled_movies, split
from trackdb.engine.training.association.sampling import Sampling, batches_of_epoch, validation_batches, windows_of
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

pytestmark = pytest.mark.data

SHAPES = TransformerSettings(coord_dim=2, feat_dim=7, window=4)
DEEP = TransformerSettings(coord_dim=3, feat_dim=12, window=4)
PLACES = TransformerSettings(coord_dim=2, feat_dim=0, window=4)
SAMPLING = Sampling(window=4, samples=24, batch=8, pool=3, crop_px=200, max_tokens=500)


@pytest.fixture(scope="module")
def epidermis(data_dir, tmp_path_factory):
    """A store of the masks of a mouse's epidermis, which are the truth themselves."""
    store = DuckDBStore(tmp_path_factory.mktemp("epidermis") / "epidermis.trackdb")
    ingest(data_dir / "mouse_epidermis_area1_apache" / "02_GT", store)
    return store


def relatives(store):
    """Return for each detection the rows of its ancestors, its descendants and itself, by walking the graph."""
    chosen, info = store.find_solution(None, "truth")
    detections = store.detections(chosen)
    graph, row = graph_of_solution(store, info, detections)
    tree = nx.DiGraph()
    tree.add_nodes_from(range(len(detections)))
    tree.add_edges_from(zip(row[graph.links.source].tolist(), row[graph.links.target].tolist(), strict=True))
    return detections, {cell: {cell} | nx.ancestors(tree, cell) | nx.descendants(tree, cell) for cell in tree}


def test_windows_of_the_epidermis_tell_who_descends_from_whom(epidermis):
    [movie] = labelled_movies(epidermis, epidermis.detection_set(), SHAPES)
    detections, expected = relatives(epidermis)
    row_of = {(t, y, x): row for row, (t, y, x) in enumerate(movie.cells.places.tolist())}
    assert len(row_of) == len(detections) == 4453
    seen = 0
    for batch in validation_batches([movie], SAMPLING):
        for example in batch:
            rows = [row_of[tuple(place)] for place in example.places.tolist()]
            told = np.array([[b in expected[a] for b in rows] for a in rows])
            assert np.array_equal(example.associated, told)
            assert np.array_equal(example.frame, detections.frame[rows])
            assert example.weight[~example.associated].max() == 1
            assert set(np.unique(example.weight[example.associated & example.compared])) == {2, 11}
            assert len(np.unique(example.frame)) == 4
            assert len(example) <= 500
            seen += 1
    assert seen == len(windows_of([movie], 4)) == 12


def test_an_epoch_of_the_epidermis_is_sound_in_flat_models_and_deep_ones(epidermis):
    for settings in (SHAPES, DEEP):
        movies = labelled_movies(epidermis, [epidermis.detection_set()], settings)
        training, validation = split(movies, 4)
        assert (training[0].n_frames, validation[0].n_frames) == (11, 4)
        batches = list(batches_of_epoch(training, SAMPLING, 0))
        assert [len(batch) for batch in batches] == [8, 8, 8]
        for example in (example for batch in batches for example in batch):
            assert example.features.shape == (len(example), settings.feat_dim)
            assert np.isfinite(example.features).all()
            assert np.isfinite(example.places).all()
            assert example.frame.max() < training[0].stop
            axes = settings.coord_dim
            inertia = example.features[:, 2:-1].reshape(-1, axes, axes)
            assert np.linalg.eigvalsh(inertia).min() > -1e-3
            if settings is DEEP:
                assert len(np.unique(example.places[:, 1])) == 1  # a slice stays one


def test_the_truth_in_files_is_the_truth_in_the_store(data_dir, epidermis):
    folder = data_dir / "mouse_epidermis_area1_apache" / "02_GT"
    [stored] = labelled_movies(epidermis, epidermis.detection_set(), PLACES)
    [read] = labelled_movies(epidermis, epidermis.detection_set(), PLACES, truth=folder, match_threshold=0.99)
    assert read.truth.known.all()
    assert len(read.truth.divisions) == len(stored.truth.divisions) == 335
    assert np.array_equal(read.truth.last - read.truth.pre, stored.truth.last - stored.truth.pre)


def test_points_find_their_true_cells_by_distance(data_dir, tmp_path):
    """26,087 of the 27,630 automatic detections have a true cell; the paper's threshold matches a few less."""
    columns = {"t": "frame", "y": "centroid-0", "x": "centroid-1", "label": "label", "track": "track"}
    store, truth = DuckDBStore(tmp_path / "cells.trackdb"), data_dir / "cellmigration_ccby" / "02_GT"
    ingest(data_dir / "cellmigration_ccby" / "regionprops.csv.gz", store, options=SourceOptions(columns=columns))
    known = {}
    for threshold in (0.3, 0.5):
        [movie] = labelled_movies(store, store.detection_set(), PLACES, truth=truth, match_threshold=threshold)
        known[threshold] = movie.truth.known
        assert len(movie.truth.divisions) == pytest.approx(101, abs=5)
    assert known[0.3].sum() == pytest.approx(26_075, abs=5)
    assert known[0.5].sum() == pytest.approx(26_038, abs=5)
    assert not (known[0.5] & ~known[0.3]).any()
