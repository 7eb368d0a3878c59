"""An open review: probabilities and questions follow each answer at once, and each can be taken back.

It stays in memory while a person answers. Only the pieces that an answer touches are weighed and judged anew, the rest
is as it was. Nothing is written: `Database.annotate` keeps what was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError, InfeasibleError, MissingRowsError
from ...solvers.pins import Pins
from ...solvers.posterior.conditioning import OpenPosterior
from ...solvers.posterior.marginals import PRUNE, estimate
from ...solvers.posterior.outcomes import HowWeighed
from ...solvers.posterior.plan import WIDTH
from ...solvers.problem import FORBIDDEN, KEPT
from ...storage.posteriors import CellOutcomes
from ..annotations.pins import decided
from ..posterior.problem import weighed
from ..progress import Silent
from .questions import questions_of
from .queue import ERROR_REDUCTION, SWEEPS, ReviewList, answered_cells, items_of, require_list
from .ranking import LEAST, best_of_pieces, most_reducing
from .rerun import Rerun
from .standing import Standing, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...solvers.pins import PinnedProblem
    from ...solvers.posterior.conditioning import Touched
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..config import Config
    from .standing import Before

    Ints = NDArray[np.int64]

METHOD: Final = "auto"


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
    """

    posterior: str
    solution: str
    source: Ints
    target: Ints
    part: NDArray[np.bool_]
    answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """An answer: what it makes of candidates and cells, and what stood where it changed something."""

    edge: dict[int, int]
    cell: dict[int, int]
    answers: int  # row of the cell that needs no question any more, -1 for none
    before: Before


