"""Solutions as files that other tools read; `export` finds the writer of a format."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from ...errors import ConfigError
from .base import ExportReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ..progress import Progress

__all__ = ["FORMATS", "ExportReport", "export", "require_format"]

# Module of each format; it offers export_NAME(store, chosen, info, out, *, dry_run, progress) -> ExportReport.
MODULES = {
    "ctc": "ctc",
    "geff": "geff",
    "trackmate": "trackmate",
    "napari": "napari",
    "csv": "tables",
    "parquet": "tables",
    "graphml": "graphml",
}
FORMATS = tuple(MODULES)


def export(
    format: str,
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    out: Path,
    *,
    dry_run: bool = False,
    masks: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a solution in a format of other tools; what the format cannot hold is told as notes.

    Parameters
    ----------
    format : str
        One of `FORMATS`.
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections of the solution.
    info : SolutionInfo
        The solution.
    out : Path
        Where it is to appear, whole or not at all.
    dry_run : bool
        Count only.
    masks : bool
        Write the label masks beside the graph: GEFF alone can.
    progress : Progress or None
        Whom to tell.

    Raises
    ------
    ConfigError
        If there is no such format, or it holds no masks beside a graph.
    FormatError
        If something stands at `out`, or the format cannot hold the solution.
    """
    require_format(format)
    if masks and format != "geff":
        raise ConfigError(f"{format} holds no label masks beside a graph", **{"try": "geff, or ctc, which is masks"})
    module = import_module(f".{MODULES[format]}", __package__)
    write = cast("Callable[..., ExportReport]", getattr(module, f"export_{format}"))
    beside = {"masks": True} if masks else {}
    return write(store, chosen, info, out, dry_run=dry_run, progress=progress, **beside)


def require_format(format: str) -> None:
    """Raise ConfigError unless there is a format of that name."""
    if format not in MODULES:
        raise ConfigError(f"there is no export format {format!r}", known=", ".join(FORMATS))
