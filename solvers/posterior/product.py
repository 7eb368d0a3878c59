"""The cheapest lineages of a whole movie in order, from the lists of its pieces.

A lineage is one answer of each piece, and costs what they cost together. Of k lineages only the few pieces that are
easiest to change are ever changed: with K pieces in order of their second best answer, a lineage is a row of changes
(piece, rank), and those that follow one in cost are reached by the next rank of its last piece, by a change of the next
piece too, or by that instead, if the last rank was the first. So every lineage comes once and in order.

The list is exact. Options whose flip costs more than the last lineage on it stand in none of them (`undecided`), and
where the guess of that cost was too low, it is raised and the list made anew.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import ConfigError
from ..problem import SCALE
from .assignment import AssignmentProblem, in_costs
from .gaps import gaps_of
from .graph import require_temperature
from .murty import cheapest_of
from .parents import cheapest_parents
from .residual import FAR
from .undecided import undecided_within
from .weighing import Shares, WeightedMaps, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .gaps import Gaps
    from .parents import ParentMap
    from .undecided import Undecided

FIRST_ANSWERS = 4


class Change(NamedTuple):
    """An answer of a piece other than its best, and the changes that come with it; `rest` -1 is none."""

    piece: int
    rank: int
    rest: int


@dataclass(frozen=True, slots=True, eq=False)
class AssignmentList:
    """The cheapest lineages of a problem, each once.

    Parameters
    ----------
    cost : (K,) float64
        What each costs more than the optimum, rising from 0.
    objective : float
        What the optimum costs.
    complete : bool
        True where there are no others.
    assignment, best, pieces
        The problem as a choice of parents, its optimum, and the pieces that the list knows.
    answers : dict of piece to (l, d) int64
        Answers of the pieces that are changed anywhere, numbered within each.
    changes : list of Change
        What is changed, `last` names the last of each lineage, (K,) int64; -1 is the optimum.
    """

    cost: NDArray[np.float64]
    objective: float
    complete: bool
    assignment: AssignmentProblem
    best: ParentMap
    pieces: Undecided
    answers: dict[int, NDArray[np.int64]]
    changes: list[Change]
    last: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cost)

    def parents(self, i: int) -> NDArray[np.int64]:
        """Return the lineage of rank i, (n,) int64: row of the link into each cell; -1 where it begins, or is none."""
        option = self.best.option.copy()
        at = int(self.last[i])
        while at >= 0:
            piece, rank, at = self.changes[at]
            option[self.pieces.daughters_of(piece)] = self.pieces.options_of(piece, self.answers[piece][rank])
        return self.assignment.links(option)

    def shares(self, temperature: float = 1.0) -> Shares:
        """Return the weights of links, of beginnings, and of the outcomes of each mother, all from one list.

        Each lineage weighs ``exp(-cost / temperature)``, as its share of the list [1]_. What the list does
        not reach has no weight: in a frame of thousands of cells even a thousand lineages change only some twenty.

        Raises
        ------
        ConfigError
            If the temperature is not above 0.

        References
        ----------
        .. [1] Paul et al., "Reliable Cell Trackers Say 'I dunno!'", Eq. (4).
        """
        require_temperature(temperature)
        share = np.exp(-self.cost / temperature)
        share /= share.sum()
        weight = np.zeros(len(self.changes))
        changed = self.last >= 0
        np.add.at(weight, self.last[changed], share[changed])
        for at in range(len(self.changes) - 1, -1, -1):  # what a change rests on was noted before it
            rest = self.changes[at].rest
            if rest >= 0:
                weight[rest] += weight[at]
        by_rank = {piece: np.zeros(len(answers)) for piece, answers in self.answers.items()}
        for change, w in zip(self.changes, weight.tolist(), strict=True):
            if w:
                by_rank[change.piece][change.rank] += w
        return shares(self.assignment, self.best, self.pieces, self._weighted(by_rank))

    def _weighted(self, by_rank: dict[int, NDArray[np.float64]]) -> WeightedMaps:
        """Return the answers that have weight, the best of each piece with what the others leave."""
        piece, weight, option = [], [], [np.empty(0, dtype=np.int64)]
        for c in sorted(by_rank):
            share = by_rank[c]
            share[0] = max(1.0 - share[1:].sum(), 0.0)
            used = np.flatnonzero(share)
            piece.append(np.full(len(used), c))
            weight.append(share[used])
            option.append(self.answers[c][used].ravel())
        none = np.empty(0)
        return WeightedMaps(
            np.concatenate([none.astype(np.int64), *piece]), np.concatenate([none, *weight]), np.concatenate(option)
        )


def best_assignments(problem: TrackingProblem, k: int = 100) -> AssignmentList:
    """Return the k cheapest lineages of a whole movie in order, exactly, and without duplicates.

    Parameters
    ----------
    problem : TrackingProblem
        n cells that are all kept, and m links; a division costs no less than minus the disappearance.
    k : int
        How many; where there are fewer, all of them come.

    Raises
    ------
    ConfigError
        If k is below 1.
    SchemaError
        If the problem chooses more than parents (`AssignmentProblem`).
    """
    if k < 1:
        raise ConfigError(f"a list of {k} assignments was asked for, expected 1 at least")
    assignment = AssignmentProblem.of(problem)
    best = cheapest_parents(assignment)
    gaps = gaps_of(assignment, best)
    limit = _first_limit(best, gaps, k)
    dearest = int(max(gaps.option[gaps.option < FAR].max(initial=0), gaps.begin[gaps.begin < FAR].max(initial=0)))
    while True:
        if limit >= dearest:
            limit = FAR
        found, others = _product(assignment, best, undecided_within(assignment, best, gaps, limit), k, limit)
        if limit == FAR or (len(found) == k and others):
            return found
        limit = max(2 * limit, SCALE)


def _first_limit(best: ParentMap, gaps: Gaps, k: int) -> int:
    """Guess what the k-th lineage costs more than the first, in millionths.

    With gaps of density rho near 0, k lineages reach a cost of 3 ln^2(k) / (pi^2 rho): the growth of partitions into
    distinct parts. A piece has two daughters or more.
    """
    flip = gaps.of_answers(best)
    flip = np.sort(flip[flip < FAR])
    rank = math.ceil(2 * (3 / math.pi**2) * math.log(k) ** 2) + 4
    return int(flip[rank]) if rank < len(flip) else FAR


def _product(
    assignment: AssignmentProblem, best: ParentMap, pieces: Undecided, k: int, limit: int
) -> tuple[AssignmentList, bool]:
    """Return the k cheapest combinations of answers within a limit, and whether there are others within it.

    The loop is over lineages, in their order.
    """
    answers = _Answers(pieces, limit, k)
    gap = pieces.gap.tolist()
    changes: list[Change] = []
    cost, last = [0], [-1]
    heap: list[tuple[int, int]] = []

    def offer(price: int, piece: int, rank: int, rest: int) -> None:
        if price <= limit:
            heapq.heappush(heap, (price, len(changes)))
            changes.append(Change(piece, rank, rest))

    if gap:
        offer(gap[0], 0, 1, -1)
    while heap and len(cost) < k:
        price, at = heapq.heappop(heap)
        cost.append(price)
        last.append(at)
        piece, rank, rest = changes[at]
        following = answers.cost(piece, rank + 1)
        own = answers.known(piece, rank)
        if following is not None:
            offer(price - own + following, piece, rank + 1, rest)
        if piece + 1 < len(gap):
            offer(price + gap[piece + 1], piece + 1, 1, at)
            if rank == 1:
                offer(price - own + gap[piece + 1], piece + 1, 1, rest)
    found = AssignmentList(
        cost=in_costs(np.array(cost, dtype=np.int64)),
        objective=best.cost / SCALE,
        complete=limit == FAR and not heap,
        assignment=assignment,
        best=best,
        pieces=pieces,
        answers=answers.option,
        changes=changes,
        last=np.array(last, dtype=np.int64),
    )
    return found, bool(heap)


class _Answers:
    """The lists of pieces, made as far as they are asked for."""

    def __init__(self, pieces: Undecided, limit: int, k: int) -> None:
        self.option: dict[int, NDArray[np.int64]] = {}
        self._cost: dict[int, list[int]] = {}
        self._asked: dict[int, int] = {}
        self._pieces, self._limit, self._k = pieces, limit, k

    def cost(self, piece: int, rank: int) -> int | None:
        """Return what the answer of that rank costs more than the best of the piece, None where there is none."""
        known = self._cost.get(piece, [])
        asked = self._asked.get(piece, 0)
        while rank >= len(known) == asked:  # a list that came shorter than was asked for has no more
            asked = min(max(4 * asked, FIRST_ANSWERS), max(self._k + 1, rank + 1))
            listed, self.option[piece] = cheapest_of(self._pieces.compact, piece, asked, self._limit)
            known = self._cost[piece] = listed.tolist()
            self._asked[piece] = asked
        return known[rank] if rank < len(known) else None

    def known(self, piece: int, rank: int) -> int:
        """Return the same of an answer that was asked for before."""
        return self._cost[piece][rank]
