"""What answers are worth: pieces of a posterior weighed again, once for each thing that a cell may do.

Pieces are cut narrower for it than for the probabilities themselves, so that each takes less than a millisecond: an
order of questions needs fewer digits. Design note 23 tells how far that is from the posterior after the answer. Where
detections may be no cells, each answer is given, what it touches weighed, and the answer taken back: milliseconds.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final

import numpy as np

from ...solvers.posterior.conditioning import OpenPosterior
from ...solvers.posterior.marginals import PRUNE
from ...solvers.posterior.outcomes import HowWeighed
from ...solvers.problem import KEPT, TrackingProblem
from ...storage.schema import rows_of
from .questions import questions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...solvers.posterior.believing import Beliefs
    from ...solvers.posterior.conditioning import Touched
    from .questions import CellQuestions

    Ints = NDArray[np.int64]
    Take = Callable[[OpenPosterior], Touched]

WIDTH: Final = 6
"""How many daughters may be open at once where an answer is tried."""


class Rerun:
    """Computes pieces of a stored posterior again.

    Parameters
    ----------
    problem : TrackingProblem
        What the posterior was of, after annotations.
    ids : (n,) int64
        Numbers of its cells, increasing.
    questions : CellQuestions
        What the posterior leaves open; of optional detections if some in the problem are.
    temperature : float
        As of the posterior.
    """

    def __init__(
        self, problem: TrackingProblem, ids: NDArray[np.int64], questions: CellQuestions, temperature: float = 1.0
    ) -> None:
        self._problem, self._temperature = problem, temperature
        optional = bool((problem.pinned_node == 0).any())
        self._questions = questions = questions_of(questions.outcomes, optional=optional, ties=PRUNE)
        self._row = rows_of(ids, questions.cell, "cell")
        self._daughter_row = rows_of(ids, questions.daughter, "cell")
        n = problem.n_nodes
        mother_piece, daughter_piece = np.full((2, n), -1)
        mother_piece[self._row], daughter_piece[self._daughter_row] = questions.piece, questions.daughter_piece
        of_edge = mother_piece[problem.source]
        inside = np.flatnonzero((of_edge >= 0) & (of_edge == daughter_piece[problem.target]))
        self._edges = inside[np.argsort(of_edge[inside], kind="stable")]  # by piece, in each as in the problem
        self._first = np.searchsorted(of_edge[self._edges], np.arange(len(questions.errors) + 1))
        self._sure = self._sure_cells()
        self._how = np.full(n, HowWeighed.EXACT, dtype=np.uint8)

    def _sure_cells(self) -> NDArray[np.bool_]:
        """Return which cells have a mother or a daughter for certain, (n,): they are cells, and their roles untied."""
        alone = np.ones((2, self._problem.n_nodes))
        alone[0, self._row], alone[1, self._daughter_row] = self._questions.childless, self._questions.orphan
        sure: NDArray[np.bool_] = (alone.min(axis=0) <= PRUNE) & (self._problem.pinned_node == 0)
        return sure

    def reductions(self, asked: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how many errors the answer to each question is expected to lessen those of its piece.

        E - sum_o P(o) E(o), where E counts the daughters that are expected to have another mother than their
        likeliest, before the answer and after each answer o; never negative.

        Parameters
        ----------
        asked : (q,) int64
            Rows of the questions.
        """
        if not len(asked):
            return np.empty(0)
        pieces = np.unique(self._questions.piece[asked])
        edges = np.concatenate([self._edges[self._first[p] : self._first[p + 1]] for p in pieces.tolist()])
        cells, part = _part(self._problem, np.sort(edges), self._row[asked], self._sure)
        found = OpenPosterior(part, temperature=self._temperature, width=WIDTH)
        self._how[cells] = found.how_cell
        return found.error_reductions(np.searchsorted(cells, self._row[asked]))

    def how(self, asked: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return how known it is what the answer to each question is worth, (q,) uint8, after `reductions`.

        Links between pieces are left out, those of a thousandth at most, so that it is pruned at best.
        """
        return np.maximum(self._how[self._row[asked]], np.uint8(HowWeighed.PRUNED))


class AnswerWorth:
    """What answers to the questions of an open review are worth, computed anew only near what changed.

    Parameters
    ----------
    problem : TrackingProblem
        n cells.
    beliefs : Beliefs
        Of the problem, as the posterior has them.
    prune, width
        As of the posterior.
    """

    def __init__(self, problem: TrackingProblem, beliefs: Beliefs, *, prune: float = PRUNE, width: int) -> None:
        self._found = OpenPosterior(problem, prune=prune, width=min(width, WIDTH), beliefs=beliefs)
        self._followed: list[tuple[Take, Touched]] = []
        self._known = np.full(problem.n_nodes, np.nan)
        self._optional = bool((problem.pinned_node == 0).any())

    def follow(self, said: Sequence[Take]) -> None:
        """Take the answers that stand now, and take back those that do not."""
        pairs = zip(self._followed, said, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0][0] is pair[1], pairs))
        while len(self._followed) > same:
            _, touched = self._followed.pop()
            self._found.undo()
            self._forget_around(touched)
        for take in said[same:]:
            touched = take(self._found)
            self._followed.append((take, touched))
            self._forget_around(touched)

    def reductions(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how many errors the answer to the question of each cell lessens those that are expected, (q,)."""
        lacking = cells[np.isnan(self._known[cells])]
        if len(lacking):
            self._known[lacking] = self._found.error_reductions(lacking)
        return self._known[cells]

    def how(self, cells: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return how known it is what the answer to the question of each cell is worth, (q,) uint8."""
        least = HowWeighed.PRUNED if self._optional else HowWeighed.EXACT  # some answers are not tried
        known: NDArray[np.uint8] = np.maximum(self._found.how_cell[cells], np.uint8(least))
        return known

    def _forget_around(self, touched: Touched) -> None:
        """Forget what was known in the pieces of touched cells, and in those that had links into them cut."""
        gone = self._pieces_of(np.append(touched.mothers, self._found.possible_mothers(touched.daughters)))
        if self._optional:  # trying an answer weighs the pieces of daughters, too, and looks at all mothers there
            gone |= self._pieces_of(touched.daughters)
            mothers = np.flatnonzero(gone[self._found.piece])
            cells = np.append(mothers, self._found.possible_daughters(mothers))
            gone |= self._pieces_of(np.append(cells, self._found.possible_mothers(cells)))
        self._known[gone[self._found.piece]] = np.nan

    def _pieces_of(self, mothers: Ints) -> NDArray[np.bool_]:
        """Return which pieces hold some of these mothers; the last place is that of no piece."""
        piece = self._found.piece
        there = np.zeros(int(piece.max(initial=0)) + 2, dtype=bool)
        there[piece[mothers]] = True
        there[-1] = False
        return there


def _part(
    problem: TrackingProblem, edges: Ints, mothers: Ints, sure: NDArray[np.bool_]
) -> tuple[Ints, TrackingProblem]:
    """Return some of the cells of a problem, and what is left of it with these edges alone; who is sure is kept."""
    cells = np.unique(np.concatenate([problem.source[edges], problem.target[edges], mothers]))
    part = TrackingProblem(
        frame=problem.frame[cells],
        source=np.searchsorted(cells, problem.source[edges]),
        target=np.searchsorted(cells, problem.target[edges]),
        edge_cost=problem.edge_cost[edges],
        node_cost=problem.node_cost[cells],
        appear_cost=problem.appear_cost[cells],
        disappear_cost=problem.disappear_cost[cells],
        division_cost=problem.division_cost[cells],
        pinned_node=np.where(sure[cells], np.int8(KEPT), problem.pinned_node[cells]),
        pairs=None if problem.pairs is None else problem.pairs.among(edges, problem.n_edges),
    )
    return cells, part
