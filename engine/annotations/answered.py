"""An answer with what surrounds it: how the question was put, what it did, and the ways out of a conflict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from ...storage.decisions import Decision

WAYS_OUT: Final = (
    "--replace, which takes back what excludes it; --keep, which leaves that and notes what was meant; or "
    "--both-unsure, which says of both that nobody can tell"
)
OnConflict = Literal["refuse", "replace", "keep", "unsure"]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question was put; kept with the answer.

    Parameters
    ----------
    shown : list or None
        What was on the screen: pairs of daughters and their probability.
    solution, posterior : str or None
        What that came from.
    blind : bool
        Whether it was drawn for the audit, the answer of the solver hidden.
    ms : int or None
        Milliseconds until the answer.
    model : str or None
        What scored the links.
    """

    shown: list[Any] | None = None
    solution: str | None = None
    posterior: str | None = None
    blind: bool = False
    ms: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """What an answer did.

    Parameters
    ----------
    decision : Decision
        The entry of the log.
    replaced : list of Decision
        Earlier ones that were taken back for it.
    added : int
        Links that became candidates for it.
    pins : int
        Answers that pin something in this movie, this one included.
    repeated : bool
        Whether it was kept before, by its key: nothing was written now.
    also : list of Decision
        What was written because of it, undoings apart from those of `replaced`.
    restored : list of Decision
        What counts again, of an undoing.
    """

    decision: Decision
    replaced: list[Decision] = field(default_factory=list)
    added: int = 0
    pins: int = 0
    repeated: bool = False
    also: list[Decision] = field(default_factory=list)
    restored: list[Decision] = field(default_factory=list)
