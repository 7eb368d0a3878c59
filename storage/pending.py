"""Runs that were begun and not finished: whether somebody works on one, and what a process that died has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import catalogue, tables
from .leases import is_held, lease, lease_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import sqlalchemy as sa

    from .catalogue import RunInfo


def with_workers(runs: Sequence[RunInfo], store: Path) -> list[tuple[RunInfo, bool]]:
    """Return pending runs, each with whether a living process works on it."""
    return [(run, is_held(store, lease_name(run.id))) for run in runs]


def give_up_twins(connection: sa.Connection, store: Path, kind: str, name: str, set_id: int | None) -> None:
    """Mark what processes that died left of the same run as failed.

    Parameters
    ----------
    connection : sa.Connection
        A transaction in which the run is begun anew.
    store : Path
        Folder of the store.
    kind, name, set_id
        Of the run.

    Raises
    ------
    StoreLockedError
        If a living process is at work on it.
    """
    r = tables.run
    same = (r.c.kind == kind, r.c.name == name, r.c.set_id == set_id, r.c.state == "pending")
    for left in catalogue.runs(connection, *same):
        with lease(store, lease_name(left.id), holder=left.process):
            catalogue.close_run(connection, left.id, "failed", {"error": "its process died"})
