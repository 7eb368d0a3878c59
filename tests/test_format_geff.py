"""Reading GEFF: axes, labels, properties and edges, of either Zarr format and of old versions; and what is refused."""

import numpy as np
import pytest

from trackdb.errors import FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source

from .graph_files import LINKS, SPOTS, changed_geff, ids_by_place, links_by_place, replaced_array, write_geff

pytest.importorskip("geff", reason="the extra geff is not installed")

N = len(SPOTS)


def refused(path, message, **options):
    with pytest.raises(FormatError, match=message):
        open_source(path, options=SourceOptions(**options))


def properties_of(source):
    batches = [b.points for b in source.frames() if len(b.points.label)]
    return {name: np.concatenate([p.properties[name] for p in batches]) for name in batches[0].properties}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_nodes_come_in_pixels_with_their_ids_and_edges_as_a_tracking(tmp_path, zarr_format):
    path = write_geff(tmp_path / "drawn.zarr", zarr_format=zarr_format)
    assert detect(path) == "geff"
    source = open_source(path)
    assert (source.name, source.n_frames, source.ndim) == ("drawn", 5, 2)
    assert (source.scale_um, source.interval_s) == ((0.5, 0.5), 300.0)
    assert ids_by_place(source) == {(place[0], spot): spot for spot, place in SPOTS.items()}
    assert links_by_place(source) == LINKS
    (lineage,) = source.lineages
    assert (lineage.name, lineage.merges, len(lineage.frame)) == ("geff", True, N)


def test_a_geff_is_found_inside_of_a_store(tmp_path):
    import zarr

    zarr.open_group(tmp_path / "movie.zarr", mode="w", zarr_format=2)
    write_geff(tmp_path / "movie.zarr" / "some" / "tracks")
    zarr.open_group(tmp_path / "movie.zarr" / "some", mode="a", zarr_format=2)
    for path in (tmp_path / "movie.zarr", tmp_path / "movie.zarr" / "some" / "tracks"):
        source = open_source(path)
        assert (source.name, links_by_place(source)) == ("movie", LINKS)
    write_geff(tmp_path / "movie.zarr" / "more")
    refused(tmp_path / "movie.zarr", "movie.zarr holds 2 GEFFs; .*movie.zarr/more, .*some/tracks; try: to name one")
    assert open_source(tmp_path / "movie.zarr" / "more").n_frames == 5


def test_a_store_without_a_geff_is_none(tmp_path):
    import zarr

    zarr.create_array(tmp_path / "a.zarr" / "0", data=np.zeros((4, 4)))
    zarr.open_group(tmp_path / "a.zarr", mode="a")
    (tmp_path / "file.geff").write_text("")
    with pytest.raises(FormatError, match="holds no GEFF; expected: one Zarr group with 'geff' among its attributes"):
        open_source(tmp_path / "a.zarr", "geff")
    with pytest.raises(FormatError, match=r"file.geff is no GEFF; expected: the folder of a Zarr group"):
        open_source(tmp_path / "file.geff", "geff")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:The data type")  # of texts in Zarr 3, which are no standard yet
def test_properties_come_as_numbers_and_text_and_know_where_they_miss(tmp_path, zarr_format):
    lacks = np.arange(N) % 3 == 0
    path = write_geff(
        tmp_path / "a.zarr",
        zarr_format=zarr_format,
        props={
            "radius": (np.arange(N, dtype=np.float32), lacks),
            "is_good": np.arange(N) % 2 == 0,
            "fate": (np.array([f"fate ö{k}" for k in range(N)]), lacks),
            "name": np.array([f"n{k}" for k in range(N)], dtype=np.dtypes.StringDType()),
            "huge": np.full(N, 2**60 + 1),
            "area": (np.arange(N), lacks),
            "colour": np.zeros((N, 3)),
        },
    )
    source = open_source(path)
    told = properties_of(source)
    assert sorted(told) == ["fate", "huge", "is_good", "name", "radius"]
    row = np.argsort([SPOTS[s][0] for s in SPOTS], kind="stable")  # points come by frame
    assert np.array_equal(told["radius"], np.where(lacks, np.nan, np.arange(N))[row], equal_nan=True)
    assert told["is_good"].tolist() == (np.arange(N) % 2 == 0)[row].tolist()
    assert told["fate"].tolist() == [("" if lacks[k] else f"fate ö{k}") for k in row]
    assert told["name"].tolist() == [f"n{k}" for k in row]
    assert set(told["huge"].tolist()) == {str(2**60 + 1)}
    area = np.concatenate([b.points.area for b in source.frames()])
    assert np.array_equal(area, np.where(lacks, np.nan, np.arange(N))[row], equal_nan=True)
    assert "properties that are neither a number nor a text are left out: colour" in source.notes


