"""Reading tracks as napari's layer takes them: names or none, a graph of parents, and merges."""

import json

import numpy as np
import pytest

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source

#  frame  0     1     2     3
#         1 --- 1 --- 3             track 1 divides into 3 and 4, tracks 4 and 2 merge into 5
#                \___ 4 ___ 5
#         2 --- 2 --- 2 __/
ROWS = [
    (1, 0, 1.5, 1.0), (1, 1, 1.5, 2.0), (2, 0, 9.0, 1.0), (2, 1, 9.0, 2.0), (2, 2, 9.0, 3.0), (3, 2, 1.0, 3.0),
    (4, 2, 5.0, 3.0), (5, 3, 7.0, 4.0),
]  # fmt: skip
GRAPH = {"3": [1], "4": [1], "5": [4, 2]}
LINKS = {
    ((0, 1), (1, 1)), ((0, 2), (1, 2)), ((1, 2), (2, 2)), ((1, 1), (2, 3)), ((1, 1), (2, 4)), ((2, 4), (3, 5)),
    ((2, 2), (3, 5)),
}  # fmt: skip


def table(header="track,t,y,x", rows=ROWS):
    return "\n".join([header] * bool(header) + [",".join(map(str, row)) for row in rows]) + "\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tracks.csv").write_text(table())
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    return tmp_path


def links_of(source):
    (lineage,) = source.lineages
    cell = list(zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True))
    return {(cell[s], cell[t]) for s, t in zip(lineage.source, lineage.target, strict=True)}


def refused(path, message, **options):
    with pytest.raises(FormatError, match=message):
        open_source(path, "napari", SourceOptions(**options))


def test_a_folder_of_tracks_and_graph_is_a_lineage_with_merges(folder):
    assert detect(folder) == "napari"
    source = open_source(folder)
    assert links_of(source) == LINKS
    assert (source.lineages[0].name, source.lineages[0].merges, source.n_frames, source.ndim) == ("napari", True, 4, 2)
    (last,) = list(source.frames())[-1:]
    assert (last.points.label.tolist(), last.points.position_px.tolist()) == ([5], [[7.0, 4.0]])
    assert "napari: cells of more than one mother, kept as merges: 1 (ids 5)" in source.notes


@pytest.mark.parametrize("graph", ["my_graph.json", "my.graph.json"])
def test_a_graph_may_lie_beside_its_table(tmp_path, graph):
    path = tmp_path / "my.csv"
    path.write_text(table("TrackID,T,Y,X"))
    (tmp_path / graph).write_text(json.dumps({"3": 1, "4": 1, "5": [4, 2]}))
    assert detect(path) == "napari"
    assert links_of(open_source(path)) == LINKS
    (tmp_path / graph).unlink()
    assert detect(path) == "table"


def test_columns_without_names_are_those_of_the_layer(tmp_path):
    (tmp_path / "tracks.csv").write_text(table(""))
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    assert links_of(open_source(tmp_path)) == LINKS
    deep = [(track, t, 8.0 + t, y, x) for track, t, y, x in ROWS]
    (tmp_path / "tracks.csv").write_text(table("", deep))
    source = open_source(tmp_path)
    assert (source.ndim, links_of(source)) == (3, LINKS)
    (tmp_path / "tracks.csv").write_text("1,0,2\n")
    refused(tmp_path, "is no table of tracks; expected: track t .z. y x; got: 3 columns without names")


def test_a_table_alone_has_tracks_without_parents(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(table(""))
    source = open_source(path, "napari")
    assert links_of(source) == {link for link in LINKS if link[0][1] == link[1][1]}
    assert "there is no graph.json, so tracks have no parents" in source.notes


def test_features_come_along_and_labels_name_the_cells(folder):
    rows = [(*row, row[0] + 100, "a" if row[0] < 3 else "", 0.5) for row in ROWS]
    (folder / "tracks.csv").write_text(table("track,t,y,x,label,kind,score", rows))
    source = open_source(folder)
    first = next(source.frames()).points
    assert first.label.tolist() == [101, 102]
    assert {name: values.tolist() for name, values in first.properties.items()} == {
        "kind": ["a", "a"],
        "score": [0.5, 0.5],
    }
    assert ((2, 104), (3, 105)) in links_of(source)


def test_frames_that_are_skipped_are_bridged(folder):
    source = open_source(folder, options=SourceOptions(frames=slice(None, None, 3)))
    assert links_of(source) == {((0, 1), (1, 5)), ((0, 2), (1, 5))}


BAD = {
    "no json": ("{", r"graph.json is no graph of tracks; expected: .*; got: Expecting"),
    "list": ("[1]", r"graph.json is no graph of tracks"),
    "words": ('{"a": [1]}', r"graph.json is no graph of tracks; .*invalid literal"),
    "half": ('{"3": [1.5]}', r"graph.json is no graph of tracks; .*1.5 is no track"),
    "truth": ('{"3": [true]}', r"graph.json is no graph of tracks; .*True is no track"),
    "nested": ('{"3": [[1]]}', r"graph.json is no graph of tracks"),
    "huge": ('{"3": [99999999999999999999]}', r"graph.json is no graph of tracks"),
    "deep": ("[" * 100_000, r"graph.json is no graph of tracks"),
    "unknown child": ('{"9": [1]}', r"graph.json names track 9, which the table does not have"),
    "unknown parent": ('{"3": [9]}', r"graph.json names track 9, which the table does not have"),
    "itself": ('{"3": [3]}', r"graph.json: the table has parent 3 until frame 2, child 3 from frame 2"),
    "backward": ('{"1": [3]}', r"graph.json: the table has parent 3 until frame 2, child 1 from frame 0"),
    "key twice": ('{"3": [1], "3": [2]}', r"graph.json is no graph of tracks; .*a track is there twice"),
    "parent twice": ('{"3": [1, 1]}', r"graph.json names a parent of a track twice"),
}


@pytest.mark.parametrize(("graph", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_graph_is_refused(folder, graph, message):
    (folder / "graph.json").write_text(graph)
    refused(folder, message)


def test_bad_tracks_are_refused_with_their_line(folder):
    for bad, message in (
        ("1,0,5,5", r"tracks.csv line 10: track 1 is in frame 0 already"),
        ("x,0,5,5", r"tracks.csv line 10: column track needs a number; got: 'x'"),
        ("6,0.5,5,5", r"tracks.csv line 10: column t needs a whole number"),
        ("-2,0,5,5", r"tracks.csv line 10: column track needs a whole number of at least -1"),
    ):
        (folder / "tracks.csv").write_text(table() + bad + "\n")
        refused(folder, message)
    (folder / "tracks.csv").unlink()
    refused(folder, "holds no tracks.csv")


def test_options_that_say_nothing_are_refused(folder):
    for options in ({"links": folder}, {"truth": folder}):
        with pytest.raises(ConfigError, match="says nothing about a table of tracks"):
            open_source(folder, options=SourceOptions(**options))


def test_no_rows_are_a_movie_without_cells(folder):
    (folder / "tracks.csv").write_text("track,t,y,x\n")
    (folder / "graph.json").write_text("{}")
    source = open_source(folder)
    assert (source.n_frames, len(np.concatenate([source.lineages[0].source]))) == (0, 0)
