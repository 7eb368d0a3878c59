"""What is wrong with a store: broken invariants of its tables, altered pixels, work that was left undone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StoreDamagedError
from ..storage.arrays import ARRAYS, digest
from ..storage.commits import loss, mending, notes
from ..storage.decision_log import read_log
from ..storage.decisions import MENDING
from ..storage.promises import PROMISES
from ..storage.unfinished import UNFINISHED
from .progress import Progress, Silent

if TYPE_CHECKING:
    from pathlib import Path

    from ..storage.duckdb_store import DuckDBStore

WRITE_ARRAYS = ("ingest", "score")  # kinds of runs that write arrays before a row refers to them


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, how often, and what to do about it."""

    what: str
    count: int
    remedy: str


def check(store: DuckDBStore, progress: Progress | None = None) -> list[Problem]:
    """Look at everything in a store and list what is wrong.

    Reading every column also reads the checksum of every block, so a damaged file shows.

    Raises
    ------
    StoreDamagedError
        If the tables cannot be read at all.
    """
    progress = progress or Silent()
    problems = _lost_commits(store)
    progress.start("tables", len(PROMISES))
    with store.reading() as connection:
        for what, query in PROMISES.items():
            count = int(connection.exec_driver_sql(query).scalar_one())
            if count:
                problems.append(Problem(what, count, "restore the store from a copy"))
            progress.advance()
    return problems + _altered_arrays(store, progress) + _orphans(store) + _unread_log(store) + _unfinished(store)


def _lost_commits(store: DuckDBStore) -> list[Problem]:
    """Compare what was committed with what the database knows of it."""
    noted = notes(store.path)  # before the counter, which may rise meanwhile
    lost = loss(noted, int(store.meta()["commits"]))
    return [] if lost is None else [Problem(f"the store has lost {lost}", 1, mending(store.path))]


def _altered_arrays(store: DuckDBStore, progress: Progress) -> list[Problem]:
    """Read all pixels once and compare their digests."""
    refs = store.all_arrays()
    progress.start("pixels", len(refs))
    problems = []
    for ref in refs:
        folder = store.path / ref.path
        if not folder.is_dir():
            problems.append(Problem(f"the {ref.kind} in {ref.path} are missing", 1, "restore the folder from a copy"))
        elif digest(folder)[0] != ref.sha256:
            problems.append(Problem(f"the {ref.kind} in {ref.path} were altered", 1, "restore the folder from a copy"))
        progress.advance()
    return problems


def _unread_log(store: DuckDBStore) -> list[Problem]:
    try:
        read_log(store.path)
    except StoreDamagedError as error:
        return [Problem(error.message, 1, MENDING)]
    return []


def _orphans(store: DuckDBStore) -> list[Problem]:
    """Find arrays that no row refers to, and windows that no scoring waits for; unfinished work may need them yet."""
    if any(run.kind in WRITE_ARRAYS for run, _ in store.unfinished()):
        return []
    known = {ref.path for ref in store.all_arrays()}
    stray = [path for path in _names_in(store.path, ARRAYS) if path not in known]
    return [Problem(f"nothing refers to {path}", 1, "remove the folder") for path in stray] + [
        Problem(f"nothing waits for {path}", 1, "remove the folder") for path in _names_in(store.path, UNFINISHED)
    ]


def _names_in(store: Path, name: str) -> list[str]:
    folder = store / name
    return sorted(f"{name}/{f.name}" for f in folder.iterdir()) if folder.is_dir() else []


def _unfinished(store: DuckDBStore) -> list[Problem]:
    return [
        Problem(f"{run.kind} {run.name} was not finished by {run.process}", 1, "give the same command again")
        for run, alive in store.unfinished()
        if not alive
    ]
