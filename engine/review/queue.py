"""The review list: the questions of a posterior whose answers are worth most, at most one of each piece.

A stored posterior is enough for all orders but expected error reduction, which prices the movie again and computes the
pieces that it may list once more for each answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from ...errors import ConfigError, MissingRowsError
from ...storage.dataframes import Tabular
from ...storage.plain import plural
from ...storage.posteriors import HOW, frames_of, read_outcomes
from ..posterior.problem import may_leave_out, run_of, weighed
from ..progress import Silent
from .answered import answered_cells, note_newer
from .questions import CellQuestions, questions_of
from .ranking import LEAST, best_of_pieces, most_reducing
from .rerun import Rerun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import CellOutcomes, PosteriorInfo
    from ..config import Config
    from ..progress import Progress

ERROR_REDUCTION: Final = "error-reduction"
ORDERS: Final = (ERROR_REDUCTION, "entropy", "margin", "degree")

DAUGHTERS: Final = "daughters"
PARENTS: Final = "parents"
"""What a question is about: what a cell does next, or whose daughter it is."""


class Outcome(NamedTuple):
    """One thing that a cell may do: the numbers of its daughters, and how likely that is."""

    daughters: tuple[int, ...]
    probability: float

    @property
    def cells(self) -> tuple[int, ...]:
        """The daughters, by a name that answers to both questions have."""
        return self.daughters


class Origin(NamedTuple):
    """Whose daughter a cell may be: the number of its mother, none where it is new, and how likely that is."""

    parents: tuple[int, ...]
    probability: float

    @property
    def cells(self) -> tuple[int, ...]:
        """The parents, by a name that answers to both questions have."""
        return self.parents


@dataclass(frozen=True, slots=True)
class Question:
    """A question to people: what a cell does next, or whose daughter it is.

    Parameters
    ----------
    rank : int
        Place in the list, from 1.
    cell, frame : int
        Number of the cell, and its frame.
    outcomes : tuple of Outcome or of Origin
        All of them, the likeliest first; together they sum to 1.
    entropy_bits : float
        Entropy of these.
    expected_error_reduction : float or None
        Wrong links that an answer takes away on average; None in lists by something else.
    chosen : tuple of int or None
        Daughters in the solution, or its parent; None where the cell is not part of it.
    how : str
        How the outcomes were got: ``exact``, ``pruned``, ``belief``, ``sampled``.
    worth_how : str or None
        How the expected error reduction was got, by the same words; None in lists by something else.
    view : str
        ``daughters``: what it does next; ``parents``: whose daughter it is, of posteriors that tell of links alone.
    """

    rank: int
    cell: int
    frame: int
    outcomes: tuple[Outcome, ...] | tuple[Origin, ...]
    entropy_bits: float
    expected_error_reduction: float | None
    chosen: tuple[int, ...] | None
    how: str
    worth_how: str | None
    view: str = DAUGHTERS


@dataclass(frozen=True, slots=True)
class ReviewList(Tabular):
    """Where to look first.

    Parameters
    ----------
    posterior, solution : str
        Names of what it was made from.
    by : str
        What it is ordered by.
    items : list of Question
        The questions.
    open : int
        Cells that are in doubt and that nobody has answered, listed or not.
    """

    posterior: str
    solution: str
    by: str
    items: list[Question]
    open: int

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<{self.title}>"

    def __iter__(self) -> Iterator[Question]:
        return iter(self.items)

    @property
    def title(self) -> str:
        """What it is, in a line."""
        told = "" if self.errors_fewer is None else f", {self.errors_fewer:.3g} wrong links fewer once all are answered"
        several = plural(self.open, "open question")
        return f"{len(self)} of {several} of {self.posterior} of {self.solution}, by {self.by}{told}"

    @property
    def errors_fewer(self) -> float | None:
        """Wrong links that answers to all of these take away on average; None in lists by something else."""
        if self.by != ERROR_REDUCTION:
            return None
        return sum(item.expected_error_reduction or 0.0 for item in self.items)

    def arrow(self) -> pa.Table:
        """Return the questions as an Arrow table, the outcomes of each as a list."""
        items = [_plain(item) for item in self.items]
        return pa.table({name: [item[name] for item in items] for name in Question.__dataclass_fields__})

    def as_dict(self) -> dict[str, Any]:
        """Return it by the keys of the JSON."""
        items = [_plain(item) for item in self.items]
        return {
            "posterior": self.posterior,
            "solution": self.solution,
            "by": self.by,
            "items": items,
            "open": self.open,
        }


def _plain(item: Question) -> dict[str, Any]:
    """Return a question by the keys of the JSON."""
    plain = {name: getattr(item, name) for name in Question.__dataclass_fields__}
    return plain | {"outcomes": [outcome._asdict() for outcome in item.outcomes]}


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """What a list tells of q cells, the first first.

    Parameters
    ----------
    cell, frame : (q,) int64
        Their numbers, and the frame of each.
    first : (q + 1,) int64
        Outcomes ``first[i] .. first[i + 1] - 1`` are those of cell i, the likeliest first.
    a, b : (k,) int64
        Numbers of the daughters, the smaller first; -1 for none.
    probability : (k,) float64
        Of each outcome.
    how : (q,) uint8
        A `HowKnown` each.
    chosen : sequence of tuple of int or None
        Daughters of each in the solution, None where it is not part of it.
    """

    cell: NDArray[np.int64]
    frame: NDArray[np.int64]
    first: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    probability: NDArray[np.float64]
    how: NDArray[np.uint8]
    chosen: Sequence[tuple[int, ...] | None]

    @property
    def daughters(self) -> list[tuple[int, ...]]:
        """(k,) Daughters of each outcome."""
        ends = zip(self.a.tolist(), self.b.tolist(), strict=True)
        return [(a, b) if b >= 0 else (a,) if a >= 0 else () for a, b in ends]


def uncertain(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    posterior: PosteriorInfo,
    config: Config,
    *,
    top: int = 20,
    by: str = ERROR_REDUCTION,
    progress: Progress | None = None,
) -> ReviewList:
    """Return the questions of a stored posterior that are worth most.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info, posterior
        Detections, solution and posterior.
    config : Config
        Settings.
    top : int
        How many questions.
    by : str
        ``error-reduction`` computes the pieces that it lists again, once for each answer; ``entropy``, ``margin`` and
        ``degree`` (expected number of daughters against that in the solution) go by the posterior as it is stored.
    progress : Progress
        Who is told.

    Raises
    ------
    ConfigError
        If there is no such order, or `top` is less than 1.
    MissingRowsError
        If the posterior tells of links alone.
    """
    progress = progress or Silent()
    require_list(top, by)
    outcomes = read_outcomes(store, posterior)
    if not len(outcomes) and store.count_candidates(chosen):
        raise MissingRowsError(
            f"posterior {posterior.name} by {posterior.method} tells of links alone, not of what cells do",
            **{"try": f"trackdb posterior {store.path}"},
        )
    note_newer(store, chosen, posterior, progress)
    asked = questions_of(outcomes, optional=may_leave_out(run_of(store, info).params))
    source, target = store.link_ends(info)
    doubted = _scores(asked, source, by) > LEAST
    doubted &= ~np.isin(asked.cell, answered_cells(store, chosen))
    worth: NDArray[np.float64]
    worth_how: NDArray[np.uint8] | None = None
    if by == ERROR_REDUCTION:
        progress.start("weighing answers")
        movie = weighed(store, chosen, info, config, progress)
        rerun = Rerun(movie.left.problem, movie.detections.id, asked, posterior.temperature)
        rows, worth = most_reducing(asked.piece, asked.errors, asked.entropy_bits, doubted, top, rerun.reductions)
        worth_how = rerun.how(rows)
    else:
        rows, worth = best_of_pieces(asked.piece, np.where(doubted, _scores(asked, source, by), 0.0), top)
    listed = _stored(store, info, outcomes, rows, (source, target))
    items = items_of(listed, worth if by == ERROR_REDUCTION else None, worth_how)
    return ReviewList(posterior.name, info.name, by, items, int(np.count_nonzero(doubted)))


def _stored(
    store: DuckDBStore,
    info: SolutionInfo,
    outcomes: CellOutcomes,
    rows: NDArray[np.int64],
    links: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Listed:
    """Return what a list tells of q cells of a stored posterior, beside the links of a solution.

    Parameters
    ----------
    rows : (q,) int64
        Places of the cells among those that the outcomes are of.
    links : two of (l,) int64
        Numbers of the cells that the links join.
    """
    source, target = links
    begin, end = outcomes.first[rows], outcomes.first[rows + 1]
    cells = outcomes.cell[begin]
    part_of = np.isin(cells, store.solution(info).node).tolist()
    these = np.concatenate([rows[:0], *(np.arange(*ends) for ends in zip(begin.tolist(), end.tolist(), strict=True))])
    return Listed(
        cell=cells,
        frame=frames_of(store, cells),
        first=np.append(0, np.cumsum(end - begin)),
        a=outcomes.a[these],
        b=outcomes.b[these],
        probability=outcomes.probability[these],
        how=outcomes.how[begin],
        chosen=[
            tuple(np.sort(target[source == cell]).tolist()) if there else None
            for cell, there in zip(cells.tolist(), part_of, strict=True)
        ],
    )


def require_list(top: int, by: str) -> None:
    """Raise ConfigError if there is no such order, or the list would hold nothing."""
    if by not in ORDERS:
        raise ConfigError(f"questions are not ordered by {by}", known=", ".join(ORDERS))
    if top < 1:
        raise ConfigError(f"the list needs a length of 1 or more, got {top}")


def _scores(asked: CellQuestions, source: NDArray[np.int64], by: str) -> NDArray[np.float64]:
    """Return what each question is worth as the posterior stands."""
    match by:
        case "margin":
            return asked.doubt
        case "degree":
            return asked.degree_difference(source)
    return asked.entropy_bits


def items_of(
    told: Listed, worth: NDArray[np.float64] | None, worth_how: NDArray[np.uint8] | None = None
) -> list[Question]:
    """Return questions with all that a person has to know of them.

    Parameters
    ----------
    told : Listed
        What q cells may do.
    worth : (q,) float64 or None
        Expected error reduction of each.
    worth_how : (q,) uint8 or None
        A `HowKnown` of each of these.
    """
    if not len(told.cell):
        return []
    first = told.first
    total = np.add.reduceat(told.probability, first[:-1])
    p = told.probability / np.repeat(total, np.diff(first))  # they are kept in few digits
    surprise = -p * np.log2(np.where(p > 0, p, 1.0))
    outcomes = list(map(Outcome._make, zip(told.daughters, p.tolist(), strict=True)))
    columns = zip(
        told.cell.tolist(),
        told.frame.tolist(),
        first[:-1].tolist(),
        first[1:].tolist(),
        np.add.reduceat(surprise, first[:-1]).tolist(),
        [None] * len(told.cell) if worth is None else worth.tolist(),
        told.chosen,
        told.how.tolist(),
        [None] * len(told.cell) if worth_how is None else [HOW[how] for how in worth_how.tolist()],
        strict=True,
    )
    return [
        Question(
            rank=place,
            cell=cell,
            frame=frame,
            outcomes=tuple(outcomes[begin:end]),
            entropy_bits=entropy,
            expected_error_reduction=fewer,
            chosen=chosen,
            how=HOW[how],
            worth_how=worth_known,
        )
        for place, (cell, frame, begin, end, entropy, fewer, chosen, how, worth_known) in enumerate(columns, start=1)
    ]
