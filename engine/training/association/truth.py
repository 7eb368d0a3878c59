"""The true lineages of a movie, brought to its detections: who descends from whom, and where cells divide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....errors import MissingRowsError
from ....storage.schema import LinkKind
from .examples import UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....storage.catalogue import DetectionSet
    from ....storage.duckdb_store import DuckDBStore
    from ....storage.schema import Detections


@dataclass(frozen=True, slots=True, eq=False)
class TrueLineages:
    """What is true of n detections.

    Parameters
    ----------
    pre, last : (n,) int64
        Place of the tracklet of each in the walk down the lineages, and the last place among its descendants; `UNKNOWN`
        for a detection that is no true cell.
    divisions : (k, 2) int64
        Frame of each mother of which two daughters or more are detected, and of her first daughter.
    """

    pre: NDArray[np.int64]
    last: NDArray[np.int64]
    divisions: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) Detections that are true cells."""
        return np.asarray(self.pre != UNKNOWN)


def true_lineages(store: DuckDBStore, chosen: DetectionSet, detections: Detections, name: str) -> TrueLineages:
    """Read a solution that is taken for the truth; its cells were found among the detections when it was stored.

    Raises
    ------
    MissingRowsError
        If there is no such solution.
    """
    known = store.solutions(chosen)
    if name not in known:
        raise MissingRowsError(
            f"{store.path} holds no solution named {name} of {chosen.movie.name}: there is nothing to learn from",
            known=", ".join(known) or "none",
            **{"try": "trackdb ingest with --truth FOLDER, or the name of a solution that is right"},
        )
    table = store.solution(known[name])
    pre, last = np.full((2, len(detections)), UNKNOWN)
    row = detections.row_of(table.node)
    pre[row], last[row] = table.pre, table.tracks.last[table.pre]
    source, target = (detections.row_of(ends) for ends in store.link_ends(known[name]))
    divides = table.kind == LinkKind.DIVIDE
    return TrueLineages(pre, last, divisions_of(detections.frame, source[divides], target[divides]))


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
