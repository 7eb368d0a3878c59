"""An open review: probabilities and questions follow each answer at once, and each can be taken back.

It stays in memory while a person answers. Only the pieces that an answer touches are weighed and judged anew, the rest
is as it was. Nothing is written: `Database.annotate` keeps what was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InfeasibleError, MissingRowsError
from ...solvers.posterior.believing import Beliefs
from ...solvers.posterior.conditioning import OpenPosterior
from ...solvers.posterior.marginals import PRUNE
from ...solvers.posterior.plan import WIDTH
from ...solvers.problem import FORBIDDEN
from ...storage.schema import row_of_cell
from .queue import ERROR_REDUCTION, Outcome, ReviewList, require_list
from .ranking import LEAST, best_of_pieces, most_reducing
from .rerun import AnswerWorth
from .standing import Standing, restore
from .written import WrittenQuestions, forced_daughters

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from ...solvers.pins import PinnedProblem
    from .queue import Question
    from .rerun import Take
    from .standing import Before
    from .written import Reported

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """An answer, whose question needs no other (its row, -1 for none), whom it touched, and what was judged anew."""

    take: Take
    answers: int
    mothers: Ints
    judged: Ints
    before: Before


class OpenReview:
    """A posterior that takes answers.

    Parameters
    ----------
    left : PinnedProblem
        n cells in the order of frames, and what annotations leave open of their links.
    ids : (n,) int64
        Numbers of the cells, increasing.
    reported : Reported
        What it compares with.
    temperature, prune, width
        As of the posterior.
    """

    def __init__(
        self,
        left: PinnedProblem,
        ids: NDArray[np.int64],
        reported: Reported,
        *,
        temperature: float = 1.0,
        prune: float = PRUNE,
        width: int = WIDTH,
    ) -> None:
        problem, n = left.problem, len(ids)
        self._problem, self._ids, self._reported = problem, ids, reported
        beliefs = Beliefs.of(problem, temperature)  # weighed once for what is likely and for what answers are worth
        self._open = OpenPosterior(problem, prune=prune, width=width, beliefs=beliefs)
        self._prepare = partial(AnswerWorth, problem, beliefs, prune=prune, width=width)
        self._worth: AnswerWorth | None = None
        last = problem.frame.max(initial=0)
        self._told = (problem.frame < last) & (problem.pinned_node != FORBIDDEN)
        self._forced = forced_daughters(left, ids)
        self._is_mother, self._is_daughter = np.zeros((2, n), dtype=bool)  # by annotations
        self._is_mother[left.asked.source[left.forced]] = True
        self._is_daughter[left.asked.target[left.forced]] = True
        self._said: list[_Said] = []
        key = problem.source * n + problem.target
        self._order = np.argsort(key, kind="stable")
        self._key = key[self._order]
        self._count = np.bincount(np.searchsorted(ids, reported.source), minlength=n)
        self._standing = Standing(self._open, self._told, optional=reported.optional)
        self._questions = WrittenQuestions(self._open, problem, ids, reported, self._forced)

    def __repr__(self) -> str:
        reported, said = self._reported, len(self._said)
        doubtful = int(np.count_nonzero(self._standing.doubts.entropy > LEAST))
        told = f"{len(self._ids):,} cells, {doubtful:,} of them in doubt, {said} answer{'s' * (said != 1)} in memory"
        return f"<review of {reported.posterior} of {reported.solution}: {told}>"

    def __len__(self) -> int:
        return len(self._said)

    def choose(self, cell: int, daughters: Sequence[int]) -> tuple[int, ...]:
        """Say what a cell does: it goes on as one cell, divides into two, or ends (``[]``).

        Parameters
        ----------
        cell : int
            Number of the cell.
        daughters : sequence of int
            Numbers of its daughters.

        Returns
        -------
        tuple of int
            Numbers of the cells whose question was judged anew; all others are as they were.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        InfeasibleError
            If an annotation or an earlier answer excludes it, or there is no such candidate; nothing has changed then.
        """
        row = self._row(cell)
        self._require_open(row, cell)
        links = [self._link(row, daughter) for daughter in daughters]
        return self._take(f"cell {cell}", lambda found: found.choose(row, links), answers=row)

    def reject(self, cell: int, daughter: int) -> tuple[int, ...]:
        """Say that a cell does not become another one; as `choose`."""
        link = self._link(self._row(cell), daughter)
        return self._take(f"cell {cell}", lambda found: found.reject(link))

    def begins(self, cell: int) -> tuple[int, ...]:
        """Say that a cell has no parent; as `choose`."""
        row = self._row(cell)
        if self._is_daughter[row]:
            raise InfeasibleError(f"cell {cell} has a parent by an annotation", **{"try": "trackdb annotations undo"})
        return self._take(f"cell {cell}", lambda found: found.begins(row))

    def not_a_cell(self, cell: int) -> tuple[int, ...]:
        """Say that a detection is no cell; as `choose`."""
        row = self._row(cell)
        self._require_open(row, cell)
        if self._is_daughter[row]:
            raise InfeasibleError(f"cell {cell} is one by an annotation", **{"try": "trackdb annotations undo"})
        return self._take(f"cell {cell}", lambda found: found.not_a_cell(row, kept_too=True), answers=row, gone=row)

    def undo(self) -> tuple[int, ...]:
        """Take the last answer back, and return the numbers of the cells whose question is as it was before it.

        Raises
        ------
        MissingRowsError
            If there is none.
        """
        if not self._said:
            raise MissingRowsError("there is no answer to take back")
        self._open.undo()
        last = self._said.pop()
        restore(last.before)
        self._questions.forget(last.mothers)
        return tuple(self._ids[last.judged].tolist())

    def outcomes(self, cell: int) -> dict[tuple[int, ...], float]:
        """Return what a cell may do next: its daughters, and how likely that is, the likeliest first."""
        found = self._questions.told(np.array([self._row(cell)]))
        return dict(zip(found.daughters, found.probability.tolist(), strict=True))

    def likeliest(self, cells: Sequence[int]) -> list[Outcome]:
        """Return what each of some cells most likely does next; all of them at once."""
        if not cells:
            return []
        found = self._questions.told(self._rows(np.array(cells)))
        first = found.first[:-1]
        best = zip(*(column[first].tolist() for column in (found.a, found.b, found.probability)), strict=True)
        return [Outcome(tuple(daughter for daughter in (a, b) if daughter >= 0), p) for a, b, p in best]

    def probability(self, cell: int, daughter: int) -> float:
        """Return how likely a cell becomes, or divides into, another one; 0 where that is no candidate."""
        return sum(p for daughters, p in self.outcomes(cell).items() if daughter in daughters)

    def probabilities(self, links: Sequence[tuple[int, int]]) -> list[float]:
        """Return how likely each of some links is, as `probability`; all of them at once."""
        if not links:
            return []
        source, target = (self._rows(np.array(ends)) for ends in zip(*links, strict=True))
        wanted = source * len(self._ids) + target
        place = np.minimum(np.searchsorted(self._key, wanted), len(self._key) - 1)
        likely = np.zeros(len(links))
        if len(self._key):
            here = self._key[place] == wanted
            likely[here] = self._open.link[self._order[place[here]]]
        for forced in self._forced:
            likely[forced[source] == self._ids[target]] = 1.0
        found: list[float] = likely.tolist()
        return found

    @property
    def asked_cells(self) -> NDArray[np.int64]:
        """Numbers of the cells of which one may be asked what they do, answered or not, increasing."""
        cells: Ints = self._ids[self._told]
        return cells

    @property
    def expected_errors(self) -> float:
        """Cells that are expected to have another mother than their likeliest, "none" being one."""
        return float(self._standing.doubts.errors.sum())

    @property
    def in_doubt(self) -> NDArray[np.bool_]:
        """(n,) Whether it is in doubt what each cell does, by rows."""
        return self._standing.doubts.entropy > LEAST

    def leaves_open(self, cell: int, daughter: int) -> bool:
        """Return whether annotations that were known from the beginning leave a link open, or did not know of it."""
        wanted = self._row(cell) * len(self._ids) + self._row(daughter)
        place = int(np.searchsorted(self._key, wanted))
        return place < len(self._key) and bool(self._key[place] == wanted)

    def uncertain(self, top: int = 20, *, by: str = ERROR_REDUCTION, besides: Collection[int] = ()) -> ReviewList:
        """Return the questions that are worth most now; see `engine.review.queue.uncertain`.

        Only what answers changed is judged and computed anew: a list takes milliseconds, the first one by
        ``error-reduction`` apart, which prepares what answers are worth.

        Parameters
        ----------
        top : int
            How many questions.
        by : str
            What they are ordered by.
        besides : collection of int
            Numbers of cells that are not asked about; others than those of the review may be among them.
        """
        require_list(top, by)
        doubts = self._standing.doubts
        scores = self._scores(by)
        doubted = scores > LEAST
        doubted[self._reported.answered] = False
        doubted[[said.answers for said in self._said if said.answers >= 0]] = False
        doubted[np.isin(self._ids, np.fromiter(besides, np.int64, len(besides)))] = False
        worth: NDArray[np.float64] | None = None
        worth_how: NDArray[np.uint8] | None = None
        if by == ERROR_REDUCTION:
            answers = self._worth_of_answers()
            rows, worth = most_reducing(doubts.piece, doubts.errors, doubts.entropy, doubted, top, answers.reductions)
            worth_how = answers.how(rows)
        else:
            rows, _ = best_of_pieces(doubts.piece, np.where(doubted, scores, 0.0), top)
        items = self._questions.listed(rows, worth, worth_how)
        return ReviewList(self._reported.posterior, self._reported.solution, by, items, int(np.count_nonzero(doubted)))

    def question(self, cell: int) -> Question:
        """Return the question of a cell, which need be neither open nor in doubt.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        return self._questions.one(self._row(cell))

    def _scores(self, by: str) -> NDArray[np.float64]:
        """Return what each question is worth as the posterior stands."""
        doubts = self._standing.doubts
        match by:
            case "margin":
                return doubts.doubt
            case "degree":
                return np.where(doubts.piece >= 0, np.abs(doubts.children - self._count), 0.0)
        return doubts.entropy

    def _worth_of_answers(self) -> AnswerWorth:
        """Return what tells how much answers are worth, once it knows of all that were given."""
        if self._worth is None:
            self._worth = self._prepare()
        self._worth.follow([said.take for said in self._said])
        return self._worth

    def _take(self, about: str, take: Take, *, answers: int = -1, gone: int = -1) -> tuple[int, ...]:
        """Take an answer, and judge anew what it touches."""
        try:
            touched = take(self._open)
        except InfeasibleError as error:
            raise InfeasibleError(
                f"an earlier answer, or an annotation, excludes this one about {about}", **{"try": "undo"}
            ) from error
        no_cell = np.array([gone] if gone >= 0 else [], dtype=np.int64)
        told = self._told, no_cell, self._told[no_cell]
        self._told[no_cell] = False
        rows, before = self._standing.judge(touched)
        self._said.append(_Said(take, answers, touched.mothers, rows, [told, *before]))
        self._questions.forget(touched.mothers)
        return tuple(self._ids[rows].tolist())

    def _row(self, cell: int) -> int:
        return row_of_cell(self._ids, cell)

    def _rows(self, cells: NDArray[np.int64]) -> Ints:
        """Return the rows of cells."""
        rows = np.searchsorted(self._ids, cells)
        known = rows < len(self._ids)
        known[known] = self._ids[rows[known]] == cells[known]
        if not known.all():
            self._row(int(cells[~known][0]))  # which says that there is none
        return rows

    def _link(self, row: int, daughter: int) -> int:
        wanted = row * len(self._ids) + self._row(daughter)
        place = int(np.searchsorted(self._key, wanted))
        if place == len(self._key) or self._key[place] != wanted:
            raise InfeasibleError(
                f"cell {self._ids[row]} to {daughter} is no candidate, or annotations settle it",
                **{"try": "annotate with add_candidate=True, and open the review again"},
            )
        return int(self._order[place])

    def _require_open(self, row: int, cell: int) -> None:
        if self._is_mother[row]:
            raise InfeasibleError(f"an annotation says what cell {cell} does", **{"try": "trackdb annotations undo"})
