"""What an answer is worth: pieces of a posterior computed again, once for each answer that people may give.

Every piece is copied as often as its question has outcomes, each copy with one of them decided, and all copies are
weighed in one go, as one problem that falls apart into them. A kept cell ties what it does as a daughter to what it
does as a mother by nothing, so the mothers of a piece need no parents in a copy, and its daughters no children.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import SchemaError
from ...solvers.daughters import Pairs
from ...solvers.pins import Pins, pin
from ...solvers.problem import FORBIDDEN, KEPT, TrackingProblem
from ...storage.schema import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ...solvers.posterior.marginals import Marginals
    from .questions import CellQuestions

    Estimate = Callable[[TrackingProblem], Marginals]

_COLUMNS: Final = (
    "frame",
    "source",
    "target",
    "edge_cost",
    "node_cost",
    "appear_cost",
    "disappear_cost",
    "division_cost",
    "pinned",
    "copy",
    "first",
    "second",
    "cost",
)

LARGEST: Final = 60  # mothers; of a larger piece the cells around the question are looked at


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Pieces laid out side by side in one problem.

    Parameters
    ----------
    problem : TrackingProblem
        All copies, mothers in frame 0 and daughters in frame 1.
    pins : Pins
        The outcome that is decided in each copy.
    copy : (n,) int64
        Copy of each cell, -1 for mothers.
    count : int
        Number of copies.
    """

    problem: TrackingProblem
    pins: Pins
    copy: NDArray[np.int64]
    count: int

    def errors(self, estimate: Estimate) -> NDArray[np.float64]:
        """Return how many daughters of each copy are expected to have another mother than their likeliest."""
        left = pin(self.problem, self.pins)
        found = estimate(left.problem)
        best = found.new.copy()
        np.maximum.at(best, left.problem.target, found.link)
        daughters = self.copy >= 0
        wrong = np.clip(1 - best[daughters], 0, 1)
        return np.bincount(self.copy[daughters], wrong, self.count).astype(np.float64)


