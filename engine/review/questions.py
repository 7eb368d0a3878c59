"""Every question that a posterior leaves open, in arrays: what does this cell do next, and how much hangs on it.

All of it comes from the outcomes of the cells, so a stored posterior is enough. Two cells are in one piece if they may
have a daughter in common more often than one time in ten: an answer to one question of a piece changes the others, and
hardly those of other pieces. Where detections may be false, one that may have neither parent nor daughter ties both of
its roles: an answer about its mother changes what it does itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...solvers.posterior.doubts import TIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.posteriors import CellOutcomes

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CellQuestions:
    """What c cells may do next: each is a question to people.

    Parameters
    ----------
    outcomes : CellOutcomes
        k outcomes of the c cells.
    cell : (c,) int64
        Numbers of the cells, increasing.
    probability : (k,) float64
        Of the outcomes; those of a cell sum to 1 to the last digits.
    piece : (c,) int64
        Piece of each cell.
    daughter, daughter_piece : (d,) int64
        Numbers of all daughters that the outcomes name, increasing, and the piece of each.
    errors : (pieces,) float64
        How many daughters of the piece are expected to have another mother than their likeliest, "none" being one.
    orphan : (d,) float64
        Probability of each daughter to have no mother.
    """

    outcomes: CellOutcomes
    cell: NDArray[np.int64]
    probability: NDArray[np.float64]
    piece: NDArray[np.int64]
    daughter: NDArray[np.int64]
    daughter_piece: NDArray[np.int64]
    errors: NDArray[np.float64]
    orphan: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def owner(self) -> NDArray[np.int64]:
        """(k,) Question of each outcome."""
        return np.repeat(np.arange(len(self)), np.diff(self.outcomes.first))

    @property
    def entropy_bits(self) -> NDArray[np.float64]:
        """(c,) Entropy of the outcomes of each cell."""
        return entropy_bits_of(self.owner, self.probability, len(self))

    @property
    def doubt(self) -> NDArray[np.float64]:
        """(c,) One minus the margin: 1 - P1 + P2, from 0 where an outcome is certain to 1 where two tie."""
        return doubt_of(self.outcomes.first, self.probability)

    @property
    def children(self) -> NDArray[np.float64]:
        """(c,) Expected number of daughters."""
        count = (self.outcomes.a >= 0).astype(np.int64) + (self.outcomes.b >= 0)
        return np.bincount(self.owner, count * self.probability, len(self)).astype(np.float64)

    @property
    def childless(self) -> NDArray[np.float64]:
        """(c,) Probability of each cell to have no daughter."""
        return _childless(self.outcomes, self.owner, self.probability)

    def degree_difference(self, mother: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far the expected number of daughters is from that of a solution, (c,).

        It is blind where two cells may exchange their daughters: the numbers agree.

        Parameters
        ----------
        mother : (l,) int64
            Source of each link of the solution.

        References
        ----------
        .. [1] Lalit & Funke, "An Investigation of Unsupervised Cell Tracking and Interactive Fine-Tuning", ICCV
           workshop 2025: the absolute difference of the degrees of a node.
        """
        place = np.searchsorted(self.cell, mother)
        there = place < len(self)
        there[there] = self.cell[place[there]] == mother[there]
        return np.abs(self.children - np.bincount(place[there], minlength=len(self)))


def questions_of(outcomes: CellOutcomes, *, optional: bool = False, ties: float = TIES) -> CellQuestions:
    """Return the questions that outcomes of cells leave open, certain ones among them.

    Parameters
    ----------
    outcomes : CellOutcomes
        Of c cells.
    optional : bool
        Whether detections may be no cells.
    ties : float
        What is less likely than this ties nothing.
    """
    first = outcomes.first
    cell = outcomes.cell[first[:-1]]
    owner = np.repeat(np.arange(len(cell)), np.diff(first))
    total = np.bincount(owner, outcomes.probability, len(cell))
    probability = outcomes.probability / total[owner]  # they are kept in few digits
    mother, daughter, likely = _links(outcomes, owner, probability)
    daughters, child = np.unique(daughter, return_inverse=True)
    orphan = 1 - np.bincount(child, likely, len(daughters)).astype(np.float64)
    strong = likely > ties
    one, other = mother[strong], child[strong]
    if optional:
        loose, as_daughter = _loose(cell, _childless(outcomes, owner, probability), daughters, orphan, ties)
        one, other = np.append(one, loose), np.append(other, as_daughter)
    n = len(cell)
    size = n + len(daughters)
    tied = coo_matrix((np.ones(len(one)), (one, n + other)), shape=(size, size))
    label = connected_components(tied, directed=False)[1].astype(np.int64) if n else np.empty(0, dtype=np.int64)
    best = orphan.copy()
    np.maximum.at(best, child, likely)
    pieces = int(label.max()) + 1 if n else 0
    errors = np.bincount(label[n:], np.clip(1 - best, 0, 1), pieces)
    return CellQuestions(
        outcomes, cell, probability, label[:n], daughters, label[n:], errors.astype(np.float64), orphan
    )


def entropy_bits_of(owner: Ints, probability: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the entropy in bits of each of n questions, (n,).

    Parameters
    ----------
    owner : (k,) int64
        Question of each possible answer.
    probability : (k,) float64
        Of each; 0 adds nothing.
    n : int
        Number of questions.
    """
    surprise = -probability * np.log2(np.where(probability > 0, probability, 1.0))
    return np.bincount(owner, surprise, n).astype(np.float64)


def doubt_of(first: Ints, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one minus the margin of each of c questions, 1 - P1 + P2, (c,).

    Parameters
    ----------
    first : (c + 1,) int64
        Rows ``first[i] .. first[i + 1] - 1`` are the answers to question i, the likeliest first.
    probability : (k,) float64
        Of each answer.
    """
    several = np.diff(first) > 1
    second = np.zeros(len(several))
    second[several] = probability[first[:-1][several] + 1]
    return 1 - probability[first[:-1]] + second


def _childless(outcomes: CellOutcomes, owner: Ints, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each cell to have no daughter."""
    c = len(outcomes.first) - 1
    return np.bincount(owner, np.where(outcomes.a < 0, probability, 0.0), c).astype(np.float64)


def _loose(
    cell: Ints, childless: NDArray[np.float64], daughter: Ints, orphan: NDArray[np.float64], ties: float
) -> tuple[Ints, Ints]:
    """Return the cells that may have neither mother nor daughter: rows among the cells, and among the daughters."""
    _, as_cell, as_daughter = np.intersect1d(cell, daughter, assume_unique=True, return_indices=True)
    loose = (childless[as_cell] > ties) & (orphan[as_daughter] > ties)
    return as_cell[loose], as_daughter[loose]


def _links(
    outcomes: CellOutcomes, owner: NDArray[np.int64], probability: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return question, daughter and probability of each link that some outcome holds."""
    one, two = outcomes.a >= 0, outcomes.b >= 0
    question = np.concatenate([owner[one], owner[two]])
    daughter = np.concatenate([outcomes.a[one], outcomes.b[two]])
    p = np.concatenate([probability[one], probability[two]])
    order = np.lexsort((daughter, question))
    question, daughter, p = question[order], daughter[order], p[order]
    begins = np.flatnonzero((np.diff(question, prepend=-1) != 0) | (np.diff(daughter, prepend=-1) != 0))
    return question[begins], daughter[begins], np.add.reduceat(p, begins) if len(begins) else p
