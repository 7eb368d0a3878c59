"""What a segmentation makes of a frame: cells missed, made up, merged and split, with ragged outlines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.spatial import cKDTree

from ...storage.writers.paint import own_pixels
from .bodies import NOBODY
from .settings import Purpose, ball, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .bodies import Bodies, Painted
    from .settings import Drawing

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

KINDS = ("missed", "false", "merged", "split")
NEAR = 3.5  # radii between the centres of two cells that may be taken for one
RAG = 5.0  # pixels between the nodes of the field that makes outlines ragged
FALSE_RADII = (0.35, 0.75)  # of false detections, in those of a cell
UNSEEN = -1  # mark of pixels that no cell has looked at yet
SPECK = 0.3  # radius of a false detection where there is no room between the cells
TRIES = 30  # to find room
OFF_CENTRE = 0.2  # how far from a cell's centre it is split, in half axes


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationErrors:
    """What is wrong with the labels of one frame: a row for each label and each cell that a mistake touches.

    Parameters
    ----------
    kind : (k,) int64
        Place in `KINDS`.
    label : (k,) int64
        Label in the mask; 0 for a cell that was missed.
    track : (k,) int64
        Track of the cell; 0 for a false detection.
    """

    kind: NDArray[np.int64]
    label: NDArray[np.int64]
    track: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True, eq=False)
class _Fate:
    """What becomes of each of the n cells: its label, that of its other half, and who is merged with whom."""

    label: Ints  # (n,) 0: missed, or not to be seen
    other: Ints  # (n,) label beyond the cut, 0: not split
    partner: Ints  # (n,) row of the cell that it is merged into, -1: none
    missed: NDArray[np.bool_]  # (n,)


def segment(
    bodies: Bodies,
    painted: Painted,
    track: Ints,
    drawing: Drawing,
    frame: int,
    pitch: tuple[float, float, float],
) -> tuple[NDArray[np.int32], SegmentationErrors]:
    """Return the mask of a segmentation, and what is wrong with it.

    Each cell that the frame shows is missed, split, merged or left alone, one of these, by the rates asked for. Labels
    are shuffled in each frame and carry no identity.

    Parameters
    ----------
    bodies : Bodies
        n cells.
    painted : Painted
        Whose pixels are whose.
    track : (n,) int64
        Track of each cell; those of track 0 are not segmented.
    drawing : Drawing
        Rates and seed.
    frame : int
        Number of the frame.
    pitch : (float, float, float)
        Size of a voxel, in pixels along x.

    Returns
    -------
    mask : (z, y, x) int32
        Labels from 1.
    errors : SegmentationErrors
        What is wrong.
    """
    rng = stream(drawing.seed, Purpose.ERRORS, frame)
    shown = np.flatnonzero(track > 0)
    n_false = int(rng.poisson(drawing.false * len(shown)))
    fate = _fate(bodies, shown, drawing, n_false, rng)
    mask = _drawn(bodies, painted, fate, drawing.ragged_px, pitch, rng)
    _bridge_merged(mask, painted, bodies, fate, pitch)
    fate, area = _with_pixels(mask, bodies, fate, pitch)
    free = np.setdiff1d(np.arange(1, 2 * len(track) + n_false + 1), np.concatenate([fate.label, fate.other]))
    false = _add_false(mask, painted, bodies, rng.permutation(free)[:n_false], area, pitch, rng)
    return mask, _errors(fate, track, false)


def _fate(bodies: Bodies, shown: Ints, drawing: Drawing, n_false: int, rng: np.random.Generator) -> _Fate:
    """Draw what becomes of each cell."""
    n = len(bodies)
    chance = np.full(n, 2.0)
    chance[shown] = rng.random(len(shown))
    missed = chance < drawing.missed
    splits = ~missed & (chance < drawing.missed + drawing.split)
    begins = ~missed & ~splits & (chance < drawing.missed + drawing.split + drawing.merged)
    labels = rng.permutation(2 * n + n_false) + 1
    label, other = np.zeros(n, dtype=np.int64), np.where(splits, labels[n : 2 * n], 0)
    label[shown] = labels[shown]
    label[missed] = 0
    partner = np.full(n, -1, dtype=np.int64)
    if begins.any():
        free = np.zeros(n, dtype=bool)
        free[shown] = True
        partner = _partners(bodies, np.flatnonzero(begins), free & ~missed & ~splits)
        merged = partner >= 0
        label[merged] = label[partner[merged]]
    return _Fate(label, other, partner, missed)


def _partners(bodies: Bodies, begins: Ints, free: NDArray[np.bool_]) -> Ints:
    """Find for each cell that is to be merged its nearest neighbour that is free; each is in one pair at most."""
    partner = np.full(len(free), -1, dtype=np.int64)
    radius = np.median(bodies.semi[:, 1:])
    tree = cKDTree(bodies.position)
    found = tree.query(bodies.position[begins], k=range(1, min(12, len(free)) + 1), distance_upper_bound=NEAR * radius)
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    free = free.copy()
    free[begins] = False  # who is to be merged with a neighbour of its own is nobody else's
    for i, row in enumerate(begins.tolist()):  # the few that are merged, in order: what one takes the next cannot
        for d, j in zip(distance[i].tolist(), near[i].tolist(), strict=True):
            if np.isfinite(d) and free[j]:
                partner[row], free[j] = j, False
                break
    return partner


def _drawn(
    bodies: Bodies,
    painted: Painted,
    fate: _Fate,
    ragged_px: float,
    pitch: tuple[float, float, float],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Return the mask of the cells, with ragged outlines, and cut where they are split."""
    shape = painted.row.shape
    nodes = [int(np.ceil(n / RAG)) + 2 for n in shape]
    amplitude = (ragged_px / np.array(pitch, dtype=np.float32))[:, None, None, None]
    field = amplitude * rng.standard_normal((3, *nodes), dtype=np.float32)
    if shape[0] == 1:
        field[0] = 0
    edge = int(np.ceil(4 * ragged_px / min(pitch)))
    low = np.clip(painted.low - edge, 0, shape)
    high = np.clip(painted.high + edge, low, shape)
    mask = np.full(shape, UNSEEN, dtype=np.int32)
    # split across the long axis, somewhat off the centre
    normal = bodies.turn[:, 2, :] / bodies.semi[:, 2:]
    offset = OFF_CENTRE * rng.uniform(-1, 1, len(bodies))
    _cut(painted.row, low, high, field, fate.label, fate.other, bodies.position, normal, offset, np.array(pitch), mask)
    return mask