class Rerun:
    """Computes pieces of a posterior again.

    Parameters
    ----------
    problem : TrackingProblem
        What the posterior was of, after annotations; no cell in it is optional.
    ids : (n,) int64
        Numbers of its cells, increasing.
    questions : CellQuestions
        What the posterior leaves open.
    estimate : callable
        Weighs a problem.

    Raises
    ------
    SchemaError
        If a cell is optional: then its two sides do not fall apart.
    """

    def __init__(
        self, problem: TrackingProblem, ids: NDArray[np.int64], questions: CellQuestions, estimate: Estimate
    ) -> None:
        if np.any(problem.pinned_node == 0):
            raise SchemaError("pieces are computed again where every detection is kept, or none")
        self._problem, self._questions, self._estimate = problem, questions, estimate
        self._row = rows_of(ids, questions.cell, "cell")
        self._daughter_row = rows_of(ids, questions.daughter, "cell")
        n = problem.n_nodes
        mother_piece, daughter_piece = np.full((2, n), -1)
        mother_piece[self._row], daughter_piece[self._daughter_row] = questions.piece, questions.daughter_piece
        of_edge = mother_piece[problem.source]
        inside = np.flatnonzero((of_edge >= 0) & (of_edge == daughter_piece[problem.target]))
        self._edges = inside[np.argsort(of_edge[inside], kind="stable")]  # by piece, in each as in the problem
        self._first = np.searchsorted(of_edge[self._edges], np.arange(len(questions.errors) + 1))
        key = problem.source * n + problem.target
        self._order = np.argsort(key, kind="stable")
        self._key = key[self._order]

    def reductions(self, asked: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how many errors the answer to each question is expected to lessen those of its piece.

        E - sum_o P(o) E(o), where E counts the daughters that are expected to have another mother than their
        likeliest, before the answer and after each answer o; never negative.

        Parameters
        ----------
        asked : (q,) int64
            Rows of the questions.
        """
        builder = _Builder(self._problem)
        shares: list[list[float]] = []
        for question in asked.tolist():
            edges = self._around(question)
            builder.add(edges, None)
            share = []
            for outcome in range(*self._questions.outcomes.first[question : question + 2].tolist()):
                links = self._links(question, outcome)
                if links is not None and np.isin(links, edges).all():
                    builder.add(edges, (int(self._row[question]), links))
                    share.append(float(self._questions.probability[outcome]))
            shares.append(share)
        if not shares:
            return np.empty(0)
        errors = iter(builder.copies().errors(self._estimate).tolist())
        reduction = np.zeros(len(asked))
        for place, share in enumerate(shares):
            now = next(errors)
            later = sum(p * next(errors) for p in share)
            reduction[place] = now - later / sum(share) if share else 0.0
        return np.maximum(reduction, 0.0)

    def _links(self, question: int, outcome: int) -> NDArray[np.int64] | None:
        """Return the edges of an outcome, None where one of them is no longer free."""
        told = self._questions.outcomes
        daughters = np.array([d for d in (told.a[outcome], told.b[outcome]) if d >= 0], dtype=np.int64)
        rows = self._daughter_row[np.searchsorted(self._questions.daughter, daughters)]
        wanted = self._row[question] * self._problem.n_nodes + rows
        place = np.minimum(np.searchsorted(self._key, wanted), max(len(self._key) - 1, 0))
        if len(wanted) and (not len(self._key) or np.any(self._key[place] != wanted)):
            return None
        return np.asarray(self._order[place], dtype=np.int64)

    def _around(self, question: int) -> NDArray[np.int64]:
        """Return the edges of the piece of a question; of a large one those between the cells nearest to it."""
        piece = int(self._questions.piece[question])
        edges = self._edges[self._first[piece] : self._first[piece + 1]]
        source, target = self._problem.source[edges], self._problem.target[edges]
        if len(np.unique(source)) <= LARGEST:
            return edges
        mothers, kept = self._row[question : question + 1], None
        while True:
            daughters = np.unique(target[np.isin(source, mothers)])
            wider = np.unique(source[np.isin(target, daughters)])
            if len(wider) > LARGEST and kept is not None:
                return edges[kept]
            kept = np.isin(source, wider) & np.isin(target, daughters)
            if len(wider) == len(mothers) or len(wider) > LARGEST:
                return edges[kept]
            mothers = wider


class _Builder:
    """Lays copies of parts of a problem side by side."""

    def __init__(self, problem: TrackingProblem) -> None:
        self._problem = problem
        self._parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in _COLUMNS}
        self._cells = self._edges = self._count = 0

    def add(self, edges: NDArray[np.int64], decided: tuple[int, NDArray[np.int64]] | None) -> None:
        """Add the part of some edges, with what a mother (her row, and the edges that are real) does, if decided."""
        whole, edges = self._problem, np.sort(edges)
        mothers, source = np.unique(whole.source[edges], return_inverse=True)
        daughters, target = np.unique(whole.target[edges], return_inverse=True)
        m, d = len(mothers), len(daughters)
        none, free = np.zeros(m), np.zeros(d)
        pinned = np.zeros(len(edges), dtype=np.int8)
        if decided is not None:
            pinned[whole.source[edges] == decided[0]] = FORBIDDEN
            pinned[np.isin(edges, decided[1])] = KEPT
        part = {
            "frame": np.repeat([0, 1], [m, d]),
            "source": source + self._cells,
            "target": target + self._cells + m,
            "edge_cost": whole.edge_cost[edges],
            "node_cost": np.append(whole.node_cost[mothers], free),
            "appear_cost": np.append(none, whole.appear_cost[daughters]),
            "disappear_cost": np.append(whole.disappear_cost[mothers], free),
            "division_cost": np.append(whole.division_cost[mothers], free),
            "pinned": pinned,
            "copy": np.repeat([-1, self._count], [m, d]),
        }
        if whole.pairs is not None:
            pairs = whole.pairs.among(edges, whole.n_edges)
            part |= {"first": pairs.first + self._edges, "second": pairs.second + self._edges, "cost": pairs.cost}
        for name, column in part.items():
            self._parts[name].append(column)
        self._cells, self._edges, self._count = self._cells + m + d, self._edges + len(edges), self._count + 1

    def copies(self) -> Copies:
        """Return all that was added."""
        column = {name: np.concatenate(parts) for name, parts in self._parts.items() if parts}
        pairs = None
        if self._problem.pairs is not None:
            pairs = Pairs(column["first"], column["second"], column["cost"])
        problem = TrackingProblem(
            frame=column["frame"],
            source=column["source"],
            target=column["target"],
            edge_cost=column["edge_cost"],
            node_cost=column["node_cost"],
            appear_cost=column["appear_cost"],
            disappear_cost=column["disappear_cost"],
            division_cost=column["division_cost"],
            pinned_node=np.full(self._cells, KEPT, dtype=np.int8),
            pairs=pairs,
        )
        pins = Pins(column["pinned"], np.zeros(self._cells, dtype=np.int8))
        return Copies(problem, pins, column["copy"], self._count)
