"""Tables in memory to rows of the store and back, through Arrow, without a Python object per row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from ..errors import StoreDamagedError
from .schema import CandidateEdges, Detections, SolutionTable, Tracks, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .catalogue import DetectionSet

AXES = ("z", "y", "x")


def _constant(value: int, count: int) -> NDArray[np.int64]:
    return np.full(count, value, dtype=np.int64)


PLAIN: Final[dict[pa.DataType, type[np.number[Any]]]] = {
    pa.int8(): np.int8,
    pa.int16(): np.int16,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.uint8(): np.uint8,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
}
"""Types whose numbers stand in memory as numpy has them."""


def ints(table: pa.Table, column: str, *, null: int | None = None) -> NDArray[np.int64]:
    """Return a column as int64, with `null` where it is NULL."""
    return _values(table[column], null).astype(np.int64, copy=False)


def floats(table: pa.Table, column: str) -> NDArray[np.float64]:
    """Return a column as float64, NaN where it is NULL."""
    return _values(table[column]).astype(np.float64)


def _values(column: pa.ChunkedArray, null: int | None = None) -> NDArray[np.generic]:
    """Return numbers of any type; read from memory where that can be, for Arrow would load pandas first, for 0.7 s."""
    kind = PLAIN.get(column.type)
    if kind is None or (column.null_count and null is None and not pa.types.is_floating(column.type)):
        return np.asarray(column.to_numpy())
    parts = [_read(part, kind, np.nan if null is None else null) for part in column.chunks if len(part)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)


def _read(part: pa.Array, kind: type[np.number[Any]], null: float) -> NDArray[np.generic]:
    """Return the numbers of an array, with `null` where it is NULL."""
    known, numbers = part.buffers()
    values = np.frombuffer(numbers, kind, len(part), part.offset * np.dtype(kind).itemsize)
    if not part.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(known, np.uint8), bitorder="little")[part.offset : part.offset + len(part)]
    return np.where(bits.astype(bool), values, np.array(null, kind))


def detection_rows(detections: Detections, set_id: int) -> pa.Table:
    """Return rows of the table `detection`."""
    n, ndim = len(detections), detections.ndim
    columns = {
        "det_id": detections.id,
        "set_id": _constant(set_id, n),
        "t": detections.frame.astype(np.int32),
        "label": detections.label,
        "area": pa.array(detections.area.astype(np.float32), from_pandas=True),
    }
    for axis, name in enumerate(AXES[-ndim:]):
        columns[name] = detections.position_px[:, axis].astype(np.float32)
    return pa.table(columns)


def detections_from(rows: pa.Table, chosen: DetectionSet) -> Detections:
    """Return rows of the table `detection`, ordered by `det_id`, as a table in memory."""
    axes = AXES[-chosen.movie.ndim :]
    position = np.stack([floats(rows, axis) for axis in axes], axis=1)
    if not np.isfinite(position).all():
        nowhere = rows["det_id"].to_numpy()[~np.isfinite(position).all(axis=1)]
        raise StoreDamagedError(
            f"{len(nowhere):,} detections have no place, the first is {nowhere[0]}",
            **{"try": "trackdb check tells what else is wrong; restore the store from a copy"},
        )
    return Detections(
        id=ints(rows, "det_id"),
        frame=ints(rows, "t"),
        position_px=position,
        label=ints(rows, "label"),
        area=floats(rows, "area"),
        scale_um=chosen.movie.scale_um,
    )


def edge_rows(edges: CandidateEdges, detections: Detections, set_id: int, *, candidate: bool) -> pa.Table:
    """Return rows of the table `edge`."""
    m = len(edges)
    return pa.table(
        {
            "edge_id": edges.id,
            "set_id": _constant(set_id, m),
            "source": detections.id[edges.source],
            "target": detections.id[edges.target],
            "t": detections.frame[edges.source].astype(np.int32),
            "dt": edges.frames.astype(np.int32),
            "distance": edges.distance.astype(np.float32),
            "candidate": np.full(m, candidate),
        }
    )


def edges_from(rows: pa.Table, detections: Detections) -> CandidateEdges:
    """Return rows of the table `edge`, in any order, as a table in memory."""
    source = detections.row_of(ints(rows, "source"))
    target = detections.row_of(ints(rows, "target"))
    ids, frames, distance = ints(rows, "edge_id"), ints(rows, "dt"), floats(rows, "distance")
    step = np.diff(source)
    if np.any(step < 0) or np.any(np.diff(target)[step == 0] <= 0):  # the graph grew: later links stand behind
        order = np.lexsort((target, source))
        return CandidateEdges(ids[order], source[order], target[order], frames[order], distance[order])
    return CandidateEdges(ids, source, target, frames, distance)


def score_rows(run_id: int, edges: CandidateEdges, score: NDArray[np.float64]) -> pa.Table:
    """Return rows of the table `edge_score`."""
    return pa.table({"run_id": _constant(run_id, len(edges)), "edge_id": edges.id, "score": score.astype(np.float32)})


def scores_from(rows: pa.Table, edges: CandidateEdges) -> NDArray[np.float64]:
    """Return the score of each edge, NaN where the rows hold none."""
    return numbers_by_id(rows, "edge_id", "score", edges.id)


def numbers_by_id(rows: pa.Table, key: str, column: str, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the number that the rows hold for each of some ids, all different; NaN where they hold none."""
    known, value = ints(rows, key), floats(rows, column)
    if len(known) > 1 and np.any(np.diff(known) <= 0):
        order = np.argsort(known, kind="stable")
        known, value = known[order], value[order]
    number = np.full(len(ids), np.nan)
    if len(known):
        seen = np.isin(ids, known, assume_unique=True) if len(known) < len(ids) else slice(None)
        number[seen] = value[rows_of(known, ids[seen], key)]
    return number


