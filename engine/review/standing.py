"""What an open review knows of each cell, rewritten only where an answer changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...solvers.posterior.doubts import Doubts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...solvers.posterior.conditioning import OpenPosterior, Touched

    Ints = NDArray[np.int64]
    Before = list[tuple[NDArray[np.generic], Ints, NDArray[np.generic]]]


class Standing:
    """The questions about n cells, by rows of the detections.

    Parameters
    ----------
    found : OpenPosterior
        Where the probabilities stand, answers among them.
    told : (n,) bool
        Cells that it tells of; it may change.
    optional : bool
        Whether detections may be no cells: one that may have neither mother nor daughter ties its two roles.

    Attributes
    ----------
    doubts : Doubts
        What is in doubt now; to be read only.
    """

    def __init__(self, found: OpenPosterior, told: NDArray[np.bool_], *, optional: bool = False) -> None:
        self._found, self._told, self._optional = found, told, optional
        self.doubts = Doubts.none(len(told), found.n_links)
        every = np.arange(len(told))
        found.judge(told, every, every, every, self.doubts, optional)

    def judge(self, touched: Touched) -> tuple[Ints, Before]:
        """Find out what is asked now about all groups that hold touched cells, before or after.

        Returns
        -------
        mothers : (k,) int64
            Rows of the cells whose question was judged anew; all others are as they were.
        before : list
            What stood there; see `restore`.
        """
        mothers, daughters = self._around(touched.mothers, touched.daughters)
        doubts = self.doubts
        columns = doubts.entropy, doubts.doubt, doubts.children, doubts.piece, doubts.errors
        before: Before = [(column, mothers, column[mothers]) for column in columns]
        links = self._found.links_leaving(mothers)
        before.append((doubts.daughter_piece, daughters, doubts.daughter_piece[daughters]))
        before.append((doubts.likely, links, doubts.likely[links]))
        self._found.judge(self._told, touched.mothers, mothers, daughters, doubts, self._optional)
        return mothers, before

    def _around(self, mothers: Ints, daughters: Ints) -> tuple[Ints, Ints]:
        """Return the mothers and daughters of all groups that hold some of these, and these themselves."""
        piece, daughter_piece = self.doubts.piece, self.doubts.daughter_piece
        wanted = np.zeros(len(piece) + 1, dtype=bool)
        wanted[piece[mothers]] = wanted[daughter_piece[daughters]] = True
        if self._optional:  # who is a daughter here may tie in what she does as a mother
            wanted[piece[daughters]] = wanted[daughter_piece[mothers]] = True
        wanted[-1] = False  # where there is no group
        of_mothers, of_daughters = wanted[piece], wanted[daughter_piece]
        of_mothers[mothers] = of_daughters[daughters] = True
        return np.flatnonzero(of_mothers), np.flatnonzero(of_daughters)


def restore(before: Before) -> None:
    """Write back what stood there."""
    for column, rows, values in before:
        column[rows] = values
