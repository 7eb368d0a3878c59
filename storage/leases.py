"""Who is at work: a file lock for each unfinished run, let go by the system when its process dies.

A run whose lease nobody holds was left behind: it may be continued or replaced. A process number alone would not tell,
since numbers are given again.
"""

from __future__ import annotations

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


def _lock(store: Path, name: str) -> FileLock:
    return FileLock(store / LOCKS / f"{name}.lock")


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
    lock = _lock(store, name)
    try:
        (store / LOCKS).mkdir(exist_ok=True)
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise StoreLockedError(
            f"{store}: the same work is under way in another process",
            **{"held by": holder, "try": "wait for it to end"},
        ) from None
    except OSError as error:
        raise not_written(store / LOCKS / f"{name}.lock", store, error) from error
    try:
        yield
    finally:
        lock.release()


def is_held(store: Path, name: str) -> bool:
    """Return whether a living process holds the lease `name`."""
    lock = _lock(store, name)
    if not (store / LOCKS / f"{name}.lock").exists():
        return False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a store on a read-only disk: nobody can be writing
        return False
    lock.release()
    return False


def held_leases(store: Path) -> list[str]:
    """Return the names of the leases that living processes hold."""
    names = sorted(lock.name.removesuffix(".lock") for lock in (store / LOCKS).glob("*.lock"))
    return [name for name in names if is_held(store, name)]
