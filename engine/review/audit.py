"""The audit: questions drawn at random and asked blind tell how often a solution is wrong.

A list that asks the doubtful cells first says nothing of the others. So about one question in ten is about a cell that
is drawn: every cell has a lot that depends on nothing but its number, and the lowest that nobody answered is next. The
cells below the last one drawn are a random sample of all, and each of them has been answered, by a draw or before it.
What is told of the sample is therefore true of the solution, however the list chose its questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ...errors import MissingRowsError
from ...storage.decisions import Decision, DecisionKind, live
from ...storage.posteriors import CellOutcomes, find_posterior, read_outcomes
from ..metrics.calibration import ELSEWHERE
from ..posterior.problem import run_of
from .judged import ENOUGH, Audit, Judged, judge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore

    Ints = NDArray[np.int64]

SHARE: Final = 0.1
OPEN_BITS: Final = 1e-3  # a cell of less entropy has no open outcome
SETTLES: Final = (DecisionKind.CHOOSE, DecisionKind.NOT_A_CELL)
_STEP: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB


def audit_turn(seed: int, turn: int, share: float = SHARE) -> bool:
    """Return whether the question of a turn, counted from 0, is drawn; about `share` of them are."""
    return bool(_lots(np.array([turn]), ~seed)[0] < share)


def audit_order(cells: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the rows of cells in the order in which they are drawn.

    Which of two comes first does not depend on the others: cells that were answered may be left out or not.

    Parameters
    ----------
    cells : (n,) int64
        Numbers of the cells.
    seed : int
        Of the draw; the same as long as a movie is reviewed.
    """
    return np.lexsort((cells, _lots(cells, seed)))


