"""What is done of a long piece of work, kept beside the tables so that a killed process need not do it again.

Each part is a file that appears whole or not at all; which parts belong together is told by a key over everything that
they follow from. The folder goes when the work is done.
"""

from __future__ import annotations

import shutil
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .folders import appearing_file, writing_below
from .within import require_own

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

UNFINISHED: Final = "unfinished"


class FinishedParts:
    """The parts of one piece of work that are done.

    Parameters
    ----------
    store : Path
        Folder of the store.
    work : str
        What is worked on; what an earlier process left of the same work under another key is removed.
    key : str
        Digest of all that the parts follow from.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """

    def __init__(self, store: Path, work: str, key: str) -> None:
        self._store = store
        self._folder = store / UNFINISHED / f"{work}-{key}"
        with writing_below(store, self._folder):
            forget(store, work, but=self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, part: int) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of a part; None if it is not done, or the file is not whole.

        Raises
        ------
        StoreDamagedError
            If the file leads out of the store.
        """
        file = require_own(self._file(part), self._store)
        try:
            with np.load(file, allow_pickle=False) as found:
                return dict(found)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, part: int, arrays: dict[str, NDArray[Any]]) -> None:
        """Keep the arrays of a part that is done.

        Raises
        ------
        StoreError
            If the store cannot be written.
        """
        file = self._file(part)
        with writing_below(self._store, file), appearing_file(file) as partial, partial.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # a stub takes the names for its own options

    def forget(self) -> None:
        """Remove all parts: the work is done."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # other work stands there
            self._folder.parent.rmdir()

    def _file(self, part: int) -> Path:
        return self._folder / f"{part:06d}.npz"


def forget(store: Path, work: str, *, but: Path | None = None) -> None:
    """Remove the parts of a piece of work under all keys, but for one folder."""
    for folder in (store / UNFINISHED).glob(f"{work}-*"):
        if folder != but:
            shutil.rmtree(folder)
