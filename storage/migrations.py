"""Stores of older trackdbs brought up to date: numbered steps, all in one transaction.

Each step is written down as it was when its version came, and never changes: what `tables` says today is what the last
step leads to. Views and macros hold no data and are made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import StoreError, VersionError
from . import queries, tables
from .commits import counted
from .connection import connect, this_process

if TYPE_CHECKING:
    from pathlib import Path

STEPS: Final[dict[int, tuple[str, ...]]] = {
    2: (
        *(
            f"alter table detection_feature add column {name} real"
            for name in (
                "border_px",
                "inertia_zz",
                "inertia_zy",
                "inertia_zx",
                "inertia_yy",
                "inertia_yx",
                "inertia_xx",
                "intensity_mean",
            )
        ),
        """create table detection_intensity (
            det_id bigint not null, channel varchar not null, mean double, min double, max double)""",
        """create table detection_property (
            det_id bigint not null, name varchar not null, value double, text varchar)""",
    ),
    3: (),
    4: tuple(f"alter table annotation add column {name} varchar" for name in ("note", "model")),
}
"""Statements that lead to each version from the one before it; none where views alone have changed."""


def upgrade(file: Path, *, patience_s: float) -> None:
    """Bring the tables of a store to `SCHEMA_VERSION`; a process that dies on the way leaves them as they were.

    Parameters
    ----------
    file : Path
        The database.
    patience_s : float
        Seconds to wait for a process that holds it.

    Raises
    ------
    VersionError
        If the store cannot be written.
    StoreLockedError
        If another process holds it for too long.
    """
    try:
        with connect(file, write=False, patience_s=patience_s) as connection:
            if version_of(connection) == tables.SCHEMA_VERSION:  # another process was here first
                return
        with counted(file, by=this_process("trackdb, upgrading"), patience_s=patience_s) as connection:
            found = version_of(connection)
            if found < tables.SCHEMA_VERSION:
                _upgrade(connection, found)
    except StoreError as error:
        if type(error) is not StoreError:  # locked or damaged: said already
            raise
        raise VersionError(
            f"{file.parent} is of an older trackdb and has to be upgraded, but cannot be written",
            reason=error.details.get("reason", error.message),
            **{"try": "give it write permission, or copy it to where you may write"},
        ) from error


def version_of(connection: sa.Connection) -> int:
    """Return the schema version of a store."""
    m = tables.meta
    return int(connection.execute(sa.select(m.c.value).where(m.c.key == "schema_version")).scalar_one())


def _upgrade(connection: sa.Connection, found: int) -> None:
    for version in range(found + 1, tables.SCHEMA_VERSION + 1):
        for statement in STEPS[version]:
            connection.exec_driver_sql(statement)
    for statement in [*queries.view_statements(), *queries.macro_statements()]:
        connection.exec_driver_sql(statement)
    m = tables.meta
    facts = {"schema_version": tables.SCHEMA_VERSION, "oldest_reader": tables.OLDEST_READER}
    for key, value in facts.items():
        connection.execute(sa.update(m).where(m.c.key == key).values(value=str(value)))
