"""What the stages found, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..storage.schema import LinkKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.catalogue import SolutionInfo
    from ..storage.schema import SolutionTable
    from .breaks import Break


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What linking found.

    Parameters
    ----------
    edges, total, new : int
        Candidates that these settings propose, all in the graph, and how many of those this run added.
    max_distance : float
        Radius in the unit of the dataset.
    unit : str
        ``um`` or ``px``.
    how : str
        Where the radius comes from.
    neighbors, max_gap : int
        Settings.
    seconds : float
        How long it took.
    """

    edges: int
    total: int
    new: int
    max_distance: float
    unit: str
    how: str
    neighbors: int
    max_gap: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SolveReport:
    """What solving found.

    Parameters
    ----------
    solution, linker : str
        Name of the solution and what made it.
    objective, lower_bound : float
        Cost, and what no solution can be cheaper than (minus infinity where nobody knows).
    proven : bool
        Whether the two meet.
    links, tracks, divisions, merges, appearances, disappearances : int
        What the lineage consists of; the first and the last frame with cells do not count as ends, and nor does what a
        merge cuts. `merges` counts the links into cells of several mothers.
    pins : int
        Annotations that it keeps.
    left_out : int
        Candidates without a score, which could not be chosen.
    estimates : dict of str to float
        What was estimated from the data.
    seconds : float
        How long it took.
    breaks : tuple of Break
        Frames between which its links do not tell what happened; nobody looks for them where windows are solved.
    """

    solution: str
    linker: str
    objective: float
    lower_bound: float
    proven: bool
    links: int
    tracks: int
    divisions: int
    merges: int
    appearances: int
    disappearances: int
    pins: int
    left_out: int
    estimates: dict[str, float]
    seconds: float
    breaks: tuple[Break, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Tracklets that merges cut: those that end in one, and those that begin with one, (k,) bool."""

    ends: NDArray[np.bool_]
    begins: NDArray[np.bool_]


def report_of(
    info: SolutionInfo,
    occupied: tuple[int, int],
    table: SolutionTable,
    merged: Merged,
    pins: int,
    left_out: int,
    estimates: dict[str, float],
    seconds: float,
) -> SolveReport:
    """Count what a solution consists of.

    Parameters
    ----------
    info : SolutionInfo
        Its name, and what it costs.
    occupied : tuple of int
        First and last frame that has cells.
    table : SolutionTable
        The solution.
    merged : Merged
        What its merges cut.
    pins, left_out : int
        Annotations that were kept, and candidates without a score.
    estimates : dict of str to float
        What was estimated from the data.
    seconds : float
        How long it took.
    """
    tracks = table.tracks
    appears = (tracks.parent == 0) & (tracks.first_frame > occupied[0]) & ~merged.begins
    disappears = (tracks.n_children == 0) & (tracks.last_frame < occupied[1]) & ~merged.ends
    return SolveReport(
        solution=info.name,
        linker=info.linker,
        objective=float(info.objective or 0.0),
        lower_bound=float("-inf") if info.lower_bound is None else info.lower_bound,
        proven=bool(info.proven),
        links=len(table.edge),
        tracks=len(tracks),
        divisions=int(np.count_nonzero(tracks.n_children > 1)),
        merges=int(np.count_nonzero(table.kind == LinkKind.MERGE)),
        appearances=int(np.count_nonzero(appears)),
        disappearances=int(np.count_nonzero(disappears)),
        pins=pins,
        left_out=left_out,
        estimates=estimates,
        seconds=seconds,
    )
