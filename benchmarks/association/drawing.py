"""Movies written as the Cell Tracking Challenge keeps them: points as discs or balls of one size, images of one grey.

A network wants masks and images. Where a movie has none it gets shapes that are all the same and images of one value,
which tell nothing: what is left is where the cells are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile
from scipy.spatial import cKDTree

from trackdb.engine.measure import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from truth import TrueMovie

SPACING_PX = 14.0  # of points that are drawn: median distance of nearest neighbours in a frame
RADIUS_PX = 4.5
BORDER_PX = 8
GREY = 100


def tracks_of(frame: NDArray[np.int64], link: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the track of each cell, and for each track its number, first and last frame, and mother track.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell.
    link : (l, 2) int64
        From each cell to what it becomes one frame later; a cell with two links divides.

    Returns
    -------
    track : (n,) int64
        From 1.
    lines : (k, 4) int64
        The rows of ``man_track.txt``; mother 0 where there is none.
    """
    n = len(frame)
    parent = np.full(n, -1)
    parent[link[:, 1]] = link[:, 0]
    daughters = np.bincount(link[:, 0], minlength=n)
    begins = (parent < 0) | (daughters[parent] > 1)
    track = np.zeros(n, dtype=np.int64)
    track[begins] = np.arange(1, np.count_nonzero(begins) + 1)
    for t in np.unique(frame):
        rows = np.flatnonzero((frame == t) & ~begins)
        track[rows] = track[parent[rows]]
    first, last = np.full(track.max() + 1, n), np.zeros(track.max() + 1, dtype=np.int64)
    np.minimum.at(first, track, frame)
    np.maximum.at(last, track, frame)
    mother = np.zeros(len(first), dtype=np.int64)
    mother[track[begins]] = np.where(parent[begins] < 0, 0, track[parent[begins]])
    return track, np.c_[np.arange(len(first)), first, last, mother][1:]


def discs(
    place_px: NDArray[np.float64], label: NDArray[np.int64], shape: tuple[int, ...], radius: float
) -> NDArray[np.uint16]:
    """Return a mask with a disc, or a ball, around each place; where two meet, each pixel is the nearer one's.

    Raises
    ------
    ValueError
        If a cell has no pixel of its own.
    """
    mask, nearest = np.zeros(shape, np.uint16), np.full(shape, radius)
    for place, name in zip(place_px, label, strict=True):
        low = np.maximum(np.ceil(place - radius).astype(int), 0)
        box = tuple(map(slice, low, np.minimum(np.floor(place + radius).astype(int) + 1, shape)))
        steps = np.meshgrid(*(np.arange(b.start, b.stop) - x for b, x in zip(box, place, strict=True)), indexing="ij")
        away = np.sqrt(sum(step**2 for step in steps))
        closer = away <= nearest[box]
        nearest[box][closer], mask[box][closer] = away[closer], name
    lost = np.setdiff1d(label, mask)
    if len(lost):
        raise ValueError(f"{len(lost)} cells lie on others: no pixel is theirs")
    return mask


def draw_points(folder: Path, movie: TrueMovie, frames: slice) -> None:
    """Draw a part of a movie of points, scaled to `SPACING_PX`, with its truth and images of one grey."""
    whole = movie.detections
    kept = np.isin(whole.frame, np.arange(whole.frame.max() + 1)[frames])
    frame = whole.frame[kept] - whole.frame[kept].min()
    row = np.cumsum(kept) - 1
    link = row[movie.link[kept[movie.link].all(1)]]
    place = np.asarray(whole.position_um)[kept]
    apart = [cKDTree(p).query(p, 2)[0][:, 1] for t in np.unique(frame) if len(p := place[frame == t]) > 1]
    place = (place - place.min(0)) * SPACING_PX / np.median(np.concatenate(apart)) + BORDER_PX
    shape = tuple((np.ceil(place.max(0)) + BORDER_PX).astype(int))
    track, lines = tracks_of(frame, link)
    masks = (discs(place[frame == t], track[frame == t], shape, RADIUS_PX) for t in range(frame.max() + 1))
    write_truth(folder, masks, lines)


def discs_of(masks: Iterable[NDArray[np.integer]]) -> Iterator[NDArray[np.uint16]]:
    """Return masks with each cell as a disc of one size; labels stay."""
    for mask in masks:
        regions = measure(mask)
        yield discs(regions.centroid_px, regions.label, mask.shape, RADIUS_PX)


def write_truth(folder: Path, masks: Iterable[NDArray[np.integer]], lines: NDArray[np.int64]) -> None:
    """Write masks labelled by track, the table of tracks, and images of one grey."""
    truth = folder / "01_GT" / "TRA"
    write_masks(truth, "man_track", masks)
    np.savetxt(truth / "man_track.txt", lines, fmt="%d")
    write_grey(folder / "01", truth)


def write_masks(folder: Path, prefix: str, masks: Iterable[NDArray[np.integer]]) -> None:
    """Write masks, frame after frame."""
    folder.mkdir(parents=True)
    for t, mask in enumerate(masks):
        tifffile.imwrite(folder / f"{prefix}{t:03d}.tif", mask, compression="zlib")


def write_grey(folder: Path, masks: Path) -> None:
    """Write an image of one grey for each mask."""
    folder.mkdir(parents=True)
    for t, file in enumerate(sorted(masks.glob("*.tif"))):
        grey = np.full(tifffile.imread(file).shape, GREY, np.uint8)
        tifffile.imwrite(folder / f"t{t:03d}.tif", grey, compression="zlib")
