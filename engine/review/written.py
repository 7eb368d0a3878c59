"""The questions of an open review as they are told: written once, and anew where an answer changed them.

Links that annotations force are no longer among what the posterior weighs; here they are part of what a cell does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...solvers.posterior.outcomes import HowWeighed
from ...storage.posteriors import HOW
from .queue import Listed, items_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...solvers.pins import PinnedProblem
    from ...solvers.posterior.conditioning import OpenPosterior
    from ...solvers.problem import TrackingProblem
    from .queue import Question

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """What a review compares with: the solution, and what people said before.

    Parameters
    ----------
    posterior, solution : str
        Names for the list.
    source, target : (l,) int64
        Numbers of the cells that the links of the solution join.
    part : (n,) bool
        Cells that are part of the solution.
    answered : (n,) bool
        Cells of which people said what they do, or that they cannot tell.
    optional : bool
        Whether it was left to the solution which detections are cells.
    """

    posterior: str
    solution: str
    source: Ints
    target: Ints
    part: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    optional: bool = False


class WrittenQuestions:
    """What n cells may do, as questions to people; cells are given by their rows.

    Parameters
    ----------
    found : OpenPosterior
        Where the probabilities stand, answers among them.
    problem : TrackingProblem
        What it is of.
    ids : (n,) int64
        Numbers of the cells, increasing.
    reported : Reported
        What questions are compared with.
    forced : two of (n,) int64
        As of `forced_daughters`.
    """

    def __init__(
        self,
        found: OpenPosterior,
        problem: TrackingProblem,
        ids: NDArray[np.int64],
        reported: Reported,
        forced: tuple[Ints, Ints],
    ) -> None:
        self._found, self._ids, self._frame, self._part = found, ids, problem.frame, reported.part
        self._forced = forced
        self._how = found.marginals().how_cell.copy()
        self._how[forced[0] >= 0] = HowWeighed.EXACT
        self._daughter = np.append(ids[problem.target], -1)  # of each link; -1 stays -1
        by_mother = np.argsort(reported.source, kind="stable")
        self._links = reported.source[by_mother], reported.target[by_mother]
        self._written: dict[int, Question] = {}

    def one(self, row: int) -> Question:
        """Return the question of a cell, as the first of a list that tells nothing of what answers are worth."""
        return items_of(self.told(np.array([row])), None)[0]

    def listed(
        self, rows: Ints, worth: NDArray[np.float64] | None, worth_how: NDArray[np.uint8] | None
    ) -> list[Question]:
        """Return the questions of a list; those that no answer changed are as they were written before.

        Parameters
        ----------
        rows : (q,) int64
            The cells, the first first.
        worth : (q,) float64 or None
            Wrong links that an answer takes away on average.
        worth_how : (q,) uint8 or None
            A `HowWeighed` of each of these.
        """
        lacking = [row for row in rows.tolist() if row not in self._written]
        if lacking:
            found = items_of(self.told(np.array(lacking)), None)
            self._written.update(zip(lacking, found, strict=True))
        fewer = [None] * len(rows) if worth is None else worth.tolist()
        known = [None] * len(rows) if worth_how is None else [HOW[how] for how in worth_how.tolist()]
        for place, (row, value, how) in enumerate(zip(rows.tolist(), fewer, known, strict=True), start=1):
            question = self._written[row]
            if (question.rank, question.expected_error_reduction, question.worth_how) != (place, value, how):
                self._written[row] = replace(question, rank=place, expected_error_reduction=value, worth_how=how)
        return [self._written[row] for row in rows.tolist()]

    def forget(self, rows: Ints) -> None:
        """Write the questions of some cells anew when they are listed next."""
        for row in rows.tolist():
            self._written.pop(row, None)

    def told(self, rows: Ints) -> Listed:
        """Return what a list tells of cells, links that annotations force in among their outcomes."""
        found = self._found.outcomes(rows)
        owner = np.repeat(rows, np.diff(found.first))
        one, two = (
            np.where(forced[owner] >= 0, forced[owner], self._daughter[link])
            for forced, link in zip(self._forced, (found.a, found.b), strict=True)
        )
        return Listed(
            cell=self._ids[rows],
            frame=self._frame[rows],
            first=found.first,
            a=np.where(two >= 0, np.minimum(one, two), one),
            b=np.where(two >= 0, np.maximum(one, two), two),
            probability=found.probability,
            how=self._how[rows],
            chosen=self._chosen(rows),
        )

    def _chosen(self, rows: Ints) -> list[tuple[int, ...] | None]:
        """Return the daughters of cells in the solution, None where they are not part of it."""
        source, target = self._links
        begin, end = (np.searchsorted(source, self._ids[rows] + more).tolist() for more in (0, 1))
        part = self._part[rows].tolist()
        spans = zip(begin, end, part, strict=True)
        return [tuple(sorted(target[a:b].tolist())) if there else None for a, b, there in spans]


def forced_daughters(left: PinnedProblem, ids: NDArray[np.int64]) -> tuple[Ints, Ints]:
    """Return the numbers of the daughters that annotations force on each of n cells: the first, the second.

    Parameters
    ----------
    left : PinnedProblem
        What annotations leave open, and what they force.
    ids : (n,) int64
        Numbers of the cells.

    Returns
    -------
    first, second : (n,) int64
        -1 for none.
    """
    links = np.flatnonzero(left.forced)
    links = links[np.argsort(left.asked.source[links], kind="stable")]
    mother, daughter = left.asked.source[links], ids[left.asked.target[links]]
    again = np.diff(mother, prepend=-1) == 0
    first, second = np.full((2, len(ids)), -1)
    first[mother[~again]], second[mother[again]] = daughter[~again], daughter[again]
    return first, second
