"""What a store holds, counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..storage.queries import COUNTED_DATASETS, COUNTED_SOLUTIONS, FINISHED_RUNS
from .costs import told
from .teaching import told_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..storage.catalogue import RunInfo
    from ..storage.duckdb_store import DuckDBStore


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds.

    Parameters
    ----------
    path : str
        Where it is.
    schema_version : int
        Version of its tables.
    datasets, solutions : list of dict
        One entry each, with counts.
    scores, posteriors : list of str
        Names of the finished runs.
    learned : list of str
        What the learned cost found of the cells of a solution, in words.
    annotations : int
        Answers that people gave.
    unfinished : list of str
        Runs that are under way, or were left behind.
    bytes : int
        Size on disk.
    """

    path: str
    schema_version: int
    datasets: list[dict[str, Any]]
    solutions: list[dict[str, Any]]
    scores: list[str]
    posteriors: list[str]
    learned: list[str]
    annotations: int
    unfinished: list[str]
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name; ``schema_version`` in JSON is that of the JSON."""
        facts = asdict(self)
        return {("store_schema_version" if key == "schema_version" else key): value for key, value in facts.items()}

    def dataset_rows(self) -> list[list[Any]]:
        """Return a row for people for each dataset."""
        keys = ("dataset", "frames", "detections", "size", "voxel_um", "frame_interval_s", "pixels", "candidates")
        return [[d[key] for key in keys] for d in self.datasets]

    def solution_rows(self) -> list[list[Any]]:
        """Return a row for people for each solution."""
        keys = ("solution", "dataset", "linker", "links", "tracks", "divisions", "objective", "proven")
        return [[s[key] for key in keys] for s in self.solutions]


def contents_of(store: DuckDBStore) -> Contents:
    """Count what a store holds."""
    with store.reading() as connection:
        datasets = [dict(row) for row in connection.exec_driver_sql(COUNTED_DATASETS).mappings()]
        solutions = [dict(row) for row in connection.exec_driver_sql(COUNTED_SOLUTIONS).mappings()]
        scores = [row.name for row in connection.exec_driver_sql(FINISHED_RUNS.format(kind="score"))]
        posteriors = [row.name for row in connection.exec_driver_sql(FINISHED_RUNS.format(kind="posterior"))]
    return Contents(
        path=str(store.path),
        schema_version=int(store.meta()["schema_version"]),
        datasets=datasets,
        solutions=solutions,
        scores=scores,
        posteriors=posteriors,
        learned=_learned(store),
        annotations=len(store.decisions()),
        unfinished=[
            f"{run.kind} {run.name} by {run.process}, {'at work' if alive else 'its process died'}"
            for run, alive in store.unfinished()
        ],
        bytes=_size(store.path),
    )


def _learned(store: DuckDBStore) -> list[str]:
    """Return a line for each solution of the learned cost."""
    runs = (run for run in store.runs() if run.kind == "solve" and run.state == "done")
    words = ((run, told(run.params.get("estimates", {}))) for run in runs)
    return [f"{run.name}: {_taught(run)}{said}" for run, said in words if said]


def _taught(run: RunInfo) -> str:
    """Return in words which lineage a run learned from, if any."""
    return f"{told_of(run.params['taught'])}; " if "taught" in run.params else ""


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
