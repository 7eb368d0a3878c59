"""An open tracking: a cheapest selection that follows each decision at once, without solving the movie again.

A decision changes the weights of a few entries of the matching. Rows that held one of them, or may want one now, are
taken out and put back along shortest augmenting paths (`augment`), which look no farther than the change reaches.
Where couplings broke, the selection is not that of the matching (`packing`). Those regions are remembered; a change
that touches none of them leaves them as they are, proof included, for no option leads from one to the other. A change
that touches one, or breaks a coupling, has the pinned problem solved anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ..errors import InfeasibleError, SchemaError
from .augment import ByColumn, Matched, Search, Table, empty_matching, insert, refill, room_to_search, turn
from .ilp import solve_within
from .matching import LOOP, build_entries, insert_all
from .pins import MOST_CHILDREN, Pins, pin
from .problem import FORBIDDEN, KEPT, GridProblem, objective, refuse_conflicts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .problem import TrackingProblem

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

OFF: Final = 2**50
"""Weight of an entry that a decision rules out: nothing that costs anything is ever chosen."""

FREE: Final = 0
"""What a pin says where the solver decides."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What a decision changed: rows of edges that came in and went out, and of detections."""

    linked: NDArray[np.int64]
    unlinked: NDArray[np.int64]
    selected: NDArray[np.int64]
    dropped: NDArray[np.int64]


