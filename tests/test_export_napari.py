"""napari: data, graph and properties as its Tracks layer asks for them."""

import json

import numpy as np
import pandas as pd
import pytest

import trackdb

from .exported import tracking


@pytest.fixture
def layer(rich):
    return trackdb.open(rich.path).solution("merged").to_napari()


def require_layer(data, graph, properties):
    """Hold a layer to napari's rules: sorted by track and time, whole frames, each once, parents that are there."""
    assert data.ndim == 2
    assert data.shape[1] in (4, 5)
    assert np.array_equal(np.lexsort((data[:, 1], data[:, 0])), np.arange(len(data)))
    assert np.array_equal(data[:, :2], np.floor(data[:, :2]))
    assert len(np.unique(data[:, :2], axis=0)) == len(data)
    assert {len(column) for column in properties.values()} == {len(data)}
    tracks = set(data[:, 0].astype(int).tolist())
    for child, parents in graph.items():
        assert child in tracks
        assert isinstance(parents, list)
        assert set(parents) <= tracks - {child}
        born = data[data[:, 0] == child, 1].min()
        assert all(data[data[:, 0] == parent, 1].max() < born for parent in parents)


def test_a_layer_keeps_the_rules_and_tells_who_is_whose_child(rich, layer):
    data, graph, properties = layer
    require_layer(data, graph, properties)
    track = dict(zip(properties["label"].tolist(), data[:, 0].astype(int).tolist(), strict=True))
    assert track[1] == track[3] == track[6]
    assert graph == {track[4]: [track[2]], track[5]: [track[2]], track[9]: sorted([track[6], track[7]])}
    assert track[4] == track[10]  # a gap is no new track


def test_positions_are_pixels_and_properties_follow_the_points(rich, layer):
    data, _, properties = layer
    found = tracking(rich, "merged")
    row = {cell: i for i, cell in enumerate(found.cells.id.tolist())}
    rows = [row[cell] for cell in properties["id"].tolist()]
    np.testing.assert_array_equal(data[:, 2:], found.cells.position_px[rows])
    assert properties["name"].tolist() == found.properties["name"][rows].tolist()


def test_the_files_say_the_same_as_python(rich, layer, tmp_path):
    data, graph, properties = layer
    trackdb.open(rich.path).solution("merged").export("napari", tmp_path / "layer")
    assert sorted(f.name for f in (tmp_path / "layer").iterdir()) == ["graph.json", "tracks.csv"]
    table = pd.read_csv(tmp_path / "layer" / "tracks.csv")
    assert table.columns[:4].tolist() == ["track", "t", "y", "x"]
    np.testing.assert_array_equal(table[["track", "t", "y", "x"]].to_numpy().astype(np.float32), data)
    np.testing.assert_array_equal(table["brightness"], properties["brightness"])
    read = json.loads((tmp_path / "layer" / "graph.json").read_text())
    assert {int(child): parents for child, parents in read.items()} == graph
