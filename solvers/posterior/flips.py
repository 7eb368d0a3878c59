"""What it costs to be wrong: the exact price of flipping a link or a cell, also where the roles of a cell are tied.

The price of a flip is the cheapest selection that has it minus the cheapest one of all: a min-marginal. It needs no
calibration, and 0 says that the question is open. The optimum stays as it is but for what the flip moves. Nearly
always that is a detour of the matching (`detours`), microseconds each; where pairs of daughters have costs of their
own, or a coupling had to be repaired there, a ball around the flip is solved again (`balls`), milliseconds each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError
from ..augment import ByColumn, Matched, Table, empty_matching, room_to_search, turn
from ..groups import grouped
from ..ilp import solve_within
from ..matching import LOOP, build_entries, insert_all
from ..problem import SCALE, GridProblem, refuse_conflicts
from .balls import Balls
from .detours import flip_each
from .ground import LINK, NEVER, NEW, PRESENT, Ground, Links, room_to_flip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import Selection, TrackingProblem

MOST_HOPS: Final = 8
"""How far a ball grows before its bounds are told as an interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """Between what bounds each of q flips costs, in the units of the problem.

    Parameters
    ----------
    lower, upper : (q,) float64
        Every selection with the flip costs at least `lower` more than the best, and one costs `upper` more; infinite
        where there is none.
    radius : (q,) int32
        All that the flip moves lies within so many candidate links of its ends.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    radius: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def exact(self) -> NDArray[np.bool_]:
        """(q,) Where the bounds meet: elsewhere the price is an interval."""
        return np.equal(self.lower, self.upper)


@dataclass(frozen=True, slots=True, eq=False)
class FlipCosts:
    """The best selection, and what it costs to contradict it.

    Parameters
    ----------
    selection : Selection
        The best one.
    link : Flips
        Of each link asked for: taken out where it is selected, else forced in.
    new : Flips
        Of each cell asked for: being selected without parent, or being it no longer.
    present : Flips
        Of each cell asked for: being selected, or not.
    """

    selection: Selection
    link: Flips
    new: Flips
    present: Flips


def flip_costs(
    problem: TrackingProblem,
    *,
    links: NDArray[np.int64] | None = None,
    cells: NDArray[np.int64] | None = None,
    most_hops: int = MOST_HOPS,
) -> FlipCosts:
    """Price the flips of links and cells, each alone.

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges, without conflicts.
    links : (q,) int64 or None
        Rows of the links to flip; None: all.
    cells : (q,) int64 or None
        Rows of the cells to flip; None: all.
    most_hops : int
        How far a ball may grow; detours need no such limit.

    Raises
    ------
    SchemaError
        If detections exclude each other, or a row is none of the problem.
    """
    refuse_conflicts(problem)
    links = _rows("links", links, problem.n_edges)
    cells = _rows("cells", cells, problem.n_nodes)
    selection, region = solve_within(problem, math.inf)
    flipper = _Flipper(problem, selection, region, most_hops)
    return FlipCosts(selection, flipper.links(links), flipper.new(cells), flipper.present(cells))


def _rows(name: str, rows: NDArray[np.int64] | None, length: int) -> NDArray[np.int64]:
    if rows is None:
        return np.arange(length)
    if len(rows) and (rows.min() < 0 or rows.max() >= length):
        raise SchemaError(f"{name} name rows {rows.min()} .. {rows.max()}, expected 0 .. {length - 1}")
    return rows.astype(np.int64)


class _Flipper:
    """A solved problem that answers flips, by detours where it can."""

    def __init__(
        self, problem: TrackingProblem, selection: Selection, region: NDArray[np.bool_] | None, most_hops: int
    ) -> None:
        self._problem, self._selection, self._most_hops = problem, selection, most_hops
        self._grid = grid = GridProblem.of(problem)
        self._order = np.arange(problem.n_edges) if grid.order is None else grid.order
        self._edge_of = np.argsort(self._order)
        self._by_detour = problem.pairs is None
        self._links = _links_of(grid, selection.edge[self._order], selection.node)
        if self._by_detour:
            self._ground = _ground_of(grid, self._links, region)
            self._room = room_to_flip(self._ground)
        self._balls: Balls | None = None

    def links(self, rows: NDArray[np.int64]) -> Flips:
        return _in_units(*self._flip(np.full(len(rows), LINK), self._edge_of[rows]))

    def present(self, rows: NDArray[np.int64]) -> Flips:
        return _in_units(*self._flip(np.full(len(rows), PRESENT), rows))

    def new(self, rows: NDArray[np.int64]) -> Flips:
        """Flip being new; who is new now is so no longer by the cheapest link into it, or by being none."""
        node, edge = self._links.node, self._links.edge
        has_parent = np.zeros(len(node), dtype=bool)
        has_parent[self._links.target[edge]] = True
        lower, upper, radius = self._flip(
            np.full(len(rows), NEW), np.where(node & ~has_parent, -1, np.arange(len(node)))[rows]
        )
        place = np.flatnonzero((node & ~has_parent)[rows])
        first = self._links.into_first[rows[place]]
        count = self._links.into_first[rows[place] + 1] - first
        into = self._links.into[np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())]
        kind = np.concatenate([np.full(len(into), LINK), np.full(len(place), PRESENT)])
        low, high, far = self._flip(kind, np.concatenate([into, rows[place]]))
        owner = np.concatenate([np.repeat(place, count), place])
        best = np.lexsort((far, high, owner))
        best = best[np.append(True, np.diff(owner[best]) > 0)] if len(best) else best
        lower[place] = NEVER
        np.minimum.at(lower, owner, low)
        upper[place], radius[place] = high[best], far[best]
        return _in_units(lower, upper, radius)

    def _flip(
        self, kind: NDArray[np.int64], item: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Flip edges of the grid, or nodes; nothing is done for the item -1."""
        lower, upper = np.zeros(len(kind), dtype=np.int64), np.full(len(kind), NEVER)
        radius = np.full(len(kind), -1, dtype=np.int32)
        ask = np.flatnonzero(item >= 0)
        if self._by_detour:
            lower[ask], upper[ask], radius[ask] = flip_each(self._ground, self._links, self._room, kind[ask], item[ask])
            ask = ask[lower[ask] < upper[ask]]
        for q in ask:
            lower[q], upper[q], radius[q] = self._by_ball(int(kind[q]), int(item[q]), int(lower[q]), int(upper[q]))
        return lower, upper, radius

    def _by_ball(self, kind: int, item: int, lower: int, upper: int) -> tuple[int, int, int]:
        if self._balls is None:
            self._balls = Balls(self._problem, self._grid, self._links, self._selection, self._most_hops)
        low, high, radius = self._balls.flip(kind, item)
        return max(low, lower), min(high, upper), radius


