"""Which axis of an array is time, channel, z, y and x, and how one frame is taken from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from .frames import MAX_FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SPATIAL = "zyx"
STACK_AXES = {2: "yx", 3: "tyx", 4: "tzyx"}  # of an array of several frames that does not name its axes
DROPPED = "-"  # an axis of length one that says nothing


@dataclass(frozen=True, slots=True)
class FrameAxes:
    """The axes of an array of one or several frames.

    Parameters
    ----------
    names : str
        One letter for each axis: ``t``, ``c``, ``z``, ``y``, ``x``, or ``-`` for one that is dropped.
    sizes : tuple of int
        Length of each.
    """

    names: str
    sizes: tuple[int, ...]

    def _size(self, name: str) -> int:
        return self.sizes[self.names.index(name)] if name in self.names else 1

    @property
    def n_frames(self) -> int:
        """How many frames there are; 1 without a time axis."""
        return self._size("t")

    @property
    def n_channels(self) -> int:
        """How many channels there are; 1 without a channel axis."""
        return self._size("c")

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Size of one frame, axes ``([z,] y, x)``."""
        return tuple(self._size(name) for name in SPATIAL if name in self.names)

    def index(self, frames: slice, channel: int) -> tuple[slice | int, ...]:
        """Return the index that takes some frames of one channel."""
        places: dict[str, slice | int] = {"t": frames, "c": channel, DROPPED: 0}
        return tuple(places.get(name, slice(None)) for name in self.names)

    def arranged(self, block: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return what `index` took with axes ``(t, [z,] y, x)``."""
        names = [name for name in self.names if name not in "c-"]
        block = np.asarray(block)
        if "t" not in names:
            names, block = ["t", *names], block[None]
        return block.transpose([names.index(name) for name in "tzyx" if name in names])


def frame_axes(names: str, sizes: Sequence[int], where: str, *, is_label: bool) -> FrameAxes:
    """Return the axes of an array, or raise FormatError if they are those of no movie.

    Parameters
    ----------
    names : str
        Letters of `FrameAxes`; any other letter is an axis that nobody can place. Channel and z axes of length one
        are dropped.
    is_label : bool
        True for label masks, which have no channels.
    """
    kept = "".join(
        DROPPED if size == 1 and name not in "tyx" else name for name, size in zip(names, sizes, strict=True)
    )
    axes = FrameAxes(kept, tuple(sizes))
    named = kept.replace(DROPPED, "")
    if is_label and axes.n_channels > 1:
        raise FormatError(
            f"{where} holds {axes.n_channels} channels",
            expected="label masks, one number per pixel",
            got=f"axes {names}",
        )
    if len(set(named)) < len(named) or not set("yx") <= set(named) <= set("tczyx"):
        raise FormatError(
            f"{where} has axes {names} of shape {tuple(sizes)}", expected="axes of t, c, z, y and x", got=names
        )
    if 0 in sizes:
        raise FormatError(
            f"{where} holds no pixels", expected="frames of one pixel at least", got=f"shape {tuple(sizes)}"
        )
    if axes.n_frames > MAX_FRAMES:
        raise FormatError(f"{where} promises {axes.n_frames:,} frames", expected=f"{MAX_FRAMES:,} at most")
    return axes
