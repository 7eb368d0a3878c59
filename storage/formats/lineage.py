"""Lineages over labels: built from links between cells, and thinned to the frames that are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .base import LabelLineage

MAX_DAUGHTERS = 2


def note_crowded(lineage: LabelLineage) -> tuple[str, ...]:
    """Return a note about mothers of more than two daughters, who exist in real ground truth."""
    n_daughters = np.bincount(lineage.source, minlength=len(lineage.frame))
    crowded = np.flatnonzero(n_daughters > MAX_DAUGHTERS)
    if not len(crowded):
        return ()
    cells = ", ".join(f"label {lineage.label[c]} in frame {lineage.frame[c]}" for c in crowded[:3])
    more = ", ..." if len(crowded) > 3 else ""
    return (f"{lineage.name}: mothers of more than two daughters: {len(crowded)} ({cells}{more})",)


def keep_frames(lineage: LabelLineage, kept: Sequence[int], *, renumber: bool) -> tuple[LabelLineage, tuple[str, ...]]:
    """Thin a lineage to the frames that are read.

    A cell whose parent is skipped is tied to its nearest ancestor that is kept, so tracks stay whole over any step.

    Parameters
    ----------
    lineage : LabelLineage
        Cells and links.
    kept : sequence of int
        Frames that are read, increasing.
    renumber : bool
        True if they become 0, 1, 2, ...

    Returns
    -------
    lineage : LabelLineage
        The cells of the frames kept.
    notes : tuple of str
        Which mothers lost their links: several divisions in the frames skipped would give them more than two daughters.
    """
    frames = np.asarray(kept, dtype=np.int64)
    place = np.searchsorted(frames, lineage.frame)
    place_inside = np.minimum(place, len(frames) - 1)
    here = (frames[place_inside] == lineage.frame) if len(frames) else np.zeros(len(lineage.frame), dtype=bool)
    links = bridge(lineage.source, lineage.target, here)
    crowded = _made_crowded(links, len(here))
    link = ~crowded[links.source]
    row = np.cumsum(here) - 1
    thinned = replace(
        lineage,
        frame=(place if renumber else lineage.frame)[here],
        label=lineage.label[here],
        source=row[links.source[link]],
        target=row[links.target[link]],
    )
    n_lost = int(np.count_nonzero(crowded))
    if not n_lost:
        return thinned, ()
    first = np.flatnonzero(crowded)[0]
    return thinned, (
        f"{lineage.name}: links left out of cells that divided more than once in the frames skipped: {n_lost} "
        f"(label {lineage.label[first]} in frame {lineage.frame[first]})",
    )


@dataclass(frozen=True, slots=True, eq=False)
class BridgedLinks:
    """Links between the cells that are kept, ordered by target, then source, each pair once.

    Parameters
    ----------
    source, target : (m,) int64
        Rows of the cells that each link ties.
    over : (m,) bool
        Links that lead over cells that are not kept.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    over: NDArray[np.bool_]


def bridge(source: NDArray[np.int64], target: NDArray[np.int64], kept: NDArray[np.bool_]) -> BridgedLinks:
    """Tie each kept cell to its nearest kept ancestors, over those that are not kept.

    Parameters
    ----------
    source, target : (m,) int64
        Rows of the cells that each link ties, without circles; a cell may have several mothers.
    kept : (n,) bool
        The cells that stay.
    """
    n = len(kept)
    n_mothers = np.bincount(target, minlength=n)
    above = np.arange(n)  # where a path up to a cell goes on for certain: over one that is left out with one mother
    passed = ~kept[target] & (n_mothers[target] == 1)
    above[target[passed]] = source[passed]
    above = _rested(above)

    asked = kept[target]
    child, direct = target[asked], source[asked]
    found = [(above[direct], child, above[direct] != direct)]
    order = np.argsort(target, kind="stable")
    begin = np.searchsorted(target[order], np.arange(n + 1))
    while True:  # once for each cell left out, one above the other, in which several mothers merged
        top, child, _ = found[-1]
        merged = np.flatnonzero(~kept[top] & (n_mothers[top] > 1))
        if not len(merged):
            break
        top, child = top[merged], child[merged]
        place = np.repeat(begin[top] - np.cumsum(n_mothers[top]) + n_mothers[top], n_mothers[top])
        mothers = above[source[order[place + np.arange(len(place))]]]
        pairs = np.unique(np.column_stack([mothers, np.repeat(child, n_mothers[top])]), axis=0)
        found.append((pairs[:, 0], pairs[:, 1], np.ones(len(pairs), dtype=bool)))
    top, child, over = (np.concatenate(column) for column in zip(*found, strict=True))
    stays = np.flatnonzero(kept[top])
    stays = stays[np.lexsort((over[stays], top[stays], child[stays]))]
    top, child, over = top[stays], child[stays], over[stays]
    once = np.append(True, (top[1:] != top[:-1]) | (child[1:] != child[:-1]))[: len(top)]
    return BridgedLinks(top[once], child[once], over[once])


def _rested(above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follow pointers until they rest: as many rounds as the logarithm of the longest chain."""
    while True:
        further = above[above]
        if np.array_equal(further, above):
            return above
        above = further


def _made_crowded(links: BridgedLinks, n: int) -> NDArray[np.bool_]:
    """Return which cells have more than two daughters, at least one of them over a skipped cell."""
    over_skipped = np.bincount(links.source[links.over], minlength=n) > 0
    return (np.bincount(links.source, minlength=n) > MAX_DAUGHTERS) & over_skipped
