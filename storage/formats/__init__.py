"""The formats that trackdb reads and writes; `open_source` finds the right one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from ...errors import ConfigError, FormatError
from ..nearby import names_like
from .base import FrameBatch, LabelLineage, Points, Source, SourceOptions
from .refused import reason_of_hdf5, reason_to_refuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FORMATS", "FrameBatch", "LabelLineage", "Points", "Source", "SourceOptions", "detect", "open_source"]

# Module of each format. It offers open_NAME(path, options) -> Source and is_NAME(path) -> bool; a source is read by the
# first format that says it is its own, so those that look closest come first.
MODULES = {
    "ctc": "ctc",
    "trackmate": "xml.trackmate",
    "track_xml": "xml.track_xml",
    "geff": "geff.reader",
    "lineage_mapper": "lineage_mapper",
    "masks": "masks",
    "napari": "napari",
    "tables": "tabular.tables",
    "biotracks": "tabular.biotracks",
    "acetree": "acetree",
    "sulston": "sulston",
    "mastodon": "mastodon",
    "btrack": "btrack",
    "table": "tabular.reader",
}
FORMATS = tuple(MODULES)
GROUP = "trackdb.formats"  # entry points: functions (path, options) -> Source


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
        raise FormatError(f"there is nothing at {path}", expected="a file or a folder", **names_like(path))
    if not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise FormatError(f"{path} is neither a file nor a folder", **{"try": "a copy of it in a file"})
    name = detect(path) if format == "auto" else format
    opened = _of_format(name, "open") if name in MODULES else _installed(name)
    return cast("Source", opened(path, options))


def detect(path: Path) -> str:
    """Return the format that a file or folder looks like.

    Raises
    ------
    FormatError
        If it looks like none, or like one that cannot become a movie.
    """
    if (refused := reason_to_refuse(path)) is not None:
        raise refused
    for name in FORMATS:
        if _of_format(name, "is")(path):
            return name
    if (refused := reason_of_hdf5(path)) is not None:
        raise refused
    raise FormatError(
        f"{path} looks like no format that trackdb reads",
        expected="a CTC folder, label masks (files, a stack or Zarr), a .csv, .tsv, .txt or .parquet table, "
        "or what TrackMate, GEFF, napari, Mastodon, AceTree, biotracks, btrack or the Lineage Mapper write",
        **{"try": "--format, where you know better"},
    )


def _of_format(name: str, verb: str) -> Callable[..., Any]:
    """Return the function ``VERB_NAME`` of a format."""
    module = import_module(f".{MODULES[name]}", __package__)
    return cast("Callable[..., Any]", getattr(module, f"{verb}_{name}"))


def _installed(name: str) -> Callable[..., Any]:
    """Return a format that another package brings as an entry point."""
    from importlib.metadata import entry_points

    installed = entry_points(group=GROUP)
    if name not in installed.names:
        there = ", ".join(["auto", *FORMATS, *sorted(installed.names)])
        raise ConfigError(f"there is no format {name}", expected=there)
    return cast("Callable[..., Any]", installed[name].load())