def _bridge_merged(
    mask: NDArray[np.int32], painted: Painted, bodies: Bodies, fate: _Fate, pitch: tuple[float, float, float]
) -> None:
    """Fill the gap between two cells that became one, so that the label is in one piece."""
    size, spread = np.array(mask.shape), np.array(pitch)
    for i in np.flatnonzero(fate.partner >= 0).tolist():  # the few that are merged
        a, b = bodies.position[i], bodies.position[fate.partner[i]]
        width = 0.6 * min(bodies.semi[i, 1], bodies.semi[fate.partner[i], 1])
        low = np.clip(np.floor((np.minimum(a, b) - width) / spread), 0, size).astype(np.int64)
        high = np.clip(np.ceil((np.maximum(a, b) + width) / spread) + 1, low, size).astype(np.int64)
        box = tuple(slice(p, q) for p, q in zip(low, high, strict=True))
        places = np.stack(np.meshgrid(*(np.arange(p, q) for p, q in zip(low, high, strict=True)), indexing="ij"), -1)
        along = b - a
        t = np.clip(((places * spread - a) @ along) / max(along @ along, 1e-9), 0, 1)
        near = np.linalg.norm(places * spread - a - t[..., None] * along, axis=-1) <= width
        mask[box][near & (mask[box] == 0) & (painted.row[box] == NOBODY)] = fate.label[i]


