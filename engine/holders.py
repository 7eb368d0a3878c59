"""Who holds a store right now, what was left behind in it, and whether this process may write it.

Nothing is changed, and nobody is waited for: an old store stays as old as it is.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, StoreLockedError
from ..storage import catalogue, tables
from ..storage.connection import connect, holder_of, require_store
from ..storage.founding import GRAPH
from ..storage.leases import held_leases
from ..storage.migrations import version_of
from ..storage.pending import with_workers
from ..storage.strays import bytes_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holders:
    """What holds a store, and what does not let it be used.

    Parameters
    ----------
    path : str
        The store.
    bytes : int
        Its size.
    writable : bool
        Whether this process may write it.
    schema_version : int or None
        Of its tables; None where they cannot be read now.
    held_by : str or None
        Process that has the database open: for writing it keeps all others out, for reading those that would write.
    leases : list of str
        What living processes hold: a run, the log of answers, a compaction.
    at_work, left_behind : list of str
        Runs that are not finished: with a living process, and of one that died.
    trouble : str or None
        Why it cannot be used, with what to do.
    """

    path: str
    bytes: int
    writable: bool
    schema_version: int | None
    held_by: str | None
    leases: list[str]
    at_work: list[str]
    left_behind: list[str]
    trouble: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        facts = asdict(self)
        return {("store_schema_version" if key == "schema_version" else key): value for key, value in facts.items()}


def holders_of(path: Path) -> Holders:
    """Look who holds a store, without waiting.

    Raises
    ------
    StoreMissingError
        If there is none.
    """
    version, trouble = None, None
    runs: list[tuple[str, bool]] = []
    require_store(path / GRAPH)
    held_by = holder_of(path / GRAPH)
    try:
        with connect(path / GRAPH, write=False, patience_s=0.0) as connection:
            version = version_of(connection)
            pending = with_workers(catalogue.runs(connection, tables.run.c.state == "pending"), path)
        runs = [(f"{run.kind} {run.name} by {run.process}", alive) for run, alive in pending]
    except StoreLockedError as error:
        held_by = held_by or error.details.get("held by", error.message)
    except StoreError as error:
        trouble = str(error)
    if version is not None and version > tables.SCHEMA_VERSION:
        trouble = f"it is of a newer trackdb (schema version {version}): pip install --upgrade trackdb"
    return Holders(
        path=str(path),
        bytes=bytes_of(path),
        writable=os.access(path, os.W_OK) and os.access(path / GRAPH, os.W_OK),
        schema_version=version,
        held_by=held_by,
        leases=held_leases(path),
        at_work=[said for said, alive in runs if alive],
        left_behind=[said for said, alive in runs if not alive],
        trouble=trouble,
    )
