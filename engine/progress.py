"""How the engine reports what it does: it prints nothing, a face draws it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Progress(Protocol):
    """Someone who is told how far the work is."""

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps; None where nobody knows how many."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Say that `steps` more are done."""
        ...

    def note(self, text: str) -> None:
        """Tell the user a fact that is not an error: what was chosen, what was left out."""
        ...


class Silent:
    """Progress that nobody watches."""

    def start(self, stage: str, total: int | None = None) -> None:
        """Ignore the stage."""

    def advance(self, steps: int = 1) -> None:
        """Ignore the steps."""

    def note(self, text: str) -> None:
        """Ignore the fact."""


@dataclass
class Recorded:
    """Progress kept in lists, for tests and notebooks.

    Attributes
    ----------
    stages : list of str
        Stages begun.
    notes : list of str
        Facts told.
    """

    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: int = 0

    def start(self, stage: str, total: int | None = None) -> None:
        """Remember the stage."""
        self.stages.append(stage)

    def advance(self, steps: int = 1) -> None:
        """Count the steps."""
        self.steps += steps

    def note(self, text: str) -> None:
        """Remember the fact."""
        self.notes.append(text)
