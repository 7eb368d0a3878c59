"""Cells on the grid of pixels: which pixel is whose, and how much matter of the cell it holds.

Every cell asks only the pixels of its own box. A flat movie is a volume of one slice, so that one kernel serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ...storage.writers.paint import own_pixels
from .looks import BUMPS, OUTLINE, TEXTURE, WAVES
from .settings import Purpose, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .life import Scene

    Floats = NDArray[np.float64]
    Maps = NDArray[np.float32]
    Rows = NDArray[np.int32]

NOBODY = -1
BUMP = 0.05  # standard deviation of the outline, in radii
TEXTURE_LENGTHS = (0.6, 1.6)  # wavelengths of the texture in radii
FULL = 0.5  # share of the room that cells fill up to which they keep their shape; then they reach out for each other
CONFLUENT_REACH = {2: 0.55, 3: 0.3}  # by how much farther they reach where they fill it all


@dataclass(frozen=True, slots=True, eq=False)
class Bodies:
    """Shapes of the n cells of a frame, axes ``(z, y, x)``; a flat cell has z = 0 and a half axis of 1 there.

    Parameters
    ----------
    position : (n, 3) float64
        Centres in pixels along x.
    semi : (n, 3) float64
        Half axes, the long one last.
    turn : (n, 3, 3) float64
        Directions of the half axes, as rows.
    outline : (n, BUMPS, 5) float64
        Waves of the outline over the direction: amplitude, wave vector and phase in turns.
    texture : (n, WAVES, 5) float64
        Waves of the texture over the place in the cell, in half axes.
    reach : float
        How far out a cell claims pixels, in half axes.
    """

    position: Floats
    semi: Floats
    turn: Floats
    outline: Floats
    texture: Floats
    reach: float

    def __len__(self) -> int:
        return len(self.position)

    @property
    def half_box(self) -> Floats:
        """Half the size of the box around each, (n, 3) in pixels along x."""
        farthest = self.reach * (1 + np.abs(self.outline[:, :, 0]).sum(axis=1))
        size: Floats = farthest[:, None] * np.sqrt(np.einsum("nij,ni->nj", self.turn**2, self.semi**2))
        return size


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A frame on the grid.

    Parameters
    ----------
    row : (z, y, x) int32
        Row of the cell that has each pixel, `NOBODY` for background.
    depth : (z, y, x) float32
        How deep inside of it the pixel lies: 0 at its border, 1 at its centre.
    low, high : (n, 3) int64
        Box of pixels of each cell; `high` lies outside.
    count : (n,) int64
        Pixels of each cell.
    """

    row: Rows
    depth: Maps
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    count: NDArray[np.int64]


def bodies_of(scene: Scene, waves: tuple[Floats, Floats], *, spread: float, filled: float) -> Bodies:
    """Give the cells of a frame their shapes.

    Parameters
    ----------
    scene : Scene
        n cells.
    waves : two arrays
        From `wave_vectors`.
    spread : float
        The most elongated cell is this much longer than wide, plus one.
    filled : float
        Share of the room that cells fill, which tells how they touch.
    """
    n, ndim = scene.position.shape
    # a cell about to divide rounds up, a dying one shrinks
    aspect = np.where(scene.divides | scene.dies, 1.0, scene.looks.aspect(spread))
    radius = scene.radius * np.where(scene.dies, 0.65, np.where(scene.divides, 0.9, 1.0))
    short = radius * aspect ** (-1 / ndim)
    semi = np.stack([short, short, radius * aspect ** ((ndim - 1) / ndim)], axis=1)
    position = np.zeros((n, 3))
    position[:, 3 - ndim :] = scene.position
    if ndim == 2:
        semi[:, 0] = 1.0
    crowd = min(max((filled - FULL) / (1 - FULL), 0.0), 1.0)
    return Bodies(
        position=position,
        semi=semi,
        turn=scene.looks.turn,
        outline=_waves(scene.looks.traits[:, OUTLINE], waves[0], BUMP),
        texture=_waves(scene.looks.traits[:, TEXTURE], waves[1], WAVES**-0.5),
        reach=1 + CONFLUENT_REACH[ndim] * crowd,
    )


