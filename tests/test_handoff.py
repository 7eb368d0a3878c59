"""Solutions as graphs of networkx."""

import json

import networkx as nx
import numpy as np
import pytest

from trackdb.engine.handoff import to_networkx
from trackdb.engine.lineages import label_lineages
from trackdb.errors import SchemaError
from trackdb.storage.schema import Detections, SolutionTable

SOURCE, TARGET = np.array([10, 14, 14]), np.array([14, 16, 18])


def drawn(ndim=2, scale_um=None):
    r"""Return detections and a solution without detection 12, a false one.

    ::

        frame  0     1     2
                         16
              10 -- 14 <
                         18
              12
    """
    ids = np.array([10, 12, 14, 16, 18])
    position = np.array([[z, y, x] for z, y, x in [(1, 2, 3), (0, 0, 0), (1, 3, 4), (1, 4, 4), (2, 4, 6)]], dtype=float)
    detections = Detections(
        ids, np.array([0, 0, 1, 2, 2]), position[:, 3 - ndim :], np.array([1, 2, 1, 1, 2]), np.full(5, 9.0), scale_um
    )
    node = ids[[0, 2, 3, 4]]
    labels = label_lineages(detections.frame[[0, 2, 3, 4]], np.array([0, 1, 1]), np.array([1, 2, 3]))
    edge = np.arange(3)
    return SolutionTable(node, labels.track_id, labels.pre, edge, labels.kind, labels.tracks), detections


def test_a_drawn_solution_becomes_the_graph_drawn():
    graph = to_networkx(*drawn(), SOURCE, TARGET)
    assert dict(graph.nodes(data=True)) == {
        10: {"t": 0, "y": 2.0, "x": 3.0, "label": 1, "area": 9.0, "track": 1, "lineage": 1},
        14: {"t": 1, "y": 3.0, "x": 4.0, "label": 1, "area": 9.0, "track": 1, "lineage": 1},
        16: {"t": 2, "y": 4.0, "x": 4.0, "label": 1, "area": 9.0, "track": 2, "lineage": 1},
        18: {"t": 2, "y": 4.0, "x": 6.0, "label": 2, "area": 9.0, "track": 3, "lineage": 1},
    }
    assert list(graph.edges(data="kind")) == [(10, 14, "continue"), (14, 16, "divide"), (14, 18, "divide")]
    assert graph.graph == {"unit": "px"}


def test_positions_are_in_micrometres_where_the_voxel_size_is_known():
    graph = to_networkx(*drawn(3, scale_um=(2.0, 0.5, 0.5)), SOURCE, TARGET)
    assert [graph.nodes[18][axis] for axis in "zyx"] == [4.0, 2.0, 3.0]
    assert graph.graph == {"unit": "um"}


def test_a_graph_is_written_as_it_is():
    graph = to_networkx(*drawn(), SOURCE, TARGET)
    assert "divide" in json.dumps(nx.node_link_data(graph, edges="edges"))
    assert any("graphml" in line for line in nx.generate_graphml(graph))


def test_an_empty_solution_is_an_empty_graph():
    none = np.empty(0, dtype=np.int64)
    labels = label_lineages(none, none, none)
    solution = SolutionTable(none, labels.track_id, labels.pre, none, labels.kind, labels.tracks)
    assert len(to_networkx(solution, drawn()[1], none, none)) == 0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([10, 14], [14, 16], "differ in length"),
        ([10, 14, 12], [14, 16, 18], "links tie cells that are not part of the solution; got: 1 such cells"),
    ],
)
def test_links_that_do_not_belong_to_the_solution_are_refused(source, target, message):
    with pytest.raises(SchemaError, match=message):
        to_networkx(*drawn(), np.array(source), np.array(target))


def test_cells_that_are_not_detected_are_refused():
    solution, detections = drawn()
    few = Detections(
        detections.id[:3], detections.frame[:3], detections.position_px[:3], detections.label[:3], detections.area[:3]
    )
    with pytest.raises(SchemaError, match="detection 16 is unknown; missing: 2 of 4"):
        to_networkx(solution, few, SOURCE, TARGET)
