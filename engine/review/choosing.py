"""Which question is next: the one that is worth most, now and then one drawn at random, or one that another answered.

Questions that are drawn are asked blind: what the posterior and the solver say of them is not told. The draws follow
from the number of answers that a person gave, so that who comes back is asked what he was asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from ...storage.catalogue import now
from ...storage.decisions import DecisionKind
from .answered import ANSWERS
from .audit import audit_order, audit_turn
from .queue import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ...storage.decisions import Decision
    from .material import Material
    from .queue import ReviewList

PRESENT: Final = timedelta(minutes=10)  # whoever answered since then is at work
NO_TURN: Final = (DecisionKind.UNDO, DecisionKind.FLAG)


class Drawn(NamedTuple):
    """Who is asked about next, whether blind and of the audit, and what was offered to who answered it before."""

    cell: int
    blind: bool = False
    audit: bool = False
    shown: tuple[Outcome, ...] = ()


def as_then(cell: int, said: Decision) -> Drawn:
    """Return the question of a cell as it was when something was said of it, to be put so again."""
    return Drawn(cell, blind=said.blind, audit=said.blind)


class Choosing:
    """Chooses what one person is asked.

    Parameters
    ----------
    material : Material
        The posterior.
    who : str
        The person.
    audit : float
        Share of questions that are drawn at random.
    overlap : float
        Share of questions that somebody else has answered.
    """

    def __init__(self, material: Material, who: str, audit: float, overlap: float) -> None:
        self._material, self._who, self._audit, self._overlap = material, who, audit, overlap
        self._seed = material.revision.chosen.dataset_id
        self._order: NDArray[np.int64] | None = None

    def next(
        self,
        listed: ReviewList,
        entries: Sequence[Decision],
        standing: Sequence[Decision],
        taken: set[int],
        after: int | None = None,
    ) -> Drawn | None:
        """Return what is asked next, None where nothing is in doubt any more.

        Parameters
        ----------
        listed : ReviewList
            The questions that are worth most.
        entries, standing : sequence of Decision
            All entries of the log, and those that count.
        taken : set of int
            Cells about which others are asked now.
        after : int or None
            Cell whose question is left for later.
        """
        if after is None and len(listed):
            drawn = self.draw(entries, standing, taken)
            if drawn is not None:
                return drawn
        cells = [item.cell for item in listed if item.cell not in taken]
        if after in cells:
            cells = cells[cells.index(after) + 1 :] or cells
        if not cells:
            return None
        # who is second of those at work begins with the second question, so that two hardly meet
        place = min(self._before_me(entries), len(cells) - 1) if after is None else 0
        return Drawn(cells[place])

    def draw(self, entries: Sequence[Decision], standing: Sequence[Decision], taken: set[int]) -> Drawn | None:
        """Return what is drawn for this turn, None if it is the list's; it follows from the log alone."""
        return self._drawn(standing, taken, self._turn(entries))

    def ahead(
        self, listed: ReviewList, entries: Sequence[Decision], standing: Sequence[Decision], taken: set[int], at: int
    ) -> list[int]:
        """Return the cells that are likely asked about once the question at hand is answered, the likeliest first.

        Parameters
        ----------
        listed, entries, standing, taken
            As of `next`, before the answer.
        at : int
            Cell of the question at hand.
        """
        drawn = self._drawn(standing, taken | {at}, self._turn(entries) + 1)
        cells = [item.cell for item in listed if item.cell not in taken | {at}]
        place = min(self._before_me(entries), max(len(cells) - 1, 0))
        found = ([] if drawn is None else [drawn.cell]) + cells[place:] + cells[:place]
        return list(dict.fromkeys(found))

    def _turn(self, entries: Sequence[Decision]) -> int:
        """Return how many questions this person has answered."""
        return sum(d.who == self._who and d.kind not in NO_TURN for d in entries)

    def _drawn(self, standing: Sequence[Decision], taken: set[int], turn: int) -> Drawn | None:
        """Return what is asked blind at a turn: at the first nothing, unless all is."""
        if turn == 0 and max(self._audit, self._overlap) < 1:
            return None
        return self._audited(standing, taken, turn) or self._overlapping(standing, taken, turn)

    def _audited(self, standing: Sequence[Decision], taken: set[int], turn: int) -> Drawn | None:
        if not audit_turn(self._seed, turn, self._audit):
            return None
        if self._order is None:
            cells = self._material.drawable
            self._order = cells[audit_order(cells, self._seed)]
        known = taken | {d.cell.id for d in standing if d.kind in ANSWERS and d.cell is not None}
        cell = next((cell for cell in self._order.tolist() if cell not in known), None)
        return None if cell is None else Drawn(cell, blind=True, audit=True)

    def _overlapping(self, standing: Sequence[Decision], taken: set[int], turn: int) -> Drawn | None:
        """Return a question that another answered, for a few of the turns; it is put as it was to him."""
        if not audit_turn(self._seed + 1, turn, self._overlap):
            return None
        mine = {d.cell.id for d in standing if d.who == self._who and d.cell is not None}
        for d in standing:
            if d.kind is DecisionKind.CHOOSE and d.cell is not None and not d.blind:
                shown = _as_outcomes(d.shown)
                if shown and d.cell.id not in mine | taken:
                    return Drawn(d.cell.id, blind=True, shown=shown)
        return None

    def _before_me(self, entries: Sequence[Decision]) -> int:
        """Return how many of those who are at work come before this person by name."""
        since = now() - PRESENT
        present = {d.who for d in entries if d.at >= since}
        return sum(who < self._who for who in present)


def _as_outcomes(shown: list[object] | None) -> tuple[Outcome, ...]:
    """Return what was on a screen, as far as it is known."""
    found = []
    for pair in shown or ():
        match pair:
            case [[*daughters], _]:
                numbers = [daughter for daughter in daughters if isinstance(daughter, int)]
                if len(numbers) == len(daughters):
                    found.append(Outcome(tuple(sorted(numbers)), 0.0))
    return tuple(found)
