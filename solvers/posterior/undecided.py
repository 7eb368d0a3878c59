"""What is left to decide when unlikely options are out: pieces of a movie that know nothing of each other.

A map that costs no more than a limit over the optimum holds no option whose flip costs more (`gaps`). Without those, a
daughter with one option left is settled, and daughters who share no mother any more are decided apart: the cost of a
map is the sum over pieces, and an exact list of maps follows from the lists of small pieces. The limit cuts what a
movie of ten thousand cells ties into one into thousands of pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from .residual import FAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .assignment import AssignmentProblem, Choices
    from .gaps import Gaps
    from .parents import ParentMap

    Ints = NDArray[np.int64]


class Compact(NamedTuple):
    """All p pieces in arrays that follow one another: d daughters, u mothers, k options.

    Piece c has the daughters ``first_daughter[c] .. first_daughter[c + 1] - 1``, the mothers ``first_mother[c] ..``,
    and daughter r the options ``first_option[r] ..``, which lead to mothers numbered within the piece (`goes_to`) at
    a cost against beginning. `taken` is what the optimum takes, numbered within the piece, -1 where she begins;
    `price` proves it; `outside` counts the daughters of a mother that are settled.
    """

    first_daughter: NDArray[np.int64]
    first_mother: NDArray[np.int64]
    first_option: NDArray[np.int64]
    goes_to: NDArray[np.int32]
    cost: NDArray[np.int64]
    may_begin: NDArray[np.bool_]
    taken: NDArray[np.int64]
    one: NDArray[np.int64]
    two: NDArray[np.int64]
    price: NDArray[np.int64]
    outside: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Undecided:
    """Pieces of what is undecided, the one that is easiest to change first.

    Parameters
    ----------
    compact : Compact
        What kernels read.
    gap : (p,) int64
        What the second best answer of each piece costs more than its best.
    daughter : (d,) int64
        Cell of each daughter.
    mother : (u,) int64
        Cell of each mother.
    option : (k,) int64
        Option of the assignment that each option here is.
    """

    compact: Compact
    gap: NDArray[np.int64]
    daughter: NDArray[np.int64]
    mother: NDArray[np.int64]
    option: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gap)

    def options_of(self, piece: int, within: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return options numbered within a piece as options of the assignment; -1 stays."""
        begin = self.compact.first_option[self.compact.first_daughter[piece]]
        return np.where(within >= 0, self.option[begin + np.maximum(within, 0)], -1)

    def daughters_of(self, piece: int) -> NDArray[np.int64]:
        """Return the cells of the daughters of a piece."""
        first = self.compact.first_daughter
        return self.daughter[first[piece] : first[piece + 1]]


def undecided_within(assignment: AssignmentProblem, best: ParentMap, gaps: Gaps, limit: int) -> Undecided:
    """Return the pieces that are left without options whose flip costs more than a limit, in millionths."""
    choices = assignment.choices
    taken = np.zeros(len(choices.mother), dtype=bool)
    taken[best.option[best.option >= 0]] = True
    alive = taken | ((gaps.option <= limit) & (gaps.option < FAR))
    begins = (best.option < 0) | ((gaps.begin <= limit) & (gaps.begin < FAR))
    flip = gaps.of_answers(best)
    is_open = (flip <= limit) & (flip < FAR)
    return _lay_out(assignment, best, alive, begins, is_open, flip, _roots(choices, alive, is_open))


def undecided(assignment: AssignmentProblem, best: ParentMap, gaps: Gaps) -> Undecided:
    """Return all daughters who have a choice as one piece, with all of their options."""
    every = np.ones(len(assignment.link), dtype=bool)
    flip = gaps.of_answers(best)
    one = np.zeros(assignment.n_cells, dtype=np.int64)
    return _lay_out(assignment, best, every, assignment.cell, flip < FAR, flip, one)


@njit(cache=True, nogil=True)
def _roots(choices: Choices, alive: NDArray[np.bool_], is_open: NDArray[np.bool_]) -> Ints:
    """Return a mother who stands for all that open daughters tie to her, for each mother."""
    root = np.arange(len(choices.one))
    for j in range(len(is_open)):
        if not is_open[j]:
            continue
        other = np.int64(-1)
        for a in range(choices.first[j], choices.first[j + 1]):
            if not alive[a]:
                continue
            i = root[choices.mother[a]]
            while root[i] != i:
                root[i] = root[root[i]]
                i = root[i]
            if other >= 0 and i != other:
                if i > other:
                    i, other = other, i
                root[other] = i
            other = i
    for i in range(len(root)):
        root[i] = root[root[i]]  # a root has the lowest row, so it is settled before those that point to it
    return root


def _lay_out(
    assignment: AssignmentProblem,
    best: ParentMap,
    alive: NDArray[np.bool_],
    begins: NDArray[np.bool_],
    is_open: NDArray[np.bool_],
    flip: Ints,
    root: Ints,
) -> Undecided:
    """Lay open daughters, their living options and the mothers of these out, piece by piece."""
    choices = assignment.choices
    daughter = np.flatnonzero(is_open)
    n_options = np.diff(choices.first)
    owner = np.repeat(np.arange(assignment.n_cells), n_options)
    option = np.flatnonzero(alive & is_open[owner])
    group = np.empty(assignment.n_cells, dtype=np.int64)
    group[owner[option]] = root[choices.mother[option]]
    group = group[daughter]

    label, piece = np.unique(group, return_inverse=True)
    gap = np.full(len(label), FAR, dtype=np.int64)
    np.minimum.at(gap, piece, flip[daughter])
    easiest = np.argsort(gap, kind="stable")
    rank = np.empty(len(label), dtype=np.int64)
    rank[easiest] = np.arange(len(label))
    order = np.argsort(rank[piece], kind="stable")
    daughter, piece = daughter[order], rank[piece][order]
    place = np.full(assignment.n_cells, -1, dtype=np.int64)
    place[daughter] = np.arange(len(daughter))
    option = option[np.argsort(place[owner[option]], kind="stable")]

    mother = np.unique(choices.mother[option]).astype(np.int64)
    home = rank[np.searchsorted(label, root[mother])]
    order = np.argsort(home, kind="stable")
    mother, home = mother[order], home[order]
    first_mother = np.searchsorted(home, np.arange(len(label) + 1)).astype(np.int64)
    within = np.full(assignment.n_cells, -1, dtype=np.int64)
    within[mother] = np.arange(len(mother)) - first_mother[home]

    first_daughter = np.searchsorted(piece, np.arange(len(label) + 1)).astype(np.int64)
    first_option = np.searchsorted(place[owner[option]], np.arange(len(daughter) + 1)).astype(np.int64)
    at = np.full(len(choices.mother) + 1, -1, dtype=np.int64)
    at[option] = np.arange(len(option))
    chosen = at[best.option[daughter]]  # -1 finds the last one, which is -1
    taken = np.where(chosen >= 0, chosen - first_option[first_daughter[piece]], -1)
    settled = best.option[~is_open & (best.option >= 0)]
    outside = np.bincount(choices.mother[settled], minlength=assignment.n_cells)
    compact = Compact(
        first_daughter,
        first_mother,
        first_option,
        within[choices.mother[option]].astype(np.int32),
        choices.cost[option],
        begins[daughter],
        taken,
        choices.one[mother],
        choices.two[mother],
        best.price[mother],
        outside[mother].astype(np.int64),
    )
    return Undecided(compact, gap[easiest], daughter, mother, option)
