"""What every solver is: a problem goes in, a selection comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .problem import Selection, TrackingProblem


class Solver(Protocol):
    """Chooses the cells and links of a lineage."""

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return a feasible selection; the same problem always gets the same answer."""
        ...