def test_labels_of_a_segmentation_are_labels_and_ids_a_property(tmp_path):
    frame = np.array([place[0] for place in SPOTS.values()])
    rank = np.array([np.count_nonzero(frame[:k] == frame[k]) for k in range(N)])  # from 0 anew in each frame
    source = open_source(write_geff(tmp_path / "a.zarr", props={"seg_id": rank + 1}))
    assert links_by_place(source) == LINKS
    assert {int(b.points.label.max()) for b in source.frames()} == set(np.bincount(frame).tolist())
    assert sorted(properties_of(source)["node_id"].tolist()) == sorted(SPOTS)
    named = {"related_objects": [{"type": "labels", "path": "../seg", "node_prop": "mask"}]}
    source = open_source(write_geff(tmp_path / "b.zarr", props={"mask": rank + 7}, **named))
    assert min(int(b.points.label.min()) for b in source.frames()) == 7
    assert "what lies beside the graph is not read with it: labels in ../seg" in source.notes


def test_names_that_no_folder_can_have_come_back_where_we_wrote_them(tmp_path):
    path = write_geff(tmp_path / "a.zarr", props={"a_b": np.arange(N)})
    changed_geff(path, lambda told: told["node_props_metadata"]["a_b"].update(name="a/b: c"))
    assert "a_b" in properties_of(open_source(path))
    changed_geff(path, lambda told: told.update(extra={"trackdb": {}}))
    assert "a/b: c" in properties_of(open_source(path))


@pytest.mark.parametrize("labels", [np.ones(N, int), -np.arange(1, N + 1), (np.arange(N), np.arange(N) == 3)])
def test_labels_that_do_not_tell_nodes_apart_are_left_to_the_ids(tmp_path, labels):
    source = open_source(write_geff(tmp_path / "a.zarr", props={"seg_id": labels}))
    assert ids_by_place(source) == {(place[0], spot): spot for spot, place in SPOTS.items()}
    assert "property seg_id does not give each node of a frame a label of its own: node ids do" in source.notes


def test_edges_without_direction_follow_time(tmp_path):
    edges = [pair[::-1] if k % 2 else pair for k, pair in enumerate(sorted(LINKS))]
    source = open_source(write_geff(tmp_path / "a.zarr", directed=False, edges=edges))
    assert links_by_place(source) == LINKS
    refused(write_geff(tmp_path / "b.zarr", edges=edges), "edges/ids row 1: edge 12 -> 11 runs backward in time")


def test_what_is_no_part_of_a_solution_is_left_out(tmp_path):
    chosen = np.array([pair != (10, 11) for pair in sorted(LINKS)])
    source = open_source(write_geff(tmp_path / "a.zarr", edge_props={"solution": chosen, "score": chosen * 0.5}))
    assert links_by_place(source) == LINKS - {(10, 11)}
    assert "1 of 14 edges are no part of the solution: left out" in source.notes
    assert "properties of edges are left out: score" in source.notes
    cells = np.array([spot != 12 for spot in SPOTS])
    source = open_source(write_geff(tmp_path / "b.zarr", props={"solution": cells}))
    assert links_by_place(source) == {pair for pair in LINKS if 12 not in pair}
    assert len(source.lineages[0].frame) == N - 1
    assert len(ids_by_place(source)) == N


