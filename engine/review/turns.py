"""Whose turn a question is: who is asked it now, for how long, and whether he sees what the posterior says of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE_S: Final = 180.0
OVERLAP: Final = 0.05  # of the questions are such as somebody else has answered


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that somebody is asked: of which cell, until when, whether blind, and whether it is of the audit."""

    cell: int
    until: float
    blind: bool
    audit: bool


class Turns:
    """Who is asked what; a question is asked of one at a time, and is free again after some minutes.

    Parameters
    ----------
    clock : callable
        Returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns: dict[str, Turn] = {}

    def take(self, client: str, cell: int, *, blind: bool, audit: bool = False) -> None:
        """Ask somebody about a cell; what he was asked before is free."""
        self._turns[client] = Turn(cell, self._clock() + LEASE_S, blind, audit)

    def give_up(self, client: str) -> None:
        """Free what somebody is asked."""
        self._turns.pop(client, None)

    def of(self, client: str) -> Turn | None:
        """Return what somebody is asked, None where his time is over."""
        turn = self._turns.get(client)
        return turn if turn is not None and turn.until > self._clock() else None

    def taken(self, client: str) -> set[int]:
        """Return the cells about which others than this one are asked now."""
        now = self._clock()
        self._turns = {who: turn for who, turn in self._turns.items() if turn.until > now}
        return {turn.cell for who, turn in self._turns.items() if who != client}

    def about(self, client: str, cell: int) -> Turn | None:
        """Return what somebody was asked last, if it was about a cell, also where his time is over."""
        turn = self._turns.get(client)
        return turn if turn is not None and turn.cell == cell else None

    def is_blind(self, cell: int) -> bool | None:
        """Return whether anybody is asked about a cell blind, None where nobody is asked."""
        asked = [turn.blind for turn in self._turns.values() if turn.cell == cell]
        return any(asked) if asked else None
