"""What stands in a database besides rows is ours: a store of someone else shall run nothing of theirs.

A macro may bear the name of one of the database's own functions, a view that of a table of ours, a default or a trigger
acts when we write. So nothing but plain tables may stand there, and views and macros that say what ours say. The
queries in here name all that they call in full, so that nothing in the store can stand in for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import duckdb
import duckdb_engine
from sqlalchemy.schema import CreateTable

from ..errors import StoreDamagedError
from . import queries, tables

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

REFERENCE: Final = "memory"  # DuckDB's name of a database in memory
_FOREIGN: Final = {
    "a default or a computed column": "select database_name, table_name || '.' || column_name "
    "from system.main.duckdb_columns() where column_default is not null and not internal",
    "a check": "select database_name, constraint_text from system.main.duckdb_constraints() "
    "where constraint_type in ('CHECK', 'FOREIGN KEY')",
    "an index": "select database_name, index_name from system.main.duckdb_indexes()",
    "a sequence": "select database_name, sequence_name from system.main.duckdb_sequences()",
    "a type": "select database_name, type_name from system.main.duckdb_types() where not internal",
    "a trigger": "select database_name, trigger_name from system.main.duckdb_triggers()",
    "a schema": "select database_name, schema_name from system.main.duckdb_schemas() where not internal",
}
_VIEWS: Final = "select database_name, view_name, sql from system.main.duckdb_views() where not internal"
_MACROS: Final = """select database_name, function_name, function_type, macro_definition, parameters
    from system.main.duckdb_functions() where not internal"""
_BUILT_IN: Final = "select function_name from system.main.duckdb_functions() where internal"
_TRUSTED: dict[str, tuple[object, ...]] = {}  # how each database was when this process made it or looked at it


@dataclass(frozen=True, slots=True)
class Defined:
    """Views and macros of a database: by name, all that is told of each."""

    views: dict[str, object]
    macros: dict[str, object]


_LOOKED_AT: dict[tuple[object, ...], Defined] = {}


def defined(connection: duckdb.DuckDBPyConnection, graph: Path) -> Defined:
    """Return the views and macros of a database, in which nothing else than tables may act.

    What was found is kept as long as the database stays as it is.

    Raises
    ------
    StoreDamagedError
        If something else stands there, a view in the place of a table, or a macro in that of a function of the
        database.
    """
    state = (str(graph.absolute()), *_state(graph))
    if state not in _LOOKED_AT:
        found = _looked_at(connection, graph)
        _LOOKED_AT.clear()
        _LOOKED_AT[state] = found
    return _LOOKED_AT[state]


def _looked_at(connection: duckdb.DuckDBPyConnection, graph: Path) -> Defined:
    for what, query in _FOREIGN.items():
        for row in _of(connection, query, graph.stem):
            raise _strange(graph, what, str(row[0]))
    found = _defined(connection, graph.stem)
    for name in sorted(set(found.views) & set(tables.metadata.tables)):
        raise _strange(graph, "a view in the place of a table", name)
    others = set(found.macros) - set(_ours().macros)
    if others:
        built_in = {name for (name,) in connection.execute(_BUILT_IN).fetchall()}
        for name in sorted(others & built_in):
            raise _strange(graph, "a macro in the place of a function", name)
    return found


def require_ours(found: Defined, graph: Path) -> None:
    """Raise StoreDamagedError unless views and macros are those that this version makes, no more and no other."""
    ours = _ours()
    for what, there, known in (("a view", found.views, ours.views), ("a macro", found.macros, ours.macros)):
        for name, told in there.items():
            if known.get(name) != told:
                raise _strange(graph, what, name)


def table_names(connection: sa.Connection) -> set[str]:
    """Return the names of all tables."""
    return set(connection.exec_driver_sql("select table_name from system.main.duckdb_tables()").scalars())


@cache
def _ours() -> Defined:
    """Return what this version makes, as this DuckDB tells it."""
    with duckdb.connect(f":{REFERENCE}:") as connection:
        for table in tables.metadata.sorted_tables:
            connection.execute(str(CreateTable(table).compile(dialect=duckdb_engine.Dialect())))
        for statement in [*queries.view_statements(), *queries.macro_statements()]:
            connection.execute(statement)
        return _defined(connection, REFERENCE)


def _defined(connection: duckdb.DuckDBPyConnection, database: str) -> Defined:
    views = {str(name): told for name, *told in _of(connection, _VIEWS, database)}
    macros: dict[str, object] = {str(name): told for name, *told in _of(connection, _MACROS, database)}
    return Defined(dict(views), macros)


def _of(connection: duckdb.DuckDBPyConnection, query: str, database: str) -> list[tuple[object, ...]]:
    """Return the rows that belong to a database, without its name."""
    return [row[1:] for row in connection.execute(query).fetchall() if row[0] == database]


def _strange(graph: Path, what: str, name: str) -> StoreDamagedError:
    return StoreDamagedError(
        f"{graph} holds {what} that trackdb did not make: {name[:100]}",
        reason="it could act in our place; nothing of it was run",
        **{"try": "ask for a copy as trackdb wrote it; keep views of your own in a database of your own"},
    )


def trust(graph: Path) -> None:
    """Take note that what stands in a database now is ours."""
    _TRUSTED[str(graph.absolute())] = _state(graph)


def is_trusted(graph: Path) -> bool:
    """Return whether a database is as it was when it was looked at, or as this process left it."""
    return _stamp(graph) is not None and _TRUSTED.get(str(graph.absolute())) == _state(graph)


def _state(graph: Path) -> tuple[object, ...]:
    """Return what changes when a database is written, or another is put in its place."""
    return _stamp(graph), _stamp(graph.with_name(f"{graph.name}.wal"))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Return number, size and time of a file; None if there is none: a log comes and goes with each commit."""
    try:
        told = file.stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_size, told.st_mtime_ns
