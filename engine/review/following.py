"""An open review that follows the decision log: what counts of it is known, in the order in which it was said.

The older entries are part of the problem that the review opened on; the last ones are answers in memory, which can be
taken back one by one. So an undoing takes milliseconds, and only one that reaches far back opens the review again.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from ...errors import InfeasibleError
from ...storage.decisions import DecisionKind
from ..annotations.pins import PINNING, attached

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...storage.decisions import Decision
    from ..annotations.pins import Answer
    from .live import OpenReview
    from .opening import ReviewMovie

    Touched = frozenset[int]

HELD: Final = 50  # entries that can be taken back without opening the review again


class _Held(NamedTuple):
    """An entry that can be taken back: its key, how many answers of the review it is, and what was chosen before it."""

    key: str
    answers: int
    choices: dict[int, frozenset[int]]


class FollowedReview:
    """A review that knows what counts of a log.

    Parameters
    ----------
    movie : ReviewMovie
        What it is opened on.
    standing : sequence of Decision
        What counts of the log, oldest first: no undoings among it, and nothing that excludes another.

    Attributes
    ----------
    review : OpenReview
        The review as it stands.
    movie : ReviewMovie
        As given.
    at_odds : list of Decision
        Entries that it could not take in, such as one of a link that was no candidate yet when the movie was read.
    """

    def __init__(self, movie: ReviewMovie, standing: Sequence[Decision]) -> None:
        self.movie = movie
        self.at_odds: list[Decision] = []
        self._open(self._pinning(standing))

    def _pinning(self, standing: Sequence[Decision]) -> list[Decision]:
        return [d for d in standing if d.kind in PINNING and d.dataset == self.movie.dataset]

    def _open(self, pinning: Sequence[Decision]) -> None:
        known = pinning[:-HELD]
        self._known = [d.key for d in known]
        self._held: list[_Held] = []
        self._choices = {answer.cell: frozenset(answer.daughters) for answer in self._choices_of(known)}
        self.review: OpenReview = self.movie.open(known)
        for decision in pinning[-HELD:]:
            self._say(decision)

    def _choices_of(self, decisions: Sequence[Decision]) -> list[Answer]:
        chosen = [d for d in decisions if d.kind is DecisionKind.CHOOSE]
        return attached(chosen, self.movie.movie.detections)[0]

    def follow(self, standing: Sequence[Decision]) -> Touched:
        """Take what counts now, and return the numbers of the cells of which something else may hold than before."""
        pinning = self._pinning(standing)
        keys = [d.key for d in pinning]
        if keys[: len(self._known)] != self._known:
            self._open(pinning)
            return frozenset(self.review.asked_cells.tolist())
        wanted = keys[len(self._known) :]
        pairs = zip(wanted, self._held, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1].key, pairs))
        touched: set[int] = set()
        while len(self._held) > same:
            last = self._held.pop()
            self._choices = last.choices
            for _ in range(last.answers):
                touched.update(self.review.undo())
        for decision in pinning[len(self._known) + same :]:
            touched |= self._say(decision)
        self.at_odds = [d for d in self.at_odds if d.key in set(keys)]
        return frozenset(touched)

    @contextmanager
    def trying(self, answer: Answer) -> Iterator[Touched]:
        """Know an answer that nobody gave while the block runs; yields the cells that it touches.

        Raises
        ------
        InfeasibleError
            If what counts excludes it.
        """
        before, choices = len(self.review), dict(self._choices)
        try:
            yield frozenset(self._take(answer))
        finally:
            self._back_to(before)
            self._choices = choices

    def _say(self, decision: Decision) -> set[int]:
        """Take an entry of the log in; one whose cell is gone, or that cannot be taken, changes nothing."""
        answers, _ = attached([decision], self.movie.movie.detections)
        before, choices = len(self.review), dict(self._choices)
        touched: set[int] = set()
        try:
            for answer in answers:
                touched |= self._take(answer)
        except InfeasibleError:
            self._back_to(before)
            self._choices = dict(choices)
            self.at_odds.append(decision)
            touched = set()
        self._held.append(_Held(decision.key, len(self.review) - before, choices))
        return touched

    def _back_to(self, count: int) -> None:
        while len(self.review) > count:
            self.review.undo()

    def _take(self, answer: Answer) -> set[int]:
        """Give an answer to the review; what it says already, it is not told again."""
        ids = self.movie.movie.detections.id
        cell, daughters = int(ids[answer.cell]), ids[list(answer.daughters)].tolist()
        match answer.decision.kind:
            case DecisionKind.CHOOSE:
                known = self._choices.get(answer.cell)
                if known is not None and known == frozenset(answer.daughters):
                    return set()
                touched = set(self.review.choose(cell, daughters))
                self._choices[answer.cell] = frozenset(answer.daughters)
                return touched
            case DecisionKind.REJECT:
                return {touched for daughter in daughters for touched in self._reject(cell, daughter)}
            case DecisionKind.BEGINS:
                return set(self.review.begins(cell))
        return set(self.review.not_a_cell(cell))

    def _reject(self, cell: int, daughter: int) -> tuple[int, ...]:
        if self.review.leaves_open(cell, daughter) or self.review.probability(cell, daughter) > 0:
            return self.review.reject(cell, daughter)
        return ()  # what counts excludes the link already
