"""Write a graph as GraphML, as networkx, Gephi and Cytoscape read it; a stream, whatever its size.

Format: http://graphml.graphdrawing.org, with the attribute extension (``attr.name``, ``attr.type``).
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from ..folders import appearing_file
from .lines import chunks, joined, piece, texts, write_rows, xml, xml_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

TYPES = {"b": "boolean", "i": "long", "f": "double", "U": "string"}  # of numpy's kinds
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns '
    'http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">\n'
)


def write_graphml(
    path: Path,
    graph: Mapping[str, str | float | bool],
    node: NDArray[np.int64],
    node_columns: Mapping[str, NDArray[np.generic]],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    edge_columns: Mapping[str, NDArray[np.generic]],
) -> None:
    """Write a directed graph; the file appears when all of it is written.

    Parameters
    ----------
    path : Path
        File to make.
    graph : dict of str to str, float or bool
        What is told of the graph as a whole.
    node : (n,) int64
        Numbers of the nodes.
    node_columns : dict of str to (n,) array
        Their attributes: bool, int64, float64 or str; NaN and ``""`` are left out.
    source, target : (m,) int64
        Numbers of the nodes that each edge ties.
    edge_columns : dict of str to (m,) array
        Attributes of the edges.
    """
    with appearing_file(path, new=True) as partial, partial.open("wb") as stream:
        stream.write(HEAD.encode())
        _declare(stream, "graph", {name: _type_of(value) for name, value in graph.items()})
        _declare(stream, "node", {name: TYPES[column.dtype.kind] for name, column in node_columns.items()})
        _declare(stream, "edge", {name: TYPES[column.dtype.kind] for name, column in edge_columns.items()})
        stream.write(b'<graph edgedefault="directed">\n')
        for number, value in enumerate(graph.values()):
            text = str(value).lower() if isinstance(value, bool) else xml_text(str(value))
            stream.write(f'<data key="graph{number}">{text}</data>\n'.encode())
        for rows in chunks(len(node)):
            write_rows(
                stream, joined('<node id="', texts(node[rows]), '">', *_data("node", node_columns, rows), "</node>\n")
            )
        for rows in chunks(len(source)):
            ends = ('<edge source="', texts(source[rows]), '" target="', texts(target[rows]), '">')
            write_rows(stream, joined(*ends, *_data("edge", edge_columns, rows), "</edge>\n"))
        stream.write(b"</graph>\n</graphml>\n")


def _declare(stream: IO[bytes], what: str, types: Mapping[str, str]) -> None:
    for number, (name, kind) in enumerate(types.items()):
        head = f'<key id="{what}{number}" for="{what}" attr.name="{xml_text(name)}" attr.type="{kind}"/>\n'
        stream.write(head.encode())


def _type_of(value: str | float | bool) -> str:
    return {bool: "boolean", int: "long", float: "double"}.get(type(value), "string")


def _data(what: str, columns: Mapping[str, NDArray[np.generic]], rows: slice) -> list[object]:
    """Return each column as a ``data`` element."""
    return [
        piece(f'<data key="{what}{number}">', xml(column[rows]), "</data>")
        for number, column in enumerate(columns.values())
    ]
