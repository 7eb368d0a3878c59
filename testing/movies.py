"""Movies to score: cells that walk, drawn as discs, with the pixels that belong to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..engine.measure import measure
from ..engine.pixels import PixelsInMemory
from ..storage.schema import Detections

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def cells(frame: ArrayLike, position: ArrayLike, scale_um: tuple[float, ...] | None = None) -> Detections:
    """Return detections at these places, numbered from 0."""
    frame, position = np.asarray(frame, dtype=np.int64), np.asarray(position, dtype=np.float64)
    n = np.arange(len(frame))
    return Detections(n, frame, position, n + 1, np.full(len(n), np.nan), scale_um)


def walk(
    seed: int,
    *,
    n_frames: int = 12,
    n_cells: int = 60,
    ndim: int = 2,
    sigma: float = 0.1,
    extent: float = 10.0,
    scale_um: tuple[float, ...] | None = None,
) -> Detections:
    """Return cells that walk at random: row ``t * n_cells + i`` is cell i in frame t."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, extent, (1, n_cells, ndim))
    steps = rng.normal(0, sigma, (n_frames, n_cells, ndim))
    place = (start + np.cumsum(steps, axis=0)).reshape(-1, ndim)
    return cells(np.repeat(np.arange(n_frames), n_cells), place, scale_um)


def painted(movie: Detections, radius: float = 4.0) -> tuple[Detections, PixelsInMemory]:
    """Draw each cell as a disc (ball), touching ones cut half way; return the cells with their areas, and the pixels.

    The movie is moved so that all cells lie within the frames.
    """
    movie = replace(movie, position_px=movie.position_px - movie.position_px.min(axis=0) + radius + 1)
    shape = tuple(int(n) for n in movie.position_px.max(axis=0) + radius + 2)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    masks, area = {}, np.zeros(len(movie))
    for frame in np.unique(movie.frame).tolist():
        rows = np.flatnonzero(movie.frame == frame)
        far = np.stack([np.linalg.norm(grid - place, axis=-1) for place in movie.position_px[rows]])
        nearest = far.argmin(axis=0)
        drawn = np.where(far.min(axis=0) <= radius, nearest, -1)
        masks[frame] = np.where(drawn >= 0, movie.label[rows][drawn], 0).astype(np.uint32)
        area[rows] = np.bincount(drawn[drawn >= 0], minlength=len(rows))
    image = {frame: (mask > 0) * np.uint16(100) for frame, mask in masks.items()}
    return replace(movie, area=area), PixelsInMemory(masks, {"image": image})


def measured(
    *masks: NDArray[np.integer], scale_um: tuple[float, ...] | None = None
) -> tuple[Detections, PixelsInMemory]:
    """Return the cells of masks, frame after frame, and the masks as pixels."""
    regions = [measure(mask) for mask in masks]
    n = sum(map(len, regions))
    found = Detections(
        id=np.arange(n),
        frame=np.repeat(np.arange(len(masks)), list(map(len, regions))),
        position_px=np.concatenate([r.centroid_px for r in regions]),
        label=np.concatenate([r.label for r in regions]),
        area=np.concatenate([r.area for r in regions]),
        scale_um=scale_um,
    )
    return found, PixelsInMemory(dict(enumerate(masks)))
