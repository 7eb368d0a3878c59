"""What a store knows of its commits besides its database: a cut or deleted write-ahead log is noticed, never silent.

DuckDB goes back to the last whole commit without a word where the log beside its file is cut or gone. So each commit is
noted in a file of its own, behind it and before anybody hears of it. Notes of commits that the database does not know
tell what was lost. A commit without a note, by a process that died between the two, was never acknowledged.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import StoreDamagedError
from . import catalogue
from .connection import connect, require_store
from .folders import appearing_file, flush

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa

log = logging.getLogger(__name__)

COMMITS: Final = "commits.jsonl"
KEPT: Final = 256  # notes that stay when the file is shortened
_LONGEST = 4 * KEPT * 120  # bytes of the file before it is
_READ = 4 * _LONGEST  # bytes of its end that are read: whatever else stands there, a note of ours is not before them
_SHOWN = 3  # lost commits that are named


@dataclass(frozen=True, slots=True)
class Commit:
    """A note of one commit.

    Parameters
    ----------
    number : int
        The counter of commits behind it.
    at : str
        When, in UTC, in ISO 8601.
    by : str
        Which process.
    """

    number: int
    at: str
    by: str


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
        yield opened
        number = catalogue.count_commit(opened)
        require_all(file.parent, notes(file.parent), number - 1)


def note(store: Path, number: int, by: str) -> None:
    """Note a commit, on the disk; where that takes no note, the next commit makes good for it."""
    line = json.dumps({"commit": number, "at": catalogue.now().isoformat(timespec="seconds"), "by": by})
    file = store / COMMITS
    try:
        with file.open("a+b") as stream:
            torn = stream.tell() and os.pread(stream.fileno(), 1, stream.tell() - 1) != b"\n"
            stream.write(b"\n" * bool(torn) + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
            long = stream.tell() > _LONGEST
        flush(store)  # the names of this file, and of the log of the database, which is made anew for each commit
        if long:
            _shorten(file)
    except OSError as error:  # the work itself is safe
        log.warning("%s could not be written: %s", file, error)


def _shorten(file: Path) -> None:
    """Keep the newest notes alone."""
    newest = [line + b"\n" for line in _lines(file)[-KEPT:]]
    with appearing_file(file) as partial:
        partial.write_bytes(b"".join(newest))


def _lines(file: Path) -> list[bytes]:
    """Return the last lines of the file, the first of which may be cut."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _READ))
        return stream.read(_READ).splitlines()


def notes(store: Path) -> list[Commit]:
    """Return the notes that can be read, oldest first; none where no commit was noted yet."""
    try:
        lines = _lines(store / COMMITS)
    except FileNotFoundError:  # a store of an older trackdb
        return []
    except OSError as error:
        raise StoreDamagedError(f"{store / COMMITS} cannot be read", reason=error.strerror or str(error)) from error
    return [commit for commit in map(_read, lines) if commit is not None]


def _read(line: bytes) -> Commit | None:
    """Return a note; None where it is torn, for its process died or the power went, or is none of ours."""
    try:
        told = json.loads(line)
        return Commit(int(told["commit"]), str(told["at"]), str(told["by"]))
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError):
        return None


def loss(noted: list[Commit], known: int) -> str | None:
    """Return in words which noted commits a database does not hold; None where it holds all.

    Parameters
    ----------
    noted : list of Commit
        Read before the counter, or while the database is held: the counter may rise meanwhile.
    known : int
        The counter of commits in the database; 0 where that has no tables.
    """
    lost = [commit for commit in noted if commit.number > known]
    if not lost:
        return None
    count = max(commit.number for commit in lost) - known
    named = ", ".join(f"{commit.by} at {commit.at}" for commit in lost[-_SHOWN:])
    return f"its last {'commit' if count == 1 else f'{count:,} commits'}: {'... ' * (len(lost) > _SHOWN)}{named}"


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