class OpenReview:
    """A posterior that takes answers.

    Parameters
    ----------
    left : PinnedProblem
        n cells in the order of frames, and what annotations leave open of their links.
    ids : (n,) int64
        Numbers of the cells, increasing.
    reported : Reported
        What it compares with.
    temperature, prune, width
        As of the posterior.
    """

    def __init__(
        self,
        left: PinnedProblem,
        ids: NDArray[np.int64],
        reported: Reported,
        *,
        temperature: float = 1.0,
        prune: float = PRUNE,
        width: int = WIDTH,
    ) -> None:
        problem, n = left.problem, len(ids)
        self._problem, self._ids, self._reported, self._temperature = problem, ids, reported, temperature
        self._open = OpenPosterior(problem, temperature=temperature, prune=prune, width=width)
        self._how = self._open.marginals().how_cell.copy()
        self._frame = problem.frame
        last = problem.frame.max(initial=0)
        self._told = (problem.frame < last) & (problem.pinned_node != FORBIDDEN)
        self._forced = _forced_daughters(left, ids)
        self._how[self._forced[0] >= 0] = HowWeighed.EXACT
        self._is_mother, self._is_daughter = np.zeros((2, n), dtype=bool)  # by annotations
        self._is_mother[left.asked.source[left.forced]] = True
        self._is_daughter[left.asked.target[left.forced]] = True
        self._said: list[_Said] = []
        key = problem.source * n + problem.target
        self._order = np.argsort(key, kind="stable")
        self._key = key[self._order]
        self._count = np.bincount(np.searchsorted(ids, reported.source), minlength=n).astype(np.float64)
        by_mother = np.argsort(reported.source, kind="stable")
        self._links = reported.source[by_mother], reported.target[by_mother]
        self._standing = Standing.of(n)
        self._judge(np.flatnonzero(self._told), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self._said)

    def choose(self, cell: int, daughters: Sequence[int]) -> tuple[int, ...]:
        """Say what a cell does: it goes on as one cell, divides into two, or ends (``[]``).

        Parameters
        ----------
        cell : int
            Number of the cell.
        daughters : sequence of int
            Numbers of its daughters.

        Returns
        -------
        tuple of int
            Numbers of the cells whose question was judged anew; all others are as they were.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        InfeasibleError
            If an annotation or an earlier answer excludes it, or there is no such candidate; nothing has changed then.
        """
        row = self._row(cell)
        self._require_open(row, cell)
        links = [self._link(row, daughter) for daughter in daughters]
        begin, end = np.searchsorted(self._key, np.array([row, row + 1]) * len(self._ids))
        leaving = self._order[begin:end].tolist()
        edge = dict.fromkeys(leaving, FORBIDDEN) | dict.fromkeys(links, KEPT)
        kept = dict.fromkeys([row, *self._problem.target[links].tolist()], KEPT)
        return self._take(f"cell {cell}", partial(self._open.choose, row, links), edge, kept, answers=row)

    def reject(self, cell: int, daughter: int) -> tuple[int, ...]:
        """Say that a cell does not become another one; as `choose`."""
        link = self._link(self._row(cell), daughter)
        return self._take(f"cell {cell}", partial(self._open.reject, link), {link: FORBIDDEN}, {})

    def begins(self, cell: int) -> tuple[int, ...]:
        """Say that a cell has no parent; as `choose`."""
        row = self._row(cell)
        if self._is_daughter[row]:
            raise InfeasibleError(f"cell {cell} has a parent by an annotation", **{"try": "trackdb annotations undo"})
        entering = np.flatnonzero(self._problem.target == row).tolist()
        edge = dict.fromkeys(entering, FORBIDDEN)
        return self._take(f"cell {cell}", partial(self._open.begins, row), edge, {row: KEPT})

    def not_a_cell(self, cell: int) -> tuple[int, ...]:
        """Say that a detection is no cell; as `choose`."""
        row = self._row(cell)
        self._require_open(row, cell)
        if self._is_daughter[row]:
            raise InfeasibleError(f"cell {cell} is one by an annotation", **{"try": "trackdb annotations undo"})
        take = partial(self._open.not_a_cell, row, kept_too=True)
        return self._take(f"cell {cell}", take, {}, {row: FORBIDDEN}, answers=row)

    def undo(self) -> None:
        """Take the last answer back.

        Raises
        ------
        MissingRowsError
            If there is none.
        """
        if not self._said:
            raise MissingRowsError("there is no answer to take back")
        restore(self._said.pop().before)
        self._open.undo()

    def outcomes(self, cell: int) -> dict[tuple[int, ...], float]:
        """Return what a cell may do next: its daughters, and how likely that is, the likeliest first."""
        told = self._outcomes(np.array([self._row(cell)]))
        daughters = [tuple(int(d) for d in pair if d >= 0) for pair in zip(told.a, told.b, strict=True)]
        return dict(zip(daughters, told.probability.tolist(), strict=True))

    def probability(self, cell: int, daughter: int) -> float:
        """Return how likely a cell becomes, or divides into, another one; 0 where that is no candidate."""
        return sum(p for daughters, p in self.outcomes(cell).items() if daughter in daughters)

    def uncertain(self, top: int = 20, *, by: str = ERROR_REDUCTION) -> ReviewList:
        """Return the questions that are worth most now; see `engine.review.queue.uncertain`.

        ``entropy``, ``margin`` and ``degree`` are there at once. ``error-reduction`` looks over all questions, and
        computes anew only the pieces that were not computed since they changed.
        """
        require_list(top, by)
        scores = self._scores(by)
        doubted = scores > LEAST
        doubted[self._reported.answered] = False
        doubted[[said.answers for said in self._said if said.answers >= 0]] = False
        worth: NDArray[np.float64] | None = None
        if by == ERROR_REDUCTION:
            rows, worth = self._reducing(doubted, top)
        else:
            rows, _ = best_of_pieces(self._standing.piece, np.where(doubted, scores, 0.0), top)
        order = np.argsort(rows)
        place = np.empty(len(rows), dtype=np.int64)
        place[order] = np.arange(len(rows))
        chosen = [self._chosen(row) for row in rows.tolist()]
        items = items_of(self._outcomes(rows[order]), place, worth, self._frame[rows], chosen)
        return ReviewList(self._reported.posterior, self._reported.solution, by, items, int(np.count_nonzero(doubted)))

    def _scores(self, by: str) -> NDArray[np.float64]:
        """Return what each question is worth as the posterior stands."""
        match by:
            case "margin":
                return self._standing.doubt
            case "degree":
                asked = self._standing.piece >= 0
                return np.where(asked, np.abs(self._standing.children - self._count), 0.0)
        return self._standing.entropy

    def _reducing(self, doubted: NDArray[np.bool_], top: int) -> tuple[Ints, NDArray[np.float64]]:
        """Return the rows of the cells whose answers take most errors away, and how many."""
        rows = np.flatnonzero(self._told)
        asked = questions_of(self._outcomes(rows))
        again = partial(estimate, temperature=self._temperature, sweeps=SWEEPS)
        rerun = Rerun(decided(self._problem, self._pins()).problem, self._ids, asked, again)
        known = self._standing.reduction

        def reductions(block: Ints) -> NDArray[np.float64]:
            lacking = block[np.isnan(known[rows[block]])]
            if len(lacking):
                known[rows[lacking]] = rerun.reductions(lacking)
            return known[rows[block]]

        found, worth = most_reducing(asked, doubted[rows], top, reductions)
        return rows[found], worth

    def _pins(self) -> Pins:
        """Return what the answers decide about what annotations left open."""
        edge = np.zeros(self._problem.n_edges, dtype=np.int8)
        cell = np.zeros(self._problem.n_nodes, dtype=np.int8)
        for said in self._said:
            for column, settled in ((edge, said.edge), (cell, said.cell)):
                for row, what in settled.items():
                    column[row] = max(column[row], what) if column[row] else what  # a link forced in stays so
        return Pins(edge, cell)

    def _take(
        self,
        about: str,
        take: Callable[[], Touched],
        edge: dict[int, int],
        cell: dict[int, int],
        *,
        answers: int = -1,
    ) -> tuple[int, ...]:
        """Take an answer, and judge anew what it touches."""
        try:
            touched = take()
        except InfeasibleError as error:
            raise InfeasibleError(
                f"an earlier answer, or an annotation, excludes this one about {about}", **{"try": "undo"}
            ) from error
        told = [(self._told, np.array([row]), self._told[[row]]) for row, what in cell.items() if what == FORBIDDEN]
        self._told[[row for row, what in cell.items() if what == FORBIDDEN]] = False
        rows, before = self._judge(touched.mothers, touched.daughters)
        self._said.append(_Said(edge, cell, answers, [*told, *before]))
        return tuple(self._ids[rows].tolist())

    def _judge(self, mothers: Ints, daughters: Ints) -> tuple[Ints, Before]:
        """Find out what is asked about the cells of all pieces that hold these, and return whom, and what was."""
        mothers, daughters = self._standing.around(mothers, daughters)
        rows = mothers[self._told[mothers]]
        asked = questions_of(self._outcomes(rows))
        daughter_rows = np.searchsorted(self._ids, asked.daughter).astype(np.int64)
        before = self._standing.rewrite(mothers, np.union1d(daughters, daughter_rows), asked, rows, daughter_rows)
        return mothers, before

    def _outcomes(self, rows: Ints) -> CellOutcomes:
        """Return the outcomes of cells by their numbers, links that annotations force in among them."""
        found = self._open.outcomes(rows)
        owner = np.repeat(rows, np.diff(found.first))
        target = np.append(self._ids[self._problem.target], -1)  # -1 stays -1
        one, two = (
            np.where(forced[owner] >= 0, forced[owner], target[link])
            for forced, link in zip(self._forced, (found.a, found.b), strict=True)
        )
        swap = (two >= 0) & (two < one)
        return CellOutcomes(
            cell=self._ids[owner],
            a=np.where(swap, two, one),
            b=np.where(swap, one, two),
            probability=found.probability,
            how=self._how[owner],
            error=np.full(len(owner), np.nan),
        )

    def _chosen(self, row: int) -> tuple[int, ...] | None:
        """Return the daughters of a cell in the solution, None where it is not part of it."""
        if not self._reported.part[row]:
            return None
        source, target = self._links
        begin, end = np.searchsorted(source, self._ids[row] + np.arange(2))
        return tuple(np.sort(target[begin:end]).tolist())

    def _row(self, cell: int) -> int:
        row = int(np.searchsorted(self._ids, cell))
        if row == len(self._ids) or self._ids[row] != cell:
            raise MissingRowsError(f"there is no cell {cell} among these detections")
        return row

    def _link(self, row: int, daughter: int) -> int:
        wanted = row * len(self._ids) + self._row(daughter)
        place = int(np.searchsorted(self._key, wanted))
        if place == len(self._key) or self._key[place] != wanted:
            raise InfeasibleError(
                f"cell {self._ids[row]} to {daughter} is no candidate, or annotations settle it",
                **{"try": "annotate with add_candidate=True, and open the review again"},
            )
        return int(self._order[place])

    def _require_open(self, row: int, cell: int) -> None:
        if self._is_mother[row]:
            raise InfeasibleError(f"an annotation says what cell {cell} does", **{"try": "trackdb annotations undo"})


