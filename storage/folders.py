"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing is left of it once it took its name
