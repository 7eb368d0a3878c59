"""The piece of a lineage around a cell: what the solution says, and where people said otherwise, what they said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...storage.decisions import DecisionKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...storage.decisions import Decision

REACH: Final = 8  # frames before and after the cell
MOST: Final = 400  # cells of a piece


@dataclass(frozen=True, slots=True)
class Relative:
    """A cell of a lineage.

    Parameters
    ----------
    cell, frame : int
        The cell.
    parent : int or None
        Its mother, or itself a frame earlier; None where it has none in the piece.
    pinned : bool
        Whether people said so.
    before, after : bool
        Whether the lineage goes on beyond the piece, back from this cell or ahead.
    """

    cell: int
    frame: int
    parent: int | None
    pinned: bool
    before: bool = False
    after: bool = False


class Descent:
    """Who comes from whom.

    Parameters
    ----------
    ids, frame : (n,) int64
        Numbers of all cells, increasing, and the frame of each.
    source, target : (l,) int64
        Numbers of the cells that the links of the solution join.
    """

    def __init__(
        self,
        ids: NDArray[np.int64],
        frame: NDArray[np.int64],
        source: NDArray[np.int64],
        target: NDArray[np.int64],
    ) -> None:
        self._ids, self._frame = ids, frame
        by_source, by_target = np.argsort(source, kind="stable"), np.argsort(target, kind="stable")
        self._source, self._daughter = source[by_source], target[by_source]
        self._target, self._mother = target[by_target], source[by_target]
        self.heed(())

    def heed(self, standing: Sequence[Decision]) -> None:
        """Know what people said; later words count where two are about one cell."""
        self._chosen: dict[int, tuple[int, ...]] = {}
        self._claimed: dict[int, int | None] = {}  # the parent of a cell as people said it
        self._out: set[tuple[int, int]] = set()
        self._gone: set[int] = set()
        for decision in standing:
            if decision.cell is None:
                continue
            cell, daughters = decision.cell.id, tuple(d.id for d in decision.daughters or ())
            match decision.kind:
                case DecisionKind.CHOOSE:
                    self._chosen[cell] = daughters
                    self._claimed.update(dict.fromkeys(daughters, cell))
                case DecisionKind.REJECT:
                    self._out.update((cell, daughter) for daughter in daughters)
                case DecisionKind.BEGINS:
                    self._claimed[cell] = None
                case DecisionKind.NOT_A_CELL:
                    self._gone.add(cell)

    def solved(self, cell: int) -> tuple[int, ...]:
        """Return the daughters of a cell in the solution."""
        begin, end = np.searchsorted(self._source, [cell, cell + 1])
        return tuple(sorted(self._daughter[begin:end].tolist()))

    def daughters(self, cell: int) -> tuple[int, ...]:
        """Return the daughters of a cell, what people said included."""
        if cell in self._chosen:
            return self._chosen[cell]
        return tuple(daughter for daughter in self.solved(cell) if self._may(cell, daughter))

    def mother(self, cell: int) -> int | None:
        """Return the mother of a cell, what people said included; of several the first."""
        if cell in self._claimed:
            return self._claimed[cell]
        begin, end = np.searchsorted(self._target, [cell, cell + 1])
        mothers = [m for m in self._mother[begin:end].tolist() if m not in self._chosen and self._may(m, cell)]
        return mothers[0] if mothers else None

    def around(self, cell: int, *, history: bool = False) -> list[Relative]:
        """Return the piece of the lineage around a cell, mothers before their daughters.

        Parameters
        ----------
        cell : int
            Number of the cell.
        history : bool
            Leave out whatever comes of it, and of its ancestors beside it.
        """
        frame = self._frame_of(cell)
        line = [cell]
        while (up := self.mother(line[-1])) is not None and self._frame_of(up) >= frame - REACH:
            line.append(up)
        below: Callable[[int], Sequence[int]] = self.daughters
        if history:
            on_the_way = dict(zip(line[1:], line[:-1], strict=True))
            below = lambda at: (on_the_way[at],) if at in on_the_way else ()  # noqa: E731
        found = [self._relative(line[-1], None, before=up is not None)]
        waiting = [line[-1]]
        while waiting and len(found) < MOST:
            at = waiting.pop(0)
            for daughter in below(at):
                if self._frame_of(daughter) > frame + REACH:
                    continue
                after = not history and any(self._frame_of(d) > frame + REACH for d in self.daughters(daughter))
                found.append(self._relative(daughter, at, after=after))
                waiting.append(daughter)
        return found

    def _relative(self, cell: int, parent: int | None, *, before: bool = False, after: bool = False) -> Relative:
        pinned = parent is not None and cell in self._chosen.get(parent, ())
        return Relative(cell, self._frame_of(cell), parent, pinned, before, after)

    def _may(self, mother: int, daughter: int) -> bool:
        """Tell whether nothing that people said excludes a link of the solution."""
        said = self._claimed.get(daughter, mother)
        return said == mother and (mother, daughter) not in self._out and not {mother, daughter} & self._gone

    def _frame_of(self, cell: int) -> int:
        return int(self._frame[np.searchsorted(self._ids, cell)])
