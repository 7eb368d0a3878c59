"""What every export tells, and what none may do: write over something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Parameters
    ----------
    format, path : str
        What, and where.
    files, links, tracks : int
        How many; 0 files for a dry run.
    seconds : float
        How long it took.
    """

    format: str
    path: str
    files: int
    links: int
    tracks: int
    seconds: float


def require_nothing_at(out: Path) -> None:
    """Raise FormatError if something stands where an export is to appear; a link to nowhere counts."""
    if out.exists() or out.is_symlink():
        raise FormatError(f"{out} exists already", **{"try": "another place for -o"})
