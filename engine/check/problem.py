"""One thing that is wrong with a store, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    what : str
        What is wrong, and of what.
    count : int
        How often.
    remedy : str
        What to do about it.
    mendable : bool
        Whether `mend` does it without loss, at least in part.
    """

    what: str
    count: int
    remedy: str
    mendable: bool = False


@dataclass(frozen=True, slots=True)
class Mended:
    """One thing that was mended: what was wrong, how often, and what was done."""

    what: str
    count: int
    done: str
