"""Balls: a flip priced by solving again what lies around it, wider and wider, until two bounds meet.

A ball holds the cells within some candidate links of the flip, with both roles of each. As in `options`, a mother
takes one option, and an option takes the in-ports of the cells that it names; prices of at most 0 on rows and columns
bound the whole from below.

* From above: outside of the ball everything stays as it is in the best selection; inside it is solved with the flip.
* From below: outside of the ball everything pays its price; inside it is solved with the flip, and an option that
  leaves the ball pays the prices of what it takes outside.

Where the best selection pays more than its prices, since they are those of a relaxation, the bound of every ball would
be short of it. Such places are balls themselves, grown until they are tight without a flip; a ball that touches one
takes it in, and the others add what they know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..groups import grouped
from ..highs import minimise_binary, whole_bound
from ..problem import FORBIDDEN, KEPT, on_grid
from .ground import LINK, NEVER, NEW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import GridProblem, Selection, TrackingProblem
    from .ground import Links

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

MOST_OPTIONS: Final = 20_000
"""Options of a ball beyond which it does not grow."""

NONE: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class _Options:
    """All options of all rows, useless ones too, in millionths; a loop has no edge, what is not a pair one only.

    Ports are numbered rows first, then columns; ``port[:, 0]`` is the row, the others columns or -1.
    """

    port: Ints
    weight: Ints
    edge: Ints

    @classmethod
    def of(cls, problem: TrackingProblem, grid: GridProblem, links: Links) -> _Options:
        n, m = len(grid.node), len(grid.edge)
        source, target = links.source.astype(np.int64), links.target.astype(np.int64)
        loop, link = np.flatnonzero(grid.pinned == 0), np.arange(m)
        one, other, cost = _pairs_of(problem, grid, source)
        none = np.full(len(loop) + m, NONE)
        port = np.stack(
            [
                np.concatenate([loop, source, source[one]]),
                n + np.concatenate([loop, target, target[one]]),
                np.concatenate([none, n + target[other]]),
            ],
            axis=1,
        )
        weight = np.concatenate(
            [
                links.cost_absent[loop],
                links.cost,
                cost - grid.appear[target[one]] - grid.appear[target[other]] - grid.disappear[source[one]],
            ]
        )
        edge = np.stack([np.concatenate([none[: len(loop)], link, one]), np.concatenate([none, other])], axis=1)
        cell = np.where(port >= n, port - n, port)
        possible = (grid.pinned[cell] != FORBIDDEN) | (port == NONE)
        keep = possible.all(axis=1)
        return cls(port[keep], weight[keep], edge[keep])


def _pairs_of(problem: TrackingProblem, grid: GridProblem, source: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the edges on the grid of each pair, and what both cost with the division."""
    if problem.pairs is not None:
        rank = np.arange(len(source)) if grid.order is None else np.argsort(grid.order)
        one, other = rank[problem.pairs.first], rank[problem.pairs.second]
        return np.minimum(one, other), np.maximum(one, other), on_grid(problem.pairs.cost)
    first, second = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for apart in range(1, int(np.diff(grid.first).max(initial=1))):
        here = np.flatnonzero(source[:-apart] == source[apart:])
        first.append(here)
        second.append(here + apart)
    one, other = np.concatenate(first), np.concatenate(second)
    return one, other, grid.edge[one] + grid.edge[other] + grid.division[source[one]]


@dataclass(frozen=True, slots=True)
class _Question:
    """A flip: one of the options that it is about must be chosen if `forced`, else none may."""

    kind: int
    item: int
    forced: bool

    def asks(self, options: _Options, rows: Ints, n: int) -> Bools:
        """Return which of some options it is about."""
        edge, port = options.edge[rows], options.port[rows]
        asked: Bools
        if self.kind == LINK:
            asked = (edge == self.item).any(axis=1)
        elif self.kind == NEW:
            asked = (port[:, 1:] == n + self.item).any(axis=1)
        else:
            asked = (port[:, 0] == self.item) & (edge[:, 0] == NONE)
        return asked


@dataclass(frozen=True, slots=True, eq=False)
class _Tight:
    """A ball where the best selection pays more than its prices, with what that proves."""

    cell: Bools
    near: Bools
    gain: int