def wave_vectors(seed: int, ndim: int) -> tuple[Floats, Floats]:
    """Return the wave vectors of outlines (BUMPS, 3) and textures (WAVES, 3) that all cells of a movie share, in turns.

    A cell is told by the amplitudes and phases that it has of them.
    """
    rng = stream(seed, Purpose.SHAPE_WAVES)
    direction = np.concatenate([_spread_directions(BUMPS, ndim, rng), _spread_directions(WAVES, ndim, rng)])
    length = np.concatenate([rng.uniform(0.3, 0.6, BUMPS), 1 / rng.uniform(*TEXTURE_LENGTHS, WAVES)])
    vectors = direction * length[:, None]
    return vectors[:BUMPS], vectors[BUMPS:]


def _spread_directions(n: int, ndim: int, rng: np.random.Generator) -> Floats:
    """Return (n, 3) directions that no two waves share, so that no cell is striped one way."""
    turned = rng.random()
    if ndim == 2:  # half a turn holds all directions of a wave
        angle = np.pi * (np.arange(n) + turned) / n
        return np.stack([np.zeros(n), np.sin(angle), np.cos(angle)], axis=1)
    height = (np.arange(n) + 0.5) / n  # a spiral over the half sphere
    angle = 2 * np.pi * (turned + np.arange(n) * (np.sqrt(5) - 1) / 2)
    flat = np.sqrt(1 - height**2)
    return np.stack([height, flat * np.sin(angle), flat * np.cos(angle)], axis=1)


def _waves(traits: Floats, vectors: Floats, size: float) -> Floats:
    """Return (n, k, 5) waves: amplitude, wave vector, phase in turns, from pairs of normal numbers."""
    pairs = traits.reshape(len(traits), len(vectors), 2)
    waves = np.empty((*pairs.shape[:2], 5))
    waves[:, :, 0] = size * np.hypot(pairs[:, :, 0], pairs[:, :, 1])
    waves[:, :, 1:4] = vectors
    waves[:, :, 4] = np.arctan2(pairs[:, :, 1], pairs[:, :, 0]) / (2 * np.pi)
    return waves


def paint(
    bodies: Bodies, shown: NDArray[np.bool_], shape: tuple[int, int, int], pitch: tuple[float, float, float]
) -> Painted:
    """Share the pixels of a frame among the cells.

    A pixel belongs to the cell in which it lies deepest, in units of that cell's size: where two touch, the border
    runs between them. Each cell that the frame shows has a pixel at least.

    Parameters
    ----------
    bodies : Bodies
        n cells.
    shown : (n,) bool
        Those whose centre lies in the frame.
    shape : (int, int, int)
        Size of the frame, axes ``(z, y, x)``.
    pitch : (float, float, float)
        Size of a voxel, in pixels along x.
    """
    size, half = np.array(shape), bodies.half_box
    low = np.clip(np.ceil((bodies.position - half) / pitch), 0, size).astype(np.int64)
    high = np.clip(np.floor((bodies.position + half) / pitch) + 1, low, size).astype(np.int64)
    row = np.full(shape, NOBODY, dtype=np.int32)
    first = np.full(shape, bodies.reach, dtype=np.float32)
    second = np.full(shape, bodies.reach, dtype=np.float32)
    count = _share(
        bodies.position, bodies.semi, bodies.turn, bodies.outline, low, high, np.array(pitch), row, first, second
    )
    if np.any(shown & (count == 0)):  # cells of less than a pixel, or hidden by others: each gets that at its centre
        rows = np.flatnonzero(shown)
        centre = np.clip(np.rint(bodies.position[rows] / pitch).astype(np.int64), 0, size - 1)
        for pixel, i in zip(own_pixels(centre, size), rows, strict=True):
            if row[pixel] != NOBODY:
                count[row[pixel]] -= 1
            row[pixel] = i
            count[i] += 1
            low[i], high[i] = np.minimum(low[i], pixel), np.maximum(high[i], np.add(pixel, 1))
    _depth(first, second, bodies.reach)
    return Painted(row, first, low, high, count)


def matter(
    bodies: Bodies, amount: Floats, contrast: float, painted: Painted, pitch: tuple[float, float, float]
) -> Maps:
    """Return how much matter lies at each pixel: its cell's amount, more or less of it by the cell's own texture.

    Parameters
    ----------
    bodies : Bodies
        n cells.
    amount : (n,) float64
        Of each.
    contrast : float
        Standard deviation of the texture, in amounts.
    painted : Painted
        Whose pixels are whose.
    pitch : (float, float, float)
        Size of a voxel, in pixels along x.
    """
    out = np.zeros(painted.row.shape, dtype=np.float32)
    _fill(
        bodies.position,
        bodies.semi,
        bodies.turn,
        bodies.texture,
        amount,
        contrast,
        painted.low,
        painted.high,
        np.array(pitch),
        painted.row,
        out,
    )
    return out


