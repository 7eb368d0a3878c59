"""What a solution that is newer than the questions changed, told cell by cell, so that a person can look at each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections
    from .material import Material

    Ints = NDArray[np.int64]


class Moved(NamedTuple):
    """A cell that does something else than before: its number, its frame, the daughters it lost, and those it got."""

    cell: int
    frame: int
    gone: tuple[int, ...]
    new: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a newer solution changed.

    Parameters
    ----------
    before, after : str
        Names of the solution that was reviewed, and of the newer one.
    gone, new : int
        Links that the first has alone, and those that the second has.
    moved : list of Moved
        The cells that these links leave, by their numbers.
    comparable : bool
        Whether they are of the same detections; nothing more is told where they are not.
    """

    before: str
    after: str
    gone: int
    new: int
    moved: list[Moved]
    comparable: bool = True


class Resolves:
    """Looks whether a store was solved again since a review of it was opened.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    dataset : str or None
        Of which movie.
    """

    def __init__(self, store: DuckDBStore, dataset: str | None) -> None:
        self._store, self._dataset = store, dataset
        self._newest = store.find_solution(dataset)[1].id
        self.last: Resolved | None = None

    def look(self, material: Material) -> Resolved | None:
        """Return what the newest solution changed of what is reviewed, None where it was told or is not newer.

        Raises
        ------
        StoreLockedError
            If another process is writing.
        """
        with self._store.reading():  # one connection for all that is read here
            _, newest = self._store.find_solution(self._dataset)
            if newest.id == self._newest:
                return None
            before = material.revision.solution
            found = None
            if newest.id > before.id and newest.set_id == before.set_id:
                ends = material.followed.movie.source, material.followed.movie.target
                found = resolved(material.detections, before.name, ends, newest.name, self._store.link_ends(newest))
            elif newest.id > before.id:
                found = Resolved(before.name, newest.name, 0, 0, [], comparable=False)
        self._newest, self.last = newest.id, found
        return found


def resolved(
    detections: Detections, before: str, ends_before: tuple[Ints, Ints], after: str, ends_after: tuple[Ints, Ints]
) -> Resolved:
    """Compare two solutions of the same detections by the numbers of the cells that their links join."""
    gone, new = _without(ends_before, ends_after), _without(ends_after, ends_before)
    mothers = sorted({*gone, *new})
    frames = detections.frame[np.searchsorted(detections.id, mothers)].tolist() if mothers else []
    moved = [
        Moved(mother, frame, tuple(gone.get(mother, ())), tuple(new.get(mother, ())))
        for mother, frame in zip(mothers, frames, strict=True)
    ]
    return Resolved(before, after, sum(map(len, gone.values())), sum(map(len, new.values())), moved)


def _without(links: tuple[Ints, Ints], others: tuple[Ints, Ints]) -> dict[int, list[int]]:
    """Return the links that are not among others: the daughters of each mother."""
    (source, target), (other_source, other_target) = links, others
    factor = 1 + max((int(ids.max(initial=0)) for ids in (target, other_target)), default=0)
    alone = ~np.isin(source * factor + target, other_source * factor + other_target)
    found: dict[int, list[int]] = {}
    order = np.lexsort((target[alone], source[alone]))
    for mother, daughter in zip(source[alone][order].tolist(), target[alone][order].tolist(), strict=True):
        found.setdefault(mother, []).append(daughter)
    return found
