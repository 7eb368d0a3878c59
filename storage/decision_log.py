"""The decision log: what people said, one JSON object a line, in files that only ever grow.

Each start of a program writes files of its own, one for each person, so that logs are merged by copying files. A line
is on the disk before it is acknowledged; a line without its end was never acknowledged, and the next writer takes it
away. The table `annotation` holds what was merged so far, so that SQL answers fast; the log is the truth. Whoever
writes holds the lease `LEASE` of the store, so that what he read is still all there is.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import StoreDamagedError
from . import tables
from .catalogue import now
from .decisions import CellPlace, Decision, DecisionKind, as_line, read_line, when
from .folders import appearing_file, flush, not_written
from .leases import lease
from .log_files import ANNOTATIONS, SUFFIX, bytes_from, read_log, rows_to_merge, whole_lines
from .within import require_own

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

LEASE: Final = "decisions"
WAIT_S: Final = 10.0  # for another answer, which takes milliseconds
STARTED: Final = f"{now():%Y%m%dT%H%M%S}"
NO_DECISION: Final = "a row of table annotation is no decision"
FRESH_NS: Final = 1_000_000_000  # younger than that, a file may change again and look the same
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Read:
    """How far a file was read: bytes and lines up to an end of a line, the last line, and whether more stood there.

    `stamp` tells whether it changed since: number, size and time of the file; None where that could not tell.
    """

    stop: int = 0
    lines: int = 0
    last: bytes = b""
    torn: bool = False
    stamp: Stamp | None = None


class DecisionLog:
    """The log as one process knows it: all entries in memory, read on as the files grow.

    Parameters
    ----------
    store : Path
        Folder of the store.
    merged : iterable of Decision
        What the table holds.

    Attributes
    ----------
    entries : list of Decision
        What was read up to the last look, each key once, in the order in which it was said.
    rewritten : int
        How often more happened to them than that some were added at the end.
    """

    def __init__(self, store: Path, merged: Iterable[Decision] = ()) -> None:
        self._store = store
        self._merged = {d.key: d for d in merged}
        self._known = dict(self._merged)
        self._read: dict[str, _Read] = {}
        self.entries = sorted(self._known.values(), key=when)
        self.rewritten = 0

    def find(self, key: str) -> Decision | None:
        """Return the entry with a key, None if there is none."""
        return self._known.get(key)

    def follow(self) -> list[Decision]:
        """Look at the files, and return what came since the last look, in order.

        Where a file no longer holds what was read there, all are read anew: lines that are gone count no more.

        Raises
        ------
        StoreDamagedError
            If a file cannot be read, or a line is no entry; what is known stays as it was.
        """
        seen = _seen(self._store)
        changed = {file for file, read in self._read.items() if read.stamp is None or seen.get(file) != read.stamp}
        folder = self._store / ANNOTATIONS
        goes_on = all(_goes_on(folder / file, self._read[file]) for file in changed)
        known = dict(self._known if goes_on else self._merged)
        reads = dict(self._read) if goes_on else {}
        for file, stamp in seen.items():
            if file not in reads or file in changed:
                reads[file] = _read_on(require_own(folder / file, self._store), reads.get(file, _Read()), stamp, known)
        new = sorted((d for key, d in known.items() if key not in self._known), key=when)
        gone = len(known) < len(self._known) + len(new)
        if gone or (new and self.entries and when(new[0]) < when(self.entries[-1])):
            self.entries = sorted(known.values(), key=when)
            self.rewritten += 1
        else:
            self.entries += new
        self._known, self._read = known, reads
        return new

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lease while the block runs, all that others wrote being known.

        Raises
        ------
        StoreLockedError
            If another process holds it for 10 s.
        """
        with lease(self._store, LEASE, holder="another answer", wait_s=WAIT_S):
            self.follow()
            yield

    def write(self, decisions: Sequence[Decision]) -> None:
        """Put entries of one person on the disk; when this returns they are acknowledged, and known here.

        To be called within `writing`.

        Raises
        ------
        StoreFullError
            If there is no room for them.
        StoreError
            If the store cannot be written otherwise.
        """
        for file, read in self._read.items():
            if read.torn:  # who wrote it is dead, for we hold the lease
                _mend(self._store / ANNOTATIONS / file, self._store)
        write_lines(self._store, decisions)
        self.follow()

    def bring_in(self, decisions: Sequence[Decision]) -> None:
        """Put entries of any people on the disk, all of them or none; else as `write`."""
        write_together(self._store, decisions)
        self.follow()


def _seen(store: Path) -> dict[str, Stamp | None]:
    """Return the names of all files, and what changes with each; None where it changed a moment ago."""
    folder = store / ANNOTATIONS
    if not folder.is_dir():
        return {}
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: _told(entry) for entry in entries if entry.name.endswith(SUFFIX)}
    except OSError as error:
        path = error.filename or folder
        raise StoreDamagedError(f"{path} cannot be read", reason=error.strerror or str(error)) from error
    settled = time.time_ns() - FRESH_NS
    return {
        name: (told.st_ino, told.st_size, told.st_mtime_ns) if told.st_mtime_ns < settled else None
        for name, told in sorted(found.items())
        if told is not None
    }


