"""How a store begins and ends: made once, refused politely when it is not ours or too new, taken away when empty."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING

import duckdb
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from ..errors import StoreDamagedError, StoreError, StoreExistsError, StoreMissingError
from . import queries, tables
from .arrays import ARRAYS
from .checkpoints import HEADERS, UNDO
from .commit_notes import COMMITS, note, notes
from .commits import require_all
from .connection import connect, driver, require_store
from .folders import flush, make_folder
from .leases import LOCKS, lease
from .migrations import is_count, require_known
from .nearby import names_like
from .own_schema import defined, is_trusted, table_names, trust
from .partials import is_partial, remove_left_behind
from .promises import FACTS
from .unfinished import UNFINISHED
from .within import require_own_files

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

GRAPH = "graph.duckdb"
_FILES = {GRAPH, f"{GRAPH}.wal", f"{GRAPH}{UNDO}"}
OURS = {*_FILES, f"{GRAPH}.tmp", ARRAYS, COMMITS, LOCKS, UNFINISHED, "annotations", "trackdb.toml"}


def found_store(path: Path, *, by: str, patience_s: float) -> bool:
    """Make a store unless it is there; return whether this call, of process `by`, made it.

    Raises
    ------
    StoreExistsError
        If something else stands at that place.
    StoreDamagedError
        If it was made before and has lost even that.
    StoreError
        If the folder cannot be made.
    """
    if "?" in str(path.absolute()):
        raise StoreError(f"{path}: the database cannot live at a place with ? in its name", **{"try": "another -o"})
    if path.exists() and (not path.is_dir() or any(map(_is_strange, path.iterdir()))):
        raise StoreExistsError(f"{path} exists and is not a store", **{"try": "another place for -o"})
    try:
        make_folder(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{path} cannot be made", reason=reason, **{"try": "another place for -o"}) from error
    require_own_files(path)
    try:
        with _founding(path, patience_s):
            return _founded(path, by=by, patience_s=patience_s)
    except StoreError:
        if path.exists():
            raise
        return found_store(path, by=by, patience_s=patience_s)  # an empty one went while we waited for it


def _founded(path: Path, *, by: str, patience_s: float) -> bool:
    """Make tables in a folder that is ours meanwhile; return False if they are there."""
    _take_away_stub(path)
    if (path / GRAPH).exists() and is_founded(path, patience_s=patience_s):
        return False
    require_all(path, notes(path), 0)
    try:
        _make_tables(path, by=by, patience_s=patience_s)
    except StoreError:  # on a full disk
        _take_away_stub(path)
        raise
    flush(path.absolute().parent)  # the name of the store
    return True


def _founding(path: Path, patience_s: float) -> AbstractContextManager[None]:
    """Hold the lease of whoever makes a store or takes it away."""
    return lease(path, "founding", holder="another process that makes it", wait_s=patience_s)


def _is_strange(file: Path) -> bool:
    """Return whether a file is none of a store's, nor what a process that was killed wrote of one."""
    return file.name not in OURS and not is_partial(file)


def _make_tables(path: Path, *, by: str, patience_s: float) -> None:
    """Make tables, views and macros in one transaction, and the facts that a store tells about itself."""
    noted = partial(note, path, 1, by)
    with connect(path / GRAPH, write=True, patience_s=patience_s, committed=noted) as connection:
        connection.exec_driver_sql(_definitions(connection.dialect))  # all of it stands, or nothing does
        facts = {
            "schema_version": tables.SCHEMA_VERSION,
            "oldest_reader": tables.OLDEST_READER,
            "project": uuid.uuid4(),
            "storage_version": duckdb.__version__,
            "commits": 1,
            **{fact: 1 for fact in FACTS if fact.startswith("next_")},
        }
        values = [{"key": key, "value": str(value)} for key, value in facts.items()]
        connection.execute(sa.insert(tables.meta), values)
    trust(path / GRAPH)


@cache
def _definitions(dialect: sa.Dialect) -> str:
    """Return the statements that make tables, views and macros, written once for all stores of a process."""
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in tables.metadata.sorted_tables]
    return ";\n".join([*made, *queries.view_statements(), *queries.macro_statements()])


def _take_away_stub(path: Path) -> None:
    """Take a database away whose own headers were never written whole, where nothing else was kept yet."""
    graph = path / GRAPH
    if graph.is_file() and graph.stat().st_size < HEADERS and not (path / ARRAYS).exists():
        for name in _FILES:
            (path / name).unlink(missing_ok=True)


def is_founded(path: Path, *, patience_s: float) -> bool:
    """Return whether the tables stand; False after a kill while the store was made."""
    with connect(path / GRAPH, write=False, patience_s=patience_s) as connection:
        return _stands(connection, path)


def _stands(connection: sa.Connection, path: Path) -> bool:
    """Return whether the tables stand, and nothing acts beside them."""
    if not is_trusted(path / GRAPH):
        defined(driver(connection), path / GRAPH)
    return tables.meta.name in table_names(connection)


def require_readable(path: Path, *, patience_s: float, whole: bool = True) -> None:
    """Refuse a store that is missing, unfinished, or written by a newer trackdb; bring an older one up to date.

    With `whole` also one that has lost commits.
    """
    if not (path / GRAPH).exists():
        raise StoreMissingError(
            f"{path} is not a store", **names_like(path), **{"try": f"trackdb ingest SRC -o {path}"}
        )
    require_own_files(path)
    noted = notes(path)  # before the counter, which may rise meanwhile
    m = tables.meta
    with connect(path / GRAPH, write=False, patience_s=patience_s) as connection:
        if not _stands(connection, path):
            require_all(path, noted, 0)
            raise StoreDamagedError(f"{path} was never finished", **{"try": "give its `trackdb ingest` again"})
        facts = {row.key: row.value for row in connection.execute(sa.select(m.c.key, m.c.value))}
    lacking = [key for key in FACTS if not is_count(facts.get(key))]
    if lacking:
        raise StoreDamagedError(f"{path} lacks facts about itself", missing=", ".join(lacking))
    if whole and int(facts["oldest_reader"]) <= tables.SCHEMA_VERSION:
        require_all(path, noted, int(facts["commits"]))
    require_known(path / GRAPH, patience_s=patience_s)


def discard_if_empty(path: Path, *, patience_s: float) -> None:
    """Take a store away that holds no dataset, finished or not: what a refused first ingest leaves.

    Settings and annotations that people put there stay, and the folder with them.
    """
    with _founding(path, patience_s):  # else who makes it anew meanwhile would lose what he made
        require_store(path / GRAPH)
        # while the database is open for writing nobody else can begin anything in it
        with connect(path / GRAPH, write=True, patience_s=patience_s) as connection:
            count = sa.select(sa.func.count()).select_from(tables.dataset)
            if connection.execute(count).scalar_one():
                return
            (path / COMMITS).unlink(missing_ok=True)  # first: notes without a database would tell of a loss
            for name in _FILES:
                (path / name).unlink(missing_ok=True)
        for name in _FILES:  # closing may have written once more
            (path / name).unlink(missing_ok=True)
        remove_left_behind(path)
        shutil.rmtree(path / ARRAYS, ignore_errors=True)
        shutil.rmtree(path / LOCKS, ignore_errors=True)
    with suppress(OSError):  # it holds something
        path.rmdir()
