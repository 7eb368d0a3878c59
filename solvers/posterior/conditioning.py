"""An open posterior: probabilities that follow each decision at once, by weighing anew only what it touches.

A decision takes options away: the other parents of a daughter, the other daughters of a mother. The pieces that held
them are searched and weighed again, and mostly fall apart further. Where links were cut, the messages along them stay
as they were; where nothing was cut, the answer is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InfeasibleError, SchemaError
from ..problem import FORBIDDEN, KEPT
from .believing import Beliefs
from .components import OPTIONAL, Messages, find_pieces, see
from .doubts import judge
from .frontier import WIDEST, weigh_pieces
from .marginals import PRUNE, assemble, check_options, in_rows_of_problem
from .order import keep_order
from .outcomes import LEAST, Outcomes
from .plan import WIDTH, cut_plan, piece_of_cells
from .trying import Parents, reductions_by_trying
from .views import agree, both_views, ranked
from .worth import error_reductions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..problem import TrackingProblem
    from .doubts import Doubts
    from .marginals import Marginals

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """Cells whose probabilities a decision made anew: as mothers, and as daughters."""

    mothers: NDArray[np.int64]
    daughters: NDArray[np.int64]


class OpenPosterior:
    """The probabilities of a problem, kept right while decisions come in and are taken back.

    Parameters
    ----------
    problem : TrackingProblem
        n detections and m candidate edges; without conflicts.
    temperature, prune, width
        As in `marginals.estimate`, whose method ``auto`` this is.
    beliefs : Beliefs or None
        Of this problem at this temperature, where somebody else weighs it, too: what it knows is not found out again.

    Attributes
    ----------
    link : (m,) float64
        Probability of each link, rows of the problem; to be read only.
    new, present : (n,) float64
        Of each cell, as in `Marginals`; to be read only.
    piece : (n,) int64
        Piece of each cell as a mother, -1 where it has no candidates; a piece weighed anew has a new number.
    """

    def __init__(
        self,
        problem: TrackingProblem,
        *,
        temperature: float = 1.0,
        prune: float = PRUNE,
        width: int = WIDTH,
        beliefs: Beliefs | None = None,
    ) -> None:
        check_options("auto", prune, width, 1)
        beliefs = Beliefs.of(problem, temperature) if beliefs is None else beliefs
        graph = beliefs.graph._replace(state=beliefs.graph.state.copy())  # decisions write to it
        plan = cut_plan(beliefs, prune, width)
        weighed = weigh_pieces(graph, plan.cut, plan.pieces, plan.sweep, width)
        views = both_views(graph, plan.cut, weighed.choice, weighed.absent)
        wide = np.zeros(len(plan.sweep.width), dtype=bool)
        self._before = assemble(problem, graph, plan, wide, views, weighed, None)
        self._problem, self._graph, self._cut, self._weighed = problem, graph, plan.cut, weighed
        self._wanted = plan.cut.tied.copy()
        self._messages = Messages(*(column.copy() for column in plan.messages))
        self._place = np.full(problem.n_edges, -1, dtype=np.int64)
        self._place[graph.row] = np.arange(graph.n_links)
        self._dead = np.zeros(graph.n_links, dtype=bool)
        self._fixed = np.full(graph.n_cells, -1, dtype=np.int64)  # option of each mother who is decided
        self._said = np.zeros(graph.n_cells, dtype=bool)  # cells that decisions say are such
        self._of_graph = views.link
        self._decisions: list[list[tuple[NDArray[np.generic], Ints, NDArray[np.generic]]]] = []
        self.link, self.new, self.present = self._before.link.copy(), views.new.copy(), views.present.copy()
        self.piece = piece_of_cells(graph, plan.pieces)
        self._n_pieces = len(plan.pieces.first) - 1
        self._position = np.zeros(graph.n_cells, dtype=np.int64)  # of each mother in the first order
        self._position[plan.sweep.mother] = np.arange(len(plan.sweep.mother))

    def choose(self, cell: int, links: Sequence[int]) -> Touched:
        """Say what a cell does as a mother: it goes on to, or divides into, the targets of these links, or ends.

        Parameters
        ----------
        cell : int
            Row of the mother.
        links : sequence of int
            Rows of none, one or two links that leave it.

        Raises
        ------
        InfeasibleError
            If an earlier decision, or the problem, rules it out; nothing has changed then.
        """
        graph = self._graph
        option = self._option(cell, links)
        chosen = self._place[np.asarray(links, dtype=np.int64)]
        targets = graph.target[chosen]
        self._require_free(chosen, cell)
        gone = np.concatenate([self._leaving(cell), *(self._entering(int(v)) for v in targets)])
        return self._decide(gone, np.array([cell, *targets]), KEPT, fixed=(cell, option))

    def reject(self, link: int) -> Touched:
        """Say that a link is not real; as `choose`."""
        at = self._link(link)
        self._require_undecided_link(at)
        return self._decide(np.array([at]), np.empty(0, np.int64), KEPT)

    def begins(self, cell: int) -> Touched:
        """Say that a cell has no parent; as `choose`."""
        self._cell(cell)
        if np.any(self._is_fixed(self._entering(cell))):
            raise InfeasibleError(f"detection {cell} begins, but has a parent by decision")
        return self._decide(self._entering(cell), np.array([cell]), KEPT)

    def not_a_cell(self, cell: int, *, kept_too: bool = False) -> Touched:
        """Say that a detection is none; as `choose`.

        Parameters
        ----------
        cell : int
            Row of an optional detection.
        kept_too : bool
            Also of one that the problem keeps; not of one that a decision says is a cell.
        """
        self._cell(cell)
        if self._graph.state[cell] == KEPT and (self._said[cell] or not kept_too):
            raise InfeasibleError(f"detection {cell} is kept, by the problem or by decision")
        gone = np.concatenate([self._entering(cell), self._leaving(cell)])
        return self._decide(gone, np.array([cell]), FORBIDDEN)

    def undo(self) -> None:
        """Take back the last decision.

        Raises
        ------
        SchemaError
            If there is none.
        """
        if not self._decisions:
            raise SchemaError("there is no decision to take back")
        for column, rows, values in reversed(self._decisions.pop()):
            column[rows] = values

    def outcomes_of(self, cell: int) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """Return the outcomes of a cell as a mother, as the columns of `Outcomes`."""
        self._cell(cell)
        found = self.outcomes(np.array([cell]))
        return found.a, found.b, found.probability

    def outcomes(self, cells: NDArray[np.int64]) -> Outcomes:
        """Return the outcomes of some cells as mothers, in the order of these rows."""
        return in_rows_of_problem(self._graph, ranked(self._graph, self._weighed.choice, cells))

    def possible_mothers(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return all that had some cell as a candidate for a daughter, also by links that are ruled out by now."""
        return self._graph.source[self._entering_all(cells)]

    def possible_daughters(self, mothers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return all that had some cell as a candidate for a mother, also by links that are ruled out by now."""
        return self._graph.target[self.links_leaving(mothers)]

    def error_reductions(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return of each cell how many errors fewer are expected once it is known what it does as a mother.

        Parameters
        ----------
        cells : (q,) int64
            Rows of the cells.

        Returns
        -------
        (q,) float64
            Daughters fewer that are expected to have another mother than their likeliest, none being one. Where a
            detection may be no cell, this tries every answer (`trying`).
        """
        graph = self._graph
        if np.any(graph.state == OPTIONAL):
            return reductions_by_trying(self, cells)
        choice = self._weighed.choice
        return error_reductions(graph, self._cut, choice, self._of_graph, self._position, cells)

    def parents_of(self, cells: NDArray[np.int64]) -> Parents:
        """Return how likely each link into some cells is, rows increasing, of those that have candidates."""
        graph = self._graph
        cells = cells[graph.into_first[cells] < graph.into_first[cells + 1]]
        size = graph.into_first[cells + 1] - graph.into_first[cells]
        return Parents(cells, np.cumsum(size) - size, self._of_graph[self._entering_all(cells)])

    def judge(
        self, asked: NDArray[np.bool_], changed: Ints, mothers: Ints, daughters: Ints, into: Doubts, optional: bool
    ) -> None:
        """Write what is in doubt about the cells of some groups; see `doubts.judge`."""
        judge(self._graph, self._weighed.choice, LEAST, asked, changed, mothers, daughters, into, optional)

    def links_leaving(self, mothers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the links of the graph that leave some cells."""
        return _spans(self._graph.first[mothers], self._graph.first[mothers + 1])

    @property
    def n_links(self) -> int:
        """Number of links of the graph: those between cells that may be selected."""
        return self._graph.n_links

    @property
    def how_cell(self) -> NDArray[np.uint8]:
        """(n,) `HowWeighed` what each cell does was known before the first decision."""
        return self._before.how_cell

    def marginals(self) -> Marginals:
        """Return all probabilities as they are now; how each is known stays as it was. One pass over all cells."""
        if not self._decisions:
            return self._before
        outcomes = self.outcomes(np.arange(self._graph.n_cells))
        return replace(
            self._before,
            link=self.link.copy(),
            new=self.new.copy(),
            present=self.present.copy(),
            outcomes=outcomes,
            piece=np.where(outcomes.probability[outcomes.first[:-1]] > 1 - LEAST, -1, self.piece),
            log_z=math.nan,
        )

    def _cell(self, cell: int) -> None:
        if not 0 <= cell < self._graph.n_cells:
            raise SchemaError(f"there is no detection {cell}", expected=f"0 .. {self._graph.n_cells - 1}")

    def _link(self, link: int) -> int:
        if not 0 <= link < len(self._place):
            raise SchemaError(f"there is no link {link}", expected=f"0 .. {len(self._place) - 1}")
        if self._place[link] < 0:
            raise InfeasibleError(f"link {link} is one of a forbidden detection")
        return int(self._place[link])

    def _leaving(self, cell: int) -> Ints:
        return np.arange(self._graph.first[cell], self._graph.first[cell + 1])

    def _entering(self, cell: int) -> Ints:
        return self._graph.into[self._graph.into_first[cell] : self._graph.into_first[cell + 1]]

    def _option(self, cell: int, links: Sequence[int]) -> int:
        """Return which of the options of a mother these links are."""
        self._cell(cell)
        graph = self._graph
        at = [self._link(int(link)) for link in links]
        if any(graph.source[e] != cell for e in at):
            raise SchemaError(f"links {list(links)} do not all leave detection {cell}")
        if not at:
            return 0
        begin, end = int(graph.first[cell]), int(graph.first[cell + 1])
        if len(at) == 1:
            return 1 + at[0] - begin
        pairs = slice(graph.pair_first[cell], graph.pair_first[cell + 1])
        one = np.flatnonzero((graph.pair_a[pairs] == min(at)) & (graph.pair_b[pairs] == max(at)))
        if len(at) > 2 or not len(one):
            raise InfeasibleError(f"detection {cell} cannot have the links {list(links)} together")
        return 1 + end - begin + int(one[0])

    def _is_fixed(self, at: Ints) -> NDArray[np.bool_]:
        """Tell which links are real by decision."""
        return np.logical_and(self._dead[at], np.equal(self._of_graph[at], 1.0))

    def _require_undecided_link(self, at: int) -> None:
        if self._is_fixed(np.array([at])).any():
            raise InfeasibleError(f"link {self._graph.row[at]} is real by decision", use="undo")

    def _require_free(self, chosen: Ints, cell: int) -> None:
        if self._fixed[cell] >= 0:
            raise InfeasibleError(f"what detection {cell} does is decided already", use="undo")
        if self._graph.state[cell] == FORBIDDEN:
            raise InfeasibleError(f"detection {cell} is none, by the problem or by decision")
        if self._dead[chosen].any():
            link = int(self._graph.row[chosen[self._dead[chosen]][0]])
            raise InfeasibleError(f"link {link} is ruled out by an earlier decision", use="undo")

    def _remember(self, rows: Ints, *columns: NDArray[np.generic]) -> None:
        """Remember what stands in these rows."""
        self._decisions[-1].extend((column, rows, column[rows]) for column in columns)

    def _set(self, column: NDArray[np.generic], rows: Ints, values: NDArray[np.generic] | float) -> None:
        """Write, and remember what stood there."""
        self._remember(rows, column)
        column[rows] = values

    def _decide(self, gone: Ints, cells: Ints, state: int, fixed: tuple[int, int] | None = None) -> Touched:
        """Take links away, say what cells are, and weigh anew what that touches."""
        graph = self._graph
        gone = gone[~self._dead[gone]]
        if state == KEPT and np.any(graph.state[cells] == FORBIDDEN):
            raise InfeasibleError(f"detection {cells[graph.state[cells] == FORBIDDEN][0]} is decided the other way")
        mothers, daughters = self._touched(gone, cells)
        self._decisions.append([])
        self._set(self._dead, gone, True)
        self._set(self._cut.alive, gone, False)
        self._set(self._messages.up, gone, -np.inf)
        self._set(self._messages.down, gone, -np.inf)
        self._set(graph.state, cells, state)
        self._set(self._said, cells, state == KEPT)
        if fixed is not None:
            self._set(self._fixed, np.array([fixed[0]]), fixed[1])
        self._weigh(mothers, daughters)
        return Touched(mothers, daughters)

    def _touched(self, gone: Ints, cells: Ints) -> tuple[Ints, Ints]:
        """Return the mothers of all pieces that a decision touches, with their daughters."""
        graph = self._graph
        into = np.concatenate([gone, self._entering_all(np.concatenate([cells, graph.target[gone]]))])
        seeds = np.concatenate([graph.source[gone], graph.source[into[self._cut.alive[into]]], cells])
        seeds = seeds[graph.first[seeds] < graph.first[seeds + 1]]
        mothers = find_pieces(graph, self._cut.alive, self._cut.tied, seeds).mother
        leaving = _spans(graph.first[mothers], graph.first[mothers + 1])
        return mothers, np.unique(np.concatenate([cells, mothers, graph.target[leaving]])).astype(np.int64)

    def _weigh(self, mothers: Ints, daughters: Ints) -> None:
        graph, cut = self._graph, self._cut
        into = self._entering_all(daughters)
        self._remember(into, cut.take, cut.shared)
        self._remember(daughters, cut.tied, cut.leave, cut.idle, cut.absent, cut.unborn, self.new, self.present)
        links = _spans(graph.first[mothers], graph.first[mothers + 1])
        options = _spans(*self._options(mothers))
        self._set(self._weighed.choice, options, 0.0)
        self._set(self._weighed.absent, mothers, 0.0)
        self._remember(links, self._of_graph)
        see(graph, cut, self._wanted, self._messages, daughters)
        pieces = find_pieces(graph, cut.alive, cut.tied, mothers)
        sweep = keep_order(graph, cut, pieces, self._position, WIDEST)
        weigh_pieces(graph, cut, pieces, sweep, WIDEST, into=self._weighed)
        decided = mothers[self._fixed[mothers] >= 0]
        begin, end = self._options(decided)
        self._weighed.choice[_spans(begin, end)] = 0.0
        self._weighed.choice[begin + self._fixed[decided]] = 1.0
        agree(graph, cut, self._weighed.choice, self._weighed.absent, mothers, daughters,
              self._of_graph, self.new, self.present)  # fmt: skip
        self._set(self.link, graph.row[links], self._of_graph[links])
        number = np.repeat(np.arange(len(pieces.first) - 1), pieces.first[1:] - pieces.first[:-1]) + self._n_pieces
        self._set(self.piece, pieces.mother, number)
        self._n_pieces += len(pieces.first) - 1

    def _options(self, mothers: Ints) -> tuple[Ints, Ints]:
        """Return where the options of mothers begin and end."""
        graph = self._graph
        begin = mothers + graph.first[mothers] + graph.pair_first[mothers]
        return begin, mothers + 1 + graph.first[mothers + 1] + graph.pair_first[mothers + 1]

    def _entering_all(self, cells: Ints) -> Ints:
        return self._graph.into[_spans(self._graph.into_first[cells], self._graph.into_first[cells + 1])]


def _spans(begin: Ints, end: Ints) -> Ints:
    """Return all numbers from each beginning to before its end."""
    size = end - begin
    before = np.cumsum(size) - size
    numbers: Ints = np.arange(int(size.sum())) + np.repeat(begin - before, size)
    return numbers
