"""Label masks to regions: where each label lies, how large it is, and the box around it.

A mask is read as runs, stretches of one label along x: they are found in one pass over the pixels, and there are some
hundred times fewer of them. Everything after that is arithmetic on the runs, so that the largest label costs nothing
and an integer of any width is read as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The labels of one mask, one row each, in order of label.

    Parameters
    ----------
    label : (k,) int64
        Labels that the mask holds, increasing; background is not among them.
    centroid_px : (k, 2) or (k, 3) float64
        Mean of the pixel indices of each label, axes ``([z,] y, x)``.
    area : (k,) float64
        Pixels or voxels of each label.
    bbox_min, bbox_max : (k, 2) or (k, 3) int64
        Smallest box of pixels around each label; `bbox_max` lies outside.
    """

    label: NDArray[np.int64]
    centroid_px: NDArray[np.float64]
    area: NDArray[np.float64]
    bbox_min: NDArray[np.int64]
    bbox_max: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


def measure(mask: NDArray[np.integer]) -> Regions:
    """Find the regions of a label mask.

    Parameters
    ----------
    mask : (y, x) or (z, y, x) integer array
        Label of each pixel, 0 for background. Labels need not be consecutive, a label need not be connected.

    Returns
    -------
    Regions
        One row for each label; sums are of integers, so that no order of the pixels changes a digit.

    Raises
    ------
    FormatError
        If the mask does not hold integers in 2 or 3 axes, or a label is negative or beyond int64.
    """
    starts, lengths = runs(mask)
    label = labels_at(mask, starts)
    kept = label > 0
    starts, lengths, label = starts[kept], lengths[kept], label[kept]
    if not len(label):
        none = np.empty((0, mask.ndim), dtype=np.int64)
        return Regions(label, none.astype(np.float64), np.empty(0), none, none)

    order = np.argsort(label, kind="stable")
    label, lengths = label[order], lengths[order]
    first = np.stack(np.unravel_index(starts[order], mask.shape), axis=1)  # (r, ndim) first pixel of each run
    last = first.copy()
    last[:, -1] += lengths - 1

    group = np.flatnonzero(np.r_[True, label[1:] != label[:-1]])  # where the runs of each label begin
    area = np.add.reduceat(lengths, group)
    twice = np.add.reduceat((first + last) * lengths[:, None], group, axis=0)  # a run's mean is half of its two ends
    return Regions(
        label=label[group],
        centroid_px=twice / (2.0 * area[:, None]),
        area=area.astype(np.float64),
        bbox_min=np.minimum.reduceat(first, group, axis=0),
        bbox_max=np.maximum.reduceat(last, group, axis=0) + 1,
    )


def runs(*masks: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut masks of one shape into stretches along x in which none of them changes.

    Parameters
    ----------
    *masks : ([z,] y, x) integer arrays
        One or more label masks.

    Returns
    -------
    starts, lengths : (r,) int64
        First pixel of each run as index into the flattened mask, and its number of pixels. Together the runs cover
        every pixel, background too, in order.

    Raises
    ------
    FormatError
        If a mask does not hold integers in 2 or 3 axes, or the shapes differ.
    """
    shape = masks[0].shape
    size = masks[0].size
    for mask in masks:
        if mask.dtype.kind not in "iu":
            raise FormatError(f"a label mask holds integers, got {mask.dtype}")
        if mask.ndim not in (2, 3):
            raise FormatError(f"a label mask has 2 or 3 axes, got {mask.ndim}")
        if mask.shape != shape:
            raise FormatError(f"two masks of one frame differ in shape: {shape} and {mask.shape}")
    if not size:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)

    begins = np.zeros(size, dtype=bool)
    begins[:: shape[-1]] = True  # a row of pixels begins a run
    for mask in masks:
        flat = mask.ravel()
        begins[1:] |= flat[1:] != flat[:-1]
    starts = np.flatnonzero(begins).astype(np.int64, copy=False)
    return starts, np.diff(starts, append=size)


def labels_at(mask: NDArray[np.integer], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels of a mask at some of its pixels.

    Parameters
    ----------
    mask : ([z,] y, x) integer array
        Label of each pixel.
    pixels : (r,) int64
        Indices into the flattened mask.

    Returns
    -------
    label : (r,) int64
        Label of each of them.

    Raises
    ------
    FormatError
        If one of them is negative or beyond int64.
    """
    label = mask.ravel()[pixels]
    if not len(label):
        return label.astype(np.int64)
    if label.min() < 0:
        raise FormatError(f"a label mask holds label {label.min()}", expected="0 for background, then 1, 2, ...")
    if label.max() > np.iinfo(np.int64).max:
        raise FormatError(f"a label mask holds label {label.max()}", expected="a label below 2**63")
    return label.astype(np.int64, copy=False)
