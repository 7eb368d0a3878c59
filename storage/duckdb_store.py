"""The default store: one DuckDB file for the tables, Zarr groups beside it for the pixels.

A connection is open only inside a call, so other processes can read and write between the calls of a long run. Every
writing call is one transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from ..errors import SchemaError
from . import catalogue, features, rows, tables
from .additions import edges_of, grow, insert_solution, of_dataset
from .choosing import the_set, the_solution
from .commits import counted
from .connection import COMMIT_PATIENCE_S, PATIENCE_S, append, connect, fetch, this_process
from .decision_log import all_decisions, merge_log
from .founding import GRAPH, discard_if_empty, found_store, require_readable
from .looking import look, under_way
from .migrations import require_known
from .own_schema import is_trusted, trust
from .pending import with_workers, working

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from .arrays import ArrayRef
    from .catalogue import DetectionSet, RunInfo, SolutionInfo
    from .decisions import Decision
    from .measurements import Features
    from .schema import CandidateEdges, Detections, SolutionTable


class DuckDBStore:
    """A store in a folder ``NAME.trackdb``.

    Parameters
    ----------
    path : Path
        The folder.
    command : str
        How this process is named to others that have to wait for it.
    patience_s : float
        Seconds to wait for a process that holds the database.
    """

    def __init__(self, path: Path, *, command: str = "python", patience_s: float = PATIENCE_S) -> None:
        self.path = path
        self.process = this_process(command)
        self._patience_s = patience_s
        self._known = False  # whether its tables are of this trackdb

    def create(self) -> bool:
        """Make the store unless it is there; return whether this call made it.

        Raises
        ------
        StoreExistsError
            If something else stands at that place.
        VersionError
            If the store is there and was written by a newer trackdb.
        """
        made = found_store(self.path, by=self.process, patience_s=self._patience_s)
        self._known = made
        if not made:
            self.check_version()
        return made

    def check_version(self, *, whole: bool = True) -> None:
        """Refuse a store that is missing, unfinished, of a newer trackdb, or, with `whole`, one that lost commits."""
        require_readable(self.path, patience_s=self._patience_s, whole=whole)
        self._known = True

    def _require_known(self) -> None:
        if not self._known:
            require_known(self.path / GRAPH, patience_s=self._patience_s)
            self._known = True

    def discard_if_empty(self) -> None:
        """Take the store away if it holds no dataset, finished or not: what a refused first ingest leaves."""
        discard_if_empty(self.path, patience_s=self._patience_s)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open the tables for reading; those of an older trackdb are brought up to date first."""
        looked_at = under_way(self.path)
        if looked_at is not None:
            yield looked_at
            return
        self._require_known()
        with connect(self.path / GRAPH, write=False, patience_s=self._patience_s) as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Answer all that the block reads from one opening of the tables, as they are at one moment.

        For a few reads in a row, of which each would open them anew. Nobody can write meanwhile, this process neither.
        """
        with self.reading() as connection, look(self.path, connection):
            yield

    @contextmanager
    def writing(self, *, patience_s: float = COMMIT_PATIENCE_S) -> Iterator[sa.Connection]:
        """Open the tables for one transaction, and count it.

        Who commits finished work waits long for others; who only begins names them soon.
        """
        self._require_known()
        ours = is_trusted(self.path / GRAPH)
        with counted(self.path / GRAPH, by=self.process, patience_s=patience_s) as connection:
            yield connection
        if ours:
            trust(self.path / GRAPH)

    def meta(self) -> dict[str, str]:
        """Return the facts about the store itself: schema version, commits, and so on."""
        with self.reading() as connection:
            facts = connection.execute(sa.select(tables.meta.c.key, tables.meta.c.value))
            return {row.key: row.value for row in facts}

    def runs(self, *where: sa.ColumnElement[bool]) -> list[RunInfo]:
        """Return the runs that fulfil all conditions, oldest first."""
        with self.reading() as connection:
            return catalogue.runs(connection, *where)

    def unfinished(self) -> list[tuple[RunInfo, bool]]:
        """Return the pending runs, each with whether a living process works on it."""
        return with_workers(self.runs(tables.run.c.state == "pending"), self.path)

    def detection_sets(self) -> list[DetectionSet]:
        """Return the finished detection sets of all datasets, oldest first."""
        with self.reading() as connection:
            return catalogue.detection_sets(connection, tables.run.c.state == "done")

    def detection_set(self, dataset: str | None = None, detections: str | None = None) -> DetectionSet:
        """Return a finished detection set: by default the newest one of the only dataset.

        Raises
        ------
        MissingRowsError
            If there is none of that name, or several datasets and none is named.
        """
        return the_set(self.detection_sets(), dataset, detections)

    def solutions(self, chosen: DetectionSet) -> dict[str, SolutionInfo]:
        """Return the finished solutions of a detection set by name, oldest first."""
        with self.reading() as connection:
            found = catalogue.solutions(connection, tables.solution.c.set_id == chosen.id)
        return {info.name: info for info in found}

    def find_solution(
        self, dataset: str | None = None, name: str | None = None, *, besides: str | None = None, doubtful: bool = False
    ) -> tuple[DetectionSet, SolutionInfo]:
        """Return a solution of a dataset with its detection set.

        Without a name it is the newest one that was solved here, else the newest imported one but `besides`, and
        ``truth`` only where there is no other: nobody asks how good the truth is. Where it is asked how sure a solution
        is (`doubtful`), ``truth`` and `besides` are chosen by name alone.

        Raises
        ------
        MissingRowsError
            If there is none of that name, or without a name none to be doubted.
        """
        with self.reading() as connection:
            there = catalogue.detection_sets(connection, tables.run.c.state == "done")
            newest = the_set(there, dataset, None)
            known = {info.name: info for info in catalogue.solutions(connection, of_dataset(newest.id))}
        sets = {s.id: s for s in there if s.dataset_id == newest.dataset_id}
        info = the_solution(known, name, self.path, besides=besides, doubtful=doubtful)
        return sets[info.set_id], info

    def arrays(self, chosen: DetectionSet) -> list[ArrayRef]:
        """Return the pixels that belong to the movie of a detection set."""
        with self.reading() as connection:
            return catalogue.arrays(connection, tables.array_ref.c.dataset_id == chosen.dataset_id)

    def all_arrays(self) -> list[ArrayRef]:
        """Return all pixels that the store refers to."""
        with self.reading() as connection:
            return catalogue.arrays(connection)

    def solution_names(self, chosen: DetectionSet) -> set[str]:
        """Return the names of all finished solutions of a dataset, whatever its detections."""
        with self.reading() as connection:
            return {info.name for info in catalogue.solutions(connection, of_dataset(chosen.id))}

    def count_detections(self, chosen: DetectionSet) -> int:
        """Return how many detections a set has."""
        return self._count(tables.detection, tables.detection.c.set_id == chosen.id)

    def count_candidates(self, chosen: DetectionSet) -> int:
        """Return how many candidates the graph of a set has."""
        return self._count(tables.edge, tables.edge.c.set_id == chosen.id, tables.edge.c.candidate)

    def count_scores(self, run: RunInfo) -> int:
        """Return how many edges a run has scored."""
        return self._count(tables.edge_score, tables.edge_score.c.run_id == run.id)

    def _count(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        with self.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one())

    def detections(self, chosen: DetectionSet) -> Detections:
        """Return all detections of a set."""
        d = tables.detection
        axes = [d.c[axis] for axis in rows.AXES[-chosen.movie.ndim :]]
        query = sa.select(d.c.det_id, d.c.t, *axes, d.c.label, d.c.area).where(d.c.set_id == chosen.id)
        with self.reading() as connection:
            return rows.detections_from(fetch(connection, query.order_by(d.c.det_id)), chosen)

    def features(self, chosen: DetectionSet, detections: Detections) -> Features:
        """Return what the pixels tell of each detection, row by row; -1 and NaN where they tell nothing."""
        with self.reading() as connection:
            return features.read_features(connection, chosen, detections)

    def properties(self, chosen: DetectionSet, detections: Detections) -> dict[str, NDArray[np.generic]]:
        """Return what else the source told of each detection, row by row, by the names of the source, in its order.

        Each is (n,) float64 with NaN, or text with ``""``, where the source told nothing.
        """
        with self.reading() as connection:
            return features.read_properties(connection, chosen, detections)

    def candidate_edges(
        self, chosen: DetectionSet, detections: Detections, *, imported: bool = False
    ) -> CandidateEdges:
        """Return the candidate graph of a set; with `imported` also the links that only an imported tracking knows."""
        query = edges_of(chosen)
        with self.reading() as connection:
            found = fetch(connection, query if imported else query.where(tables.edge.c.candidate))
        return rows.edges_from(found, detections)

    def scores(self, run: RunInfo, edges: CandidateEdges) -> NDArray[np.float64]:
        """Return the score of each edge in a run, NaN where the run did not see it."""
        s = tables.edge_score
        with self.reading() as connection:
            return rows.scores_from(
                fetch(connection, sa.select(s.c.edge_id, s.c.score).where(s.c.run_id == run.id)), edges
            )

    def solution(self, info: SolutionInfo) -> SolutionTable:
        """Return a solution with its labels; nodes are ordered by id."""
        n, e, k = tables.solution_node, tables.solution_edge, tables.track
        with self.reading() as connection:
            return rows.solution_from(
                fetch(connection, sa.select(n).where(n.c.solution_id == info.id).order_by(n.c.det_id)),
                fetch(connection, sa.select(e).where(e.c.solution_id == info.id).order_by(e.c.edge_id)),
                fetch(connection, sa.select(k).where(k.c.solution_id == info.id).order_by(k.c.pre)),
            )

    def link_ends(self, info: SolutionInfo) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids of the detections that each link of a solution ties, in the order of `solution`."""
        s, e = tables.solution_edge, tables.edge
        query = sa.select(e.c.source, e.c.target).join(s, s.c.edge_id == e.c.edge_id)
        with self.reading() as connection:
            ends = fetch(connection, query.where(s.c.solution_id == info.id).order_by(s.c.edge_id))
        return rows.ints(ends, "source"), rows.ints(ends, "target")

    def decisions(self) -> list[Decision]:
        """Return all entries of the decision log, merged or not, in the order in which they were said."""
        with self.reading() as connection:
            return all_decisions(connection, self.path)

    def running(
        self,
        kind: str,
        name: str,
        params: Mapping[str, Any],
        *,
        chosen: DetectionSet | None = None,
        model_digest: str | None = None,
    ) -> AbstractContextManager[RunInfo]:
        """Enter a run as pending and hold its lease while the block works on it.

        The block finishes the run by one of the ``add_`` calls. If it raises an error the run is marked as failed; if
        the process dies, the run stays pending without a lease and is replaced when the same is asked again.

        Raises
        ------
        StoreLockedError
            If another process is at work on a run of that name.
        """
        return working(self, kind, name, params, None if chosen is None else chosen.id, model_digest)

    @contextmanager
    def beginning(self) -> Iterator[sa.Connection]:
        """Open the tables for the transaction that begins a piece of work, and merge what people decided meanwhile."""
        with self.writing(patience_s=self._patience_s) as connection:
            merge_log(connection, self.path)
            yield connection

    def fail(self, run: RunInfo, error: Exception) -> None:
        """Mark a run as failed and keep the reason."""
        with self.writing() as connection:
            catalogue.close_run(connection, run.id, "failed", {"error": str(error) or type(error).__name__})

    def add_candidates(
        self, run: RunInfo, chosen: DetectionSet, detections: Detections, edges: CandidateEdges, found: dict[str, Any]
    ) -> None:
        """Add the candidates that the graph lacks, and finish the run.

        A link that until now only an imported tracking knew becomes a candidate and keeps its number.
        """
        with self.writing() as connection:
            grow(connection, chosen, detections, edges, candidate=True)
            catalogue.close_run(connection, run.id, "done", found)

    def add_scores(
        self, run: RunInfo, edges: CandidateEdges, score: NDArray[np.float64], found: dict[str, Any]
    ) -> None:
        """Add the scores of a run and finish it."""
        if np.isnan(score).any():
            raise SchemaError(f"{np.count_nonzero(np.isnan(score))} of {len(score)} scores are not numbers")
        with self.writing() as connection:
            append(connection, tables.edge_score, rows.score_rows(run.id, edges, score))
            catalogue.close_run(connection, run.id, "done", found)

    def add_scored_pairs(
        self,
        run: RunInfo,
        chosen: DetectionSet,
        detections: Detections,
        edges: CandidateEdges,
        score: NDArray[np.float64],
        found: dict[str, Any],
        *,
        array: ArrayRef | None = None,
    ) -> None:
        """Add the scores of a run, with those of its edges that are no candidates yet and its array, and finish it."""
        with self.writing() as connection:
            ids = grow(connection, chosen, detections, edges, candidate=True)
            append(connection, tables.edge_score, rows.score_rows(run.id, replace(edges, id=ids), score))
            if array is not None:
                catalogue.insert_array(connection, chosen.dataset_id, run.id, array)
            catalogue.close_run(connection, run.id, "done", found)

    def add_solution(self, run: RunInfo, info: SolutionInfo, table: SolutionTable, found: dict[str, Any]) -> None:
        """Add the solution of a run and finish it; `info.id` is given here.

        Raises
        ------
        StoreExistsError
            If its dataset has a solution of that name.
        """
        with self.writing() as connection:
            insert_solution(connection, info, table)
            catalogue.close_run(connection, run.id, "done", found)

    def add_tracking(
        self,
        run: RunInfo,
        chosen: DetectionSet,
        detections: Detections,
        edges: CandidateEdges,
        tracking: tuple[SolutionInfo, SolutionTable],
        found: dict[str, Any],
    ) -> None:
        """Add a tracking that was made elsewhere, with the links that the graph lacks, and finish the run.

        Such links are no candidates; those that are candidates already keep their numbers.

        Parameters
        ----------
        run : RunInfo
            The run that brings it in.
        chosen, detections
            The detection set and all its detections.
        edges : CandidateEdges
            Its links; they get their numbers here.
        tracking : tuple of SolutionInfo and SolutionTable
            `SolutionTable.edge` holds rows of `edges`.
        found : dict
            What the run has to say.

        Raises
        ------
        StoreExistsError
            If its dataset has a solution of that name.
        """
        info, table = tracking
        with self.writing() as connection:
            ids = grow(connection, chosen, detections, edges, candidate=False)
            insert_solution(connection, info, replace(table, edge=ids[table.edge]))
            catalogue.close_run(connection, run.id, "done", found)
