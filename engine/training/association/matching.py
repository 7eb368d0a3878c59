"""Which detection each cell of a truth is, by overlap or by distance, as an association transformer is taught.

A cell and a detection of one frame fit by ``max(IoU, 1 - distance / 16 px)``; those that fit by more than a threshold
are paired one to one, so that they fit best in sum [1]_. A truth that came into the store with the movie has found
its detections there, by the rule of the challenge, and is not matched again.

References
----------
.. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, Eq. (1); the distance of 16 pixels is that of its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.spatial import KDTree

from ....solvers.assignment import cheapest_matching
from ....storage.arrays import read_frame
from ...imports.labelled import rows_of_cells
from ...imports.reference import mask_of, open_tracking, pixels_of_ours, require_as_many
from ...measure import labels_at, measure, runs

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from ....storage.catalogue import DetectionSet
    from ....storage.duckdb_store import DuckDBStore
    from ....storage.formats.base import FrameBatch, LabelLineage
    from ....storage.schema import Detections
    from ...progress import Progress

MATCH_THRESHOLD: Final = 0.3
"""How well a detection has to fit at least, as the authors' script has it; the paper has 0.5."""

NEAR_PX: Final = 16.0
"""Distance at which nothing fits any more, delta_max of Eq. (1)."""

STEPS: Final = 1 << 30  # of a fit of 1, in which sums are compared
NO_ROW: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Pairs of labels of two masks that share pixels.

    Parameters
    ----------
    first, second : (m,) int64
        Label in the one mask, and in the other.
    iou : (m,) float64
        Pixels that both cover, of those that either covers.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    iou: NDArray[np.float64]


def overlaps_of(one: NDArray[np.integer], other: NDArray[np.integer]) -> Overlaps:
    """Return all pairs of labels of two masks of a frame that share a pixel.

    Raises
    ------
    FormatError
        If the shapes differ, or one of them is not a label mask.
    """
    starts, lengths = runs(one, other)
    first, a = np.unique(labels_at(one, starts), return_inverse=True)
    second, b = np.unique(labels_at(other, starts), return_inverse=True)
    area_a, area_b = np.bincount(a, lengths), np.bincount(b, lengths)
    pair, place = np.unique(a * len(second) + b, return_inverse=True)
    shared = np.bincount(place, lengths)
    a, b = np.divmod(pair, max(len(second), 1))
    cells = (first[a] > 0) & (second[b] > 0)
    a, b, shared = a[cells], b[cells], shared[cells]
    return Overlaps(first[a], second[b], shared / (area_a[a] + area_b[b] - shared))


def pair_by_fit(
    theirs: NDArray[np.float64],
    ours: NDArray[np.float64],
    overlapping: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]] | None = None,
    *,
    threshold: float = MATCH_THRESHOLD,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair the cells of a frame one to one, so that they fit best in sum.

    Parameters
    ----------
    theirs, ours : (k, ndim), (n, ndim) float64
        Places of true cells and of detections, pixels.
    overlapping : (m,) int64, (m,) int64, (m,) float64, optional
        Pairs of rows that overlap, and their IoU.
    threshold : float
        What a pair has to exceed.

    Returns
    -------
    theirs, ours : (p,) int64
        Rows of the pairs, in the order of `theirs`.
    """
    near = KDTree(theirs).sparse_distance_matrix(KDTree(ours), NEAR_PX, output_type="ndarray")
    row, column, iou = overlapping or (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    n = len(ours)
    key = np.concatenate([near["i"].astype(np.int64) * n + near["j"], row * n + column])
    pair, place = np.unique(key, return_inverse=True)
    fit = np.zeros(len(pair))
    np.maximum.at(fit, place, np.concatenate([1 - near["v"] / NEAR_PX, iou]))
    fits = fit > threshold
    row, column = np.divmod(pair[fits], max(n, 1))
    chosen = cheapest_matching(row, column, -np.rint(fit[fits] * STEPS).astype(np.int64))
    return row[chosen], column[chosen]


@dataclass(frozen=True, slots=True, eq=False)
class MatchedLineage:
    """A tracking that a file tells, and the detections that its cells are.

    Parameters
    ----------
    lineage : LabelLineage
        k cells and the links between them.
    row : (k,) int64
        Row of the detection that each cell is, `NO_ROW` for none; no row twice.
    """

    lineage: LabelLineage
    row: NDArray[np.int64]


def matched_lineage(
    path: Path,
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    *,
    threshold: float,
    progress: Progress,
) -> MatchedLineage:
    """Read a true tracking of a movie, and find the detections that its cells are.

    Parameters
    ----------
    path : Path
        Any file or folder that trackdb reads and that tells of links.
    store, chosen, detections
        The movie in the store, and its detections.
    threshold : float
        How well a detection has to fit.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    FormatError
        If there is nothing, no tracking, or one of another movie.
    """
    place, source, lineage = open_tracking(path, chosen.movie, progress=progress)
    ratio = pixels_of_ours(source, place.name, chosen.movie, progress)
    refs = [ref for ref in store.arrays(chosen) if ref.kind == "masks"]
    begin = np.searchsorted(detections.frame, np.arange(chosen.movie.n_frames + 1)).tolist()
    frames, labels, rows = ([np.empty(0, np.int64)] for _ in range(3))
    progress.start(f"matching {place.name}", source.n_frames)
    for batch in source.frames():
        if batch.mask is not None:
            require_as_many(source, place.name, chosen.movie)
        here = slice(begin[batch.frame], begin[batch.frame + 1])
        ours = read_frame(store.path, refs[0], batch.frame) if refs and batch.mask is not None else None
        label, row = _matched_in_frame(batch, ratio, detections.take(here), ours, threshold)
        frames.append(np.full(len(label), batch.frame))
        labels.append(label)
        rows.append(np.where(row == NO_ROW, NO_ROW, here.start + row))
        progress.advance()
    cell = rows_of_cells(lineage, np.concatenate(frames), np.concatenate(labels))
    return MatchedLineage(lineage, np.where(cell < 0, NO_ROW, np.concatenate([*rows, [NO_ROW]])[cell]))


def _matched_in_frame(
    batch: FrameBatch,
    ratio: NDArray[np.float64],
    detections: Detections,
    ours: NDArray[Any] | None,
    threshold: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels of the true cells of a frame, and the row of the detection that each is."""
    overlapping = None
    if batch.points is not None:
        label, place = batch.points.label, batch.points.position_px
    else:
        theirs = mask_of(batch)
        regions = measure(theirs)
        label, place = regions.label, regions.centroid_px
        overlapping = None if ours is None else _overlapping_rows(overlaps_of(theirs, ours), label, detections.label)
    row = np.full(len(label), NO_ROW)
    if len(label) and len(detections):
        mine, found = pair_by_fit(place * ratio, detections.position_px, overlapping, threshold=threshold)
        row[mine] = found
    return label, row


def _overlapping_rows(
    overlaps: Overlaps, theirs: NDArray[np.int64], ours: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of labels as pairs of rows; a label of the masks that is no detection overlaps nothing."""
    detected = np.isin(overlaps.second, ours)
    order = np.argsort(ours)
    second = order[np.searchsorted(ours, overlaps.second[detected], sorter=order)]
    return np.searchsorted(theirs, overlaps.first[detected]), second, overlaps.iou[detected]