@njit(cache=True, inline="always")
def _wave(turns: float) -> float:
    """Return a wave of period 1 made of parabolas: nearly a sine, at a tenth of the work and alike on each machine."""
    q: float = turns - np.floor(turns + 0.5)
    return 8 * q * (1 - 2 * abs(q))


@njit(cache=True, nogil=True)
def _share(
    position: Floats,
    semi: Floats,
    turn: Floats,
    outline: Floats,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    pitch: Floats,
    row: Rows,
    first: Maps,
    second: Maps,
) -> NDArray[np.int64]:
    """Find for each pixel the nearest cell and the distances to it and to the next, in half axes; count the pixels."""
    n = len(position)
    count = np.zeros(n, np.int64)
    reach = first[0, 0, 0] if first.size else np.float32(1)
    for i in range(n):
        most = 1.0
        for k in range(outline.shape[1]):
            most += abs(outline[i, k, 0])
        for z in range(low[i, 0], high[i, 0]):
            dz = z * pitch[0] - position[i, 0]
            for y in range(low[i, 1], high[i, 1]):
                dy = y * pitch[1] - position[i, 1]
                for x in range(low[i, 2], high[i, 2]):
                    dx = x * pitch[2] - position[i, 2]
                    a = (turn[i, 0, 0] * dz + turn[i, 0, 1] * dy + turn[i, 0, 2] * dx) / semi[i, 0]
                    b = (turn[i, 1, 0] * dz + turn[i, 1, 1] * dy + turn[i, 1, 2] * dx) / semi[i, 1]
                    c = (turn[i, 2, 0] * dz + turn[i, 2, 1] * dy + turn[i, 2, 2] * dx) / semi[i, 2]
                    out = np.sqrt(a * a + b * b + c * c)
                    if out >= reach * most:
                        continue
                    far = max(out, 1e-9)
                    bump = 1.0
                    for k in range(outline.shape[1]):
                        along = (outline[i, k, 1] * a + outline[i, k, 2] * b + outline[i, k, 3] * c) / far
                        bump += outline[i, k, 0] * _wave(along + outline[i, k, 4])
                    near = np.float32(out / max(bump, 0.3))
                    if near < first[z, y, x]:
                        second[z, y, x] = first[z, y, x]
                        first[z, y, x] = near
                        if row[z, y, x] >= 0:
                            count[row[z, y, x]] -= 1
                        row[z, y, x] = i
                        count[i] += 1
                    elif near < second[z, y, x]:
                        second[z, y, x] = near
    return count


@njit(cache=True, nogil=True)
def _depth(first: Maps, second: Maps, reach: float) -> None:
    """Turn distances to the nearest cell into depths inside of it: from its outline, or from the border to the next."""
    for z in range(first.shape[0]):
        for y in range(first.shape[1]):
            for x in range(first.shape[2]):
                a, b = first[z, y, x], second[z, y, x]
                first[z, y, x] = min(reach - a, 0.5 * (b - a)) / (0.5 * reach) if b < reach else (reach - a) / reach


@njit(cache=True, nogil=True)
def _fill(
    position: Floats,
    semi: Floats,
    turn: Floats,
    texture: Floats,
    amount: Floats,
    contrast: float,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    pitch: Floats,
    row: Rows,
    out: Maps,
) -> None:
    """Fill each cell's pixels with its amount times its texture."""
    for i in range(len(position)):
        for z in range(low[i, 0], high[i, 0]):
            dz = z * pitch[0] - position[i, 0]
            for y in range(low[i, 1], high[i, 1]):
                dy = y * pitch[1] - position[i, 1]
                for x in range(low[i, 2], high[i, 2]):
                    if row[z, y, x] != i:
                        continue
                    dx = x * pitch[2] - position[i, 2]
                    a = (turn[i, 0, 0] * dz + turn[i, 0, 1] * dy + turn[i, 0, 2] * dx) / semi[i, 0]
                    b = (turn[i, 1, 0] * dz + turn[i, 1, 1] * dy + turn[i, 1, 2] * dx) / semi[i, 1]
                    c = (turn[i, 2, 0] * dz + turn[i, 2, 1] * dy + turn[i, 2, 2] * dx) / semi[i, 2]
                    grain = 0.0
                    for k in range(texture.shape[1]):
                        w = texture[i, k]
                        grain += w[0] * _wave(w[1] * a + w[2] * b + w[3] * c + w[4])
                    out[z, y, x] = amount[i] * max(0.2, 1 + contrast * grain)
