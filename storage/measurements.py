"""What the pixels of each cell tell: its box, its shape, and how bright it is in each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .schema import require_equal_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Intensity:
    """Brightness of each cell in one channel, over the pixels of its mask.

    Parameters
    ----------
    mean, min, max : (n,) float64
        In the units of the image; NaN where nobody measured, or where a pixel of the cell is no number.
    """

    mean: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]

    def __post_init__(self) -> None:
        require_equal_lengths(mean=self.mean, min=self.min, max=self.max)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the pixels tell of each cell, row by row as the `Detections` they belong to.

    Parameters
    ----------
    bbox_min, bbox_max : (n, ndim) int64
        Smallest box of pixels around each cell, axes ``([z,] y, x)``; `bbox_max` lies outside. -1 where not known.
    inertia_px2 : (n, ndim, ndim) float64
        Inertia tensor of each cell about its centre, a unit mass spread over its pixels: trace(S) I - S, where S is the
        covariance of their indices. NaN where not known.
    border_px : (n,) float64
        Fewest pixels between a cell and the border of the image along the last two axes: 0 if it touches. NaN where
        not known.
    intensity : dict of str to Intensity
        Brightness in each channel, in the order in which the channels were named.
    """

    bbox_min: NDArray[np.int64]
    bbox_max: NDArray[np.int64]
    inertia_px2: NDArray[np.float64]
    border_px: NDArray[np.float64]
    intensity: dict[str, Intensity]

    def __post_init__(self) -> None:
        require_equal_lengths(
            {channel: intensity.mean for channel, intensity in self.intensity.items()},
            bbox_min=self.bbox_min,
            bbox_max=self.bbox_max,
            inertia_px2=self.inertia_px2,
            border_px=self.border_px,
        )

    def __len__(self) -> int:
        return len(self.border_px)

    @classmethod
    def concatenate(cls, parts: Sequence[Features]) -> Features:
        """Return the rows of one or more parts, which all have the channels of the first, as one table."""
        return cls(
            np.concatenate([part.bbox_min for part in parts]),
            np.concatenate([part.bbox_max for part in parts]),
            np.concatenate([part.inertia_px2 for part in parts]),
            np.concatenate([part.border_px for part in parts]),
            {
                channel: Intensity(
                    np.concatenate([part.intensity[channel].mean for part in parts]),
                    np.concatenate([part.intensity[channel].min for part in parts]),
                    np.concatenate([part.intensity[channel].max for part in parts]),
                )
                for channel in parts[0].intensity
            },
        )
