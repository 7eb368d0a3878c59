"""Exact min-marginals: what the cheapest map with another choice costs more than the cheapest of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from .assignment import AssignmentProblem, in_costs
from .parents import cheapest_parents
from .residual import BEGIN, FAR, Held, detour, hold, room_to_search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .assignment import Choices
    from .parents import ParentMap

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """What it costs to flip each choice, in millionths, 0 or more; `FAR` where it cannot be flipped.

    Parameters
    ----------
    option : (k,) int64
        Of each option: taking it if the cheapest map does not, doing without it if it does.
    begin : (n,) int64
        The same of the beginning of each cell.
    """

    option: NDArray[np.int64]
    begin: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class MinMarginals:
    """What it costs to flip each answer of the optimum, rows as in the problem; inf where nothing else is open.

    Parameters
    ----------
    link : (m,) float64
        Of each link: taking it if the optimum does not, doing without it if it does.
    new : (n,) float64
        The same of the beginning of each cell.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]


def flip_costs(assignment: AssignmentProblem, best: ParentMap) -> Gaps:
    """Return the exact min-marginals of all options and beginnings: one search each, which stays near the daughter."""
    option, begin = _flip_costs(assignment.choices, best.option, best.price)
    return Gaps(option, begin)


def min_marginals(problem: TrackingProblem) -> MinMarginals:
    """Return how much the optimum is worth against flipping each of its answers, in units of cost.

    Unlike a probability they need no temperature; multiplied they mean nothing.

    Raises
    ------
    SchemaError
        If the problem chooses more than parents (`AssignmentProblem`).
    """
    assignment = AssignmentProblem.of(problem)
    gaps = flip_costs(assignment, cheapest_parents(assignment))
    link = np.full(assignment.n_links, np.inf)
    link[assignment.link] = np.where(gaps.option < FAR, in_costs(gaps.option), np.inf)
    return MinMarginals(link, np.where(gaps.begin < FAR, in_costs(gaps.begin), np.inf))


@njit(cache=True, nogil=True)
def _flip_costs(choices: Choices, taken: Ints, price: Ints) -> tuple[Ints, Ints]:
    n, m = len(taken), len(price)
    held = Held(taken, price, np.empty(m, np.int64), np.empty((m, 2), np.int32))
    hold(choices, held, np.zeros(m, np.int64))
    room = room_to_search(m, len(choices.mother))
    option = np.full(len(choices.mother), FAR, np.int64)
    begin = np.full(n, FAR, np.int64)
    for j in range(n):
        least = np.int64(FAR)
        if taken[j] >= 0 and choices.may_begin[j]:
            begin[j] = detour(choices, held, room, j, BEGIN, True, FAR, 0)
            least = begin[j]
        for a in range(choices.first[j], choices.first[j + 1]):
            if a != taken[j]:
                option[a] = detour(choices, held, room, j, a, False, FAR, 0)
                least = min(least, option[a])
        if taken[j] >= 0:
            option[taken[j]] = least
        else:
            begin[j] = least
    return option, begin
