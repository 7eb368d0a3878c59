"""Detections as a segmentation makes them: cells missed, made up, moved and merged, by the truth of a movie.

``P`` is the easy kind: each cell is missed by itself, and a point that is no cell stands in one frame alone. ``P2`` is
what segmentations do: a cell is missed in 1 to 3 successive frames, a false point stays for 1 to 5 and drifts, and two
cells that touch are one detection between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree
from truth import TrueMovie, detections_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MISSED = FALSE = MERGED = 0.02  # shares of all cells
JITTER = 0.1  # standard deviation along each axis, in median distances between neighbours
MISSED_FRAMES = MERGED_FRAMES = (1, 2, 3)  # each as likely
FALSE_FRAMES = (1, 2, 3, 4, 5)
TOUCHING = 0.8  # cells are merged that lie nearer than this share of the median distance between neighbours


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is seen of n cells: which, where, and which points there are besides."""

    kept: Flags  # (n,)
    position: Floats  # (n, d)
    false_frame: Ints  # (k,)
    false_position: Floats  # (k, d)


def scattered(movie: TrueMovie, rng: np.random.Generator) -> tuple[TrueMovie, Flags]:
    """Miss some cells, move all a little, and add some points that are none (P); tell which these are."""
    old = movie.detections
    kept = rng.random(len(old)) >= MISSED
    position = old.position_um.copy()
    position[kept] += rng.normal(0, JITTER * _spacing(movie), (np.count_nonzero(kept), old.ndim))
    n_false = rng.binomial(len(old), FALSE)
    low, high = old.position_um.min(axis=0), old.position_um.max(axis=0)
    frame = rng.choice(old.frame, n_false)
    return _as_movie(movie, _Seen(kept, position, frame, rng.uniform(low, high, (n_false, old.ndim))))


def lasting(movie: TrueMovie, rng: np.random.Generator) -> tuple[TrueMovie, Flags]:
    """Miss cells in runs, add points that stay and drift, and merge cells that touch (P2); tell which are false."""
    old, following = movie.detections, _following(movie)
    spacing = _spacing(movie)
    missed = _runs(rng.random(len(old)) < MISSED / np.mean(MISSED_FRAMES), MISSED_FRAMES, following, rng)
    absorbed, position = _merged(movie, following, ~missed, spacing, rng)
    kept = ~missed & ~absorbed
    position[kept] += rng.normal(0, JITTER * spacing, (np.count_nonzero(kept), old.ndim))
    return _as_movie(movie, _Seen(kept, position, *_drifting(movie, rng)))


def _spacing(movie: TrueMovie) -> float:
    """Return the median distance of a cell to its nearest neighbour in the frame."""
    found = movie.detections
    return float(np.median(np.concatenate([near for near, _ in spacings(found.frame, found.position_um)])))


def _following(movie: TrueMovie) -> Ints:
    """Return the row of the same cell in the next frame; -1 where it divides, or is seen no more."""
    n = len(movie.detections)
    goes_on = np.bincount(movie.link[:, 0], minlength=n)[movie.link[:, 0]] == 1
    following = np.full(n, -1)
    following[movie.link[goes_on, 0]] = movie.link[goes_on, 1]
    return following


def _runs(begins: Flags, lengths: tuple[int, ...], following: Ints, rng: np.random.Generator) -> Flags:
    """Mark the cells at which something begins, and the same cells as long as it lasts."""
    marked = begins.copy()
    rows = np.flatnonzero(begins)
    left = rng.choice(lengths, len(rows)) - 1
    while len(rows):
        rows = np.where(left > 0, following[rows], -1)
        rows, left = rows[rows >= 0], left[rows >= 0] - 1
        marked[rows] = True
    return marked