def _with_pixels(
    mask: NDArray[np.int32], bodies: Bodies, fate: _Fate, pitch: tuple[float, float, float]
) -> tuple[_Fate, Ints]:
    """Give each cell that was not missed a pixel where it has lost all; who is too small to be split stays whole.

    Returns the fates, and the pixels of each label.
    """
    n_labels = int(max(fate.label.max(initial=0), fate.other.max(initial=0))) + 1
    size = _count(mask, n_labels)
    rows = np.flatnonzero(fate.label > 0)
    if np.any(size[fate.label[rows]] == 0):
        shape = np.array(mask.shape)
        centre = np.clip(np.rint(bodies.position[rows] / pitch).astype(np.int64), 0, shape - 1)
        for pixel, i in zip(own_pixels(centre, shape), rows, strict=True):
            mask[pixel] = fate.label[i]
        size = _count(mask, n_labels)
    whole = (fate.other > 0) & (size[fate.other] == 0)
    return replace(fate, other=np.where(whole, 0, fate.other)), size


def _add_false(
    mask: NDArray[np.int32],
    painted: Painted,
    bodies: Bodies,
    labels: Ints,
    area: Ints,
    pitch: tuple[float, float, float],
    rng: np.random.Generator,
) -> Ints:
    """Add false detections between the cells, or specks of them on the cells where there is no room; return labels."""
    if not len(labels):
        return labels
    typical = float(np.median(bodies.semi[:, 1:]))
    radius = typical * rng.uniform(*FALSE_RADII, len(labels))
    places = rng.random((len(labels), TRIES, 3)) * (np.array(mask.shape) - 1) * pitch
    label_area = np.zeros(max(len(area), int(labels.max()) + 1), dtype=np.int64)
    label_area[: len(area)] = area
    speck = SPECK * typical
    least = 3 * ball(2 if mask.shape[0] == 1 else 3, speck) / float(np.prod(pitch))
    made = _speckle(places, radius, speck, least, labels, np.array(pitch), painted.row, painted.count, label_area, mask)
    return labels[made]


def _errors(fate: _Fate, track: Ints, false: Ints) -> SegmentationErrors:
    """List what is wrong."""
    missed, split = np.flatnonzero(fate.missed), np.flatnonzero(fate.other > 0)
    first = np.flatnonzero(fate.partner >= 0)
    merged = np.stack([first, fate.partner[first]], axis=1).ravel()
    parts = [
        (0, np.zeros(len(missed), dtype=np.int64), track[missed]),
        (1, np.sort(false), np.zeros(len(false), dtype=np.int64)),
        (2, fate.label[merged], track[merged]),
        (3, np.stack([fate.label[split], fate.other[split]], axis=1).ravel(), np.repeat(track[split], 2)),
    ]
    return SegmentationErrors(
        np.concatenate([np.full(len(label), kind) for kind, label, _ in parts]),
        np.concatenate([label for _, label, _ in parts]),
        np.concatenate([tracks for _, _, tracks in parts]),
    )


@njit(cache=True, nogil=True)
def _count(mask: NDArray[np.int32], n_labels: int) -> Ints:
    """Return the number of pixels of each label."""
    count = np.zeros(n_labels, np.int64)
    for label in mask.flat:
        count[label] += 1
    return count


@njit(cache=True, inline="always")
def _at(field: NDArray[np.float32], axis: int, z: int, y: int, x: int) -> float:
    """Return a smooth field between its nodes."""
    fz, fy, fx = z / RAG, y / RAG, x / RAG
    i, j, k = int(fz), int(fy), int(fx)
    fz, fy, fx = fz - i, fy - j, fx - k
    low: float = (1 - fy) * ((1 - fx) * field[axis, i, j, k] + fx * field[axis, i, j, k + 1]) + fy * (
        (1 - fx) * field[axis, i, j + 1, k] + fx * field[axis, i, j + 1, k + 1]
    )
    if fz == 0.0:
        return low
    high: float = (1 - fy) * ((1 - fx) * field[axis, i + 1, j, k] + fx * field[axis, i + 1, j, k + 1]) + fy * (
        (1 - fx) * field[axis, i + 1, j + 1, k] + fx * field[axis, i + 1, j + 1, k + 1]
    )
    return (1 - fz) * low + fz * high


