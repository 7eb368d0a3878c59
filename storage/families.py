"""The part of a solution around one cell, read without the rest: interval labels tell which rows are of it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from ..errors import ConfigError, MissingRowsError
from . import tables
from .connection import fetch, incoming
from .evidence import newest_posterior
from .rows import floats, ints, tracks_from, tracks_missing
from .schema import Tracks, require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .catalogue import DetectionSet, SolutionInfo
    from .duckdb_store import DuckDBStore


@dataclass(frozen=True, slots=True, eq=False)
class FamilyRows:
    """A cell of a solution and its relatives.

    Parameters
    ----------
    cell, frame, track : (n,) int64
        The cells, ordered by (tracklet in the walk, frame).
    source, target : (m,) int64
        Ids of the cells that each link among them ties, in the order of the links.
    probability : (m,) float64
        Of each link in the solution's newest posterior; NaN where it tells none.
    tracks : Tracks
        The tracklets of these cells, whole, in the order of the walk.
    """

    cell: NDArray[np.int64]
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    probability: NDArray[np.float64]
    tracks: Tracks

    def __post_init__(self) -> None:
        require_equal_lengths(cell=self.cell, frame=self.frame, track=self.track)
        require_equal_lengths(source=self.source, target=self.target, probability=self.probability)


def read_family(store: DuckDBStore, info: SolutionInfo, cell: int, *, up: bool, down: bool) -> FamilyRows | None:
    """Return the ancestors (`up`) and the descendants (`down`) of a cell, and the cell itself.

    All is read through one connection, so that a commit comes before all of it or behind.

    Returns
    -------
    rows : FamilyRows or None
        None if the cell is not part of the solution.

    Raises
    ------
    StoreDamagedError
        If the cell, or a relative, is in a track that is not there.
    """
    if cell % 1:
        return None
    with store.reading() as connection:
        found = fetch(connection, _tracks(info, int(cell), up=up, down=down))
        if not found.num_rows:
            if fetch(connection, _cell(info, int(cell))).num_rows:
                raise tracks_missing()
            return None
        tracks, own, born = tracks_from(found), int(ints(found, "own")[0]), int(ints(found, "born")[0])
        cells = fetch(connection, _cells(info, tracks, own, born, up=up, down=down))
        if cell not in ints(cells, "det_id") or not np.isin(ints(cells, "track_id"), tracks.id).all():
            raise tracks_missing()
        newest = newest_posterior(connection, info)
        with incoming(connection, cells.select(["det_id"])) as members:
            links = fetch(connection, _links(info, tracks, members, newest[0] if newest else None))
    return FamilyRows(
        cell=ints(cells, "det_id"),
        frame=ints(cells, "t"),
        track=ints(cells, "track_id"),
        source=ints(links, "source"),
        target=ints(links, "target"),
        probability=floats(links, "probability"),
        tracks=tracks,
    )


def number_of(store: DuckDBStore, chosen: DetectionSet, cell: int | tuple[int, int]) -> int:
    """Return the number of a cell that is named by it, or by a frame and the label there.

    Raises
    ------
    ConfigError
        If it is neither.
    MissingRowsError
        If there is no such label.
    """
    try:
        if not isinstance(cell, tuple):
            return index(cell)
        frame, label = map(index, cell)
    except (TypeError, ValueError):
        raise ConfigError(f"{cell!r} names no cell", expected="its number, or (FRAME, LABEL)") from None
    return cell_at(store, chosen, frame, label)


def cell_at(store: DuckDBStore, chosen: DetectionSet, frame: int, label: int) -> int:
    """Return the number of the cell with a label in a frame; of the detections no other is read.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    d = tables.detection.c
    query = sa.select(d.det_id).where(d.set_id == chosen.id, d.t == frame, d.label == label).order_by(d.det_id).limit(1)
    with store.reading() as connection:
        found = connection.execute(query).scalar_one_or_none()
    if found is None:
        raise no_cell_at(store, chosen, frame, label)
    return int(found)


