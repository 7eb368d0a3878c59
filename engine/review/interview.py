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
            return self._put(client, back), None
        if self.limit is not None and self.answered >= self.limit:
            self._turns.give_up(client)
            return None, "limit"
        drawn = self.agenda.next(self.taken(client), after)
        if drawn is None:
            self._turns.give_up(client)
            return None, "done"
        return self._put(client, drawn), None

    def again(self, client: str, cell: int) -> Put:
        """Return the question of a cell; where this page asks it now, blind, it stays so.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        turn = self._turns.about(client, cell)
        if turn is None or not turn.blind:
            return self._put(client, Drawn(cell))
        drawn = self.agenda.drawn(cell)
        return self._put(client, Drawn(cell, blind=True, audit=turn.audit, shown=() if drawn is None else drawn.shown))

    def taken_back(self, client: str, old: Sequence[Decision]) -> tuple[Put | None, str | None]:
        """Return the question of which an answer was taken back, as it was put then; as `next` where there is none.

        Parameters
        ----------
        client : str
            The page.
        old : sequence of Decision
            What was taken back.
        """
        back = next((d for d in old if d.cell is not None), None)
        if back is None or back.cell is None or back.dataset != self.agenda.material.followed.movie.dataset:
            return self.next(client)
        return self._put(client, as_then(back.cell.id, back)), None

    def is_audit(self, answer: Said) -> bool:
        """Tell whether an answer is of the audit.

        What was asked before a restart is drawn again from the log: that a page calls it blind is not enough.
        """
        turn = self._turns.about(answer.client, answer.cell)
        if turn is not None:
            return turn.audit
        drawn = self.agenda.drawn(answer.cell)
        return answer.blind and ((drawn is not None and drawn.audit) or self.agenda.was_blind(answer.cell))

    def is_blind(self, client: str, cell: int) -> bool:
        """Tell whether a page asks about a cell blind, or would if it was asked."""
        turn = self._turns.about(client, cell)
        return turn.blind if turn is not None else self.agenda.drawn(cell) is not None

    def hides(self, cell: int) -> bool:
        """Tell whether any page asks about a cell blind, or would if it was asked."""
        blind = self._turns.is_blind(cell)
        return self.agenda.drawn(cell) is not None if blind is None else blind

    def _put(self, client: str, asked: Drawn) -> Put:
        """Return a question as it is put, and note that it is this page's turn."""
        question, material = self.agenda.question(asked.cell), self.agenda.material
        self._turns.take(client, asked.cell, blind=asked.blind, audit=asked.audit)
        return put(material.review, material.candidates, question, blind=asked.blind, shown=asked.shown)
