"""GraphML: networkx reads back the graph that the solution is."""

import networkx as nx
import numpy as np
import pytest

import trackdb
from trackdb.storage.writers.graphml import write_graphml

from .exported import tracking


@pytest.fixture(scope="module")
def out(rich, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphml")
    trackdb.open(rich.path).solution("truth").export("graphml", folder / "truth.graphml")
    return folder / "truth.graphml"


def test_networkx_reads_the_graph_that_python_hands_over(rich, out):
    graph = nx.read_graphml(out, node_type=int)
    known = trackdb.open(rich.path).solution("truth").to_networkx()
    assert graph.is_directed()
    assert set(graph.edges) == set(known.edges)
    for cell, attributes in known.nodes(data=True):
        found = graph.nodes[cell]
        assert {k: found[k] for k in attributes if k in found} == {k: v for k, v in attributes.items() if v == v}
        assert type(found["t"]) is int
    assert {(a, b): kind for a, b, kind in graph.edges(data="kind")} == {
        (a, b): kind for a, b, kind in known.edges(data="kind")
    }
    assert graph.graph["unit"] == known.graph["unit"] == "um"


def test_names_probabilities_pins_and_other_solutions_come_back(rich, out):
    found, graph = tracking(rich), nx.read_graphml(out, node_type=int)
    names = {cell: data.get("name", "") for cell, data in graph.nodes(data=True)}
    assert [names[cell] for cell in found.cells.id.tolist()] == found.properties["name"].tolist()
    bright = [graph.nodes[cell].get("brightness", np.nan) for cell in found.cells.id.tolist()]
    np.testing.assert_array_equal(bright, found.properties["brightness"])
    for row, (a, b) in enumerate(zip(found.source.tolist(), found.target.tolist(), strict=True)):
        link = graph.edges[found.cells.id[a], found.cells.id[b]]
        np.testing.assert_equal(link.get("probability", np.nan), found.evidence.probability[row])
        assert link.get("pinned_by", "") == found.evidence.pinned_by[row]
        assert link["pinned"] is bool(found.evidence.pinned_by[row])
        assert link["solution_merged"] is True
    facts = {"solution": "truth", "linker": "imported", "posterior": "newer", "scale_y": 0.65, "frame_interval_s": 30.0}
    assert graph.graph.items() >= facts.items()


def test_many_rows_are_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("trackdb.storage.writers.lines.CHUNK", 3)
    node = np.arange(10)
    write_graphml(tmp_path / "g.graphml", {"ok": True}, node, {"v": node * 0.5}, node[:-1], node[1:], {})
    graph = nx.read_graphml(tmp_path / "g.graphml", node_type=int)
    assert [v for _, v in graph.nodes(data="v")] == (node * 0.5).tolist()
    assert sorted(graph.edges) == [(i, i + 1) for i in range(9)]
    assert graph.graph["ok"] is True


def test_names_of_columns_and_facts_are_escaped(tmp_path):
    node = np.arange(2)
    write_graphml(
        tmp_path / "g.graphml", {"<&>": '"\x01'}, node, {"a<b&'\"": node}, node[:1], node[1:], {"ü": node[:1]}
    )
    graph = nx.read_graphml(tmp_path / "g.graphml", node_type=int)
    assert graph.graph["<&>"] == '"\ufffd'
    assert graph.nodes[1]["a<b&'\""] == 1
    assert graph.edges[0, 1]["ü"] == 0
