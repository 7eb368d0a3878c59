"""How well a solution agrees with the truth, or with any other tracking of the same movie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import CheckFailedError, ConfigError, MissingRowsError
from ..storage import tables
from ..storage.catalogue import TRUTH, SolutionInfo
from ..storage.formats.base import SourceOptions
from .ctc_metrics import measure, require_measurable
from .graphs import TrackingGraph, graph_of_lineage, graph_of_solution
from .metrics.corrections import Corrections, count_corrections
from .metrics.edges import Counts, compare_divisions, compare_links
from .metrics.targets import NO_TRACKLET, target_effectiveness
from .pairing import NO_ROW
from .progress import Progress, Silent
from .reference import read_tracking

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import Detections

SHARES: Final = ("precision", "recall", "f1")
FIGURES: Final = (
    *(f"{part}_{share}" for part in ("edge", "division", "division_1") for share in SHARES),
    "association_accuracy",
    "association_precision",
    "association_f1",
    "target_effectiveness",
    "TRA",
    "DET",
    "LNK",
    "AOGM",
)
COSTS: Final = ("AOGM",)
"""Figures of which less is better."""
AS_TOLD: Final = SourceOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a solution is compared with.

    Parameters
    ----------
    name : str
        Its name, or its path.
    graph : TrackingGraph
        Its n cells and the links between them.
    covered_by, row : (n,) int64
        Row of the detection that each cell lies on, `NO_ROW` for none; in `row` each detection stands once.
    lost_cells, lost_links : int
        Cells and links that it had when it came into the store, and that are not there for want of a detection.
    only_daughters : int
        Tracks that began with an only daughter when it came into the store, where they go on as their mother's.
    """

    name: str
    graph: TrackingGraph
    covered_by: NDArray[np.int64]
    row: NDArray[np.int64]
    lost_cells: int = 0
    lost_links: int = 0
    only_daughters: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Agreement of a solution with a reference.

    Parameters
    ----------
    solution, against : str
        Names of the two.
    edges : Counts
        Links; those between two cells that the reference does not know are not counted.
    divisions : dict of int to Counts
        Divisions, by how many frames they may be off.
    associations : Counts
        Links, all of them; with a sparse truth as in `edges`. Their recall is the association accuracy.
    target_effectiveness : float
        Share of the reference's cells in the tracklet that has most of their life.
    corrections : Corrections
        What turns the solution into the reference.
    measured : dict of str to float, or None
        What py-ctcmetrics says, where it was asked.
    reference_cells, reference_matched : int
        Cells of the reference, and how many of them are a cell of the solution.
    reference_gaps, reference_divisions, reference_merges : int
        Links of the reference that skip frames, its divisions, and its links into merges.
    uncounted : int
        Links of the solution between two cells that the reference does not know.
    lost_cells, lost_links : int
        What of the reference is not in the store for want of a detection, and so in no figure.
    only_daughters : int
        Tracks of the reference that began with an only daughter, and go on as their mother's in the store.
    merges : int
        Links of the solution into merges.
    sparse : bool
        Whether cells that the reference does not know are no errors.
    """

    solution: str
    against: str
    edges: Counts
    divisions: dict[int, Counts]
    associations: Counts
    target_effectiveness: float
    corrections: Corrections
    measured: dict[str, float] | None
    reference_cells: int
    reference_matched: int
    reference_gaps: int
    reference_divisions: int
    reference_merges: int
    uncounted: int
    lost_cells: int
    lost_links: int
    only_daughters: int
    merges: int
    sparse: bool

    @property
    def association_accuracy(self) -> float:
        """Share of the reference's links, those to daughters among them, that the solution has."""
        return self.associations.recall

    @property
    def ctc(self) -> dict[str, float]:
        """The measures of the challenge on the two graphs, by its own names."""
        found = self.corrections
        return {
            "TRA": found.tra,
            "DET": found.det,
            "LNK": found.lnk,
            "AOGM": found.aogm,
            "AOGM_0": found.aogm_0,
            "AOGM_NS": found.splits,
            "AOGM_FN": found.missed_cells,
            "AOGM_FP": found.false_cells,
            "AOGM_ED": found.false_links,
            "AOGM_EA": found.missed_links,
            "AOGM_EC": found.wrong_kinds,
        }

    def figures(self) -> dict[str, float]:
        """Return every figure by the name that ``--fail-under`` knows."""
        parts = (self.edges, self.divisions[0], self.divisions[1])
        shares = [getattr(counts, share) for counts in parts for share in SHARES]
        associated = [self.associations.recall, self.associations.precision, self.associations.f1]
        ctc = self.measured or self.ctc
        values = [
            *shares,
            *associated,
            self.target_effectiveness,
            *(ctc[name] for name in ("TRA", "DET", "LNK", "AOGM")),
        ]
        return dict(zip(FIGURES, values, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as the JSON of the command has them."""
        return {
            "solution": self.solution,
            "against": self.against,
            "edges": _as_dict(self.edges),
            "divisions": _as_dict(self.divisions[0]),
            **{f"divisions_{frames}": _as_dict(counts) for frames, counts in self.divisions.items() if frames},
            "associations": _as_dict(self.associations),
            "association_accuracy": self.association_accuracy,
            "target_effectiveness": self.target_effectiveness,
            "ctc": {**(self.measured or self.ctc), "by": "py-ctcmetrics" if self.measured else "trackdb"},
            "calibration": None,
            "reference_cells": self.reference_cells,
            "reference_matched": self.reference_matched,
            "reference_gaps": self.reference_gaps,
            "uncounted": self.uncounted,
            "lost_cells": self.lost_cells,
            "lost_links": self.lost_links,
            "sparse_truth": self.sparse,
        }

    def notes(self) -> list[str]:
        """Return what one has to know to read the figures."""
        missed = self.reference_cells - self.reference_matched
        forgiven = "" if self.sparse else "; as associations they are false, but for --sparse-truth"
        said = (
            (missed, f"{missed:,} of {self.reference_cells:,} cells of {self.against} are no cell of {self.solution}"),
            (
                self.lost_cells,
                f"{self.against} is in the store without {self.lost_cells:,} cells that have no detection, and "
                f"{self.lost_links:,} links: no figure counts them, --against PATH does",
            ),
            (
                self.only_daughters,
                f"{self.only_daughters} tracks of {self.against} began with an only daughter and go on as their "
                "mother's in the store: AOGM_EC counts them with --against PATH alone",
            ),
            (self.reference_gaps, f"{self.reference_gaps} links of {self.against} skip frames"),
            (
                self.uncounted,
                f"{self.uncounted} links between cells that {self.against} does not know are not counted as edges"
                + forgiven,
            ),
            (not self.reference_divisions, f"{self.against} tells of no divisions"),
            (self.merges or self.reference_merges, "links into merges count as links, not as divisions"),
        )
        return [text for applies, text in said if applies]

    def disagreements(self) -> list[str]:
        """Return where py-ctcmetrics and the graphs differ; merges aside, which the challenge's files cannot hold."""
        if self.measured is None or self.merges or self.reference_merges:
            return []
        return [
            f"{name} is {self.measured[name]:.9g} by py-ctcmetrics, {value:.9g} on the graphs"
            for name, value in self.ctc.items()
            if not np.isclose(self.measured[name], value, rtol=1e-9, atol=1e-12, equal_nan=True)
        ]


def evaluate(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    *,
    against: str | Path = TRUTH,
    tolerance: int = 1,
    sparse: bool = False,
    by_py_ctcmetrics: bool = False,
    file_format: str = "auto",
    options: SourceOptions | None = None,
    match_distance: float | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare a solution with another tracking of the same movie.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        The detections.
    info : SolutionInfo
        What is judged.
    against : str or Path
        The reference: a solution of the same detections, else a path that `read_tracking` reads. Cells that a file
        tells of and nobody detected are missed.
    tolerance : int
        Largest number of frames by which a division may be off; 0 and 1 are always given.
    sparse : bool
        The reference knows a part of the cells only: cells that it does not know are no errors, nor are links between
        two of them.
    by_py_ctcmetrics : bool
        Measure TRA, DET, LNK and AOGM with py-ctcmetrics as well, on files.
    file_format, options, match_distance
        As `read_tracking` takes them, where the reference is a path.
    progress : Progress
        Who is told how cells were matched.

    Raises
    ------
    MissingRowsError
        If there is no such reference.
    FormatError
        If the file is no tracking of this movie.
    ConfigError
        If the solution would be compared with itself, or settings do not fit the reference.
    """
    progress = progress or Silent()
    place = find_reference(store, chosen, info, against)
    if by_py_ctcmetrics:
        if sparse:
            raise ConfigError("py-ctcmetrics knows no sparse truth", **{"try": "--sparse-truth without --ctc"})
        require_measurable(store, chosen, place, options or AS_TOLD)
    detections = store.detections(chosen)
    if isinstance(place, SolutionInfo):
        if file_format != "auto" or match_distance is not None or (options or AS_TOLD) != AS_TOLD:
            raise ConfigError(f"{place.name} is a solution in the store: it is not read from a file")
        reference = _of_solution(store, place, detections)
    else:
        found = read_tracking(
            place,
            store,
            chosen,
            detections,
            file_format=file_format,
            options=options,
            match_distance=match_distance,
            progress=progress,
        )
        reference = Reference(str(against), graph_of_lineage(found.lineage), found.covered_by, found.row)
    measured = None
    if by_py_ctcmetrics:
        measured = measure(store, chosen, info, place, options or AS_TOLD, progress)
    progress.start("comparing")
    ours, row = graph_of_solution(store, info, detections)
    cell_of = np.full(len(detections) + 1, NO_ROW, dtype=np.int64)  # the last one, which NO_ROW reads, is nobody
    cell_of[row] = np.arange(len(row))
    frames = sorted({0, 1, min(tolerance, max(1, chosen.movie.n_frames))})
    return _compared(info.name, ours, reference, cell_of, frames, sparse=sparse, measured=measured)


def find_reference(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, against: str | Path
) -> SolutionInfo | Path:
    """Return the solution of that name, else the path.

    Raises
    ------
    ConfigError
        If it is the solution that is to be judged.
    MissingRowsError
        If there is neither.
    """
    known = store.solutions(chosen)
    if isinstance(against, str) and against in known:
        if known[against].id == info.id:
            raise ConfigError(
                f"{against} would be compared with itself", **{"try": "trackdb solve, or --solution NAME"}
            )
        return known[against]
    if isinstance(against, Path) or Path(against).exists():
        return Path(against)
    raise MissingRowsError(
        f"there is no solution named {against} to compare with, nor a file",
        known=", ".join(known) or "none",
        **{"try": "ingest with --truth, or --against NAME-OR-PATH"},
    )


def _of_solution(store: DuckDBStore, info: SolutionInfo, detections: Detections) -> Reference:
    """Return a solution of the store as reference."""
    graph, row = graph_of_solution(store, info, detections)
    [run] = store.runs(tables.run.c.run_id == info.run_id)
    told = run.params.get("trackings", {}).get(info.name)
    if told is None:
        return Reference(info.name, graph, row, row)
    return Reference(
        info.name,
        graph,
        row,
        row,
        lost_cells=told["dropped"],
        lost_links=told["links"] - (len(graph.links.source) - told["bridged"]),
        only_daughters=told.get("only_daughters", 0),
    )


def _compared(
    name: str,
    ours: TrackingGraph,
    reference: Reference,
    cell_of: NDArray[np.int64],
    frames: list[int],
    *,
    sparse: bool,
    measured: dict[str, float] | None,
) -> Evaluation:
    """Count everything; `cell_of` gives the cell of ours that each detection is."""
    truth = reference.graph
    covered_by, cell = cell_of[reference.covered_by], cell_of[reference.row]
    n_ours, n_true = ours.links.n_cells, truth.links.n_cells
    # one numbering for both: a true cell has the number of the cell of ours that it is, else one of its own
    number = np.where(cell == NO_ROW, n_ours + np.arange(n_true), cell)
    known = np.zeros(n_ours + n_true, dtype=bool)
    known[number] = True
    known[covered_by[covered_by != NO_ROW]] = True
    true_source, true_target = number[truth.links.source], number[truth.links.target]
    ends = (true_source, true_target, ours.links.source, ours.links.target)
    edges = compare_links(*ends, annotated=known)
    plain = (
        true_source[~truth.merge],
        true_target[~truth.merge],
        ours.links.source[~ours.merge],
        ours.links.target[~ours.merge],
    )
    return Evaluation(
        solution=name,
        against=reference.name,
        edges=edges,
        divisions={k: compare_divisions(*plain, tolerance_frames=k, annotated=known) for k in frames},
        associations=edges if sparse else compare_links(*ends),
        target_effectiveness=target_effectiveness(
            truth.tracklet, np.where(cell == NO_ROW, NO_TRACKLET, np.append(ours.tracklet, NO_TRACKLET)[cell])
        ),
        corrections=count_corrections(truth.links, ours.links, covered_by, sparse=sparse),
        measured=measured,
        reference_cells=n_true,
        reference_matched=int(np.count_nonzero(covered_by != NO_ROW)),
        reference_gaps=truth.n_gaps,
        reference_divisions=truth.n_divisions,
        reference_merges=int(np.count_nonzero(truth.merge)),
        uncounted=len(ours.links.source) - edges.tp - edges.fp,
        lost_cells=reference.lost_cells,
        lost_links=reference.lost_links,
        only_daughters=reference.only_daughters,
        merges=int(np.count_nonzero(ours.merge)),
        sparse=sparse,
    )


def require_known(names: Iterable[str]) -> None:
    """Raise ConfigError if there is no figure of one of these names."""
    for name in names:
        if name not in FIGURES:
            raise ConfigError(f"--fail-under: there is no figure {name}", known=", ".join(FIGURES))


def require_at_least(evaluation: Evaluation, wanted: dict[str, float]) -> None:
    """Raise CheckFailedError if a figure is worse than what was wanted: lower, or higher where less is better.

    Raises
    ------
    ConfigError
        If there is no figure of that name.
    """
    require_known(wanted)
    figures = evaluation.figures()
    for name, worst in wanted.items():
        if name in COSTS and not figures[name] <= worst:
            raise CheckFailedError(f"{name} is {figures[name]:g}, wanted at most {worst:g}")
        if name not in COSTS and not figures[name] >= worst:
            raise CheckFailedError(f"{name} is {figures[name]:.4f}, wanted at least {worst:g}")


def _as_dict(counts: Counts) -> dict[str, Any]:
    return {m: getattr(counts, m) for m in ("tp", "fp", "fn", *SHARES)}
