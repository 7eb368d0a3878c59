"""What goes out comes in again: each format that trackdb both writes and reads loses nothing that it can hold."""

from dataclasses import replace

import numpy as np
import pytest

import trackdb
from trackdb.engine.ingest import ingest
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .exported import INTERVAL_S, SCALE_UM, shape_of, tracking

OUT = {
    "geff": "out.geff",
    "trackmate": "out.xml",
    "napari": "layer",
    "csv": "cells.csv",
    "parquet": "cells.parquet",
    "csv tables": "tables",
    "parquet tables": "tables",
}
TELLS_SCALE = ("geff", "trackmate", "csv tables", "parquet tables")
TELLS_MERGES = (*TELLS_SCALE, "napari")
OF_NO_TRACK = ("trackmate",)  # a cell without links is a spot there, and no cell of a tracking


def there_and_back(store, name, format, folder, **options):
    """Export a solution, ingest it into a store of its own, and return what is there."""
    report = trackdb.open(store.path).solution(name).export(format.split()[0], folder / OUT[format])
    again = DuckDBStore(folder / f"{format}.trackdb")
    brought = ingest(folder / OUT[format], again, options=SourceOptions(keep=("all",), **options))
    assert report.links >= sum(brought.links.values())
    return tracking(again, next(iter(brought.links)))


def rows_by_id(before, after):
    """Return the row in `before` of each cell of `after`, by frame and place."""
    row = {
        (int(t), *p): i for i, (t, p) in enumerate(zip(before.cells.frame, before.position_px.tolist(), strict=True))
    }
    return [row[int(t), *p] for t, p in zip(after.cells.frame, after.position_px.tolist(), strict=True)]


@pytest.mark.parametrize("name", ["truth", "merged"])
@pytest.mark.parametrize("format", OUT)
def test_cells_links_scale_and_all_that_is_told_of_cells_come_back(rich, tmp_path, format, name):
    before = tracking(rich, name)
    told = {} if format in TELLS_SCALE else {"scale_um": SCALE_UM, "interval_s": INTERVAL_S}
    after = there_and_back(rich, name, format, tmp_path, **told)
    cells, links = shape_of(before)
    kept = links if format in TELLS_MERGES else shape_of(replace_links(before, ~before.is_merge))[1]
    lone = {(2, 40.0, 30.0)} if format in OF_NO_TRACK else set()
    assert shape_of(after) == (cells - lone, kept)
    assert (after.n_gaps, after.n_merges) == (before.n_gaps, before.n_merges if format in TELLS_MERGES else 0)
    assert (after.movie.scale_um, after.movie.interval_s) == (SCALE_UM, INTERVAL_S)
    rows = rows_by_id(before, after)
    np.testing.assert_array_equal(after.properties["brightness"], before.properties["brightness"][rows])
    guarded = format in ("napari", "csv")
    names = [f"'{n}" if guarded and n.startswith("=") else n for n in before.properties["name"][rows].tolist()]
    assert after.properties["name"].tolist() == names


def replace_links(found, kept):
    """Return a tracking with some of its links."""
    evidence = found.evidence
    return replace(
        found,
        source=found.source[kept],
        target=found.target[kept],
        kind=found.kind[kept],
        evidence=replace(
            evidence,
            probability=evidence.probability[kept],
            pinned_by=evidence.pinned_by[kept],
            also_in={name: there[kept] for name, there in evidence.also_in.items()},
        ),
    )


@pytest.mark.parametrize("format", OUT)
def test_masks_give_cells_that_come_back_as_points_with_features_as_properties(solved, tmp_path, format):
    before, after = tracking(solved), there_and_back(solved, "truth", format, tmp_path)
    rows = rows_by_id(before, after)
    links = shape_of(before)[1]
    assert shape_of(after)[1] == links
    assert set(rows) >= set(before.source.tolist()) | set(before.target.tolist())
    area = after.properties["AREA"] if format == "trackmate" else after.cells.area
    np.testing.assert_array_equal(area, before.cells.area[rows])
    for name in ("border", "bbox_y0", "inertia_yx", "equivalent_diameter"):
        known = (after.features | after.properties)[name]
        np.testing.assert_allclose(known, before.features[name][rows], rtol=1e-6)


def test_a_group_of_graph_and_masks_is_read_as_the_graph_in_it(solved, tmp_path):
    trackdb.open(solved.path).solution("truth").export("geff", tmp_path / "movie.zarr", masks=True)
    again = DuckDBStore(tmp_path / "again.trackdb")
    ingest(tmp_path / "movie.zarr", again)
    before, after = tracking(solved), tracking(again, "geff")
    assert shape_of(after) == shape_of(before)
    assert after.cells.label.tolist() == before.cells.label.tolist()


def key_of(name, found):
    """Return the name of a property after the round: another where ours, or one of the same letters, has the first."""
    return next(key for key in (f"source_{name}", f"{name}_2", name) if key in found.properties)


@pytest.mark.data
@pytest.mark.parametrize("format", ["geff", "trackmate"])
@pytest.mark.parametrize(
    "file",
    [
        "trackmate_xml_geff/FakeTracks.xml",
        "trackmate_xml_eslardet/FakeTracks.xml",
        "trackmate_xml_laptrack/trackmate_tracks_with_splitting_merging.xml",
        "stracking_io/FakeTracks_TrackMate.xml",
        "lineagetree_mamut/test-mamut.xml",
        "geff_zarr/mouse-20250719.zarr",
    ],
)
def test_files_of_other_tools_go_through_and_out_again(data_dir, tmp_path, file, format):
    """In as TrackMate or GEFF, out as the one or the other, in again: the same cells, links and features."""
    store = DuckDBStore(tmp_path / "in.trackdb")
    brought = ingest(data_dir / "format_fixtures" / file, store)
    name = next(iter(brought.links))
    before, after = tracking(store, name), there_and_back(store, name, format, tmp_path)
    assert brought.links[name] == len(before.source) == len(after.source)
    (cells, links), (cells_after, links_after) = shape_of(before), shape_of(after)
    linked = {end for link in links for end in link}
    if len(cells) == len(before.cells):  # no two cells of a frame in one place
        assert links_after == links
        assert linked <= cells_after <= cells
        rows = rows_by_id(before, after)
        for known, column in before.properties.items():
            if column.dtype.kind == "f":
                np.testing.assert_array_equal(after.properties[key_of(known, after)], column[rows])
    assert after.movie.interval_s == before.movie.interval_s
    if before.movie.scale_um:
        assert after.movie.scale_um == pytest.approx(before.movie.scale_um)
