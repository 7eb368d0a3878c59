"""The decision log as a whole: listed, counted, taken elsewhere and brought in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from ...errors import FormatError, StoreDamagedError
from ...storage.decision_log import DecisionLog, merged_decisions
from ...storage.decisions import DecisionKind, as_line, counting, read_line
from ...storage.folders import appearing_file
from .agreement import conflicts
from .pins import PINNING, attached, in_dispute, settled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...storage.decisions import Decision
    from ...storage.duckdb_store import DuckDBStore
    from .agreement import Conflict


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log, and what became of it.

    Parameters
    ----------
    decision : Decision
        What was said.
    undone : bool
        Whether it was taken back.
    attached : bool
        Whether its cells are among the newest detections of its dataset; True for an undoing.
    disputed : bool
        Whether it counts and another that counts excludes it, so that neither pins anything.
    """

    decision: Decision
    undone: bool
    attached: bool
    disputed: bool


@dataclass(frozen=True, slots=True)
class Work:
    """What one person said.

    Parameters
    ----------
    who : str
        The person.
    answers, undone, pins : int
        Entries but undoings; those that were taken back; those that pin something.
    kinds : dict of str to int
        How often each kind, undoings among them.
    median_ms : float or None
        Median time of an answer, None where none was measured.
    median_ms_by_kind : dict of str to float
        The same of each kind of answer of which some was measured.
    asked_too, agreed : int
        Cells about which somebody else said something, too, and on how many of them all who did agree.
    """

    who: str
    answers: int
    undone: int
    pins: int
    kinds: dict[str, int]
    median_ms: float | None
    asked_too: int
    agreed: int
    median_ms_by_kind: dict[str, float]


def entries(store: DuckDBStore) -> list[Entry]:
    """Return the entries of the log, oldest first."""
    said = store.decisions()
    keys = counting(said)
    lost: set[str] = set()
    disputed: set[str] = set()
    about = [d for d in said if d.kind is not DecisionKind.UNDO]
    newest = {chosen.movie.name: chosen for chosen in store.detection_sets()}
    for dataset in {d.dataset for d in about}:
        mine = [d for d in about if d.dataset == dataset]
        if dataset in newest:
            there, mine = attached(mine, store.detections(newest[dataset]))
            disputed |= in_dispute(settled(a for a in there if a.decision.key in keys)[1])
        lost |= {d.key for d in mine}
    return [Entry(d, d.key not in keys, d.key not in lost, d.key in disputed) for d in said]


def work(store: DuckDBStore) -> list[Work]:
    """Return what each person said, by name."""
    said = store.decisions()
    keys = counting(said)
    answers = [d for d in said if d.kind is not DecisionKind.UNDO]
    by_cell: dict[tuple[str, int], dict[str, object]] = {}
    for decision in answers:
        if decision.key in keys and decision.kind in PINNING and decision.cell is not None:
            meant = decision.kind, frozenset(daughter.id for daughter in decision.daughters or ())
            by_cell.setdefault((decision.dataset, decision.cell.id), {})[decision.who] = meant
    rows = []
    for who in sorted({d.who for d in said}):
        own = [d for d in answers if d.who == who]
        times = [d.ms for d in own if d.ms is not None]
        shared = [meant for meant in by_cell.values() if who in meant and len(meant) > 1]
        rows.append(
            Work(
                who=who,
                answers=len(own),
                undone=sum(d.key not in keys for d in own),
                pins=sum(d.key in keys and d.kind in PINNING for d in own),
                kinds=dict(Counter(d.kind.value for d in said if d.who == who)),
                median_ms=median(times) if times else None,
                asked_too=len(shared),
                agreed=sum(len(set(meant.values())) == 1 for meant in shared),
                median_ms_by_kind=median_times(own),
            )
        )
    return rows


def median_times(answers: Sequence[Decision]) -> dict[str, float]:
    """Return the median milliseconds of each kind of answer of which some was measured."""
    times: dict[str, list[int]] = {}
    for decision in answers:
        if decision.ms is not None and decision.kind is not DecisionKind.UNDO:
            times.setdefault(decision.kind.value, []).append(decision.ms)
    return {kind: median(measured) for kind, measured in sorted(times.items())}


def export_log(store: DuckDBStore, out: Path) -> int:
    """Write all entries as one file of JSON lines, and return how many there are.

    Raises
    ------
    FormatError
        If something stands at `out`.
    """
    if out.exists():
        raise FormatError(f"{out} exists", **{"try": "another -o"})
    said = store.decisions()
    with appearing_file(out) as partial:
        partial.write_text("".join(map(as_line, said)))
    return len(said)


@dataclass(frozen=True, slots=True)
class Imported:
    """What was brought in.

    Parameters
    ----------
    new : list of Decision
        Entries that the log did not hold yet, under their numbers in this store.
    conflicts : list of Conflict
        How answers that count exclude each other, one or both of them new.
    lost : list of Decision
        New answers whose cells are not among the newest detections of their dataset.
    """

    new: list[Decision]
    conflicts: list[Conflict]
    lost: list[Decision]


def import_log(store: DuckDBStore, path: Path) -> Imported:
    """Take the entries of a file that the log does not hold yet.

    They keep who said them and when, and get numbers of this store. What excludes something that was said here is taken
    in as well: both stay in the log, are told, and pin nothing until one is taken back.

    Raises
    ------
    FormatError
        If the file cannot be read, or a line is no entry; nothing is taken then.
    """
    brought = _entries_of(path)
    with store.reading() as connection:
        log = DecisionLog(store.path, merged_decisions(connection))
    with log.writing():
        new = _numbered(log.entries, brought)
        if new:
            log.bring_in(new)
    keys = {d.key for d in new}
    conflicting = [c for c in conflicts(store, log.entries) if c.open and {c.earlier.key, c.later.key} & keys]
    lost = [e.decision for e in entries(store) if e.decision.key in keys and not e.attached]
    return Imported(new, conflicting, lost)


def _entries_of(path: Path) -> list[Decision]:
    """Return the entries of a file, or raise FormatError."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise FormatError(f"{path} is no file")
        lines = path.read_bytes().split(b"\n")
        read = [read_line(line, f"{path} line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    except StoreDamagedError as error:  # an OSError too
        raise FormatError(error.message, **error.details) from error
    except OSError as error:
        raise FormatError(f"{path} cannot be read", reason=error.strerror or str(error)) from error
    return [decision for decision in read if decision is not None]


def _numbered(said: Sequence[Decision], brought: Sequence[Decision]) -> list[Decision]:
    """Return what was brought and is new, in its order, under new numbers."""
    known = {d.key for d in said}
    new = {d.key: d for d in sorted(brought, key=lambda d: (d.at, d.seq)) if d.key not in known}
    first = 1 + max((d.seq for d in said), default=0)
    return [replace(d, seq=first + i) for i, d in enumerate(new.values())]