def open_review(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, posterior: PosteriorInfo, config: Config
) -> OpenReview:
    """Open a review of a stored posterior: its movie priced again, with all that people said up to now.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info, posterior
        Detections, solution and posterior.
    config : Config
        Settings, for what the run of the solution does not tell.

    Raises
    ------
    ConfigError
        If the posterior is by another method than ``auto``.
    """
    if posterior.method != METHOD:
        raise ConfigError(
            f"posterior {posterior.name} is by {posterior.method}: a review follows those by {METHOD}",
            **{"try": f"trackdb posterior {store.path}"},
        )
    movie = weighed(store, chosen, info, config, Silent())
    ids = movie.detections.id
    params = next(run for run in store.runs() if run.id == posterior.run_id).params
    reported = Reported(
        posterior.name,
        info.name,
        *store.link_ends(info),
        np.isin(ids, store.solution(info).node),
        np.isin(ids, answered_cells(store, chosen)),
    )
    return OpenReview(
        movie.left,
        ids,
        reported,
        temperature=posterior.temperature,
        prune=params["prune"],
        width=params["width"],
    )


def _forced_daughters(left: PinnedProblem, ids: Ints) -> tuple[Ints, Ints]:
    """Return the numbers of the daughters that annotations force on each cell, -1 for none: the first, the second."""
    links = np.flatnonzero(left.forced)
    links = links[np.argsort(left.asked.source[links], kind="stable")]
    mother, daughter = left.asked.source[links], ids[left.asked.target[links]]
    again = np.diff(mother, prepend=-1) == 0
    first, second = np.full((2, len(ids)), -1)
    first[mother[~again]], second[mother[again]] = daughter[~again], daughter[again]
    return first, second
