"""Who is at work: a file lock for each unfinished run, let go by the system when its process dies.

A run whose lease nobody holds was left behind: it may be continued or replaced. A process number alone would not tell,
since numbers are given again.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ..errors import StoreLockedError
from .folders import not_written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCKS = "locks"


def lease_name(run_id: int) -> str:
    """Return the name of the lease that the process at work on a run holds."""
    return f"run-{run_id}"


def _file(store: Path, name: str) -> Path:
    return store / LOCKS / f"{name}.lock"


@contextmanager
def lease(store: Path, name: str, *, holder: str, wait_s: float = 0.5) -> Iterator[None]:
    """Hold the lease `name` while the block runs.

    Parameters
    ----------
    store : Path
        Folder of the store.
    name : str
        What is held.
    holder : str
        Who the message names if another process holds it.
    wait_s : float
        Seconds to wait for it; somebody who only looks (`is_held`) has it for an instant.

    Raises
    ------
    StoreLockedError
        If another process holds it.
    StoreError
        If the store cannot be written.
    """
    lock = FileLock(_file(store, name))
    try:
        _acquire(lock, store, wait_s)
    except Timeout:
        raise StoreLockedError(
            f"{store}: the same work is under way in another process",
            **{"held by": holder, "try": "wait for it to end"},
        ) from None
    except OSError as error:
        raise not_written(_file(store, name), store, error) from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, store: Path, wait_s: float) -> None:
    """Take a lock, for which the folder is made; made again if it went with an empty store while we waited."""
    while True:
        (store / LOCKS).mkdir(exist_ok=True)
        try:
            lock.acquire(timeout=wait_s)
        except FileNotFoundError:
            if (store / LOCKS).exists():
                raise
        else:
            return


def is_held(store: Path, name: str) -> bool:
    """Return whether a living process holds the lease `name`."""
    try:
        # to look takes no more than to read: others may be at work in a store that is not ours to write
        handle = os.open(_file(store, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:  # who cannot be looked at is taken to live
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def held_leases(store: Path) -> list[str]:
    """Return the names of the leases that living processes hold."""
    names = sorted(lock.name.removesuffix(".lock") for lock in (store / LOCKS).glob("*.lock"))
    return [name for name in names if is_held(store, name)]