def _in_units(lower: NDArray[np.int64], upper: NDArray[np.int64], radius: NDArray[np.int32]) -> Flips:
    bounds = [np.where(bound >= NEVER, np.inf, bound / SCALE) for bound in (lower, upper)]
    return Flips(bounds[0], bounds[1], radius)


def _links_of(grid: GridProblem, edge: NDArray[np.bool_], node: NDArray[np.bool_]) -> Links:
    n = len(grid.node)
    source = np.repeat(np.arange(n, dtype=np.int32), np.diff(grid.first))
    into, into_first = grouped(grid.target, n)
    return Links(
        first=grid.first,
        source=source,
        target=grid.target,
        into_first=into_first,
        into=into,
        cost=grid.edge - grid.appear[grid.target] - grid.disappear[source],
        cost_absent=-(grid.node + grid.appear + grid.disappear),
        pinned=grid.pinned,
        edge=edge,
        node=node,
    )


def _ground_of(grid: GridProblem, links: Links, region: NDArray[np.bool_] | None) -> Ground:
    """Match, and tell what is near to where couplings were repaired; `region` is that of `ilp.solve_within`."""
    n = len(grid.node)
    entries = build_entries(grid)
    table = Table(entries.indptr, entries.column, entries.weight.copy())
    matched = empty_matching(2 * n, n)
    insert_all(table, matched, room_to_search(n, len(entries.weight)))
    gains = grid.division + grid.disappear < 0
    near = np.zeros(n, dtype=bool)
    if region is not None:
        left_out = np.append(entries.edge, LOOP - 1)[matched.column_entry] == LOOP  # at -1: none
        lonely = (matched.row_column[0::2] < 0) & gains
        broken = (matched.row_column[1::2] >= 0) & (left_out | lonely)
        near |= region[:n] | region[n:] | broken
        near[links.source[near[links.target]]] = True  # a mother of what is near, and all that she may have
        near[links.target[near[links.source]]] = True
    return Ground(
        table=table,
        by_column=ByColumn(*turn(entries.indptr, entries.column, n)),
        weight=entries.weight,
        edge=entries.edge,
        row_of=np.repeat(np.arange(2 * n, dtype=np.int32), np.diff(entries.indptr)),
        matched=matched,
        kept=Matched(
            matched.row_column.copy(), matched.column_row.copy(), matched.column_entry.copy(), matched.price.copy()
        ),
        gains=gains,
        near=near,
    )
