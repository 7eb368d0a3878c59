"""Births are soft: each cell without a parent is a new one, the second daughter of a mother who has a child, or false.

The links of a lineage are held fixed. Every birth shares itself between appearing and the mothers it could come
from, in proportion to their densities; the shares give the next rates of divisions and appearances, and the density of
daughters.
Were births taken at their word, a first lineage without divisions would keep the division rate at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .clutter import SHOWN, Clutter, Lasting
from .daughters import shapes_of
from .lineage import NOBODY
from .rates import with_lasting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .daughters import Daughters, Shapes
    from .drift import Drift
    from .lineage import Lineage
    from .looks import Looks
    from .rates import LearnedRates
    from .surroundings import Surroundings

    Ints = NDArray[np.int64]
    Family = tuple[tuple[Ints, Ints], Ints, Ints, Ints]

SWEEPS: Final = 15
DIVISION: Final = (0.003, 50.0)  # usual division rate, and the cells that it counts for
APPEAR: Final = (0.002, 300.0)
SUREST: Final = 50.0  # nats


@dataclass(frozen=True, slots=True, eq=False)
class Births:
    """Cells of a lineage without a parent, and the mothers they could be second daughters of.

    Parameters
    ----------
    born : (n,) bool
        Which cells these are.
    child, mother : (c,) int64
        Row of the birth and of the mother, for every way of being a second daughter.
    edge, sibling : (c,) int64
        Candidate that ties them, and the one of her child.
    shape : Shapes
        Of the pair that it would make with her child.
    log_single : (c,) float64
        Log density of her child as her only one, the probability of having one child in it.
    log_apart : (c,) float64 or None
        Log density of both places if daughters are not looked at as a pair.
    """

    born: NDArray[np.bool_]
    child: NDArray[np.int64]
    mother: NDArray[np.int64]
    edge: NDArray[np.int64]
    sibling: NDArray[np.int64]
    shape: Shapes
    log_single: NDArray[np.float64]
    log_apart: NDArray[np.float64] | None = None

    def family(self, lineage: Lineage) -> Family:
        """Return the candidates of both daughters, the mother, her child and the birth, as `Looks` take them."""
        return (self.sibling, self.edge), self.mother, lineage.target[self.sibling], self.child


def births_of(
    around: Surroundings,
    drift: Drift,
    lineage: Lineage,
    elapsed: NDArray[np.float64],
    missed: NDArray[np.int64],
    log_single: NDArray[np.float64],
    followed: float,
) -> Births:
    """Find the births of a lineage.

    Parameters
    ----------
    around, drift, lineage
        Of n cells.
    elapsed, missed : (m,) float64, (m,) int64
        Time that each candidate spans, and frames that it skips.
    log_single : (m,) float64
        Log density of each candidate as a link without a division.
    followed : float
        Share of the drift that mothers follow.
    """
    first, source, target = lineage.first, lineage.source, lineage.target
    born = lineage.cell & ~lineage.has_parent & (around.order > 0)
    born[target[lineage.second[lineage.second != NOBODY]]] = True
    # one that ends at once says nothing: it may as well be no cell
    born &= lineage.has_child | (around.order == around.n_frames - 1)
    edge = np.flatnonzero(born[target] & (missed == 0) & lineage.has_child[source])
    sibling = first[source[edge]]
    apart = (sibling != edge) & (missed[sibling] == 0)
    edge, sibling = edge[apart], sibling[apart]
    shape = shapes_of(
        around, drift, source[edge], target[sibling], target[edge], (elapsed[sibling], elapsed[edge]), followed
    )
    return Births(born, target[edge], source[edge], edge, sibling, shape, log_single[sibling])


def share_births(
    births: Births,
    around: Surroundings,
    lineage: Lineage,
    daughters: Daughters,
    looks: Looks,
    rates: LearnedRates,
    hazard: NDArray[np.float64],
    reach: int,
    clutter: Clutter,
) -> tuple[LearnedRates, Daughters, Looks, NDArray[np.float64]]:
    """Share births between new cells, second daughters and false tracks.

    Parameters
    ----------
    births : Births
        Of `lineage`.
    around, lineage
        Of n cells.
    daughters, looks, rates, hazard : Daughters, Looks, LearnedRates, (n,) float64
        What is known so far.
    reach : int
        Frames that links may skip.
    clutter : Clutter
        Short tracks of the lineage, which may be false.

    Returns
    -------
    rates, daughters, looks
        With what births tell; the rate of staying is 0 where false points do not stay.
    divisions : (n,) float64
        Expected divisions of each cell.
    """
    given = births, around, lineage, daughters, looks, rates, hazard, reach
    shared = _shared(*given, clutter)
    if shared[0].stays >= SHOWN:
        return shared
    rates, daughters, looks, divisions = _shared(*given, Clutter.none(len(around)))
    return replace(rates, stays=0.0), daughters, looks, divisions


def _shared(
    births: Births,
    around: Surroundings,
    lineage: Lineage,
    daughters: Daughters,
    looks: Looks,
    rates: LearnedRates,
    hazard: NDArray[np.float64],
    reach: int,
    clutter: Clutter,
) -> tuple[LearnedRates, Daughters, Looks, NDArray[np.float64]]:
    n = len(around)
    mothers = int(lineage.has_child.sum())
    counted = [here & (around.order > 1) for here in (~around.border, around.border)]
    family = births.family(lineage)
    lasting, counts = Lasting.of(clutter, births.born), rates
    for _ in range(SWEEPS):
        share, new = shares_of(births, around, lineage, daughters, looks, rates, hazard, reach, lasting)
        false = lasting.odds(around, rates, reach) * new[lasting.begin]
        rates = replace(
            with_lasting(counts, around, lineage, lasting, false, clutter.n_left),
            division=(float(share.sum()) + DIVISION[0] * DIVISION[1]) / (mothers + DIVISION[1]),
            appear=np.array(
                [
                    (new[rows].sum() + APPEAR[0] * APPEAR[1]) / ((rows & lineage.cell).sum() + APPEAR[1])
                    for rows in counted
                ]
            ),
        )
        if births.log_apart is None:
            daughters = daughters.learned(births.shape, share)
            looks = looks.with_daughters(*family, share)
    return rates, daughters, looks, np.bincount(births.mother, share, n).astype(np.float64)


def shares_of(
    births: Births,
    around: Surroundings,
    lineage: Lineage,
    daughters: Daughters,
    looks: Looks,
    rates: LearnedRates,
    hazard: NDArray[np.float64],
    reach: int,
    lasting: Lasting | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how likely each way of being a second daughter is, (c,), and how likely each cell is a new one, (n,).

    Parameters
    ----------
    births, around, lineage, daughters, looks, rates, hazard, reach
        As in `share_births`.
    lasting : Lasting or None
        Short tracks that may be false.
    """
    log_rate = np.log(1 - rates.miss) + np.log(hazard[births.mother]) - births.log_single
    log_new = np.log(rates.new(around, reach)) + around.log_density
    if births.log_apart is None:
        log_pair = daughters.log_density(births.shape) + looks.log_daughters(*births.family(lineage))
    else:
        log_pair = births.log_apart
    log_daughter = log_pair + log_rate + np.log(rates.division)
    odds = np.exp(np.minimum(log_daughter - log_new[births.child], SUREST))
    total = 1 + np.bincount(births.child, odds, len(around))
    if lasting is not None:
        total[lasting.begin] = total[lasting.begin] + lasting.odds(around, rates, reach)
    return odds / total[births.child], births.born / total
