"""The cells and candidates that answers are about, by their rows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InfeasibleError, MissingRowsError
from ...storage import tables
from ...storage.decisions import CellPlace, DecisionKind
from ...storage.families import no_cell_at
from ..candidates import edges_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Detections
    from .pins import Answer


class Cells:
    """The detections of a set and the candidates among them, read when they are first needed.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        The set.
    """

    def __init__(self, store: DuckDBStore, chosen: DetectionSet) -> None:
        self._store, self._set = store, chosen
        self._links: NDArray[np.int64] | None = None

    @cached_property
    def detections(self) -> Detections:
        """All detections of the set, read once."""
        return self._store.detections(self._set)

    def read_candidates(self) -> None:
        """Read all candidates, so that no answer has to open the tables for those of its cell."""
        edges = self._store.candidate_edges(self._set, self.detections)
        self._links = edges.source * len(self.detections) + edges.target

    def cell_at(self, frame: int, label: int) -> int:
        """Return the number of the cell with a label in a frame.

        Raises
        ------
        MissingRowsError
            If there is none.
        """
        cells = self.detections
        first, stop = np.searchsorted(cells.frame, [frame, frame + 1])
        place = np.flatnonzero(cells.label[first:stop] == label)
        if not len(place):
            raise no_cell_at(self._store, self._set, frame, label)
        return int(cells.id[first + place[0]])

    def rows(self, cells: Sequence[int]) -> list[int]:
        """Return the rows of cells, or raise MissingRowsError if one is not in the set."""
        rows = np.searchsorted(self.detections.id, cells)
        for cell, row in zip(cells, rows.tolist(), strict=True):
            if row == len(self.detections) or self.detections.id[row] != cell:
                where = f"{self._set.movie.name} has no cell {cell}"
                raise MissingRowsError(where, **{"try": f'trackdb sql {self._store.path} "from cells limit 10"'})
        return [int(row) for row in rows]

    def require_later(self, rows: list[int]) -> None:
        """Raise InfeasibleError if one of the daughters, which follow their mother, does not come after her."""
        frame, number = self.detections.frame, self.detections.id
        for row in rows[1:]:
            if frame[row] <= frame[rows[0]]:
                raise InfeasibleError(
                    f"cell {number[row]} of frame {frame[row]} cannot come from cell {number[rows[0]]} of frame "
                    f"{frame[rows[0]]}",
                    expected="a later frame",
                )

    def place(self, row: int) -> CellPlace:
        """Return a cell as the log names it."""
        cells = self.detections
        return CellPlace(int(cells.id[row]), int(cells.frame[row]), tuple(cells.position_px[row].tolist()))

    def add_candidates(self, new: Answer, *, add: bool) -> int:
        """Make candidates of what is chosen and is none, if that is wanted; return how many there were."""
        cells = self.detections
        absent = self._no_candidates(new)
        if not absent:
            return 0
        link = f"the link from cell {cells.id[new.cell]} to cell {cells.id[absent[0]]} is no candidate"
        if new.decision.kind is DecisionKind.REJECT:
            raise InfeasibleError(f"{link}: it cannot be chosen, there is nothing to forbid")
        if not add:
            raise InfeasibleError(link, **{"try": "--add-candidate, which makes it one"})
        edges = edges_of(cells, np.full(len(absent), new.cell), np.array(sorted(absent)))
        named = {"source": int(cells.id[new.cell]), "targets": cells.id[sorted(absent)].tolist()}
        with self._store.running("annotate", f"candidates of {named['source']}", named, chosen=self._set) as run:
            self._store.add_candidates(run, self._set, cells, edges, {"edges": len(edges)})
        return len(edges)

    def _no_candidates(self, new: Answer) -> list[int]:
        """Return the rows of the daughters to which no candidate leads; the graph only grows, so some are known."""
        cells = self.detections
        if self._links is not None:
            wanted = new.cell * len(cells) + np.array(new.daughters, dtype=np.int64)
            place = np.minimum(np.searchsorted(self._links, wanted), max(len(self._links) - 1, 0))
            if len(self._links) and np.all(self._links[place] == wanted):
                return []
        e = tables.edge
        mine = e.select().with_only_columns(e.c.target).where(e.c.source == int(cells.id[new.cell]), e.c.candidate)
        with self._store.reading() as connection:
            known = set(connection.execute(mine.where(e.c.set_id == self._set.id)).scalars())
        return [row for row in new.daughters if int(cells.id[row]) not in known]
