"""How well a solution agrees with the truth, or with another solution of the same detections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckFailedError, ConfigError, MissingRowsError
from ..storage.catalogue import TRUTH
from .metrics.edges import Counts, compare_divisions, compare_links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import Detections


FIGURES = tuple(f"{part}_{m}" for part in ("edge", "division", "division_1") for m in ("precision", "recall", "f1"))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Agreement of a solution with a reference.

    Parameters
    ----------
    solution, against : str
        Names of the two.
    edges : Counts
        Links.
    divisions : dict of int to Counts
        Divisions, by how many frames they may be off.
    reference_gaps : int
        Links of the reference that skip frames: a solution without gaps cannot have them.
    uncounted : int
        Links of the solution between two cells that the reference does not know.
    reference_divisions : int
        Divisions of the reference.
    """

    solution: str
    against: str
    edges: Counts
    divisions: dict[int, Counts]
    reference_gaps: int
    uncounted: int
    reference_divisions: int

    def figures(self) -> dict[str, float]:
        """Return every figure by the name that ``--fail-under`` knows."""
        parts = (self.edges, self.divisions[0], self.divisions[1])
        values = [getattr(counts, m) for counts in parts for m in ("precision", "recall", "f1")]
        return dict(zip(FIGURES, values, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as the JSON of the command has them."""
        return {
            "solution": self.solution,
            "against": self.against,
            "edges": _as_dict(self.edges),
            "divisions": _as_dict(self.divisions[0]),
            **{f"divisions_{frames}": _as_dict(counts) for frames, counts in self.divisions.items() if frames},
            "reference_gaps": self.reference_gaps,
            "uncounted": self.uncounted,
            "ctc": None,
            "calibration": None,
        }


def evaluate(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, *, against: str = TRUTH, tolerance: int = 1
) -> Evaluation:
    """Compare the links and the divisions of a solution with those of a reference over the same detections.

    Links between two cells that the reference does not know are not counted: nobody looked there.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        The detections.
    info : SolutionInfo
        What is judged.
    against : str
        Name of the reference.
    tolerance : int
        Largest number of frames by which a division may be off; 0 and 1 are always given.

    Raises
    ------
    MissingRowsError
        If there is no such reference.
    """
    if info.name == against:
        raise ConfigError(f"{against} would be compared with itself", **{"try": "trackdb solve, or --solution NAME"})
    known = store.solutions(chosen)
    if against not in known:
        raise MissingRowsError(
            f"there is no solution named {against} to compare with",
            known=", ".join(known) or "none",
            **{"try": "ingest with --truth, or --against NAME"},
        )
    detections = store.detections(chosen)
    ends = (*_links(store, known[against], detections), *_links(store, info, detections))
    reference = store.solution(known[against])
    annotated = np.zeros(len(detections), dtype=bool)
    annotated[detections.row_of(reference.node)] = True
    edges = compare_links(*ends, annotated=annotated)
    return Evaluation(
        solution=info.name,
        against=against,
        edges=edges,
        divisions={
            frames: compare_divisions(*ends, tolerance_frames=frames, annotated=annotated)
            for frames in sorted({0, 1, min(tolerance, max(1, chosen.movie.n_frames))})
        },
        uncounted=len(ends[2]) - edges.tp - edges.fp,
        reference_divisions=int(np.count_nonzero(reference.tracks.n_children > 1)),
        reference_gaps=int(np.count_nonzero(detections.frame[ends[1]] - detections.frame[ends[0]] > 1)),
    )


def require_known(names: Iterable[str]) -> None:
    """Raise ConfigError if there is no figure of one of these names."""
    for name in names:
        if name not in FIGURES:
            raise ConfigError(f"--fail-under: there is no figure {name}", known=", ".join(FIGURES))


def require_at_least(evaluation: Evaluation, wanted: dict[str, float]) -> None:
    """Raise CheckFailedError if a figure is below what was wanted.

    Raises
    ------
    ConfigError
        If there is no figure of that name.
    """
    require_known(wanted)
    figures = evaluation.figures()
    for name, least in wanted.items():
        if not figures[name] >= least:
            raise CheckFailedError(f"{name} is {figures[name]:.4f}, wanted at least {least:g}")


def _links(
    store: DuckDBStore, info: SolutionInfo, detections: Detections
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that the links of a solution tie."""
    source, target = store.link_ends(info)
    return detections.row_of(source), detections.row_of(target)


def _as_dict(counts: Counts) -> dict[str, Any]:
    return {m: getattr(counts, m) for m in ("tp", "fp", "fn", "precision", "recall", "f1")}
