"""Chosen links to tracklets, lineages and the interval labels that make descent a comparison of two numbers.

Nothing here walks from cell to cell. Each row points at its parent, and pointers are doubled: after j steps a row knows
what lies 2**j generations above it, so a path of a thousand frames takes ten steps over whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SchemaError
from ..storage.schema import LinkKind, SolutionTable, Tracks, require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.schema import Detections, Prices


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A forest of links, labelled.

    Parameters
    ----------
    tracks : Tracks
        k tracklets in the order of the walk, numbered from 1.
    track_id, pre : (n,) int64
        Number of the tracklet of each cell, and its place in the walk: ``tracks.id[pre] == track_id``.
    kind : (m,) int64
        A `LinkKind` for each link, in the order given.
    """

    tracks: Tracks
    track_id: NDArray[np.int64]
    pre: NDArray[np.int64]
    kind: NDArray[np.int64]


def label_lineages(
    frame: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    *,
    merge: NDArray[np.bool_] | None = None,
) -> Labels:
    """Label the forest that chosen links make of some cells.

    A link continues a tracklet if and only if it is the only link of its source; each link of a mother of two or more
    begins a tracklet. Trees are walked in the order of their first row, daughters likewise, a mother before her
    daughters.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell; a cell without links is a tracklet of its own.
    source, target : (m,) int64
        Rows of the cells that each link ties, the source in an earlier frame; gaps are allowed.
    merge : (m,) bool, optional
        Links into a cell of several mothers. Intervals need a forest: they are of kind ``MERGE``, and neither count as
        a link nor as a daughter for the labels. Where all links into a cell are marked, it begins a tree of its own.

    Returns
    -------
    Labels
        Tracklets, the tracklet of each cell, and the kind of each link.

    Raises
    ------
    SchemaError
        If a row is unknown, a link does not run forward in time, or, merges aside, a cell has two mothers.
    """
    require_equal_lengths(source=source, target=target)
    plain = np.ones(len(source), dtype=bool) if merge is None else ~merge
    require_equal_lengths(source=source, merge=plain)
    require_forest(frame, source, target, plain)

    n_daughters = np.bincount(source[plain], minlength=len(frame))
    kind = np.where(n_daughters[source] > 1, LinkKind.DIVIDE, LinkKind.CONTINUE).astype(np.int64)
    kind[~plain] = LinkKind.MERGE

    goes_on = kind == LinkKind.CONTINUE
    before = np.arange(len(frame))
    before[target[goes_on]] = source[goes_on]
    heads = np.flatnonzero(before == np.arange(len(frame)))  # first cell of each tracklet, k of them, in order of row
    tracklet = np.searchsorted(heads, tops(before))

    divides = kind == LinkKind.DIVIDE
    mother = np.arange(len(heads))
    mother[tracklet[target[divides]]] = tracklet[source[divides]]
    last_frame = np.zeros(len(heads), dtype=np.int64)
    tails = np.ones(len(frame), dtype=bool)
    tails[source[goes_on]] = False
    last_frame[tracklet[tails]] = frame[tails]

    tracks, place = _walk(mother, frame[heads].astype(np.int64, copy=False), last_frame)
    return Labels(tracks=tracks, track_id=tracks.id[place[tracklet]], pre=place[tracklet], kind=kind)


def solution_table(
    detections: Detections,
    cells: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    edge: NDArray[np.int64],
    prices: Prices | None = None,
    *,
    merge: NDArray[np.bool_] | None = None,
) -> SolutionTable:
    """Label the lineages of chosen cells and links.

    Parameters
    ----------
    detections : Detections
        All detections of the set.
    cells : (k,) int64
        Increasing rows of those that are cells.
    source, target : (m,) int64
        Rows of the detections that each link ties, both among `cells`.
    edge : (m,) int64
        Id of each link.
    prices : Prices or None
        Prices that prove them.
    merge : (m,) bool, optional
        Links into a cell of several mothers, see `label_lineages`.

    Returns
    -------
    SolutionTable
        Ready for the store.
    """
    source, target = np.searchsorted(cells, source), np.searchsorted(cells, target)
    labels = label_lineages(detections.frame[cells], source, target, merge=merge)
    return SolutionTable(
        node=detections.id[cells],
        track_id=labels.track_id,
        pre=labels.pre,
        edge=edge,
        kind=labels.kind,
        tracks=labels.tracks,
        prices=prices,
    )


