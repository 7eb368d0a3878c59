"""GEFF: the geff package's own validator and reader take what is written."""

import dataclasses

import geff
import numpy as np
import pytest
import zarr
from geff.core_io import read_to_memory
from geff.validate.data import ValidationConfig
from geff.validate.segmentation import axes_match_seg_dims, graph_is_in_seg_bounds, has_seg_ids_at_time_points

import trackdb
from trackdb.engine.exports.geff import geff_graph
from trackdb.errors import ConfigError
from trackdb.storage.writers.geff import write_geff

from .exported import INTERVAL_S, SCALE_UM, tracking

EVERYTHING = ValidationConfig(graph=True, sphere=True, ellipsoid=True, lineage=True, tracklet=True)


def values(props, name):
    """Return a property as numpy holds it, with NaN or "" where it is missing."""
    column, absent = props[name]["values"], props[name]["missing"]
    if absent is None:
        return column
    return np.where(absent, "" if column.dtype.kind == "U" else np.nan, column)


@pytest.fixture(scope="module", params=["truth", "merged"])
def written(rich, tmp_path_factory, request):
    """A solution, and what the geff package reads after checking everything that it can check."""
    out = tmp_path_factory.mktemp("geff") / "out.geff"
    trackdb.open(rich.path).solution(request.param).export("geff", out)
    geff.validate_structure(out)
    return tracking(rich, request.param), read_to_memory(out, data_validation=EVERYTHING)


def test_the_axes_tell_frames_and_pixels_and_what_they_are_in_the_world(written):
    found, read = written
    axes = [(a.name, a.type, a.unit, a.scale, a.scaled_unit) for a in read["metadata"].axes]
    assert axes == [
        ("t", "time", "frame", INTERVAL_S, "second"),
        ("y", "space", "pixel", SCALE_UM[0], "micrometer"),
        ("x", "space", "pixel", SCALE_UM[1], "micrometer"),
    ]
    position = np.column_stack([read["node_props"][axis]["values"] for axis in "yx"])
    np.testing.assert_array_equal(position, found.cells.position_px)
    np.testing.assert_array_equal(read["node_props"]["t"]["values"], found.cells.frame)


def test_cells_and_links_keep_their_numbers(written):
    found, read = written
    assert read["metadata"].directed
    assert read["node_ids"].tolist() == found.cells.id.tolist()
    ends = np.column_stack([found.cells.id[found.source], found.cells.id[found.target]])
    np.testing.assert_array_equal(read["edge_ids"], ends)
    nodes = read["node_props"]
    np.testing.assert_array_equal(nodes["seg_id"]["values"], found.cells.label)
    np.testing.assert_array_equal(nodes["track_id"]["values"], found.track)
    np.testing.assert_array_equal(nodes["lineage_id"]["values"], found.lineage)
    assert nodes["area"]["missing"].all()  # points
    assert values(nodes, "name").tolist() == found.properties["name"].tolist()
    np.testing.assert_array_equal(values(nodes, "brightness"), found.properties["brightness"])


def test_links_tell_kind_probability_pin_and_the_other_solutions(written):
    found, read = written
    edges, evidence = read["edge_props"], found.evidence
    kinds = [("continue", "divide", "merge")[kind] for kind in found.kind.tolist()]
    assert edges["kind"]["values"].tolist() == kinds
    np.testing.assert_array_equal(values(edges, "probability"), evidence.probability)
    assert edges["pinned"]["values"].dtype == bool
    assert edges["pinned"]["values"].tolist() == (evidence.pinned_by != "").tolist()
    for name, there in evidence.also_in.items():
        assert edges[f"solution_{name}"]["values"].tolist() == there.tolist()
    if evidence.posterior:
        assert values(edges, "pinned_by").tolist() == evidence.pinned_by.tolist()


