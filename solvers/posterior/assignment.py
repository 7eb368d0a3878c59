"""A tracking problem as a choice of parents: a daughter takes a mother or begins, a mother pays for her children.

Where every cell is kept, what is left to decide is one parent for each cell, over all frames and gaps at once. With
p(j) the mother of daughter j or none, and k_i the number of children of mother i,

    cost(p) = base + sum_{j: p(j) is a mother} c_j,p(j) + sum_i g_i(k_i),    g_i(0) = 0,  k_i in {0, 1, 2}

A link costs its edge less the beginning that it saves, a first child minus the disappearance, a second child the
division. Where a second child changes no less than a first one (the cost of children is convex), this is a sparse
assignment of daughters to the two places of each mother. A map p stands for one lineage: two daughters that change
places are no other map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import SchemaError
from ..augment import turn
from ..problem import FORBIDDEN, KEPT, SCALE, GridProblem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem


class Choices(NamedTuple):
    """What d daughters may choose among m mothers, in millionths.

    The k options of daughter j stand at ``first[j] .. first[j + 1] - 1``: mother, and cost against beginning, which
    is open to her where `may_begin`. The options that lead to mother i are ``into[into_first[i] ..]``, their daughters
    `into_daughter`. A mother's first child changes `one`, her second `two`, which is no less.
    """

    first: NDArray[np.int64]
    mother: NDArray[np.int32]
    cost: NDArray[np.int64]
    may_begin: NDArray[np.bool_]
    one: NDArray[np.int64]
    two: NDArray[np.int64]
    into_first: NDArray[np.int64]
    into: NDArray[np.int64]
    into_daughter: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class AssignmentProblem:
    """The parents that the cells of a tracking problem may choose.

    Parameters
    ----------
    choices : Choices
        Of n daughters among n mothers: both are the cells of the problem, by row. Options are ordered by mother.
    link : (k,) int64
        Row in the problem of the link that each option takes.
    cell : (n,) bool
        Whether the problem keeps the detection; those that it forbids choose nothing and have no children.
    n_links : int
        Links in the problem; those of forbidden detections are no option.
    base : int
        What it costs, in millionths, that all cells begin and end.
    """

    choices: Choices
    link: NDArray[np.int64]
    cell: NDArray[np.bool_]
    n_links: int
    base: int

    @classmethod
    def of(cls, problem: TrackingProblem) -> AssignmentProblem:
        """Read a tracking problem as a choice of parents.

        Raises
        ------
        SchemaError
            If that is not all there is to choose: optional detections, pairs or conflicts; or if a mother of several
            daughters gains by having two at once (division + disappearance below 0), where no assignment is exact.
        """
        _refuse(problem)
        grid = GridProblem.of(problem)
        n = problem.n_nodes
        cell = grid.pinned == KEPT
        source = np.repeat(np.arange(n), np.diff(grid.first))
        rows = np.flatnonzero(cell[source] & cell[grid.target])
        target = grid.target[rows]
        into_first = np.searchsorted(source[rows], np.arange(n + 1)).astype(np.int64)
        first, edge, mother = turn(into_first, target, n)
        into = np.empty(len(rows), dtype=np.int64)
        into[edge] = np.arange(len(rows))

        one, two = -grid.disappear, grid.division
        several = np.diff(into_first) > 1
        gains = several & (two < one)
        if gains.any():
            at = int(np.argmax(gains))
            raise SchemaError(
                f"detection {at} gains by dividing at once: division {problem.division_cost[at]:g} + disappearance "
                f"{problem.disappear_cost[at]:g} is below 0, so no list of assignments is exact",
                use="marginals, or costs of division of at least minus the disappearance",
            )
        two = np.where(several, two, np.maximum(one, two))  # a mother of one candidate never has a second child
        cost = grid.edge[rows][edge] - np.repeat(grid.appear, np.diff(first))
        choices = Choices(first, mother, cost, cell.copy(), one, two, into_first, into, target)
        link = rows[edge] if grid.order is None else grid.order[rows[edge]]
        base = int((grid.node + grid.appear + grid.disappear)[cell].sum())
        return cls(choices, link, cell, problem.n_edges, base)

    @property
    def n_cells(self) -> int:
        """Number of detections of the problem."""
        return len(self.cell)

    def change(self, option: NDArray[np.int64]) -> int:
        """Return what a map costs against `base`, in millionths; (n,) options, -1 where a cell begins."""
        taken = option[option >= 0]
        children = np.bincount(self.choices.mother[taken], minlength=self.n_cells)
        ends = self.choices.one[children >= 1].sum() + self.choices.two[children >= 2].sum()
        return int(self.choices.cost[taken].sum() + ends)

    def links(self, option: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the links that a map takes, (n,) int64; -1 where a cell begins."""
        row = np.full(len(option), -1, dtype=np.int64)
        row[option >= 0] = self.link[option[option >= 0]]
        return row


def in_costs(millionths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whole millionths as costs."""
    return millionths / SCALE


def _refuse(problem: TrackingProblem) -> None:
    """Raise SchemaError where a problem chooses more than parents."""
    optional = (problem.pinned_node != KEPT) & (problem.pinned_node != FORBIDDEN)
    for refused, what in (
        (optional.any(), f"detection {int(np.argmax(optional)) if len(optional) else 0} is optional"),
        (problem.pairs is not None, "daughters have a cost of their own in pairs"),
        (problem.conflicts is not None, "detections exclude each other"),
    ):
        if refused:
            raise SchemaError(
                f"{what}: frames do not fall apart into choices of parents",
                use="perturb-and-MAP, or a problem whose cells are kept (pinned_node 1)",
            )
