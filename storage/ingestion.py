"""A dataset on its way in: detections appended batch by batch, visible only when all of them are there.

Each batch is one transaction that also says how many frames are done, so a killed ingest that is given again goes on
where it stopped.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from ..errors import StoreExistsError
from . import arrays, catalogue, rows, tables
from .additions import insert_edges, insert_solution
from .connection import append
from .features import delete_features, insert_features, insert_properties
from .leases import lease, lease_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .arrays import ArrayRef
    from .catalogue import DetectionSet, RunInfo, SolutionInfo
    from .duckdb_store import DuckDBStore
    from .measurements import Features
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

    @property
    def array_prefix(self) -> str:
        """How the names of unfinished pixels of this ingest begin."""
        return f"run-{self.run.id}-"

    def array_name(self, kind: str, channel: str) -> str:
        """Return the name under which unfinished pixels are kept, that of a file whatever the channel is called."""
        told = hashlib.sha256(channel.encode()).hexdigest()[:16] if channel else ""
        return f"{self.array_prefix}{kind}-{told}"

    def append(
        self,
        batch: Detections,
        features: Features | None,
        properties: Mapping[str, NDArray[np.generic]],
        frames_done: int,
    ) -> None:
        """Commit the detections of the next frames; their ids are given here.

        Parameters
        ----------
        batch : Detections
            Detections of the frames from `self.frames_done` to before `frames_done`.
        features : Features or None
            What their pixels tell; None for points.
        properties : mapping of str to (n,) array
            What else the source tells, as numbers with NaN or as text with ``""``.
        frames_done : int
            Frames that are complete with this batch.
        """
        with self._store.writing() as connection:
            first = catalogue.take_ids(connection, tables.detection, len(batch))
            numbered = replace(batch, id=np.arange(first, first + len(batch)))
            append(connection, tables.detection, rows.detection_rows(numbered, self.chosen.id))
            if features is not None:
                insert_features(connection, numbered.id, features)
            insert_properties(connection, numbered.id, properties)
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
    """Begin the ingest of a movie, or go on with one that was killed; one of another source of that name goes first.

    Raises
    ------
    StoreExistsError
        If the store has a dataset of that name.
    StoreLockedError
        If another process is ingesting it right now.
    """
    with ExitStack() as stack:
        # one transaction: what is read of the unfinished run is still so when it is taken over
        with store.beginning() as connection:
            left = _left_behind(store, connection, movie, stack)
            ingestion = left if left is not None and _is_same(left.run, params) else None
            if ingestion is None:
                if left is not None:
                    _delete(connection, left, "given again with other settings")
                ingestion = _begun(store, connection, movie, params, stack)
        if left is not None and left is not ingestion:
            arrays.sweep(store.path, left.array_prefix)
        yield ingestion


def _left_behind(store: DuckDBStore, connection: sa.Connection, movie: Movie, stack: ExitStack) -> Ingestion | None:
    """Take the lease of the unfinished ingest of that name, if there is one."""
    named = catalogue.detection_sets(connection, tables.dataset.c.name == movie.name)
    if not named:
        return None
    [run] = catalogue.runs(connection, tables.run.c.set_id == named[0].id, tables.run.c.kind == "ingest")
    if run.state == "done":
        raise StoreExistsError(
            f"{store.path} already has a dataset named {movie.name}", **{"try": "--name OTHER, or another store"}
        )
    stack.enter_context(lease(store.path, lease_name(run.id), holder=run.process))
    return Ingestion(store, run, named[0])


def _is_same(run: RunInfo, params: dict[str, Any]) -> bool:
    """Return whether a run was given the same source and settings."""
    asked = {key: value for key, value in run.params.items() if key != "frames_done"}
    return catalogue.same_settings(asked, params)


def _begun(
    store: DuckDBStore, connection: sa.Connection, movie: Movie, params: dict[str, Any], stack: ExitStack
) -> Ingestion:
    run = catalogue.insert_run(connection, "ingest", movie.name, params, set_id=None, process=store.process)
    stack.enter_context(lease(store.path, lease_name(run.id), holder=store.process))
    return Ingestion(store, run, catalogue.insert_dataset(connection, movie, run.id))


def remove(store: DuckDBStore, ingestion: Ingestion, reason: str) -> None:
    """Take an unfinished dataset out again, whole; its run stays in the log as failed."""
    with store.writing() as connection:
        _delete(connection, ingestion, reason)
    arrays.sweep(store.path, ingestion.array_prefix)


def _delete(connection: sa.Connection, ingestion: Ingestion, reason: str) -> None:
    """Delete the rows of an unfinished dataset, and close its run."""
    set_id, dataset_id = ingestion.chosen.id, ingestion.chosen.dataset_id
    d = tables.detection
    delete_features(connection, sa.select(d.c.det_id).where(d.c.set_id == set_id))
    connection.execute(sa.delete(d).where(d.c.set_id == set_id))
    connection.execute(sa.delete(tables.detection_set).where(tables.detection_set.c.set_id == set_id))
    connection.execute(sa.delete(tables.dataset).where(tables.dataset.c.dataset_id == dataset_id))
    catalogue.close_run(connection, ingestion.run.id, "failed", {"error": reason})
