"""A question as it is put to a person: what the cell may do, what is around it, and what he is not to know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...storage.schema import row_of_cell
from .queue import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from .live import OpenReview
    from .queue import Question

    Ints = NDArray[np.int64]

MOST_OUTCOMES: Final = 9  # there are so many keys
LEAST_RIVAL: Final = 0.005  # a mother that is less likely is none
EXACT: Final = "exact"


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that is offered: the daughters, how likely it is, and whether it is the solver's; None: not told."""

    daughters: tuple[int, ...]
    probability: float | None
    chosen: bool | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A link that could be: its ends, their frames, how likely it is (None: not told), and its length."""

    source: int
    target: int
    source_frame: int
    frame: int
    probability: float | None
    distance: float


@dataclass(frozen=True, slots=True)
class Put:
    """A question as it is put.

    Parameters
    ----------
    cell, frame : int
        The cell.
    blind : bool
        Whether what the posterior and the solver say is not told.
    choices : tuple of Choice
        What is offered, the likeliest first; blind, by the numbers of the daughters. To end is always among them.
    others : float or None
        Probability of what is not offered.
    pairs : tuple of Outcome
        The likeliest divisions that are not offered, so many as there are keys; none where blind.
    chosen : tuple of int or None
        Daughters in the solution; None where the cell is not part of it, and blind.
    entropy_bits, worth : float or None
        Entropy, and expected error reduction where it is known; None where blind.
    how : str or None
        How probabilities were got; None where blind.
    candidates, rivals : tuple of Candidate
        All links that leave the cell, and those of other cells into their targets.
    """

    cell: int
    frame: int
    blind: bool
    choices: tuple[Choice, ...]
    others: float | None
    pairs: tuple[Outcome, ...]
    chosen: tuple[int, ...] | None
    entropy_bits: float | None
    worth: float | None
    how: str | None
    candidates: tuple[Candidate, ...]
    rivals: tuple[Candidate, ...]

    @property
    def approximate(self) -> bool:
        """Whether probabilities are told that are not exact."""
        return self.how is not None and self.how != EXACT


class Candidates:
    """The candidate links of a movie, found by either end.

    Parameters
    ----------
    detections : Detections
        The cells.
    edges : CandidateEdges
        The links.
    """

    def __init__(self, detections: Detections, edges: CandidateEdges) -> None:
        self.ids, self._frame, self._edges = detections.id, detections.frame, edges
        self._by_target = np.argsort(edges.target, kind="stable")
        self._targets = edges.target[self._by_target]

    @property
    def n_links(self) -> int:
        """Number of links."""
        return len(self._targets)

    def row(self, cell: int) -> int:
        """Return the row of a cell.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        """
        return row_of_cell(self.ids, cell)

    def leaving(self, row: int) -> list[Candidate]:
        """Return the links that leave a cell, by its row; how likely they are is not known here."""
        begin, end = np.searchsorted(self._edges.source, [row, row + 1])
        return self._told(np.arange(begin, end))

    def entering(self, row: int) -> list[Candidate]:
        """Return the links into a cell; as `leaving`."""
        begin, end = np.searchsorted(self._targets, [row, row + 1])
        return self._told(np.sort(self._by_target[begin:end]))

    def targets(self, row: int) -> Ints:
        """Return the rows of the cells that a cell may become."""
        begin, end = np.searchsorted(self._edges.source, [row, row + 1])
        return self._edges.target[begin:end]

    def _told(self, rows: Ints) -> list[Candidate]:
        source, target = self._edges.source[rows], self._edges.target[rows]
        columns = self.ids[source], self.ids[target], self._frame[source], self._frame[target]
        told = zip(*(column.tolist() for column in columns), self._edges.distance[rows].tolist(), strict=True)
        return [Candidate(a, b, frame, later, None, distance) for a, b, frame, later, distance in told]


def put(
    review: OpenReview, candidates: Candidates, question: Question, *, blind: bool, shown: Sequence[Outcome] = ()
) -> Put:
    """Return a question as it is put.

    Parameters
    ----------
    review : OpenReview
        What probabilities come from.
    candidates : Candidates
        What the cell may become.
    question : Question
        What is asked.
    blind : bool
        Do not tell what the posterior and the solver say.
    shown : sequence of Outcome
        What is offered in place of the outcomes: of a question that somebody has answered, what he was shown.
    """
    offered = _offered(shown or question.outcomes)  # type: ignore[arg-type]  # a review asks for daughters alone
    more = [o for o in question.outcomes if len(o.cells) == 2 and o not in offered]
    row = candidates.row(question.cell)
    links = _weighed(review, candidates.leaving(row))
    links.sort(key=lambda link: (-(link.probability or 0.0), link.target))
    into = [link for leaving in links for link in candidates.entering(candidates.row(leaving.target))]
    rivals = _weighed(review, [link for link in into if link.source != question.cell])
    rivals = [link for link in rivals if (link.probability or 0.0) >= LEAST_RIVAL]
    told = Put(
        cell=question.cell,
        frame=question.frame,
        blind=False,
        choices=tuple(Choice(o.daughters, o.probability, o.daughters == question.chosen) for o in offered),
        others=max(0.0, 1 - sum(o.probability for o in offered)),
        pairs=tuple(more[:MOST_OUTCOMES]),  # type: ignore[arg-type]  # as above
        chosen=question.chosen,
        entropy_bits=question.entropy_bits,
        worth=question.expected_error_reduction,
        how=question.how,
        candidates=tuple(links),
        rivals=tuple(rivals),
    )
    return blinded(told) if blind else told


def blinded(told: Put) -> Put:
    """Return a question without what would lead a person: how likely things are, and what the solver says."""
    choices = sorted((Choice(c.daughters, None, None) for c in told.choices), key=lambda c: c.daughters)
    return replace(
        told,
        blind=True,
        choices=tuple(choices),
        others=None,
        pairs=(),
        chosen=None,
        entropy_bits=None,
        worth=None,
        how=None,
        candidates=tuple(replace(c, probability=None) for c in sorted(told.candidates, key=lambda c: c.target)),
        rivals=tuple(replace(c, probability=None) for c in sorted(told.rivals, key=lambda c: (c.source, c.target))),
    )


def _weighed(review: OpenReview, links: Sequence[Candidate]) -> list[Candidate]:
    likely = review.probabilities([(link.source, link.target) for link in links])
    return [
        Candidate(link.source, link.target, link.source_frame, link.frame, p, link.distance)
        for link, p in zip(links, likely, strict=True)
    ]


def _offered(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the likeliest outcomes, to end among them."""
    first = list(outcomes[:MOST_OUTCOMES])
    if any(not outcome.daughters for outcome in first):
        return first
    ends = next((outcome for outcome in outcomes if not outcome.daughters), Outcome((), 0.0))
    return [*first[: MOST_OUTCOMES - 1], ends]
