"""Posteriors of a solution: how likely each link is, and what each cell does, written and read in bulk.

A posterior becomes visible whole, in one transaction. Links are kept in the order of their numbers and outcomes in the
order of their cells, so that zone maps find one without an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from ..errors import StoreExistsError
from . import catalogue, tables
from .additions import in_dataset
from .choosing import the_posterior, the_set
from .connection import append, fetch
from .rows import floats, ints
from .schema import require_equal_lengths, rows_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from .catalogue import DetectionSet, RunInfo, SolutionInfo
    from .duckdb_store import DuckDBStore


class HowKnown(IntEnum):
    """How a probability was got; the store keeps the names in lower case."""

    EXACT = 0
    """Nothing was left out; there is no error."""

    PRUNED = 1
    """Exact after options were left out; the error is an estimate of the mass of these, no bound."""

    BELIEF = 2
    """An approximation whose error nobody bounds."""

    SAMPLED = 3
    """A frequency; the error is its standard error."""


HOW: Final = tuple(how.name.lower() for how in HowKnown)


@dataclass(frozen=True, slots=True)
class PosteriorInfo:
    """A posterior that the store holds.

    Parameters
    ----------
    id, set_id, solution_id, run_id : int
        Numbers in the store.
    name : str
        Its name, unique in its dataset.
    method : str
        How it was computed.
    temperature : float
        What the costs were divided by.
    calibrated : bool
        Whether the temperature was fitted to movies with truth.
    """

    id: int
    set_id: int
    solution_id: int
    run_id: int
    name: str
    method: str
    temperature: float
    calibrated: bool


@dataclass(frozen=True, slots=True, eq=False)
class LinkProbabilities:
    """How likely each candidate is a link of the lineage.

    Parameters
    ----------
    edge : (m,) int64
        Numbers of the candidates, increasing.
    probability : (m,) float64
        Of each.
    how : (m,) uint8
        A `HowKnown` each.
    error : (m,) float64
        What that `HowKnown` says of it, NaN where nothing.
    """

    edge: NDArray[np.int64]
    probability: NDArray[np.float64]
    how: NDArray[np.uint8]
    error: NDArray[np.float64]

    def __post_init__(self) -> None:
        require_equal_lengths(edge=self.edge, probability=self.probability, how=self.how, error=self.error)


@dataclass(frozen=True, slots=True, eq=False)
class CellOutcomes:
    """What cells may do next, in rows that exclude each other and of one cell sum to 1.

    Parameters
    ----------
    cell : (k,) int64
        Numbers of the cells, never decreasing; of one cell the likeliest comes first.
    a, b : (k,) int64
        Numbers of the daughters, the smaller first; -1 for none.
    probability : (k,) float64
        Of each outcome.
    how : (k,) uint8
        A `HowKnown` each.
    error : (k,) float64
        What that `HowKnown` says of it, NaN where nothing.
    """

    cell: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    probability: NDArray[np.float64]
    how: NDArray[np.uint8]
    error: NDArray[np.float64]

    def __post_init__(self) -> None:
        require_equal_lengths(
            cell=self.cell, a=self.a, b=self.b, probability=self.probability, how=self.how, error=self.error
        )

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def first(self) -> NDArray[np.int64]:
        """(c + 1,) Where the rows of each cell begin, and their number."""
        begins = np.flatnonzero(np.diff(self.cell, prepend=-1))
        return np.append(begins, len(self))

    @property
    def shares(self) -> NDArray[np.float64]:
        """(k,) Their probabilities, of which those of a cell sum to 1 to the last digits: they are kept in few."""
        first = self.first
        total = np.add.reduceat(self.probability, first[:-1]) if len(self) else self.probability
        share: NDArray[np.float64] = self.probability / np.repeat(total, np.diff(first))
        return share

    @property
    def entropy_bits(self) -> NDArray[np.float64]:
        """(c,) Entropy of what each cell may do."""
        p = self.shares
        surprise = -p * np.log2(np.where(p > 0, p, 1.0))
        total: NDArray[np.float64] = np.add.reduceat(surprise, self.first[:-1]) if len(self) else surprise
        return total


def add_posterior(
    store: DuckDBStore,
    run: RunInfo,
    info: PosteriorInfo,
    links: LinkProbabilities,
    outcomes: CellOutcomes | None,
    found: dict[str, Any],
) -> None:
    """Add the posterior of a run and finish the run, in one transaction; `info.id` is given here.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    run : RunInfo
        The run that made it.
    info : PosteriorInfo
        What it is.
    links : LinkProbabilities
        Of all candidates that it knows.
    outcomes : CellOutcomes or None
        None from a method that tells of links alone.
    found : dict
        What the run has to say.

    Raises
    ------
    StoreExistsError
        If its dataset has a posterior of that name.
    """
    with store.writing() as connection:
        posterior_id = enter(connection, info)
        append(connection, tables.edge_probability, link_rows(links, posterior_id))
        if outcomes is not None:
            append(connection, tables.cell_outcome, outcome_rows(outcomes, posterior_id))
        catalogue.close_run(connection, run.id, "done", found)


def enter(connection: sa.Connection, info: PosteriorInfo) -> int:
    """Enter a posterior without its rows, and return the number that it gets.

    Raises
    ------
    StoreExistsError
        If its dataset has a posterior of that name.
    MissingRowsError
        If its solution was dropped meanwhile.
    """
    if posteriors(connection, tables.posterior.c.name == info.name, in_dataset(tables.posterior, info.set_id)):
        raise StoreExistsError(f"there is already a posterior named {info.name}", **{"try": "another --name"})
    catalogue.require_there(connection, tables.solution, info.solution_id)
    posterior_id = catalogue.take_ids(connection, tables.posterior, 1)
    facts = {name: getattr(info, name) for name in ("set_id", "solution_id", "run_id", "name", "method")}
    connection.execute(
        sa.insert(tables.posterior).values(
            posterior_id=posterior_id, **facts, temperature=info.temperature, calibrated=info.calibrated
        )
    )
    return posterior_id


def posteriors(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[PosteriorInfo]:
    """Return the finished posteriors that fulfil all conditions, oldest first."""
    p, r = tables.posterior, tables.run
    query = sa.select(p).join(r, r.c.run_id == p.c.run_id).where(r.c.state == "done", *where).order_by(p.c.posterior_id)
    return [
        PosteriorInfo(
            id=row["posterior_id"],
            set_id=row["set_id"],
            solution_id=row["solution_id"],
            run_id=row["run_id"],
            name=row["name"],
            method=row["method"],
            temperature=row["temperature"],
            calibrated=row["calibrated"],
        )
        for row in connection.execute(query).mappings()
    ]


def posteriors_of(store: DuckDBStore, chosen: DetectionSet) -> list[tuple[PosteriorInfo, dict[str, Any]]]:
    """Return the finished posteriors of the dataset of some detections with what their runs keep, oldest first."""
    with store.reading() as connection:
        known = posteriors(connection, in_dataset(tables.posterior, chosen.id))
        params = {run.id: run.params for run in catalogue.runs(connection, tables.run.c.kind == "posterior")}
    return [(info, params[info.run_id]) for info in known]


def posterior_names(store: DuckDBStore, chosen: DetectionSet) -> set[str]:
    """Return the names of all finished posteriors of a dataset."""
    with store.reading() as connection:
        return {info.name for info in posteriors(connection, in_dataset(tables.posterior, chosen.id))}


def find_posterior(
    store: DuckDBStore,
    dataset: str | None = None,
    name: str | None = None,
    *,
    solution: str | None = None,
    besides: str | None = None,
    of_cells: bool = False,
    methods: Collection[str] | None = None,
) -> tuple[DetectionSet, SolutionInfo, PosteriorInfo]:
    """Return a posterior with its detection set and solution: by default the newest, of `solution` where one is named.

    The newest is one of another solution than `besides`, and with `of_cells` one that tells what cells do, if there is
    one; with `methods` one that was computed by one of them.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    with store.looking(), store.reading() as connection:
        sets = store.detection_sets()
        newest = the_set(sets, dataset, None)
        of_set = in_dataset(tables.posterior, newest.id)
        solutions = {info.id: info for info in catalogue.solutions(connection, in_dataset(tables.solution, newest.id))}
        known = {info.name: info for info in posteriors(connection, of_set) if info.solution_id in solutions}
        telling = _of_cells(connection) if of_cells else None
    found = the_posterior(
        known, solutions, name, store.path, solution=solution, besides=besides, telling=telling, methods=methods
    )
    return next(s for s in sets if s.id == found.set_id), solutions[found.solution_id], found


