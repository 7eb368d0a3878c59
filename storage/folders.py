"""Folders and files that appear whole or not at all, and outlast a power failure."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS
from typing import TYPE_CHECKING

from ..errors import StoreError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Make a sibling folder to write into; it takes its name at the end, or goes if something fails.

    Parameters
    ----------
    folder : Path
        A folder that does not exist; its parents are made.
    """
    partial = _sibling(folder)
    partial.mkdir()
    try:
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing is left of it once it took its name


@contextmanager
def appearing_file(file: Path) -> Iterator[Path]:
    """Name a sibling file to write; it takes its name at the end, or goes if something fails.

    Parameters
    ----------
    file : Path
        One that is there already is replaced; the folders above it are made.
    """
    partial = _sibling(file)
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def not_written(file: Path, store: Path, error: OSError) -> StoreError:
    """Return the error that names a file of a store which could not be written, and says what to do."""
    reason = error.strerror or str(error)
    if error.errno in (EACCES, EPERM, EROFS):
        return StoreError(f"{error.filename or file} could not be written", reason=reason, **{"try": allowing(store)})
    if error.errno in (ENOSPC, EDQUOT, EFBIG):
        return StoreFullError(
            f"{file} could not be written", reason=reason, **{"try": "make room on the disk, and give it again"}
        )
    return StoreError(f"{file} could not be written", reason=reason)


def allowing(store: Path) -> str:
    """Return what helps those who may only read a store."""
    return f"chmod -R u+w {store} as its owner, or work on a copy: cp -r {store} {store.stem}-copy{store.suffix}"


def flush(path: Path) -> None:
    """Flush one file or folder to the disk; of a folder that is which names stand in it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sibling(path: Path) -> Path:
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.partial")
