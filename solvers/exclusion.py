"""What exclusion does to options: of a clique of detections all but one must be left out, at a price.

Being left out is an option of a mother's row, the loop. A price of at least 0 for each clique is taken off the loops of
its members, and comes back to the bound for each that must be left out; at the best prices only as many are left out as
must be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from scipy import sparse

from .options import NONE, best_options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .conflicts import Cliques
    from .options import Options

    Ints = NDArray[np.int64]


NEVER: Final = 2**55
"""Price at which nothing is taken; costs add up to less."""


class Exclusion:
    """Cliques of the nodes of a problem, and their prices.

    Parameters
    ----------
    options : Options
        All options; members of cliques have their loops among them, unless they are forbidden.
    cliques : Cliques
        Groups of nodes.

    Attributes
    ----------
    price : (k,) int64
        Of each clique, at least 0, in grains.
    """

    def __init__(self, options: Options, cliques: Cliques) -> None:
        self._options = options
        self._cliques = cliques
        self.price: NDArray[np.int64] = np.zeros(len(cliques), dtype=np.int64)
        self._loop = _loops(options) if len(cliques) else np.empty(0, dtype=np.int64)

    @property
    def true_weight(self) -> NDArray[np.int64]:
        """(k,) Weights of all options without any price."""
        return self._options.weight

    @property
    def bound(self) -> int:
        """What the prices add to the bound, in grains."""
        return int((self.price * self._cliques.least_out).sum())

    def weights(self) -> NDArray[np.int64]:
        """Return the weights of all options at these prices."""
        weight = self._options.weight
        if len(self._cliques):
            weight = weight.copy()
            np.subtract.at(weight, self._loop[self._cliques.member], self.price[self._cliques.of_member])
        return weight

    def excess(self, choice: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what a choice pays for leaving out more than must be, (n,), at the first member of each clique."""
        excess = np.zeros(self._options.n_nodes, dtype=np.int64)
        if len(self._cliques):
            out = self._left_out(choice)[self._cliques.member]
            more = np.add.reduceat(out.astype(np.int64), self._cliques.indptr[:-1]) - self._cliques.least_out
            np.add.at(excess, self._cliques.member[self._cliques.indptr[:-1]], self.price * more)
        return excess

    def start(
        self, choice: NDArray[np.int64], price: NDArray[np.int64], out: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Price what is out of a matching, so that most of it stays out at no excess.

        Parameters
        ----------
        choice, price : (n,) int64
            Choices and column prices, in grains, of a matching without the nodes that are out.
        out : (n,) bool
            The losers of their cliques.

        Returns
        -------
        choice, price : (n,) int64
            With the losers left out, their columns as cheap as others would let them be. The price of each clique
            becomes what its members would at least gain by coming in.
        """
        if not len(self._cliques):
            return choice, price
        o = self._options
        choice, price = np.where(out, self._loop, choice), np.where(out, -NEVER, price)
        row = np.repeat(np.arange(o.n_nodes), np.diff(o.indptr))
        weight = o.weight.copy()
        weight[self._loop[self._loop >= 0]] = NEVER
        best = best_options(o, price, weight)
        highest = np.zeros(o.n_nodes, dtype=np.int64)
        for side in range(2):
            option = np.flatnonzero((o.column[:, side] != NONE) & out[o.column[:, side]])
            other = o.column[option, 1 - side]
            rest = np.where(other == NONE, 0, price[other])
            np.minimum.at(highest, o.column[option, side], weight[option] - best[row[option]] - rest)
        price = np.where(out, highest, price)
        member = self._cliques.member
        gain = o.weight[self._loop[member]] - best_options(o, price, weight)[member] - price[member]
        self.price = _shared_gains(self._cliques.indptr, member, gain, o.n_nodes)
        return choice, price

    def feasible(self, choice: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a choice in which each clique keeps at most one: whose options are worth most, in order of the rows.

        A row that wanted a column of a node that is left out does nothing.
        """
        if not len(self._cliques):
            return choice
        o = self._options
        worth = np.where(choice >= 0, -o.weight[choice], 0)
        owner = np.flatnonzero(choice >= 0)
        for side in range(2):
            column = o.column[choice[owner], side]
            np.add.at(worth, column[column != NONE], -o.weight[choice[owner[column != NONE]]])
        out = self._left_out(choice)
        _keep_best(self._cliques.indptr, self._cliques.member, worth, out)
        taken = np.where(o.column[choice] == NONE, 0, o.column[choice])
        loses = (choice >= 0) & (out[taken[:, 0]] | (out[taken[:, 1]] & (o.column[choice, 1] != NONE)))
        choice = np.where(loses | out, -1, choice)
        choice[out] = self._loop[out]
        return choice

    def of_ports(self, of_port: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the cluster that holds each clique, -1 where none does."""
        return of_port[self._cliques.member[self._cliques.indptr[:-1]]]

    def total(self, of_port: NDArray[np.int32], n_clusters: int) -> NDArray[np.int64]:
        """Return what the prices of the cliques of each cluster add to its bound."""
        of = self.of_ports(of_port)
        total = np.zeros(n_clusters, dtype=np.int64)
        np.add.at(total, of[of >= 0], (self.price * self._cliques.least_out)[of >= 0])
        return total

    def rows(
        self, cliques: NDArray[np.int64], option: NDArray[np.int64]
    ) -> tuple[sparse.csc_matrix, NDArray[np.float64]]:
        """Return what some cliques ask of some options, ordered by number: ``matrix @ use <= most``."""
        begin, end = self._cliques.indptr[cliques], self._cliques.indptr[cliques + 1]
        length = end - begin
        row = np.repeat(np.arange(len(cliques)), length)
        place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + np.repeat(begin, length)
        loop = self._loop[self._cliques.member[place]]
        matrix = sparse.csc_matrix(
            (-np.ones(len(row)), (row, np.searchsorted(option, loop))), shape=(len(cliques), len(option))
        )
        return matrix, -self._cliques.least_out[cliques].astype(np.float64)

    def _left_out(self, choice: NDArray[np.int64]) -> NDArray[np.bool_]:
        left_out: NDArray[np.bool_] = (choice >= 0) & (choice == self._loop)
        return left_out


def _loops(options: Options) -> NDArray[np.int64]:
    """Return the option by which each node is left out, (n,) int64; -1 where it has none."""
    loop = np.full(options.n_nodes, -1)
    row = np.repeat(np.arange(options.n_nodes), np.diff(options.indptr))
    option = np.flatnonzero((options.column[:, 0] == row) & (options.column[:, 1] == NONE))
    loop[row[option]] = option
    return loop


@njit(cache=True, nogil=True)
def _keep_best(indptr: Ints, member: Ints, worth: Ints, out: NDArray[np.bool_]) -> None:
    """Leave out all but the best of each clique that are not out already."""
    for clique in range(len(indptr) - 1):
        best = -1
        for place in range(indptr[clique], indptr[clique + 1]):
            i = member[place]
            if out[i]:
                continue
            if best < 0:
                best = i
            elif worth[i] > worth[best]:
                out[best] = True
                best = i
            else:
                out[i] = True


@njit(cache=True, nogil=True)
def _shared_gains(indptr: Ints, member: Ints, gain: Ints, n: int) -> Ints:
    """Price one clique after the other at the least that its members still gain, which is then gone."""
    price = np.zeros(len(indptr) - 1, np.int64)
    spent = np.zeros(n, np.int64)
    for clique in range(len(price)):
        price[clique] = np.int64(2) ** 62
        for place in range(indptr[clique], indptr[clique + 1]):
            price[clique] = min(price[clique], gain[place] - spent[member[place]])
        price[clique] = max(price[clique], 0)
        for place in range(indptr[clique], indptr[clique + 1]):
            spent[member[place]] += price[clique]
    return price
