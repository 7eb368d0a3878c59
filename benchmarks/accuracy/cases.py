"""What the trackers get: real movies as they are, perturbed, and at lower temporal resolution, as shuffled points.

A tracker sees a table of frames and positions and a cutoff that is read from the same points; the truth stays here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from noise import by_frame, lasting, scattered, spacings
from scipy.spatial import cKDTree
from truth import TrueMovie, movies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

VARIANTS = ("x1", "P", "x2", "x4", "P2")  # each has its own seed by its place
NOISE = {"P": scattered, "P2": lasting}


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
    area : (n,) float64
        Pixels of each cell, NaN where there are no masks; of noisy cases nobody knows any, since points that are no
        cells would be told by theirs.
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
    area: NDArray[np.float64]
    link: NDArray[np.int64]
    false: NDArray[np.bool_]
    cutoff: float

    @property
    def has_areas(self) -> bool:
        """Whether the areas of all cells are known."""
        return bool(np.isfinite(self.area).all())

    def write(self, file: Path, *, areas: bool = False) -> None:
        """Write what a tracker may know: id, frame and place of each point, and areas where they are asked for."""
        columns = {"id": np.arange(len(self.frame)), "t": self.frame}
        if areas:
            columns["area"] = self.area
        columns |= dict(zip("zyx"[-self.position.shape[1] :], self.position.T, strict=True))
        pd.DataFrame(columns).to_parquet(file)


def cases(names: list[str], variants: list[str], seed: int) -> Iterator[Case]:
    """Make the cases, one at a time.

    Parameters
    ----------
    names : list of str
        Parts of the movies' names; all where empty.
    variants : list of str
        ``x1``, ``x2``, ``x4``: every, every second, every fourth frame; ``P``, ``P2``: perturbed, as `noise` tells.
    seed : int
        Of the perturbation and of the order of the rows.
    """
    for movie in movies():
        if names and not any(part.lower() in movie.name.lower() for part in names):
            continue
        for variant in variants:
            rng = np.random.default_rng([seed, VARIANTS.index(variant)])
            noise = NOISE.get(variant)
            thinned = movie if noise else movie.every(int(variant.removeprefix("x")))
            if not len(thinned.link):
                continue
            plain = replace(thinned, name=f"{movie.name} {variant}")
            yield _shuffled(*(noise(plain, rng) if noise else (plain, None)), rng)


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
        area=movie.detections.area[order],
        link=row[movie.link],
        false=np.zeros(n, dtype=bool) if false is None else false[order],
        cutoff=cutoff_of(frame, position),
    )


def cutoff_of(frame: NDArray[np.int64], position: NDArray[np.float64]) -> float:
    """Return the longest link for all trackers: three median steps of mutual neighbours, or the median spacing."""
    steps = []
    for before, after in pairwise(by_frame(frame)):
        if len(before) and len(after):
            there, back = cKDTree(position[after]), cKDTree(position[before])
            distance, nearest = there.query(position[before])
            _, returning = back.query(position[after])
            steps.append(distance[returning[nearest] == np.arange(len(before))])
    spacing = np.concatenate([near for near, _ in spacings(frame, position)])
    return float(max(3 * np.median(np.concatenate(steps)), np.median(spacing)))
