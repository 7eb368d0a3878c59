"""What every scorer is: candidate edges go in, one number for each comes out, with the scale it stands on.

Besides cells and candidates a scorer is handed the door to the pixels of the movie (`engine.pixels`), and opens it only
if it needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from ...errors import SchemaError
from ..pixels import NO_PIXELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..pixels import Pixels


class ScoreScale(StrEnum):
    """What the numbers of a scorer mean; the cost model translates each scale in its own way."""

    LOG_DENSITY = "log_density"
    """Log density of the target's place, given that the source is its parent, per um^2 or um^3 (px if unknown)."""

    PROBABILITY = "probability"
    """Probability that the source is the target's parent; those of one target sum to 1 at most, the rest: it is new.

    A network's means over different windows may sum to more: costs divide them by their sum.
    """

    IOU = "iou"
    """Intersection over union of the two masks; what it is worth is learned from the movie."""

    SIMILARITY = "similarity"
    """Any number that is larger where a link is likelier; what it is worth is learned from the movie."""


SHARES: Final = (ScoreScale.PROBABILITY, ScoreScale.IOU)
"""Scales whose numbers lie in 0 .. 1."""


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
        If the scores are no array of one number an edge, one is not finite, or beyond 0 .. 1 on a scale of shares.
    """

    value: NDArray[np.float64]
    scale: ScoreScale
    estimates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        value = np.asarray(self.value)
        if value is not self.value or value.ndim != 1 or value.dtype.kind not in "fiub":
            raise SchemaError(
                f"scores are an array of one number an edge, (m,) float64, got {type(self.value).__name__} "
                f"{value.shape} {value.dtype}"
            )
        if not np.isfinite(self.value).all():
            edge = int(np.argmin(np.isfinite(self.value)))
            raise SchemaError(f"scores must be finite, got {self.value[edge]} for edge {edge}")
        if self.scale in SHARES and len(self) and not (0 <= self.value.min() <= self.value.max() <= 1):
            raise SchemaError(
                f"scores on the scale {self.scale} lie in 0 .. 1, got {self.value.min():g} .. {self.value.max():g}"
            )

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

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Return one score an edge; the same cells and pixels always get the same scores.

        Parameters
        ----------
        detections : Detections
            n cells.
        edges : CandidateEdges
            m candidates.
        pixels : Pixels
            Masks and images of the movie, to be asked for frame by frame, best in their order.

        Raises
        ------
        MissingRowsError
            If it needs pixels that the movie does not have.
        """
        ...
