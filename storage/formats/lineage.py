"""Lineages over labels: built from links between cells, and thinned to the frames that are read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .base import LabelLineage

MAX_DAUGHTERS = 2


def lineage_parents(lineage: LabelLineage) -> NDArray[np.int64]:
    """Return the row of each cell's parent, -1 where it has none."""
    parent = np.full(len(lineage.frame), -1, dtype=np.int64)
    parent[lineage.target] = lineage.source
    return parent


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
        Each cell has one parent at most.
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
    parent = lineage_parents(lineage)
    ancestor = nearest_kept(parent, here)[parent]  # -1 reads the sentinel at the end, which is -1
    child = np.flatnonzero(here & (ancestor >= 0))
    source = ancestor[child]
    crowded = _made_crowded(source, parent[child], len(parent))
    link = ~crowded[source]
    row = np.cumsum(here) - 1
    thinned = replace(
        lineage,
        frame=(place if renumber else lineage.frame)[here],
        label=lineage.label[here],
        source=row[source[link]],
        target=row[child[link]],
    )
    n_lost = int(np.count_nonzero(crowded))
    if not n_lost:
        return thinned, ()
    first = np.flatnonzero(crowded)[0]
    return thinned, (
        f"{lineage.name}: links left out of cells that divided more than once in the frames skipped: {n_lost} "
        f"(label {lineage.label[first]} in frame {lineage.frame[first]})",
    )


def nearest_kept(parent: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each cell itself if kept, else its nearest kept ancestor, -1 if none; one more -1 stands at the end.

    Pointers are doubled until they rest: as many rounds as the logarithm of the longest chain that is skipped.
    """
    n = len(parent)
    up = np.append(np.where(kept, np.arange(n), np.where(parent < 0, n, parent)), n)
    while True:
        further = up[up]
        if np.array_equal(further, up):
            return np.where(up == n, -1, up)
        up = further


def _made_crowded(source: NDArray[np.int64], parent: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Return which cells have more than two daughters, at least one of them over a skipped cell."""
    over_skipped = np.bincount(source[source != parent], minlength=n) > 0
    return (np.bincount(source, minlength=n) > MAX_DAUGHTERS) & over_skipped
