"""What a review knows of the decision log: all entries, which of them count, and which of those settle something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...storage.decisions import DecisionKind, counting
from ..annotations.pins import attached, by_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...storage.decisions import Decision
    from ...storage.schema import Detections
    from ..annotations.answers import Annotator


class KnownLog:
    """The log as it was read last, by the numbers that cells have now.

    Parameters
    ----------
    annotator : Annotator
        Reads it.
    dataset : str
        The movie.
    detections : Detections
        Its cells.

    Attributes
    ----------
    entries : list of Decision
        All of them, of all movies, oldest first.
    n_entries : int
        How many were read since the beginning; it never falls. A log that was copied into the store has numbers of its
        own (`Decision.seq`), so these do not tell what came when.
    keys, counts : set of str
        Their keys, and the keys of those that nobody took back.
    standing : list of Decision
        What counts about this movie, undoings apart.
    settled : list of Decision
        That of it which no other excludes.
    """

    def __init__(self, annotator: Annotator, dataset: str, detections: Detections) -> None:
        self._annotator, self._dataset, self._detections = annotator, dataset, detections
        self._placed: dict[str, Decision] = {}
        self._lost: set[str] = set()
        self.keys: set[str] = set()
        self.n_entries = 0
        self.read()

    def read(self) -> None:
        """Read what was written since."""
        self.entries = self._annotator.entries()
        keys = {d.key for d in self.entries}
        self.n_entries += len(keys - self.keys)
        self.keys = keys
        self.counts = counting(self.entries)
        said = [d for d in self.entries if d.key in self.counts and d.kind is not DecisionKind.UNDO]
        self.standing = self._by_numbers([d for d in said if d.dataset == self._dataset])
        disputed = self._annotator.in_dispute()
        self.settled = [d for d in self.standing if d.key not in disputed]

    @property
    def unattached(self) -> list[Decision]:
        """What counts about cells that are not among these detections."""
        return [d for d in self.standing if d.key in self._lost]

    def of(self, who: str) -> list[Decision]:
        """Return what counts of what a person said."""
        return [d for d in self.standing if d.who == who]

    def placed(self, entry: Decision) -> Decision | None:
        """Return an entry, of those taken back too, with the number that its cell has now; None if it is not here."""
        if entry.dataset != self._dataset:
            return None
        [found] = self._by_numbers([entry])
        return None if found.key in self._lost else found

    def _by_numbers(self, said: Sequence[Decision]) -> list[Decision]:
        """Return entries with the numbers that their cells have now; each is looked for once."""
        answers, lost = attached([d for d in said if d.key not in self._placed], self._detections)
        self._placed |= {a.decision.key: by_numbers(a, self._detections.id) for a in answers}
        self._placed |= {d.key: d for d in lost}
        self._lost |= {d.key for d in lost}
        return [self._placed[d.key] for d in said]
