"""Label masks to regions: where each label lies, how large and how bright it is, and what shape it has.

A mask is read as runs, stretches of one label along x: they are found in one pass over the pixels, and there are some
hundred times fewer of them. Everything after that is arithmetic on the runs, so that the largest label costs nothing
and an integer of any width is read as it is. An image is read once, where cells are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError
from ..storage.measurements import Features, Intensity

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    features : Features
        Box, shape, distance from the border and brightness of each.
    """

    label: NDArray[np.int64]
    centroid_px: NDArray[np.float64]
    area: NDArray[np.float64]
    features: Features

    def __len__(self) -> int:
        return len(self.label)


def measure(mask: NDArray[np.integer], images: Mapping[str, NDArray[np.generic]] | None = None) -> Regions:
    """Find the regions of a label mask, and how bright they are.

    Parameters
    ----------
    mask : (y, x) or (z, y, x) integer array
        Label of each pixel, 0 for background. Labels need not be consecutive, a label need not be connected.
    images : mapping of str to array of the mask's shape
        Intensities of each channel: integers, floats or booleans. A cell that covers a NaN has NaN for mean, min and
        max of that channel, as in scikit-image.

    Returns
    -------
    Regions
        One row for each label. Boxes, areas and sums over places are of integers, and so are those of intensities of
        up to 32 bits: no order of the pixels changes a digit. Floats are added in double precision, row by row.

    Raises
    ------
    FormatError
        If the mask does not hold integers in 2 or 3 axes, a label is negative or beyond int64, or an image has another
        shape or holds no numbers.
    """
    from .run_sums import number_labels, sum_places  # what links alone needs no compiler

    starts, lengths = runs(mask)
    label = labels_at(mask, starts)
    inside = label > 0
    starts, lengths = starts[inside], lengths[inside]
    found, slot = number_labels(label[inside])
    order = np.argsort(found)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    slot = place[slot]

    axes = slice(3 - mask.ndim, None)
    sums = sum_places(starts, lengths, slot, len(found), *mask.shape[-2:])
    area, origin, first, second, low, high, border = (column[:, axes] if column.ndim > 1 else column for column in sums)
    second = second[..., axes]
    mean = first / area[:, None]
    covariance = second / area[:, None, None] - mean[:, :, None] * mean[:, None, :]
    trace = np.trace(covariance, axis1=1, axis2=2)
    return Regions(
        label=found[order],
        centroid_px=origin + mean,
        area=area.astype(np.float64),
        features=Features(
            bbox_min=low,
            bbox_max=high,
            inertia_px2=trace[:, None, None] * np.eye(mask.ndim) - covariance,
            border_px=border.astype(np.float64),
            intensity={
                channel: _intensity(channel, image, mask.shape, starts, lengths, slot, area)
                for channel, image in (images or {}).items()
            },
        ),
    )


def _intensity(
    channel: str,
    image: NDArray[np.generic],
    shape: tuple[int, ...],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    slot: NDArray[np.int64],
    area: NDArray[np.int64],
) -> Intensity:
    """Return how bright each cell is in one image."""
    from .run_sums import sum_intensity

    if image.shape != shape:
        raise FormatError(
            f"the image of channel {channel} has another shape than the mask", expected=str(shape), got=str(image.shape)
        )
    pixels = _plain(channel, image)
    exact = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 4
    total: NDArray[np.int64] | NDArray[np.float64]
    total = np.zeros(len(area), np.int64) if exact else np.zeros(len(area))
    low, high = sum_intensity(pixels, starts, lengths, slot, total)
    return Intensity((total / area).astype(np.float64), low, high)


def _plain(channel: str, image: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the intensities in one row, as numbers that can be compiled for."""
    kind = image.dtype
    if kind.kind not in "biuf":
        raise FormatError(f"the image of channel {channel} holds {kind}", expected="whole numbers or floats")
    plain = {"b": np.dtype(np.uint8), "f": np.dtype(np.float32 if kind.itemsize <= 4 else np.float64)}
    return np.ascontiguousarray(image, dtype=plain.get(kind.kind, kind.newbyteorder("="))).reshape(-1)


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

    begins = np.empty(size, dtype=bool)
    flat = masks[0].ravel()
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    for mask in masks[1:]:
        flat = mask.ravel()
        begins[1:] |= flat[1:] != flat[:-1]
    begins[:: shape[-1]] = True  # a row of pixels begins a run
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
