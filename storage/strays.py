"""What lies in the folder of a store and belongs to nothing: pixels without a row, and what killed processes left.

Work that was begun and not finished may need its files yet: while a run that writes arrays is pending, whether its
process lives or not, nothing of these is a stray.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from . import catalogue, tables
from .arrays import ARRAYS, discard
from .leases import LOCKS, is_held
from .log_files import ANNOTATIONS
from .partials import is_partial, left_behind, remove_if_dead
from .unfinished import UNFINISHED

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

WRITE_ARRAYS: Final = ("ingest", "score")  # kinds of runs that write arrays before a row refers to them
COMPACTION: Final = "compact"  # the lease that a compaction holds, and how its folder below `UNFINISHED` is called


def strays(connection: sa.Connection, store: Path) -> list[str]:
    """Return the places below a store, from the tables as they are, that belong to nothing."""
    r = tables.run
    at_work = catalogue.runs(connection, r.c.state == "pending", r.c.kind.in_(WRITE_ARRAYS))
    known = {ref.path for ref in catalogue.arrays(connection)}
    arrays = [] if at_work else [path for path in _names_in(store, ARRAYS) if path not in known]
    parts = [path for path in _names_in(store, UNFINISHED) if not (at_work or _of_compaction(path))]
    copies = [path for path in _names_in(store, UNFINISHED) if _of_compaction(path)]
    half_written = [p.relative_to(store).as_posix() for f in (store, store / ANNOTATIONS) for p in left_behind(f)]
    return [*arrays, *parts, *([] if is_held(store, COMPACTION) else copies), *half_written]


def collect(connection: sa.Connection, store: Path) -> list[str]:
    """Remove the strays of a store, and locks of runs that are over; return the places of the strays.

    Parameters
    ----------
    connection : sa.Connection
        A writing one, beside which nobody can begin anything.
    store : Path
        Folder of the store.
    """
    found = strays(connection, store)
    for path in found:
        if path.startswith(f"{ARRAYS}/"):
            discard(store, path)
        elif is_partial(store / path):
            remove_if_dead(store / path)
        else:
            _remove(store / path)
    pending = {run.id for run in catalogue.runs(connection, tables.run.c.state == "pending")}
    for lock in (store / LOCKS).glob("run-*.lock"):
        number = lock.stem.removeprefix("run-")
        if number.isdigit() and int(number) not in pending:
            lock.unlink(missing_ok=True)
    return found


def _of_compaction(path: str) -> bool:
    return path.startswith(f"{UNFINISHED}/{COMPACTION}")


def _names_in(store: Path, name: str) -> list[str]:
    folder = store / name
    return sorted(f"{name}/{f.name}" for f in folder.iterdir()) if folder.is_dir() else []


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def bytes_of(folder: Path) -> int:
    """Return the size of all files below a folder; one that goes meanwhile counts nothing."""
    total = 0
    for file in folder.rglob("*"):
        try:
            status = file.lstat()
        except OSError:
            continue
        total += 0 if file.is_dir() else status.st_size
    return total
