"""What an open review knows of each cell, rewritten only where an answer changes it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .questions import CellQuestions

    Ints = NDArray[np.int64]
    Before = list[tuple[NDArray[np.generic], Ints, NDArray[np.generic]]]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The questions about n cells, by rows of the detections.

    Parameters
    ----------
    entropy, doubt, children : (n,) float64
        As of `CellQuestions`; 0 for cells that are not asked about.
    reduction : (n,) float64
        Expected error reduction, NaN where it is not known.
    piece, daughter_piece : (n,) int64
        Piece of each cell as a mother and as a daughter, -1 where it has none.
    """

    entropy: NDArray[np.float64]
    doubt: NDArray[np.float64]
    children: NDArray[np.float64]
    reduction: NDArray[np.float64]
    piece: Ints
    daughter_piece: Ints

    @classmethod
    def of(cls, n: int) -> Standing:
        """Return that of cells of which nothing is asked."""
        entropy, doubt, children = np.zeros((3, n))
        piece, daughter_piece = np.full((2, n), -1)
        return cls(entropy, doubt, children, np.full(n, np.nan), piece, daughter_piece)

    def around(self, mothers: Ints, daughters: Ints) -> tuple[Ints, Ints]:
        """Return the mothers and daughters of all pieces that hold some of these, and these themselves."""
        numbers = np.unique(np.concatenate([self.piece[mothers], self.daughter_piece[daughters]]))
        numbers = numbers[numbers >= 0]
        mine, theirs = _among(self.piece, numbers), _among(self.daughter_piece, numbers)
        return np.union1d(mothers, mine), np.union1d(daughters, theirs)

    def rewrite(
        self, mothers: Ints, daughters: Ints, asked: CellQuestions, asked_rows: Ints, daughter_rows: Ints
    ) -> Before:
        """Write anew what is known of the cells of some pieces, and return what stood there.

        Parameters
        ----------
        mothers, daughters : int64
            Rows of all cells of these pieces.
        asked : CellQuestions
            What is asked about them now.
        asked_rows, daughter_rows : int64
            Rows of its cells, and of its daughters.
        """
        before: Before = []
        for part in fields(self):
            column = getattr(self, part.name)
            rows = daughters if part.name == "daughter_piece" else mothers
            before.append((column, rows, column[rows]))
        new = 1 + max(self.piece.max(initial=-1), self.daughter_piece.max(initial=-1))
        for column in (self.entropy, self.doubt, self.children):
            column[mothers] = 0.0
        self.reduction[mothers] = np.nan
        self.piece[mothers] = self.daughter_piece[daughters] = -1
        self.entropy[asked_rows], self.doubt[asked_rows] = asked.entropy_bits, asked.doubt
        self.children[asked_rows] = asked.children
        self.piece[asked_rows] = asked.piece + new
        self.daughter_piece[daughter_rows] = asked.daughter_piece + new
        return before


def restore(before: Before) -> None:
    """Write back what stood there."""
    for column, rows, values in before:
        column[rows] = values


def _among(column: Ints, numbers: Ints) -> Ints:
    """Return where a column of numbers from -1 on holds one of these."""
    wanted = np.zeros(column.max(initial=-1) + 2, dtype=bool)
    wanted[numbers[numbers < len(wanted) - 1]] = True  # the last entry is that of -1
    return np.flatnonzero(wanted[column])
