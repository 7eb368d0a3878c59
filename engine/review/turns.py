"""Whose turn a question is: which page asks it now, for how long, and how each question was put last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from .choosing import Drawn

LEASE_S: Final = 180.0
OVERLAP: Final = 0.05  # of the questions are such as somebody else has answered


class _Turn(NamedTuple):
    """A question that a page asks, and until when (seconds of the clock)."""

    asked: Drawn
    until: float


class Turns:
    """What the pages of one person ask; a question is asked by one at a time, and is free again after some minutes.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns: dict[str, _Turn] = {}
        self._last: dict[int, Drawn] = {}

    def take(self, client: str, asked: Drawn) -> None:
        """Let a page ask about a cell; what it asked before is free."""
        self._turns[client] = _Turn(asked, self._clock() + LEASE_S)
        self._last[asked.cell] = asked

    def give_up(self, client: str) -> None:
        """Free what a page asks."""
        self._turns.pop(client, None)

    def taken(self, client: str) -> set[int]:
        """Return the cells about which other pages than this one ask now."""
        now = self._clock()
        self._turns = {page: turn for page, turn in self._turns.items() if turn.until > now}
        return {turn.asked.cell for page, turn in self._turns.items() if page != client}

    def last(self, cell: int) -> Drawn | None:
        """Return how the question of a cell was put last, on whichever page; None where it never was."""
        return self._last.get(cell)
