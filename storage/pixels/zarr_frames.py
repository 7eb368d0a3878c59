"""Frames from a Zarr array, read by zarr one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .frames import checked
from .zarr_array import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import zarr
    from numpy.typing import NDArray

    from .axes import FrameAxes
    from .frames import FrameHeader

SLAB = 256 << 20  # bytes to read at once where several frames share their chunks


@dataclass(frozen=True, slots=True, eq=False)
class ZarrFrames:
    """One channel of a Zarr array.

    Parameters
    ----------
    where : str
        Place of the array, for messages.
    header : FrameHeader
        What it promises.
    array : zarr.Array
        The array, opened for reading.
    axes : FrameAxes
        Its axes.
    channel : int
        Which channel is read.
    is_label : bool
        True for label masks.
    """

    where: str
    header: FrameHeader
    array: zarr.Array[Any]
    axes: FrameAxes
    channel: int
    is_label: bool

    @property
    def numbers(self) -> range:
        """Frames are counted from 0."""
        return range(self.axes.n_frames)

    def read(self, rows: Sequence[int]) -> Iterator[NDArray[np.generic]]:
        """Read the frames at increasing places `rows`.

        One frame is in memory at a time; where chunks hold several frames, as many as fit in `SLAB` are read together,
        so that a chunk need not be decoded for each of them.
        """
        for slab in self._slabs(rows):
            index = self.axes.index(slice(slab[0], slab[-1] + 1), self.channel)
            with reading(f"frame {slab[0]} of {self.where}"):
                block = self.axes.arranged(np.asarray(self.array[index]))
            for row in slab:
                yield checked(block[row - slab[0]], self.where, is_label=self.is_label)
            del block

    def _slabs(self, rows: Sequence[int]) -> Iterator[list[int]]:
        """Part the rows into those that are read together."""
        n_together = self.array.chunks[self.axes.names.index("t")] if "t" in self.axes.names else 1
        most = max(1, SLAB // (prod(self.header.shape) * self.header.dtype.itemsize))
        slab: list[int] = []
        for row in rows:
            if slab and (row // n_together != slab[0] // n_together or row - slab[0] >= most):
                yield slab
                slab = []
            slab.append(row)
        if slab:
            yield slab
