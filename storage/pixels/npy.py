"""Frames from npy: one stack ``(t, [z,] y, x)``, or files of one frame each."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from .axes import STACK_AXES, FrameAxes, frame_axes
from .frames import FrameHeader, OneImage, checked, require_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FRAME_AXES = {2: "yx", 3: "zyx"}


@dataclass(frozen=True, slots=True)
class NpyStack:
    """An npy file that holds all frames.

    Parameters
    ----------
    path : Path
        The file.
    header : FrameHeader
        What it promises.
    axes : FrameAxes
        Its axes.
    is_label : bool
        True for label masks.
    """

    path: Path
    header: FrameHeader
    axes: FrameAxes
    is_label: bool

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return str(self.path)

    @property
    def numbers(self) -> range:
        """Frames are counted from 0."""
        return range(self.axes.n_frames)

    def read(self, rows: Sequence[int]) -> Iterator[NDArray[np.generic]]:
        """Read the frames at increasing places `rows`, one in memory at a time.

        The file is mapped anew for each frame: pages of a map that stays count as memory of the process.
        """
        for row in rows:
            block = self.axes.arranged(_mapped(self.path)[self.axes.index(slice(row, row + 1), 0)])
            yield checked(np.array(block[0]), self.where, is_label=self.is_label)


def open_stack(path: Path, *, is_label: bool) -> dict[str, NpyStack]:
    """Open an npy file of all frames.

    Raises
    ------
    FormatError
        If it is no whole npy file, holds anything but numbers, or has more axes than ``(t, z, y, x)``.
    """
    header, axes = _layout(path, STACK_AXES, is_label=is_label)
    return {"": NpyStack(path, header, axes, is_label)}


@contextmanager
def open_image(path: Path, *, is_label: bool) -> Iterator[OneImage]:
    """Open an npy file of one frame."""
    header, axes = _layout(path, FRAME_AXES, is_label=is_label)
    yield OneImage(header, ("",), lambda _: np.array(axes.arranged(_mapped(path)[axes.index(slice(0, 1), 0)])[0]))


def _layout(path: Path, names: dict[int, str], *, is_label: bool) -> tuple[FrameHeader, FrameAxes]:
    """Return what an npy file says of its frames, and its axes."""
    mapped = _mapped(path)
    require_numbers(mapped.dtype, str(path), is_label=is_label)
    if mapped.ndim not in names:
        wanted = " or ".join(f"({', '.join(axes)})" for axes in names.values())
        raise FormatError(f"{path} holds an array of shape {mapped.shape}", expected=f"axes {wanted}")
    axes = frame_axes(names[mapped.ndim], mapped.shape, str(path), is_label=is_label)
    note = (f"the first axis of {path.name} is read as time",) if axes.names[0] == "t" else ()
    return FrameHeader(axes.frame_shape, mapped.dtype, notes=note), axes


def _mapped(path: Path) -> NDArray[np.generic]:
    """Map an npy file into memory; numpy refuses objects, which would have to be unpickled, and files cut off."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header fails in many ways
        raise FormatError(f"{path} cannot be read", expected="a whole npy file of numbers", got=str(error)) from error
    if not isinstance(mapped, np.ndarray):
        mapped.close()
        raise FormatError(f"{path} is a zip archive", expected="an npy file of one array")
    return mapped