@pytest.mark.parametrize(
    ("axis", "asked", "scale", "factor", "note"),
    [
        ({"space_unit": "pixel", "scaled_unit": "nanometer"}, None, (5e-4, 5e-4), 1, ""),
        ({"space_unit": "pixel", "scale": None, "scaled_unit": None}, None, None, 1, ""),
        ({"space_unit": None, "scaled_unit": None}, None, None, 1, "a scale of 0.5, 0.5 without a unit"),
        ({"space_unit": None, "scale": None, "scaled_unit": None}, None, None, 1, "no unit of length is told"),
        ({"space_unit": "micrometer", "scale": None, "scaled_unit": None}, None, (1.0, 1.0), 1, "one pixel is taken"),
        ({"space_unit": "micrometer", "scale": None, "scaled_unit": None}, (0.5, 0.5), (0.5, 0.5), 2, "brought to"),
        ({"space_unit": "millimeter", "scale": None, "scaled_unit": None}, (500, 500), (500, 500), 2, "brought to"),
        ({"space_unit": "micrometer", "scaled_unit": None}, None, (0.5, 0.5), 1, "taken as pixels of that size"),
        ({"space_unit": "parsec", "scale": None, "scaled_unit": None}, None, None, 1, "'parsec' is none that is known"),
    ],
)
def test_units_and_scales_of_space(tmp_path, axis, asked, scale, factor, note):
    source = open_source(write_geff(tmp_path / "a.zarr", **axis), options=SourceOptions(scale_um=asked))
    assert source.scale_um == (None if scale is None else pytest.approx(scale))
    assert next(source.frames()).points.position_px[0].tolist() == [10 * factor, 20 * factor]
    assert note in " ".join(source.notes)


def timed(path, times, **axis):
    """Give a GEFF other times and another axis of time."""
    changed_geff(path, lambda told: told["axes"].__setitem__(0, {"name": "t", "type": "time", **axis}))
    changed_geff(path, lambda told: told["node_props_metadata"]["t"].update(dtype="float64"))
    return replaced_array(
        path, "nodes/props/t/values", np.array([times[place[0]] for place in SPOTS.values()], dtype=float)
    )


@pytest.mark.parametrize(
    ("times", "axis", "interval", "first"),
    [
        ([0, 1, 2, 3, 4], {"unit": "frame"}, None, 0),
        ([0, 1, 2, 3, 4], {}, None, 0),
        ([2, 3, 4, 5, 6], {}, None, 2),
        ([0, 1, 2, 3, 4], {"scale": 2, "scaled_unit": "hour"}, 7200, 0),
        ([0, 5, 10, 15, 20], {"unit": "minute"}, 300, 0),
        ([0.25, 0.5, 0.75, 1.0, 1.25], {"unit": "hour"}, 900, 1),
        ([7.1, 7.3, 7.5, 7.7, 7.9], {"unit": "second"}, 0.2, 0),
        ([0, 1, 2, 3, 4.5], {"unit": "second"}, None, 0),
    ],
)
def test_times_become_frames(tmp_path, times, axis, interval, first):
    source = open_source(timed(write_geff(tmp_path / "a.zarr"), times, **axis))
    assert source.interval_s == (None if interval is None else pytest.approx(interval))
    (lineage,) = source.lineages
    frame = dict(zip(lineage.label.tolist(), lineage.frame.tolist(), strict=True))
    assert frame == {spot: place[0] + first for spot, place in SPOTS.items()}
    uneven, shifted = 4.5 in times, 7.1 in times
    assert ("t" in properties_of(source)) == (uneven or shifted)
    assert any("not evenly spaced" in note for note in source.notes) == uneven


def test_axes_are_known_by_their_names_or_in_their_order(tmp_path):
    path = write_geff(tmp_path / "a.zarr")
    changed_geff(path, lambda told: told.update(axes=told["axes"][::-1]))
    assert links_by_place(open_source(path)) == LINKS
    changed_geff(path, lambda told: told.pop("axes"))
    assert links_by_place(open_source(path)) == LINKS
    path = write_geff(tmp_path / "b.zarr")
    for old, new in (("y", "row"), ("x", "column")):
        (path / "nodes/props" / old).rename(path / "nodes/props" / new)
        changed_geff(path, lambda told, old=old, new=new: told["axes"]["tyx".index(old)].update(name=new))
        about = {"identifier": new, "dtype": "float64"}
        changed_geff(
            path,
            lambda told, a=about, o=old: (
                told["node_props_metadata"].pop(o),
                told["node_props_metadata"].update({a["identifier"]: a}),
            ),
        )
    assert links_by_place(open_source(path)) == LINKS


def test_a_z_that_is_the_same_everywhere_makes_no_3d(tmp_path):
    path = write_geff(tmp_path / "a.zarr", props={"z": np.full(N, 3.0)})
    changed_geff(
        path,
        lambda told: told["axes"].append(
            {"name": "z", "type": "space", "unit": "pixel", "scale": 2.0, "scaled_unit": "micrometer"}
        ),
    )
    source = open_source(path)
    assert (source.ndim, source.scale_um) == (2, (0.5, 0.5))
    assert "axis z is the same everywhere, so the movie is 2D" in source.notes
    replaced_array(path, "nodes/props/z/values", np.arange(N, dtype=float))
    source = open_source(path)
    assert (source.ndim, source.scale_um) == (3, (2.0, 0.5, 0.5))
    assert next(source.frames()).points.position_px[0].tolist() == [0, 10, 20]


