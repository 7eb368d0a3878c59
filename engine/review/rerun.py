"""What answers are worth: pieces of a posterior weighed again, once for each thing that a cell may do.

Pieces are cut narrower for it than for the probabilities themselves, so that each takes less than a millisecond: an
order of questions needs fewer digits. Design note 23 tells how far that is from the posterior after the answer.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final

import numpy as np

from ...solvers.posterior.conditioning import OpenPosterior
from ...solvers.posterior.marginals import PRUNE
from ...solvers.problem import TrackingProblem
from ...storage.schema import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

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
        What the posterior was of, after annotations; no cell in it is optional.
    ids : (n,) int64
        Numbers of its cells, increasing.
    questions : CellQuestions
        What the posterior leaves open.
    temperature : float
        As of the posterior.
    """

    def __init__(
        self, problem: TrackingProblem, ids: NDArray[np.int64], questions: CellQuestions, temperature: float = 1.0
    ) -> None:
        self._problem, self._questions, self._temperature = problem, questions, temperature
        self._row = rows_of(ids, questions.cell, "cell")
        self._daughter_row = rows_of(ids, questions.daughter, "cell")
        n = problem.n_nodes
        mother_piece, daughter_piece = np.full((2, n), -1)
        mother_piece[self._row], daughter_piece[self._daughter_row] = questions.piece, questions.daughter_piece
        of_edge = mother_piece[problem.source]
        inside = np.flatnonzero((of_edge >= 0) & (of_edge == daughter_piece[problem.target]))
        self._edges = inside[np.argsort(of_edge[inside], kind="stable")]  # by piece, in each as in the problem
        self._first = np.searchsorted(of_edge[self._edges], np.arange(len(questions.errors) + 1))

    def reductions(self, asked: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how many errors the answer to each question is expected to lessen those of its piece.

        E - sum_o P(o) E(o), where E counts the daughters that are expected to have another mother than their
        likeliest, before the answer and after each answer o; never negative.

        Parameters
        ----------
        asked : (q,) int64
            Rows of the questions.

        Raises
        ------
        SchemaError
            If a cell is optional: then its two sides do not fall apart.
        """
        if not len(asked):
            return np.empty(0)
        pieces = np.unique(self._questions.piece[asked])
        edges = np.concatenate([self._edges[self._first[p] : self._first[p + 1]] for p in pieces.tolist()])
        cells, part = _part(self._problem, np.sort(edges), self._row[asked])
        found = OpenPosterior(part, temperature=self._temperature, width=WIDTH)
        return found.error_reductions(np.searchsorted(cells, self._row[asked]))


class AnswerWorth:
    """What answers to the questions of an open review are worth, computed anew only near what changed.

    Parameters
    ----------
    problem : TrackingProblem
        n cells, of which none is optional.
    temperature, prune, width
        As of the posterior.
    """

    def __init__(self, problem: TrackingProblem, *, temperature: float = 1.0, prune: float = PRUNE, width: int) -> None:
        self._found = OpenPosterior(problem, temperature=temperature, prune=prune, width=min(width, WIDTH))
        self._followed: list[tuple[Take, Touched]] = []
        self._known = np.full(problem.n_nodes, np.nan)

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

    def _forget_around(self, touched: Touched) -> None:
        """Forget what was known in the pieces of touched cells, and in those that had links into them cut."""
        piece = self._found.piece
        mothers = np.append(touched.mothers, self._found.possible_mothers(touched.daughters))
        gone = np.zeros(int(piece.max(initial=0)) + 2, dtype=bool)
        gone[piece[mothers]] = True
        gone[-1] = False  # that of no piece
        self._known[gone[piece]] = np.nan


def _part(problem: TrackingProblem, edges: Ints, mothers: Ints) -> tuple[Ints, TrackingProblem]:
    """Return some of the cells of a problem, and what is left of it with these edges alone."""
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
        pinned_node=problem.pinned_node[cells],
        pairs=None if problem.pairs is None else problem.pairs.among(edges, problem.n_edges),
    )
    return cells, part
