"""Solutions in the shape that other libraries expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SchemaError
from ..storage.schema import LinkKind, require_equal_lengths, rows_of

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    from motile import TrackGraph
    from numpy.typing import NDArray

    from ..storage.schema import Detections, SolutionTable


def to_networkx(
    solution: SolutionTable, detections: Detections, source: NDArray[np.int64], target: NDArray[np.int64]
) -> nx.DiGraph:
    """Return a solution as a directed graph, each link from the earlier cell to the later one.

    Nodes are ids of detections, with the attributes ``t`` (frame), ``z`` (in 3D), ``y``, ``x``, ``label``, ``area``
    (pixels), ``track`` and ``lineage``; edges have a ``kind``: ``continue``, ``divide`` or ``merge``. The graph's own
    attribute ``unit`` says whether positions are in ``um`` or, where the voxel size is not known, in ``px``. All
    values are Python's own numbers, so that the graph can be written as GraphML or JSON as it is.

    networkx keeps an object for every node and edge: some 100,000 cells are comfortable, for millions stay with the
    tables.

    Parameters
    ----------
    solution : SolutionTable
        The n cells and m links of the solution.
    detections : Detections
        At least the cells of the solution; others are left out.
    source, target : (m,) int64
        Ids of the detections that each link of the solution ties.

    Returns
    -------
    networkx.DiGraph
        n nodes and m edges, in the order of the solution.

    Raises
    ------
    SchemaError
        If a cell is not among the detections, a link ties a cell that is not part of the solution, or the columns
        differ in length.
    """
    import networkx as nx  # a tenth of a second, paid by those who ask for a graph

    require_equal_lengths(edge=solution.edge, source=source, target=target)
    graph = nx.DiGraph(unit="um" if detections.scale_um else "px")
    columns = _node_columns(solution, detections)
    values = zip(*columns.values(), strict=True)
    names = tuple(columns)
    attributes = (dict(zip(names, row, strict=True)) for row in values)
    graph.add_nodes_from(zip(solution.node.tolist(), attributes, strict=True))

    kinds = {int(kind): kind.name.lower() for kind in LinkKind}
    links = zip(source.tolist(), target.tolist(), solution.kind.tolist(), strict=True)
    graph.add_edges_from((a, b, {"kind": kinds[kind]}) for a, b, kind in links)
    if len(graph) > len(solution.node):
        strangers = len(graph) - len(solution.node)
        raise SchemaError("links tie cells that are not part of the solution", got=f"{strangers} such cells")
    return graph


def to_motile(
    solution: SolutionTable, detections: Detections, source: NDArray[np.int64], target: NDArray[np.int64]
) -> TrackGraph:
    """Return a solution as a graph of motile, with `to_networkx`'s attributes and one for the place.

    The frame is the attribute ``t``, motile's default; ``position`` holds ``([z,] y, x)`` as one tuple, for
    ``EdgeDistanceCost("position")`` and the like.

    Parameters
    ----------
    solution, detections, source, target
        As in `to_networkx`.

    Returns
    -------
    motile.TrackGraph
        n nodes and m edges.

    Raises
    ------
    SchemaError
        As in `to_networkx`.
    """
    from motile import TrackGraph  # a quarter of a second

    graph = to_networkx(solution, detections, source, target)
    axes = "zyx"[-detections.ndim :]
    for attributes in graph.nodes.values():
        attributes["position"] = tuple(attributes[axis] for axis in axes)
    return TrackGraph(graph if len(graph) else None)


def _node_columns(solution: SolutionTable, detections: Detections) -> dict[str, list[int] | list[float]]:
    """Return the attributes of the solution's cells by name, as lists."""
    rows = detections.row_of(solution.node)
    tracks = solution.tracks
    place = rows_of(tracks.pre, solution.pre, "place in the walk")
    positions = detections.position_um[rows]
    return {
        "t": detections.frame[rows].tolist(),
        **{axis: positions[:, i].tolist() for i, axis in enumerate("zyx"[-detections.ndim :])},
        "label": detections.label[rows].tolist(),
        "area": detections.area[rows].tolist(),
        "track": solution.track_id.tolist(),
        "lineage": tracks.lineage[place].tolist(),
    }