class Balls:
    """A solved problem whose flips are priced by solving balls.

    Parameters
    ----------
    problem : TrackingProblem
        n cells, without conflicts.
    grid : GridProblem
        The same on the grid.
    links : Links
        Its links, and the best selection.
    selection : Selection
        That one, with its prices.
    most_hops : int
        How far a ball grows.
    """

    def __init__(
        self, problem: TrackingProblem, grid: GridProblem, links: Links, selection: Selection, most_hops: int
    ) -> None:
        n = problem.n_nodes
        self._n, self._links, self._most_hops = n, links, most_hops
        self._options = _Options.of(problem, grid, links)
        port = self._options.port
        option = np.repeat(np.arange(len(port)), (port >= 0).sum(axis=1))
        order, self._first = grouped(port[port >= 0], 2 * n)
        self._of_port = option[order]
        dual = np.zeros(n) if selection.dual is None else selection.dual
        column = np.where(grid.pinned == FORBIDDEN, 0, np.minimum(on_grid(dual), 0))
        self._price = np.concatenate([np.zeros(n, dtype=np.int64), column])
        np.minimum.at(self._price, port[:, 0], self._options.weight - _sum_at(self._price, port[:, 1:]))
        self._chosen = self._chosen_options()
        spent = int(self._options.weight[self._chosen].sum())
        self._excess = spent - int(self._price.sum())  # of the best selection over its prices
        self._tight = self._close_gaps()

    def flip(self, kind: int, item: int) -> tuple[int, int, int]:
        """Return bounds of what a flip costs, in millionths, and the radius of the ball that gave them.

        Parameters
        ----------
        kind, item
            As in `detours.flip_each`.
        """
        links = self._links
        ends = [int(links.source[item]), int(links.target[item])] if kind == LINK else [item]
        pinned = links.pinned[ends]
        if (pinned == FORBIDDEN).any() or (kind not in (LINK, NEW) and pinned[0] == KEPT):
            return NEVER, NEVER, 0
        forced = not links.edge[item] if kind == LINK else kind != NEW and bool(links.node[item])
        return self._grown(ends, _Question(kind, item, forced))

    def _chosen_options(self) -> Bools:
        """Return which options the best selection takes, (k,): of each mother the one with all her links."""
        links, (one, other) = self._links, self._options.edge.T
        n_children = np.bincount(links.source[links.edge], minlength=self._n)
        mother = self._options.port[:, 0]
        taken = np.append(links.edge, False)  # at -1: no link
        loop = (one == NONE) & ~links.node[mother]
        single = taken[one] & (other == NONE) & (n_children[mother] == 1)
        chosen: Bools = loop | single | (taken[one] & taken[other])
        return chosen

    def _grown(self, ends: list[int], flip: _Question) -> tuple[int, int, int]:
        """Grow a ball until its bounds meet, it does not grow any more, or it is too large."""
        cell = np.zeros(self._n, dtype=bool)
        cell[ends] = True
        lower, upper = 0, NEVER
        for radius in range(1, self._most_hops + 1):
            before = np.count_nonzero(cell)
            cell, beyond = self._with_tight(self._wider(cell))
            inside = np.concatenate([cell, cell])
            touching = self._touching(inside)
            if len(touching) > MOST_OPTIONS:
                return lower, upper, radius - 1
            lower = max(lower, self._from_below(inside, touching, flip) - self._excess + beyond)
            upper = min(upper, self._from_above(inside, touching, flip))
            if lower >= upper or np.count_nonzero(cell) == before:
                break
        return min(lower, upper), upper, radius

    def _from_below(self, inside: Bools, touching: Ints, flip: _Question | None) -> int:
        """Return how far the least cost inside lies above the prices there, with a flip or without."""
        price = np.append(np.where(inside, 0, self._price), 0)
        weight = self._options.weight[touching] - price[self._options.port[touching]].sum(axis=1)
        within = np.append(inside, False)[self._options.port[touching]]
        _, bound = self._solved(touching, weight, within, flip)
        return bound if bound >= NEVER else bound - int(self._price[inside].sum())

    def _from_above(self, inside: Bools, touching: Ints, flip: _Question) -> int:
        """Return what the flip costs more where everything outside stays as it is."""
        port, weight = self._options.port, self._options.weight
        whole = (np.append(inside, True)[port[touching]]).all(axis=1)
        held = touching[self._chosen[touching]]
        leaves = touching[self._chosen[touching] & ~whole]
        if not flip.forced and flip.asks(self._options, leaves, self._n).any():
            return NEVER  # what stays is what the flip takes out
        free = np.append(inside, True)
        free[port[leaves][port[leaves] >= 0]] = False
        stays = int(weight[leaves].sum())
        options = touching[free[port[touching]].all(axis=1)]
        within = port[options] >= 0
        value, _ = self._solved(options, weight[options], within, flip)
        return value if value >= NEVER else value + stays - int(weight[held].sum())

    def _solved(self, options: Ints, weight: Ints, within: Bools, flip: _Question | None) -> tuple[int, int]:
        """Choose options of which no two share a port, at least cost: what that is, and a bound; `NEVER` if none fit.

        Parameters
        ----------
        options : (k,) int64
            Which may be chosen.
        weight : (k,) int64
            What each costs.
        within : (k, 3) bool
            Which of its ports count.
        flip : _Question or None
            What must hold besides.
        """
        if flip is None:
            asked, forced = np.zeros(len(options), dtype=bool), False
        else:
            asked, forced = flip.asks(self._options, options, self._n), flip.forced
        if forced and not asked.any():
            return NEVER, NEVER
        keep = np.flatnonzero((weight < 0) | asked) if forced else np.flatnonzero((weight < 0) & ~asked)
        if not len(keep):
            return 0, 0
        option, place = np.nonzero(within[keep])
        ports, row = np.unique(self._options.port[options[keep]][option, place], return_inverse=True)
        matrix = sparse.csc_matrix((np.ones(len(row)), (row, option)), shape=(len(ports), len(keep)))
        most = np.ones(len(ports))
        if forced:
            matrix = sparse.vstack([matrix, sparse.csc_matrix(-asked[keep].astype(np.float64))], format="csc")
            most = np.append(most, -1.0)
        found = minimise_binary(weight[keep], matrix, most)
        if found.value is None:
            return NEVER, NEVER
        return int(weight[keep][found.value].sum()), int(whole_bound(found.bound))

    def _wider(self, cell: Bools) -> Bools:
        """Return some cells and all that a candidate link ties to them."""
        links, rows = self._links, np.flatnonzero(cell)
        wider = cell.copy()
        wider[links.target[_ranges(links.first, rows)]] = True
        wider[links.source[links.into[_ranges(links.into_first, rows)]]] = True
        return wider

    def _touching(self, inside: Bools) -> Ints:
        """Return the options that take one of some ports."""
        return np.unique(self._of_port[_ranges(self._first, np.flatnonzero(inside))])

    def _with_tight(self, cell: Bools) -> tuple[Bools, int]:
        """Take in the tight balls that a ball touches; return what the others add to the bound."""
        while True:
            touched = [tight for tight in self._tight if (tight.near & cell).any()]
            wider = cell.copy()
            for tight in touched:
                wider |= tight.cell
            if np.array_equal(wider, cell):
                return cell, sum(tight.gain for tight in self._tight if not (tight.near & cell).any())
            cell = wider

    def _close_gaps(self) -> list[_Tight]:
        """Grow balls where the best selection pays more than its prices, until they prove it."""
        if not self._excess:
            return []
        port, n = self._options.port, self._n
        chosen = np.flatnonzero(self._chosen)
        excess = -self._price.copy()
        taken = port[chosen][port[chosen] >= 0]
        excess[taken] = 0
        excess[port[chosen, 0]] = self._options.weight[chosen] - _sum_at(self._price, port[chosen])
        cell = (excess[:n] > 0) | (excess[n:] > 0)
        best: list[_Tight] = []
        for _ in range(self._most_hops):
            cell = self._wider(cell)
            tight = [self._tight_at(part) for part in self._parts(cell)]
            if sum(t.gain for t in tight) >= sum(t.gain for t in best):
                best = tight
            if sum(t.gain for t in best) == self._excess:
                break
        return best

    def _tight_at(self, cell: Bools) -> _Tight:
        inside = np.concatenate([cell, cell])
        touching = self._touching(inside)
        ports = self._options.port[touching]
        near = cell.copy()
        near[ports[ports >= 0] % self._n] = True
        if len(touching) > MOST_OPTIONS:
            return _Tight(cell, near, 0)
        return _Tight(cell, near, max(0, self._from_below(inside, touching, None)))

    def _parts(self, cell: Bools) -> list[Bools]:
        """Split cells so that no option touches two parts."""
        links = self._links
        ties = cell[links.source] | cell[links.target]
        graph = sparse.coo_matrix(
            (np.ones(np.count_nonzero(ties), dtype=bool), (links.source[ties], links.target[ties])),
            shape=(self._n, self._n),
        )
        label = connected_components(graph, directed=False)[1]
        return [cell & (label == part) for part in np.unique(label[cell])]


def _sum_at(price: Ints, port: Ints) -> Ints:
    """Return the sum of the prices of some ports, -1 for none, along the last axis."""
    total: Ints = np.append(price, 0)[port].sum(axis=-1)
    return total


def _ranges(first: Ints, rows: Ints) -> Ints:
    """Return the numbers ``first[r] .. first[r + 1] - 1`` of some rows, one row after the other."""
    count = first[rows + 1] - first[rows]
    places: Ints = np.repeat(first[rows] - np.cumsum(count) + count, count) + np.arange(count.sum())
    return places
