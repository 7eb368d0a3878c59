"""Write-ahead logs that a power failure left in pieces: what nobody had heard of is cut off.

A disk writes what is not flushed in any order. If the power fails, pieces of a log can be missing between others that
are there. DuckDB goes by a log that is too short up to its end, but refuses a database whose log is torn in the middle;
then nothing could be read any more, for the sake of a commit that was never acknowledged. Here such a log is cut where
it is torn, if the database then holds all commits that are noted. If not, the log is left as it is, and refused.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from typing import TYPE_CHECKING, Final

import duckdb

from .checkpoints import held, log_of
from .commit_notes import loss, notes
from .folders import flush
from .partials import partial_of

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_TORN: Final = re.compile(r"Corrupt WAL file: entry at byte position (\d+) computed checksum")


def is_torn(error: str) -> bool:
    """Return whether DuckDB refused a database for a log that is torn in the middle."""
    return _TORN.search(error) is not None


def cut_torn_log(file: Path, error: str) -> bool:
    """Cut a log where it is torn, unless a commit that is noted would go with it.

    Parameters
    ----------
    file : Path
        The database, which nobody in this process has open: he would lose his lock.
    error : str
        What DuckDB said when it was to open it.

    Returns
    -------
    bool
        Whether to open it once more: the log was cut, or somebody else is at it.
    """
    torn = _TORN.search(error)
    if torn is None:
        return False
    written, keep = log_of(file), int(torn[1])
    try:
        before = _digest(written)
        if not _holds_all(file, keep):
            return False
        with held(file):
            if _digest(written) == before:
                os.truncate(written, keep)
                flush(written)
    except BlockingIOError:  # whoever has it open found it mended
        return True
    except (OSError, duckdb.Error):  # who may not write is told so
        return False
    log.warning("%s was torn at byte %s, as by a power failure: what nobody had heard of is cut off", written, keep)
    return True


def _holds_all(file: Path, keep: int) -> bool:
    """Return whether a database with so many bytes of its log holds all commits that are noted."""
    noted = notes(file.parent)
    with partial_of(file) as beside:  # behind a symbolic link DuckDB looks for the log of what that leads to
        try:
            beside.hardlink_to(file)
        except OSError:  # the disk knows no links
            shutil.copyfile(file, beside)
        with log_of(file).open("rb") as stream:
            log_of(beside).write_bytes(stream.read(keep))
        number = _commits(beside)
    # without a note nobody can tell, but that a store without tables was never acknowledged
    return loss(noted, number) is None if noted else number == 0


def _commits(file: Path) -> int:
    """Return how many commits a database counts; 0 while it has no tables."""
    with duckdb.connect(file, read_only=True, config={"enable_external_access": "false"}) as connection:
        if not connection.execute("select 1 from duckdb_tables() where table_name = 'meta'").fetchone():
            return 0
        told = connection.execute("select try_cast(value as bigint) from main.meta where key = 'commits'").fetchone()
    return int(told[0]) if told and told[0] is not None else 0


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
