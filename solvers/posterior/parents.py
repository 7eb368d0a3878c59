"""The cheapest map of parents, with the prices that prove it: the maximum of the posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..matching import Entries, match, row_prices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .assignment import AssignmentProblem

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class ParentMap:
    """A parent for each of n cells, and what proves that no map costs less.

    Parameters
    ----------
    option : (n,) int64
        Option of the assignment that each cell takes, -1 where it begins.
    price : (n,) int64
        What a further child must save at each mother, in millionths: with it no option of a daughter undercuts the one
        that she takes, and no mother gains by a child more or less.
    cost : int
        What the map costs, in millionths.
    """

    option: NDArray[np.int64]
    price: NDArray[np.int64]
    cost: int


def cheapest_parents(assignment: AssignmentProblem) -> ParentMap:
    """Return a cheapest map of parents, by shortest augmenting paths over the places of the mothers.

    It is an optimum of the tracking problem, whatever order its edges stand in.
    """
    choices = assignment.choices
    indptr, daughter, weight, option = _places(
        choices.into_first, choices.into, choices.into_daughter, choices.cost, choices.one, choices.two
    )
    entries = Entries(indptr, daughter, weight, option, assignment.base)
    found = match(entries)
    taken = found.column_entry
    chosen = np.where(taken >= 0, option[taken], -1).astype(np.int64) if len(option) else np.full(len(taken), -1)
    price = row_prices(entries, found.price)[::2] - choices.one
    return ParentMap(chosen, price, assignment.base + assignment.change(chosen))


@njit(cache=True, nogil=True)
def _places(
    into_first: Ints, into: Ints, into_daughter: Ints32, cost: Ints, one: Ints, two: Ints
) -> tuple[Ints, Ints32, Ints, Ints32]:
    """List what daughters may take, rows 2i and 2i + 1 the places of mother i; what saves nothing no optimum needs."""
    m = len(one)
    indptr = np.zeros(2 * m + 1, np.int64)
    daughter = np.empty(2 * len(into), np.int32)
    weight = np.empty(2 * len(into), np.int64)
    option = np.empty(2 * len(into), np.int32)
    k = 0
    for place in range(2 * m):
        i = place // 2
        more = one[i] if place % 2 == 0 else two[i]
        for at in range(into_first[i], into_first[i + 1]):
            change = cost[into[at]] + more
            if change < 0:
                daughter[k] = into_daughter[at]
                weight[k] = change
                option[k] = into[at]
                k += 1
        indptr[place + 1] = k
    return indptr, daughter[:k], weight[:k], option[:k]
