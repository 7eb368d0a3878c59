"""Room in a store: what is dropped on purpose with what hangs on it, and a database without its holes."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MissingRowsError, StaleError, StoreExistsError
from ..storage import catalogue, tables
from ..storage.compacting import rewrite
from ..storage.decisions import live
from ..storage.dropping import Kind, Plan, delete, plan_drop, staying
from ..storage.strays import WRITE_ARRAYS, bytes_of, collect

if TYPE_CHECKING:
    from ..storage.dropping import Part
    from ..storage.duckdb_store import DuckDBStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped, and the room that gave.

    Parameters
    ----------
    plan : Plan
        What went.
    answers : int
        Answers of people about cells that went; they are kept.
    given_back : int
        Bytes by which the store became smaller.
    free : int
        Bytes of the database that stand empty: new rows go there, and `compact` gives them back.
    seconds : float
        How long it took.
    """

    plan: Plan
    answers: int
    given_back: int
    free: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction gave back.

    Parameters
    ----------
    before, after : int
        Bytes of the store.
    strays : list of str
        What belonged to nothing and was removed.
    kept : list of str
        Unfinished work, whose files were left alone.
    seconds : float
        How long it took.
    """

    before: int
    after: int
    strays: list[str]
    kept: list[str]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        given = {"given_back": self.before - self.after, "bytes_before": self.before, "bytes_after": self.after}
        return {**given, "removed": self.strays, "unfinished": self.kept, "seconds": self.seconds}


def planned(
    store: DuckDBStore,
    kind: str,
    name: str,
    *,
    dataset: str | None = None,
    detections: str | None = None,
    with_dependents: bool = False,
) -> Plan:
    """Find what is to be dropped, and refuse if something else hangs on it.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    kind, name : str
        A `Kind`, and the name.
    dataset, detections : str or None
        Where the store holds several.
    with_dependents : bool
        Whether what hangs on it may go with it.

    Raises
    ------
    MissingRowsError
        If there is none of that name.
    StoreExistsError
        If something hangs on it that may not go.
    """
    with store.reading() as connection:
        plan = plan_drop(connection, Kind(kind), name, dataset, detections)
    if plan.dependents and not with_dependents:
        raise StoreExistsError(
            f"{plan.part} cannot go: others hang on it",
            others=named(plan.dependents),
            **{"try": "drop these first, or --with-dependents"},
        )
    return plan


def kinds_of(store: DuckDBStore, name: str) -> list[str]:
    """Return what there is of a name that could be dropped, as `Kind`."""
    found = []
    with store.reading() as connection:
        for kind in Kind:
            with suppress(MissingRowsError, StoreExistsError):
                plan_drop(connection, kind, name, None, None)
                found.append(kind.value)
    return found


def named(parts: tuple[Part, ...]) -> str:
    """Return parts in words, at most the first ten."""
    return ", ".join(map(str, parts[:10])) + (f" and {len(parts) - 10} more" if len(parts) > 10 else "")


def answers_about(store: DuckDBStore, plan: Plan) -> int:
    """Count the answers of people about cells that a plan lets go, before or after they went; they are kept."""
    said = live(store.decisions()) if plan.sets else []
    cells = [d.cell.id for d in said if d.dataset == plan.dataset and d.cell is not None]
    if not cells:
        return 0
    with store.reading() as connection:
        left = staying(connection, plan, sorted(set(cells)))
    return sum(cell not in left for cell in cells)


def drop(store: DuckDBStore, plan: Plan) -> Dropped:
    """Drop what was planned, in one transaction; then the pixels that nothing refers to any more.

    Raises
    ------
    StaleError
        If something else hangs on it by now.
    StoreLockedError
        If a living process is at work on the same detections.
    """
    started, before = time.perf_counter(), bytes_of(store.path)
    with store.beginning() as connection:
        now = plan_drop(connection, plan.part.kind, plan.part.name, plan.dataset, plan.detections)
        if set(now.parts) - set(plan.parts):
            raise StaleError(f"{plan.part} is another one by now", others=named(now.parts), **{"try": "give it again"})
        told = {"dataset": plan.dataset, "rows": now.rows, "dependents": [str(part) for part in now.dependents]}
        run = catalogue.insert_run(connection, "drop", str(plan.part), told, set_id=None, process=store.process)
        delete(connection, store.path, now)
        catalogue.close_run(connection, run.id, "done", {})
    if "array_ref" in now.rows or now.part.kind is Kind.DATASET:  # one that is unfinished has pixels without a row
        with store.writing() as connection:
            collect(connection, store.path)
    log.info("dropped: %s, %d rows", plan.part, sum(now.rows.values()))
    seconds = time.perf_counter() - started
    return Dropped(now, answers_about(store, now), max(before - bytes_of(store.path), 0), _free(store), seconds)


def _free(store: DuckDBStore) -> int:
    """Return how many bytes of the database stand empty."""
    query = "select free_blocks * block_size from pragma_database_size() where database_name = current_database()"
    with store.reading() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


def compact(store: DuckDBStore) -> Compacted:
    """Rewrite the database without holes, and remove what belongs to nothing; the store tells the same as before.

    Raises
    ------
    StoreLockedError
        If another process holds the store.
    StoreFullError
        If the disk has no room for the copy.
    """
    started, before = time.perf_counter(), bytes_of(store.path)
    with store.writing() as connection:
        removed = collect(connection, store.path)
        r = tables.run
        waiting = catalogue.runs(connection, r.c.state == "pending", r.c.kind.in_(WRITE_ARRAYS))
    rewrite(store.path)
    kept = [f"{run.kind} {run.name}" for run in waiting]
    return Compacted(before, bytes_of(store.path), removed, kept, time.perf_counter() - started)
