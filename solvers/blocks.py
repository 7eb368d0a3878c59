"""One matching from many: blocks of frames are matched apart, and what ties them is inserted last.

A row whose entries all lie in the block of its own node touches no column of another block, so blocks can be matched
side by side, each on its own part of the same arrays; together they are a cheapest matching of those rows, with prices
that prove it. The rows that are left, at the seams, then enter by shortest augmenting paths. Rows may enter in any
order, so the result is a cheapest matching of all.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..errors import SchemaError
from .augment import Table, empty_matching, insert_rows, room_to_search
from .matching import Matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .augment import Search
    from .matching import Entries

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]


def match_in_blocks(
    entries: Entries, frame: NDArray[np.int64], *, frames_per_block: int, threads: int | None = None
) -> Matching:
    """Return a cheapest matching, block by block and then across the seams.

    Parameters
    ----------
    entries : Entries
        Of n nodes.
    frame : (n,) int64
        Frame of each node.
    frames_per_block : int
        Frames that are matched in one piece.
    threads : int or None
        How many blocks to match at once; by default as many as there are processors.

    Returns
    -------
    Matching
        Of the same value, and proven by prices of the same sum, as that of `match`; between matchings that cost the
        same, the choice may be another. It does not depend on the number of threads.

    Raises
    ------
    SchemaError
        If a block has no frame, or there is not one frame a node.
    """
    if frames_per_block < 1:
        raise SchemaError(f"a block needs at least one frame, got {frames_per_block}")
    if len(frame) != entries.n_nodes:
        raise SchemaError(f"every node needs a frame: {entries.n_nodes} nodes, {len(frame)} frames")
    block = (frame - frame.min(initial=0)) // frames_per_block
    inner, seam = split_at_seams(entries, block)
    matched = empty_matching(len(entries.indptr) - 1, entries.n_nodes)
    search = room_to_search(entries.n_nodes, len(entries.column))
    table = Table(entries.indptr, entries.column, entries.weight)
    degree = np.diff(entries.indptr)

    def match_one(rows: NDArray[np.int64]) -> int:
        own = _own_search(search, int(degree[rows].sum()))
        insert_rows(table, matched, own, rows)
        return int(own.clock[0])

    with ThreadPoolExecutor(threads) as pool:
        clocks = list(pool.map(match_one, inner))
    search.clock[0] = max(clocks, default=0)  # later than all that the blocks have written
    insert_rows(table, matched, search, seam)
    return Matching(matched.row_column, matched.column_entry, matched.price)


def split_at_seams(entries: Entries, block: NDArray[np.int64]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return the rows that stay inside each block, and those that leave theirs; rows without entries are in neither.

    Parameters
    ----------
    entries : Entries
        Of n nodes.
    block : (n,) int64
        Block of each node.
    """
    stays = np.repeat(block, 2)
    rows = np.flatnonzero(np.diff(entries.indptr) > 0)
    leaves = _leaves(entries.indptr, entries.column, block, rows)
    inner = rows[~leaves]
    inner = inner[np.argsort(stays[inner], kind="stable")]
    cuts = np.flatnonzero(np.diff(stays[inner])) + 1
    return np.split(inner, cuts) if len(inner) else [], rows[leaves]


def _own_search(shared: Search, n_entries: int) -> Search:
    """Return scratch space for a block: what is kept by column is shared, since no two blocks share a column."""
    own = room_to_search(0, n_entries)
    return shared._replace(
        heap_key=own.heap_key, heap_item=own.heap_item, scanned=np.empty(n_entries + 1, np.int32), clock=own.clock
    )


@njit(cache=True, nogil=True)
def _leaves(indptr: Ints, column: Ints32, block: Ints, rows: Ints) -> NDArray[np.bool_]:
    leaves = np.zeros(len(rows), np.bool_)
    for r in range(len(rows)):
        i = rows[r]
        for k in range(indptr[i], indptr[i + 1]):
            if block[column[k]] != block[i // 2]:
                leaves[r] = True
    return leaves
