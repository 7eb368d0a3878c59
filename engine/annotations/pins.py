"""Decisions as pins: which links and cells they settle, which of them exclude each other, and the arrays for a solver.

Conflicts are always between two: pins that agree pair by pair leave a solution, for every cell may begin, end, or not
be one. Where two exclude each other, as in logs of people who could not see each other's, neither pins until one of
them is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ...errors import ConflictError, InfeasibleError
from ...solvers.pins import PinnedProblem, Pins, pin
from ...solvers.problem import FORBIDDEN, KEPT
from ...storage.decisions import Decision, DecisionKind, live
from ..candidates import nearest_distances
from .words import as_read, said, told

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ...solvers.problem import TrackingProblem
    from ...storage.decisions import CellPlace
    from ...storage.schema import CandidateEdges, Detections
    from ..progress import Progress

PINNING: Final = (DecisionKind.CHOOSE, DecisionKind.REJECT, DecisionKind.BEGINS, DecisionKind.NOT_A_CELL)


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision about cells that are there.

    Parameters
    ----------
    decision : Decision
        What was said.
    cell : int
        Row of the detection that it is about.
    daughters : tuple of int
        Rows of the daughters that it names.
    """

    decision: Decision
    cell: int
    daughters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """An earlier answer that excludes a new one, and why."""

    earlier: Answer
    why: str


class Dispute(NamedTuple):
    """Two answers that exclude each other, the earlier one first, and why."""

    earlier: Decision
    later: Decision
    why: str


class Pinned(NamedTuple):
    """What counts of a log, as pins of a movie.

    Parameters
    ----------
    pins : PinSet
        What it settles.
    lost : list of Decision
        Pins whose cells are not there.
    disputes : list of Dispute
        Pins that exclude each other, and settle nothing.
    """

    pins: PinSet
    lost: list[Decision]
    disputes: list[Dispute]


NO_CELL: Final = "what is no cell has no links, and neither begins nor ends"
BEGUN: Final = "a cell that begins has no parent"
TORN: Final = "the same link is forced in and out"


