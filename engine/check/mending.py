"""What can be mended in a store without loss, and what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...storage import catalogue, tables
from ...storage.leases import lease, lease_name
from ...storage.pending import with_workers
from ...storage.posteriors import posteriors
from ...storage.promises import PROMISES
from ...storage.quarantine import set_aside
from ...storage.strays import WRITE_ARRAYS, collect
from .examination import count_breaches
from .labels import LABELS, relabelled, write_labels
from .outcomes import ORDER, RANKED, broken_outcomes
from .problem import Mended

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ...storage.duckdb_store import DuckDBStore

DIED: Final = {"error": "its process died"}


def mend(store: DuckDBStore) -> list[Mended]:
    """Mend what can be mended without loss and say what was done; `check` tells what is left.

    All rows are mended in one transaction; files go behind it.

    Rows that stand twice as a whole are kept once, rows that nothing shows are removed, labels are made again from the
    links, ranks from probabilities, numbers counted on, runs whose process died closed unless the same command goes on
    with them, files removed that belong to nothing, and lines of the log that nobody can read set aside.

    Raises
    ------
    StoreDamagedError
        If a block that has to be read is damaged; then nothing was mended.
    StoreLockedError
        If another process holds the store.
    """
    lines = set_aside(store.path)  # first: an answer that cannot be read would stop every other writing
    done = [
        Mended(f"{told.file} line {', '.join(map(str, told.numbers))}", len(told.numbers), "set aside beside the log")
        for told in lines
    ]
    with store.writing() as connection:
        done += _rows(connection)
        done += _labels(connection)
        done += _ranks(connection)
        done += _runs(connection, store)
    with store.writing() as connection:  # behind the commit: rows that are there again would miss their files
        done += [Mended(path, 1, "belonged to nothing, was removed") for path in collect(connection, store.path)]
    return done


def _rows(connection: sa.Connection) -> list[Mended]:
    """Mend what single statements can."""
    done = []
    for promise in PROMISES:
        before = count_breaches(connection, promise) if promise.mending else 0
        if before:
            connection.exec_driver_sql(promise.mending)
            mended = before - count_breaches(connection, promise)
            done += [Mended(promise.what, mended, promise.mended)] if mended else []
    return done


def _labels(connection: sa.Connection) -> list[Mended]:
    done = []
    for info in catalogue.solutions(connection):
        made = relabelled(connection, info)
        if made is not None and made[1]:
            write_labels(connection, info, made[0])
            done.append(Mended(f"{LABELS} (solution {info.name})", made[1], "made again from the links"))
    return done


def _ranks(connection: sa.Connection) -> list[Mended]:
    wrong = sum(broken_outcomes(connection, info).get(ORDER, 0) for info in posteriors(connection))
    if not wrong:
        return []
    connection.exec_driver_sql(RANKED)
    return [Mended(ORDER, wrong, "ranked again by probability")]


def _runs(connection: sa.Connection, store: DuckDBStore) -> list[Mended]:
    """Close what died; an ingest and a scoring are left to the command that goes on with them."""
    pending = with_workers(catalogue.runs(connection, tables.run.c.state == "pending"), store.path)
    done = []
    for run, alive in pending:
        if alive or run.kind in WRITE_ARRAYS:
            continue
        with lease(store.path, lease_name(run.id), holder=run.process):
            catalogue.close_run(connection, run.id, "failed", DIED)
        done.append(Mended(f"{run.kind} {run.name} was not finished by {run.process}", 1, "closed as failed"))
    return done