def _lots(numbers: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return a number of 0 .. 1 for each number, as if drawn (splitmix64)."""
    x = numbers.astype(np.uint64) * np.uint64(_STEP) + np.uint64((seed * _FIRST + _SECOND) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND)
    return np.asarray(((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / float(2**53))


def open_cells(outcomes: CellOutcomes) -> NDArray[np.int64]:
    """Return the numbers of the cells that may do more than one thing, increasing: the audit draws from these."""
    cell = outcomes.cell[outcomes.first[:-1]]
    found: NDArray[np.int64] = cell[outcomes.entropy_bits > OPEN_BITS]
    return found


def sample(cell: NDArray[np.int64], drawn: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return which of the cells that were answered are a random sample of all that could be drawn.

    Those below the last one drawn are. It is none of them: since it ends the sample, it is always a cell that the list
    had not asked about, and would count for too much.

    Parameters
    ----------
    cell : (n,) int64
        Numbers of the cells that were answered, drawn or listed.
    drawn : (n,) bool
        Those that were drawn.
    seed : int
        Of the draw.
    """
    lots = _lots(cell, seed)
    found: NDArray[np.bool_] = lots < lots[drawn].max(initial=0.0)
    return found


class _Asked(NamedTuple):
    """A cell that a review of the solution asked about: the first answer, and what its author says of it by now."""

    first: Decision
    now: Decision | None

    @property
    def cell(self) -> int:
        return _number(self.first)


def _number(decision: Decision) -> int:
    return -1 if decision.cell is None else decision.cell.id


def audit_of(
    store: DuckDBStore, chosen: DetectionSet, entries: Sequence[Decision], info: SolutionInfo | None = None
) -> Audit | None:
    """Return what the audit of a solution tells; None where no question about it was drawn.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections of the solution; the number of their dataset is the seed of the draw.
    entries : sequence of Decision
        The log, oldest first.
    info : SolutionInfo
        The solution; by default that about which a question was drawn last.
    """
    of_movie = [d for d in entries if d.dataset == chosen.movie.name]
    firsts = _firsts(of_movie)
    info = info or _audited_last(store, chosen, firsts)
    if info is None:
        return None
    standing = live(of_movie)
    asked = _asked_of(firsts, standing, info, run_of(store, info).started)
    if not any(a.first.blind for a in asked):
        return None
    outcomes, posterior = _outcomes(store, chosen, asked)
    if posterior is not None:  # what is certain cannot be drawn
        may_be_drawn = set(open_cells(outcomes).tolist())
        asked = [a for a in asked if a.cell in may_be_drawn]
    source, target = store.link_ends(info)
    part = {*store.solution(info).node.tolist()}
    solved = {a.cell: tuple(np.sort(target[source == a.cell]).tolist()) if a.cell in part else None for a in asked}
    judged = [(a, wrong) for a in _sampled(asked, chosen) if (wrong := _is_wrong(a.now, solved[a.cell])) is not None]
    audits = sum(a.first.blind for a in asked)
    counted = Audit(
        solution=info.name,
        posterior=posterior,
        audits=audits,
        needed=max(ENOUGH - audits, 0),
        judged=len(judged),
        listed=sum(not a.first.blind for a, _ in judged),
        wrong=0,
    )
    rows = [_rows(outcomes, a, solved[a.cell]) for a, _ in judged]
    place, reported, true = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    settled = {d.cell.id for d in standing if d.kind in SETTLES and d.cell is not None}
    links = None if posterior is None else _wrong_links(outcomes, source, target, settled)
    return judge(counted, Judged(outcomes, place, reported, true, np.array([w for _, w in judged], dtype=bool)), links)


def _audited_last(store: DuckDBStore, chosen: DetectionSet, firsts: Sequence[Decision]) -> SolutionInfo | None:
    """Return the solution about which a question was drawn last, of those that are still there."""
    solutions = store.solutions(chosen)
    return next((solutions[d.solution] for d in reversed(firsts) if d.blind and d.solution in solutions), None)


def _asked_of(
    firsts: Sequence[Decision], standing: Sequence[Decision], info: SolutionInfo, solved: datetime
) -> list[_Asked]:
    """Return the first answers about a solution; what was said elsewhere than in a review, after it was solved, too."""
    since = solved.replace(microsecond=0)  # the log tells whole seconds
    about = [d for d in firsts if d.solution == info.name or (d.solution is None and d.at >= since)]
    return [_Asked(d, _now(standing, d)) for d in about]


def _sampled(asked: Sequence[_Asked], chosen: DetectionSet) -> list[_Asked]:
    """Return those answers that are a random sample of all that could be drawn; see `sample`."""
    cells = np.array([a.cell for a in asked], dtype=np.int64)
    drawn = np.array([a.first.blind for a in asked], dtype=bool)
    return [asked[row] for row in np.flatnonzero(sample(cells, drawn, chosen.dataset_id)).tolist()]


def audits_of(store: DuckDBStore, entries: Sequence[Decision]) -> dict[str, Audit]:
    """Return what the newest audit of each dataset tells, of those that have one."""
    newest = {chosen.movie.name: chosen for chosen in store.detection_sets()}
    found = {name: audit_of(store, chosen, entries) for name, chosen in newest.items()}
    return {name: audit for name, audit in found.items() if audit is not None}


def _firsts(entries: Sequence[Decision]) -> list[Decision]:
    """Return the first answer about each cell; who is asked again about a cell knows more, or is the second opinion."""
    found: dict[int, Decision] = {}
    for decision in entries:
        if decision.cell is not None and decision.kind is not DecisionKind.FLAG:
            found.setdefault(decision.cell.id, decision)
    return list(found.values())


def _now(standing: Sequence[Decision], first: Decision) -> Decision | None:
    """Return what counts of all that the author of an answer said of its cell, the newest."""
    cell = first.cell
    own = [
        d for d in standing if d.who == first.who and d.cell is not None and cell is not None and d.cell.id == cell.id
    ]
    return next((d for d in reversed(own) if d.kind is not DecisionKind.FLAG), None)


def _is_wrong(said: Decision | None, solved: tuple[int, ...] | None) -> bool | None:
    """Return whether an answer contradicts what the solution says of its cell, None where it does not tell."""
    if said is None:
        return None
    named = {d.id for d in said.daughters or ()}
    match said.kind:
        case DecisionKind.CHOOSE:
            return solved is None or named != set(solved)
        case DecisionKind.NOT_A_CELL:
            return solved is not None
        case DecisionKind.REJECT if named & set(solved or ()):
            return True
    return None


def _outcomes(store: DuckDBStore, chosen: DetectionSet, asked: Sequence[_Asked]) -> tuple[CellOutcomes, str | None]:
    """Return the outcomes of the posterior of the newest drawn question, and its name; None if it is gone."""
    nothing = np.zeros(0, dtype=np.int64)
    name = next((a.first.posterior for a in reversed(asked) if a.first.blind), None)
    if name is not None:
        try:
            _, _, posterior = find_posterior(store, chosen.movie.name, name)
        except MissingRowsError:
            name = None
        else:
            return read_outcomes(store, posterior), name
    numbers = np.zeros(0)
    return CellOutcomes(nothing, nothing, nothing, numbers, nothing.astype(np.uint8), numbers), None


def _rows(outcomes: CellOutcomes, asked: _Asked, solved: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Return the place of a cell among those of a posterior, and the rows of the outcomes solved and said."""
    begin, end = np.searchsorted(outcomes.cell, [asked.cell, asked.cell + 1]).tolist()
    if begin == end:
        return -1, ELSEWHERE, ELSEWHERE
    ends = zip(outcomes.a[begin:end].tolist(), outcomes.b[begin:end].tolist(), strict=True)
    row = {tuple(d for d in pair if d >= 0): begin + i for i, pair in enumerate(ends)}
    said = asked.now
    true = None
    if said is not None and said.kind is DecisionKind.CHOOSE:
        true = tuple(sorted(d.id for d in said.daughters or ()))
    place = int(np.searchsorted(outcomes.first, begin))
    reported, meant = (ELSEWHERE if of is None else row.get(of, ELSEWHERE) for of in (solved, true))
    return place, reported, meant


def _wrong_links(outcomes: CellOutcomes, source: Ints, target: Ints, settled: set[int]) -> NDArray[np.float64]:
    """Return for each outcome of a cell that nobody answered how many links of the solution it contradicts."""
    of = np.argsort(source, kind="stable")
    begin, end = (np.searchsorted(source[of], outcomes.cell + more) for more in (0, 1))
    wrong = (end - begin).astype(np.float64)
    ordered = target[of]
    for link in range(int((end - begin).max(initial=0))):
        there = begin + link < end
        daughter = ordered[np.where(there, begin + link, 0)]
        wrong -= there & ((outcomes.a == daughter) | (outcomes.b == daughter))
    wrong[np.isin(outcomes.cell, np.fromiter(settled, np.int64, len(settled)))] = 0
    return wrong
