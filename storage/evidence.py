"""What else a store tells of the links of a solution: their probability, who pinned them, and where else they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from . import catalogue, tables
from .connection import fetch
from .decisions import DecisionKind
from .rows import ints, numbers_by_id
from .schema import require_equal_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .catalogue import SolutionInfo
    from .decisions import Decision
    from .duckdb_store import DuckDBStore


@dataclass(frozen=True, slots=True, eq=False)
class LinkEvidence:
    """What a store knows of the m links of a solution besides the links themselves.

    Parameters
    ----------
    posterior : str or None
        Name of the solution's newest posterior, None without one.
    probability : (m,) float64
        Probability of each link there, NaN where it tells none.
    pinned_by : (m,) str
        Who pinned each link, ``""`` where nobody did.
    also_in : dict of str to (m,) bool
        For every other solution of the same detections, whether it has the link too.
    decided : dict of int to tuple of str
        What people said of cells that no link tells: that they end, or begin; and who said it.
    """

    posterior: str | None
    probability: NDArray[np.float64]
    pinned_by: NDArray[np.str_]
    also_in: dict[str, NDArray[np.bool_]]
    decided: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_equal_lengths(self.also_in, probability=self.probability, pinned_by=self.pinned_by)


def link_evidence(
    store: DuckDBStore,
    info: SolutionInfo,
    edge: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    counting: Sequence[Decision],
) -> LinkEvidence:
    """Collect what is known of the links of a solution.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    info : SolutionInfo
        The solution.
    edge, source, target : (m,) int64
        Ids of its links, and of the detections that each ties, as `DuckDBStore.solution` and `link_ends` give them.
    counting : sequence of Decision
        What people said that counts, by the numbers of these detections, oldest first.
    """
    with store.reading() as connection:
        posterior, probability = _probability(connection, info, edge)
        others = catalogue.solutions(connection, tables.solution.c.set_id == info.set_id)
        also_in = {s.name: np.isin(edge, _edges_of(connection, s)) for s in others if s.id != info.id}
    return LinkEvidence(
        posterior=posterior,
        probability=probability,
        pinned_by=_pinned_by(_answers(counting), source, target),
        also_in=also_in,
        decided=_decided(counting),
    )


def _probability(
    connection: sa.Connection, info: SolutionInfo, edge: NDArray[np.int64]
) -> tuple[str | None, NDArray[np.float64]]:
    """Return the name of the newest finished posterior of a solution, and the probability of each edge in it."""
    found = newest_posterior(connection, info)
    if found is None:
        return None, np.full(len(edge), np.nan)
    number, name = found
    v = tables.edge_probability
    rows = fetch(connection, sa.select(v.c.edge_id, v.c.probability).where(v.c.posterior_id == number))
    return name, numbers_by_id(rows, "edge_id", "probability", edge)


def newest_posterior(connection: sa.Connection, info: SolutionInfo) -> tuple[int, str] | None:
    """Return number and name of the newest finished posterior of a solution, None where there is none."""
    p, r = tables.posterior, tables.run
    finished = sa.select(p.c.posterior_id, p.c.name).join(r, r.c.run_id == p.c.run_id).where(r.c.state == "done")
    newest = finished.where(p.c.solution_id == info.id).order_by(p.c.posterior_id.desc()).limit(1)
    found = connection.execute(newest).one_or_none()
    return None if found is None else (found.posterior_id, found.name)


def _answers(counting: Sequence[Decision]) -> dict[int, tuple[str, set[int]]]:
    """Return for each cell with a choice that counts who made the newest one, and the daughters chosen."""
    return {
        decision.cell.id: (decision.who, {daughter.id for daughter in decision.daughters or ()})
        for decision in counting
        if decision.kind is DecisionKind.CHOOSE and decision.cell is not None
    }


def _decided(counting: Sequence[Decision]) -> dict[int, tuple[str, str]]:
    """Return of each cell that somebody said to end or to begin what was said, and who said it."""
    said: dict[int, dict[str, str]] = {}
    for decision in counting:
        if decision.cell is not None and decision.kind is DecisionKind.BEGINS:
            said.setdefault(decision.cell.id, {})["begins"] = decision.who
    for cell, (who, daughters) in _answers(counting).items():
        if not daughters:
            said.setdefault(cell, {})["ends"] = who
    return {cell: ("; ".join(words), "; ".join(dict.fromkeys(words.values()))) for cell, words in said.items()}


def _pinned_by(
    answers: dict[int, tuple[str, set[int]]], source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.str_]:
    """Return who chose each link, ``""`` where nobody did."""
    asked = np.flatnonzero(np.isin(source, np.fromiter(answers, np.int64, len(answers))))
    who = np.zeros(len(source), dtype=f"<U{max((len(name) for name, _ in answers.values()), default=1)}")
    for row, mother, daughter in zip(asked.tolist(), source[asked].tolist(), target[asked].tolist(), strict=True):
        name, daughters = answers[mother]
        if daughter in daughters:
            who[row] = name
    return who


def _edges_of(connection: sa.Connection, info: SolutionInfo) -> NDArray[Any]:
    e = tables.solution_edge
    return ints(fetch(connection, sa.select(e.c.edge_id).where(e.c.solution_id == info.id)), "edge_id")