def solution_rows(table: SolutionTable, solution_id: int) -> dict[str, pa.Table]:
    """Return rows of the tables that hold a solution, each in the order in which it is asked for."""
    n, m, k = len(table.node), len(table.edge), len(table.tracks)
    walk = np.lexsort((table.node, table.pre))
    tracks = table.tracks
    rows = {
        "solution_node": pa.table(
            {
                "solution_id": _constant(solution_id, n),
                "det_id": table.node[walk],
                "track_id": table.track_id[walk],
                "pre": table.pre[walk],
            }
        ),
        "solution_edge": pa.table(
            {"solution_id": _constant(solution_id, m), "edge_id": table.edge, "kind": table.kind.astype(np.int16)}
        ),
        "track": pa.table(
            {
                "solution_id": _constant(solution_id, k),
                "track_id": tracks.id,
                "parent_id": pa.array(tracks.parent, mask=tracks.parent == 0),
                "lineage_id": tracks.lineage,
                "t_first": tracks.first_frame.astype(np.int32),
                "t_last": tracks.last_frame.astype(np.int32),
                "pre": tracks.pre,
                "last": tracks.last,
                "generation": tracks.generation.astype(np.int32),
                "n_children": tracks.n_children.astype(np.int32),
            }
        ),
    }
    prices = table.prices
    if prices is not None:
        number = _constant(solution_id, len(prices.dual))
        rows["solution_dual"] = pa.table({"solution_id": number, "det_id": prices.detection, "dual": prices.dual})
    return rows


def solution_from(nodes: pa.Table, edges: pa.Table, tracks: pa.Table) -> SolutionTable:
    """Return rows of `solution_node` (ordered by `det_id`), `solution_edge` and `track` as one table in memory."""
    pre = ints(nodes, "pre")
    if len(pre) and not (pre.min() >= 0 and pre.max() < tracks.num_rows):
        raise tracks_missing()
    return SolutionTable(
        node=ints(nodes, "det_id"),
        track_id=ints(nodes, "track_id"),
        pre=pre,
        edge=ints(edges, "edge_id"),
        kind=ints(edges, "kind"),
        tracks=tracks_from(tracks),
    )


def tracks_missing() -> StoreDamagedError:
    """Return what is said where tracks do not fit the cells of a solution."""
    return StoreDamagedError(
        "cells of the solution are in tracks that are not there",
        **{"try": "trackdb check STORE --repair makes tracks again from the links"},
    )


def tracks_from(rows: pa.Table) -> Tracks:
    """Return rows of `track` as a table in memory."""
    return Tracks(
        id=ints(rows, "track_id"),
        pre=ints(rows, "pre"),
        last=ints(rows, "last"),
        parent=ints(rows, "parent_id", null=0),
        lineage=ints(rows, "lineage_id"),
        first_frame=ints(rows, "t_first"),
        last_frame=ints(rows, "t_last"),
        generation=ints(rows, "generation"),
        n_children=ints(rows, "n_children"),
    )
