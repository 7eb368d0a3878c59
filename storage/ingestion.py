"""A dataset on its way in: detections appended batch by batch, visible only when all of them are there.

Each batch is one transaction that also says how many frames are done, so a killed ingest that is given again goes on
where it stopped.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from ..errors import StoreExistsError
from . import arrays, catalogue, rows, tables
from .additions import insert_edges, insert_solution
from .connection import append
from .leases import lease, lease_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .arrays import ArrayRef
    from .catalogue import DetectionSet, RunInfo, SolutionInfo
    from .duckdb_store import DuckDBStore
    from .schema import CandidateEdges, Detections, Movie, SolutionTable


class Ingestion:
    """The writing side of one unfinished ingest.

    Attributes
    ----------
    run : RunInfo
        The run that it is.
    chosen : DetectionSet
        Where its detections go.
    frames_done : int
        Frames whose detections are committed.
    """

    def __init__(self, store: DuckDBStore, run: RunInfo, chosen: DetectionSet) -> None:
        self._store = store
        self.run = run
        self.chosen = chosen
        self.frames_done = int(run.params.get("frames_done", 0))

    def array_name(self, kind: str, channel: str) -> str:
        """Return the name under which unfinished pixels of this ingest are kept."""
        return f"run-{self.run.id}-{kind}-{channel}"

    def append(
        self,
        batch: Detections,
        boxes: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
        frames_done: int,
    ) -> None:
        """Commit the detections of the next frames; their ids are given here.

        Parameters
        ----------
        batch : Detections
            Detections of the frames from `self.frames_done` to before `frames_done`.
        boxes : tuple of (n, ndim) int64, or None
            Lower and upper (exclusive) corners of the bounding boxes in pixels.
        frames_done : int
            Frames that are complete with this batch.
        """
        with self._store.writing() as connection:
            first = catalogue.take_ids(connection, tables.detection, len(batch))
            numbered = replace(batch, id=np.arange(first, first + len(batch)))
            append(connection, tables.detection, rows.detection_rows(numbered, self.chosen.id))
            if boxes is not None:
                append(connection, tables.detection_feature, rows.box_rows(numbered.id, *boxes))
            params = {**self.run.params, "frames_done": frames_done}
            r = tables.run
            connection.execute(sa.update(r).where(r.c.run_id == self.run.id).values(params=params))
        self.frames_done = frames_done

    def finish(
        self,
        refs: Sequence[ArrayRef],
        detections: Detections,
        edges: CandidateEdges,
        lineages: Sequence[tuple[SolutionInfo, SolutionTable]],
        found: dict[str, Any],
    ) -> None:
        """Make the dataset visible, with its pixels and with the trackings that came with it.

        Parameters
        ----------
        refs : sequence of ArrayRef
            Sealed arrays.
        detections : Detections
            All detections of the set.
        edges : CandidateEdges
            All links of the trackings that came with it; they get their numbers here.
        lineages : sequence of (SolutionInfo, SolutionTable)
            Those trackings; `SolutionTable.edge` holds rows of `edges`.
        found : dict
            What the run has to say.
        """
        with self._store.writing() as connection:
            for ref in refs:
                catalogue.insert_array(connection, self.chosen.dataset_id, self.run.id, ref)
            ids = insert_edges(connection, self.chosen, detections, edges, candidate=False)
            for info, table in lineages:
                insert_solution(connection, info, replace(table, edge=ids[table.edge]))
            catalogue.close_run(connection, self.run.id, "done", found)


@contextmanager
def ingesting(store: DuckDBStore, movie: Movie, params: dict[str, Any]) -> Iterator[Ingestion]:
    """Begin the ingest of a movie, or go on with one that was killed.

    Raises
    ------
    StoreExistsError
        If the store has a dataset of that name.
    StoreLockedError
        If another process is ingesting it right now.
    """
    with ExitStack() as stack:
        yield _continued(store, movie, params, stack) or _begun(store, movie, params, stack)


def _continued(store: DuckDBStore, movie: Movie, params: dict[str, Any], stack: ExitStack) -> Ingestion | None:
    """Take over the unfinished ingest of the same source; one of another source under that name is removed."""
    with store.reading() as connection:
        named = catalogue.detection_sets(connection, tables.dataset.c.name == movie.name)
        runs = catalogue.runs(connection, tables.run.c.set_id.in_([s.id for s in named]), tables.run.c.kind == "ingest")
    if not named:
        return None
    run = runs[0]
    if run.state == "done":
        raise StoreExistsError(
            f"{store.path} already has a dataset named {movie.name}", **{"try": "--name OTHER, or another store"}
        )
    stack.enter_context(lease(store.path, lease_name(run.id), holder=run.process))
    asked = {key: value for key, value in run.params.items() if key != "frames_done"}
    if catalogue.same_settings(asked, params):
        return Ingestion(store, run, named[0])
    remove(store, Ingestion(store, run, named[0]), "given again with other settings")
    return None


def _begun(store: DuckDBStore, movie: Movie, params: dict[str, Any], stack: ExitStack) -> Ingestion:
    with store.writing() as connection:
        run = catalogue.insert_run(connection, "ingest", movie.name, params, set_id=None, process=store.process)
        stack.enter_context(lease(store.path, lease_name(run.id), holder=store.process))
        chosen = catalogue.insert_dataset(connection, movie, run.id)
    return Ingestion(store, run, chosen)


def remove(store: DuckDBStore, ingestion: Ingestion, reason: str) -> None:
    """Take an unfinished dataset out again, whole; its run stays in the log as failed."""
    set_id, dataset_id = ingestion.chosen.id, ingestion.chosen.dataset_id
    d, f = tables.detection, tables.detection_feature
    with store.writing() as connection:
        mine = sa.select(d.c.det_id).where(d.c.set_id == set_id)
        connection.execute(sa.delete(f).where(f.c.det_id.in_(mine)))
        connection.execute(sa.delete(d).where(d.c.set_id == set_id))
        connection.execute(sa.delete(tables.detection_set).where(tables.detection_set.c.set_id == set_id))
        connection.execute(sa.delete(tables.dataset).where(tables.dataset.c.dataset_id == dataset_id))
        catalogue.close_run(connection, ingestion.run.id, "failed", {"error": reason})
    arrays.sweep(store.path, f"run-{ingestion.run.id}-")
