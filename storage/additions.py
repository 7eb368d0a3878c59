"""What a transaction adds to the graph: edges under new numbers, and solutions over them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from ..errors import StoreExistsError
from . import catalogue, rows, tables
from .connection import append, fetch, incoming

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .catalogue import DetectionSet, SolutionInfo
    from .schema import CandidateEdges, Detections, SolutionTable


def insert_edges(
    connection: sa.Connection, chosen: DetectionSet, detections: Detections, edges: CandidateEdges, *, candidate: bool
) -> NDArray[np.int64]:
    """Add edges that the graph lacks, and return the numbers they get."""
    if not len(edges):
        return np.empty(0, dtype=np.int64)
    first = catalogue.take_ids(connection, tables.edge, len(edges))
    numbered = replace(edges, id=np.arange(first, first + len(edges)))
    append(connection, tables.edge, rows.edge_rows(numbered, detections, chosen.id, candidate=candidate))
    return numbered.id


def grow(
    connection: sa.Connection,
    chosen: DetectionSet,
    detections: Detections,
    edges: CandidateEdges,
    *,
    candidate: bool,
) -> NDArray[np.int64]:
    """Add the edges that the graph does not know, and return the numbers of all.

    With `candidate` the known ones become candidates too; without it they stay what they are.
    """
    known = rows.edges_from(fetch(connection, edges_of(chosen)), detections)
    ids = edge_ids(known, edges, len(detections)) if len(known) else np.full(len(edges), -1)
    if candidate:
        promote(connection, ids[ids >= 0])
    ids[ids < 0] = insert_edges(connection, chosen, detections, edges.take(ids < 0), candidate=candidate)
    return ids


def edges_of(chosen: DetectionSet) -> sa.Select[tuple[object, ...]]:
    """Return the query for all edges of a detection set, imported ones among them."""
    e = tables.edge
    return sa.select(e.c.edge_id, e.c.source, e.c.target, e.c.dt, e.c.distance).where(e.c.set_id == chosen.id)


def promote(connection: sa.Connection, edge_id: NDArray[np.int64]) -> None:
    """Make candidates of edges that only an imported tracking knew."""
    with incoming(connection, pa.table({"edge_id": edge_id})) as name:
        connection.exec_driver_sql(
            f"update edge set candidate = true where not candidate and edge_id in (select edge_id from {name})"
        )


def insert_solution(connection: sa.Connection, info: SolutionInfo, table: SolutionTable) -> None:
    """Add a solution under a new number."""
    require_free_name(connection, info)
    solution_id = catalogue.take_ids(connection, tables.solution, 1)
    connection.execute(
        sa.insert(tables.solution).values(
            solution_id=solution_id,
            set_id=info.set_id,
            run_id=info.run_id,
            name=info.name,
            linker=info.linker,
            objective=info.objective,
            lower_bound=info.lower_bound,
            proven=info.proven,
        )
    )
    for name, content in rows.solution_rows(table, solution_id).items():
        append(connection, tables.metadata.tables[name], content)


def require_free_name(connection: sa.Connection, info: SolutionInfo) -> None:
    """Raise StoreExistsError if the dataset of a solution has one of the same name."""
    if catalogue.solutions(connection, tables.solution.c.name == info.name, of_dataset(info.set_id)):
        raise StoreExistsError(f"there is already a solution named {info.name}", **{"try": "another --name"})


def of_dataset(set_id: int) -> sa.ColumnElement[bool]:
    """Return the condition that a solution belongs to the dataset of a detection set."""
    return in_dataset(tables.solution, set_id)


def in_dataset(table: sa.Table, set_id: int) -> sa.ColumnElement[bool]:
    """Return the condition that a row of a table with detection sets belongs to the dataset of one of them."""
    own, other = tables.detection_set.alias(), tables.detection_set.alias()
    siblings = sa.select(other.c.set_id).join(own, own.c.dataset_id == other.c.dataset_id)
    return table.c.set_id.in_(siblings.where(own.c.set_id == set_id))


def edge_ids(known: CandidateEdges, edges: CandidateEdges, n: int) -> NDArray[np.int64]:
    """Return the number of each edge in the known graph, -1 where it is new; `n` is the number of detections."""
    known_key, key = known.source * n + known.target, edges.source * n + edges.target
    place = np.minimum(np.searchsorted(known_key, key), len(known_key) - 1)
    found = known_key[place] == key
    return np.where(found, known.id[place], -1)
