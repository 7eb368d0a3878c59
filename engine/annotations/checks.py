"""What an answer has to be before anything is looked up for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import ConfigError, InfeasibleError
from ...storage.decisions import MOST_DAUGHTERS, OF_DAUGHTERS, DecisionKind
from .words import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...storage.decision_log import DecisionLog
    from ...storage.decisions import Decision

LONGEST_NOTE: Final = 2_000
LONGEST_KEY: Final = 100


def twin_of(
    log: DecisionLog, key: str | None, who: str, kind: DecisionKind, cell: int | None = None
) -> Decision | None:
    """Return the entry that was kept under a key before.

    Raises
    ------
    ConfigError
        If it says something else, of another cell or by somebody else, or the key is none.
    """
    if key is None:
        return None
    if not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise ConfigError(f"{key[:40]!r} is no key", expected=f"1 to {LONGEST_KEY} printable characters")
    twin = log.find(key)
    if twin is None:
        return None
    of = None if twin.cell is None else twin.cell.id
    if (twin.who, of) != (who, cell) or (twin.kind is DecisionKind.UNDO) != (kind is DecisionKind.UNDO):
        raise ConfigError(f"the key {key} was used for another answer", against=told(twin), **{"try": "a new key"})
    return twin


def known_kind(kind: DecisionKind | str) -> DecisionKind:
    """Return the kind of an answer, or raise ConfigError if it is none."""
    known = [k.value for k in DecisionKind if k is not DecisionKind.UNDO]
    if kind not in known:
        raise ConfigError(f"{kind!r} is no answer about a cell", known=", ".join(known))
    return DecisionKind(kind)


def required_daughters(kind: DecisionKind, daughters: Sequence[int] | None) -> list[int]:
    """Return the daughters that an answer names, or raise an error if they do not go with its kind."""
    named = list(daughters or ())
    if len(set(named)) < len(named):
        raise ConfigError("a cell is named twice", got=", ".join(map(str, named)))
    if (daughters is not None) != (kind in OF_DAUGHTERS):
        raise ConfigError(f"{kind.value} {'names no' if daughters is not None else 'needs'} daughters")
    if kind is DecisionKind.REJECT and not named:
        raise ConfigError("reject names the cells that it rejects")
    if kind is DecisionKind.CHOOSE and len(named) > MOST_DAUGHTERS:
        listed = ", ".join(map(str, named))
        raise InfeasibleError(f"a cell has at most two daughters, got {len(named)}: {listed}")
    return named


def required_note(note: str | None) -> str | None:
    """Return a note without the space around it, None where nothing is left, or raise an error if it is a book."""
    if note is None or not note.strip():
        return None
    if len(note) > LONGEST_NOTE:
        raise ConfigError(f"a note has at most {LONGEST_NOTE:,} characters, got {len(note):,}")
    return note.strip()