def _merged(
    movie: TrueMovie, following: Ints, free: Flags, spacing: float, rng: np.random.Generator
) -> tuple[Flags, Floats]:
    """Merge pairs of cells that touch: one is lost, the other moves midway. Return the lost, and where all are."""
    found = movie.detections
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for _, rows in spacings(found.frame, found.position_um):
        rows = rows[free[rows]]
        if len(rows) < 2:
            continue
        distance, near = cKDTree(found.position_um[rows]).query(found.position_um[rows], k=2)
        near, here = near[:, 1], np.arange(len(rows))
        touch = (near[near] == here) & (here < near) & (distance[:, 1] < TOUCHING * spacing)
        pairs.append(np.c_[rows[here[touch]], rows[near[touch]]])
    each = np.concatenate(pairs)
    n_merges = min(len(each), round(MERGED * len(found) / float(np.mean(MERGED_FRAMES))))
    each = rng.permuted(each[rng.permutation(len(each))[:n_merges]], axis=1)
    left = rng.choice(MERGED_FRAMES, len(each))
    lost, position = np.zeros(len(found), dtype=bool), found.position_um.copy()
    taken = np.zeros(len(found), dtype=bool)
    while len(each):
        each, left = (a[~taken[each].any(axis=1) & free[each].all(axis=1)] for a in (each, left))
        taken[each] = lost[each[:, 1]] = True
        position[each[:, 0]] = found.position_um[each].mean(axis=1)
        left = left - 1
        each = following[each]
        each, left = (a[(each >= 0).all(axis=1) & (left > 0)] for a in (each, left))
    return lost, position


def _drifting(movie: TrueMovie, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Return frames and places of points that are no cells: each stays for some frames and goes its way."""
    old = movie.detections
    n = rng.binomial(len(old), FALSE / np.mean(FALSE_FRAMES))
    step = np.median(np.abs(np.diff(old.position_um[movie.link], axis=1)), axis=0)
    low, high = old.position_um.min(axis=0), old.position_um.max(axis=0)
    first, place = rng.choice(old.frame, n), rng.uniform(low, high, (n, old.ndim))
    velocity, lasts = rng.normal(0, 1, (n, old.ndim)) * step, rng.choice(FALSE_FRAMES, n)
    age = np.arange(max(FALSE_FRAMES))[:, None]
    there = (age < lasts) & (first + age <= old.frame.max())
    frame, position = np.broadcast_to(first + age, there.shape), place + age[..., None] * velocity
    return frame[there], position[there]


def _as_movie(movie: TrueMovie, seen: _Seen) -> tuple[TrueMovie, Flags]:
    """Put what is seen into a movie: links lead over the cells that are missing; tell which points are false."""
    old, kept = movie.detections, np.flatnonzero(seen.kept)
    frame = np.r_[old.frame[kept], seen.false_frame]
    position = np.concatenate([seen.position[kept], seen.false_position])
    order = np.argsort(frame, kind="stable")
    row = np.full(len(old), -1)
    row[kept] = np.argsort(order)[: len(kept)]
    ancestor = np.full(len(old), -1)
    ancestor[movie.link[:, 1]] = movie.link[:, 0]
    source = ancestor[kept]
    while np.any(missed := (source >= 0) & (row[source] < 0)):
        source[missed] = ancestor[source[missed]]
    linked = source >= 0
    link = np.c_[row[source[linked]], row[kept[linked]]]
    scale = None if old.scale_um is None else (1.0,) * old.ndim
    return replace(movie, detections=detections_of(frame[order], position[order], scale), link=link), order >= len(kept)


def spacings(frame: Ints, position: Floats) -> Iterator[tuple[Floats, Ints]]:
    """Yield for each frame of two cells or more the distance of each to its nearest neighbour, and the rows."""
    for rows in by_frame(frame):
        if len(rows) > 1:
            yield cKDTree(position[rows]).query(position[rows], k=2)[0][:, 1], rows


def by_frame(frame: Ints) -> list[Ints]:
    """Return the rows of each frame, from 0 to the last."""
    order = np.argsort(frame, kind="stable")
    return np.split(order, np.searchsorted(frame[order], np.arange(1, frame.max() + 1)))
