"""Someone's tracking of a movie in the store, as a solution beside the others.

The file is read and matched before anything is written: a kill or an error up to there leaves no trace, and the
solution appears in one transaction.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ...storage.catalogue import TRUTH, SolutionInfo
from ...storage.folders import require_writable
from ...storage.formats.base import SourceOptions
from ...storage.founding import GRAPH
from ...storage.leases import LOCKS
from ..lineages import solution_table
from ..names import free_solution_name
from ..progress import Progress, Silent
from .labelled import join
from .reference import read_tracking
from .solutions import IMPORTED, counts_of, edges_between, note_counts

if TYPE_CHECKING:
    from pathlib import Path

    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.formats.base import LabelLineage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import brought.

    Parameters
    ----------
    dataset, solution : str
        Names of the dataset and of the solution that it is now.
    frames, detections : int
        How many the dataset has.
    cells, links, merges : int
        Detections that are cells of the tracking, links between them, and cells of several mothers.
    dropped, bridged, cut : int
        Cells that no detection is, links that lead over such cells, and links left out since they would have made a
        third daughter.
    seconds : float
        How long it took.
    """

    dataset: str
    solution: str
    frames: int
    detections: int
    cells: int
    links: int
    merges: int
    dropped: int
    bridged: int
    cut: int
    seconds: float


def import_tracking(
    path: Path,
    store: DuckDBStore,
    chosen: DetectionSet,
    *,
    name: str | None = None,
    file_format: str = "auto",
    options: SourceOptions | None = None,
    match_distance: float | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Bring a tracking of the same movie into the store, as a solution beside the others.

    Its cells become the detections that they are; those that are none are dropped, and tracks go on over them. Its
    links are no candidates unless they were before.

    Parameters
    ----------
    path : Path
        Any file or folder that trackdb reads and that tells of links.
    store, chosen
        The store and the detection set.
    name : str or None
        Name of the solution; by default what the file calls it, else the file's own name.
    file_format, options, match_distance
        As `read_tracking` takes them.
    progress : Progress
        Who is told how cells were matched, and what could not be kept.

    Raises
    ------
    StoreExistsError
        If the dataset has a solution of that name.
    StoreError
        If the store cannot be written.
    FormatError
        If there is no tracking, or none of this movie.
    """
    started = time.perf_counter()
    options, progress = options or SourceOptions(), progress or Silent()
    require_writable(store.path, store.path / GRAPH, store.path / LOCKS)
    if name is not None:
        free_solution_name(store, chosen, name, IMPORTED)  # refused before any work
    detections = store.detections(chosen)
    matched = read_tracking(
        path,
        store,
        chosen,
        detections,
        file_format=file_format,
        options=options,
        match_distance=match_distance,
        progress=progress,
    )
    name = free_solution_name(store, chosen, name or _own_name(matched.lineage, path), IMPORTED)
    links = join(matched.lineage, matched.row)
    if not len(links.row):
        raise FormatError(
            f"{path}: none of its {len(matched.row):,} cells is at a detection of {chosen.movie.name}",
            **{"try": "another --frames, --pixel-size or --match-distance, if it is the same movie"},
        )
    counts = counts_of(matched.lineage, links)
    note_counts(name, counts, progress)
    edges = edges_between(detections, links.source, links.target)
    n = len(detections)
    rows = np.searchsorted(edges.source * n + edges.target, links.source * n + links.target)
    table = solution_table(detections, links.row, links.source, links.target, rows, merge=links.merge)
    params = {"source": str(path.resolve()), "format": file_format, "options": options.as_json()}
    progress.start("saving")
    with store.running("import", name, {**params, "match_distance": match_distance}, chosen=chosen) as run:
        info = SolutionInfo(0, chosen.id, run.id, name, IMPORTED, None, None, None)
        store.add_tracking(run, chosen, detections, edges, (info, table), {"trackings": {name: counts}})
    log.info("imported: %s, %d links", name, len(edges))
    return ImportReport(
        dataset=chosen.movie.name,
        solution=name,
        frames=chosen.movie.n_frames,
        detections=n,
        cells=len(links.row),
        links=len(edges),
        merges=counts["merges"],
        dropped=counts["dropped"],
        bridged=counts["bridged"],
        cut=counts["cut"],
        seconds=time.perf_counter() - started,
    )


def _own_name(lineage: LabelLineage, path: Path) -> str:
    """Return what a tracking is called: formats that cannot tell call any lineage the truth, the challenge means it."""
    if lineage.name != TRUTH or lineage.by_tracklet:
        return lineage.name
    return path.resolve().name.split(".")[0]
