"""What one person may be asked of one posterior, and in which order: it follows the log, and ranks what is left open.

Who is asked what at the moment plays no part here; see `session`. When the store is solved again, another agenda takes
the place of this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import StaleError
from ...storage.decisions import DecisionKind
from .answered import ANSWERS
from .choosing import NO_TURN, Choosing, as_then
from .known import KnownLog
from .opening import ITS_OWN
from .order import Order
from .record import said_by, taken_back
from .saying import Done, Heard, Told

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from ...storage.decisions import Decision
    from ..annotations.answered import AnswerReport
    from .choosing import Drawn
    from .material import Material
    from .queue import Question, ReviewList
    from .saying import Said

LISTED: Final = 20
AHEAD: Final = 3  # questions that are made ready while one is answered
RECENT: Final = 5


class Agenda:
    """The questions of one posterior, for one person.

    Parameters
    ----------
    material : Material
        The posterior.
    who : str
        The person.
    audit, overlap : float
        Shares of questions that are drawn at random, and of such as somebody else has answered.

    Attributes
    ----------
    material : Material
        As given; it follows the log.
    log : KnownLog
        The log as it was read last.
    listed : ReviewList
        The questions that are worth most now.
    """

    def __init__(self, material: Material, who: str, audit: float, overlap: float) -> None:
        self.material, self._who = material, who
        self.log = KnownLog(material.annotator, material.revision.chosen.movie.name, material.detections)
        self._order = Order()
        self._choosing = Choosing(material, who, audit, overlap)
        self._asks_blind = max(audit, overlap) > 0
        self._begun = self.log.n_entries
        self._changed: dict[int, tuple[int, Decision]] = {}  # by cell: how many entries were known then, and the newest
        self._rank()

    @property
    def revision(self) -> str:
        """What questions are made from."""
        return str(self.material.revision)

    @property
    def own(self) -> list[Decision]:
        """What counts of what this person said."""
        return self.log.of(self._who)

    @property
    def is_calibrated(self) -> bool:
        """Whether the probabilities are those of a posterior that was calibrated."""
        posterior = self.material.revision.posterior
        return posterior.calibrated and posterior.method in ITS_OWN

    @property
    def expected_wrong(self) -> float | None:
        """Links that are expected to be wrong; None where the posterior is not calibrated."""
        return self.material.review.expected_errors if self.is_calibrated else None

    # the log

    def hear(self) -> list[Heard]:
        """Follow the log, and return what others wrote into it since the last look."""
        news = [d for d in self.material.annotator.news() if d.key not in self.log.keys]
        if not news:
            return []
        touched = self._known_now(news)
        by_key = {d.key: d for d in self.log.entries}
        return [Heard(self._told(*said_by(d, by_key)), touched, self.log.n_entries) for d in news]

    def follow(self, report: AnswerReport) -> Done:
        """Know what was written just now."""
        if report.repeated:
            return Done(report)
        before = self.material.review.in_doubt
        touched = self._known_now([report.decision, *report.also])
        rows = np.searchsorted(self.material.detections.id, sorted(touched))
        settled = before[rows] & ~self.material.review.in_doubt[rows]
        return Done(report, touched, int(np.count_nonzero(settled)))

    def _known_now(self, news: Sequence[Decision]) -> frozenset[int]:
        """Read the log on, and return the cells of which something else may hold since."""
        self.log.read()
        touched = self.material.followed.follow(self.log.settled)
        about = {d.cell.id for new in news if (d := self.log.placed(new)) is not None and d.cell is not None}
        self._changed.update(dict.fromkeys(touched | about, (self.log.n_entries, news[-1])))
        self._rank()
        return touched

    def require_fresh(self, answer: Said) -> None:
        """Raise StaleError if something may have become known of a question since it was put."""
        if answer.revision != self.revision:
            raise StaleError("the store was solved again since this question was put: reload it")
        since, newer = self._changed.get(answer.cell, (self._begun, None))
        if since > answer.seen:
            raise StaleError(
                f"cell {answer.cell} is no longer what was on the screen: reload the question",
                since="the review was started again" if newer is None else f"#{newer.seq} of {newer.who}",
            )

    def recent(self, most: int) -> list[Told]:
        """Return this person's newest answers about this movie, the newest first."""
        return self._newest([d for d in self.log.entries if d.who == self._who], most)

    def said_last(self, asked_blind: int | None) -> list[Told]:
        """Return everybody's newest answers as `recent`, but for what others said of a cell that is asked blind."""
        told = self.log.entries
        if asked_blind is not None:
            told = [d for d in told if d.who == self._who or d.cell is None or d.cell.id != asked_blind]
        return self._newest(told, RECENT)

    def _newest(self, said: Sequence[Decision], most: int) -> list[Told]:
        dataset = self.material.revision.chosen.movie.name
        answers = [d for d in said if d.kind is not DecisionKind.UNDO and d.dataset == dataset]
        return [self._told(d, undone=d.key not in self.log.counts) for d in reversed(answers[-most:])]

    def _told(self, said: Decision, undone: bool) -> Told:
        """Return an answer with the number that its cell has now, as this person gets to know of it.

        He may be asked blind about any cell that he has not answered: what another said of it would lead him.
        """
        placed = self.log.placed(said) or said
        if not self._asks_blind or said.who == self._who or said.kind is DecisionKind.FLAG or placed.cell is None:
            return Told(placed, undone)
        return Told(placed, undone, hidden=not self.is_answered(placed.cell.id))

    # the questions

    def rank(self, top: int) -> ReviewList:
        """Return so many of the questions that are worth most."""
        return self._order.listed(self.material.review, top, self._answered())

    def _rank(self) -> None:
        """Find out which questions are worth most now."""
        self.material.descent.heed(self.log.standing)
        self.listed = self.rank(LISTED)

    def _answered(self) -> set[int]:
        """Return the cells that are not asked about again; where people contradict each other, they are."""
        return {d.cell.id for d in self.log.settled if d.kind in ANSWERS and d.cell is not None}

    def question(self, cell: int) -> Question:
        """Return the question of a cell, with what it is worth if it is among those that are worth most.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        listed = next((item for item in self.listed if item.cell == cell), None)
        return listed or self.material.review.question(cell)

    def next(self, taken: set[int], after: int | None) -> Drawn | None:
        """Return what is asked next, beside cells about which others are asked now; see `Choosing.next`."""
        listed = self.listed
        if len(listed) and all(item.cell in taken for item in listed):  # pages that were closed hold theirs for a while
            listed = self.rank(LISTED + len(taken))
        return self._choosing.next(listed, self.log.entries, self.log.standing, taken, after)

    def ahead(self, taken: Set[int], at: int) -> tuple[int, ...]:
        """Return the cells that are likely asked about once the question at hand is answered; see `Choosing.ahead`."""
        cells = self._choosing.ahead(self.listed, self.log.entries, self.log.standing, set(taken), at)
        return tuple(cells[:AHEAD])

    def drawn(self, cell: int) -> Drawn | None:
        """Return what is drawn now, if it is the question of this cell, whoever else may be asked it."""
        drawn = self._choosing.draw(self.log.entries, self.log.standing, set())
        return drawn if drawn is not None and drawn.cell == cell else None

    def taken_back(self, besides: Set[int]) -> Drawn | None:
        """Return the question that this person took his answer to back last, if it is open and none of `besides`."""
        last = taken_back(self.log.entries, self._who, self.log.counts)
        found = None if last is None else self.log.placed(last)
        if found is None or found.cell is None or found.cell.id in self._answered() | besides:
            return None
        return as_then(found.cell.id, found)

    def is_answered(self, cell: int) -> bool:
        """Tell whether something that this person answered about a cell counts."""
        return any(d.kind not in NO_TURN for d in self.own if d.cell is not None and d.cell.id == cell)

    def was_blind(self, cell: int) -> bool:
        """Tell whether this person ever answered the question of a cell as one of the audit."""
        own = (d for d in self.log.entries if d.who == self._who and d.cell is not None and d.cell.id == cell)
        return any(d.blind for d in own)
