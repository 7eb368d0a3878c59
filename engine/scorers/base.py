"""What every scorer is: candidate edges go in, one number for each comes out, with the scale it stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...errors import SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections


class ScoreScale(StrEnum):
    """What the numbers of a scorer mean; the cost model translates each scale in its own way."""

    LOG_DENSITY = "log_density"
    """Log density of the target's place, given that the source is its parent, per um^2 or um^3 (px if unknown)."""

    PROBABILITY = "probability"
    """Probability that the source is the target's parent; those of one target sum to 1 at most, the rest: it is new."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a scorer says of candidate edges.

    Parameters
    ----------
    value : (m,) float64
        One number an edge; more is better.
    scale : ScoreScale
        What the numbers mean.
    estimates : dict of str to float
        What the scorer learned from the data, the unit in the name, for the parameters of the run.

    Raises
    ------
    SchemaError
        If a score is not finite, or is no probability where the scale says so.
    """

    value: NDArray[np.float64]
    scale: ScoreScale
    estimates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not np.isfinite(self.value).all():
            edge = int(np.argmin(np.isfinite(self.value)))
            raise SchemaError(f"scores must be finite, got {self.value[edge]} for edge {edge}")
        if self.scale is ScoreScale.PROBABILITY and len(self) and not (0 <= self.value.min() <= self.value.max() <= 1):
            raise SchemaError(f"probabilities lie in 0 .. 1, got {self.value.min():g} .. {self.value.max():g}")

    def __len__(self) -> int:
        return len(self.value)


class Scorer(Protocol):
    """Judges candidate edges.

    Attributes
    ----------
    name : str
        The name that `open_scorer` knows it by.
    """

    name: str

    def score(self, detections: Detections, edges: CandidateEdges) -> Scores:
        """Return one score an edge; the same arrays always get the same scores."""
        ...
