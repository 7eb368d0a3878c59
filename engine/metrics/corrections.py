"""What it takes to turn a tracking into the true one: the measure of the Cell Tracking Challenge, on graphs.

A vertex is a cell, an edge a link. Each operation that corrects the graph costs its weight [1]_; their sum is AOGM,
and TRA, DET and LNK compare it with the cost of building the true graph from nothing.

References
----------
.. [1] Matula et al., "Cell Tracking Accuracy Measurement Based on Comparison of Acyclic Oriented Graphs", PLoS ONE
   2015, with the weights that the challenge uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError
from ...storage.schema import require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLIT: Final = 5.0
"""Weight of a cell of ours that has to be split, for each true cell that it holds beyond the first (NS)."""
MISSED_CELL: Final = 10.0
"""Weight of a true cell to add (FN)."""
FALSE_CELL: Final = 1.0
"""Weight of a cell to delete (FP)."""
FALSE_LINK: Final = 1.0
"""Weight of a link to delete (ED)."""
MISSED_LINK: Final = 1.5
"""Weight of a true link to add (EA)."""
WRONG_KIND: Final = 1.0
"""Weight of a link whose kind has to be changed (EC)."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkGraph:
    """The links of a tracking over numbered cells.

    Parameters
    ----------
    n_cells : int
        Cells 0 .. n_cells - 1.
    source, target : (m,) int64
        Cells that each link ties, each pair once.
    parental : (m,) bool
        Links from a mother to the first cell of a daughter's tracklet; the others go on within a tracklet.
    """

    n_cells: int
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    parental: NDArray[np.bool_]

    def __post_init__(self) -> None:
        require_equal_lengths(source=self.source, target=self.target, parental=self.parental)
        for rows in (self.source, self.target):
            if len(rows) and not 0 <= rows.min() <= rows.max() < self.n_cells:
                raise SchemaError(f"a link speaks of cells {rows.min()} to {rows.max()}, there are {self.n_cells}")


@dataclass(frozen=True, slots=True)
class Corrections:
    """How many operations of each kind turn a tracking into the true one.

    Parameters
    ----------
    splits, missed_cells, false_cells : int
        NS, FN, FP: cells to split, to add and to delete.
    false_links, missed_links, wrong_kinds : int
        ED, EA, EC: links to delete, to add, and to make parental or not.
    n_cells, n_links : int
        Size of the true graph.
    """

    splits: int
    missed_cells: int
    false_cells: int
    false_links: int
    missed_links: int
    wrong_kinds: int
    n_cells: int
    n_links: int

    @property
    def cells_cost(self) -> float:
        """Weighted sum of the operations on cells."""
        return SPLIT * self.splits + MISSED_CELL * self.missed_cells + FALSE_CELL * self.false_cells

    @property
    def links_cost(self) -> float:
        """Weighted sum of the operations on links."""
        return FALSE_LINK * self.false_links + MISSED_LINK * self.missed_links + WRONG_KIND * self.wrong_kinds

    @property
    def aogm(self) -> float:
        """Weighted sum of all operations; 0 is perfect."""
        return self.cells_cost + self.links_cost

    @property
    def aogm_0(self) -> float:
        """What it costs to build the true graph from nothing."""
        return MISSED_CELL * self.n_cells + MISSED_LINK * self.n_links

    @property
    def tra(self) -> float:
        """Tracking accuracy: 1 is perfect, 0 no better than nothing; NaN where nothing is true."""
        return _saved(self.aogm, self.aogm_0)

    @property
    def det(self) -> float:
        """Detection accuracy, from the operations on cells alone; NaN where there are no true cells."""
        return _saved(self.cells_cost, MISSED_CELL * self.n_cells)

    @property
    def lnk(self) -> float:
        """Linking accuracy, from the operations on links alone; NaN where there are no true links."""
        return _saved(self.links_cost, MISSED_LINK * self.n_links)


def count_corrections(
    truth: LinkGraph, ours: LinkGraph, covered_by: NDArray[np.int64], *, sparse: bool = False
) -> Corrections:
    """Count the operations that turn a tracking into the true one.

    Links are judged between cells of ours that are one true cell each. What leads to or from any other cell costs
    nothing by itself, as it goes with the cell; the true links that it stood for are missed.

    Parameters
    ----------
    truth, ours : LinkGraph
        The two trackings.
    covered_by : (truth.n_cells,) int64
        The cell of ours that each true cell is, -1 where there is none. One cell of ours may be several true cells,
        a split that was missed.
    sparse : bool
        The truth knows a part of the cells only: one of ours that is none of them is no error.

    Raises
    ------
    SchemaError
        If the cells do not fit together, or a link is given twice.
    """
    if len(covered_by) != truth.n_cells or covered_by.max(initial=-1) >= ours.n_cells:
        raise SchemaError("the matched cells are not those of the two trackings")
    covered = np.flatnonzero(covered_by >= 0)
    n_held = np.bincount(covered_by[covered], minlength=ours.n_cells)  # true cells in each of ours
    alone = covered[n_held[covered_by[covered]] == 1]
    true_cell = np.full(ours.n_cells, -1, dtype=np.int64)
    true_cell[covered_by[alone]] = alone

    source, target = true_cell[ours.source], true_cell[ours.target]
    judged = (source >= 0) & (target >= 0)
    key, parental = _in_order(truth.n_cells, source[judged], target[judged], ours.parental[judged])
    true_key, true_parental = _in_order(truth.n_cells, truth.source, truth.target, truth.parental)
    place = np.searchsorted(true_key, key)
    right = np.append(true_key, -1)[place] == key
    n_right = int(np.count_nonzero(right))
    return Corrections(
        splits=int(np.maximum(n_held - 1, 0).sum()),
        missed_cells=truth.n_cells - len(covered),
        false_cells=0 if sparse else int(np.count_nonzero(n_held == 0)),
        false_links=len(key) - n_right,
        missed_links=len(true_key) - n_right,
        wrong_kinds=int(np.count_nonzero(parental[right] != true_parental[place[right]])),
        n_cells=truth.n_cells,
        n_links=len(true_key),
    )


def _in_order(
    n: int, source: NDArray[np.int64], target: NDArray[np.int64], parental: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return one increasing number for each link, and which links are parental."""
    key = source * n + target
    order = np.argsort(key)
    key = key[order]
    if np.any(key[1:] == key[:-1]):
        twice = int(key[1:][key[1:] == key[:-1]][0])
        raise SchemaError(f"the link from cell {twice // n} to cell {twice % n} is given twice")
    return key, parental[order]


def _saved(cost: float, from_nothing: float) -> float:
    """Return the share of the cost of building from nothing that a tracking saves."""
    return 1 - min(cost, from_nothing) / from_nothing if from_nothing else float("nan")
