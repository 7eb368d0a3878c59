"""Scorers and solvers of other packages at work: what goes wrong in them is told as theirs, with the place."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import TrackdbError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def at_work(what: str, *, ours: bool) -> Iterator[None]:
    """Tell an error of another package while the block runs as one of it; those of trackdb are told as they are.

    Parameters
    ----------
    what : str
        Who is at work, as ``the scorer closeness``.
    ours : bool
        Whether it is one of trackdb's own, whose errors are ours to mend.

    Raises
    ------
    TrackdbError
        If anything else was raised: what, and where; it is the cause.
    """
    try:
        yield
    except (TrackdbError, MemoryError):
        raise
    except Exception as error:
        if ours:
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise TrackdbError(
            f"{what} failed: {type(error).__name__}: {error}",
            at=f"{last.filename}, line {last.lineno}",
            **{"try": "--debug tells all that led there"},
        ) from error
