"""The part of a large movie that is learned from: its middle frames, contiguous, so that drift and ages can be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ...candidates import Frames

if TYPE_CHECKING:
    from ....storage.schema import CandidateEdges, Detections

SAMPLE: Final = 20_000  # cells that a larger one is learned from
FEWEST_FRAMES: Final = 5  # of these, however full they are


def middle_frames(n_frames: int, n_cells: int, wanted: int = SAMPLE) -> tuple[int, int]:
    """Return the places, from and below, of the middle frames that hold as many cells as wanted; of a few at least.

    Parameters
    ----------
    n_frames, n_cells : int
        Frames that have cells, and cells, of the movie.
    wanted : int
        Cells.
    """
    length = min(max(wanted * n_frames // max(n_cells, 1), FEWEST_FRAMES), n_frames)
    begin = (n_frames - length) // 2
    return begin, begin + length


def middle(detections: Detections, cells: int) -> tuple[int, int]:
    """Return the rows, from and below, of the middle frames that hold so many cells; of a few frames at least."""
    frames = Frames.of(detections)
    n = len(frames)
    if not n:
        return 0, 0
    begin, end = middle_frames(n, len(detections), cells)
    return frames.rows(begin).start, frames.rows(end - 1).stop


def part(detections: Detections, edges: CandidateEdges, first: int, stop: int) -> tuple[Detections, CandidateEdges]:
    """Return the detections of some rows, and the candidates among them."""
    within = edges.take((edges.source >= first) & (edges.target < stop))
    return detections.between(first, stop), replace(within, source=within.source - first, target=within.target - first)
