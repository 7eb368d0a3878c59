"""A list of answers for each piece of a movie by itself: k answers everywhere, where one list of lineages has few.

A list of k whole lineages changes some ``(3 / pi^2) ln^2 k`` pieces, whatever the size of the movie. Pieces are
independent, so k answers of each stand for as many lineages as there are combinations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from ...errors import ConfigError
from ..problem import SCALE
from .assignment import AssignmentProblem
from .gaps import gaps_of
from .graph import require_temperature
from .murty import cheapest_of
from .parents import cheapest_parents
from .residual import FAR
from .undecided import undecided_within
from .weighing import WeightedMaps, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .outcomes import Outcomes
    from .undecided import Compact

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

CUT: Final = 8.0
"""Options whose flip costs more, in temperatures, are left out: the best lineage with one weighs exp(-8) = 0.0003."""


@dataclass(frozen=True, slots=True, eq=False)
class ComponentLists:
    """Weights of the answers that each piece has on its list, rows as in the tracking problem.

    Parameters
    ----------
    link : (m,) float64
        Weight of the answers that hold each link.
    new : (n,) float64
        Weight of those in which each cell begins; 0 where it is forbidden.
    outcomes : Outcomes
        What each cell does as a mother.
    piece : (n,) int64
        Piece in which the parent of each cell was chosen, -1 where that is certain.
    listed : (p,) int64
        Answers on the list of each piece.
    complete : (p,) bool
        Whether they are all that there are.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]
    outcomes: Outcomes
    piece: NDArray[np.int64]
    listed: NDArray[np.int64]
    complete: NDArray[np.bool_]


def best_by_component(
    problem: TrackingProblem, k: int = 100, *, temperature: float = 1.0, limit: float | None = None
) -> ComponentLists:
    """Return probabilities from the k cheapest answers of each piece, each weighed by ``exp(-cost / temperature)``.

    Parameters
    ----------
    problem : TrackingProblem
        n cells that are all kept, and m links; a division costs no less than minus the disappearance.
    k : int
        Answers of each piece.
    temperature : float
        Larger is less sure.
    limit : float or None
        Options whose flip costs more are left out, so that pieces stay small; None is `CUT` temperatures, inf leaves
        none out.

    Raises
    ------
    ConfigError
        If k is below 1, the temperature not above 0, or the limit below 0.
    SchemaError
        If the problem chooses more than parents (`AssignmentProblem`).
    """
    require_temperature(temperature)
    limit = CUT * temperature if limit is None else limit
    if k < 1:
        raise ConfigError(f"lists of {k} answers were asked for, expected 1 at least")
    if not limit >= 0:
        raise ConfigError(f"the limit of flips is {limit}, expected 0 or more")
    assignment = AssignmentProblem.of(problem)
    best = cheapest_parents(assignment)
    gaps = gaps_of(assignment, best)
    pieces = undecided_within(assignment, best, gaps, int(min(np.floor(limit * SCALE), FAR)))
    item_piece, weight, option, listed, complete = _lists(pieces.compact, k, temperature * SCALE)
    seen = shares(assignment, best, pieces, WeightedMaps(item_piece, weight, option))
    piece = np.full(problem.n_nodes, -1, dtype=np.int64)
    piece[pieces.daughter] = np.repeat(np.arange(len(pieces)), np.diff(pieces.compact.first_daughter))
    return ComponentLists(seen.link, seen.new, seen.outcomes, piece, listed, complete)


@njit(cache=True, nogil=True)
def _lists(pieces: Compact, k: int, temperature: float) -> tuple[Ints, Floats, Ints, Ints, NDArray[np.bool_]]:
    """List k answers of each piece and weigh them; temperature in millionths."""
    p = len(pieces.first_daughter) - 1
    listed = np.empty(p, np.int64)
    complete = np.empty(p, np.bool_)
    item_piece = np.empty(2 * p + 16, np.int64)
    weight = np.empty(2 * p + 16)
    option = np.empty(2 * len(pieces.may_begin) + 16, np.int64)
    t = 0
    at = 0
    for c in range(p):
        # one more, to tell if there are others; a constant would be a type of its own, for which all is compiled again
        cost, answer = cheapest_of(pieces, c, k + 1, int(np.int64(FAR)))
        complete[c] = len(cost) <= k
        found = min(len(cost), k)
        listed[c] = found
        share = np.exp(-cost[:found] / temperature)
        share /= share.sum()
        if t + found > len(weight):
            room = np.empty(t + found, np.int64)
            item_piece = np.concatenate((item_piece, room))
            weight = np.concatenate((weight, np.empty(t + found)))
        if at + found * answer.shape[1] > len(option):
            option = np.concatenate((option, np.empty(at + found * answer.shape[1], np.int64)))
        for q in range(found):
            item_piece[t], weight[t] = c, share[q]
            t += 1
            for r in range(answer.shape[1]):
                option[at] = answer[q, r]
                at += 1
    return item_piece[:t], weight[:t], option[:at], listed, complete