def _of_cells(connection: sa.Connection) -> set[int]:
    """Return the numbers of the posteriors that tell what cells do."""
    return set(connection.execute(sa.select(tables.cell_outcome.c.posterior_id).distinct()).scalars())


def read_links(store: DuckDBStore, info: PosteriorInfo) -> LinkProbabilities:
    """Return the probability of every candidate that a posterior knows."""
    v = tables.edge_probability
    query = sa.select(v.c.edge_id, v.c.probability, code_of_how(v), v.c.error).where(v.c.posterior_id == info.id)
    with store.reading() as connection:
        rows = fetch(connection, query.order_by(v.c.edge_id))
    return LinkProbabilities(
        ints(rows, "edge_id"), floats(rows, "probability"), ints(rows, "code").astype(np.uint8), floats(rows, "error")
    )


def read_outcomes(store: DuckDBStore, info: PosteriorInfo) -> CellOutcomes:
    """Return what every cell may do according to a posterior; no rows where its method told of links alone."""
    o = tables.cell_outcome
    one, two = (daughter(place) for place in (1, 2))
    query = sa.select(o.c.det_id, one.label("a"), two.label("b"), o.c.probability, code_of_how(o), o.c.error)
    with store.reading() as connection:
        rows = fetch(connection, query.where(o.c.posterior_id == info.id).order_by(o.c.det_id, o.c.rank))
    return CellOutcomes(
        cell=ints(rows, "det_id"),
        a=ints(rows, "a"),
        b=ints(rows, "b"),
        probability=floats(rows, "probability"),
        how=ints(rows, "code").astype(np.uint8),
        error=floats(rows, "error"),
    )


