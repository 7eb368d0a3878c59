"""How much of a cell's mask lay where its parent was: evidence of masks beyond the distance of their centres.

At the same distance a child is covered by its parent more than by a cell that is not, and a daughter by her mother more
than either. Each of the three is a Student-t density around a line that falls with the distance, in the sum of both
radii, drift taken off; what is evidence is the density relative to that of other cells at the same distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .bell import Bell
from .drift import predictors
from .student import log_fall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....storage.schema import CandidateEdges
    from .drift import Drift
    from .lineage import Lineage
    from .surroundings import Surroundings

DISCS: Final = Bell(1.0, -1.2, 0.15)  # two equal discs cover each other so, nearly, and nothing is known at first
LEARNED_WITHIN: Final = 0.8  # sums of radii; beyond, lines have reached 0
COUNTED_WITHIN: Final = 1.0
SWEEPS: Final = 8
LINKS_WORTH: Final = 20.0
DIVISIONS_WORTH: Final = 10.0
SPREAD: Final = 0.5  # of distances
WEIGHT: Final = 0.25
"""What the log densities are multiplied by (design 24): shares of one cell add up to 1, and distance tells much."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Masks of n cells, as m candidates see them, and what is learned of them.

    Parameters
    ----------
    covered : (m,) float64
        Share of the target's pixels that the source lies on, once the drift of the frame is taken off.
    radius : (n,) float64
        Of the disc or ball of the same size, in the unit of the positions.
    next : (m,) bool
        Whether it spans the shortest time of all; the others are not looked at.
    apart : (m,) float64
        Distance of the centres, drift taken off, in sums of both radii.
    child, daughter, other : Bell
        Of `covered` given `apart`: only children, daughters, and cells of another parent.
    """

    covered: NDArray[np.float64]
    radius: NDArray[np.float64]
    next: NDArray[np.bool_]
    apart: NDArray[np.float64]
    child: Bell = DISCS
    daughter: Bell = DISCS
    other: Bell = DISCS

    @classmethod
    def unlearned(cls, covered: NDArray[np.float64], radius: NDArray[np.float64], edges: CandidateEdges) -> Outlines:
        """Return what to start from: no candidate is near enough to tell anything."""
        shortest = edges.frames.min() if len(edges) else 1
        return cls(covered, radius, edges.frames == shortest, np.full(len(covered), np.inf))

    def with_links(
        self, around: Surroundings, lineage: Lineage, drift: Drift, elapsed: NDArray[np.float64]
    ) -> Outlines:
        """Return what the links of a lineage tell, and the candidates that it did not take."""
        source, target = lineage.source, lineage.target
        step = around.position[target] - around.position[source]
        off = np.linalg.norm(step - predictors(drift, source, target, elapsed).drift, axis=1)
        placed = replace(self, apart=off / (self.radius[source] + self.radius[target]))
        taken = np.zeros(len(source), dtype=bool)
        taken[lineage.continued] = taken[lineage.divided] = True
        others = np.flatnonzero(~taken & lineage.has_parent[target])
        return replace(
            placed,
            child=placed._fitted(DISCS, lineage.continued, LINKS_WORTH),
            other=placed._fitted(DISCS, others, LINKS_WORTH),
        )

    def with_daughters(self, rows: NDArray[np.int64], share: NDArray[np.float64]) -> Outlines:
        """Return what candidates tell of which each is one to a daughter with some probability."""
        return replace(self, daughter=self._fitted(self.daughter, rows, DIVISIONS_WORTH, share, sweeps=1))

    def _fitted(
        self,
        start: Bell,
        rows: NDArray[np.int64],
        worth: float,
        share: NDArray[np.float64] | None = None,
        *,
        sweeps: int = SWEEPS,
    ) -> Bell:
        share = np.ones(len(rows)) if share is None else share
        within = self.next[rows] & (self.apart[rows] < LEARNED_WITHIN)
        rows, share = rows[within], share[within]
        for _ in range(sweeps):
            start = start.towards(self.covered[rows], self.apart[rows], share, DISCS, SPREAD, worth)
        return start

    def log_child(self, rows: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """Return the evidence of some candidates as only children, in nats."""
        return self._against_others(self.child, rows)

    def log_daughter(self, rows: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """Return the evidence of some candidates as daughters, in nats."""
        return self._against_others(self.daughter, rows)

    def _against_others(self, bell: Bell, rows: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        covered, apart = self.covered[rows], self.apart[rows]
        evidence = np.zeros(len(covered))
        usable = self.next[rows] & (apart < COUNTED_WITHIN) & np.isfinite(covered)
        here = covered[usable], apart[usable]
        evidence[usable] = WEIGHT * (_log_density(bell, *here) - _log_density(self.other, *here))
        return evidence


def _log_density(bell: Bell, covered: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log density around a line that ends at 0: no share is negative."""
    z = (covered - np.maximum(bell.level + bell.slope * apart, 0.0)) / bell.scale
    return bell.log_peak + log_fall(z**2, bell.freedom, 1)
