"""The true lineages of a movie, brought to its detections: who descends from whom, and where cells divide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import ConfigError, MissingRowsError
from ....storage.schema import LinkKind
from ...imports.labelled import require_mothers
from ...lineages import label_lineages
from .examples import UNKNOWN
from .matching import MATCH_THRESHOLD, NO_ROW, matched_lineage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....storage.catalogue import DetectionSet, SolutionInfo
    from ....storage.duckdb_store import DuckDBStore
    from ....storage.formats.base import LabelLineage
    from ....storage.schema import Detections
    from ...progress import Progress


@dataclass(frozen=True, slots=True, eq=False)
class TrueLineages:
    """What is true of n detections.

    Parameters
    ----------
    pre, last : (n,) int64
        Place of the tracklet of each in the walk down the lineages, and the last place among its descendants; `UNKNOWN`
        for a detection that is no true cell.
    daughters : (n,) int64
        Links that leave each to later cells, 1 where it goes on; 0 for a detection that is no true cell.
    divisions : (k, 2) int64
        Frame of each mother of which two daughters or more are detected, and of her first daughter.
    """

    pre: NDArray[np.int64]
    last: NDArray[np.int64]
    daughters: NDArray[np.int64]
    divisions: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) Detections that are true cells."""
        return np.asarray(self.pre != UNKNOWN)


def true_lineages(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    truth: str | Path,
    *,
    match_threshold: float | None = None,
    progress: Progress,
) -> TrueLineages:
    """Return what is true of the detections of a movie.

    Parameters
    ----------
    store, chosen, detections
        The movie in the store, and its n detections.
    truth : str or Path
        A solution in the store, whose cells were found among the detections when it was stored; else any file or folder
        that trackdb reads and that tells of links, whose cells are matched now.
    match_threshold : float or None
        How well a detection has to fit a cell of a file; `MATCH_THRESHOLD` if not given.
    progress : Progress
        Who is told how cells are matched.

    Raises
    ------
    MissingRowsError
        If there is neither such a solution nor such a file.
    ConfigError
        If the threshold is none, or the truth is in the store and so is not matched.
    FormatError
        If the file is no tracking of this movie.
    """
    known = store.solutions(chosen)
    if isinstance(truth, str) and truth in known:
        if match_threshold is not None:
            raise ConfigError(f"{truth} is in the store: its cells were matched when it came, by no threshold")
        return _of_solution(store, known[truth], detections)
    threshold = MATCH_THRESHOLD if match_threshold is None else match_threshold
    if not 0 < threshold < 1:
        raise ConfigError(f"the threshold of matches is {threshold:g}", expected="more than 0, less than 1")
    if isinstance(truth, str) and not Path(truth).exists():
        raise MissingRowsError(
            f"{store.path} holds no solution named {truth} of {chosen.movie.name}, and there is no such file: there is "
            "nothing to learn from",
            known=", ".join(known) or "none",
            **{"try": "trackdb ingest with --truth FOLDER, or the name of a solution that is right"},
        )
    found = matched_lineage(Path(truth), store, chosen, detections, threshold=threshold, progress=progress)
    return of_lineage(found.lineage, found.row, len(detections))


def _of_solution(store: DuckDBStore, info: SolutionInfo, detections: Detections) -> TrueLineages:
    """Read a solution that is taken for the truth."""
    table = store.solution(info)
    row = detections.row_of(table.node)
    pre, last = np.full((2, len(detections)), UNKNOWN)
    pre[row], last[row] = table.pre, table.tracks.last[table.pre]
    source, target = (detections.row_of(ends) for ends in store.link_ends(info))
    daughters = np.bincount(source[table.kind != LinkKind.MERGE], minlength=len(detections))
    divides = table.kind == LinkKind.DIVIDE
    return TrueLineages(pre, last, daughters, divisions_of(detections.frame, source[divides], target[divides]))


def of_lineage(lineage: LabelLineage, row: NDArray[np.int64], n: int) -> TrueLineages:
    """Bring a lineage to n detections: descent leads over cells that were not detected.

    Parameters
    ----------
    lineage : LabelLineage
        k cells and their links.
    row : (k,) int64
        Detection that each is, each once; `NO_ROW` for none.
    n : int
        Detections.

    Raises
    ------
    FormatError
        If a cell has two mothers where nothing can merge.
    """
    require_mothers(lineage)
    cells = len(lineage.label)
    source, target = np.divmod(np.unique(lineage.source * max(cells, 1) + lineage.target), max(cells, 1))
    merge = np.bincount(target, minlength=cells)[target] > 1
    labels = label_lineages(lineage.frame, source, target, merge=merge)
    pre, last = np.full((2, n), UNKNOWN)
    daughters = np.zeros(n, np.int64)
    there = row != NO_ROW
    pre[row[there]] = labels.pre[there]
    last[row[there]] = labels.tracks.last[labels.pre[there]]
    daughters[row[there]] = np.bincount(source[~merge], minlength=cells)[there]
    divides = (labels.kind == LinkKind.DIVIDE) & there[source] & there[target]
    return TrueLineages(pre, last, daughters, divisions_of(lineage.frame, source[divides], target[divides]))


def divisions_of(frame: NDArray[np.int64], source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (k, 2) frames of mothers with two daughters or more, and of the first daughter of each.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell.
    source, target : (m,) int64
        Rows of mothers and daughters.
    """
    order = np.lexsort((frame[target], source))
    source, target = source[order], target[order]
    mother, first, count = np.unique(source, return_index=True, return_counts=True)
    several = count > 1
    return np.stack([frame[mother[several]], frame[target[first[several]]]], axis=1)