def test_the_metadata_name_store_solution_and_proof(rich, tmp_path):
    trackdb.open(rich.path).solution("ilp-1").export("geff", tmp_path / "ilp.geff")
    told = geff.GeffMetadata.read(tmp_path / "ilp.geff").extra["trackdb"]
    solution = trackdb.open(rich.path).solution("ilp-1")
    assert told["store"] == "rich.trackdb"
    assert (told["solution"], told["linker"], told["proven"]) == ("ilp-1", "ilp", True)
    assert told["objective"] == solution.objective
    attributes = zarr.open_group(tmp_path / "ilp.geff", mode="r").attrs["geff"]
    assert "geff_version" in attributes


def test_lineages_that_merge_are_one_component(written):
    found, read = written
    tracks = read["metadata"].track_node_props
    merges = found.n_merges > 0
    of_merges = {"tracklet": "branch_id", "lineage": "component_id"}
    assert tracks == (of_merges if merges else {"tracklet": "track_id", "lineage": "lineage_id"})
    if merges:
        component = read["node_props"]["component_id"]["values"]
        assert len(set(component.tolist())) == 2  # all cells but the lone one hang together


def test_masks_stand_beside_the_graph_and_hold_its_labels(solved, tmp_path):
    report = trackdb.open(solved.path).solution("truth").export("geff", tmp_path / "movie.zarr", masks=True)
    assert report.notes == ()
    read = read_to_memory(tmp_path / "movie.zarr" / "tracks", data_validation=EVERYTHING)
    [labels] = read["metadata"].related_objects
    assert (labels.type, labels.node_prop) == ("labels", "seg_id")
    masks = zarr.open_array(tmp_path / "movie.zarr" / "tracks" / labels.path, mode="r")[:]
    nodes = read["node_props"]
    assert axes_match_seg_dims(read, masks)[0]
    assert graph_is_in_seg_bounds(read, masks)[0]
    assert has_seg_ids_at_time_points(masks, nodes["t"]["values"], nodes["seg_id"]["values"], read["metadata"])[0]
    for row in range(len(nodes["t"]["values"])):
        t, y, x = (round(float(nodes[axis]["values"][row])) for axis in "tyx")
        assert masks[t, y, x] == nodes["seg_id"]["values"][row]
    assert set(zarr.open_group(tmp_path / "movie.zarr", mode="r").keys()) == {"masks", "tracks"}


def test_measured_features_are_properties(solved, tmp_path):
    trackdb.open(solved.path).solution("truth").export("geff", tmp_path / "drawn.geff")
    nodes = read_to_memory(tmp_path / "drawn.geff")["node_props"]
    assert set(nodes["area"]["values"].tolist()) == {25.0}
    np.testing.assert_allclose(nodes["equivalent_diameter"]["values"], (100 / np.pi) ** 0.5)
    assert (nodes["bbox_y1"]["values"] - nodes["bbox_y0"]["values"]).tolist() == [5] * 9


def test_names_that_no_folder_can_have_are_kept_in_the_metadata(rich, tmp_path):
    found = tracking(rich)
    n = len(found.cells)
    names = ["../../up", "a/b", ".zgroup", "a\\b", "", "y", "Y", "nul\x00", "x" * 300, "größe µm 🐭"]
    odd = dataclasses.replace(found, properties={name: np.full(n, float(i)) for i, name in enumerate(names)})
    write_geff(tmp_path / "odd.geff", geff_graph(odd))
    assert [f.name for f in tmp_path.iterdir()] == ["odd.geff"]
    read = read_to_memory(tmp_path / "odd.geff", data_validation=EVERYTHING)
    names_of = {key: read["metadata"].node_props_metadata[key].name for key in read["node_props"]}
    told = {key if name is None else name: key for key, name in names_of.items()}
    for i, name in enumerate(names):
        key = told["source_y" if name == "y" else name]
        assert set(read["node_props"][key]["values"].tolist()) == {float(i)}


def test_without_the_package_the_extra_is_named(rich, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "geff", None)
    with pytest.raises(ConfigError, match="not installed") as error:
        trackdb.open(rich.path).solution().export("geff", tmp_path / "out.geff")
    assert "trackdb[geff]" in error.value.details["try"]
    assert not list(tmp_path.iterdir())