def no_cell_at(store: DuckDBStore, chosen: DetectionSet, frame: int, label: int) -> MissingRowsError:
    """Return the error that no cell has this label in this frame."""
    return MissingRowsError(
        f"{chosen.movie.name} has no cell with label {label} in frame {frame}",
        **{"try": f'trackdb sql {store.path} "select cell, label, y, x from cells where t = {frame}"'},
    )


def _cell(info: SolutionInfo, cell: int) -> sa.Select[tuple[object, ...]]:
    """Return the query for a cell of a solution, whatever its track."""
    n = tables.solution_node.c
    return sa.select(n.det_id).where(n.solution_id == info.id, n.det_id == cell)


def _tracks(info: SolutionInfo, cell: int, *, up: bool, down: bool) -> sa.Select[tuple[object, ...]]:
    """Return the query for the tracks of a family, with the place of the cell's own and the frame of the cell."""
    n, k, d, mine = tables.solution_node.c, tables.track.c, tables.detection.c, tables.track.alias()
    place = (
        sa.select(n.pre.label("own"), mine.c.last.label("last_below"), d.t.label("born"))
        .join(mine, sa.and_(mine.c.solution_id == n.solution_id, mine.c.pre == n.pre))
        .join(tables.detection, d.det_id == n.det_id)
        .where(n.solution_id == info.id, n.det_id == cell)
        .subquery()
    )
    own = place.c.own
    relatives = [k.pre == own]
    if down:
        relatives.append(sa.and_(k.pre > own, k.pre <= place.c.last_below))
    if up:
        relatives.append(sa.and_(k.pre < own, k.last >= own))
    query = sa.select(tables.track, own, place.c.born).join(place, sa.or_(*relatives))
    return query.where(k.solution_id == info.id).order_by(k.pre)


def _cells(
    info: SolutionInfo, tracks: Tracks, own: int, born: int, *, up: bool, down: bool
) -> sa.Select[tuple[object, ...]]:
    """Return the query for the cells of these tracks; of the cell's own track those before or behind it, as asked."""
    n, d = tables.solution_node.c, tables.detection.c
    above, below = tracks.pre[tracks.pre < own].tolist(), int(tracks.pre[-1])
    cut = [d.t >= born] * (not up) + [d.t <= born] * (not down)
    return (
        sa.select(n.det_id, n.track_id, d.t)
        .join(tables.detection, d.det_id == n.det_id)
        .where(
            n.solution_id == info.id,
            n.pre.between(int(tracks.pre[0]), below),  # rows stand in this order: most blocks are passed over
            sa.or_(n.pre.between(own, below), n.pre.in_(above)),
            sa.or_(n.pre != own, sa.and_(sa.true(), *cut)),
            d.set_id == info.set_id,
            d.t.between(int(tracks.first_frame.min()), int(tracks.last_frame.max())),
        )
        .order_by(n.pre, d.t)
    )


def _links(info: SolutionInfo, tracks: Tracks, members: str, posterior: int | None) -> sa.Select[tuple[object, ...]]:
    """Return the query for the links of a solution between cells that stand in the table `members`."""
    e, s, v = tables.edge.c, tables.solution_edge.c, tables.edge_probability.c
    member = sa.select(sa.table(members, sa.column("det_id")).c.det_id)
    known = sa.select(v.edge_id, v.probability).where(v.posterior_id == posterior).subquery()
    return (
        sa.select(e.source, e.target, known.c.probability)
        .join(tables.solution_edge, s.edge_id == e.edge_id)
        .outerjoin(known, known.c.edge_id == e.edge_id)
        .where(
            s.solution_id == info.id,
            e.set_id == info.set_id,
            e.t.between(int(tracks.first_frame.min()), int(tracks.last_frame.max())),
            e.source.in_(member),
            e.target.in_(member),
        )
        .order_by(s.edge_id)
    )
