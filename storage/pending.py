"""Runs that were begun and are not finished: how one is worked on, whether somebody does, and what the dead left."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from . import catalogue, tables
from .leases import is_held, lease, lease_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import sqlalchemy as sa

    from .catalogue import RunInfo
    from .duckdb_store import DuckDBStore


def with_workers(runs: Sequence[RunInfo], store: Path) -> list[tuple[RunInfo, bool]]:
    """Return pending runs, each with whether a living process works on it."""
    return [(run, is_held(store, lease_name(run.id))) for run in runs]


@contextmanager
def working(
    store: DuckDBStore, kind: str, name: str, params: Mapping[str, Any], set_id: int | None, model_digest: str | None
) -> Iterator[RunInfo]:
    """Enter a run as pending and hold its lease while the block works on it, as `DuckDBStore.running` tells."""
    with ExitStack() as stack:
        # one transaction: nobody else can begin the same meanwhile, nor see the run without its holder
        with store.beginning() as connection:
            if set_id is not None:
                catalogue.require_there(connection, tables.detection_set, set_id)
            give_up_twins(connection, store.path, kind, name, set_id)
            run = catalogue.insert_run(
                connection, kind, name, dict(params), set_id=set_id, process=store.process, model_digest=model_digest
            )
            stack.enter_context(lease(store.path, lease_name(run.id), holder=store.process))
        try:
            yield run
        except Exception as error:  # of whatever kind: nobody is at work on it any more
            with suppress(StoreError):  # the first error is the one to tell
                store.fail(run, error)
            raise


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