@dataclass(frozen=True, slots=True)
class PinSet:
    """What some answers settle, in rows of the detections; several may agree. `settled` lets none exclude another.

    Parameters
    ----------
    children : dict of int to list of Answer
        For a cell whose children are settled, the choices.
    parent : dict of int to list of Answer
        For a cell whose parent is settled, the choices of that parent, or the words that it begins.
    cell, no_cell : dict of int to list of Answer
        Detections that were said to be cells, and to be none.
    out : dict of (int, int) to list of Answer
        Links that were rejected.
    answers : list of Answer
        All of them.
    """

    children: dict[int, list[Answer]] = field(default_factory=dict)
    parent: dict[int, list[Answer]] = field(default_factory=dict)
    cell: dict[int, list[Answer]] = field(default_factory=dict)
    no_cell: dict[int, list[Answer]] = field(default_factory=dict)
    out: dict[tuple[int, int], list[Answer]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.answers)

    def clashes(self, new: Answer) -> list[Clash]:
        """Return the answers that exclude a new one, each once."""
        match new.decision.kind:
            case DecisionKind.CHOOSE:
                found = self._with_choice(new)
            case DecisionKind.REJECT:
                chosen = self.children.get(new.cell, [])
                found = [Clash(old, TORN) for old in chosen if set(old.daughters) & set(new.daughters)]
            case DecisionKind.BEGINS:
                found = [Clash(old, BEGUN) for old in self.parent.get(new.cell, []) if old.cell != new.cell]
                found += self._if_no_cell(new.cell)
            case DecisionKind.NOT_A_CELL:
                found = [Clash(old, NO_CELL) for old in self.cell.get(new.cell, [])]
            case _:
                found = []
        once: dict[str, Clash] = {}
        for clash in found:
            once.setdefault(clash.earlier.decision.key, clash)
        return list(once.values())

    def _with_choice(self, new: Answer) -> list[Clash]:
        found = [
            Clash(old, "the same cell was said to do something else")
            for old in self.children.get(new.cell, [])
            if set(old.daughters) != set(new.daughters)
        ]
        found += self._if_no_cell(new.cell)
        for daughter in new.daughters:
            for old in self.parent.get(daughter, []):
                if old.cell != new.cell:
                    found.append(Clash(old, BEGUN if old.cell == daughter else "a cell has one parent"))
            found += [Clash(old, TORN) for old in self.out.get((new.cell, daughter), [])]
            found += self._if_no_cell(daughter)
        return found

    def _if_no_cell(self, row: int) -> list[Clash]:
        return [Clash(old, NO_CELL) for old in self.no_cell.get(row, [])]

    def disputes(self, new: Answer) -> list[Dispute]:
        """Return how a new answer and these exclude each other."""
        return [Dispute(clash.earlier.decision, new.decision, clash.why) for clash in self.clashes(new)]

    def without(self, keys: Container[str]) -> PinSet:
        """Return what is settled without some of the answers."""
        left = PinSet()
        for answer in self.answers:
            if answer.decision.key not in keys:
                left.add(answer)
        return left

    def add(self, new: Answer) -> None:
        """Take an answer in."""
        match new.decision.kind:
            case DecisionKind.CHOOSE:
                self.children.setdefault(new.cell, []).append(new)
                for daughter in new.daughters:
                    self.parent.setdefault(daughter, []).append(new)
                for row in (new.cell, *new.daughters):
                    self.cell.setdefault(row, []).append(new)
            case DecisionKind.REJECT:
                for daughter in new.daughters:
                    self.out.setdefault((new.cell, daughter), []).append(new)
            case DecisionKind.BEGINS:
                self.parent.setdefault(new.cell, []).append(new)
                self.cell.setdefault(new.cell, []).append(new)
            case DecisionKind.NOT_A_CELL:
                self.no_cell.setdefault(new.cell, []).append(new)
        self.answers.append(new)

    def for_edges(self, edges: CandidateEdges, n: int) -> Pins:
        """Return the pins of m candidates among n detections.

        Raises
        ------
        InfeasibleError
            If a link was chosen that is no candidate.
        """
        edge, node = np.zeros(len(edges), dtype=np.int8), np.zeros(n, dtype=np.int8)
        node[_rows(self.cell)], node[_rows(self.no_cell)] = KEPT, FORBIDDEN
        begins = [row for row, said in self.parent.items() if said[0].cell == row]
        edge[np.isin(edges.source, _rows(self.children)) | np.isin(edges.target, begins)] = FORBIDDEN
        edge[_places(edges, n, [*self.out])[1]] = FORBIDDEN
        chosen = [(row, daughter) for row, said in self.children.items() for daughter in said[0].daughters]
        there, places = _places(edges, n, chosen)
        if not there.all():
            mother, _ = chosen[int(np.argmin(there))]
            said = self.children[mother][0].decision
            raise InfeasibleError(
                f"a pin asks for a link that is no candidate: {told(said)}",
                **{"try": f"its annotate again with --add-candidate, or trackdb annotations undo STORE {said.seq}"},
            )
        edge[places] = KEPT
        return Pins(edge, node)


def _rows(settled: dict[int, list[Answer]]) -> NDArray[np.int64]:
    return np.fromiter(settled, dtype=np.int64, count=len(settled))