def require_forest(
    frame: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    plain: NDArray[np.bool_],
) -> None:
    """Raise SchemaError unless the `plain` links are a forest, and all run forward in time."""
    n = len(frame)
    for rows in (source, target):
        if len(rows) and not 0 <= rows.min() <= rows.max() < n:
            raise SchemaError(f"a link speaks of row {rows.max() if rows.max() >= n else rows.min()} of {n} cells")
    backward = np.flatnonzero(frame[target] <= frame[source])
    if len(backward):
        a, b = source[backward[0]], target[backward[0]]
        raise SchemaError(
            f"a link runs from frame {frame[a]} (row {a}) to frame {frame[b]} (row {b})", expected="a later frame"
        )
    n_mothers = np.bincount(target[plain], minlength=n)
    row = np.flatnonzero(n_mothers > 1)
    if len(row):
        raise SchemaError(f"the cell of row {row[0]} in frame {frame[row[0]]} has {n_mothers[row[0]]} mothers")


def tops(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the topmost ancestor of each row.

    Parameters
    ----------
    parent : (n,) int64
        Row of the parent of each row, a row without parent points at itself; no circles.

    Returns
    -------
    top : (n,) int64
        Where the chain of parents ends, after as many doublings as the longest chain has binary digits.
    """
    above = parent[parent]
    while not np.array_equal(above, parent):
        parent, above = above, above[above]
    return above


def _walk(
    mother: NDArray[np.int64], first_frame: NDArray[np.int64], last_frame: NDArray[np.int64]
) -> tuple[Tracks, NDArray[np.int64]]:
    """Put tracklets in the order of the walk.

    Returns
    -------
    tracks : Tracks
        The k tracklets in that order.
    place : (k,) int64
        Place in the walk of each tracklet given.
    """
    k = len(mother)
    rows = np.arange(k)
    is_daughter = mother != rows
    size = _subtree_size(mother)

    # a daughter is entered after her mother and the trees of her elder sisters, a root after the trees before it
    family = np.where(is_daughter, mother + 1, 0)
    order = np.argsort(family, kind="stable")  # ties stay in order of first row
    earlier = np.cumsum(size[order]) - size[order]
    begins = np.flatnonzero(np.diff(family[order], prepend=-1))
    earlier -= np.repeat(earlier[begins], np.diff(begins, append=k))
    step = np.empty(k, dtype=np.int64)
    step[order] = earlier
    place = _sum_upward(mother, step + is_daughter)

    by_place = np.empty(k, dtype=np.int64)
    by_place[place] = rows
    parent = np.where(is_daughter, place[mother] + 1, 0)
    n_children = np.bincount(mother[is_daughter], minlength=k)
    generation = _sum_upward(mother, is_daughter.astype(np.int64))
    tracks = Tracks(
        id=rows + 1,
        pre=rows,
        last=(place + size - 1)[by_place],
        parent=parent[by_place],
        lineage=place[tops(mother)][by_place] + 1,
        first_frame=first_frame[by_place],
        last_frame=last_frame[by_place],
        generation=generation[by_place],
        n_children=n_children[by_place],
    )
    return tracks, place


def _sum_upward(parent: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of the weights from each row up to its root, both ends included."""
    # a root beyond the end, of weight 0, so that climbing past the true root adds nothing
    n = len(parent)
    up = np.append(np.where(parent == np.arange(n), n, parent), n)
    total = np.append(weight, 0)
    while np.any(up != n):
        total = total + total[up]
        up = up[up]
    return total[:n]


def _subtree_size(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of rows in the subtree of each row, itself included."""
    n = len(parent)
    up = np.append(np.where(parent == np.arange(n), n, parent), n)
    size = np.ones(n + 1, dtype=np.int64)
    while np.any(up[:n] != n):
        # size holds the descendants fewer than 2**j steps below; those of a row 2**j below lie 2**j .. 2**(j+1) below
        inside = np.flatnonzero(up[:n] != n)
        size[:n] += np.bincount(up[inside], weights=size[inside], minlength=n).astype(np.int64)
        up = up[up]
    return size[:n]
