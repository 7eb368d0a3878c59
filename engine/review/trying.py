"""What an answer would do, if it were given: an open review is told of it, looked at, and brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..annotations.pins import Answer
from .saying import Change, Effect

if TYPE_CHECKING:
    from ...storage.decisions import Decision
    from .material import Material

SEEN: Final = 0.005  # a probability that changes by less looks the same


def effect_of(material: Material, entry: Decision, *, calibrated: bool) -> Effect:
    """Return what an answer would do to other questions, and to the errors that are expected.

    Parameters
    ----------
    material : Material
        The review.
    entry : Decision
        The answer.
    calibrated : bool
        Whether expected errors are told.

    Raises
    ------
    InfeasibleError
        If what counts excludes it.
    MissingRowsError
        If there is no such cell.
    """
    row_of, followed = material.candidates.row, material.followed
    cell, *daughters = (row_of(place.id) for place in (entry.cell, *(entry.daughters or ())) if place is not None)
    doubt, wrong = followed.review.in_doubt, followed.review.expected_errors if calibrated else None
    with followed.trying(Answer(entry, cell, tuple(daughters))) as touched:
        others = sorted(touched - {int(material.detections.id[cell])})
        after = followed.review.likeliest(others)
        left, fewer = followed.review.in_doubt, followed.review.expected_errors if calibrated else None
    changes = []
    frames = material.detections.frame
    for at, before, then in zip(others, followed.review.likeliest(others), after, strict=True):
        row = row_of(at)
        change = Change(at, int(frames[row]), before, then, bool(doubt[row] and not left[row]))
        if change.flips or abs(change.after.probability - change.before.probability) >= SEEN:
            changes.append(change)
    changes.sort(key=lambda c: (not c.flips, -abs(c.after.probability - c.before.probability), c.cell))
    return Effect(changes, None if fewer is None or wrong is None else fewer - wrong)
