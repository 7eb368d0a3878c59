"""Lineages told in labels, joined with the detections: which row is which cell, which rows are linked.

A cell is named by its frame and its label there. Where a lineage brings masks of its own, its labels are first
translated into those of the detections by overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError
from .lineages import tops
from .measure import labels_at, runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ..storage.formats.base import LabelLineage
    from ..storage.schema import Detections

NO_LABEL = -1  # of a cell that no detection covers; a mask holds no label below 1


@dataclass(frozen=True, slots=True, eq=False)
class JoinedLinks:
    """A lineage in rows of the detections.

    Parameters
    ----------
    row : (k,) int64
        Rows of the detections that the lineage names, increasing.
    source, target : (m,) int64
        Rows of the detections that each link ties, ordered by target.
    n_dropped : int
        Cells of the lineage that no detection is.
    n_bridged : int
        Links that lead over dropped cells.
    n_cut : int
        Links that bridging would have made a third daughter, left out.
    """

    row: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    n_dropped: int = 0
    n_bridged: int = 0
    n_cut: int = 0


def links_of(lineage: LabelLineage, detections: Detections) -> JoinedLinks:
    """Find the rows of a lineage's cells, and its links between them.

    Where the lineage is not complete, its cells without a detection are dropped, and a cell whose mother was dropped
    is linked to the nearest ancestor that was kept. Where that would give a mother a third daughter, the two links over
    the fewest frames stay; a mother whom the lineage itself gives three daughters keeps them.

    Parameters
    ----------
    lineage : LabelLineage
        Cells named by frame and label.
    detections : Detections
        The cells of the store, n of them.

    Returns
    -------
    JoinedLinks
        Rows and links, and how many cells were dropped.

    Raises
    ------
    FormatError
        If a cell is named twice or has two mothers; or if a complete lineage names a cell that is not detected, or does
        not name a detection.
    """
    _require_forest(lineage)
    row, surplus = _rows_of_cells(lineage, detections)
    if lineage.complete:
        _require_complete(lineage, detections, row, surplus)
    kept = row >= 0

    mother = np.arange(len(row))
    mother[lineage.target] = lineage.source
    nearest = tops(np.where(kept, np.arange(len(row)), mother))  # first kept cell at or above each
    target = np.flatnonzero(kept & (mother != np.arange(len(row))))
    source = nearest[mother[target]]
    linked = kept[source]
    source, target = source[linked], target[linked]

    bridged = source != mother[target]
    crowded = np.bincount(lineage.source, minlength=len(row)) > 2  # by the lineage's own word
    stays = _first_two(source, lineage.frame[target] - lineage.frame[source]) | (crowded[source] & ~bridged)
    bridged &= stays
    source, target = row[source[stays]], row[target[stays]]
    order = np.argsort(target)
    return JoinedLinks(
        row=np.sort(row[kept]),
        source=source[order],
        target=target[order],
        n_dropped=int(np.count_nonzero(~kept)),
        n_bridged=int(np.count_nonzero(bridged)),
        n_cut=int(np.count_nonzero(~stays)),
    )


def match_by_overlap(
    truth: NDArray[np.integer], mask: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the detection that covers each true cell.

    A detection is a true cell if it covers more than half of its pixels, the rule of the Cell Tracking Challenge [1]_.
    There one detection may be several cells (a split that was missed); a row can be one cell only, so here it is the
    one that it covers with most pixels, and of two alike the one of lower label.

    Parameters
    ----------
    truth, mask : ([z,] y, x) integer arrays
        Labels of the true cells and of the detections in one frame, 0 for background.

    Returns
    -------
    label_truth, label_detection : (k,) int64
        Pairs of labels, in order of `label_truth`; each label is in one pair at most.

    Raises
    ------
    FormatError
        If the shapes differ, or one of them is not a label mask.

    References
    ----------
    .. [1] Matula et al., "Cell Tracking Accuracy Measurement Based on Comparison of Acyclic Oriented Graphs", PLoS ONE
       2015.
    """
    starts, lengths = runs(truth, mask)
    a, b = labels_at(truth, starts), labels_at(mask, starts)
    inside = a > 0
    a, b, lengths = a[inside], b[inside], lengths[inside]
    if not len(a):
        return a, a

    order = np.lexsort((b, a))
    a, b, lengths = a[order], b[order], lengths[order]
    pair = np.flatnonzero(np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])])
    overlap = np.add.reduceat(lengths, pair)
    a, b = a[pair], b[pair]
    cell = np.flatnonzero(np.r_[True, a[1:] != a[:-1]])
    area = np.repeat(np.add.reduceat(overlap, cell), np.diff(cell, append=len(a)))
    most = (2 * overlap > area) & (b > 0)
    a, b, overlap = a[most], b[most], overlap[most]

    order = np.lexsort((a, -overlap, b))
    best = np.sort(order[np.r_[True, np.diff(b[order]) > 0]]) if len(order) else order
    return a[best], b[best]


