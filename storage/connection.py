"""One DuckDB file, opened for a moment: connections, the errors they raise, and rows in bulk through Arrow."""

from __future__ import annotations

import atexit
import os
import re
import struct
import sys
import time
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any

import duckdb
import sqlalchemy as sa
from duckdb_engine import ConnectionWrapper
from sqlalchemy.ext.compiler import deregister
from sqlalchemy.pool import NullPool

from ..errors import (
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreMissingError,
    VersionError,
)
from . import dialect  # noqa: F401  registers itself
from .checkpoints import undo_of
from .facts import facts_in
from .folders import MAKE_ROOM, allowing, copying
from .instance import opened
from .torn_logs import is_torn
from .turns import give_way, waiting_to_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

PATIENCE_S = 10.0  # other processes hold the file only while they read or commit
COMMIT_PATIENCE_S = 180.0  # work that is done waits longer than any query may run, rather than be lost
_DAMAGED = ("not a valid duckdb", "corrupt", "checksum", "serializ", "could not read", "internal error", "wal file")
_HELD_BY = re.compile(r"\(PID (\d+)\)")

_RAW: ContextVar[duckdb.DuckDBPyConnection] = ContextVar("connection that SQLAlchemy is given next")
_ENGINE = sa.create_engine(
    "duckdb+remembering://",
    poolclass=NullPool,
    creator=lambda: ConnectionWrapper(_RAW.get()),
    json_deserializer=facts_in,
    pool_reset_on_return=None,  # a connection ends with its one transaction
)
# duckdb_engine hangs a function on this class of SQLAlchemy, so DuckDB lives as long as SQLAlchemy does: where torch is
# imported, longer than Python, of which DuckDB's bindings then complain on the way out
atexit.register(deregister, sa.TryCast)


@contextmanager
def connect(
    file: Path, *, write: bool, patience_s: float = PATIENCE_S, committed: Callable[[], None] | None = None
) -> Iterator[sa.Connection]:
    """Open a DuckDB file; a writing connection is one transaction, undone if anything raises inside.

    Parameters
    ----------
    file : Path
        The database; it has to exist unless `write` is given.
    write : bool
        False opens read-only: several processes can do that at once.
    patience_s : float
        Seconds to wait for a process that holds the file.
    committed : callable or None
        Called behind the commit, while nobody else can open the file yet.

    Raises
    ------
    StoreMissingError, StoreLockedError, StoreDamagedError, VersionError
        If the file is not there, is held for too long, cannot be read, or is of a newer DuckDB.
    """
    if not write:
        require_store(file)
    with ExitStack() as stack:
        raw = _open_patiently(stack, file, patience_s, write=write)
        try:
            _RAW.set(raw)
            with _ENGINE.connect() as connection:
                with connection.begin():
                    yield connection
                if committed is not None:
                    committed()
        except (duckdb.Error, sa.exc.DBAPIError) as error:
            raise explained(error, file) from error


