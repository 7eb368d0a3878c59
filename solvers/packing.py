"""The exact solver where divisions are pairs: match without pairs, price the pairs in, prove the whole.

Prices of at most 0 on rows and columns are a lower bound, and a selection costs that bound plus its excess: the reduced
costs of its options, and the prices of what it leaves unused. A matching gives the first selection and the first
prices; they break where pairs are worth more than it knew, or a coupling broke, and only there.

* **Pricing**: the region around the excess is relaxed as one linear programme; where its optimum leads out of a
  cluster, the cluster grows, until prices and relaxation agree everywhere.
* **Proving**: what is left is the excess of clusters whose relaxation takes fractions. A cluster K is solved as an
  integer programme; its least excess delta_K is escaped only through an option that leaves it and pays its own reduced
  cost. With shares y_K <= delta_K such that every option left out costs at least the shares of the clusters that it
  touches, three at most, all prices plus all shares are a lower bound. K grows until y_K = delta_K, or time ends.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from .conflicts import Cliques, Conflicts
from .exclusion import Exclusion
from .highs import minimise_binary, whole_bound
from .matching import LOOP
from .options import GRAIN, NONE, best_options
from .problem import SCALE
from .regions import ByColumn, Excludes, Priced, excess_of, grow, repriced, room
from .relaxation import relax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .options import Options
    from .problem import GridProblem
    from .regions import Region

log = logging.getLogger(__name__)

FIRST_REACH: Final = SCALE * GRAIN // 2
"""Reduced cost up to which a cluster reaches when it is priced first: half a cost unit."""

MOST_OPTIONS: Final = 200_000
"""Options of a cluster beyond which it does not grow any more, and the gap is stated instead."""

HOPELESS: Final = 20_000
"""Options of a cluster beyond which an integer programme is not tried."""


class Draft:
    """A selection in the making, with the prices that bound it.

    Parameters
    ----------
    options : Options
        All options.
    choice : (n,) int64
        Where to start: an option of each row, -1 where it does nothing.
    price : (n,) int64
        Column prices to start with, in millionths.
    conflicts : Conflicts or None
        Nodes that exclude each other, none of them kept or forbidden.
    out : (n,) bool or None
        Nodes that the start leaves out because of them.

    Attributes
    ----------
    price : (n,) int64
        Of each column, at most 0, in grains.
    choice : (n,) int64
        Option of each row, -1 where it does nothing.
    touched : (2n,) bool
        Rows, then columns, that were in a region: elsewhere choice and prices are those of the start.
    """

    def __init__(
        self,
        options: Options,
        choice: NDArray[np.int64],
        price: NDArray[np.int64],
        conflicts: Conflicts | None = None,
        out: NDArray[np.bool_] | None = None,
    ) -> None:
        n = options.n_nodes
        none = np.empty(0, dtype=np.int64)
        conflicts = conflicts or Conflicts(none, none)
        self._options = options
        self._by_column = ByColumn(*options.by_column())
        self._excludes = Excludes(*conflicts.neighbours(n))
        self._exclusion = Exclusion(options, Cliques.covering(conflicts, n))
        price = price * GRAIN
        if out is not None:
            choice, price = self._exclusion.start(choice, price, out)
        self.choice = self._exclusion.feasible(choice)
        self.touched: NDArray[np.bool_] = np.zeros(2 * n, dtype=bool)
        self.price: NDArray[np.int64] = price
        weight = self._exclusion.weights()
        self._at = Priced(options.indptr, options.column, weight, best_options(options, self.price, weight), self.price)
        self._bound = self._bound_of_prices()

    def price_pairs(self, deadline: float) -> None:
        """Let pairs in: relax what surrounds the excess, wider where the relaxation leads out, until it does not."""
        reach = np.full(2 * self._options.n_nodes, FIRST_REACH)
        while time.monotonic() < deadline:
            at = self._at
            seeds = np.where(self._excess(at) > 0, reach, -1)
            region, vast = grow(at, self._by_column, self._excludes, self.choice, seeds, MOST_OPTIONS)
            reach[vast] = -1
            if not len(region):
                return  # nothing is left, or all of it is too large
            self.touched |= region.of_port >= 0
            relaxed = relax(at, self._exclusion, region, self.choice, deadline)
            if relaxed is None:
                return
            self.price = relaxed.column_price
            self._at = repriced(at, region.around, self.price, self._exclusion.weights())
            # what takes more than half is always allowed, and right but for a few places: those alone are left then
            taken = relaxed.settled | (np.bincount(region.of_option, minlength=len(region)) > HOPELESS)
            self._take(region, region.of_option, relaxed.chosen, taken)
            for cluster in np.flatnonzero(~taken):
                self._solve(region, int(cluster), deadline)
            self._bound = max(self._bound, self._bound_of_prices())
            self._tell("priced", region)
            if not relaxed.escaped.any():
                return
            # new prices let the region follow where it leads; a wider reach alone would take in what nothing touches
            within = np.flatnonzero(region.of_port >= 0)
            wider = region.reach + np.where(relaxed.escaped, region.reach // 4, 0)
            reach[within] = wider[region.of_port[within]]

    def prove(self, deadline: float) -> int:
        """Close the gap at fixed prices, cluster by cluster; return the best lower bound, in grains."""
        at, prices = self._at, self._bound_of_prices()
        reach = self._excess(at)
        reach[reach == 0] = -1
        while self._value() > self._bound and time.monotonic() < deadline:
            reach[(self._excess(at) > 0) & (reach < 0)] = GRAIN
            region, vast = grow(at, self._by_column, self._excludes, self.choice, reach, HOPELESS)
            self.touched |= region.of_port >= 0
            least = np.array([self._solve(region, k, deadline) for k in range(len(region))], dtype=np.int64)
            delta = np.maximum(least - self._prices_of(at, region), 0)
            free, shared = room(at, region)
            share = np.minimum(np.minimum(delta, free), shared // 3)
            self._bound = max(self._bound, prices + int(share.sum()))
            self._tell("proving", region)
            reach[region.seed] = np.where(share < delta, np.maximum(2 * region.reach, 3 * delta), region.reach)
            if len(vast) or not (share < delta).any():
                break
        return self._bound

    def selection(self, grid: GridProblem) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the masks of links, in the order of the grid, and of detections."""
        edge = np.zeros(len(grid.edge), dtype=bool)
        node = grid.pinned >= 0
        does = np.flatnonzero(self.choice >= 0)
        taken = self._options.edge[self.choice[does]]
        edge[taken[taken >= 0]] = True
        node[does[taken[:, 0] == LOOP]] = False
        return edge, node

    def _bound_of_prices(self) -> int:
        at = self._at
        return self._options.base + int(at.row_price.sum()) + int(at.column_price.sum()) + self._exclusion.bound

    def _value(self) -> int:
        return self._options.base + int(self._options.weight[self.choice[self.choice >= 0]].sum())

    def _excess(self, at: Priced) -> NDArray[np.int64]:
        """Return how much each row, then each column, costs above its price; (2n,) and at least 0."""
        excess = excess_of(at, self.choice)
        excess[: self._options.n_nodes] += self._exclusion.excess(self.choice)
        return excess

    def _prices_of(self, at: Priced, region: Region) -> NDArray[np.int64]:
        """Return the sum of prices in each cluster."""
        price = np.concatenate([at.row_price, at.column_price])
        within = np.flatnonzero(region.of_port >= 0)
        total = self._exclusion.total(region.of_port, len(region))
        np.add.at(total, region.of_port[within], price[within])
        return total

    def _take(
        self,
        region: Region,
        of_option: NDArray[np.int32],
        chosen: NDArray[np.bool_],
        which: NDArray[np.bool_],
    ) -> None:
        """Choose the given options in some clusters of a region, and nothing else there."""
        of_row = region.of_port[: self._options.n_nodes]
        self.choice[(of_row >= 0) & which[of_row]] = -1
        chosen = chosen & which[of_option]
        self.choice[region.row[chosen]] = region.option[chosen]

    def _solve(self, region: Region, cluster: int, deadline: float) -> int:
        """Choose anew within a cluster where that is cheaper; return a lower bound of what it holds, in grains."""
        mine = np.flatnonzero(region.of_option == cluster)
        option, row = region.option[mine], region.row[mine]
        weight = self._options.weight[option] // GRAIN
        held = option == self.choice[row]
        left = max(deadline - time.monotonic(), 0.1) if math.isfinite(deadline) else None
        if len(mine) > HOPELESS:
            return -(2**62)
        matrix, most = _packing(self._options.column[option], row)
        cliques = np.flatnonzero(self._exclusion.of_ports(region.of_port) == cluster)
        if len(cliques):
            asked, at_most = self._exclusion.rows(cliques, option)
            matrix, most = sparse.vstack([matrix, asked], format="csc"), np.append(most, at_most)
        found = minimise_binary(weight, matrix, most, time_limit_s=left)
        if found.value is not None and weight[found.value].sum() < weight[held].sum():
            self.choice[row] = -1
            self.choice[row[found.value]] = option[found.value]
        bound = whole_bound(found.bound)
        return int(bound) * GRAIN if math.isfinite(bound) else -(2**62)

    def _tell(self, what: str, region: Region) -> None:
        log.debug(
            "%s %d clusters of %d options: value %d, bound %d",
            what, len(region), len(region.option), self._value() // GRAIN, self._bound // GRAIN,
        )  # fmt: skip


def _packing(column: NDArray[np.int32], row: NDArray[np.int64]) -> tuple[sparse.csc_matrix, NDArray[np.float64]]:
    """Return the ports that options take, as the columns of a matrix, and that each port is taken once at most."""
    two = np.flatnonzero(column[:, 1] != NONE)
    port = np.concatenate([2 * row, 2 * column[:, 0].astype(np.int64) + 1, 2 * column[two, 1].astype(np.int64) + 1])
    names, port = np.unique(port, return_inverse=True)
    by = np.concatenate([np.arange(len(row)), np.arange(len(row)), two])
    matrix = sparse.csc_matrix((np.ones(len(port)), (port, by)), shape=(len(names), len(row)))
    return matrix, np.ones(len(names))
