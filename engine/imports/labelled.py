"""Lineages told in labels, joined with the detections: which row is which cell, which rows are linked.

A cell is named by its frame and its label there. Where a lineage brings masks of its own, its labels are first
translated into those of the detections by overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ...storage.formats.lineage import bridge
from ..measure import labels_at, runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ...storage.formats.base import LabelLineage
    from ...storage.schema import Detections

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
    merge : (m,) bool
        Links into a cell that has several mothers.
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
    merge: NDArray[np.bool_]
    n_dropped: int = 0
    n_bridged: int = 0
    n_cut: int = 0

    @property
    def n_merges(self) -> int:
        """Cells that have several mothers."""
        return len(np.unique(self.target[self.merge]))


def links_of(lineage: LabelLineage, detections: Detections) -> JoinedLinks:
    """Find the rows of a lineage's cells by their frames and labels, and its links between them; see `join`.

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
        If a cell is named twice, or has two mothers where nothing can merge; or if a complete lineage names a cell that
        is not detected, or does not name a detection.
    """
    row = rows_of_cells(lineage, detections.frame, detections.label)
    return join(lineage, row)


def join(lineage: LabelLineage, row: NDArray[np.int64]) -> JoinedLinks:
    """Bring the links of a lineage to the rows that its cells are.

    Cells without a row are dropped, and a cell whose mother was dropped is linked to the nearest ancestor that was
    kept. Where that would give a mother a third daughter, the two links over the fewest frames stay; a mother whom the
    lineage itself gives three daughters keeps them.

    Parameters
    ----------
    lineage : LabelLineage
        n cells.
    row : (n,) int64
        Row of each of them, each row once; -1 for none.

    Raises
    ------
    FormatError
        If a cell has two mothers where nothing can merge.
    """
    require_mothers(lineage)
    kept = row >= 0
    links = bridge(lineage.source, lineage.target, kept)
    crowded = np.bincount(lineage.source, minlength=len(row)) > 2  # by the lineage's own word
    n_frames = lineage.frame[links.target] - lineage.frame[links.source]
    stays = _first_two(links.source, n_frames) | (crowded[links.source] & ~links.over)
    source, target = row[links.source[stays]], row[links.target[stays]]
    order = np.argsort(target, kind="stable")
    source, target = source[order], target[order]
    n_mothers = np.bincount(target)
    return JoinedLinks(
        row=np.sort(row[kept]),
        source=source,
        target=target,
        merge=n_mothers[target] > 1,
        n_dropped=int(np.count_nonzero(~kept)),
        n_bridged=int(np.count_nonzero(links.over & stays)),
        n_cut=int(np.count_nonzero(~stays)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Which detection covers each true cell of one frame.

    Parameters
    ----------
    label : (k,) int64
        Labels of all true cells, increasing.
    by : (k,) int64
        Label of the detection that covers more than half of each, 0 where none does. One detection may cover several.
    overlap : (k,) int64
        Pixels of the cell that it covers.
    """

    label: NDArray[np.int64]
    by: NDArray[np.int64]
    overlap: NDArray[np.int64]


def coverage(truth: NDArray[np.integer], mask: NDArray[np.integer]) -> Coverage:
    """Find the detection that covers each true cell: more than half of its pixels, the rule of the challenge [1]_.

    Parameters
    ----------
    truth, mask : ([z,] y, x) integer arrays
        Labels of the true cells and of the detections in one frame, 0 for background.

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
        return Coverage(a, a, a)
    order = np.lexsort((b, a))
    a, b, lengths = a[order], b[order], lengths[order]
    pair = np.flatnonzero(np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])])
    overlap = np.add.reduceat(lengths, pair)
    a, b = a[pair], b[pair]
    cell = np.flatnonzero(np.r_[True, a[1:] != a[:-1]])
    n_pairs = np.diff(cell, append=len(a))
    most = (2 * overlap > np.repeat(np.add.reduceat(overlap, cell), n_pairs)) & (b > 0)  # one pair of a cell at most
    by, shared = (np.add.reduceat(np.where(most, values, 0), cell) for values in (b, overlap))
    return Coverage(a[cell], by, shared)


def match_by_overlap(
    truth: NDArray[np.integer], mask: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the detection that each true cell is: the one that covers it, each detection once.

    By the rule of the challenge one detection may cover several cells (a split that was missed); a row can be one cell
    only, so here it is the one that it covers with most pixels, and of two alike the one of lower label.

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
    """
    found = coverage(truth, mask)
    is_cell = np.flatnonzero(found.by > 0)
    is_cell = is_cell[one_each(found.by[is_cell], -found.overlap[is_cell])]
    return found.label[is_cell], found.by[is_cell]


