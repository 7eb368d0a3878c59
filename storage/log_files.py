"""The files of the decision log as they stand: one JSON object a line, none of them followed out of the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from ..errors import StoreDamagedError
from .decisions import Decision, read_line, when
from .within import require_own

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

ANNOTATIONS: Final = "annotations"
SUFFIX: Final = ".jsonl"
LARGEST: Final = 512 << 20  # bytes of a file: a million answers


def read_log(store: Path, *, besides: Container[str] = ()) -> list[Decision]:
    """Return all acknowledged entries of all files, each key once, in the order in which they were said.

    Parameters
    ----------
    store : Path
        Folder of the store.
    besides : container of str
        Keys of entries that are known already, and are left out.

    Raises
    ------
    StoreDamagedError
        If a file cannot be read, leads out of the store, or a line is no entry.
    """
    known: dict[str, Decision] = {}
    for file in log_files(store):
        for number, line in enumerate(whole_lines(bytes_from(file, 0)), start=1):
            decision = read_line(line, f"{file} line {number}", besides=besides)
            if decision is not None:
                known.setdefault(decision.key, decision)
    return sorted(known.values(), key=when)


def rows_to_merge(store: Path, merged: set[str]) -> list[dict[str, Any]]:
    """Return rows of `annotation` for the entries of the log that the table does not hold yet."""
    rows = []
    for decision in read_log(store, besides=merged):
        entry = decision.as_dict()
        del entry["v"]
        cell = decision.cell
        rows.append(entry | {"at": decision.at, "det_id": None if cell is None else cell.id})
    return rows


def log_files(store: Path) -> list[Path]:
    """Return the files of the log."""
    return [require_own(file, store) for file in sorted((store / ANNOTATIONS).glob(f"*{SUFFIX}"))]


def bytes_from(file: Path, start: int) -> bytes:
    """Return what stands in a file from a byte on, or raise StoreDamagedError if it is more than any people said."""
    try:
        with file.open("rb") as stream:
            more = os.fstat(stream.fileno()).st_size - start
            if more > LARGEST:
                raise StoreDamagedError(
                    f"{file} has {more:,} bytes", expected=f"{LARGEST:,} at most", **{"try": "move it out of the store"}
                )
            stream.seek(start)
            return stream.read()
    except StoreDamagedError:  # which is an error of the system, too
        raise
    except OSError as error:
        raise StoreDamagedError(f"{file} cannot be read", reason=error.strerror or str(error)) from error


def whole_lines(text: bytes) -> list[bytes]:
    """Return the lines that have an end."""
    return text.split(b"\n")[:-1]
