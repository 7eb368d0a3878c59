"""The review list: the questions of a posterior whose answers are worth most, at most one of each piece.

A stored posterior is enough for all orders but expected error reduction, which prices the movie again and computes the
pieces that it may list once more for each answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from ...errors import ConfigError, MissingRowsError
from ...solvers.posterior.marginals import estimate
from ...storage.decisions import DecisionKind, live
from ...storage.posteriors import HOW, frames_of, read_outcomes
from ..posterior.problem import weighed
from ..progress import Silent
from .answered import Rerun
from .questions import Questions, questions_of
from .ranking import LEAST, best_of_pieces, most_reducing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas
    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..config import Config
    from ..progress import Progress

ERROR_REDUCTION: Final = "error-reduction"
ORDERS: Final = (ERROR_REDUCTION, "entropy", "margin", "degree")
SWEEPS: Final = 50  # of sampling, where a copy is too wide: an order needs few
ANSWERS: Final = (DecisionKind.CHOOSE, DecisionKind.NOT_A_CELL, DecisionKind.UNSURE, DecisionKind.SEGMENTATION)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that a cell may do: the numbers of its daughters, and how likely that is."""

    daughters: tuple[int, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class Question:
    """A question to people: what a cell does next.

    Parameters
    ----------
    rank : int
        Place in the list, from 1.
    cell, frame : int
        Number of the cell, and its frame.
    outcomes : tuple of Outcome
        All of them, the likeliest first; together they sum to 1.
    entropy_bits : float
        Entropy of these.
    expected_error_reduction : float or None
        Wrong links that an answer takes away on average; None in lists by something else.
    chosen : tuple of int or None
        Daughters in the solution; None where the cell is not part of it.
    how : str
        How the outcomes were got: ``exact``, ``pruned``, ``belief``, ``sampled``.
    """

    rank: int
    cell: int
    frame: int
    outcomes: tuple[Outcome, ...]
    entropy_bits: float
    expected_error_reduction: float | None
    chosen: tuple[int, ...] | None
    how: str


@dataclass(frozen=True, slots=True)
class ReviewList:
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

    def __iter__(self) -> Iterator[Question]:
        return iter(self.items)

    @property
    def errors_fewer(self) -> float | None:
        """Wrong links that answers to all of these take away on average; None in lists by something else."""
        if self.by != ERROR_REDUCTION:
            return None
        return sum(item.expected_error_reduction or 0.0 for item in self.items)

    def arrow(self) -> pa.Table:
        """Return the questions as an Arrow table, the outcomes of each as a list."""
        columns = {field.name: [asdict(item)[field.name] for item in self.items] for field in fields(Question)}
        return pa.table(columns)

    def df(self) -> pandas.DataFrame:
        """Return the questions as a pandas data frame; pandas has to be installed."""
        return self.arrow().to_pandas()

    def as_dict(self) -> dict[str, Any]:
        """Return it by the keys of the JSON."""
        return asdict(self)


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
    if by not in ORDERS:
        raise ConfigError(f"questions are not ordered by {by}", known=", ".join(ORDERS))
    if top < 1:
        raise ConfigError(f"the list needs a length of 1 or more, got {top}")
    outcomes = read_outcomes(store, posterior)
    if not len(outcomes) and store.count_candidates(chosen):
        raise MissingRowsError(
            f"posterior {posterior.name} by {posterior.method} tells of links alone, not of what cells do",
            **{"try": f"trackdb posterior {store.path}"},
        )
    asked = questions_of(outcomes)
    source, target = store.link_ends(info)
    doubted, answered = _doubted(asked, source, by), _answered(store, chosen)
    doubted &= ~np.isin(asked.cell, answered)
    worth: NDArray[np.float64]
    if by == ERROR_REDUCTION:
        progress.start("weighing answers")
        movie = weighed(store, chosen, info, config, progress)
        again = partial(estimate, temperature=posterior.temperature, sweeps=SWEEPS)
        rows, worth = most_reducing(asked, doubted, top, Rerun(movie.left.problem, movie.detections.id, asked, again))
    else:
        rows, worth = best_of_pieces(asked, np.where(doubted, _scores(asked, source, by), 0.0), top)
    items = _items(store, asked, rows, worth if by == ERROR_REDUCTION else None, info, (source, target))
    return ReviewList(posterior.name, info.name, by, items, int(np.count_nonzero(doubted)))


def _scores(asked: Questions, source: NDArray[np.int64], by: str) -> NDArray[np.float64]:
    """Return what each question is worth as the posterior stands."""
    match by:
        case "margin":
            return asked.doubt
        case "degree":
            return asked.degree_difference(source)
    return asked.entropy_bits


def _doubted(asked: Questions, source: NDArray[np.int64], by: str) -> NDArray[np.bool_]:
    """Return which questions are worth asking at all."""
    return _scores(asked, source, by) > LEAST


def _answered(store: DuckDBStore, chosen: DetectionSet) -> NDArray[np.int64]:
    """Return the numbers of the cells of which people said what they do, or that they cannot tell."""
    said = [d for d in live(store.decisions()) if d.kind in ANSWERS and d.dataset == chosen.movie.name]
    return np.array([d.cell.id for d in said if d.cell is not None], dtype=np.int64)


def _items(
    store: DuckDBStore,
    asked: Questions,
    rows: NDArray[np.int64],
    worth: NDArray[np.float64] | None,
    info: SolutionInfo,
    links: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> list[Question]:
    """Return questions with all that a person has to know of them."""
    cells = asked.cell[rows]
    frames = frames_of(store, cells)
    part_of = np.isin(cells, store.solution(info).node)
    entropy, first, told = asked.entropy_bits, asked.outcomes.first, asked.outcomes
    source, target = links
    items = []
    for place, (row, cell) in enumerate(zip(rows.tolist(), cells.tolist(), strict=True)):
        outcomes = tuple(
            Outcome(
                tuple(int(d) for d in (told.a[k], told.b[k]) if d >= 0),
                float(asked.probability[k]),
            )
            for k in range(first[row], first[row + 1])
        )
        items.append(
            Question(
                rank=place + 1,
                cell=cell,
                frame=int(frames[place]),
                outcomes=outcomes,
                entropy_bits=float(entropy[row]),
                expected_error_reduction=None if worth is None else float(worth[place]),
                chosen=tuple(np.sort(target[source == cell]).tolist()) if part_of[place] else None,
                how=HOW[told.how[first[row]]],
            )
        )
    return items
