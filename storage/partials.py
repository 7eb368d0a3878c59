"""What is being written, in a hidden folder beside its place, held by a lock for as long as its writer lives.

``.NAME.MACHINE-TOKEN.partial`` holds the new file or folder under the name that it will have. The system lets go of the
lock when the process dies, so whoever writes to the same place next can tell what a killed one left, and removes it.
Locks on a folder are known to one machine alone: what another one began, on a disk of a network, is left as it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _machine() -> str:
    """Return eight hex digits that tell this machine from others, the same after a restart."""
    try:
        told = Path("/etc/machine-id").read_text()
    except OSError:  # other systems have none
        told = ""
    return hashlib.sha256(f"{node()} {told}".encode()).hexdigest()[:8]


MACHINE: Final = _machine()
_NAME: Final = re.compile(r"\.(?P<place>.+)\.(?P<machine>[0-9a-f]{8})-[0-9a-f]{8}\.partial", re.DOTALL)


@contextmanager
def partial_of(place: Path) -> Iterator[Path]:
    """Yield where to write what will stand at a place; what dead writers left goes first, what is left in the end.

    Parameters
    ----------
    place : Path
        File or folder to be; the folders above it are made.

    Raises
    ------
    OSError
        If nothing can be made there.
    """
    place.absolute().parent.mkdir(parents=True, exist_ok=True)
    remove_left_behind(place.parent, place.name)
    folder, lock = _begun(place)
    try:
        yield folder / place.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what cannot be removed is found by who writes there next
        os.close(lock)


def _begun(place: Path) -> tuple[Path, int]:
    """Make the folder of a writer, and return it with the handle that holds its lock."""
    while True:
        folder = place.with_name(f".{place.name}.{MACHINE}-{secrets.token_hex(4)}.partial")
        folder.mkdir()
        with suppress(FileNotFoundError):  # before it was locked somebody took it for left behind
            handle = os.open(folder, _READ)
            with suppress(OSError):  # on a disk without locks nobody can tell whether a writer lives, and all stays
                fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists():
                return folder, handle
            os.close(handle)


def is_partial(path: Path) -> bool:
    """Return whether a name is that of something that is being written, or was."""
    return _NAME.fullmatch(path.name) is not None


def left_behind(folder: Path, name: str | None = None) -> list[Path]:
    """Return what writers on this machine that are dead left in a folder; with `name` what was to become that alone."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # it is not there, or not ours to read
        return []
    told = [match for match in map(_NAME.fullmatch, names) if match is not None and match["machine"] == MACHINE]
    return [folder / match[0] for match in told if name in (None, match["place"]) and _is_dead(folder / match[0])]


def remove_left_behind(folder: Path, name: str | None = None) -> None:
    """Remove what `left_behind` returns."""
    for left in left_behind(folder, name):
        remove_if_dead(left)


def _is_dead(partial: Path) -> bool:
    with _if_dead(partial) as dead:
        return dead


def remove_if_dead(partial: Path) -> None:
    """Remove what a writer left, unless it lives."""
    with _if_dead(partial) as dead:
        if dead:
            shutil.rmtree(partial, ignore_errors=True)  # another user's may stay


@contextmanager
def _if_dead(partial: Path) -> Iterator[bool]:
    """Yield whether the writer is dead; the lock is held meanwhile, so that none begins there."""
    try:
        handle = os.open(partial, _READ)
    except OSError:  # gone by now, or no folder of ours
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        dead = True
    except OSError:
        dead = False
    try:
        yield dead
    finally:
        os.close(handle)
