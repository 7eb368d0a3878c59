"""The learned cost of a movie that is solved in windows: learned from what memory holds, then priced window by window.

A movie that is no larger than one that is learned from as a whole is priced as a whole, and windows are cut from its
problem. A larger one is learned from its middle frames, and each window is followed by itself (`costs.Whole`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import SchemaError
from ..solvers.windows import part_of
from ..storage.schema import rows_of
from . import costs
from .looks import traits_of
from .pricing import learned_cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..solvers.problem import TrackingProblem
    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.frames import FrameReader
    from ..storage.schema import CandidateEdges, Detections
    from .evidence import LearnedConfig
    from .progress import Progress

    Read = Callable[[int, int], tuple[Detections, CandidateEdges, NDArray[np.bool_]]]
    """Reads cells and candidates of some frames, first and last included, and which links people forced in."""


class LearnedInWindows:
    """What the learned cost knows of a movie, and the problem of each of its windows.

    Parameters
    ----------
    store, chosen, reader : DuckDBStore, DetectionSet, FrameReader
        The movie.
    config : LearnedConfig
        What to look at.
    progress : Progress
        Who is told what was learned.
    """

    def __init__(
        self, store: DuckDBStore, chosen: DetectionSet, reader: FrameReader, config: LearnedConfig, progress: Progress
    ) -> None:
        self._store, self._chosen, self._reader = store, chosen, reader
        self._config, self._progress = config, progress
        self._learned: costs.Learned | None = None
        self._whole: costs.Whole | _Priced | None = None

    def learn(self, read: Read) -> dict[str, float]:
        """Learn from the whole movie, or from the middle frames of a large one; return the estimates by name."""
        _, frame = self._reader.cells()
        occupied, n = np.unique(frame), len(frame)
        begin, end = (0, len(occupied)) if n <= costs.MOST_CELLS else costs.middle_frames(len(occupied), n)
        del frame
        first, last = (int(occupied[begin]), int(occupied[end - 1])) if n else (0, -1)
        detections, edges, forced = read(first, last)
        if n <= costs.MOST_CELLS:
            self._learned = learned_cost(self._store, self._chosen, detections, edges, self._config, None)
            self._whole = _Priced(self._learned.problem(detections, edges, forced), detections, edges)
        else:
            traits = traits_of(self._store, self._chosen, detections, self._config)
            self._learned = costs.learn(detections, edges, self._config, traits, most_cells=len(detections))
            scale = np.array(detections.scale_um or (1.0,) * detections.ndim)
            lowest, highest = self._reader.box()
            self._whole = costs.Whole(np.array(lowest) * scale, np.array(highest) * scale, occupied)
        estimates = self._learned.estimates()
        self._progress.note(costs.told(estimates))
        if len(detections) < n:
            self._progress.note(
                f"learned from frames {first} to {last}, {len(detections):,} of {n:,} cells; "
                "drift, velocities and waves of divisions are those of each window"
            )
        return estimates

    def problem(self, detections: Detections, edges: CandidateEdges, forced: NDArray[np.bool_]) -> TrackingProblem:
        """Return some frames, priced.

        Parameters
        ----------
        detections, edges : Detections, CandidateEdges
            n cells of these frames, and the m candidates between them.
        forced : (m,) bool
            Links that people forced in.
        """
        if self._learned is None or self._whole is None:
            raise SchemaError("windows are priced by a cost that has to be learned first")
        if isinstance(self._whole, _Priced):
            return self._whole.part(detections, edges)
        traits = traits_of(self._store, self._chosen, detections, self._config)
        return self._whole.price(detections, edges, traits, self._learned, forced)


class _Priced:
    """A movie that is priced as a whole, from which windows are cut."""

    def __init__(self, problem: TrackingProblem, detections: Detections, edges: CandidateEdges) -> None:
        self._problem, self._id = problem, detections.id
        self._order = np.argsort(edges.id)
        self._edge = edges.id[self._order]

    def part(self, detections: Detections, edges: CandidateEdges) -> TrackingProblem:
        """Return the problem of some frames."""
        nodes = rows_of(self._id, detections.id, "detection")
        return part_of(self._problem, nodes, self._order[rows_of(self._edge, edges.id, "candidate")])
