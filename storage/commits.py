"""Transactions that are counted in the database and noted beside it: a log that is cut or deleted is never silent."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..errors import StoreDamagedError
from . import catalogue
from .commit_notes import COMMITS, Commit, loss, note, notes
from .connection import connect, require_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa


@contextmanager
def counted(file: Path, *, by: str, patience_s: float) -> Iterator[sa.Connection]:
    """Open a database for one transaction, count it, and note it beside the database.

    Parameters
    ----------
    file : Path
        The database.
    by : str
        Which process.
    patience_s : float
        Seconds to wait for a process that holds it.

    Raises
    ------
    StoreMissingError
        If the database is gone: to open it would make an empty one.
    StoreDamagedError
        If commits are gone: one more would hide that.
    """
    require_store(file)
    number = 0
    # noted while the file is still held, so that notes come in the order of commits
    with connect(file, write=True, patience_s=patience_s, committed=lambda: note(file.parent, number, by)) as opened:
        if not notes(file.parent):  # of an older trackdb: what is torn from here on is known to be of this commit
            note(file.parent, catalogue.commits(opened), by)
        yield opened
        number = catalogue.count_commit(opened)
        require_all(file.parent, notes(file.parent), number - 1)


def require_all(store: Path, noted: list[Commit], known: int) -> None:
    """Raise StoreDamagedError if commits are noted that the database does not hold; parameters as of `loss`."""
    lost = loss(noted, known)
    if lost is not None:
        raise StoreDamagedError(f"{store} has lost {lost}", **{"why": CAUSE, "try": mending(store)})


CAUSE: Final = "graph.duckdb.wal was cut or deleted, or graph.duckdb is an older copy"


def mending(store: Path) -> str:
    """Return what helps where commits are gone."""
    return (
        "restore graph.duckdb and graph.duckdb.wal together from a copy; or go on with what is left: remove "
        f"{store / COMMITS} and give these commands again"
    )
