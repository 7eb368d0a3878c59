"""What people said: entries of the decision log, how a line of it is written and read, and which entries count."""

from __future__ import annotations

import getpass
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError, StoreDamagedError, VersionError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

LINE_VERSION: Final = 1
EARLIEST_YEAR: Final = 1970
MOST_DAUGHTERS: Final = 2
MENDING: Final = "restore the file from a copy, or mend the line; trackdb check --repair sets it aside"
WHO: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")


class DecisionKind(StrEnum):
    """What a person said."""

    CHOOSE = "choose"
    """The cell goes on as, divides into, or ends without the daughters named: all its candidates are decided."""

    REJECT = "reject"
    """The cell does not go on as any of the cells named."""

    BEGINS = "begins"
    """The cell has no parent."""

    NOT_A_CELL = "not_a_cell"
    """The detection is no cell."""

    SEGMENTATION = "segmentation"
    """The outline is wrong, merged or split; pins nothing."""

    UNSURE = "unsure"
    """Nobody can tell; pins nothing."""

    FLAG = "flag"
    """Worth another look; pins nothing."""

    UNDO = "undo"
    """The decision named is taken back; so is an undoing."""


OF_DAUGHTERS: Final = (DecisionKind.CHOOSE, DecisionKind.REJECT)


@dataclass(frozen=True, slots=True)
class CellPlace:
    """A cell as the log names it: by its number, and by where it lies, should numbers change.

    Parameters
    ----------
    id : int
        Number of the detection.
    t : int or None
        Its frame; None in entries that tell only the number.
    position_px : tuple of float or None
        Its centre in pixels, axes ``([z,] y, x)``.
    """

    id: int
    t: int | None = None
    position_px: tuple[float, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the log writes it."""
        z, y, x = ((None,) * 3 + (self.position_px or ()))[-3:]
        return {"id": self.id, "t": self.t, "z": z, "y": y, "x": x}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> CellPlace:
        """Read it from what the log tells, or raise ValueError, KeyError or TypeError."""
        place = tuple(float(entry[axis]) for axis in "zyx" if entry.get(axis) is not None)
        if not all(map(math.isfinite, place)):
            raise ValueError(f"a place must be finite, got {place}")
        frame = entry.get("t")
        return cls(_whole(entry["id"], 63), None if frame is None else _whole(frame, 31), place or None)


def _whole(value: object, bits: int) -> int:
    """Return a number that a column of the tables holds, or raise ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**bits:
        raise ValueError(f"expected a whole number of {bits} bits, got {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log.

    Parameters
    ----------
    seq : int
        Its number in the store, from 1.
    key : str
        What tells it from all others, in any store; the same entry given again is not taken again.
    at : datetime
        When it was said, UTC, in whole seconds.
    who : str
        Who said it.
    kind : DecisionKind
        What was said.
    dataset : str
        Of which movie.
    cell : CellPlace or None
        Of which cell; None for an undoing.
    daughters : tuple of CellPlace or None
        Where the kind names any: the cells of later frames that it speaks of.
    shown : list or None
        What the person was shown: pairs of daughters and their probability.
    solution, posterior : str or None
        What that came from.
    blind : bool
        Whether it was drawn for the audit, the answer of the solver hidden.
    ms : int or None
        Milliseconds that the answer took.
    undo_of : str or None
        Key of the entry that is taken back.
    note : str or None
        What the person added in words.
    model : str or None
        What scored the links that were shown.
    """

    seq: int
    key: str
    at: datetime
    who: str
    kind: DecisionKind
    dataset: str
    cell: CellPlace | None = None
    daughters: tuple[CellPlace, ...] | None = None
    shown: list[Any] | None = None
    solution: str | None = None
    posterior: str | None = None
    blind: bool = False
    ms: int | None = None
    undo_of: str | None = None
    note: str | None = None
    model: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as a line of the log holds it."""
        return {
            "v": LINE_VERSION,
            "seq": self.seq,
            "key": self.key,
            "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "who": self.who,
            "kind": self.kind.value,
            "dataset": self.dataset,
            "cell": None if self.cell is None else self.cell.as_dict(),
            "daughters": None if self.daughters is None else [d.as_dict() for d in self.daughters],
            "shown": self.shown,
            "solution": self.solution,
            "posterior": self.posterior,
            "blind": self.blind,
            "ms": self.ms,
            "undo_of": self.undo_of,
            "note": self.note,
            "model": self.model,
        }


def this_person() -> str:
    """Return what the system calls the user, as the log can write it.

    Raises
    ------
    ConfigError
        If the system has no name for him.
    """
    try:
        return require_who(re.sub(r"[^A-Za-z0-9_.-]", "_", getpass.getuser())[:40])
    except (OSError, KeyError) as error:  # a number without a name
        raise ConfigError("the system does not tell who you are", **{"try": "--as NAME"}) from error


def require_who(who: str) -> str:
    """Return the name of a person, or raise ConfigError if it cannot be one."""
    if not WHO.fullmatch(who):
        wanted = "1 to 40 letters, digits, dots, dashes and underscores"
        raise ConfigError(f"{who[:60]!r} cannot be the name of who decides", expected=wanted, **{"try": "--as NAME"})
    return who


def read_line(line: str | bytes, where: str, *, besides: Container[str] = ()) -> Decision | None:
    """Read one line of a log; None if its key is among those that need not be read.

    Raises
    ------
    StoreDamagedError
        If it is no entry.
    VersionError
        If a newer trackdb wrote it.
    """
    try:
        entry = json.loads(line)
        if entry["key"] in besides:
            return None
        if entry["v"] > LINE_VERSION:
            raise VersionError(f"{where} was written by a newer trackdb", **{"try": "pip install --upgrade trackdb"})
        decision = Decision(
            seq=_whole(entry["seq"], 63),
            key=str(entry["key"]),
            at=_utc(datetime.fromisoformat(entry["at"])),
            who=require_who(entry["who"]),
            kind=DecisionKind(entry["kind"]),
            dataset=str(entry["dataset"]),
            cell=None if entry.get("cell") is None else CellPlace.of(entry["cell"]),
            daughters=None if entry.get("daughters") is None else tuple(map(CellPlace.of, entry["daughters"])),
            shown=entry.get("shown"),
            solution=_text(entry.get("solution")),
            posterior=_text(entry.get("posterior")),
            blind=bool(entry.get("blind")),
            ms=None if entry.get("ms") is None else _whole(entry["ms"], 31),
            undo_of=_text(entry.get("undo_of")),
            note=_text(entry.get("note")),
            model=_text(entry.get("model")),
        )
        _require_whole(decision)
        require_letters(decision.as_dict(), line)
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreDamagedError(
            f"{where} is no decision", reason=f"{type(error).__name__}: {error}", **{"try": MENDING}
        ) from error
    return decision


def require_letters(entry: Mapping[str, Any], line: str | bytes = "\\u") -> None:
    """Raise ConfigError if a text of an entry holds half a letter (a lone surrogate), which no table takes.

    A line from which it was read tells whether it has to be looked at: half a letter is written by its number.
    """
    if "\\u" not in (line.decode(errors="replace") if isinstance(line, bytes) else line):
        return
    try:
        json.dumps(entry, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ConfigError("what was said is no text", reason=str(error)) from None


def as_line(decision: Decision) -> str:
    """Return an entry as the log writes it, or raise ConfigError where no line can hold it."""
    entry = decision.as_dict()
    require_letters(entry)
    try:
        return json.dumps(entry, separators=(",", ":"), allow_nan=False) + "\n"
    except (ValueError, RecursionError) as error:
        raise ConfigError("what was said cannot be written", reason=str(error)) from None


def _require_whole(decision: Decision) -> None:
    """Raise ValueError if a decision does not name what its kind needs."""
    kind, daughters = decision.kind, decision.daughters
    for what, missing in (
        ("undo_of", kind is DecisionKind.UNDO and decision.undo_of is None),
        ("cell", kind is not DecisionKind.UNDO and decision.cell is None),
        ("daughters", kind in OF_DAUGHTERS and daughters is None),
    ):
        if missing:
            raise ValueError(f"{kind.value} without {what}")
    if kind is DecisionKind.CHOOSE and len(daughters or ()) > MOST_DAUGHTERS:
        raise ValueError(f"a cell has at most two daughters, got {len(daughters or ())}")


def _utc(at: datetime) -> datetime:
    """Return a time as the store keeps it, in whole seconds; one that names no zone is UTC."""
    if at.year < EARLIEST_YEAR:  # years of fewer than four digits would be written as nobody could read them
        raise ValueError(f"expected a time since {EARLIEST_YEAR}, got {at}")
    return (at if at.tzinfo is None else at.astimezone(UTC)).replace(tzinfo=None, microsecond=0)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def when(decision: Decision) -> tuple[datetime, int, str]:
    """Return what entries are ordered by."""
    return decision.at, decision.seq, decision.key


def counting(decisions: Sequence[Decision]) -> set[str]:
    """Return the keys of the entries that nobody took back, undoings among them.

    Parameters
    ----------
    decisions : sequence of Decision
        In the order in which they were said.
    """
    undone: set[str] = set()
    for decision in reversed(decisions):  # an undoing comes after what it undoes, and may be undone itself
        if decision.undo_of is not None and decision.key not in undone:
            undone.add(decision.undo_of)
    return {decision.key for decision in decisions} - undone


def live(decisions: Sequence[Decision]) -> list[Decision]:
    """Return the entries that count and are no undoings, in their order."""
    keys = counting(decisions)
    return [d for d in decisions if d.key in keys and d.kind is not DecisionKind.UNDO]