def _places(edges: CandidateEdges, n: int, pairs: list[tuple[int, int]]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which pairs of source and target are candidates, and the rows of those."""
    wanted = np.array([source * n + target for source, target in pairs], dtype=np.int64)
    key = edges.source * n + edges.target
    place = np.searchsorted(key, wanted)
    there = place < len(key)
    there[there] = key[place[there]] == wanted[there]
    return there, place[there]


def settled(answers: Iterable[Answer]) -> tuple[PinSet, list[Dispute]]:
    """Return what answers settle together, and which of them exclude each other.

    Whatever excludes another answer settles nothing, and nor does the other: which of them came first, and in which
    order they are given, plays no part.
    """
    pins, disputes = PinSet(), []
    for answer in answers:
        disputes += pins.disputes(answer)
        pins.add(answer)
    return (pins.without(in_dispute(disputes)), disputes) if disputes else (pins, disputes)


def in_dispute(disputes: Iterable[Dispute]) -> set[str]:
    """Return the keys of all answers that exclude one another."""
    return {decision.key for dispute in disputes for decision in (dispute.earlier, dispute.later)}


def refusal(new: Decision, clashes: list[Clash], *, remedy: str | None = None) -> ConflictError:
    """Return the error that names a decision and those that exclude it."""
    first = clashes[0]
    earlier = [clash.earlier.decision for clash in clashes]
    return ConflictError(
        f"two pins exclude each other: {told(new)}",
        earlier=tuple(as_read(decision) | {"says": said(decision)} for decision in earlier),
        against="; ".join(map(told, earlier)),
        why=first.why,
        **{"try": remedy or f"trackdb annotations undo STORE {first.earlier.decision.seq}"},
    )


def attached(decisions: Iterable[Decision], detections: Detections) -> tuple[list[Answer], list[Decision]]:
    """Find the cells that decisions are about.

    A cell is found by its number; where its number is not among the detections, by its place: the nearest detection of
    its frame, if the place lies within it.

    Parameters
    ----------
    decisions : iterable of Decision
        Of this movie.
    detections : Detections
        n cells.

    Returns
    -------
    answers : list of Answer
        Decisions whose cells were found.
    lost : list of Decision
        Those of which a cell was not.
    """
    answers, lost = [], []
    for decision in decisions:
        named = [decision.cell, *(decision.daughters or ())]
        rows = [None if cell is None else _row_of(cell, detections) for cell in named]
        found = [row for row in rows if row is not None]
        if len(found) == len(rows):
            answers.append(Answer(decision, found[0], tuple(found[1:])))
        else:
            lost.append(decision)
    return answers, lost


def by_numbers(answer: Answer, ids: NDArray[np.int64]) -> Decision:
    """Return what was said with the numbers that its cells have among these detections, whatever they had then."""
    decision = answer.decision
    places = [place for place in (decision.cell, *(decision.daughters or ())) if place is not None]
    numbers = ids[[answer.cell, *answer.daughters]].tolist()
    if numbers == [place.id for place in places]:
        return decision
    cell, *daughters = (replace(place, id=number) for place, number in zip(places, numbers, strict=True))
    return replace(decision, cell=cell, daughters=None if decision.daughters is None else tuple(daughters))


def _row_of(cell: CellPlace, detections: Detections) -> int | None:
    row = int(np.searchsorted(detections.id, cell.id))
    if row < len(detections) and detections.id[row] == cell.id:
        return row
    if cell.t is None or cell.position_px is None or len(cell.position_px) != detections.ndim:
        return None
    first, stop = np.searchsorted(detections.frame, [cell.t, cell.t + 1])
    if first == stop:
        return None
    place = detections.position_px[first:stop]
    distance = np.linalg.norm(place - np.array(cell.position_px), axis=1)
    nearest = int(np.argmin(distance))
    reach = detections.equivalent_diameter_px[first + nearest] / 2
    if np.isnan(reach):  # a point: half of what separates it from the next
        reach = nearest_distances(place)[nearest] / 2 if len(place) > 1 else 0.0
    return int(first + nearest) if distance[nearest] <= reach else None


def pins_among(decisions: Sequence[Decision], dataset: str, detections: Detections) -> Pinned:
    """Return what counts of a log as pins of a movie, with what pins nothing there and why."""
    answers, lost = pinning_answers(decisions, dataset, detections)
    pins, disputes = settled(answers)
    return Pinned(pins, lost, disputes)


def told_to(progress: Progress, pinned: Pinned, store: Path) -> None:
    """Tell which pins of a log settle nothing."""
    if pinned.lost:
        lost = told(pinned.lost[0])
        progress.note(f"annotations of cells that are not among these detections: {len(pinned.lost)}, as {lost}")
    if pinned.disputes:
        first = pinned.disputes[0]
        progress.note(
            f"annotations that exclude each other, and pin nothing until one is taken back: "
            f"{len(in_dispute(pinned.disputes))}, as {told(first.earlier)} and {told(first.later)}; "
            f"trackdb annotations conflicts {store}"
        )


def pinning_answers(
    decisions: Sequence[Decision], dataset: str, detections: Detections
) -> tuple[list[Answer], list[Decision]]:
    """Return what counts of a log and pins something in a movie, and that of which the cells are not there."""
    return attached([d for d in live(decisions) if d.kind in PINNING and d.dataset == dataset], detections)


def decided(problem: TrackingProblem, pins: Pins) -> PinnedProblem:
    """Return what pins leave of a problem; a detection that it keeps for want of doubt may be said to be none."""
    doubted = np.where(pins.node == FORBIDDEN, np.int8(0), problem.pinned_node)
    return pin(replace(problem, pinned_node=doubted), pins)
