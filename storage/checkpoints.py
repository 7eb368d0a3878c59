"""Checkpoints that can be cut short at any byte: what they overwrite stands beside the database until they are done.

A checkpoint merges the write-ahead log into the database. DuckDB writes it into blocks that nothing refers to, and then
a new head, which refers to them; but blocks of metadata it rewrites where they stand, although the old head still
refers to them. If such a write is cut in half, no head leads to whole metadata, and the store is lost. So no checkpoint
happens by itself here. Before each, blocks of metadata and heads are copied into ``graph.duckdb.undo`` and flushed;
behind it the copy is removed. Whoever finds a copy with the heads that the database still has knows that a checkpoint
was cut short: he puts the blocks back, and the log, which was not touched, is merged another time. This is how SQLite's
rollback journal works (https://sqlite.org/atomiccommit.html).
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .folders import flush

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import duckdb

HEADERS: Final = 3 * 4096  # bytes with which a database begins: what it is, with a random number, and two heads
UNDO: Final = ".undo"  # behind the name of the database
_MAGIC: Final = b"trackdb undo 1\n\0"
_FIRST: Final = struct.Struct("<16sQQ")  # magic, bytes of a block, blocks
_DIGEST: Final = hashlib.sha256().digest_size

SETTINGS: Final = (
    "set checkpoint_threshold = '1000 TB'",
    "pragma disable_checkpoint_on_shutdown",  # nor when a database is detached
)
"""What keeps a DuckDB from checkpoints that nobody asked for."""


@dataclass(frozen=True, slots=True)
class _Undo:
    """Where blocks of a copy stand, and what heads the database had.

    Parameters
    ----------
    block_bytes : int
        Size of a block.
    blocks : tuple of int
        Their numbers in the database.
    heads : bytes
        What the database began with.
    start : int
        Where the first block begins in the copy.
    """

    block_bytes: int
    blocks: tuple[int, ...]
    heads: bytes
    start: int


def undo_of(file: Path) -> Path:
    """Return where the copy for a database stands while a checkpoint is made."""
    return file.with_name(file.name + UNDO)


def log_of(file: Path) -> Path:
    """Return where DuckDB keeps the write-ahead log of a database."""
    return file.with_name(f"{file.name}.wal")


def has_log(file: Path) -> bool:
    """Return whether a database has commits in its log alone."""
    log = log_of(file)
    return log.exists() and log.stat().st_size > 0


def merge_log(connection: duckdb.DuckDBPyConnection, file: Path, handle: int) -> None:
    """Merge the write-ahead log of an open database into it.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        One that may write, outside of a transaction.
    file : Path
        The database.
    handle : int
        A handle of the database to read from. Its owner must not close it before DuckDB has let the file go: with any
        handle that closes, a process loses its lock.

    Raises
    ------
    duckdb.Error, OSError
        If the disk refuses, or another transaction runs. All that is committed stays safe in the log.
    """
    name = file.stem.replace("'", "''")
    blocks = connection.execute(f"select block_id from pragma_metadata_info('{name}')").fetchall()
    if blocks:
        size = f"select block_size from pragma_database_size() where database_name = '{name}'"
        [(block_bytes,)] = connection.execute(size).fetchall()
        _save(file, handle, block_bytes, [block for (block,) in blocks])
    connection.execute(f'checkpoint "{file.stem}"')
    undo_of(file).unlink(missing_ok=True)


def _save(file: Path, handle: int, block_bytes: int, blocks: Sequence[int]) -> None:
    """Copy heads and blocks of a database; they are on the disk, with their name, when this returns."""
    digest = hashlib.sha256()
    undo = undo_of(file)
    if os.path.lexists(undo):  # written anew, never through a link
        undo.unlink()
    try:
        with undo.open("xb") as stream:
            for part in _parts(handle, block_bytes, blocks):
                digest.update(part)
                stream.write(part)
            stream.write(digest.digest())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        undo.unlink(missing_ok=True)  # a full disk has no room for it
        raise
    flush(undo.parent)


def _parts(handle: int, block_bytes: int, blocks: Sequence[int]) -> Iterator[bytes]:
    yield _FIRST.pack(_MAGIC, block_bytes, len(blocks)) + struct.pack(f"<{len(blocks)}Q", *blocks)
    yield _read(handle, HEADERS, 0)
    for block in blocks:
        yield _read(handle, block_bytes, HEADERS + block * block_bytes)


def _read(handle: int, size: int, offset: int) -> bytes:
    """Read bytes that have to be there."""
    content = os.pread(handle, size, offset)
    if len(content) < size:
        raise OSError(f"{size - len(content)} bytes are missing at {offset}")
    return content


def undo_unfinished(file: Path) -> None:
    """Put back what a checkpoint that was cut short has overwritten, unless a process has the database open.

    Where this may not write, nothing happens: the database can be whole all the same, and says so if it is not.

    Parameters
    ----------
    file : Path
        The database, which this process has not open: it would lose its lock.
    """
    undo = undo_of(file)
    if not os.path.lexists(undo):
        return
    with suppress(OSError), held(file) as handle:
        if undo.is_symlink() or not stat.S_ISREG(undo.lstat().st_mode):  # of a stranger, who is told elsewhere
            return
        with undo.open("rb") as stream:
            copy = _whole(stream.fileno(), os.fstat(handle).st_size)
            # one that is torn was never followed by a checkpoint; other heads are those of a checkpoint that was done
            if copy is not None and _read(handle, HEADERS, 0) == copy.heads:
                _put_back(handle, stream.fileno(), copy)
        undo.unlink()


@contextmanager
def held(file: Path) -> Iterator[int]:
    """Open a database for writing while no other process has it open, as DuckDB would."""
    import fcntl

    handle = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    finally:
        os.close(handle)


def _whole(copied: int, database_bytes: int) -> _Undo | None:
    """Return what a copy holds; None where it is torn, or of another database."""
    size = os.fstat(copied).st_size
    if not _FIRST.size + HEADERS + _DIGEST <= size <= 2 * database_bytes + HEADERS:
        return None
    magic, block_bytes, count = _FIRST.unpack(_read(copied, _FIRST.size, 0))
    start = _FIRST.size + 8 * count + HEADERS
    if magic != _MAGIC or size != start + count * block_bytes + _DIGEST:
        return None
    digest = hashlib.sha256()
    for offset in range(0, size - _DIGEST, 1 << 20):
        digest.update(_read(copied, min(1 << 20, size - _DIGEST - offset), offset))
    blocks = struct.unpack(f"<{count}Q", _read(copied, 8 * count, _FIRST.size))
    inside = all(HEADERS + (block + 1) * block_bytes <= database_bytes for block in blocks)
    if digest.digest() != _read(copied, _DIGEST, size - _DIGEST) or not inside:
        return None
    return _Undo(block_bytes, blocks, _read(copied, HEADERS, start - HEADERS), start)


def _put_back(handle: int, copied: int, copy: _Undo) -> None:
    """Write the blocks of a copy where they stood, and flush them."""
    for number, block in enumerate(copy.blocks):
        content = _read(copied, copy.block_bytes, copy.start + number * copy.block_bytes)
        written = os.pwrite(handle, content, HEADERS + block * copy.block_bytes)
        if written < len(content):
            raise OSError("the disk took a part of a block")
    os.fsync(handle)
