"""What one person is asked: the question that each of his pages gets, and whether the posterior is hidden from him.

What is on the agenda follows from the log alone; this is what was asked since the server began, and is not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .choosing import Drawn, as_then
from .put import put
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...storage.decisions import Decision
    from .agenda import Agenda
    from .put import Put
    from .saying import Said


class Interview:
    """Asks one person, on any number of pages.

    Parameters
    ----------
    agenda : Agenda
        What he may be asked.
    limit : int or None
        Answers after which nothing more is asked.

    Attributes
    ----------
    agenda : Agenda
        As given; another one takes its place when the store was solved again.
    answered : int
        Questions that were answered since this began.
    """

    def __init__(self, agenda: Agenda, limit: int | None) -> None:
        self.agenda, self.limit = agenda, limit
        self.answered = 0
        self._turns = Turns()

    def taken(self, client: str) -> set[int]:
        """Return the cells about which other pages ask now."""
        return self._turns.taken(client)

    def next(self, client: str, after: int | None = None) -> tuple[Put | None, str | None]:
        """Return the question that a page gets, or why there is none: ``done`` or ``limit``.

        What a person took back last comes first until he answers something, also after a reload or a new start.

        Parameters
        ----------
        client : str
            The page.
        after : int or None
            Cell whose question is left for later.
        """
        back = self.agenda.taken_back(self.taken(client)) if after is None else None
        if back is not None:
            return self._put(client, self._as_before(back.cell, back)), None
        if self.limit is not None and self.answered >= self.limit:
            self._turns.give_up(client)
            return None, "limit"
        drawn = self.agenda.next(self.taken(client), after)
        if drawn is None:
            self._turns.give_up(client)
            return None, "done"
        return self._put(client, drawn), None

    def again(self, client: str, cell: int) -> Put:
        """Return the question of a cell: what was asked blind stays so until it is answered, whatever came between.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        return self._put(client, self._as_before(cell))

    def taken_back(self, client: str, old: Sequence[Decision]) -> tuple[Put | None, str | None]:
        """Return the question of which an answer was taken back, as it was put then; as `next` where there is none.

        Parameters
        ----------
        client : str
            The page.
        old : sequence of Decision
            What was taken back.
        """
        for said in old:
            back = self.agenda.log.placed(said)
            if back is not None and back.cell is not None:
                return self._put(client, self._as_before(back.cell.id, as_then(back.cell.id, back))), None
        return self.next(client)

    def is_audit(self, answer: Said) -> bool:
        """Tell whether an answer is of the audit.

        What was asked before a restart is drawn again from the log: that a page calls it blind is not enough.
        """
        last = self._turns.last(answer.cell)
        if last is not None:
            return last.audit
        drawn = self.agenda.drawn(answer.cell)
        return answer.blind and ((drawn is not None and drawn.audit) or self.agenda.was_blind(answer.cell))

    def hides(self, cell: int) -> bool:
        """Tell whether the question of a cell is asked blind, or would be if it was asked."""
        return self._as_before(cell).blind

    def _as_before(self, cell: int, then: Drawn | None = None) -> Drawn:
        """Return how a question was put last; one that is answered is hidden no more.

        What was not asked since the server began is as it was put `then`, else as the log draws it.
        """
        last = self._turns.last(cell)
        if last is None:
            return then or self.agenda.drawn(cell) or Drawn(cell)
        return Drawn(cell) if self.agenda.is_answered(cell) else last

    def _put(self, client: str, asked: Drawn) -> Put:
        """Return a question as it is put, and note that it is this page's turn."""
        question, material = self.agenda.question(asked.cell), self.agenda.material
        self._turns.take(client, asked)
        return put(material.review, material.candidates, question, blind=asked.blind, shown=asked.shown)
