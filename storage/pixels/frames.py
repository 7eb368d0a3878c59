"""What a movie in files is to its readers, whatever the files: numbered frames, read one at a time.

Each kind of container has a file of its own beside this one. All of them promise the same:

* opening reads names and headers alone, and refuses what is wrong as early as it can be seen;
* a frame has axes ``([z,] y, x)``, numbers in the byte order of the machine, and is checked when its turn comes;
* never more than one frame is in memory, save where the container stores several of them in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

LARGE_FRAME = 256 << 20  # bytes; below this a frame is simply read
MOST_SHRUNK = 50_000  # times that a compressor makes a frame smaller: a large frame backed by less is a lie
MAX_FRAMES = 1_000_000  # more than that is a clock, not a frame number


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What a container says of its frames before any pixel is read.

    Parameters
    ----------
    shape : tuple of int
        Size of one frame, axes ``([z,] y, x)``.
    dtype : dtype
        Type of its pixels.
    scale_um : tuple of float or None
        Voxel size, where told.
    interval_s : float or None
        Seconds from frame to frame, where told.
    notes : tuple of str
        What the user should know about how it was read.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale_um: tuple[float, ...] | None = None
    interval_s: float | None = None
    notes: tuple[str, ...] = ()

    def with_note(self, note: str) -> FrameHeader:
        """Return the header with one more note, unless that is empty."""
        return replace(self, notes=(*self.notes, note)) if note else self


class Frames(Protocol):
    """One channel of a movie, or its label masks."""

    @property
    def where(self) -> str:
        """Its place, for messages."""
        ...

    @property
    def numbers(self) -> Sequence[int]:
        """Number of each frame as the container has it, without a gap."""
        ...

    @property
    def header(self) -> FrameHeader:
        """What is promised of all frames."""
        ...

    def read(self, rows: Sequence[int]) -> Iterator[NDArray[np.generic]]:
        """Read the frames at increasing places `rows`, in order.

        Raises
        ------
        FormatError
            If a frame cannot be read, or is not what the header promised.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneImage:
    """An open file that holds one frame.

    Parameters
    ----------
    header : FrameHeader
        What it says of itself.
    channels : tuple of str
        Names of its channels; one empty name for the only channel of a file that does not name it.
    read : function
        Reads the channel of a number.
    """

    header: FrameHeader
    channels: tuple[str, ...]
    read: Callable[[int], NDArray[np.generic]]


def require_numbers(dtype: np.dtype[np.generic], where: str, *, is_label: bool) -> None:
    """Raise FormatError unless pixels of this type can be labels, or intensities."""
    if dtype.kind not in ("ui" if is_label else "uifb"):
        wanted = "label masks of whole numbers, 0 for background" if is_label else "numbers"
        raise FormatError(f"{where} holds {dtype} pixels", expected=wanted, got=str(dtype))


def require_backed(shape: Sequence[int], dtype: np.dtype[np.generic], n_stored: int, where: str) -> None:
    """Raise FormatError if a header promises a frame that the bytes behind it cannot make up.

    Parameters
    ----------
    shape : sequence of int
        Size of one frame.
    n_stored : int
        Bytes that are stored of it and of all that shares its files.
    """
    n_bytes = prod(shape) * dtype.itemsize
    if n_bytes > LARGE_FRAME and n_bytes > MOST_SHRUNK * n_stored:
        raise FormatError(
            f"{where} promises frames of {n_bytes:,} bytes and stores {n_stored:,} in all",
            expected="a file that holds what its header promises",
            got=f"frames of shape {tuple(shape)}",
        )


def require_like(header: FrameHeader, first: FrameHeader, where: str) -> None:
    """Raise FormatError unless a frame has the shape and the kind of numbers of the first one."""
    if header.shape != first.shape:
        raise FormatError(
            f"{where} has another size than the first frame", expected=str(first.shape), got=str(header.shape)
        )
    if (header.dtype.kind == "f") != (first.dtype.kind == "f"):
        raise FormatError(
            f"{where} has other pixels than the first frame", expected=str(first.dtype), got=str(header.dtype)
        )


def checked(frame: NDArray[np.generic], where: str, *, is_label: bool) -> NDArray[np.generic]:
    """Return a frame in the byte order of the machine, or raise FormatError if a label is negative."""
    frame = np.ascontiguousarray(frame, dtype=frame.dtype.newbyteorder("="))
    if is_label and frame.dtype.kind == "i" and np.min(frame, initial=0) < 0:
        raise FormatError(f"{where} holds label {np.min(frame)}", expected="0 for background, labels from 1")
    return frame
