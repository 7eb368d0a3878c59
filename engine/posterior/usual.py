"""The temperature of a posterior for which none was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..linkers import LEARNED
from .problem import goes_by_cost

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_LEARNED: Final = 1.2
"""That of learned costs. They are learned from the solution that they lead to, whose velocities and hazards they read
again, so that they are too sure of it. On the movies that defaults are chosen on the best one is 1 to 2; this one makes
true parents likelier in most cases and hardly less likely in any (`benchmarks/accuracy/calibration.py`)."""


def usual_temperature(params: Mapping[str, Any]) -> float:
    """Return the temperature that is usual for the costs that a run went by: 1 but for learned ones."""
    return OF_LEARNED if goes_by_cost(params) and params.get("cost") == LEARNED else 1.0
