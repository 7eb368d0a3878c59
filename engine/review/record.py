"""What the log tells of a review: whether people agree with the solver and with each other, and what can come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...storage.decisions import DecisionKind
from ..annotations.pins import PINNING
from ..annotations.undoing import companion_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ...storage.decisions import Decision

    Apart = tuple[int, int | None, list[tuple[Decision, bool]]]


def agreed_in_a_row(own: Sequence[Decision], solved: Callable[[int], tuple[int, ...] | None], most: int) -> int:
    """Return how many of the last choices are those of the solver, without one that is not.

    Parameters
    ----------
    own : sequence of Decision
        Entries of a person that count, in their order.
    solved : callable
        Returns the daughters of a cell in the solution.
    most : int
        It is not counted further.
    """
    count = 0
    for d in reversed(own):
        if d.kind is not DecisionKind.CHOOSE or d.cell is None or count >= most:
            break
        if tuple(sorted(daughter.id for daughter in d.daughters or ())) != solved(d.cell.id):
            break
        count += 1
    return count


def can_redo(entries: Sequence[Decision], who: str, counts: Collection[str]) -> bool:
    """Tell whether a person took something back since his last answer, other than by that answer itself.

    Parameters
    ----------
    entries : sequence of Decision
        The log.
    who : str
        The person.
    counts : collection of str
        Keys of the entries that count.
    """
    return taken_back(entries, who, counts) is not None


def taken_back(entries: Sequence[Decision], who: str, counts: Collection[str]) -> Decision | None:
    """Return what a person took back last, None if nothing since his last answer; parameters as of `can_redo`."""
    undoings = {d.key for d in entries if d.kind is DecisionKind.UNDO}
    found: list[Decision] = []
    companions: set[str] = set()
    for d in reversed(entries):
        if d.who != who:
            continue
        if d.kind is not DecisionKind.UNDO:
            companions = {companion_key(d.key, number + 1) for number in range(len(found))}
            break
        if d.key in counts and d.undo_of not in undoings:
            found.append(d)
    last = next((d.undo_of for d in found if d.key not in companions), None)
    return next((d for d in entries if d.key == last), None)


def said_by(entry: Decision, by_key: Mapping[str, Decision]) -> tuple[Decision, bool]:
    """Return the answer that an entry is about in the end, and whether the entry takes it back.

    Parameters
    ----------
    entry : Decision
        An answer, its undoing, the undoing of that, and so on.
    by_key : mapping of str to Decision
        The log; where it lacks what was undone, the undoing itself is returned.
    """
    undone = False
    while entry.undo_of is not None and entry.undo_of in by_key:
        entry, undone = by_key[entry.undo_of], not undone
    return entry, undone


def apart(entries: Sequence[Decision], dataset: str, counts: Collection[str]) -> list[Apart]:
    """Return the cells of a dataset of which people said last what is not the same.

    Returns
    -------
    list of (int, int or None, list of (Decision, bool))
        Number of the cell, its frame, and all that was said of it, each with whether it was taken back.
    """
    by_cell: dict[int, list[Decision]] = {}
    for d in entries:
        if d.kind in PINNING and d.dataset == dataset and d.cell is not None:
            by_cell.setdefault(d.cell.id, []).append(d)
    found: list[Apart] = []
    for cell, said_of in by_cell.items():
        last = {d.who: (d.kind, frozenset(x.id for x in d.daughters or ())) for d in said_of}
        if len(set(last.values())) > 1:
            frame = said_of[0].cell.t if said_of[0].cell else None
            found.append((cell, frame, [(d, d.key not in counts) for d in said_of]))
    return found
