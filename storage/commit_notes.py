"""Notes of commits, in a file beside the database that is written behind each commit and before anybody hears of it.

DuckDB goes back to the last whole commit without a word where the log beside its file is cut or gone. Notes of commits
that the database does not know tell what was lost. A commit without a note, by a process that died between the two, was
never acknowledged.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..errors import StoreDamagedError
from .folders import appearing_file, flush

if TYPE_CHECKING:
    from pathlib import Path

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


def note(store: Path, number: int, by: str) -> None:
    """Note a commit, on the disk; where that takes no note, the next commit makes good for it."""
    line = json.dumps(
        {"commit": number, "at": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"), "by": by}
    )
    file = store / COMMITS
    try:
        flush(store)  # the name of the database's log, which is made anew for each commit: without it this is lost
        with file.open("a+b") as stream:
            first = stream.tell() == 0
            torn = not first and os.pread(stream.fileno(), 1, stream.tell() - 1) != b"\n"
            stream.write(b"\n" * bool(torn) + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
            long = stream.tell() > _LONGEST
        if first:
            flush(store)
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
