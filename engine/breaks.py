"""Where a movie breaks: successive frames between which most cells jump together and no link follows, or few go on.

A stage that moves by more than cells do, a frame that was lost, another focus: costs that are learned from the steps of
cells take what is left for cells that end, begin and divide. So it is looked for in the solution: where links are few,
or long, cells of one frame vote for the shift that puts most of them upon cells of the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import KDTree

from .candidates import Frames, nearest_distances, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..storage.schema import Detections

FEWEST: Final = 20  # cells of a frame below which nothing is told of it
FEW: Final = 0.5  # links over the smaller frame's cells, relative to what is usual, below which few go on
ODD: Final = 0.75  # the same, below which it is asked whether they jumped
LONG: Final = 2.0  # usual links; where most are longer it is asked, too
MOST_ASKED: Final = 24  # pairs of frames, the oddest; and of the others
ALWAYS_ASKED: Final = 4  # evenly spread, since in a movie where all cells jump in each frame that is usual
VOTES: Final = 200_000  # displacements that are counted for a pair of frames
MOST_VOTERS: Final = 200
MOST_COUNTED: Final = 500  # cells that a shift is tried on
TRIED: Final = 48  # shifts with most votes
NEAR: Final = 1 / 3  # of a spacing; cells come that near to another one by chance in one case of twelve
TOGETHER: Final = 0.5  # share of the cells that a common shift has to put upon others
FOLLOWED: Final = 0.8  # of these, so many links are enough
SHOWN: Final = 3  # breaks that are told one by one


@dataclass(frozen=True, slots=True)
class Break:
    """Two successive frames with cells between which the links of a solution do not tell what happened.

    Parameters
    ----------
    first, second : int
        The frames.
    cells : int
        Cells of the one that has fewer.
    links : int
        Links between them.
    following : int
        Of these, links that go the way that most cells went; all of them where that is not known.
    shift : tuple of float or None
        By which most cells are shifted, ``([z,] y, x)`` in `unit`; None where no common shift was found.
    unit : str
        ``um`` or ``px``.
    """

    first: int
    second: int
    cells: int
    links: int
    following: int
    shift: tuple[float, ...] | None
    unit: str

    def __str__(self) -> str:
        between = f"between frames {self.first} and {self.second}"
        if self.shift is None:
            return f"{between} {self.links:,} of {self.cells:,} cells go on"
        parts = ", ".join(
            f"{axis} {part:+.4g}" for axis, part in zip("zyx"[-len(self.shift) :], self.shift, strict=True)
        )
        far = float(np.linalg.norm(self.shift))
        return (
            f"{between} most cells shift together by {far:.4g} {self.unit} ({parts}), and {self.following:,} links of "
            f"{self.cells:,} cells follow"
        )


def told(breaks: Sequence[Break], path: str, reach: int, model: str = "") -> list[str]:
    """Return in words what breaks there are and what helps.

    Parameters
    ----------
    breaks : sequence of Break
        Found in a solution.
    path : str
        Of the store.
    reach : int
        Most frames that a candidate spans.
    model : str
        Model whose scores the solution goes by, if it does: then it may be that, not the movie.
    """
    jumps = [one for one in breaks if one.shift is not None]
    wide = [one for one in breaks if one.shift is None and one.second - one.first > reach]
    others = [one for one in breaks if one.shift is None and one.second - one.first <= reach]
    knows = f", and does the model {model} know such cells" if model else ""
    widest = max((one.second - one.first for one in wide), default=0) - 1
    groups = (
        (
            jumps,
            "what ends, begins and divides there may be made up: align the frames (registration), then ingest again",
        ),
        (wide, f"no candidate skips as many frames: trackdb link {path} --max-gap {widest}, then solve again"),
        (others, f"far fewer than elsewhere: do these frames show the same place, in focus{knows}?"),
    )
    return [f"{_listed(found)}: {advice}" for found, advice in groups if found]


def _listed(breaks: Sequence[Break]) -> str:
    more = len(breaks) - SHOWN
    return "; ".join(map(str, breaks[:SHOWN])) + (f"; and {more:,} more" if more > 0 else "")


def breaks_of(
    detections: Detections, source: NDArray[np.int64], target: NDArray[np.int64], reach: int
) -> tuple[Break, ...]:
    """Find the breaks of a movie in a solution.

    Parameters
    ----------
    detections : Detections
        n cells.
    source, target : (k,) int64
        Rows of the cells that its links tie.
    reach : int
        Most frames that a candidate spans.

    Returns
    -------
    tuple of Break
        By frame.
    """
    frames, position = Frames.of(detections), detections.position_um
    size = np.diff(frames.start)
    cells = np.minimum(size[:-1], size[1:])
    if not len(cells):
        return ()
    order = np.searchsorted(frames.number, detections.frame)
    near = order[target] == order[source] + 1
    source, target = source[near], target[near]
    pair, step = order[source], position[target] - position[source]
    length = np.linalg.norm(step, axis=1)
    usual_length = float(np.median(length)) if len(length) else 0.0
    links = np.bincount(pair, minlength=len(cells))
    kept = links / cells
    usual_kept = float(np.median(kept))
    long = np.bincount(pair, length > LONG * usual_length, minlength=len(cells)) / np.maximum(links, 1)
    unit = "px" if detections.scale_um is None else "um"
    found = []
    for i in _asked(kept / max(usual_kept, FEW), long, cells >= FEWEST):
        here, there = position[frames.rows(i)], position[frames.rows(i + 1)]
        first, second = int(frames.number[i]), int(frames.number[i + 1])
        common = None
        if second - first <= reach:
            common = _common_shift(here, there, step[pair == i], LONG * usual_length)
        if common is None and kept[i] >= FEW * usual_kept:
            continue
        following, shift = (int(links[i]), None) if common is None else (common.following, tuple(common.shift.tolist()))
        found.append(Break(first, second, int(cells[i]), int(links[i]), following, shift, unit))
    return tuple(found)


def _asked(kept: NDArray[np.float64], long: NDArray[np.float64], enough: NDArray[np.bool_]) -> list[int]:
    """Return which pairs of frames are looked at: the oddest, and some anyway."""
    oddity = np.maximum(1 - kept, long - 0.5)
    odd = np.flatnonzero(enough & ((kept < ODD) | (long > 0.5)))
    odd = odd[np.argsort(-oddity[odd], kind="stable")][:MOST_ASKED]
    anyway = spread(len(kept), ALWAYS_ASKED)
    return sorted({*odd.tolist(), *anyway[enough[anyway]].tolist()})


@dataclass(frozen=True, slots=True, eq=False)
class _Common:
    shift: NDArray[np.float64]  # (ndim,)
    following: int  # links that go that way


def _common_shift(
    here: NDArray[np.float64], there: NDArray[np.float64], step: NDArray[np.float64], usual: float
) -> _Common | None:
    """Return by what most cells of a frame are shifted in the next one; None if links follow, or nothing is common.

    Parameters
    ----------
    here, there : (a, ndim), (b, ndim) float64
        Places of the cells of both frames.
    step : (k, ndim) float64
        Of the links between them.
    usual : float
        Length that few links of other frames exceed.
    """
    spacing = float(np.median(nearest_distances(there)))
    near = NEAR * spacing if usual == 0 else min(usual, NEAR * spacing)
    if near <= 0:
        return None
    tree, sample = KDTree(there), here[spread(len(here), MOST_COUNTED)]
    inside = np.array([there.min(axis=0) - near, there.max(axis=0) + near])
    best, most = np.zeros(here.shape[1]), 0
    for voted in _voted(here, there, near):
        shift, count = _settled(sample, voted, tree, near)
        if count > most:
            best, most = shift, count
    moved = sample + best
    overlap = np.count_nonzero(((moved >= inside[0]) & (moved <= inside[1])).all(axis=1))
    enough = max(TOGETHER * overlap, TOGETHER / 2 * len(sample), FEWEST / 2)
    if most < enough or np.linalg.norm(best) <= 2 * near or _explained(sample, step, best, most, tree, near):
        return None
    following = int(np.count_nonzero(np.linalg.norm(step - best, axis=1) <= 2 * near))
    return _Common(best, following) if following < FOLLOWED * most / len(sample) * len(here) else None


def _explained(
    sample: NDArray[np.float64],
    step: NDArray[np.float64],
    shift: NDArray[np.float64],
    met: int,
    tree: KDTree,
    near: float,
) -> bool:
    """Tell whether links that go another way put half as many cells upon others: on a lattice many shifts fit."""
    if not len(step):
        return False
    linked, count = _settled(sample, np.median(step, axis=0), tree, near)
    return bool(np.linalg.norm(linked - shift) > 2 * near and 2 * count > met)


def _voted(here: NDArray[np.float64], there: NDArray[np.float64], near: float) -> NDArray[np.float64]:
    """Return the displacements, in steps of `near`, that most pairs of a cell here and a cell there have."""
    voters = here[spread(len(here), int(np.clip(VOTES // len(there), FEWEST, MOST_VOTERS)))]
    bins = np.rint((there[None] - voters[:, None]) / near).astype(np.int64).reshape(-1, here.shape[1])
    low = bins.min(axis=0)
    extent = bins.max(axis=0) - low + 1
    number, count = np.unique(np.ravel_multi_index(tuple((bins - low).T), tuple(extent)), return_counts=True)
    top = number[np.argsort(-count, kind="stable")[:TRIED]]
    where = np.stack(np.unravel_index(top, tuple(extent)), axis=1)
    return np.asarray((where + low) * near, dtype=np.float64)


def _settled(
    sample: NDArray[np.float64], shift: NDArray[np.float64], tree: KDTree, near: float
) -> tuple[NDArray[np.float64], int]:
    """Return a shift, moved to the middle of the cells that it puts near others, and how many it then does."""
    for radius in (2 * near, near):
        distance, who = (np.asarray(a) for a in tree.query(sample + shift, distance_upper_bound=radius))
        met = np.isfinite(distance)
        if not met.any():
            return shift, 0
        shift = np.median(tree.data[who[met]] - sample[met], axis=0)
    distance = np.asarray(tree.query(sample + shift, distance_upper_bound=near)[0])
    return shift, int(np.count_nonzero(np.isfinite(distance)))
