"""Trackings that come with a dataset, told in labels, as solutions over its detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..storage.arrays import read_frame
from ..storage.catalogue import SolutionInfo
from ..storage.formats.frames import read_mask
from ..storage.schema import CandidateEdges, SolutionTable
from .labelled import JoinedLinks, links_of, match_by_overlap, with_labels_of_detections
from .lineages import label_lineages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..storage.arrays import ArrayRef
    from ..storage.formats.base import LabelLineage
    from ..storage.ingestion import Ingestion
    from ..storage.schema import Detections
    from .progress import Progress

IMPORTED = "imported"  # the linker of a tracking that was not solved here


def imported_solutions(
    lineages: Sequence[LabelLineage],
    detections: Detections,
    store: Path,
    masks: ArrayRef | None,
    ingestion: Ingestion,
    progress: Progress,
) -> tuple[CandidateEdges, list[tuple[SolutionInfo, SolutionTable]]]:
    """Return the links of all trackings as edges, and each tracking as a solution over rows of those edges.

    Parameters
    ----------
    lineages : sequence of LabelLineage
        The trackings; one whose labels are those of other masks is matched to the detections by overlap.
    detections : Detections
        All detections of the set.
    store : Path
        Folder of the store.
    masks : ArrayRef or None
        Label masks of the detections; None where they are points.
    ingestion : Ingestion
        The run that brings them in.
    progress : Progress
        Who is told what could not be matched.
    """
    joined = [_joined(lineage, detections, store, masks, progress) for lineage in lineages]
    nothing = np.empty(0, dtype=np.int64)
    edges = edges_between(
        detections,
        np.concatenate([nothing, *(links.source for links in joined)]),
        np.concatenate([nothing, *(links.target for links in joined)]),
    )
    key = edges.source * len(detections) + edges.target
    found = []
    for lineage, links in zip(lineages, joined, strict=True):
        rows = np.searchsorted(key, links.source * len(detections) + links.target)
        info = SolutionInfo(0, ingestion.chosen.id, ingestion.run.id, lineage.name, IMPORTED, None, None, None)
        found.append((info, solution_table(detections, links.row, links.source, links.target, rows)))
    return edges, found


def _joined(
    lineage: LabelLineage, detections: Detections, store: Path, masks: ArrayRef | None, progress: Progress
) -> JoinedLinks:
    """Find the detections that a lineage speaks of, and tell what could not be found."""
    if lineage.masks and masks is not None:
        lineage = _in_our_labels(lineage, store, masks, progress)
    links = links_of(lineage, detections)
    for count, what in (
        (links.n_dropped, f"of {len(lineage.label)} cells have no detection"),
        (links.n_bridged, "links lead over such cells"),
        (links.n_cut, "links would have made a third daughter and are left out"),
    ):
        if count:
            progress.note(f"{lineage.name}: {count} {what}")
    return links


def _in_our_labels(lineage: LabelLineage, store: Path, masks: ArrayRef, progress: Progress) -> LabelLineage:
    """Tell a lineage in the labels of the detections, matched frame by frame by the overlap of the masks."""
    progress.start(f"matching {lineage.name}", len(lineage.masks))
    matches = []
    for frame, path in enumerate(lineage.masks):
        matches.append((frame, *match_by_overlap(read_mask(path), read_frame(store, masks, frame))))
        progress.advance()
    return with_labels_of_detections(lineage, matches)


def edges_between(detections: Detections, source: NDArray[np.int64], target: NDArray[np.int64]) -> CandidateEdges:
    """Return the links between rows of detections as edges without numbers, in order, each once."""
    n = max(len(detections), 1)
    key = np.unique(source * n + target)
    source, target = key // n, key % n
    position = detections.position_um
    return CandidateEdges(
        id=np.full(len(key), -1),
        source=source,
        target=target,
        frames=detections.frame[target] - detections.frame[source],
        distance=np.linalg.norm(position[target] - position[source], axis=1),
    )


def solution_table(
    detections: Detections,
    cells: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    edge: NDArray[np.int64],
    dual: NDArray[np.float64] | None = None,
) -> SolutionTable:
    """Label the lineages of chosen cells and links.

    Parameters
    ----------
    detections : Detections
        All detections of the set.
    cells : (k,) int64
        Increasing rows of those that are cells.
    source, target : (m,) int64
        Rows of the detections that each link ties, both among `cells`.
    edge : (m,) int64
        Id of each link.
    dual : (k,) float64 or None
        Price of each cell's in-port.

    Returns
    -------
    SolutionTable
        Ready for the store.
    """
    labels = label_lineages(detections.frame[cells], np.searchsorted(cells, source), np.searchsorted(cells, target))
    return SolutionTable(
        node=detections.id[cells],
        track_id=labels.track_id,
        pre=labels.pre,
        edge=edge,
        kind=labels.kind,
        tracks=labels.tracks,
        dual=dual,
    )