def code_of_how(table: sa.Table) -> sa.ColumnElement[int]:
    """Return the column `how` as the number of a `HowKnown`."""
    place = sa.func.list_position(sa.literal_column(str(list(HOW))), table.c.how)
    return (place - 1).label("code")


def daughter(place: int) -> sa.ColumnElement[int]:
    """Return the daughter at a place of the list, from 1, or -1."""
    return sa.func.coalesce(sa.literal_column(f"cast(cell_outcome.daughters as bigint[])[{place}]"), -1)


def link_rows(links: LinkProbabilities, posterior_id: int) -> pa.Table:
    """Return links as rows of `edge_probability`, ordered by their numbers."""
    order = np.argsort(links.edge, kind="stable")
    return pa.table(
        {
            "posterior_id": np.full(len(links.edge), posterior_id),
            "edge_id": links.edge[order],
            **_numbers(links.probability[order], links.how[order], links.error[order]),
        }
    )


def outcome_rows(outcomes: CellOutcomes, posterior_id: int) -> pa.Table:
    """Return outcomes as rows of `cell_outcome`."""
    first = outcomes.first
    return pa.table(
        {
            "posterior_id": np.full(len(outcomes), posterior_id),
            "det_id": outcomes.cell,
            "rank": (np.arange(len(outcomes)) - np.repeat(first[:-1], np.diff(first)) + 1).astype(np.int32),
            "daughters": _lists(outcomes.a, outcomes.b),
            **_numbers(outcomes.probability, outcomes.how, outcomes.error),
        }
    )


def _numbers(
    probability: NDArray[np.float64], how: NDArray[np.uint8], error: NDArray[np.float64]
) -> dict[str, pa.Array]:
    return {
        "probability": pa.array(probability.astype(np.float32)),
        "how": pa.DictionaryArray.from_arrays(how.astype(np.int8), list(HOW)),
        "error": pa.array(error.astype(np.float32), from_pandas=True),
    }


def _lists(a: NDArray[np.int64], b: NDArray[np.int64]) -> pa.Array:
    """Write up to two numbers in each row as a list in JSON: ``[]``, ``[7]``, ``[7, 8]``."""
    one, two = (pc.cast(pa.array(number), pa.string()) for number in (a, b))
    single = pc.binary_join_element_wise("[", one, "]", "")
    both = pc.binary_join_element_wise("[", one, ", ", two, "]", "")
    return pc.if_else(pa.array(a < 0), "[]", pc.if_else(pa.array(b < 0), single, both))


def frames_of(store: DuckDBStore, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frame of each of some cells, all different, by their numbers.

    Raises
    ------
    SchemaError
        If there is no cell of such a number.
    """
    d = tables.detection
    with store.reading() as connection:
        rows = fetch(connection, sa.select(d.c.det_id, d.c.t).where(d.c.det_id.in_(cells.tolist())))
    known, frame = ints(rows, "det_id"), ints(rows, "t")
    order = np.argsort(known)
    return frame[order][rows_of(known[order], cells, "cell")]
