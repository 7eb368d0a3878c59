"""Who waits to write goes before those who come later to read.

The database lets any number read at once, and nobody write meanwhile. Where many ask again and again there is hardly an
instant at which none of them reads, so a writer who had to wait raises a sign, a lock that the system takes away from
the dead, and whoever comes to read waits a moment as long as it is up.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGN: Final = "locks/writing.lock"
GIVE_WAY_S: Final = 2.0  # long enough for those who read to end, unless one of them reads for long
PAUSE_S: Final = 0.005


@contextmanager
def waiting_to_write(store: Path) -> Iterator[None]:
    """Hold the sign up while the block runs; where it cannot be raised, as in a folder that is missing, nothing is."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(store / SIGN, flags, 0o666)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):  # a disk of a network may know no locks
            fcntl.flock(handle, fcntl.LOCK_SH)  # readers who look hold it for an instant
        yield
    finally:
        os.close(handle)


def give_way(store: Path, most_s: float = GIVE_WAY_S) -> None:
    """Wait while somebody waits to write, but no longer than a moment."""
    try:
        handle = os.open(store / SIGN, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # nobody ever had to wait
        return
    deadline = time.monotonic() + most_s
    try:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(PAUSE_S)
    finally:
        os.close(handle)
