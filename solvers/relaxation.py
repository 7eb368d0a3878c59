"""The relaxation of a region: one linear programme for all its clusters, which gives them new prices.

What lies outside keeps its prices. An option that leaves the region takes part at what its outer ports are priced, so
that the bound of all prices together never falls; where the optimum uses such an option, the cluster *escapes* and
should be wider. Options that the region left out join when the new prices make them pay.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from .basis import standing_basis
from .highs import PackingProgramme
from .options import GRAIN, NONE
from .problem import SCALE
from .regions import cheapest_way_out, violated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .exclusion import Exclusion
    from .regions import Priced, Region

HALF: Final = 1e-6
"""A share of an option between this and 1 less this is a fraction."""

TOLERANCE: Final = GRAIN
"""Reduced cost down to which an option counts as paid: one millionth, less than HiGHS promises."""


@dataclass(frozen=True, slots=True, eq=False)
class Relaxed:
    """The relaxed optimum of a region.

    Parameters
    ----------
    column_price : (n,) int64
        New column prices; those outside as they were.
    chosen : bool
        Which options of the region are used whole.
    settled : (k,) bool
        Clusters whose optimum takes no fractions and does not escape.
    escaped : (k,) bool
        Clusters whose optimum uses an option that leaves them.
    """

    column_price: NDArray[np.int64]
    chosen: NDArray[np.bool_]
    settled: NDArray[np.bool_]
    escaped: NDArray[np.bool_]


def relax(
    at: Priced, exclusion: Exclusion, region: Region, choice: NDArray[np.int64], deadline: float
) -> Relaxed | None:
    """Solve the linear relaxation of a region by column generation; None if not even the first comes out in time.

    Parameters
    ----------
    at : Priced
        All options at their present prices.
    exclusion : Exclusion
        Who excludes whom; its prices within the region are set to the new ones.
    region : Region
        Where prices may change.
    choice : (n,) int64
        Option that each row takes at present, -1 for none: where the programme starts.
    deadline : float
        `time.monotonic` after which no more options join, and what was found last is taken.
    """
    cliques = np.flatnonzero(exclusion.of_ports(region.of_port) >= 0)
    asked, most = exclusion.rows(cliques, region.option)
    ports = _Ports(at._replace(weight=exclusion.true_weight), region, len(cliques))
    programme = PackingProgramme(np.concatenate([np.ones(len(ports.member)), most]))
    cost, inner = ports.variables(region.option, region.row)
    programme.add(cost / (SCALE * GRAIN), inner + ports.below(asked))
    outer = [ports.ways_out(at, region)]
    programme.add(outer[0][0] / (SCALE * GRAIN), outer[0][1])
    if not len(cliques):
        taken = np.flatnonzero(choice[region.row] == region.option)
        every = sparse.hstack([inner, outer[0][1]], format="csc")
        programme.start_at(*ports.basis(every, np.concatenate([cost, outer[0][0]]), taken))
    known = np.zeros(len(at.weight), dtype=bool)
    known[region.option] = True
    relaxed = None
    while True:
        found = programme.solve(deadline - time.monotonic())
        if found is None:
            return relaxed
        share, dual = found
        exclusion.price[cliques] = np.maximum(np.rint(-dual[len(ports.member) :] * (SCALE * GRAIN)), 0)
        priced = ports.priced(dual)._replace(weight=exclusion.weights())
        relaxed = ports.relaxed(priced, region, share, sparse.hstack([part for _, part in outer], format="csc"))
        option, row = violated(priced, region, known, TOLERANCE)
        if not len(option):
            return relaxed
        known[option] = True
        outer.append(ports.variables(option, row))
        programme.add(outer[-1][0] / (SCALE * GRAIN), outer[-1][1])


class _Ports:
    """The ports of a region, numbered from 0, and after them its cliques."""

    def __init__(self, at: Priced, region: Region, n_cliques: int) -> None:
        self.member = np.flatnonzero(region.of_port >= 0)
        self._at = at
        self._n_cliques = n_cliques
        self._place = np.full(len(region.of_port), -1)
        self._place[self.member] = np.arange(len(self.member))
        self._price = np.concatenate([at.row_price, at.column_price])

    def variables(
        self, option: NDArray[np.int64], row: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], sparse.csc_matrix]:
        """Return what options cost once their outer ports are paid at their prices, and their inner ports."""
        n = len(self._at.row_price)
        column = self._at.column[option].astype(np.int64)
        two = np.flatnonzero(column[:, 1] != NONE)
        touched = np.concatenate([row, n + column[:, 0], n + column[two, 1]])
        by = np.concatenate([np.arange(len(option)), np.arange(len(option)), two])
        cost = self._at.weight[option].copy()
        within = self._place[touched] >= 0
        np.subtract.at(cost, by[~within], self._price[touched[~within]])
        return cost, self._matrix(touched[within], by[within], len(option))

    def ways_out(self, at: Priced, region: Region) -> tuple[NDArray[np.int64], sparse.csc_matrix]:
        """Return for each port the option that costs least of those that have nothing else in the region."""
        cost = cheapest_way_out(at, region)
        port = np.flatnonzero(cost < 0)
        return cost[port], self._matrix(port, np.arange(len(port)), len(port))

    def basis(
        self, options: sparse.csc_matrix, cost: NDArray[np.int64], taken: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which options, and the slacks of which ports, to start from; those taken are preferred."""
        price = self._price[self.member]
        tight = np.abs(cost - options.T @ price) <= TOLERANCE
        first = taken[tight[taken]]
        tight[taken] = False
        is_row = self.member < len(self._at.row_price)
        return standing_basis(options, np.concatenate([first, np.flatnonzero(tight)]), is_row, price == 0)

    def below(self, asked: sparse.csc_matrix) -> sparse.csc_matrix:
        """Return what cliques ask, as rows below those of the ports."""
        nothing = sparse.csc_matrix((len(self.member), asked.shape[1]))
        rows: sparse.csc_matrix = sparse.vstack([nothing, asked], format="csc")
        return rows

    def priced(self, dual: NDArray[np.float64]) -> Priced:
        """Return all options at the prices of the relaxation."""
        n = len(self._at.row_price)
        price = self._price.copy()
        price[self.member] = np.minimum(np.rint(dual[: len(self.member)] * (SCALE * GRAIN)), 0).astype(np.int64)
        return self._at._replace(row_price=price[:n], column_price=price[n:])

    def relaxed(self, priced: Priced, region: Region, share: NDArray[np.float64], outer: sparse.csc_matrix) -> Relaxed:
        """Tell what the shares of options mean for the clusters."""
        n_inside = len(region.option)
        inside = share[:n_inside]
        escaped = np.zeros(len(region), dtype=bool)
        left = np.flatnonzero(outer @ (share[n_inside:] > HALF).astype(np.float64))
        escaped[region.of_port[self.member[left]]] = True
        settled = ~escaped
        settled[region.of_option[(inside > HALF) & (inside < 1 - HALF)]] = False
        return Relaxed(priced.column_price, inside > 0.5, settled, escaped)

    def _matrix(self, port: NDArray[np.int64], by: NDArray[np.int64], n_variables: int) -> sparse.csc_matrix:
        shape = (len(self.member) + self._n_cliques, n_variables)
        return sparse.csc_matrix((np.ones(len(port)), (self._place[port], by)), shape=shape)