def with_labels_of_detections(
    lineage: LabelLineage, matches: Iterable[tuple[int, NDArray[np.int64], NDArray[np.int64]]]
) -> LabelLineage:
    """Translate the labels of a lineage into those of the detections.

    Parameters
    ----------
    lineage : LabelLineage
        Cells named by the labels of its own masks.
    matches : iterable of (frame, label_truth, label_detection)
        What `match_by_overlap` found in each frame; a frame that is not told has no match.

    Returns
    -------
    LabelLineage
        The same cells and links, not complete; a cell that no detection covers has the label `NO_LABEL`.
    """
    label = np.full(len(lineage.label), NO_LABEL, dtype=np.int64)
    by_frame = np.argsort(lineage.frame, kind="stable")
    frames = lineage.frame[by_frame]
    for frame, label_truth, label_detection in matches:
        cells = by_frame[slice(*np.searchsorted(frames, [frame, frame + 1]))]
        order = np.argsort(label_truth)
        place = np.searchsorted(label_truth[order], lineage.label[cells])
        found = np.flatnonzero(place < len(order))
        found = found[label_truth[order[place[found]]] == lineage.label[cells[found]]]
        label[cells[found]] = label_detection[order[place[found]]]
    return replace(lineage, label=label, complete=False, masks=())


def _require_forest(lineage: LabelLineage) -> None:
    """Raise FormatError unless each cell has at most one mother."""
    n_mothers = np.bincount(lineage.target, minlength=len(lineage.label))
    cell = np.flatnonzero(n_mothers > 1)
    if len(cell):
        raise FormatError(
            f"{lineage.origin}: label {lineage.label[cell[0]]} of frame {lineage.frame[cell[0]]} has "
            f"{n_mothers[cell[0]]} mothers",
            expected="at most 1",
        )


def _rows_of_cells(lineage: LabelLineage, detections: Detections) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row of the detection that each cell is (-1: none), and the rows of detections that are no cell."""
    n = len(detections)
    labels, label = np.unique(np.concatenate([detections.label, lineage.label]), return_inverse=True)
    key = np.concatenate([detections.frame, lineage.frame]) * len(labels) + label  # labels may be huge, ranks are not
    order = np.argsort(key[:n])
    found = key[:n][order]

    wanted = key[n:]
    named = wanted[lineage.label != NO_LABEL]
    twice = np.sort(named)
    twice = twice[1:][twice[1:] == twice[:-1]]
    if len(twice):
        frame, rank = divmod(int(twice[0]), len(labels))
        raise FormatError(f"{lineage.origin}: label {labels[rank]} of frame {frame} is named twice", expected="once")

    row = np.full(len(wanted), -1, dtype=np.int64)
    if n:
        place = np.minimum(np.searchsorted(found, wanted), n - 1)
        hit = found[place] == wanted
        row[hit] = order[place[hit]]
    is_cell = np.zeros(n, dtype=bool)
    is_cell[row[row >= 0]] = True
    return row, np.flatnonzero(~is_cell)


def _require_complete(
    lineage: LabelLineage, detections: Detections, row: NDArray[np.int64], surplus: NDArray[np.int64]
) -> None:
    """Raise FormatError if a cell is not detected, or a detection is no cell."""
    missing = np.flatnonzero(row < 0)
    if len(missing):
        cell = missing[np.argmin(lineage.frame[missing])]
        lives = lineage.frame[lineage.label == lineage.label[cell]]
        raise FormatError(
            f"{lineage.origin}: label {lineage.label[cell]} lives in frames {lives.min()}..{lives.max()}, "
            f"but no mask of frame {lineage.frame[cell]} holds it",
            missing=f"{len(missing)} of {len(row)} cells",
        )
    if len(surplus):
        raise FormatError(
            f"{lineage.origin}: the mask of frame {detections.frame[surplus[0]]} holds label "
            f"{detections.label[surplus[0]]}, but no track has it there",
            surplus=f"{len(surplus)} of {len(detections)} detections",
        )


def _first_two(source: NDArray[np.int64], gap: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which links are among the two shortest of their source; ties go to the earlier link."""
    order = np.lexsort((gap, source))
    third = np.zeros(len(source), dtype=bool)
    third[2:] = source[order[2:]] == source[order[:-2]]
    stays = np.empty(len(source), dtype=bool)
    stays[order] = ~third
    return stays
