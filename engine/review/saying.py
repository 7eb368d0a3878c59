"""What goes into a review session and what comes out: an answer, what it did, and all that a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

Resolve = Literal["replace", "keep", "unsure"]

if TYPE_CHECKING:
    from ...storage.decisions import Decision
    from ..annotations.answered import AnswerReport
    from ..annotations.records import Work
    from .judged import Audit
    from .put import Put
    from .queue import Outcome, ReviewList


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as a page sends it.

    Parameters
    ----------
    client : str
        Who sends it: a tab of a browser.
    key : str
        Tells this answer from all others.
    cell : int
        Of which cell.
    kind : str
        What is said.
    daughters : tuple of int or None
        The cells that it names; None with ``reject`` for all that the cell may become.
    seen : int
        How many entries of the log were known when the question was put.
    revision : str
        What the question was made from.
    blind : bool
        Whether the page hid what the posterior and the solver say; it counts only where the server drew that, too.
    shown : list or None
        What was on the screen.
    ms : int or None
        How long the answer took.
    note : str or None
        Words.
    resolve : str or None
        Where earlier answers exclude it: ``replace`` them, ``keep`` them, or ``unsure``.
    """

    client: str
    key: str
    cell: int
    kind: str
    daughters: tuple[int, ...] | None
    seen: int
    revision: str
    blind: bool = False
    shown: list[object] | None = None
    ms: int | None = None
    note: str | None = None
    resolve: Resolve | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one person is: his answers that count, in all and in this sitting; what is open; what is expected wrong.

    ``expected_wrong`` is None where the posterior is not calibrated; ``audits`` are the drawn questions that anybody
    answered.
    """

    answered: int
    sitting: int
    limit: int | None
    open: int
    open_start: int
    expected_wrong: float | None
    expected_wrong_start: float | None
    audits: int
    agreed_in_a_row: int
    stop_offered: bool
    can_undo: bool
    can_redo: bool


@dataclass(frozen=True, slots=True)
class State:
    """What a page shows: the question, what is next, and how far the work is.

    Parameters
    ----------
    n_entries : int
        How many entries of the log are known.
    revision : str
        What questions are made from.
    question : Put or None
        What is asked.
    answers : list of Decision
        What counts about its cell.
    why : str or None
        Why nothing is asked: ``done`` or ``limit``.
    ahead : tuple of int
        Cells that are likely to be asked about next.
    queue : ReviewList
        The questions that are worth most.
    leased : frozenset of int
        Cells about which others are asked now.
    recent : list of Told
        Everybody's last answers about this movie, the newest first.
    progress : Progress
        How far the work is.
    """

    n_entries: int
    revision: str
    question: Put | None
    answers: list[Decision]
    why: str | None
    ahead: tuple[int, ...]
    queue: ReviewList
    leased: frozenset[int]
    recent: list[Told]
    progress: Progress


class Told(NamedTuple):
    """An answer as a person gets to know of it: whether it was taken back, and whether he is not told what it says."""

    decision: Decision
    undone: bool = False
    hidden: bool = False


class Heard(NamedTuple):
    """What came in: an answer or that it was taken back, the cells of which something else may hold since, and when.

    ``n_entries`` tells how many entries of the log were known then.
    """

    told: Told
    touched: frozenset[int]
    n_entries: int


@dataclass(frozen=True, slots=True)
class Done:
    """What an answer did: the report of the log, the cells that it touched, and how many of them are settled by it."""

    report: AnswerReport
    touched: frozenset[int] = frozenset()
    settled: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What an answer would do to another question: its likeliest outcome before and after; whether that settles it."""

    cell: int
    frame: int
    before: Outcome
    after: Outcome
    settled: bool

    @property
    def flips(self) -> bool:
        """Whether another outcome would be the likeliest."""
        return self.before.daughters != self.after.daughters


@dataclass(frozen=True, slots=True)
class Effect:
    """What an answer would do: to other questions, the largest change first, and to the errors that are expected.

    ``errors`` is None where the posterior is not calibrated; of a question that is asked blind nothing is told.
    """

    changes: list[Change]
    errors: float | None
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Stats:
    """Who said how much, how the audit stands, and the cells about which people said different things.

    Each disagreement is a cell, its frame, and what was said of it, each with whether it was taken back.
    """

    people: list[Work]
    audit: Audit | None
    disagreements: list[tuple[int, int | None, list[tuple[Decision, bool]]]]
