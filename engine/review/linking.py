"""An open linker of a stored solution: the optimum follows each answer at once, and each can be taken back.

It opens on the links and prices that the store holds. What proves itself with the costs of its run and all that people
said up to now is taken as it is; what does not is matched again, and `OpenLinker.opened` says how much that was.
Nothing is written: `Database.annotate` keeps what was said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InfeasibleError, MissingRowsError, SchemaError
from ...solvers.linker import Linker
from ...solvers.pins import Pins
from ...solvers.problem import FORBIDDEN, KEPT, Selection
from ...storage.held import held_solution
from ...storage.schema import row_of_cell, rows_of
from ..linkers import ASSOCIATION, IN_PAIRS
from ..posterior.problem import goes_by_cost, priced_again, run_of
from ..progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...solvers.linker import Change
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.held import HeldSolution
    from ...storage.schema import Prices
    from ..config import Config
    from ..posterior.problem import PricedMovie

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Followed:
    """What an answer changed, by the numbers of cells.

    Parameters
    ----------
    linked, unlinked : tuple of (int, int)
        Links that came in and went out: from which cell, to which.
    selected, dropped : tuple of int
        Detections that became part of the tracking, and that are no longer.
    """

    linked: tuple[tuple[int, int], ...]
    unlinked: tuple[tuple[int, int], ...]
    selected: tuple[int, ...]
    dropped: tuple[int, ...]


class OpenLinker:
    """A tracking of least cost that takes answers.

    Parameters
    ----------
    name : str
        Name of the solution that it opened on.
    movie : PricedMovie
        Its cells and candidates, with what each costs and what annotations decide.
    start : Selection or None
        Its links and prices, None where the store holds no prices that fit.
    lacking : str
        Why not, or what it lacks of them; empty where nothing.

    Attributes
    ----------
    opened : str
        Whether it opened from the prices of the solution, and how much of these did not hold.
    """

    def __init__(self, name: str, movie: PricedMovie, start: Selection | None, lacking: str) -> None:
        self._name, self._ids, self._edges = name, movie.detections.id, movie.edges
        # what is kept for want of doubt is as good as pinned: an answer may say that it is no cell
        self._doubted = np.where(movie.problem.pinned_node == KEPT, np.int8(KEPT), np.int8(0))
        self._edge, self._cell = movie.pinned.edge.copy(), movie.pinned.node.copy()  # what people said
        problem = replace(movie.problem, pinned_node=np.minimum(movie.problem.pinned_node, 0))
        pins = Pins(movie.pinned.edge, np.where(self._cell == 0, self._doubted, self._cell))
        self._linker = Linker(problem, pins, start)
        self._said: list[tuple[dict[int, int], dict[int, int]]] = []
        self.opened = _told(self._linker.n_again if start is not None else None, 3 * len(self._ids), lacking)

    def __repr__(self) -> str:
        return f"<linker of {self._name}, {self.opened}; {len(self)} answers>"

    def __len__(self) -> int:
        return len(self._said)

    @property
    def objective(self) -> float:
        """What the tracking costs; one pass over the candidates."""
        return self._linker.objective

    @property
    def lower_bound(self) -> float:
        """No tracking that honours annotations and answers costs less."""
        return self._linker.lower_bound

    @property
    def links(self) -> tuple[Ints, Ints]:
        """Numbers of the cells that each link joins, by increasing number."""
        rows = np.flatnonzero(self._linker.edge)
        return self._ids[self._edges.source[rows]], self._ids[self._edges.target[rows]]

    @property
    def cells(self) -> Ints:
        """Numbers of the detections that are part of the tracking."""
        return self._ids[self._linker.node]

    def choose(self, cell: int, daughters: Sequence[int]) -> Followed:
        """Say what a cell does: it goes on as one cell, divides into two, or ends (``[]``).

        Parameters
        ----------
        cell : int
            Number of the cell.
        daughters : sequence of int
            Numbers of its daughters.

        Returns
        -------
        Followed
            What that changes, here and around.

        Raises
        ------
        MissingRowsError
            If there is no such cell.
        InfeasibleError
            If an annotation or an earlier answer excludes it, or there is no such candidate; nothing has changed then.
        """
        row = self._row(cell)
        chosen = {self._link(row, daughter) for daughter in daughters}
        edge = {link: KEPT if link in chosen else FORBIDDEN for link in self._leaving(row)}
        kept = dict.fromkeys([row, *(int(self._edges.target[link]) for link in chosen)], KEPT)
        return self._take(cell, edge, kept)

    def reject(self, cell: int, daughter: int) -> Followed:
        """Say that a cell does not become another one; as `choose`."""
        return self._take(cell, {self._link(self._row(cell), daughter): FORBIDDEN}, {})

    def begins(self, cell: int) -> Followed:
        """Say that a cell has no parent; as `choose`."""
        row = self._row(cell)
        by_target, order = self._entering
        begin, end = np.searchsorted(by_target, [row, row + 1])
        return self._take(cell, dict.fromkeys(order[begin:end].tolist(), FORBIDDEN), {row: KEPT})

    def not_a_cell(self, cell: int) -> Followed:
        """Say that a detection is no cell; as `choose`."""
        return self._take(cell, {}, {self._row(cell): FORBIDDEN})

    def undo(self) -> Followed:
        """Take the last answer back, and return what that changes.

        Raises
        ------
        MissingRowsError
            If there is none.
        """
        if not self._said:
            raise MissingRowsError("there is no answer to take back")
        edge, cell = self._said.pop()
        followed = self._followed(self._decide(edge, cell))
        self._note(edge, cell)
        return followed

    def _take(self, about: int, edge: dict[int, int], cell: dict[int, int]) -> Followed:
        """Take an answer: what it makes of candidates and of detections."""
        torn = any(self._edge[row] == -value for row, value in edge.items())
        if torn or any(self._cell[row] == -value for row, value in cell.items()):
            raise self._excluded(about)
        before = {row: int(self._edge[row]) for row in edge}, {row: int(self._cell[row]) for row in cell}
        try:
            change = self._decide(edge, cell)
        except InfeasibleError as error:
            raise self._excluded(about) from error
        self._note(edge, cell)
        self._said.append(before)
        return self._followed(change)

    def _decide(self, edge: dict[int, int], cell: dict[int, int]) -> Change:
        return self._linker.decide(edge, {row: value or int(self._doubted[row]) for row, value in cell.items()})

    def _note(self, edge: dict[int, int], cell: dict[int, int]) -> None:
        self._edge[list(edge)] = list(edge.values())
        self._cell[list(cell)] = list(cell.values())

    def _excluded(self, about: int) -> InfeasibleError:
        return InfeasibleError(
            f"an earlier answer, or an annotation, excludes this one about cell {about}", **{"try": "undo"}
        )

    def _followed(self, change: Change) -> Followed:
        def ends(rows: Ints) -> tuple[tuple[int, int], ...]:
            source, target = self._ids[self._edges.source[rows]], self._ids[self._edges.target[rows]]
            return tuple(zip(source.tolist(), target.tolist(), strict=True))

        return Followed(
            ends(change.linked),
            ends(change.unlinked),
            tuple(self._ids[change.selected].tolist()),
            tuple(self._ids[change.dropped].tolist()),
        )

    @cached_property
    def _entering(self) -> tuple[Ints, Ints]:
        """Candidates by their target: the targets, and their rows."""
        order = np.argsort(self._edges.target, kind="stable")
        return self._edges.target[order], order

    def _leaving(self, row: int) -> range:
        begin, end = np.searchsorted(self._edges.source, [row, row + 1])
        return range(int(begin), int(end))

    def _row(self, cell: int) -> int:
        return row_of_cell(self._ids, cell)

    def _link(self, row: int, daughter: int) -> int:
        leaving, target = self._leaving(row), self._row(daughter)
        place = leaving.start + int(np.searchsorted(self._edges.target[leaving.start : leaving.stop], target))
        if place == leaving.stop or self._edges.target[place] != target:
            raise InfeasibleError(
                f"cell {self._ids[row]} to {daughter} is no candidate",
                **{"try": "annotate with add_candidate=True, and open the linker again"},
            )
        return place


def open_linker(store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, config: Config) -> OpenLinker:
    """Open a linker on a stored solution: its movie priced again, with all that people said up to now.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info
        Detections and solution.
    config : Config
        Settings, for what the run of the solution does not tell.

    Raises
    ------
    SchemaError
        If its costs price pairs of daughters, as the learned ones do.
    InfeasibleError
        If annotations exclude each other, or ask for a link that is no candidate.
    """
    params = run_of(store, info).params
    if goes_by_cost(params) and params.get("cost") in IN_PAIRS:
        raise SchemaError(
            f"an open linker follows links one by one, and {info.name} goes by the cost {params['cost']}, which prices "
            "daughters in pairs",
            **{"try": f'trackdb solve {store.path} --simple, or db.solve(cost="density").open()'},
            instead="a review of its posterior, solution.posterior().open(), follows answers for every cost",
        )
    movie = priced_again(store, chosen, info, config, Silent())
    held = held_solution(store, info)
    ids = movie.detections.id
    dual, lacking = _prices(held.prices, ids)
    if params.get("cost") == ASSOCIATION:
        dual, lacking = None, "its prices are of probabilities as they are"
    start = None if dual is None else _start(info, movie, held, dual)
    return OpenLinker(info.name, movie, start, lacking)


def _start(info: SolutionInfo, movie: PricedMovie, held: HeldSolution, dual: NDArray[np.float64]) -> Selection:
    node = np.zeros(len(movie.detections), dtype=bool)
    node[rows_of(movie.detections.id, held.node, "cell")] = True
    cost = np.nan if info.objective is None else info.objective
    return Selection(np.isin(movie.edges.id, held.edge), node, cost, -np.inf, proven=False, dual=dual)


def _prices(prices: Prices, ids: Ints) -> tuple[NDArray[np.float64] | None, str]:
    """Return the price of each detection, None if they do not fit, and in words what is wrong with them."""
    if not len(prices.dual):
        return None, "it holds no prices"
    try:
        rows = rows_of(ids, prices.detection, "detection")
    except SchemaError as error:
        return None, f"its prices are of other detections: {error.message}"
    dual, priced = np.zeros(len(ids)), np.zeros(len(ids), dtype=bool)
    dual[rows], priced[rows] = prices.dual, True
    missing = len(ids) - np.count_nonzero(priced)
    if missing > len(ids) - len(rows):
        return None, "some of its detections have two prices"
    return dual, f"{missing:,} of {len(ids):,} detections have none" if missing else ""


def _told(again: int | None, places: int, lacking: str) -> str:
    """Return in words how a linker opened."""
    if again is None:
        return f"matched afresh: {lacking or 'most of its prices do not hold'}"
    told = f"from its prices, {again:,} of {places:,} places matched again"
    return f"{told}; {lacking}" if lacking else told
