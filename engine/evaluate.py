"""How well a solution agrees with the truth, or with any other tracking of the same movie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import ConfigError, MissingRowsError
from ..storage import tables
from ..storage.catalogue import TRUTH, SolutionInfo
from ..storage.formats.base import SourceOptions
from ..storage.posteriors import find_posterior
from .ctc_metrics import measure_files, require_measurable
from .evaluation import Evaluation
from .graphs import TrackingGraph, graph_of_lineage, graph_of_solution
from .imports.pairing import NO_ROW
from .imports.reference import read_tracking
from .metrics.corrections import count_corrections
from .metrics.edges import compare_divisions, compare_links
from .metrics.targets import NO_TRACKLET, target_effectiveness
from .posterior.judging import TrueParents, judge, newest_posterior
from .progress import Progress, Silent
from .teaching import Lesson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import Detections
    from .posterior.judging import Judged

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
    reference = _read_reference(
        store,
        chosen,
        detections,
        place,
        str(against),
        file_format=file_format,
        options=options,
        match_distance=match_distance,
        progress=progress,
    )
    measured = None
    if by_py_ctcmetrics:
        measured = measure_files(store, chosen, info, place, options or AS_TOLD, progress)
    _tell_if_taught(store, chosen, info, progress)
    progress.start("comparing")
    ours, row = graph_of_solution(store, info, detections)
    cell_of = np.full(len(detections) + 1, NO_ROW, dtype=np.int64)  # the last one, which NO_ROW reads, is nobody
    cell_of[row] = np.arange(len(row))
    frames = sorted({0, 1, min(tolerance, max(1, chosen.movie.n_frames))})
    found_out = _compared(info.name, ours, reference, cell_of, frames, sparse=sparse, measured=measured)
    posterior = newest_posterior(store, info)
    if posterior is None:
        return found_out
    progress.start("judging probabilities")
    truth = TrueParents.of(reference.graph, reference.row, len(detections))
    judged = judge(store, chosen, info, posterior, truth, detections)
    if not len(judged.asked.questions):
        progress.note(f"{reference.name} knows no daughter of which {posterior.name} could be judged")
        return found_out
    return replace(found_out, calibration=judged.report())


def _tell_if_taught(store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, progress: Progress) -> None:
    """Say where a solution was learned from a lineage of the movie that it is judged on."""
    [run] = store.runs(tables.run.c.run_id == info.run_id)
    lesson = Lesson.of_run(run.params)
    if lesson is not None and lesson.is_of(store, chosen):
        progress.note(
            f"{info.name} was learned from {lesson.solution} of this very movie: it would agree less with another one"
        )


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
        f"{store.path} holds no solution named {against} to compare with, and there is no such file",
        known=", ".join(known) or "none",
        **{"try": "ingest with --truth, or --against NAME-OR-PATH"},
    )


def judge_posterior(
    store: DuckDBStore,
    dataset: str | None = None,
    *,
    solution: str | None = None,
    posterior: str | None = None,
    against: str | Path = TRUTH,
    progress: Progress | None = None,
) -> Judged:
    """Hold the probabilities of a posterior against a truth.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    dataset, solution, posterior : str or None
        Their names; by default the newest posterior, of the solution where one is named, else of one that is not the
        truth itself.
    against : str or Path
        The truth, as `evaluate` takes it.
    progress : Progress
        Who is told how cells were matched.

    Raises
    ------
    MissingRowsError
        If there is no such posterior or truth.
    """
    progress = progress or Silent()
    chosen, info, found = find_posterior(store, dataset, posterior, solution=solution, besides=str(against))
    detections = store.detections(chosen)
    truth = true_parents(store, chosen, info, detections, against=against, progress=progress)
    return judge(store, chosen, info, found, truth, detections)


def true_parents(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    detections: Detections,
    *,
    against: str | Path = TRUTH,
    progress: Progress,
) -> TrueParents:
    """Return who the mothers of the detections are by a reference, as `evaluate` finds it.

    Raises
    ------
    MissingRowsError
        If there is no such reference.
    ConfigError
        If it is the solution that is to be judged.
    """
    place = find_reference(store, chosen, info, against)
    reference = _read_reference(store, chosen, detections, place, str(against), progress=progress)
    return TrueParents.of(reference.graph, reference.row, len(detections))


def _read_reference(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    place: SolutionInfo | Path,
    name: str,
    *,
    file_format: str = "auto",
    options: SourceOptions | None = None,
    match_distance: float | None = None,
    progress: Progress,
) -> Reference:
    """Return a reference from the store, or read it from a file."""
    if isinstance(place, SolutionInfo):
        if file_format != "auto" or match_distance is not None or (options or AS_TOLD) != AS_TOLD:
            raise ConfigError(f"{place.name} is a solution in the store: it is not read from a file")
        return _of_solution(store, place, detections)
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
    return Reference(name, graph_of_lineage(found.lineage), found.covered_by, found.row)


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
    known[number] = True  # a cell of ours that covers several true ones is one of them
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
