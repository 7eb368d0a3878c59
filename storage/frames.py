"""A detection set read a few frames at a time, so that memory holds a window of a movie and not the movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from . import rows, tables
from .connection import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from .catalogue import DetectionSet, RunInfo
    from .duckdb_store import DuckDBStore
    from .schema import CandidateEdges, Detections


@dataclass(frozen=True, slots=True)
class Outline:
    """How large the candidate graph of a detection set is.

    Parameters
    ----------
    first_frame, last_frame : int
        First and last frame that has cells; 0 and -1 where none has.
    detections, candidates : int
        How many there are.
    reach : int
        Most frames from the source of a candidate to its target; 1 where there is none.
    """

    first_frame: int
    last_frame: int
    detections: int
    candidates: int
    reach: int


@dataclass(frozen=True, slots=True)
class Reaches:
    """Where the cells of a detection set are, and how long its candidates.

    Parameters
    ----------
    lowest_px, highest_px : tuple of float
        Ends of the box around all cells, axes ``([z,] y, x)``.
    occupied_frames : int
        Frames that have cells.
    longest : float
        Length of the longest candidate, micrometres (pixels where the voxel size is not known); 0 without any.
    nearest : float
        Median distance from a target to its nearest source; 0 without any.
    """

    lowest_px: tuple[float, ...]
    highest_px: tuple[float, ...]
    occupied_frames: int
    longest: float
    nearest: float


class FrameReader:
    """Reads a detection set by frames; a connection is open only inside a call.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        What is read.
    """

    def __init__(self, store: DuckDBStore, chosen: DetectionSet) -> None:
        self._store = store
        self._chosen = chosen
        self._of_set = tables.detection.c.set_id == chosen.id
        self._candidate = sa.and_(tables.edge.c.set_id == chosen.id, tables.edge.c.candidate)

    def outline(self) -> Outline:
        """Return how large the whole is."""
        d, e = tables.detection.c, tables.edge.c
        frames = sa.select(sa.func.min(d.t), sa.func.max(d.t), sa.func.count()).where(self._of_set)
        edges = sa.select(sa.func.count(), sa.func.max(e.dt)).where(self._candidate)
        with self._store.reading() as connection:
            first, last, n = connection.execute(frames).one()
            m, reach = connection.execute(edges).one()
        return Outline(0 if first is None else first, -1 if last is None else last, n, m, reach or 1)

    def reaches(self, run: RunInfo) -> Reaches:
        """Return where the cells are, and how long the candidates that a run has scored; it needs at least one cell."""
        d, e, s = tables.detection.c, tables.edge.c, tables.edge_score.c
        axes = [d[axis] for axis in rows.AXES[-self._chosen.movie.ndim :]]
        ends = [end(axis) for end in (sa.func.min, sa.func.max) for axis in axes]
        box = sa.select(sa.func.count(d.t.distinct()), *ends).where(self._of_set)
        scored = sa.exists().where(s.run_id == run.id, s.edge_id == e.edge_id)
        nearest = sa.select(sa.func.min(e.distance).label("least"), sa.func.max(e.distance).label("most"))
        by_target = nearest.where(self._candidate, scored).group_by(e.target).subquery()
        least = sa.cast(by_target.c.least, sa.Double)
        with self._store.reading() as connection:
            frames, *found = connection.execute(box).one()
            longest, median = connection.execute(sa.select(sa.func.max(by_target.c.most), sa.func.median(least))).one()
        ndim = len(axes)
        return Reaches(tuple(found[:ndim]), tuple(found[ndim:]), frames, longest or 0.0, median or 0.0)

    def box(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the lowest and the highest places of the cells on each axis, in pixels; there is at least one."""
        d = tables.detection.c
        axes = [d[axis] for axis in rows.AXES[-self._chosen.movie.ndim :]]
        ends = [end(axis) for end in (sa.func.min, sa.func.max) for axis in axes]
        with self._store.reading() as connection:
            found = tuple(connection.execute(sa.select(*ends).where(self._of_set)).one())
        return found[: len(axes)], found[len(axes) :]

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the id and the frame of every detection of the set, by increasing id."""
        d = tables.detection.c
        found = self._fetch(sa.select(d.det_id, d.t).where(self._of_set).order_by(d.det_id))
        return rows.ints(found, "det_id"), rows.ints(found, "t")

    def detections(self, first_frame: int, last_frame: int) -> Detections:
        """Return the detections of these frames, both included."""
        return self._detections(tables.detection.c.t.between(first_frame, last_frame))

    def detections_near(self, ids: Sequence[int], frames: Sequence[int]) -> Detections:
        """Return the detections of some ids, and all those of some frames."""
        d = tables.detection.c
        return self._detections(sa.or_(d.det_id.in_(list(ids)), d.t.in_(list(frames))))

    def candidate_edges(self, detections: Detections, first_frame: int, last_frame: int) -> CandidateEdges:
        """Return the candidates between `detections`, which are those of these frames."""
        e = tables.edge.c
        query = sa.select(e.edge_id, e.source, e.target, e.dt, e.distance)
        inside = sa.and_(e.t.between(first_frame, last_frame), e.t + e.dt <= last_frame)
        return rows.edges_from(self._fetch(query.where(self._candidate, inside)), detections)

    def scores(self, run: RunInfo, edges: CandidateEdges) -> NDArray[np.float64]:
        """Return the score of each edge in a run, NaN where the run did not see it."""
        s = tables.edge_score.c
        query = sa.select(s.edge_id, s.score).where(s.run_id == run.id)
        if len(edges):  # numbers follow the frames, as far as the graph did not grow: most blocks are passed over
            query = query.where(s.edge_id.between(int(edges.id.min()), int(edges.id.max())))
        return rows.scores_from(self._fetch(query), edges)

    def least_score(self, run: RunInfo) -> float:
        """Return the least score of a run; 0 where it has none."""
        s = tables.edge_score.c
        with self._store.reading() as connection:
            found = connection.execute(sa.select(sa.func.min(s.score)).where(s.run_id == run.id)).scalar_one()
        return 0.0 if found is None else float(found)

    def _detections(self, where: sa.ColumnElement[bool]) -> Detections:
        d = tables.detection.c
        axes = [d[axis] for axis in rows.AXES[-self._chosen.movie.ndim :]]
        query = sa.select(d.det_id, d.t, *axes, d.label, d.area).where(self._of_set, where).order_by(d.det_id)
        return rows.detections_from(self._fetch(query), self._chosen)

    def _fetch(self, query: sa.Select[tuple[object, ...]]) -> pa.Table:
        with self._store.reading() as connection:
            return fetch(connection, query)