@njit(cache=True, nogil=True)
def _cut(
    row: NDArray[np.int32],
    low: Ints,
    high: Ints,
    field: NDArray[np.float32],
    label: Ints,
    other: Ints,
    position: Floats,
    normal: Floats,
    offset: Floats,
    pitch: Floats,
    mask: NDArray[np.int32],
) -> None:
    """Label pixels by the cell that lies a little aside of them, each half of a split cell by its own label."""
    n_z, n_y, n_x = row.shape
    for i in range(len(low)):
        for z in range(low[i, 0], high[i, 0]):
            for y in range(low[i, 1], high[i, 1]):
                for x in range(low[i, 2], high[i, 2]):
                    if mask[z, y, x] != UNSEEN:  # boxes overlap
                        continue
                    mask[z, y, x] = 0
                    sz = z
                    if n_z > 1:
                        sz = min(max(int(np.rint(z + _at(field, 0, z, y, x))), 0), n_z - 1)
                    sy = min(max(int(np.rint(y + _at(field, 1, z, y, x))), 0), n_y - 1)
                    sx = min(max(int(np.rint(x + _at(field, 2, z, y, x))), 0), n_x - 1)
                    j = row[sz, sy, sx]
                    if j < 0:
                        continue
                    if other[j] > 0:
                        side = (
                            normal[j, 0] * (z * pitch[0] - position[j, 0])
                            + normal[j, 1] * (y * pitch[1] - position[j, 1])
                            + normal[j, 2] * (x * pitch[2] - position[j, 2])
                        )
                        mask[z, y, x] = other[j] if side > offset[j] else label[j]
                    else:
                        mask[z, y, x] = label[j]
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                mask[z, y, x] = max(mask[z, y, x], 0)


@njit(cache=True, nogil=True)
def _speckle(
    places: Floats,
    radius: Floats,
    speck: float,
    least: float,
    labels: Ints,
    pitch: Floats,
    row: NDArray[np.int32],
    cell_area: Ints,
    label_area: Ints,
    mask: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Paint each false detection at the first of its places that has room, else a speck on the last one."""
    made = np.zeros(len(labels), np.bool_)
    size = np.array(mask.shape)
    flat = size[0] == 1
    for i in range(len(labels)):
        for attempt in range(places.shape[1] + 1):
            last = attempt == places.shape[1]
            centre = places[i, min(attempt, places.shape[1] - 1)]
            r = speck if last else radius[i]
            low, high = np.zeros(3, np.int64), np.ones(3, np.int64)
            for d in range(1 if flat else 0, 3):
                low[d] = max(0, int(np.rint((centre[d] - r) / pitch[d])))
                high[d] = min(size[d], int(np.rint((centre[d] + r) / pitch[d])) + 1)
            room = total = 0
            for paints in range(2):
                if paints and not (last or 2 * room > total):
                    break
                for z in range(low[0], high[0]):
                    for y in range(low[1], high[1]):
                        for x in range(low[2], high[2]):
                            away = (y * pitch[1] - centre[1]) ** 2 + (x * pitch[2] - centre[2]) ** 2
                            if not flat:
                                away += (z * pitch[0] - centre[0]) ** 2
                            if away > max(r * r, 0.25):
                                continue
                            total += 1 - paints
                            free = row[z, y, x] == NOBODY and mask[z, y, x] == 0
                            if last and not free:  # a speck may cover a little of a larger cell, labelled or missed
                                under, cell = mask[z, y, x], row[z, y, x]
                                free = (under == 0 or label_area[under] > least) and (
                                    cell == NOBODY or cell_area[cell] > least
                                )
                            if not free:
                                continue
                            room += 1 - paints
                            if paints:
                                mask[z, y, x] = labels[i]
                                made[i] = True
            if made[i]:
                break
    return made
