"""The formats that trackdb reads and writes; `open_source` finds the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError, FormatError
from .base import FrameBatch, LabelLineage, Points, Source, SourceOptions

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "FrameBatch", "LabelLineage", "Points", "Source", "SourceOptions", "detect", "open_source"]

FORMATS = ("ctc", "masks", "table")
GROUP = "trackdb.formats"  # entry points: functions (path, options) -> Source
TABLES = (".csv", ".tsv", ".txt", ".parquet")


def open_source(path: Path, format: str = "auto", options: SourceOptions | None = None) -> Source:
    """Open a movie for reading.

    Parameters
    ----------
    path : Path
        File or folder.
    format : str
        One of `FORMATS`, the name of an installed format, or ``auto``: whatever the path looks like.
    options : SourceOptions or None
        What the user says about it.

    Raises
    ------
    FormatError
        If there is nothing, or not what the format promises.
    ConfigError
        If the format is unknown, or the options do not fit the source.
    """
    options = SourceOptions() if options is None else options
    if not path.exists():
        raise FormatError(f"there is nothing at {path}", expected="a file or a folder")
    match detect(path) if format == "auto" else format:
        case "ctc":
            from .ctc import open_ctc

            return open_ctc(path, options)
        case "masks":
            from .masks import open_masks

            return open_masks(path, options)
        case "table":
            from .tabular import open_table

            return open_table(path, options)
        case other:
            return _open_installed(other, path, options)


def detect(path: Path) -> str:
    """Return the format that a file or folder looks like.

    Raises
    ------
    FormatError
        If it looks like none.
    """
    from .ctc import is_ctc
    from .numbering import is_tif

    if path.is_dir() and is_ctc(path):
        return "ctc"
    if is_tif(path) or (path.is_dir() and any(is_tif(p) for p in path.iterdir())):
        return "masks"
    if path.is_file() and path.name.lower().removesuffix(".gz").endswith(TABLES):
        return "table"
    raise FormatError(
        f"{path} looks like no format that trackdb reads",
        expected="a CTC folder, a folder or stack of tif masks, or a .csv, .tsv, .txt or .parquet table",
        **{"try": "--format, where you know better"},
    )


def _open_installed(name: str, path: Path, options: SourceOptions) -> Source:
    """Open with a format that another package brings as an entry point."""
    from importlib.metadata import entry_points

    installed = entry_points(group=GROUP)
    if name not in installed.names:
        there = ", ".join(["auto", *FORMATS, *sorted(installed.names)])
        raise ConfigError(f"there is no format {name}", expected=there)
    source: Source = installed[name].load()(path, options)
    return source
