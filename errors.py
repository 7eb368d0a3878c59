"""Every error that trackdb raises on purpose, each with the exit code of the command line.

* TrackdbError                      1
  - ConfigError                     2  an option or a settings file is wrong
  - StoreError                      3
    + StoreMissingError             there is no store at this place
    + StoreExistsError              a name is already taken
    + StoreLockedError              another process holds the store or the run
    + StoreDamagedError             a file of the store cannot be read
    + StoreFullError                there is no room left to write
    + VersionError                  the store was written by a newer trackdb
    + MissingRowsError              the store does not hold what was asked for
  - SchemaError                     1  a table's arrays do not fit together
  - FormatError                     1  a file is not what its format promises
  - ModelError                      1  a network is not on this machine, or cannot be fetched
  - CalibrationError                1  there is too little truth to fit anything to
  - TrainingError                   1  a network cannot be taught, or goes astray while it is
  - QueryError                      1  a user's SQL is wrong, forbidden, or takes too much
  - SolverError                     4
    + InfeasibleError               the constraints leave no solution
      . ConflictError               what was said before excludes what is said now
    + NotProvenError                an optimum was required and could not be proven
  - StaleError                      1  an answer to a question that was put before something else became known
  - CheckFailedError                5  a check that the user asked for did not hold
"""

from __future__ import annotations

from typing import ClassVar


class TrackdbError(Exception):
    """Base of all errors that trackdb raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, and where.
    details : str
        Further facts, each ``label=text``: they are shown one a line under the message, in the order given, so that
        an error says what, where, why and what to do next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return "; ".join([self.message, *(f"{k}: {v}" for k, v in self.details.items())])


class ConfigError(TrackdbError, ValueError):
    """An option or a settings file is wrong."""

    exit_code = 2


class StoreError(TrackdbError):
    """Something is wrong with the store itself."""

    exit_code = 3


class StoreMissingError(StoreError, FileNotFoundError):
    """There is no store at this place."""


class StoreExistsError(StoreError, FileExistsError):
    """A name is already taken."""


class StoreLockedError(StoreError, BlockingIOError):
    """Another process holds the store, or does the same work right now."""


class StoreDamagedError(StoreError, OSError):
    """A file of the store cannot be read."""


class StoreFullError(StoreError, OSError):
    """There is no room left to write to the store; what could not be written was not kept."""


class VersionError(StoreError):
    """The store was written by a newer trackdb."""


class MissingRowsError(StoreError, LookupError):
    """The store does not hold what was asked for."""


class SchemaError(TrackdbError, ValueError):
    """A table's arrays do not fit together."""


class FormatError(TrackdbError, ValueError):
    """A file is not what its format promises."""


class ModelError(TrackdbError, LookupError):
    """A network is not on this machine, or cannot be fetched."""


class CalibrationError(TrackdbError, ValueError):
    """There is too little truth to fit anything to, or it is of the wrong movie."""


class TrainingError(TrackdbError, ArithmeticError):
    """A network cannot be taught by what it is shown, or goes astray while it is."""


class QueryError(TrackdbError, ValueError):
    """A user's SQL is wrong, forbidden, or takes too much time or memory."""


class SolverError(TrackdbError, RuntimeError):
    """A solver could not return a solution."""

    exit_code = 4


class InfeasibleError(SolverError):
    """The constraints leave no solution."""


class ConflictError(InfeasibleError):
    """Something that was said before excludes what is said now; nothing was kept of it.

    Parameters
    ----------
    message : str
        What is said now.
    earlier : tuple of dict
        What excludes it, each with its ``seq``, ``who``, ``at``, ``kind`` and so on.
    details : str
        As of every error.
    """

    choices: ClassVar[tuple[str, ...]] = ("replace", "keep", "unsure")
    """Take the earlier ones back, leave them as they are, or say of both that nobody can tell."""

    def __init__(self, message: str, *, earlier: tuple[dict[str, object], ...] = (), **details: str) -> None:
        super().__init__(message, **details)
        self.earlier = earlier

    def as_dict(self) -> dict[str, object]:
        """Return it for a program that lets a person choose."""
        return {
            "message": self.message,
            "why": self.details.get("why"),
            "earlier": list(self.earlier),
            "choices": list(self.choices),
        }


class NotProvenError(SolverError):
    """An optimum was required and could not be proven."""


class StaleError(TrackdbError, RuntimeError):
    """An answer to a question that was put before something else became known; nothing was kept."""


class CheckFailedError(TrackdbError):
    """A check that the user asked for did not hold."""

    exit_code = 5