def one_each(row: NDArray[np.int64], cost: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return which entries are the cheapest of their row; of two alike the earlier one.

    Parameters
    ----------
    row : (k,) int64
        What each entry asks for.
    cost : (k,) array
        Lower is better.
    """
    order = np.lexsort((cost, row))
    first = np.append(True, np.diff(row[order]) > 0)[: len(row)]
    chosen = np.zeros(len(row), dtype=bool)
    chosen[order[first]] = True
    return chosen


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
    return replace(lineage, label=label, complete=False, by_tracklet=False, masks=())


def require_mothers(lineage: LabelLineage) -> None:
    """Raise FormatError if a cell has several mothers in a lineage that knows no merges."""
    n_mothers = np.bincount(lineage.target, minlength=len(lineage.label))
    cell = np.flatnonzero(n_mothers > 1)
    if len(cell) and not lineage.merges:
        raise FormatError(
            f"{lineage.origin}: label {lineage.label[cell[0]]} of frame {lineage.frame[cell[0]]} has "
            f"{n_mothers[cell[0]]} mothers",
            expected="at most 1",
        )


def rows_of_cells(lineage: LabelLineage, frame: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the cells of a lineage among those that a source or a store holds.

    Parameters
    ----------
    lineage : LabelLineage
        k cells.
    frame, label : (n,) int64
        Names of the cells that are there.

    Returns
    -------
    row : (k,) int64
        Row of each cell of the lineage, -1 where it is not there.

    Raises
    ------
    FormatError
        If a cell is named twice, or the lineage is complete and cells are not the same on both sides.
    """
    n = len(frame)
    labels, rank = np.unique(np.concatenate([label, lineage.label]), return_inverse=True)
    key = np.concatenate([frame, lineage.frame]) * len(labels) + rank  # labels may be huge, ranks are not
    order = np.argsort(key[:n])
    found = key[:n][order]
    wanted = key[n:]
    named = np.sort(wanted[lineage.label != NO_LABEL])
    for keys, what in ((named, "is named twice"), (found, "is there twice")):
        twice = keys[1:][keys[1:] == keys[:-1]]
        if len(twice):
            of_frame, of_label = divmod(int(twice[0]), len(labels))
            raise FormatError(f"{lineage.origin}: label {labels[of_label]} of frame {of_frame} {what}", expected="once")

    row = np.full(len(wanted), -1, dtype=np.int64)
    if n:
        place = np.minimum(np.searchsorted(found, wanted), n - 1)
        hit = found[place] == wanted
        row[hit] = order[place[hit]]
    if lineage.complete:
        is_cell = np.zeros(n, dtype=bool)
        is_cell[row[row >= 0]] = True
        _require_complete(lineage, frame, label, row, np.flatnonzero(~is_cell))
    return row


def _require_complete(
    lineage: LabelLineage,
    frame: NDArray[np.int64],
    label: NDArray[np.int64],
    row: NDArray[np.int64],
    surplus: NDArray[np.int64],
) -> None:
    """Raise FormatError if a cell is not there, or what is there is no cell."""
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
            f"{lineage.origin}: the mask of frame {frame[surplus[0]]} holds label {label[surplus[0]]}, "
            "but no track has it there",
            surplus=f"{len(surplus)} of {len(frame)} detections",
        )


def _first_two(source: NDArray[np.int64], gap: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which links are among the two shortest of their source; ties go to the earlier link."""
    order = np.lexsort((gap, source))
    third = np.zeros(len(source), dtype=bool)
    third[2:] = source[order[2:]] == source[order[:-2]]
    stays = np.empty(len(source), dtype=bool)
    stays[order] = ~third
    return stays
