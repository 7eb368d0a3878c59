"""How bright a movie is: exact percentiles of all its pixels, with two frames in memory at most.

Whole numbers of 16 bits or fewer are counted each by itself, in one pass. Others are counted as single-precision
numbers in two passes, first by the upper half of their bits, then by the lower half where a percentile lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

PERCENTILES: Final = (1.0, 99.8)
STEP: Final = 4  # of the pixels that are looked at, along both last axes, where both are long
LONG: Final = 256  # pixels of an axis
_HALF: Final = 1 << 16
_EPSILON: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Brightness:
    """The dark and the bright end, grey values: of a movie, or for each of n cells of its own frame.

    Parameters
    ----------
    low, high : float, or (n,) float64
        What becomes 0 and 1.
    """

    low: float | NDArray[np.float64]
    high: float | NDArray[np.float64]

    def normalised(self, grey: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n,) grey values as numbers that are 0 at the dark end and 1 at the bright end."""
        return np.asarray((grey - self.low) / (self.high - self.low + _EPSILON))


def brightness_of(frames: Callable[[], Iterable[NDArray[Any]]]) -> Brightness:
    """Return the 1st and the 99.8th percentile of all pixels, of every fourth one along y and x in large frames.

    Parameters
    ----------
    frames : callable
        Begins the movie anew with each call; frames of one shape and type, ([z,] y, x).

    Raises
    ------
    FormatError
        If there is no pixel that is a number.
    """
    low, high = percentiles(lambda: (thinned(frame) for frame in frames()), PERCENTILES)
    return Brightness(low, high)


def thinned(frame: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels of a frame that its percentiles are taken of."""
    return frame[..., ::STEP, ::STEP] if min(frame.shape[-2:]) > LONG else frame


def percentiles(frames: Callable[[], Iterable[NDArray[Any]]], wanted: Sequence[float]) -> list[float]:
    """Return percentiles of the pixels of all frames, those between two pixels by a straight line, as numpy does.

    Pixels that are no number are left out.

    Parameters
    ----------
    frames : callable
        Begins the movie anew with each call.
    wanted : sequence of float
        0 .. 100.

    Raises
    ------
    FormatError
        If there is no pixel that is a number.
    """
    counts = np.zeros(_HALF, np.int64)
    offset = 0
    for frame in frames():
        narrow = frame.dtype.kind in "bui" and frame.dtype.itemsize <= 2
        if narrow:
            offset = int(np.iinfo(frame.dtype).min) if frame.dtype.kind == "i" else 0
            key = frame.ravel().astype(np.int64) - offset
        else:
            key = (_sortable(frame) >> np.uint32(16)).astype(np.int64)
        counts += np.bincount(key, minlength=_HALF)
    total = int(counts.sum())
    if not total:
        raise FormatError("the images hold no pixel that is a number")
    ranks = [share / 100 * (total - 1) for share in wanted]
    asked = sorted({rank for place in ranks for rank in (int(place), min(int(place) + 1, total - 1))})
    upper = np.searchsorted(counts.cumsum(), asked, side="right")
    if narrow:
        value = {rank: float(key + offset) for rank, key in zip(asked, upper.tolist(), strict=True)}
    else:
        value = _by_lower_half(frames, asked, upper, counts)
    return [value[int(p)] + (p - int(p)) * (value[min(int(p) + 1, total - 1)] - value[int(p)]) for p in ranks]


def _by_lower_half(
    frames: Callable[[], Iterable[NDArray[Any]]],
    asked: Sequence[int],
    upper: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> dict[int, float]:
    """Return the pixel of each rank, the upper half of whose bits is known."""
    lower = {int(half): np.zeros(_HALF, np.int64) for half in upper}
    for frame in frames():
        key = _sortable(frame)
        for half, count in lower.items():
            count += np.bincount(key[key >> np.uint32(16) == half] & np.uint32(_HALF - 1), minlength=_HALF)
    before = counts.cumsum() - counts
    value = {}
    for rank, half in zip(asked, upper.tolist(), strict=True):
        low = int(np.searchsorted(lower[half].cumsum(), rank - int(before[half]), side="right"))
        value[rank] = _number(half << 16 | low)
    return value


def _sortable(frame: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the bits of single-precision numbers so that they sort as the numbers do, without NaN."""
    number = np.asarray(frame, dtype=np.float32).ravel()
    bits = number[~np.isnan(number)].view(np.uint32)
    return np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))


def _number(key: int) -> float:
    """Return the number that `_sortable` turned into this key."""
    bits = key ^ (1 << 31) if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.uint32(bits).view(np.float32))
