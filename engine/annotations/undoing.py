"""Taking entries of the log back, and bringing them back: each is an entry of its own, so nothing is ever erased.

What was written because of an answer, such as the undoing of the one that it replaced, has a key that follows from the
answer's: it goes and comes back with it.
"""

from __future__ import annotations

import uuid
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from ...errors import ConfigError, MissingRowsError
from ...storage.catalogue import now
from ...storage.decisions import Decision, DecisionKind, counting, live
from .pins import PINNING, PinSet, attached, pinning_answers, refusal
from .words import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from ...storage.decision_log import DecisionLog
    from ...storage.schema import Detections


class TakenBack(NamedTuple):
    """What an undoing did: entries to be written, answers that no longer count, and answers that count again."""

    written: list[Decision]
    gone: list[Decision]
    restored: list[Decision]


def take_back(
    log: DecisionLog, old: Decision, who: str, *, key: str | None, cells: Callable[[str], Detections]
) -> TakenBack:
    """Return what takes an entry back, and with it what was written because of it.

    An answer that was replaced by it counts again, unless something excludes it by now.

    Parameters
    ----------
    log : DecisionLog
        The log, followed.
    old : Decision
        The entry; an undoing can be taken back, too.
    who : str
        Who takes it back.
    key : str or None
        Of the first entry that is written.
    cells : callable
        Detections of a dataset, asked for only where answers count again.

    Raises
    ------
    ConfigError
        If it was taken back already.
    ConflictError
        If what it took back itself would count again, and something excludes that by now.
    """
    counts = counting(log.entries)
    if old.key not in counts:
        raise ConfigError(f"it was taken back already: {told(old)}")
    first = undoing(log.entries, old, who, key=key or str(uuid.uuid4()))
    then = [*log.entries, first]
    taking, giving = _sides(then, [along for along in companions(log, old) if along.key in counts])
    number = 0

    def also(along: Decision) -> list[Decision]:
        return [*then, undoing(then, along, who, key=companion_key(first.key, number + 1))]

    for along in taking:
        then, number = also(along), number + 1
    if error := _conflict(then, counts, cells):
        raise error
    for along in giving:
        if _conflict(also(along), counting(then), cells) is None:
            then, number = also(along), number + 1
    written = then[len(log.entries) :]
    after = counting(then)
    answers = [d for d in log.entries if d.kind is not DecisionKind.UNDO]
    return TakenBack(
        written,
        [d for d in answers if d.key in counts and d.key not in after],
        [d for d in answers if d.key in after and d.key not in counts],
    )


def _sides(then: Sequence[Decision], along: Sequence[Decision]) -> tuple[list[Decision], list[Decision]]:
    """Return which entries take a pin away when they are taken back, and which bring one."""
    pins = {d.key for d in live(then) if d.kind in PINNING}
    giving = [
        one
        for one in along
        if not {d.key for d in live([*then, undoing(then, one, "", key="")]) if d.kind in PINNING} <= pins
    ]
    return [one for one in along if one not in giving], giving


def _conflict(then: Sequence[Decision], counted: set[str], cells: Callable[[str], Detections]) -> Exception | None:
    """Return the error of the first pin that counts again and that others exclude, None if there is none."""
    standing = live(then)
    again = [d for d in standing if d.key not in counted and d.kind in PINNING]
    for dataset in {d.dataset for d in again}:
        pins = PinSet()
        detections = cells(dataset)
        others = [d for d in standing if d.key in counted]
        for answer in pinning_answers(others, dataset, detections)[0]:
            pins.add(answer)
        for answer in attached([d for d in again if d.dataset == dataset], detections)[0]:
            if clashes := pins.clashes(answer):
                return refusal(answer.decision, clashes)
            pins.add(answer)
    return None


def undoing(said: Sequence[Decision], old: Decision, who: str, *, key: str) -> Decision:
    """Return the entry that takes one back, behind all that was said."""
    return Decision(
        seq=next_seq(said),
        key=key,
        at=moment(said),
        who=who,
        kind=DecisionKind.UNDO,
        dataset=old.dataset,
        undo_of=old.key,
    )


def next_seq(said: Sequence[Decision]) -> int:
    """Return the number of the next entry."""
    return 1 + max((d.seq for d in said), default=0)


def moment(said: Sequence[Decision]) -> datetime:
    """Return the time in whole seconds; never before the last entry, for the order of the log is that of its times."""
    return max([now().replace(microsecond=0), *(d.at for d in said[-1:])])


def companion_key(key: str, number: int) -> str:
    """Return the key of the n-th entry that is written because of another one, from 1."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key} {number}"))


def companions(log: DecisionLog, decision: Decision) -> Iterator[Decision]:
    """Yield what was written because of an entry, in order."""
    for number in count(1):
        along = log.find(companion_key(decision.key, number))
        if along is None:
            return
        yield along


def newest_answer(log: DecisionLog, who: str, dataset: str | None = None) -> Decision:
    """Return the newest answer of a person that counts, and was not written because of another.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    own = [d for d in live(log.entries) if d.who == who and dataset in (None, d.dataset)]
    along = _along(log, own)
    for decision in reversed(own):
        if decision.key not in along:
            return decision
    raise MissingRowsError(f"{who} has said nothing that could be taken back")


def newest_undoing(log: DecisionLog, who: str, dataset: str | None = None) -> Decision:
    """Return the newest undoing of an answer by a person that counts; none where he answered anew since.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    own = [d for d in log.entries if d.who == who and dataset in (None, d.dataset)]
    counts, along = counting(log.entries), _along(log, own)
    for decision in reversed(own):
        if decision.key in along:
            continue
        if decision.undo_of is None:
            break
        undone = log.find(decision.undo_of)
        if decision.key in counts and undone is not None and undone.kind is not DecisionKind.UNDO:
            return decision
    raise MissingRowsError(f"{who} has taken nothing back since the last answer")


def _along(log: DecisionLog, own: Sequence[Decision]) -> set[str]:
    return {along.key for decision in own for along in companions(log, decision)}


def found(said: Sequence[Decision], which: int | str) -> Decision:
    """Return the entry with a number, or whose key begins so.

    Raises
    ------
    MissingRowsError
        If there is none.
    ConfigError
        If there are several.
    """
    if isinstance(which, int):
        hits = [d for d in said if d.seq == which]
    elif not which.strip():  # every key begins so
        raise ConfigError("undo of which annotation?", expected="its number, or how its key begins")
    else:
        hits = [d for d in said if d.key == which] or [d for d in said if d.key.startswith(which)]
    if len(hits) > 1:
        raise ConfigError(f"{which!r} tells no annotation from others", known=", ".join(d.key for d in hits))
    if not hits:
        raise MissingRowsError(f"there is no annotation {which}", **{"try": "trackdb annotations STORE lists them"})
    return hits[0]
