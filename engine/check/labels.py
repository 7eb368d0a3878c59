"""The labels of a solution: tracklets, interval labels and kinds follow from its links, and can be made again."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from ...errors import SchemaError
from ...storage import rows, tables
from ...storage.connection import append, fetch
from ...storage.rows import ints
from ...storage.schema import LinkKind, SolutionTable, rows_of
from ..lineages import label_lineages

if TYPE_CHECKING:
    from ...storage.catalogue import SolutionInfo

LABELS = "the labels of a solution do not fit its links"


def relabelled(connection: sa.Connection, info: SolutionInfo) -> tuple[SolutionTable, int] | None:
    """Label a solution anew, and count in how many rows that differs from what is stored.

    Returns
    -------
    table : SolutionTable
        The solution with the labels that follow from its links.
    different : int
        Cells, links and tracks whose labels are others.

    Or None where a cell or link stands twice or refers to nothing, or links are no forest over the cells: no labels
    follow from them.
    """
    n, v, e, d, k = tables.solution_node, tables.solution_edge, tables.edge, tables.detection, tables.track
    mine = fetch(
        connection,
        sa.select(n.c.det_id, n.c.track_id, n.c.pre, d.c.t)
        .join(d, d.c.det_id == n.c.det_id)
        .where(n.c.solution_id == info.id)
        .order_by(n.c.det_id),
    )
    links = fetch(
        connection,
        sa.select(v.c.edge_id, v.c.kind, e.c.source, e.c.target)
        .join(e, e.c.edge_id == v.c.edge_id)
        .where(v.c.solution_id == info.id)
        .order_by(v.c.edge_id),
    )
    tracks = fetch(connection, sa.select(k).where(k.c.solution_id == info.id).order_by(k.c.pre, k.c.track_id))
    node, kind = ints(mine, "det_id"), ints(links, "kind")
    whole = len(mine) == _count(connection, n, info) and len(links) == _count(connection, v, info)
    if not whole or np.any(np.diff(node) <= 0) or np.any(np.diff(ints(links, "edge_id")) <= 0):
        return None
    try:
        source, target = (rows_of(node, ints(links, end), "cell") for end in ("source", "target"))
        labels = label_lineages(ints(mine, "t"), source, target, merge=kind == LinkKind.MERGE)
    except SchemaError:
        return None
    table = SolutionTable(node, labels.track_id, labels.pre, ints(links, "edge_id"), labels.kind, labels.tracks)
    told = rows.tracks_from(tracks)
    different = np.count_nonzero(
        (labels.track_id != ints(mine, "track_id")) | (labels.pre != ints(mine, "pre"))
    ) + np.count_nonzero(labels.kind != kind)
    if len(told) != len(labels.tracks):
        return table, int(different) + abs(len(told) - len(labels.tracks))
    unlike = np.zeros(len(told), dtype=bool)
    for field in fields(told):
        unlike |= getattr(told, field.name) != getattr(labels.tracks, field.name)
    return table, int(different + np.count_nonzero(unlike))


def _count(connection: sa.Connection, table: sa.Table, info: SolutionInfo) -> int:
    counted = sa.select(sa.func.count()).select_from(table).where(table.c.solution_id == info.id)
    return int(connection.execute(counted).scalar_one())


def write_labels(connection: sa.Connection, info: SolutionInfo, table: SolutionTable) -> None:
    """Put the labels of a solution in the place of those that are stored."""
    for name, content in rows.solution_rows(table, info.id).items():
        old = tables.metadata.tables[name]
        connection.execute(sa.delete(old).where(old.c.solution_id == info.id))
        append(connection, old, content)
