"""What surrounds some nodes, as a small problem of its own whose selection and bound are those of the whole movie.

The options of a movie (`options`) are many times its broken couplings. Around these alone, *inner* columns are those of
which every option is listed: rows that touch one are here with all that they may do. Such rows also touch *outer*
columns. Where a row elsewhere holds one of these, what an option pays for it is its price, and the column is free here;
so everything costs above its prices what it costs in the whole, and what lies elsewhere costs nothing above them. As
long as no price and no choice of an outer column moves, selection, prices and bound hold for the whole; where one does,
more must be listed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from .matching import LOOP, total_of_rows
from .options import GRAIN, NONE, build_options
from .packing import Draft
from .problem import FORBIDDEN, KEPT, GridProblem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matching import Entries, Matching

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Bools = NDArray[np.bool_]

STEPS: Final = 2
"""How often a vicinity goes from its columns to the rows that touch them, and on to all columns that those touch."""

MOST: Final = 0.25
"""Share of a movie's columns beyond which the whole is listed instead."""


def widened(grid: GridProblem, columns: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Return columns with all that rows touch which touch them, and so on for some steps; (n,) bool."""
    for _ in range(steps):
        columns = _touched(grid.first, grid.target, _touching(grid.first, grid.target, columns))
    return columns


@dataclass(frozen=True, slots=True, eq=False)
class Vicinity:
    """What surrounds some nodes of a grid.

    Parameters
    ----------
    node : (k,) int64
        Its nodes on the grid, increasing.
    inner : (k,) bool
        Columns of which every option is listed.
    listed : (k,) bool
        Rows whose options are listed.
    edge : int64
        Edges on the grid that leave these rows, increasing.
    held : (k,) bool
        Columns that one of these rows takes in the matching.
    grid : GridProblem
        Nodes and edges from 0, without order; what others hold appears at its price less.
    """

    node: NDArray[np.int64]
    inner: NDArray[np.bool_]
    listed: NDArray[np.bool_]
    edge: NDArray[np.int64]
    held: NDArray[np.bool_]
    grid: GridProblem

    @classmethod
    def of(cls, grid: GridProblem, matching: Matching, columns: NDArray[np.bool_]) -> Vicinity:
        """Return the vicinity whose inner columns are these; they touch `grid` at the prices of a matching."""
        rows = _touching(grid.first, grid.target, columns)
        inside = _touched(grid.first, grid.target, rows)
        node = np.flatnonzero(inside)
        listed, inner = rows[node], columns[node]
        degree = np.where(listed, grid.first[node + 1] - grid.first[node], 0)
        first = np.zeros(len(node) + 1, dtype=np.int64)
        np.cumsum(degree, out=first[1:])
        edge = np.arange(first[-1]) + np.repeat(grid.first[node] - first[:-1], degree)
        place = np.empty(len(inside), dtype=np.int32)
        place[node] = np.arange(len(node))
        taken = matching.row_column.reshape(-1, 2)[node[listed]]
        held = np.zeros(len(node), dtype=bool)
        held[place[taken[taken >= 0]]] = True
        free = np.where(grid.pinned[node] == FORBIDDEN, FORBIDDEN, KEPT).astype(np.int8)  # they have no loop here
        part = GridProblem(
            order=None,
            first=first,
            target=place[grid.target[edge]],
            edge=grid.edge[edge],
            node=grid.node[node],
            appear=grid.appear[node] + np.where(held, 0, matching.price[node]),
            disappear=grid.disappear[node],
            division=grid.division[node],
            pinned=np.where(listed, grid.pinned[node], free),
        )
        return cls(node, inner, listed, edge, held, part)

    def draft(self, entries: Entries, matching: Matching, bound: int) -> Draft:
        """Return the matching as the start of a selection here, its value and bound those of the whole movie.

        `bound` is what the prices of the matching prove, in millionths.
        """
        options = build_options(self.grid, None)
        price = np.where(self.held, matching.price[self.node], 0)
        rest = bound - total_of_rows(entries, matching.price, self.node[self.listed]) - int(price.sum())
        first, second = (self._edges_of_slot(entries, matching, slot) for slot in (0, 1))
        return Draft(replace(options, base=rest * GRAIN), options.chosen(first, second), price)

    def left(self, draft: Draft) -> NDArray[np.int64]:
        """Return the outer columns, as nodes of the whole, that a draft touched: it holds for the whole if none."""
        touched = draft.touched[len(self.node) :]
        return self.node[touched & ~self.inner]

    def put(self, draft: Draft, edge: NDArray[np.bool_], node: NDArray[np.bool_]) -> None:
        """Write the selection of a draft over the links, in the order of the grid, and the detections of the whole."""
        here, selected = draft.selection(self.grid)
        edge[self.edge] = here
        node[self.node[self.listed]] = selected[self.listed]

    def _edges_of_slot(self, entries: Entries, matching: Matching, slot: int) -> NDArray[np.int64]:
        """Return the edge here that each row's slot takes in the matching, `LOOP`, or less than `NONE` for nothing."""
        held = np.full(len(self.node), NONE - 1)
        column = matching.row_column[2 * self.node + slot]
        used = np.flatnonzero(self.listed & (column >= 0))
        edge = entries.edge[matching.column_entry[column[used]]]
        held[used] = np.where(edge == LOOP, LOOP, np.searchsorted(self.edge, edge))
        return held


@njit(cache=True, nogil=True)
def _touching(first: Ints, target: Ints32, columns: Bools) -> Bools:
    """Return the rows that have one of some columns: their own, or that of a child."""
    rows = columns.copy()
    for u in range(len(columns)):
        for e in range(first[u], first[u + 1]):
            if columns[target[e]]:
                rows[u] = True
                break
    return rows


@njit(cache=True, nogil=True)
def _touched(first: Ints, target: Ints32, rows: Bools) -> Bools:
    """Return the columns that some rows have."""
    columns = rows.copy()
    for u in range(len(rows)):
        if rows[u]:
            for e in range(first[u], first[u + 1]):
                columns[target[e]] = True
    return columns
