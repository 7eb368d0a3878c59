"""Questions of posteriors that give probabilities of links only: whose daughter a cell is, or that it is new.

Softmax and perturbed costs look at one daughter at a time. Her candidates and "new" exclude each other and sum to 1, so
each daughter is a question; what her mother does besides, such a posterior does not know. Daughters do not compete in
it, either: an answer takes away the error that is expected of this daughter, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...solvers.posterior.doubts import TIES
from ...solvers.posterior.outcomes import LEAST as NOTHING
from ...storage.decisions import DecisionKind, live
from ...storage.parents import read_parents
from ...storage.posteriors import HOW, frames_of
from ..progress import Silent
from .answered import note_newer
from .questions import doubt_of, entropy_bits_of
from .queue import ERROR_REDUCTION, PARENTS, Origin, Question, ReviewList, require_list
from .ranking import LEAST, best_of_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.parents import PossibleParents
    from ...storage.posteriors import PosteriorInfo
    from ..progress import Progress

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

OF_THE_CELL: Final = (DecisionKind.BEGINS, DecisionKind.NOT_A_CELL, DecisionKind.SEGMENTATION)
"""Answers that leave nothing to ask about the parents of their cell."""


@dataclass(frozen=True, slots=True, eq=False)
class OriginQuestions:
    """Whose daughter each of c cells may be.

    Parameters
    ----------
    cell : (c,) int64
        Numbers of the cells, increasing.
    first : (c + 1,) int64
        Rows ``first[i] .. first[i + 1] - 1`` are what cell i may be, the likeliest first.
    mother : (k,) int64
        Number of the mother, -1 where the cell is new.
    probability : (k,) float64
        Of each; those of a cell sum to 1.
    how : (c,) uint8
        A `HowKnown` each.
    piece : (c,) int64
        Daughters that may have a mother in common are in one piece.
    """

    cell: NDArray[np.int64]
    first: NDArray[np.int64]
    mother: NDArray[np.int64]
    probability: NDArray[np.float64]
    how: NDArray[np.uint8]
    piece: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def owner(self) -> NDArray[np.int64]:
        """(k,) Question of each row."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    @property
    def entropy_bits(self) -> NDArray[np.float64]:
        """(c,) Entropy of the parents of each cell, "new" among them."""
        return entropy_bits_of(self.owner, self.probability, len(self))

    @property
    def errors(self) -> NDArray[np.float64]:
        """(c,) Probability that the parent is not the likeliest one."""
        return np.asarray(1 - self.probability[self.first[:-1]])

    @property
    def doubt(self) -> NDArray[np.float64]:
        """(c,) One minus the margin, 1 - P1 + P2."""
        return doubt_of(self.first, self.probability)

    def degree_difference(self, daughter: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far the expected number of parents is from that in a solution, (c,).

        Parameters
        ----------
        daughter : (l,) int64
            Target of each link of the solution.
        """
        has_one = self.mother >= 0
        expected = np.bincount(self.owner[has_one], self.probability[has_one], len(self))
        return np.abs(expected - np.isin(self.cell, daughter))

    def worth(self, by: str, daughter: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what each question is worth in an order, (c,); `daughter` as in `degree_difference`."""
        match by:
            case "margin":
                return self.doubt
            case "degree":
                return self.degree_difference(daughter)
            case "entropy":
                return self.entropy_bits
        return self.errors

    def origins(self, row: int) -> tuple[Origin, ...]:
        """Return whose daughter a cell may be."""
        rows = slice(self.first[row], self.first[row + 1])
        possible = zip(self.mother[rows].tolist(), self.probability[rows].tolist(), strict=True)
        return tuple(Origin((mother,) if mother >= 0 else (), p) for mother, p in possible)


def origin_questions(links: PossibleParents) -> OriginQuestions:
    """Return whose daughter each cell may be that has a candidate; the rest of its probability is to be new."""
    cell, owner = np.unique(links.daughter, return_inverse=True)
    c = len(cell)
    new = 1 - np.bincount(owner, links.probability, c)
    owner = np.concatenate([owner, np.arange(c)])
    mother = np.concatenate([links.mother, np.full(c, -1)])
    p = np.concatenate([links.probability, new])
    possible = p >= NOTHING
    owner, mother, p = owner[possible], mother[possible], p[possible]
    p /= np.bincount(owner, p, c)[owner]
    order = np.lexsort((mother, -p, owner))
    how = np.zeros(c, dtype=np.uint8)
    np.maximum.at(how, np.searchsorted(cell, links.daughter), links.how)
    first = np.searchsorted(owner[order], np.arange(c + 1))
    return OriginQuestions(cell, first, mother[order], p[order], how, _pieces(links, cell))


def _pieces(links: PossibleParents, cell: Ints) -> Ints:
    """Return the piece of each daughter: those who have a mother in common, each more often than `TIES`."""
    strong = links.probability > TIES
    mothers, place = np.unique(links.mother[strong], return_inverse=True)
    n = len(cell) + len(mothers)
    daughter = np.searchsorted(cell, links.daughter[strong])
    ties = coo_matrix((np.ones(len(place)), (daughter, len(cell) + place)), shape=(n, n))
    return connected_components(ties, directed=False)[1][: len(cell)].astype(np.int64) if n else cell


def uncertain_parents(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    posterior: PosteriorInfo,
    *,
    top: int = 20,
    by: str = ERROR_REDUCTION,
    progress: Progress | None = None,
) -> ReviewList:
    """Return the questions of parents that are worth most, at most one of each piece; parameters as of `uncertain`.

    By ``error-reduction`` one is worth 1 - P of the likeliest parent: in such a posterior an answer tells of no other
    daughter. By ``degree`` it is the expected number of parents against that in the solution.
    """
    progress = progress or Silent()
    require_list(top, by)
    note_newer(store, chosen, posterior, progress)
    if by == ERROR_REDUCTION:
        progress.note(
            f"{posterior.name} by {posterior.method} tells of each daughter by herself: an answer takes away "
            "her own error alone"
        )
    questions = origin_questions(read_parents(store, posterior))
    source, target = store.link_ends(info)
    worth = questions.worth(by, target)
    doubted = (worth > LEAST) & ~np.isin(questions.cell, answered_daughters(store, chosen))
    rows, worth = best_of_pieces(questions.piece, np.where(doubted, worth, 0.0), top)
    cells = questions.cell[rows]
    frame = frames_of(store, cells)
    part_of = np.isin(cells, store.solution(info).node)
    bits = questions.entropy_bits
    items = [
        Question(
            rank=place + 1,
            cell=int(cells[place]),
            frame=int(frame[place]),
            outcomes=questions.origins(row),
            entropy_bits=float(bits[row]),
            expected_error_reduction=float(worth[place]) if by == ERROR_REDUCTION else None,
            chosen=tuple(source[target == cells[place]].tolist()) if part_of[place] else None,
            how=HOW[questions.how[row]],
            worth_how=HOW[questions.how[row]] if by == ERROR_REDUCTION else None,
            view=PARENTS,
        )
        for place, row in enumerate(rows.tolist())
    ]
    return ReviewList(posterior.name, info.name, by, items, int(np.count_nonzero(doubted)))


def answered_daughters(store: DuckDBStore, chosen: DetectionSet) -> NDArray[np.int64]:
    """Return the numbers of the cells whose mother people named, or of which nothing is left to ask."""
    decisions = [d for d in live(store.decisions()) if d.dataset == chosen.movie.name]
    named = [cell.id for d in decisions if d.kind is DecisionKind.CHOOSE for cell in d.daughters or ()]
    own = [d.cell.id for d in decisions if d.kind in OF_THE_CELL and d.cell is not None]
    return np.array(named + own, dtype=np.int64)
