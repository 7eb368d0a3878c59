"""Options that several commands share, and how they choose what to work on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.duckdb_store import DuckDBStore

Store = Annotated[Path, typer.Argument(help="The store: NAME.trackdb.")]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Dataset, where the store holds several.")]
Detections = Annotated[str | None, typer.Option("--detections", help="Detection set; the newest by default.")]
Solution = Annotated[
    str | None, typer.Option("--solution", help="Solution; by default the newest that was solved, else imported.")
]
CELL = "Number of a cell (cells.cell), or FRAME:LABEL."
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]


def open_store(path: Path, command: str, *, whole: bool = True) -> "DuckDBStore":
    """Open a store that exists and that this trackdb can read; with `whole` one that has lost no commit."""
    from ..storage.duckdb_store import DuckDBStore

    store = DuckDBStore(path, command=f"trackdb {command}")
    store.check_version(whole=whole)
    return store


def open_set(
    path: Path, dataset: str | None, detections: str | None, command: str
) -> "tuple[DuckDBStore, DetectionSet]":
    """Open a store and choose a detection set."""
    store = open_store(path, command)
    return store, store.detection_set(dataset, detections)


def open_solution(
    path: Path,
    dataset: str | None,
    solution: str | None,
    command: str,
    *,
    besides: str | None = None,
    doubtful: bool = False,
) -> "tuple[DuckDBStore, DetectionSet, SolutionInfo]":
    """Open a store and choose a solution with its detection set.

    `besides` is chosen only by name, or where there is no other; where one is to be doubted, so is the truth.
    """
    store = open_store(path, command)
    return store, *store.find_solution(dataset, solution, besides=besides, doubtful=doubtful)