@contextmanager
def exclusively(file: Path, *, patience_s: float = PATIENCE_S) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file for work that is no transaction; nobody else can read or write it meanwhile.

    Raises
    ------
    StoreMissingError, StoreLockedError, StoreDamagedError, VersionError
        As `connect`.
    """
    require_store(file)
    with ExitStack() as stack:
        raw = _open_patiently(stack, file, patience_s, write=True)
        try:
            yield raw
        except duckdb.Error as error:
            raise explained(error, file) from error


def require_store(file: Path) -> None:
    """Raise StoreMissingError unless the database is there."""
    if not file.exists():
        raise StoreMissingError(f"{file.parent} holds no store", **{"try": f"trackdb ingest SRC -o {file.parent}"})


def _open_patiently(stack: ExitStack, file: Path, patience_s: float, *, write: bool) -> duckdb.DuckDBPyConnection:
    """Try to connect until the holder of the file lets go or the patience is over."""
    deadline = time.monotonic() + patience_s
    pause_s, longest_s = 0.01, 0.1 if write else 0.25
    if not write:
        give_way(file.parent)
    with ExitStack() as waiting:
        while True:
            try:
                return stack.enter_context(opened(file, write=write))
            except duckdb.Error as error:
                reason = explained(error, file)
                if not isinstance(reason, StoreLockedError) or time.monotonic() > deadline:
                    raise reason from error
            if write and pause_s == 0.01:
                waiting.enter_context(waiting_to_write(file.parent))
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)


def explained(error: Exception, file: Path) -> StoreError:
    """Turn an error of DuckDB into one that says what to do."""
    text = str(getattr(error, "orig", error)).strip().split("\n")[0]
    store = file.parent
    holder = _HELD_BY.search(text)
    if holder:
        return StoreLockedError(
            f"{store} is open in another process",
            **{"held by": process_name(int(holder.group(1))), "try": "wait for it, or copy the store"},
        )
    if "newer version of DuckDB" in text or "storage version" in text.lower():
        return VersionError(
            f"{store} was written by a newer DuckDB", reason=text, **{"try": "pip install --upgrade trackdb duckdb"}
        )
    if "No space left" in text or "disk full" in text.lower():
        return StoreFullError(f"{store} could not be written: the disk is full", reason=text, **{"try": MAKE_ROOM})
    if "Read-only file system" in text:
        return StoreError(f"{file} could not be written", reason="the disk is read-only", **{"try": copying(store)})
    if "Permission denied" in text or "read-only" in text.lower():
        if os.access(file, os.R_OK):
            return StoreError(f"{file} could not be written", reason="no permission", **{"try": allowing(store)})
        return StoreError(
            f"{file} could not be read", reason="no permission", **{"try": f"chmod -R a+rX {store} as its owner"}
        )
    if any(sign in text.lower() for sign in _DAMAGED):
        if undo_of(file).exists() or (is_torn(text) and not os.access(file, os.W_OK)):
            return StoreDamagedError(
                f"{file} cannot be read: a write of it was cut short, and only who may write it can undo that",
                reason=text,
                **{"try": f"trackdb info {store} as its owner, or {copying(store)}"},
            )
        return StoreDamagedError(
            f"{file} cannot be read: it is damaged", reason=text, **{"try": "restore the store from a copy"}
        )
    return StoreError(f"{store}: the database refused", reason=text)


def process_name(pid: int) -> str:
    """Return ``pid 20658 (trackdb solve) on HOST``; the command is left out where the system does not tell it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    code = words.index("-c") + 1 if "-c" in words else None  # the text of a program is no name of it
    names = [Path(word).name for n, word in enumerate(words) if word and not word.startswith("-") and n != code]
    if names and names[0].startswith("python"):
        names = names[1:]
    return f"pid {pid} ({' '.join(names[:2])}) on {node()}" if names else f"pid {pid} on {node()}"


def holder_of(file: Path) -> str | None:
    """Return who has a database open, for reading or writing; None where nobody has, or the system does not tell.

    Not to be asked while this process has it open: a lock goes with any handle that is closed.
    """
    if sys.platform != "linux":  # elsewhere a lock is laid out in another way
        return None
    import fcntl

    asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with file.open("rb") as stream:
            kind, _, _, _, pid = struct.unpack("hhqqi", fcntl.fcntl(stream, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return None if kind == fcntl.F_UNLCK else process_name(pid)


def this_process(command: str) -> str:
    """Return how this process is named to others, for example ``pid 20658 (trackdb solve) on HOST``."""
    return f"pid {os.getpid()} ({command}) on {node()}"


@contextmanager
def incoming(connection: sa.Connection, content: pa.Table) -> Iterator[str]:
    """Show a table in memory to the database while the block runs; yields the name to select from."""
    raw = driver(connection)
    raw.register("incoming_rows", content)
    try:
        yield "incoming_rows"
    finally:
        raw.unregister("incoming_rows")


def append(connection: sa.Connection, table: sa.Table, content: pa.Table) -> None:
    """Add rows to a table in the running transaction, in bulk, columns by name."""
    unknown = set(content.column_names) - set(table.columns.keys())
    if unknown:
        raise StoreError(f"table {table.name} has no column {sorted(unknown)}")
    if content.num_rows:
        columns = ", ".join(content.column_names)
        with incoming(connection, content) as name:
            connection.exec_driver_sql(f"insert into {table.name} ({columns}) select {columns} from {name}")


def fetch(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> pa.Table:
    """Return the rows of a query as an Arrow table, without a Python object per row."""
    text = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    return driver(connection).sql(text).to_arrow_table()


def driver(connection: sa.Connection) -> Any:
    """Return DuckDB's own connection under one of SQLAlchemy's, in the same transaction."""
    raw = connection.connection.driver_connection
    if raw is None:
        raise StoreError("the connection to the store is closed")
    return raw
