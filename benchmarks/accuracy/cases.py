"""What the trackers get: real movies as they are, perturbed, and at lower temporal resolution, as shuffled points.

A tracker sees a table of frames and positions and a cutoff that is read from the same points; the truth stays here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from truth import TrueMovie, detections_of, movies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MISSED = FALSE = 0.02
JITTER = 0.1  # standard deviation along each axis, in median distances between neighbours


@dataclass(frozen=True, eq=False)
class Case:
    """A movie as the trackers get it, with the truth that they do not get.

    Parameters
    ----------
    name, role : str
        Its name; ``design`` where defaults may have been chosen by looking at it, ``judge`` where it only judges.
    frame : (n,) int64
        Frame of each point, in the shuffled order of the table.
    position : (n, 2) or (n, 3) float64
        Places in micrometres, in pixels where the voxel size is not known; axes ``([z,] y, x)``.
    link : (l, 2) int64
        True links as rows; over a missed cell the link of those around it.
    false : (n,) bool
        Points that are no cell.
    cutoff : float
        Longest link that a tracker shall make, in the unit of the positions.
    """

    name: str
    role: str
    frame: NDArray[np.int64]
    position: NDArray[np.float64]
    link: NDArray[np.int64]
    false: NDArray[np.bool_]
    cutoff: float

    def write(self, file: Path) -> None:
        """Write what a tracker may know: id, frame and place of each point."""
        columns = {"id": np.arange(len(self.frame)), "t": self.frame}
        columns |= dict(zip("zyx"[-self.position.shape[1] :], self.position.T, strict=True))
        pd.DataFrame(columns).to_parquet(file)


def cases(names: list[str], variants: list[str], seed: int) -> Iterator[Case]:
    """Make the cases, one at a time.

    Parameters
    ----------
    names : list of str
        Parts of the movies' names; all where empty.
    variants : list of str
        ``x1``, ``x2``, ``x4``: every, every second, every fourth frame; ``P``: perturbed.
    seed : int
        Of the perturbation and of the order of the rows.
    """
    for movie in movies():
        if names and not any(part.lower() in movie.name.lower() for part in names):
            continue
        for number, variant in enumerate(variants):
            rng = np.random.default_rng([seed, number])
            perturbed = variant == "P"
            thinned = movie if perturbed else movie.every(int(variant.removeprefix("x")))
            if not len(thinned.link):
                continue
            plain = replace(thinned, name=f"{movie.name} {variant}")
            yield _shuffled(*(_perturbed(plain, rng) if perturbed else (plain, None)), rng)


def _shuffled(movie: TrueMovie, false: NDArray[np.bool_] | None, rng: np.random.Generator) -> Case:
    """Put the rows into an order that tells nothing."""
    n = len(movie.detections)
    order = rng.permutation(n)
    row = np.argsort(order)
    frame, position = movie.detections.frame[order], movie.detections.position_um[order]
    return Case(
        name=movie.name,
        role=movie.role,
        frame=frame,
        position=position,
        link=row[movie.link],
        false=np.zeros(n, dtype=bool) if false is None else false[order],
        cutoff=cutoff_of(frame, position),
    )


def _perturbed(movie: TrueMovie, rng: np.random.Generator) -> tuple[TrueMovie, NDArray[np.bool_]]:
    """Miss some cells, move all a little, and add some points that are none; tell which these are."""
    old = movie.detections
    kept = np.flatnonzero(rng.random(len(old)) >= MISSED)
    spacing = float(np.median(np.concatenate([near for near, _ in _spacings(old.frame, old.position_um)])))
    position = old.position_um[kept] + rng.normal(0, JITTER * spacing, (len(kept), old.ndim))

    n_false = rng.binomial(len(old), FALSE)
    low, high = old.position_um.min(axis=0), old.position_um.max(axis=0)
    frame = np.r_[old.frame[kept], rng.choice(old.frame, n_false)]
    position = np.concatenate([position, rng.uniform(low, high, (n_false, old.ndim))])

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
    detections = detections_of(frame[order], position[order], scale)
    return replace(movie, detections=detections, link=link), order >= len(kept)


def cutoff_of(frame: NDArray[np.int64], position: NDArray[np.float64]) -> float:
    """Return the longest link for all trackers: three median steps of mutual neighbours, or the median spacing."""
    steps = []
    for before, after in pairwise(_by_frame(frame)):
        if len(before) and len(after):
            there, back = cKDTree(position[after]), cKDTree(position[before])
            distance, nearest = there.query(position[before])
            _, returning = back.query(position[after])
            steps.append(distance[returning[nearest] == np.arange(len(before))])
    spacing = np.concatenate([near for near, _ in _spacings(frame, position)])
    return float(max(3 * np.median(np.concatenate(steps)), np.median(spacing)))


def _spacings(
    frame: NDArray[np.int64], position: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Yield for each frame of two cells or more the distance of each to its nearest neighbour."""
    for rows in _by_frame(frame):
        if len(rows) > 1:
            yield cKDTree(position[rows]).query(position[rows], k=2)[0][:, 1], rows


def _by_frame(frame: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each frame, from 0 to the last."""
    order = np.argsort(frame, kind="stable")
    return np.split(order, np.searchsorted(frame[order], np.arange(1, frame.max() + 1)))
