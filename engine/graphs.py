"""Trackings as graphs over numbered cells, in the shape that the metrics judge them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..storage.schema import LinkKind
from .imports.labelled import require_mothers
from .lineages import label_lineages
from .metrics.corrections import LinkGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.catalogue import SolutionInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.formats.base import LabelLineage
    from ..storage.schema import Detections


@dataclass(frozen=True, slots=True, eq=False)
class TrackingGraph:
    """A tracking of n cells.

    Parameters
    ----------
    links : LinkGraph
        m links between the cells. Those to a daughter, over a gap, or into a merge are parental, as an export to the
        challenge has it.
    tracklet : (n,) int64
        Number of the tracklet of each cell.
    merge : (m,) bool
        Links into a cell of several mothers.
    n_gaps : int
        Links that skip frames.
    """

    links: LinkGraph
    tracklet: NDArray[np.int64]
    merge: NDArray[np.bool_]
    n_gaps: int

    @property
    def n_divisions(self) -> int:
        """Cells with several daughters, merges aside."""
        return int(np.count_nonzero(np.bincount(self.links.source[~self.merge]) > 1))


def graph_of_solution(
    store: DuckDBStore, info: SolutionInfo, detections: Detections
) -> tuple[TrackingGraph, NDArray[np.int64]]:
    """Read a solution; return its graph, and the row of the detection that each of its cells is."""
    with store.looking():
        table, ends = store.solution(info), store.link_ends(info)
    row = detections.row_of(table.node)
    cell_of = np.full(len(detections), -1, dtype=np.int64)
    cell_of[row] = np.arange(len(row))
    source, target = (detections.row_of(end) for end in ends)
    over_gap = detections.frame[target] - detections.frame[source] > 1
    parental = (table.kind != LinkKind.CONTINUE) | over_gap
    links = LinkGraph(len(row), cell_of[source], cell_of[target], parental)
    merge = table.kind == LinkKind.MERGE
    return TrackingGraph(links, table.track_id, merge, int(np.count_nonzero(over_gap))), row


def graph_of_lineage(lineage: LabelLineage) -> TrackingGraph:
    """Return the graph of a tracking that a file tells.

    Raises
    ------
    FormatError
        If a cell has two mothers where nothing can merge.
    """
    require_mothers(lineage)
    n = len(lineage.label)
    pairs = np.unique(lineage.source * max(n, 1) + lineage.target)
    source, target = np.divmod(pairs, max(n, 1))
    merge = np.bincount(target, minlength=n)[target] > 1
    labels = label_lineages(lineage.frame, source, target, merge=merge)
    over_gap = lineage.frame[target] - lineage.frame[source] > 1
    parental = (labels.kind != LinkKind.CONTINUE) | over_gap
    if lineage.by_tracklet:
        parental |= lineage.label[source] != lineage.label[target]
    return TrackingGraph(
        LinkGraph(n, source, target, parental), labels.track_id, merge, int(np.count_nonzero(over_gap))
    )
