"""Files of a store are its own: whoever hands one over shall not have us read or write elsewhere.

A link in a store could lead to any file of the machine, and a pipe or a device would hold whoever opens it for ever.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ..errors import StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS = ("annotations", "arrays", "locks", "unfinished")
REMEDY = "remove it, or put a file of its own in its place"


def require_own(path: Path, store: Path) -> Path:
    """Return a path of a store that is a file or a folder inside of it, or not there yet.

    Raises
    ------
    StoreDamagedError
        If a link leads out of the store or nowhere, or it is a pipe or a device.
    """
    try:
        place = path.resolve()
    except (RuntimeError, OSError) as error:  # the former up to Python 3.12
        raise StoreDamagedError(f"{path} is a link that leads to itself", **{"try": REMEDY}) from error
    if not place.is_relative_to(store.resolve()):
        raise StoreDamagedError(f"{path} leads out of the store", reason=f"it stands for {place}", **{"try": REMEDY})
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise StoreDamagedError(
                f"{path} leads nowhere", reason=f"it stands for {place}", **{"try": REMEDY}
            ) from None
        return path
    except OSError as error:
        raise StoreDamagedError(f"{path} cannot be read", reason=error.strerror or str(error)) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StoreDamagedError(f"{path} is neither a file nor a folder", **{"try": REMEDY})
    return path


def require_own_files(store: Path) -> None:
    """Raise StoreDamagedError if what stands in a store, or in a folder of it, leads out of it.

    Files that stand further down, of pixels, are whoever reads them to look at.
    """
    for folder in (store, *(store / name for name in FOLDERS)):
        for path in _strange(folder):
            require_own(path, store)


def strange_below(folder: Path) -> Iterator[Path]:
    """Yield what is neither a plain file nor a folder, at any depth; links are not followed, and nothing is opened."""
    for place, folders, _ in os.walk(folder):
        here = folder / os.path.relpath(place, folder)
        strange = sorted(_strange(here))
        folders[:] = sorted(name for name in folders if here / name not in strange)
        yield from strange


def _strange(folder: Path) -> Iterator[Path]:
    """Yield what is neither a plain file nor a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                    yield folder / entry.name
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StoreDamagedError(f"{folder} cannot be read", reason=error.strerror or str(error)) from error
