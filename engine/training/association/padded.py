"""Examples of different size side by side: rows that are no cell fill up the smaller ones."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .examples import Example


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B examples of n rows at most, in T frames of m cells at most.

    Parameters
    ----------
    places : (B, n, 1 + c) float32
        Frame and place of each cell, pixels.
    features : (B, n, F) float32
        What is known of each.
    padding : (B, n) bool
        True for rows that are no cell.
    frame : (B, n) int64
        Frame of each row; 0 for padding.
    associated : (B, n, n) bool
        Whether row and column are the same cell, or one comes from the other.
    weight : (B, n, n) float32
        How much each pair counts.
    rows : (B, T, m) int64
        Rows of each frame in turn.
    absent : (B, T, m) bool
        True where a frame has fewer cells.
    """

    places: Tensor
    features: Tensor
    padding: Tensor
    frame: Tensor
    associated: Tensor
    weight: Tensor
    rows: Tensor
    absent: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Batch:
        """Return examples, each with cells in the order of frames, as one batch on the CPU."""
        n = max(len(example.frame) for example in examples)
        of_frames = [_rows_of_frames(example.frame) for example in examples]
        n_frames, most = (max(rows.shape[axis] for rows in of_frames) for axis in (0, 1))
        rows = np.stack([_filled(rows, (n_frames, most), -1) for rows in of_frames])

        def stacked(name: str, dims: int) -> Tensor:
            arrays = [getattr(example, name) for example in examples]
            shape = (n,) * dims + arrays[0].shape[dims:]
            return torch.from_numpy(np.stack([_filled(array, shape) for array in arrays]))

        count = np.array([len(example.frame) for example in examples])
        return cls(
            places=stacked("places", 1),
            features=stacked("features", 1),
            padding=torch.from_numpy(np.arange(n) >= count[:, None]),
            frame=stacked("frame", 1),
            associated=stacked("associated", 2),
            weight=stacked("weight", 2),
            rows=torch.from_numpy(np.maximum(rows, 0)),
            absent=torch.from_numpy(rows < 0),
        )

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def by_frame(self, square: Tensor) -> Tensor:
        """Return the rows of (B, n, n) by their frames, (B, T, m, n); absent ones repeat the first row."""
        there = self.rows.flatten(1)[..., None].expand(-1, -1, square.shape[-1])  # (B, T * m, n)
        return square.gather(1, there).unflatten(1, self.rows.shape[1:])


def _rows_of_frames(frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of each frame in turn, (T, m), filled up with -1."""
    _, place, count = np.unique(frame, return_inverse=True, return_counts=True)
    rows = np.full((len(count), int(count.max(initial=0))), -1, np.int64)
    rows[place, np.arange(len(frame)) - np.repeat(np.cumsum(count) - count, count)] = np.arange(len(frame))
    return rows


def _filled(array: NDArray[Any], shape: tuple[int, ...], value: int = 0) -> NDArray[Any]:
    """Return an array of a larger shape that begins with this one."""
    whole = np.full(shape, value, array.dtype)
    whole[tuple(slice(size) for size in array.shape)] = array
    return whole
