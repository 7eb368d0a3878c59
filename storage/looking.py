"""One opening of the tables that answers several reads in a row, as they are at one moment."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa

_LOOK: ContextVar[tuple[Path, sa.Connection] | None] = ContextVar("a look at a store that is under way", default=None)


def under_way(store: Path) -> sa.Connection | None:
    """Return the connection of a look at a store that is under way; None if there is none."""
    look = _LOOK.get()
    return look[1] if look is not None and look[0] == store else None


@contextmanager
def look(store: Path, connection: sa.Connection) -> Iterator[None]:
    """Let what the block reads of a store go through a connection."""
    before = _LOOK.set((store, connection))
    try:
        yield
    finally:
        _LOOK.reset(before)
