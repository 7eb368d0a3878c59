"""Stores of older trackdbs brought up to date: numbered steps, all in one transaction.

Each step is written down as it was when its version came, and never changes: what `tables` says today is what the last
step leads to. Views and macros hold no data and are made anew.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import StoreDamagedError, StoreError, VersionError
from . import queries, tables
from .commits import counted
from .connection import connect, driver, this_process
from .own_schema import defined, is_trusted, require_ours, table_names, trust
from .promises import FACTS
from .within import require_own_files

if TYPE_CHECKING:
    from pathlib import Path

FEATURES_OF_2: Final = (
    "border_px",
    "inertia_zz",
    "inertia_zy",
    "inertia_zx",
    "inertia_yy",
    "inertia_yx",
    "inertia_xx",
    "intensity_mean",
)
"""Columns of `detection_feature` that came with version 2."""
STEPS: Final[dict[int, tuple[str, ...]]] = {
    2: (
        *(f"alter table detection_feature add column {name} real" for name in FEATURES_OF_2),
        """create table detection_intensity (
            det_id bigint not null, channel varchar not null, mean double, min double, max double)""",
        """create table detection_property (
            det_id bigint not null, name varchar not null, value double, text varchar)""",
    ),
    3: (),
    4: tuple(f"alter table annotation add column {name} varchar" for name in ("note", "model")),
}
"""Statements that lead to each version from the one before it; none where views alone have changed."""


def require_known(file: Path, *, patience_s: float) -> None:
    """Refuse a store of a newer trackdb, and bring one of an older up to date.

    Parameters
    ----------
    file : Path
        The database; one without tables passes, for whoever reads them to say so.
    patience_s : float
        Seconds to wait for a process that holds it.

    Raises
    ------
    VersionError
        If it is newer than this trackdb can read, or older and cannot be written.
    StoreDamagedError
        If something leads out of the store, or acts in its database that trackdb did not make.
    """
    if is_trusted(file):
        return
    require_own_files(file.parent)
    with connect(file, write=False, patience_s=patience_s) as connection:
        found = defined(driver(connection), file)
        if tables.meta.name not in table_names(connection):
            return
        m = tables.meta
        facts = {row.key: row.value for row in connection.execute(sa.select(m.c.key, m.c.value))}
        if not all(is_count(facts.get(key)) for key in ("schema_version", "oldest_reader")):
            return
        if int(facts["oldest_reader"]) > tables.SCHEMA_VERSION:
            raise _too_new(file, facts["schema_version"], _written_by(connection))
    version = int(facts["schema_version"])
    if version < tables.SCHEMA_VERSION:
        upgrade(file, patience_s=patience_s)
        with connect(file, write=False, patience_s=patience_s) as connection:
            found = defined(driver(connection), file)
    if version <= tables.SCHEMA_VERSION:  # a newer one has views that we do not know; nothing but queries uses them
        require_ours(found, file)
    trust(file)


def fault_of_meta(file: Path, *, patience_s: float) -> str | None:
    """Return what is wrong with table `meta`, None if nothing is; the tables are then taken for those of this trackdb.

    Parameters
    ----------
    file : Path
        The database.
    patience_s : float
        Seconds to wait for a process that holds it.

    Raises
    ------
    StoreDamagedError
        If something leads out of the store, or its views are not those of this trackdb.
    """
    m = tables.meta
    require_own_files(file.parent)
    with connect(file, write=False, patience_s=patience_s) as connection:
        require_ours(defined(driver(connection), file), file)
        if m.name not in table_names(connection):
            return None
    trust(file)
    try:
        with connect(file, write=False, patience_s=patience_s) as connection:
            told = {row.key: row.value for row in connection.execute(sa.select(m.c.key, m.c.value))}
    except StoreDamagedError as error:
        return f"cannot be read: {error.details.get('reason', error.message)}"
    lacking = [key for key in FACTS if not is_count(told.get(key))]
    return f"does not tell {', '.join(lacking)}" if lacking else None


def is_count(fact: object) -> bool:
    """Return whether a fact that a store tells of itself is a whole number from 1 that a column of the tables holds."""
    return isinstance(fact, str) and re.fullmatch("[1-9][0-9]{0,17}", fact) is not None


def _written_by(connection: sa.Connection) -> str | None:
    """Return the version of trackdb that wrote to a store last; None where a later schema tells it otherwise."""
    try:
        newest = "select code_version from run order by run_id desc limit 1"
        return connection.exec_driver_sql(newest).scalar_one_or_none()
    except sa.exc.DBAPIError:
        return None


def _too_new(file: Path, version: str, by: str | None) -> VersionError:
    needed = "trackdb" if by is None else f'"trackdb>={by}"'
    return VersionError(
        f"{file.parent} has schema version {version}, this trackdb reads up to {tables.SCHEMA_VERSION}",
        **({} if by is None else {"needed": f"trackdb {by}, which wrote to it last"}),
        **{"try": f"pip install --upgrade {needed}"},
    )


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