class Linker:
    """A cheapest selection of a problem, kept cheapest while links and detections are pinned and set free.

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges; without pairs and conflicts.
    pins : Pins or None
        What is decided already.

    Attributes
    ----------
    edge : (m,) bool
        Selected links, pinned ones included; to be read only.
    node : (n,) bool
        Selected detections; to be read only.
    n_solved : int
        How often the whole problem was solved, the first time included.

    Raises
    ------
    SchemaError
        If the problem has pairs or conflicts.
    InfeasibleError
        If nothing honours the pins.
    """

    def __init__(self, problem: TrackingProblem, pins: Pins | None = None) -> None:
        if problem.pairs is not None:
            raise SchemaError("a linker follows links and detections, not pairs of daughters", use="a solver")
        refuse_conflicts(problem)
        m, n = problem.n_edges, problem.n_nodes
        self._problem = problem
        self._pins = Pins(
            np.zeros(m, dtype=np.int8) if pins is None else pins.edge.copy(),
            np.zeros(n, dtype=np.int8) if pins is None else pins.node.copy(),
        )
        self._grid = grid = GridProblem.of(problem)
        self._row = np.arange(m) if grid.order is None else grid.order  # in the problem, of each edge on the grid
        self._edge_of = np.argsort(self._row)
        self._into = ByColumn(*turn(grid.first, grid.target, n))
        self._entries = entries = build_entries(grid)
        self._by_column = ByColumn(*turn(entries.indptr, entries.column, n))
        self._row_of = np.repeat(np.arange(2 * n), np.diff(entries.indptr))
        self._off = np.zeros(len(entries.weight), dtype=np.int32)
        for edge in self._edge_of[np.flatnonzero(self._pins.edge)]:
            np.add.at(self._off, self._ruled_out_by_link(int(edge), self._pins.edge[self._row[edge]]), 1)
        for node in np.flatnonzero(self._pins.node):
            np.add.at(self._off, self._ruled_out_by_cell(int(node), self._pins.node[node]), 1)
        weight = np.where(self._off > 0, OFF, entries.weight)
        self._table = Table(entries.indptr, entries.column, weight)
        self._search: Search = room_to_search(n, len(weight))
        self._absent = np.zeros(2 * n, dtype=bool)
        self._seen = np.zeros(n, dtype=np.int64)
        self.n_solved = 0
        self._solve()

    @property
    def objective(self) -> float:
        """What the selection costs; one pass over the edges."""
        return objective(self._problem, self.edge, self.node)

    @property
    def lower_bound(self) -> float:
        """No selection that honours the pins costs less; what `packing` left open, if anything, is open still."""
        return self.objective - self._slack

    def pin_link(self, edge: int, value: int) -> Change:
        """Force a link in (1), with no further child of its source but those forced in; out (-1); or set it free (0).

        Parameters
        ----------
        edge : int
            Row of the edge in the problem.
        value : int
            1, -1 or 0.

        Raises
        ------
        InfeasibleError
            If other pins, or the problem, forbid it; nothing has changed then.
        """
        self._require_feasible_link(edge, value)
        before = int(self._pins.edge[edge])
        if value == before:
            return _nothing()
        on = self._ruled_out_by_link(int(self._edge_of[edge]), value)
        off = self._ruled_out_by_link(int(self._edge_of[edge]), before)
        self._pins.edge[edge] = value
        return self._follow(on, off, edges=np.array([edge]), nodes=np.empty(0, dtype=np.int64))

    def pin_cell(self, node: int, value: int) -> Change:
        """Say that a detection is a cell (1), is none (-1), or set it free (0); as `pin_link`."""
        self._require_feasible_cell(node, value)
        before = int(self._pins.node[node])
        if value == before:
            return _nothing()
        on, off = self._ruled_out_by_cell(node, value), self._ruled_out_by_cell(node, before)
        self._pins.node[node] = value
        return self._follow(on, off, edges=np.empty(0, dtype=np.int64), nodes=np.array([node]))

    def _require_feasible_link(self, edge: int, value: int) -> None:
        if value not in (KEPT, FORBIDDEN, FREE):
            raise SchemaError(f"a pin is 1, 0 or -1, got {value}")
        if value != KEPT:
            return
        u, v = int(self._problem.source[edge]), int(self._problem.target[edge])
        for node in (u, v):
            if FORBIDDEN in (self._pins.node[node], self._problem.pinned_node[node]):
                raise InfeasibleError(f"the link {u} -> {v} is pinned, but detection {node} is pinned out")
        others = self._row[self._into.entry[self._into.indptr[v] : self._into.indptr[v + 1]]]
        if np.any(self._pins.edge[others[others != edge]] == KEPT):
            raise InfeasibleError(f"the link {u} -> {v} would give detection {v} two pinned parents")
        siblings = self._row[self._grid.first[u] : self._grid.first[u + 1]]
        if np.count_nonzero(self._pins.edge[siblings[siblings != edge]] == KEPT) == MOST_CHILDREN:
            raise InfeasibleError(f"the link {u} -> {v} would give detection {u} three pinned children")

    def _require_feasible_cell(self, node: int, value: int) -> None:
        if value not in (KEPT, FORBIDDEN, FREE):
            raise SchemaError(f"a pin is 1, 0 or -1, got {value}")
        if value != FREE and value == -self._problem.pinned_node[node]:
            raise InfeasibleError(f"detection {node} is pinned against what the problem says of it")
        ends = self._row[self._grid.first[node] : self._grid.first[node + 1]]
        starts = self._row[self._into.entry[self._into.indptr[node] : self._into.indptr[node + 1]]]
        if value == FORBIDDEN and np.any(self._pins.edge[np.concatenate([starts, ends])] == KEPT):
            raise InfeasibleError(f"detection {node} is pinned out, but a link of it is pinned")

    def _rows_of(self, node: int) -> NDArray[np.int64]:
        return np.arange(self._entries.indptr[2 * node], self._entries.indptr[2 * node + 2])

    def _column_of(self, node: int) -> NDArray[np.int64]:
        return self._by_column.entry[self._by_column.indptr[node] : self._by_column.indptr[node + 1]]

    def _ruled_out_by_link(self, edge: int, value: int) -> NDArray[np.int64]:
        """Return the entries that a pin of an edge on the grid rules out."""
        target = int(self._grid.target[edge])
        if value == FORBIDDEN:
            return self._among(self._column_of(target), edge)
        if value == KEPT:
            source = int(np.searchsorted(self._grid.first, edge, side="right")) - 1
            return np.concatenate([self._rows_of(source), self._column_of(target)])
        return np.empty(0, dtype=np.int64)

    def _ruled_out_by_cell(self, node: int, value: int) -> NDArray[np.int64]:
        if value == FORBIDDEN:
            return np.concatenate([self._rows_of(node), self._column_of(node)])
        return self._among(self._column_of(node), LOOP) if value == KEPT else np.empty(0, dtype=np.int64)

    def _among(self, entries: NDArray[np.int64], edge: int) -> NDArray[np.int64]:
        of_edge: NDArray[np.int64] = entries[self._entries.edge[entries] == edge]
        return of_edge

    def _follow(
        self, on: NDArray[np.int64], off: NDArray[np.int64], edges: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> Change:
        """Rule entries out and others in again, restore the optimum, and tell what changed.

        `edges` and `nodes` are what the decision is about.
        """
        touched = np.empty(self._problem.n_nodes, dtype=np.int64)
        step = np.repeat(np.array([1, -1], dtype=np.int32), [len(on), len(off)])
        rows, n_touched = _switch(
            self._table, self._by_column, self._matched, self._search, self._absent, self._off,
            self._entries.weight, self._row_of, np.concatenate([on, off]), step, touched, self._seen,
        )  # fmt: skip
        touched = touched[:n_touched]
        old, new = self._shown[touched], self._matched.column_entry[touched]
        held = np.concatenate([old[old >= 0], new[new >= 0]])
        ends = self._problem.source[edges], self._problem.target[edges]  # also where the matching has no use for them
        around = np.unique(np.concatenate([touched, self._row_of[held] // 2, rows // 2, nodes, *ends]))
        if self._near[around].any() or self._breaks(around):
            return self._solve_and_compare()
        edge_of = self._entries.edge[held]
        edges = np.unique(np.concatenate([edges, self._row[edge_of[edge_of != LOOP]]]))
        nodes = np.unique(np.concatenate([nodes, touched]))
        before = self.edge[edges], self.node[nodes]
        self._show(touched, new, edges, nodes)
        return _change(edges, nodes, before, (self.edge[edges], self.node[nodes]))

    def _breaks(self, nodes: NDArray[np.int64]) -> bool:
        """Return whether one of some nodes divides without a first child: left out, or better off."""
        divided = self._matched.row_column[2 * nodes + 1] >= 0
        gains = self._grid.division[nodes] + self._grid.disappear[nodes] < 0
        lonely = gains & (self._matched.row_column[2 * nodes] < 0)
        return bool((divided & (lonely | self._left_out(nodes))).any())

    def _left_out(self, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        entry = self._matched.column_entry[nodes]
        left_out = np.zeros(len(nodes), dtype=bool)
        left_out[entry >= 0] = self._entries.edge[entry[entry >= 0]] == LOOP
        return left_out

    def _show(
        self, touched: NDArray[np.int64], new: NDArray[np.int64], edges: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> None:
        """Bring masks and sums up to what the matching has become."""
        self.edge[edges] = self._pins.edge[edges] == KEPT
        chosen = self._entries.edge[new[new >= 0]]
        self.edge[self._row[chosen[chosen != LOOP]]] = True
        forbidden = (self._pins.node[nodes] == FORBIDDEN) | (self._problem.pinned_node[nodes] == FORBIDDEN)
        self.node[nodes] = ~forbidden & ~self._left_out(nodes)
        self._shown[touched] = new

    def _solve(self) -> None:
        """Solve the pinned problem from the start."""
        n = self._problem.n_nodes
        self._matched = empty_matching(2 * n, n)
        insert_all(self._table, self._matched, self._search)  # what `solve_within` finds, so that both agree elsewhere
        self._shown = self._matched.column_entry.copy()
        pinned = pin(self._problem, self._pins)
        selection, region = solve_within(pinned.problem, math.inf)
        whole = pinned.whole(selection)
        self.edge, self.node = whole.edge, whole.node
        self._slack = whole.objective - whole.lower_bound
        self._near = np.zeros(n, dtype=bool) if region is None else self._near_to(region[:n] | region[n:])
        self.n_solved += 1

    def _near_to(self, node: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the nodes of which an option may touch some nodes: a mother of theirs, and all that she may have."""
        source, target = self._problem.source, self._problem.target
        mother = node.copy()
        mother[source[node[target]]] = True
        near = mother.copy()
        near[target[mother[source]]] = True
        return near

    def _solve_and_compare(self) -> Change:
        edge, node = self.edge, self.node
        self._solve()
        edges, nodes = np.flatnonzero(edge != self.edge), np.flatnonzero(node != self.node)
        return _change(edges, nodes, (edge[edges], node[nodes]), (self.edge[edges], self.node[nodes]))


def _nothing() -> Change:
    none = np.empty(0, dtype=np.int64)
    return Change(none, none, none, none)


def _change(
    edges: NDArray[np.int64],
    nodes: NDArray[np.int64],
    before: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    after: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> Change:
    return Change(
        linked=edges[~before[0] & after[0]],
        unlinked=edges[before[0] & ~after[0]],
        selected=nodes[~before[1] & after[1]],
        dropped=nodes[before[1] & ~after[1]],
    )


@njit(cache=True, nogil=True)
def _switch(
    table: Table,
    by_column: ByColumn,
    matched: Matched,
    search: Search,
    absent: Bools,
    off: NDArray[np.int32],
    weight: Ints,
    row_of: Ints,
    entry: Ints,
    step: NDArray[np.int32],
    touched: Ints,
    seen: Ints,
) -> tuple[Ints, int]:
    """Rule entries out (step 1) and in again (-1), and restore the cheapest matching and its prices.

    Returns the rows that were put back, and how many columns `touched` names: those whose row or price may be new.
    """
    rows = np.empty(len(entry), np.int64)
    n_rows = 0
    for q in range(len(entry)):
        k = entry[q]
        was_off = off[k] > 0
        off[k] += step[q]
        if was_off == (off[k] > 0):
            continue
        table.weight[k] = weight[k] if was_off else OFF
        if not was_off and matched.column_entry[table.column[k]] != k:
            continue  # nobody used it
        if not absent[row_of[k]]:
            absent[row_of[k]] = True
            rows[n_rows] = row_of[k]
            n_rows += 1
    search.clock[0] += 1
    now = search.clock[0]
    n_touched = 0
    holes = np.empty(n_rows, np.int64)
    n_holes = 0
    for q in range(n_rows):
        j = matched.row_column[rows[q]]
        if j >= 0:
            matched.row_column[rows[q]] = -1
            matched.column_row[j] = -1
            matched.column_entry[j] = -1
            holes[n_holes] = j
            n_holes += 1
            n_touched = _touch(touched, n_touched, seen, now, j)
    for q in range(n_holes):
        if matched.column_row[holes[q]] < 0 and matched.price[holes[q]] < 0:
            n_scanned = refill(table, by_column, matched, search, absent, holes[q])
            for s in range(n_scanned):
                n_touched = _touch(touched, n_touched, seen, now, search.scanned[s])
    for q in range(n_rows):
        absent[rows[q]] = False
        n_scanned = insert(table, matched, search, rows[q])
        for s in range(n_scanned):
            n_touched = _touch(touched, n_touched, seen, now, search.scanned[s])
    return rows[:n_rows], n_touched


@njit(cache=True, inline="always")
def _touch(touched: Ints, n_touched: int, seen: Ints, now: int, column: int) -> int:
    if seen[column] == now:
        return n_touched
    seen[column] = now
    touched[n_touched] = column
    return n_touched + 1