def test_metadata_of_old_versions_may_tell_less(tmp_path):
    path = write_geff(tmp_path / "a.zarr", geff_version="0.2.2.dev20+g611e7a2.d20250719", roi_min=[0, 0])
    changed_geff(path, lambda told: (told.pop("node_props_metadata"), told.pop("edge_props_metadata")))
    replaced_array(path, "nodes/ids", np.array(list(SPOTS), dtype=float))
    assert links_by_place(open_source(path)) == LINKS
    changed_geff(path, lambda told: told.update(geff_version="1.0"))
    refused(path, "a.zarr breaks the GEFF standard; got: node_props_metadata: Field required")


def test_tracks_that_the_nodes_tell_are_kept_as_properties(tmp_path):
    source = open_source(
        write_geff(tmp_path / "a.zarr", props={"track": np.arange(N)}, track_node_props={"tracklet": "track"})
    )
    assert "tracks follow from the edges; what the nodes say of them is kept as track" in source.notes
    assert "track" in properties_of(source)


def test_an_empty_graph_is_an_empty_movie(tmp_path):
    path = write_geff(tmp_path / "a.zarr", edges=[])
    for name in ("nodes/ids", "nodes/props/t/values"):
        replaced_array(path, name, np.empty(0, dtype=np.int64))
    for axis in "yx":
        replaced_array(path, f"nodes/props/{axis}/values", np.empty(0))
    source = open_source(path)
    assert source.n_frames == 0
    assert "no detections" in source.notes


@pytest.mark.filterwarnings("ignore:The data type")
def test_what_the_standards_own_package_writes_comes_in(tmp_path):
    import geff
    import networkx as nx

    graph = nx.DiGraph()
    for spot, (t, y, x) in SPOTS.items():
        graph.add_node(spot, t=t, y=float(y), x=float(x), name=f"n{spot}")
    graph.add_edges_from((a, b, {"p": 0.5}) for a, b in LINKS)
    for zarr_format in (2, 3):
        path = tmp_path / f"{zarr_format}.geff"
        geff.write(
            graph, path, axis_names=["t", "y", "x"], axis_types=["time", "space", "space"], zarr_format=zarr_format,
            axis_units=["frame", "pixel", "pixel"], axis_scales=[60.0, 0.2, 0.2],
            scaled_units=["second", "micrometer", "micrometer"],
        )  # fmt: skip
        source = open_source(path)
        assert (links_by_place(source), source.scale_um, source.interval_s) == (LINKS, (0.2, 0.2), 60.0)
        assert set(properties_of(source)["name"].tolist()) == {f"n{spot}" for spot in SPOTS}


@pytest.mark.data
def test_a_geff_of_an_old_version_comes_in_whole(data_dir):
    import zarr

    path = data_dir / "format_fixtures" / "geff_zarr" / "mouse-20250719.zarr"
    source = open_source(path)
    assert (source.name, source.n_frames, source.ndim) == ("mouse-20250719", 532, 3)
    tracks = zarr.open_group(path / "tracks", mode="r")
    ids, edges = tracks["nodes/ids"][:].astype(int), tracks["edges/ids"][:].astype(int)
    told = {name: tracks[f"nodes/props/{name}/values"][:] for name in ("t", "z", "y", "x", "track_id")}
    assert (len(ids), len(edges)) == (37009, 36916)
    (lineage,) = source.lineages
    found = np.column_stack([lineage.label[lineage.source], lineage.label[lineage.target]])
    assert set(map(tuple, found.tolist())) == set(map(tuple, edges.tolist()))
    assert int((np.bincount(lineage.source) == 2).sum()) == 148
    row = {spot: k for k, spot in enumerate(ids.tolist())}
    for batch in list(source.frames())[::53]:
        rows = [row[label] for label in batch.points.label.tolist()]
        assert (told["t"][rows] == batch.frame).all()
        assert np.array_equal(batch.points.position_px, np.column_stack([told[a][rows] for a in "zyx"]))
        assert np.array_equal(batch.points.properties["track_id"], told["track_id"][rows])