def _told(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return what the system tells of a file; None where it went a moment ago."""
    try:
        return entry.stat()
    except FileNotFoundError:
        if entry.is_symlink():
            raise
        return None


def _goes_on(file: Path, read: _Read) -> bool:
    """Return whether the last line that was read still stands where it stood."""
    end = read.last + b"\n" if read.stop else b""
    try:
        with file.open("rb") as stream:
            stream.seek(read.stop - len(end))
            return stream.read(len(end)) == end
    except OSError:
        return False


def _read_on(file: Path, read: _Read, stamp: Stamp | None, known: dict[str, Decision]) -> _Read:
    """Add the entries that stand behind what was read of a file, and return how far it is read now.

    The stamp is one of before: what is written meanwhile will show.
    """
    text = bytes_from(file, read.stop)
    lines = whole_lines(text)
    for number, line in enumerate(lines, start=read.lines + 1):
        decision = read_line(line, f"{file} line {number}", besides=known)
        if decision is not None:
            known[decision.key] = decision
    whole = sum(map(len, lines)) + len(lines)
    last = lines[-1] if lines else read.last
    return _Read(read.stop + whole, read.lines + len(lines), last, whole < len(text), stamp)


def write_lines(store: Path, decisions: Sequence[Decision]) -> None:
    """Put entries of one person on the disk, in his file of this start; when this returns they are acknowledged.

    The caller holds the lease `LEASE`.

    Raises
    ------
    StoreFullError
        If there is no room for them.
    StoreError
        If the store cannot be written otherwise.
    """
    file = store / ANNOTATIONS / f"{decisions[0].who}-{STARTED}-{os.getpid()}{SUFFIX}"
    text = "".join(map(as_line, decisions)).encode()
    with _storing(file, store):
        made = not file.exists()
        with file.open("ab", buffering=0) as stream:
            end = _end_of_last_line(file)
            stream.truncate(end)
            try:
                if stream.write(text) < len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(stream.fileno())
                if made:
                    _flush_name(file, store)
            except OSError:  # what was not acknowledged shall not count
                with suppress(OSError):
                    os.truncate(file, end)
                    if made:  # so that its name is flushed by who makes it again
                        file.unlink()
                raise


def write_together(store: Path, decisions: Sequence[Decision]) -> None:
    """Put entries of any people on the disk in a file of their own: all of them count, or, after a kill, none.

    The caller holds the lease `LEASE`.

    Raises
    ------
    StoreFullError
        If there is no room for them.
    StoreError
        If the store cannot be written otherwise.
    """
    text = "".join(map(as_line, decisions)).encode()
    file = store / ANNOTATIONS / f"import-{hashlib.sha256(text).hexdigest()[:16]}{SUFFIX}"
    with _storing(file, store):
        with appearing_file(file) as partial:
            partial.write_bytes(text)
            flush(partial)
        _flush_name(file, store)


@contextmanager
def _storing(file: Path, store: Path) -> Iterator[None]:
    """Make the folder of a log before the block writes the file, and tell of an OSError as an error of the store."""
    require_own(file, store)
    try:
        file.parent.mkdir(exist_ok=True)
        yield
    except OSError as error:
        raise not_written(file, store, error) from error


def _flush_name(file: Path, store: Path) -> None:
    """Flush the name of a file, and of its folder: they must outlast a power failure, too."""
    flush(file.parent)
    flush(store)


def _mend(file: Path, store: Path) -> None:
    """Take away a line without an end."""
    try:
        os.truncate(file, _end_of_last_line(file))
    except OSError as error:
        raise not_written(file, store, error) from error


def _end_of_last_line(file: Path) -> int:
    """Return how many bytes of a file are whole lines; what follows was never acknowledged."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(-1, os.SEEK_END)
            if stream.read() == b"\n":
                return size
    return file.read_bytes().rfind(b"\n") + 1


def merged_decisions(connection: sa.Connection) -> list[Decision]:
    """Return the entries that the table holds, in no order.

    Raises
    ------
    StoreDamagedError
        If a row is no entry.
    """
    rows = connection.execute(sa.select(tables.annotation)).mappings()
    try:
        return [_from_row(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamagedError(NO_DECISION, reason=str(error), **{"try": "restore the store from a copy"}) from error


def all_decisions(connection: sa.Connection, store: Path) -> list[Decision]:
    """Return all entries, merged or not, in the order in which they were said."""
    known = {decision.key: decision for decision in merged_decisions(connection)}
    return sorted([*known.values(), *read_log(store, besides=known)], key=when)


def _from_row(row: sa.RowMapping) -> Decision:
    cell = row["cell"] or (None if row["det_id"] is None else {"id": row["det_id"]})
    return Decision(
        seq=row["seq"],
        key=row["key"],
        at=row["at"],
        who=row["who"],
        kind=DecisionKind(row["kind"]),
        dataset=row["dataset"],
        cell=None if cell is None else CellPlace.of(cell),
        daughters=None if row["daughters"] is None else tuple(map(CellPlace.of, row["daughters"])),
        shown=row["shown"],
        solution=row["solution"],
        posterior=row["posterior"],
        blind=bool(row["blind"]),
        ms=row["ms"],
        undo_of=row["undo_of"],
        note=row["note"],
        model=row["model"],
    )


def merge_log(connection: sa.Connection, store: Path) -> None:
    """Bring entries that the table does not hold yet into it."""
    merged = set(connection.execute(sa.select(tables.annotation.c.key)).scalars())
    rows = rows_to_merge(store, merged)
    if rows:
        connection.execute(sa.insert(tables.annotation), rows)
