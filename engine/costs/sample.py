"""The part of a movie that rates are learned from: all of it, or of a large one runs of frames; and its extent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ..candidates import density_of, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections

MOST_CELLS: Final = 60_000  # a larger movie is sampled
WINDOW: Final = 8  # frames of a sampled piece


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs of frames that a movie is sampled by: from each of `starts` (increasing) on, `length` frames."""

    starts: NDArray[np.int64]
    length: int

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the first and the last frame of each run."""
        for start in self.starts.tolist():
            yield start, start + self.length - 1


@dataclass(frozen=True, slots=True)
class Extent:
    """What the rates start from; cheap to know of the whole movie even where the rest is sampled.

    Parameters
    ----------
    box : tuple of (float, float)
        Lowest and highest position along each axis ``([z,] y, x)``, micrometres or pixels.
    density : float
        Cells in a frame per unit of area or volume.
    longest : float
        Length of the longest candidate.
    step : float
        Median distance from a target to its nearest source.
    """

    box: tuple[tuple[float, float], ...]
    density: float
    longest: float
    step: float


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The part of a movie that rates are learned from, rows numbered within it.

    Parameters
    ----------
    frame, position : (n,) int64, (n, ndim) float64
        Cells.
    first, last : (n,) bool
        Cells before which, after which the sample holds no frame.
    edges : CandidateEdges
        m candidates.
    score : (m,) float64
        Log density, or log odds, of each.
    """

    frame: NDArray[np.int64]
    position: NDArray[np.float64]
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    edges: CandidateEdges
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frame)


def sampled_runs(first_frame: int, last_frame: int, n_cells: int, *, most_cells: int = MOST_CELLS) -> Runs:
    """Return the whole movie, or of a larger one runs of 8 frames, evenly spread; shorter runs of very full frames."""
    length = last_frame - first_frame + 1
    if n_cells <= most_cells:
        return Runs(np.array([first_frame]), length)
    run = min(int(np.clip(most_cells * length // n_cells, 2, WINDOW)), length)
    n_runs = max(most_cells * length // (n_cells * run), 1)
    return Runs(first_frame + np.unique(spread(length - run + 1, n_runs) // run * run), run)


def take_sample(
    detections: Detections,
    edges: CandidateEdges,
    score: NDArray[np.float64],
    *,
    most_cells: int,
    runs: Runs | None = None,
) -> Sample:
    """Take the runs given, by default those of `sampled_runs`."""
    frame = detections.frame
    if runs is None:
        runs = sampled_runs(int(frame[0]), int(frame[-1]), len(frame), most_cells=most_cells)
    # number of the run of frames that each cell is in, -1: none
    piece = np.searchsorted(runs.starts, frame, side="right") - 1
    piece[frame >= runs.starts[piece] + runs.length] = -1
    cells = np.flatnonzero(piece >= 0)
    row = np.full(len(frame), -1)
    row[cells] = np.arange(len(cells))
    inside = (piece[edges.source] == piece[edges.target]) & (piece[edges.source] >= 0)
    kept = edges.take(inside)
    edge = replace(kept, source=row[kept.source], target=row[kept.target])
    frame, piece = frame[cells], piece[cells]
    begins = np.append(True, np.diff(piece) > 0)
    ends = np.append(begins[1:], True)
    return Sample(
        frame=frame,
        position=detections.position_um[cells],
        first=frame == frame[begins][np.cumsum(begins) - 1],
        last=frame == frame[ends][np.cumsum(begins) - 1],
        edges=edge,
        score=score[inside],
    )


def extent_of(detections: Detections, edges: CandidateEdges) -> Extent:
    """Return what the rates start from."""
    position = detections.position_um
    low, high = (position.min(axis=0), position.max(axis=0)) if len(position) else np.zeros((2, detections.ndim))
    longest = float(edges.distance.max(initial=0.0)) or 1.0
    nearest = np.full(len(detections), np.inf)
    np.minimum.at(nearest, edges.target, edges.distance)
    reached = nearest[np.isfinite(nearest)]
    return Extent(
        box=tuple(zip(low.tolist(), high.tolist(), strict=True)),
        density=density_of(detections, thinnest=longest) if len(detections) else 1.0,
        longest=longest,
        step=float(np.median(reached)) if len(reached) else 0.0,
    )
