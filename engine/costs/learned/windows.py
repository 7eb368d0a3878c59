"""A large movie in windows: each is followed by itself with what the middle frames told, and priced as a part of it.

Rates, densities of motion and daughters, and what looks tell come from the middle frames alone. Drift, velocities,
speeds and waves of divisions are those of the window, its context included. So a link between two windows is priced in
the window of its source; what a cell costs that appears does not depend on the window, and bounds across seams hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .model import Spans
from .schedule import follow_in
from .surroundings import surroundings_of
from .traits import Trait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ....solvers.problem import TrackingProblem
    from ....storage.schema import CandidateEdges, Detections
    from .schedule import Learned
    from .surroundings import Surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """What a window has to know of the movie that it is cut from.

    Parameters
    ----------
    lowest, highest : (ndim,) float64
        Ends of the box around all cells, micrometres (pixels where the voxel size is not known).
    occupied : (t,) int64
        Frames that have cells, increasing.
    """

    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    occupied: NDArray[np.int64]

    def price(
        self,
        detections: Detections,
        edges: CandidateEdges,
        traits: Sequence[Trait],
        learned: Learned,
        forced: NDArray[np.bool_] | None = None,
    ) -> TrackingProblem:
        """Follow a window and price its candidates.

        Parameters
        ----------
        detections, edges : Detections, CandidateEdges
            n cells of contiguous frames, and the m candidates between them.
        traits : sequence of Trait
            How the cells look. Where none of a kind is known that was learned of, there is no such evidence.
        learned : Learned
            What was learned of some frames.
        forced : (m,) bool or None
            Links that people forced in.
        """
        around = self._around(detections, learned.around)
        shortest = int(np.diff(self.occupied).min(initial=np.iinfo(np.int64).max)) if len(self.occupied) > 1 else 1
        spans = Spans.of(around, edges, learned.model.read)
        spans = replace(spans, elapsed=edges.frames / shortest, reach=learned.spans.reach)
        known = {trait.name: trait for trait in traits}
        unknown = np.full(len(detections), np.nan)
        looks = [
            known.get(trait.name, Trait.of(trait.name, unknown, adds_up=trait.adds_up))
            for trait in learned.model.looks.traits
        ]
        followed = follow_in(around, spans, detections, edges, looks, learned)
        return followed.problem(detections, edges, forced)

    def _around(self, detections: Detections, others: Surroundings) -> Surroundings:
        """Look around each cell as in the whole movie; how far cells go, and are apart, is that of others."""
        around = surroundings_of(detections, others.median_spacing)
        place, reach = around.position, others.reach
        first, last = (int(detections.frame[0]), int(detections.frame[-1])) if len(detections) else (0, -1)
        return replace(
            around,
            border=np.minimum(place - self.lowest, self.highest - place).min(axis=1) < reach,
            reach=reach,
            before=int(np.searchsorted(self.occupied, first)),
            after=len(self.occupied) - int(np.searchsorted(self.occupied, last, side="right")),
        )
