"""An open tracking: a cheapest selection that follows each decision at once, without solving the movie again.

A decision changes the weights of a few entries of the matching. Rows that held one of them, or may want one now, are
taken out and put back along shortest augmenting paths (`restoring`), which look no farther than the change reaches. A
linker opens on a selection with its prices the same way: what of them proves itself stays, the rest is put right.
Where couplings broke, the selection is not that of the matching (`packing`). Those regions are remembered; a change
that touches none of them leaves them as they are, proof included, for no option leads from one to the other. A change
that touches one, or breaks a coupling, has what surrounds the broken couplings solved anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from ..errors import InfeasibleError, SchemaError
from .augment import ByColumn, Matched, Search, Table, empty_matching, room_to_search, turn
from .ilp import solve_within
from .matching import LOOP, Matching, build_entries, insert_all
from .pins import MOST_CHILDREN, Pins, pin, settled_by
from .problem import FORBIDDEN, KEPT, GridProblem, objective, refuse_conflicts
from .restoring import OFF, held_entries, ruled_out, same_edges, switch, take_up, whole_prices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .matching import Entries
    from .problem import Selection, TrackingProblem

FREE: Final = 0
"""What a pin says where the solver decides."""

NO_EDGE: Final = -2
"""Stands for the edge of a row that holds none."""


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
    start : Selection or None
        A selection with its prices (`Selection.dual`), of this problem or one much like it: with other pins, other
        edges, other costs. What of it is still cheapest is taken as it is, the rest is put right. Without it
        everything is matched.

    Attributes
    ----------
    edge : (m,) bool
        Selected links, pinned ones included; to be read only.
    node : (n,) bool
        Selected detections; to be read only.
    n_again : int or None
        How many rows and columns of the matching, two rows and a column for each detection, did not fit and were
        matched again when it was opened; None if everything was.
    n_solved : int
        How often the whole problem was solved: matched when it was opened, or looked through for what surrounds
        broken couplings.

    Raises
    ------
    SchemaError
        If the problem has pairs or conflicts, or the start is of another size or has no prices.
    InfeasibleError
        If nothing honours the pins.
    """

    def __init__(self, problem: TrackingProblem, pins: Pins | None = None, start: Selection | None = None) -> None:
        if problem.pairs is not None:
            raise SchemaError("a linker follows links and detections, not pairs of daughters", use="a solver")
        refuse_conflicts(problem)
        m, n = problem.n_edges, problem.n_nodes
        self._problem = problem
        self._pins = Pins(
            np.zeros(m, dtype=np.int8) if pins is None else pins.edge.copy(),
            np.zeros(n, dtype=np.int8) if pins is None else pins.node.copy(),
        )
        _, children, parents = settled_by(problem, self._pins)
        self._n_children, self._n_parents = children.astype(np.int32), parents.astype(np.int32)  # pinned in
        self._grid = grid = GridProblem.of(problem)
        self._edge_of = None if grid.order is None else np.argsort(grid.order)  # on the grid, of each in the problem
        self._entries = entries = build_entries(grid)
        self._by_column = ByColumn(*turn(entries.indptr, entries.column, n))
        pinned_edge = self._pins.edge if grid.order is None else self._pins.edge[grid.order]
        self._off = ruled_out(
            entries.indptr,
            entries.column,
            entries.edge,
            pinned_edge,
            self._pins.node,
            self._n_children,
            self._n_parents,
        )
        weight = np.where(self._off > 0, OFF, entries.weight)
        self._table = Table(entries.indptr, entries.column, weight)
        self._search: Search = room_to_search(n, len(weight))
        self._absent = np.zeros(2 * n, dtype=bool)
        self._seen = np.zeros(n, dtype=np.int64)
        self._matched, self.n_again = self._open(start)
        self.n_solved = int(self._settle() or self.n_again is None)

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
        return self.decide({edge: value}, {})

    def pin_cell(self, node: int, value: int) -> Change:
        """Say that a detection is a cell (1), is none (-1), or set it free (0); as `pin_link`."""
        return self.decide({}, {node: value})

    def decide(self, links: Mapping[int, int], cells: Mapping[int, int]) -> Change:
        """Pin links and cells at once, all or none of them; as `pin_link` and `pin_cell`.

        Parameters
        ----------
        links, cells : mapping of int to int
            What each row is pinned to: 1, -1 or 0.

        Raises
        ------
        SchemaError
            If there is no such row or value.
        InfeasibleError
            If together, or with earlier pins, no selection could honour them; nothing has changed then.
        """
        _require_rows("edge", links, self._problem.n_edges)
        _require_rows("detection", cells, self._problem.n_nodes)
        edge, node = self._pins.edge, self._pins.node
        links = {row: value for row, value in links.items() if value != edge[row]}
        cells = {row: value for row, value in cells.items() if value != node[row]}
        before = {row: int(edge[row]) for row in links}, {row: int(node[row]) for row in cells}
        self._set(links, cells)
        try:
            self._require_feasible(links, cells)
        except InfeasibleError:
            self._set(*before)
            raise
        on, off = self._ruled_out_by(links, cells), self._ruled_out_by(*before)
        rows = [np.fromiter(pinned, dtype=np.int64, count=len(pinned)) for pinned in (links, cells)]
        return self._follow(on, off, edges=rows[0], nodes=rows[1])

    def pinned(self) -> Pins:
        """Return what is decided now."""
        return Pins(self._pins.edge.copy(), self._pins.node.copy())

    def _set(self, links: Mapping[int, int], cells: Mapping[int, int]) -> None:
        for edge, value in links.items():
            step = int(value == KEPT) - int(self._pins.edge[edge] == KEPT)
            self._n_children[self._problem.source[edge]] += step
            self._n_parents[self._problem.target[edge]] += step
            self._pins.edge[edge] = value
        for node, value in cells.items():
            self._pins.node[node] = value

    def _require_feasible(self, links: Mapping[int, int], cells: Mapping[int, int]) -> None:
        for edge in (edge for edge, value in links.items() if value == KEPT):
            u, v = int(self._problem.source[edge]), int(self._problem.target[edge])
            for node in (u, v):
                if FORBIDDEN in (self._pins.node[node], self._problem.pinned_node[node]):
                    raise InfeasibleError(f"the link {u} -> {v} is pinned, but detection {node} is pinned out")
            if self._n_parents[v] > 1:
                raise InfeasibleError(f"the link {u} -> {v} would give detection {v} two pinned parents")
            if self._n_children[u] > MOST_CHILDREN:
                raise InfeasibleError(f"the link {u} -> {v} would give detection {u} three pinned children")
        for node, value in cells.items():
            if value != FREE and value == -self._problem.pinned_node[node]:
                raise InfeasibleError(f"detection {node} is pinned against what the problem says of it")
            if value == FORBIDDEN and self._n_parents[node] + self._n_children[node] > 0:
                raise InfeasibleError(f"detection {node} is pinned out, but a link of it is pinned")

    def _in_problem(self, edge: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows in the problem of edges on the grid."""
        return edge.astype(np.int64) if self._grid.order is None else self._grid.order[edge]

    def _rows_of(self, node: int) -> NDArray[np.int64]:
        return np.arange(self._entries.indptr[2 * node], self._entries.indptr[2 * node + 2])

    def _column_of(self, node: int) -> NDArray[np.int64]:
        return self._by_column.entry[self._by_column.indptr[node] : self._by_column.indptr[node + 1]]

    def _ruled_out_by(self, links: Mapping[int, int], cells: Mapping[int, int]) -> NDArray[np.int64]:
        """Return the entries that pins rule out, those that several do as often."""
        found = [np.empty(0, dtype=np.int64)]
        for edge, value in links.items():
            source, target = int(self._problem.source[edge]), int(self._problem.target[edge])
            if value == FORBIDDEN:
                on_grid = edge if self._edge_of is None else self._edge_of[edge]
                found.append(self._among(self._column_of(target), on_grid))
            elif value == KEPT:
                found += [self._rows_of(source), self._column_of(target)]
        for node, value in cells.items():
            if value == FORBIDDEN:
                found += [self._rows_of(node), self._column_of(node)]
            elif value == KEPT:
                found.append(self._among(self._column_of(node), LOOP))
        return np.concatenate(found)

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
        rows, n_touched = switch(
            self._table, self._by_column, self._matched, self._search, self._absent, self._off,
            self._entries.weight, np.concatenate([on, off]), step, touched, self._seen,
        )  # fmt: skip
        touched = touched[:n_touched]
        old, new = self._shown[touched], self._matched.column_entry[touched]
        held = np.concatenate([old[old >= 0], new[new >= 0]])
        row_of_held = np.searchsorted(self._entries.indptr, held, side="right") - 1
        ends = self._problem.source[edges], self._problem.target[edges]  # also where the matching has no use for them
        around = np.unique(np.concatenate([touched, row_of_held // 2, rows // 2, nodes, *ends]))
        if self._near[around].any() or self._breaks(around):
            return self._settle_and_compare()
        edge_of = self._entries.edge[held]
        edges = np.unique(np.concatenate([edges, self._in_problem(edge_of[edge_of != LOOP])]))
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

    def _forbidden(self, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
        said, known = self._pins.node[nodes], self._problem.pinned_node[nodes]
        forbidden: NDArray[np.bool_] = (said == FORBIDDEN) | (known == FORBIDDEN)
        return forbidden

    def _show(
        self, touched: NDArray[np.int64], new: NDArray[np.int64], edges: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> None:
        """Bring masks and sums up to what the matching has become."""
        self.edge[edges] = self._pins.edge[edges] == KEPT
        chosen = self._entries.edge[new[new >= 0]]
        self.edge[self._in_problem(chosen[chosen != LOOP])] = True
        self.node[nodes] = ~self._forbidden(nodes) & ~self._left_out(nodes)
        self._shown[touched] = new

    def _open(self, start: Selection | None) -> tuple[Matched, int | None]:
        """Return a cheapest matching, and how much of it was matched again; None for all of it."""
        n = self._problem.n_nodes
        if start is None:
            matched = empty_matching(2 * n, n)
            insert_all(self._table, matched, self._search)
            return matched, None
        if start.dual is None:
            raise SchemaError("a linker starts from a selection with prices, this one has none", use="no start")
        for name, column, length in (("edge", start.edge, len(self._pins.edge)), ("node", start.node, n)):
            if column.shape != (length,):
                raise SchemaError(f"start.{name} must be ({length},), got {column.shape}")
        if start.dual.shape != (n,):
            raise SchemaError(f"start.dual must be ({n},), got {start.dual.shape}")
        edge = start.edge.copy() if self._grid.order is None else start.edge[self._grid.order]
        held = held_entries(self._entries, self._table.weight, edge, start.node.copy())
        return take_up(self._table, self._by_column, self._search, held, whole_prices(start.dual))

    def _settle(self) -> bool:
        """Show the selection of the matching, or where couplings broke that of the solver; return whether any did."""
        nodes = np.arange(self._problem.n_nodes)
        self._shown = self._matched.column_entry.copy()
        self._slack = 0.0
        self._near = np.zeros(len(nodes), dtype=bool)
        chosen = self._entries.edge[self._shown[self._shown >= 0]]
        self.edge = self._pins.forced
        self.edge[self._in_problem(chosen[chosen != LOOP])] = True
        self.node = ~self._forbidden(nodes) & ~self._left_out(nodes)
        if not self._breaks(nodes):
            return False
        pinned = pin(self._problem, self._pins)
        selection, region = solve_within(pinned.problem, math.inf, partial(self._known, pinned.rows))
        whole = pinned.whole(selection)
        apart = whole.node != self.node
        apart[self._problem.source[whole.edge != self.edge]] = True
        apart[self._problem.target[whole.edge != self.edge]] = True
        if region is not None:
            apart |= region[: len(nodes)] | region[len(nodes) :]
        self.edge, self.node = whole.edge, whole.node
        self._slack = whole.objective - whole.lower_bound
        self._near = self._near_to(apart)
        return True

    def _known(self, rows: NDArray[np.int64], entries: Entries) -> Matching:
        """Return the matching as one of what the pins leave: `rows` of the edges, and its entries."""
        left = np.zeros(self._problem.n_edges, dtype=bool)
        left[rows] = True
        place = np.cumsum(left if self._grid.order is None else left[self._grid.order]) - 1
        held = np.flatnonzero(self._matched.row_column >= 0)
        edge = self._entries.edge[self._matched.column_entry[self._matched.row_column[held]]].astype(np.int64)
        edge[edge != LOOP] = place[edge[edge != LOOP]]
        row_edge = np.full(2 * entries.n_nodes, NO_EDGE)
        row_edge[held] = edge
        table = Table(entries.indptr, entries.column, entries.weight)
        by_column = ByColumn(*turn(entries.indptr, entries.column, entries.n_nodes))
        matched, _ = take_up(table, by_column, self._search, same_edges(entries, row_edge), self._matched.price)
        return Matching(matched.row_column, matched.column_entry, matched.price)

    def _near_to(self, node: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the nodes of which an option may touch some nodes: a mother of theirs, and all that she may have."""
        source, target = self._problem.source, self._problem.target
        mother = node.copy()
        mother[source[node[target]]] = True
        near = mother.copy()
        near[target[mother[source]]] = True
        return near

    def _settle_and_compare(self) -> Change:
        edge, node = self.edge, self.node
        self.n_solved += self._settle()
        edges, nodes = np.flatnonzero(edge != self.edge), np.flatnonzero(node != self.node)
        return _change(edges, nodes, (edge[edges], node[nodes]), (self.edge[edges], self.node[nodes]))


def _require_rows(what: str, pinned: Mapping[int, int], length: int) -> None:
    for row, value in pinned.items():
        if not 0 <= row < length:
            raise SchemaError(f"there is no {what} {row}, expected 0 .. {length - 1}")
        if value not in (KEPT, FORBIDDEN, FREE):
            raise SchemaError(f"a pin is 1, 0 or -1, got {value}")


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
