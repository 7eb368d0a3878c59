"""A database without its holes: copied row by row into a new file, compared, and put in the place of the old one.

DuckDB keeps the blocks of rows that were deleted for later, so a file never shrinks by itself. The copy is written
below ``unfinished``; the old file is replaced in one step once every table of the copy tells the same. A process that
is killed before that leaves the store as it was.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

import duckdb

from ..errors import StoreDamagedError, StoreError, StoreFullError
from .checkpoints import has_log
from .connection import PATIENCE_S, exclusively
from .folders import MAKE_ROOM, flush, not_written
from .founding import GRAPH
from .leases import lease
from .strays import COMPACTION
from .unfinished import UNFINISHED

if TYPE_CHECKING:
    from pathlib import Path

COPY: Final = "copied"  # name under which the new file is attached
OF_TABLES: Final = (
    "select schema_name, table_name from duckdb_tables() where database_name = current_database() order by all"
)


def rewrite(store: Path, *, patience_s: float = PATIENCE_S) -> None:
    """Rewrite the database of a store without holes; nobody reads or writes it meanwhile.

    Parameters
    ----------
    store : Path
        Folder of the store.
    patience_s : float
        Seconds to wait for processes that hold it.

    Raises
    ------
    StoreLockedError
        If another process holds it for too long, or compacts it right now.
    StoreFullError
        If the disk has no room for the copy.
    StoreDamagedError
        If the file cannot be read, or its copy tells something else.
    """
    file, folder = store / GRAPH, store / UNFINISHED / f"{COMPACTION}-{os.getpid()}"
    with lease(store, COMPACTION, holder="another trackdb compact"):
        for left in (store / UNFINISHED).glob(f"{COMPACTION}-*"):
            shutil.rmtree(left, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            with exclusively(file, patience_s=patience_s):
                pass  # the log of the old file ends here, and must not be read into the new one
            # both files are held until the old one is let go: who waits finds the new one, and no log in between
            with ExitStack() as guards, exclusively(file, patience_s=patience_s) as raw:
                _copy(raw, file, folder / GRAPH)
                _put_in_place(raw, guards, file, folder / GRAPH)
        except StoreError:  # some of which are errors of the system, too
            raise
        except OSError as error:
            raise not_written(error.filename or folder, store, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # other work stands there
                folder.parent.rmdir()


def _copy(raw: duckdb.DuckDBPyConnection, file: Path, new: Path) -> None:
    """Copy all tables, views and macros of the open database into a new file."""
    if has_log(file):
        raise StoreError(f"{file} cannot be compacted: its log could not be merged", **{"try": "give it again"})
    used = f"select used_blocks * block_size from pragma_database_size() where database_name = '{file.stem}'"
    row = raw.execute(used).fetchone()
    needed, free = int(row[0]) if row else 0, shutil.disk_usage(file.parent).free
    if free < needed:
        raise StoreFullError(
            f"{file.parent} cannot be compacted: the disk has no room for the copy",
            needed=f"{needed / 1e6:.1f} MB",
            free=f"{free / 1e6:.1f} MB",
            **{"try": MAKE_ROOM},
        )
    quoted = str(new.absolute()).replace("'", "''")
    raw.execute(f"attach '{quoted}' as {COPY}")
    raw.execute(f'copy from database "{file.stem}" to {COPY}')
    raw.execute(f"checkpoint {COPY}")
    raw.execute(f"detach {COPY}")
    shutil.copymode(file, new)
    with suppress(OSError):  # whoever owns the store keeps it, where root compacts it
        status = file.stat()
        os.chown(new, status.st_uid, status.st_gid)
    flush(new)


def _put_in_place(raw: duckdb.DuckDBPyConnection, guards: ExitStack, file: Path, new: Path) -> None:
    """Compare the copy with the open database, and let it take its place."""
    copy = guards.enter_context(duckdb.connect(new, read_only=True, config={"enable_external_access": "false"}))
    names = raw.execute(OF_TABLES).fetchall()
    if names != copy.execute(OF_TABLES).fetchall():
        raise _unlike(file, "the copy holds other tables")
    for schema, table in names:
        told = f"select count(*), sum(cast(hash(t) as hugeint)) from {_quoted(schema)}.{_quoted(table)} t"
        if raw.execute(told).fetchone() != copy.execute(told).fetchone():
            raise _unlike(file, f"the copy of table {table} is another one")
    os.replace(new, file)
    flush(file.parent)


def _quoted(name: str) -> str:
    """Return a name as SQL writes it; tables of their own may be called anything."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _unlike(file: Path, what: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"{file} cannot be compacted: {what}", **{"try": f"trackdb check {file.parent}; the store is as it was"}
    )
