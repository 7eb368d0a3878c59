"""What a store holds, counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ..storage.duckdb_store import DuckDBStore

_DATASETS = """
    select d.name as dataset, n_frames as frames, unit, s.name as detections_name,
        (select count(*) from detection c where c.set_id = s.set_id) as detections,
        (select count(*) from edge e where e.set_id = s.set_id and e.candidate) as candidates,
        coalesce(cast(shape as varchar), 'points') as size
    from dataset d join detection_set s using (dataset_id) join run r on r.run_id = s.run_id
    where r.state = 'done' order by d.dataset_id, s.set_id
"""
_SOLUTIONS = """
    select s.name as solution, d.name as dataset, s.linker, s.objective, s.lower_bound, s.proven, r.params,
        (select count(*) from solution_edge l where l.solution_id = s.solution_id) as links,
        (select count(*) from track k where k.solution_id = s.solution_id) as tracks,
        (select count(*) from track k where k.solution_id = s.solution_id and k.n_children > 1) as divisions
    from solution s join detection_set n using (set_id) join dataset d using (dataset_id)
        join run r on r.run_id = s.run_id where r.state = 'done' order by s.solution_id
"""
_NAMES = "select r.name from run r where r.kind = '{kind}' and r.state = 'done' order by r.run_id"


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
    annotations: int
    unfinished: list[str]
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        return asdict(self)

    def dataset_rows(self) -> list[list[Any]]:
        """Return a row for people for each dataset."""
        keys = ("dataset", "frames", "detections", "size", "candidates")
        return [[d[key] for key in keys] for d in self.datasets]

    def solution_rows(self) -> list[list[Any]]:
        """Return a row for people for each solution."""
        keys = ("solution", "dataset", "linker", "links", "tracks", "divisions", "objective", "proven")
        return [[s[key] for key in keys] for s in self.solutions]


def contents_of(store: DuckDBStore) -> Contents:
    """Count what a store holds."""
    with store.reading() as connection:
        datasets = [dict(row) for row in connection.exec_driver_sql(_DATASETS).mappings()]
        solutions = [dict(row) for row in connection.exec_driver_sql(_SOLUTIONS).mappings()]
        scores = [row.name for row in connection.exec_driver_sql(_NAMES.format(kind="score"))]
        posteriors = [row.name for row in connection.exec_driver_sql(_NAMES.format(kind="posterior"))]
        annotations = int(connection.exec_driver_sql("select count(*) from annotation").scalar_one())
    return Contents(
        path=str(store.path),
        schema_version=int(store.meta()["schema_version"]),
        datasets=datasets,
        solutions=solutions,
        scores=scores,
        posteriors=posteriors,
        annotations=annotations,
        unfinished=[
            f"{run.kind} {run.name} by {run.process}, {'at work' if alive else 'its process died'}"
            for run, alive in store.unfinished()
        ],
        bytes=_size(store.path),
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
