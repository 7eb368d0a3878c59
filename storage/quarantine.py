"""Lines of the decision log that nobody can read, and how they are set aside so that all others can.

A line that is set aside goes to a file beside, byte by byte, before it leaves the log: somebody may still read what a
program cannot.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import StoreDamagedError, VersionError
from .decision_log import LEASE, WAIT_S
from .decisions import read_line
from .folders import appearing_file, flush, not_written
from .leases import lease
from .log_files import bytes_from, log_files, whole_lines
from .within import require_own

if TYPE_CHECKING:
    from pathlib import Path

UNREAD: Final = ".unread"  # ends the name of the file that lines of a log are set aside in


@dataclass(frozen=True, slots=True)
class UnreadLines:
    """Lines of one file that cannot be read.

    Parameters
    ----------
    file : Path
        The file.
    numbers : tuple of int
        Which lines, from 1.
    reason : str
        What is wrong with the first of them.
    newer : bool
        Whether a newer trackdb wrote them: they are whole, and stay.
    """

    file: Path
    numbers: tuple[int, ...]
    reason: str
    newer: bool


def unread_lines(store: Path) -> list[UnreadLines]:
    """Return the lines of the log that cannot be read; what a writer has not ended yet is none.

    Raises
    ------
    StoreDamagedError
        If a file cannot be opened, or leads out of the store.
    """
    found = []
    for file in log_files(store):
        bad: dict[bool, list[tuple[int, str]]] = {False: [], True: []}
        for number, line in enumerate(whole_lines(bytes_from(file, 0)), start=1):
            try:
                read_line(line, f"{file} line {number}")
            except VersionError as error:
                bad[True].append((number, error.message))
            except StoreDamagedError as error:
                bad[False].append((number, error.details.get("reason", error.message)))
        found += [
            UnreadLines(file, tuple(number for number, _ in lines), lines[0][1], newer)
            for newer, lines in bad.items()
            if lines
        ]
    return found


def set_aside(store: Path) -> list[UnreadLines]:
    """Move the lines that cannot be read to a file beside each log, and return them.

    Raises
    ------
    StoreLockedError
        If somebody answers all the while.
    StoreError
        If the store cannot be written.
    """
    with lease(store, LEASE, holder="an answer", wait_s=WAIT_S):
        found = [lines for lines in unread_lines(store) if not lines.newer]
        for lines in found:
            aside = require_own(lines.file.with_suffix(UNREAD), store)
            try:
                _set_aside(lines, aside)
            except OSError as error:
                raise not_written(lines.file, store, error) from error
    return found


def _set_aside(lines: UnreadLines, aside: Path) -> None:
    content = bytes_from(lines.file, 0).split(b"\n")
    bad = [content[number - 1] for number in lines.numbers]
    with aside.open("a+b") as stream:
        stream.seek(0)
        there = stream.read()
        torn = b"\n" * (there[-1:] not in (b"", b"\n"))  # by a process that died here
        known = set(whole_lines(there))
        stream.write(torn + b"".join(line + b"\n" for line in bad if line not in known))
        stream.flush()
        os.fsync(stream.fileno())
    flush(aside.parent)  # its name is on the disk before the lines leave the log
    kept = [line for number, line in enumerate(content, start=1) if number not in lines.numbers]
    with appearing_file(lines.file) as partial:
        partial.write_bytes(b"\n".join(kept))
