"""Points that a benchmark draws as discs: whoever reads the drawn movie finds the cells and the lineage again."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trackdb.engine.ingest import ingest
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

DRAWING = Path(__file__).parents[1] / "benchmarks" / "association" / "drawing.py"


@pytest.fixture(scope="module")
def drawing():
    """Import the file; the folder of a benchmark is no package."""
    spec = importlib.util.spec_from_file_location("drawing", DRAWING)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def a_movie(ndim):
    """A cell that divides after frame 3, one that stays, and one that comes in frame 4."""
    frame = np.array([2, 2, 3, 3, 4, 4, 4, 4, 5, 5])
    flat = [(5, 5), (5, 25), (6, 5), (6, 25), (2, 6), (9, 6), (6, 26), (25, 25), (2, 7), (25, 24)]
    place = np.array(flat, dtype=float)
    if ndim == 3:
        place = np.c_[np.arange(10) % 3, place]
    link = np.array([(0, 2), (1, 3), (2, 4), (2, 5), (3, 6), (4, 8), (7, 9)])
    return SimpleNamespace(detections=SimpleNamespace(frame=frame, position_um=place), link=link)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_drawn_lineage_is_read_again(drawing, tmp_path, ndim):
    movie = a_movie(ndim)
    drawing.draw_points(tmp_path / "drawn", movie, slice(2, 6))
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    options = SourceOptions(images={"grey": tmp_path / "drawn" / "01"})
    ingest(tmp_path / "drawn" / "01_GT" / "TRA", store, options=options)
    chosen = store.detection_set()
    cells = store.detections(chosen)
    wanted, found = movie.detections.position_um, cells.position_px
    scale = np.linalg.norm(np.ptp(found, axis=0)) / np.linalg.norm(np.ptp(wanted, axis=0))
    away = np.linalg.norm((wanted - wanted.min(0))[:, None] * scale - (found - found.min(0)), axis=2)
    away[movie.detections.frame[:, None] - 2 != cells.frame] = np.inf
    row = np.argmin(away, axis=0)
    assert sorted(row) == list(range(10))
    assert away.min(axis=0).max() < 2
    source, target = (row[cells.row_of(ends)] for ends in store.link_ends(store.solutions(chosen)["truth"]))
    assert sorted(zip(source, target, strict=True)) == sorted(map(tuple, movie.link))


def test_a_part_of_a_movie_begins_with_tracks_of_its_own(drawing):
    frame = np.array([0, 0, 1, 2])
    track, lines = drawing.tracks_of(frame, np.array([(0, 2), (2, 3)]))
    assert track.tolist() == [1, 2, 1, 1]
    assert lines.tolist() == [[1, 0, 2, 0], [2, 0, 0, 0]]


def test_where_discs_meet_each_pixel_is_the_nearer_ones(drawing):
    mask = drawing.discs(np.array([[5.0, 4.0], [5.0, 8.0]]), np.array([3, 7]), (11, 13), 4.0)
    assert mask[5].tolist() == [3, 3, 3, 3, 3, 3, 7, 7, 7, 7, 7, 7, 7]
    assert not mask[0].any()


def test_a_cell_under_another_is_refused(drawing):
    with pytest.raises(ValueError, match="1 cells lie on others"):
        drawing.discs(np.array([[5.0, 4.0], [5.0, 4.0]]), np.array([3, 7]), (11, 13), 4.0)
