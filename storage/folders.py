"""Folders and files that appear whole or not at all, and outlast a power failure."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from errno import EACCES, EBADF, EDQUOT, EFBIG, EINVAL, ENOSPC, EPERM, EROFS
from typing import TYPE_CHECKING, Final

from ..errors import FormatError, StoreError, StoreFullError, TrackdbError
from .partials import partial_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAKE_ROOM = "make room on the disk, and give it again"
AT_ONCE: Final = 8  # files that are flushed at once: a disk takes them in a third of the time


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, whose names are then on the disk; one that is there is left as it is."""
    folder = folder.absolute()
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing:
        flush(place.parent)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Make a folder to write into; at the end it is on the disk and takes its name, or goes if something fails.

    Parameters
    ----------
    folder : Path
        A folder that does not exist; its parents are made.

    Raises
    ------
    FormatError
        If something came to stand there meanwhile.
    """
    make_folder(folder.absolute().parent)
    with partial_of(folder) as partial:
        partial.mkdir()
        yield partial
        flush_tree(partial)
        try:
            partial.rename(folder)
        except OSError:
            _require_free(folder)
            raise
        flush(folder.absolute().parent)


@contextmanager
def appearing_file(file: Path, *, new: bool = False) -> Iterator[Path]:
    """Name a file to write; at the end it is on the disk and takes its name, or goes if something fails.

    Parameters
    ----------
    file : Path
        The folders above it are made.
    new : bool
        Whether it does not exist; else one that does is replaced.

    Raises
    ------
    FormatError
        If it is to be new, and something came to stand there meanwhile.
    """
    make_folder(file.absolute().parent)
    with partial_of(file) as partial:
        yield partial
        flush(partial)
        if new:
            _give_name(partial, file)
        else:
            partial.replace(file)
        flush(file.absolute().parent)


def _give_name(partial: Path, file: Path) -> None:
    """Give a file its name, which nothing else has."""
    try:
        file.hardlink_to(partial)  # a renaming would replace what came to stand there
    except OSError:  # or the disk knows no links
        _require_free(file)
        partial.rename(file)


def _require_free(place: Path) -> None:
    if place.exists() or place.is_symlink():
        raise FormatError(f"{place} exists already: it came meanwhile", **{"try": "another place for -o"})


@contextmanager
def writing_below(store: Path, file: Path) -> Iterator[None]:
    """Tell an error of the system while the block runs as one of the store, which names a file and what helps.

    Raises
    ------
    StoreFullError
        If there is no room.
    StoreError
        If it cannot be written for another reason.
    """
    try:
        yield
    except TrackdbError:
        raise
    except OSError as error:
        raise not_written(file, store, error) from error


def not_written(file: Path, store: Path, error: OSError) -> StoreError:
    """Return the error that names a file of a store which could not be written, and says what to do."""
    reason = error.strerror or str(error)
    if error.errno == EROFS:
        return StoreError(f"{error.filename or file} could not be written", reason=reason, **{"try": copying(store)})
    if error.errno in (EACCES, EPERM):
        return StoreError(f"{error.filename or file} could not be written", reason=reason, **{"try": allowing(store)})
    if error.errno in (ENOSPC, EDQUOT, EFBIG):
        return StoreFullError(f"{file} could not be written", reason=reason, **{"try": MAKE_ROOM})
    return StoreError(f"{file} could not be written", reason=reason)


def require_writable(store: Path, *places: Path) -> None:
    """Raise StoreError if this process may not write a store: to be asked before long work whose result goes there.

    What shows only when it is written, as a disk that is full, is told then.

    Parameters
    ----------
    store : Path
        Its folder.
    places : Path
        Files and folders in it that will be written; those that are not there yet are made in `store`.
    """
    for place in (store, *places):
        if place.exists() and not os.access(place, os.W_OK):
            fault = EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else EACCES
            raise not_written(place, store, OSError(fault, os.strerror(fault), str(place)))


def allowing(store: Path) -> str:
    """Return what helps those who may only read a store."""
    return f"chmod -R u+w {store} as its owner, or {copying(store)}"


def copying(store: Path) -> str:
    """Return what helps where a store lies on a disk that nobody may write to."""
    copy = f"{store.stem}-copy{store.suffix}"
    return f"work on a copy: cp -r {store} {copy} && chmod -R u+w {copy}"


def flush(path: Path) -> None:
    """Flush one file or folder to the disk; of a folder that is which names stand in it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # one may write into a folder and not look at it
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (EBADF, EINVAL) or not path.is_dir():  # some disks of a network flush files alone
            raise
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush all files below a folder, then the folders; one that is not there is none."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(flush, [path for path in paths if path.is_file()]))  # not pipes: who opens one waits for ever
    for path in sorted((path for path in paths if path.is_dir()), reverse=True):
        flush(path)
    if folder.exists():
        flush(folder)
