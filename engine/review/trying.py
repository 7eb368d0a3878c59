"""What an answer would do, if it were given: an open review is told of it, looked at, and brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..annotations.pins import Answer
from .queue import Outcome
from .saying import Change, Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        after = {at: followed.review.question(at) for at in others}
        left, fewer = followed.review.in_doubt, followed.review.expected_errors if calibrated else None
    changes = []
    for at, question in after.items():
        before, then = followed.review.outcomes(at), {o.cells: o.probability for o in question.outcomes}
        settled = bool(doubt[row_of(at)] and not left[row_of(at)])
        change = Change(at, question.frame, _likeliest(before), _likeliest(then), settled)
        if change.flips or abs(change.after.probability - change.before.probability) >= SEEN:
            changes.append(change)
    changes.sort(key=lambda c: (not c.flips, -abs(c.after.probability - c.before.probability), c.cell))
    return Effect(changes, None if fewer is None or wrong is None else fewer - wrong)


def _likeliest(outcomes: Mapping[tuple[int, ...], float]) -> Outcome:
    """Return the outcome that is likeliest, the first of equals."""
    daughters = max(outcomes, key=lambda key: outcomes[key])
    return Outcome(daughters, outcomes[daughters])
