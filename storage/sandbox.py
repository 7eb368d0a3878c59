"""The user's own SQL: read-only, settings locked, no files, no network, no Python variables.

Read-only alone would still let a query read any file of the machine and write files with ``COPY``; the settings below
close that, and locking them keeps a query from opening it again.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from ..errors import QueryError, StoreDamagedError, StoreLockedError
from . import tables
from .connection import PATIENCE_S, explained, require_store
from .dataframes import Tabular
from .decision_log import rows_to_merge
from .founding import GRAPH
from .html import fitting, html_line, html_table
from .instance import draw_no_bar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Parameter = int | float | str | bool | None

# what DuckDB says of a query that writes: to a table; to a view, which it refuses before it looks at the lock
WOULD_CHANGE = (
    "attached in read-only mode",
    "Can only update base table",
    "Can only delete from base",
    "is not an table",
)
SHOWN = 20  # rows of an answer in a notebook
_LOCKED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Tabular):
    """What a query returned.

    Parameters
    ----------
    rows : pyarrow.Table
        Its rows, at most as many as were asked for.
    truncated : bool
        Whether there were more.
    seconds : float
        How long it took.
    """

    rows: pa.Table
    truncated: bool
    seconds: float

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.rows

    def rows_by_position(self) -> list[list[object]]:
        """Return the rows as lists in the order of the columns, several of which may have one name."""
        columns = [_as_python(column) for column in self.rows.columns]
        return [list(row) for row in zip(*columns, strict=True)]

    def _repr_html_(self) -> str:
        """Return the first rows for a notebook."""
        first = [list(row) for row in zip(*(_as_python(column) for column in self.rows[:SHOWN].columns), strict=True)]
        there = self.rows.num_rows

        def made(shown: int) -> str:
            table = html_table(self.rows.column_names, first[:shown])
            several = f"{there:,}{' or more' if self.truncated else ''} rows"
            return table + html_line(several if shown >= there else f"{shown} of {several}")

        return fitting(made, len(first))


def _as_python(column: pa.ChunkedArray) -> list[object]:
    """Return the values of a column; as text where Python has no such date."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(column.cast(pa.string()).to_pylist())


@dataclass(frozen=True, slots=True)
class Limits:
    """What the database is told that a query may use; a single function call inside a query can outlast both.

    Parameters
    ----------
    timeout_s : float
        Seconds that the query may run.
    memory_mb : int
        Memory of the database in megabytes.
    max_rows : int or None
        Rows to hand out; None for all.
    """

    timeout_s: float = 60.0
    memory_mb: int = 2000
    max_rows: int | None = None


def ask(
    store: Path, query: str, parameters: Mapping[str, Parameter] | None = None, limits: Limits | None = None
) -> Answer:
    """Run one statement of a user's SQL over the views of a store.

    Parameters
    ----------
    store : Path
        Folder of the store.
    query : str
        One statement; ``$name`` stands for a parameter.
    parameters : mapping
        Value of each parameter.
    limits : Limits
        What it may use.

    Raises
    ------
    QueryError
        If the statement is wrong, not a single one, forbidden, or takes too much.
    StoreError
        If the store is missing, locked or damaged.
    """
    limits = limits or Limits()
    started = time.perf_counter()
    connection = _open(store, limits)
    try:
        if len(connection.extract_statements(query)) != 1:
            raise QueryError("give one SQL statement at a time")
        rows, truncated = _interruptible(connection, query, dict(parameters or {}), limits.max_rows)
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # errors in later batches come through Arrow
        reason = explained(error, store / GRAPH)
        raise reason if isinstance(reason, StoreDamagedError) else _query_error(error, limits) from error
    finally:
        connection.close()
    return Answer(rows, truncated, time.perf_counter() - started)


def _interruptible(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Parameter], max_rows: int | None
) -> tuple[pa.Table, bool]:
    """Run a query beside the main thread, which so hears the user's Ctrl-C and can stop it."""

    def run() -> tuple[pa.Table, bool]:
        relation = connection.sql(query, params=parameters)
        return (pa.table({}), False) if relation is None else _taken(relation, max_rows)

    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(run)
        try:
            return answer.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _open(store: Path, limits: Limits) -> duckdb.DuckDBPyConnection:
    """Open the tables hardened, waiting a while for a process that is just writing."""
    require_store(store / GRAPH)
    settings: dict[str, str | bool | int | float | list[str]] = {
        **_LOCKED,
        "memory_limit": f"{limits.memory_mb}MB",
        "max_execution_time": str(max(1, round(1000 * limits.timeout_s))),
    }
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection = duckdb.connect(store / GRAPH, read_only=True, config=settings)
            break
        except duckdb.Error as error:
            reason = explained(error, store / GRAPH)
            if not isinstance(reason, StoreLockedError) or time.monotonic() > deadline:
                raise reason from error
        time.sleep(0.1)
    _show_unmerged(connection, store)
    draw_no_bar(connection)
    connection.execute("set lock_configuration = true")
    return connection


def _show_unmerged(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Put a temporary table with all decisions before that of the store, if the log holds some that were not merged."""
    merged = {key for (key,) in connection.execute("select key from annotation").fetchall()}
    rows = rows_to_merge(store, merged)
    if rows:
        columns = [column.name for column in tables.annotation.columns]
        names = ", ".join(f'"{name}"' for name in columns)
        connection.execute("create temp table annotation as select * from annotation")
        connection.executemany(
            f"insert into annotation ({names}) values ({', '.join('?' * len(columns))})",
            [[_as_stored(row[name]) for name in columns] for row in rows],
        )


def _as_stored(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _taken(relation: duckdb.DuckDBPyRelation, max_rows: int | None) -> tuple[pa.Table, bool]:
    """Return the first rows of a result, and whether there are more; the rest is never computed into memory."""
    if max_rows is None:
        return relation.to_arrow_table(), False
    reader = relation.to_arrow_reader(min(max_rows + 1, 100_000))
    batches: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in reader:
        batches.append(batch)
        n_rows += batch.num_rows
        if n_rows > max_rows:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, max_rows), n_rows > max_rows


def _query_error(error: Exception, limits: Limits) -> QueryError:
    """Say what a query did wrong in the words of the user."""
    text = str(error).strip()
    first = text.split("\n")[0]
    if isinstance(error, duckdb.InterruptException) or first.startswith("INTERRUPT Error"):
        return QueryError(f"the query took longer than {limits.timeout_s:g} s", **{"try": "--timeout S"})
    if isinstance(error, duckdb.OutOfMemoryException) or first.startswith("Out of Memory Error"):
        return QueryError(f"the query needs more than {limits.memory_mb} MB", **{"try": "--memory MB"})
    if any(told in text for told in WOULD_CHANGE):
        return QueryError("a query may not change the store", reason=first)
    return QueryError("the query cannot be answered", reason=text.replace("\n\n", "\n"))
