"""Posteriors that follow a stored one: what was found again is written, and all other rows are taken over in SQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from ..errors import MissingRowsError
from . import catalogue, tables
from .connection import driver
from .posteriors import HOW, enter, link_rows, outcome_rows, posteriors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .catalogue import RunInfo
    from .duckdb_store import DuckDBStore
    from .posteriors import CellOutcomes, LinkProbabilities, PosteriorInfo


@dataclass(frozen=True, slots=True)
class Totals:
    """What the rows of a posterior say together.

    Parameters
    ----------
    cells, links : int
        Cells that have outcomes, and candidates that have a probability.
    how : dict of str to int
        How many of the cells are known how.
    mean_entropy_bits : float
        Mean entropy of what they do.
    """

    cells: int
    links: int
    how: dict[str, int]
    mean_entropy_bits: float


def add_followed(
    store: DuckDBStore,
    run: RunInfo,
    info: PosteriorInfo,
    base: PosteriorInfo,
    links: LinkProbabilities,
    outcomes: CellOutcomes,
    cells: NDArray[np.int64],
    found: dict[str, Any],
) -> Totals:
    """Add a posterior that is a stored one but for some links and cells, and finish its run, in one transaction.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    run, info
        As in `posteriors.add_posterior`.
    base : PosteriorInfo
        From which all else is taken over.
    links : LinkProbabilities
        Of links that `base` knows, those that were found again.
    outcomes : CellOutcomes
        Of cells that were found again.
    cells : (c,) int64
        Their numbers, with those of cells that have no outcomes any more.
    found : dict
        What the run has to say; the totals are added.

    Raises
    ------
    StoreExistsError
        If its dataset has a posterior of that name.
    MissingRowsError
        If `base` was removed meanwhile.
    """
    with store.writing() as connection:
        if not posteriors(connection, tables.posterior.c.posterior_id == base.id):
            raise MissingRowsError(f"posterior {base.name} was removed meanwhile", **{"try": "the same again"})
        posterior_id = enter(connection, info)
        _take_links(connection, posterior_id, base.id, link_rows(links, posterior_id))
        _take_outcomes(connection, posterior_id, base.id, outcome_rows(outcomes, posterior_id), cells)
        totals = _totals(connection, posterior_id)
        catalogue.close_run(connection, run.id, "done", found | asdict(totals))
    return totals


def _take_links(connection: sa.Connection, posterior_id: int, base_id: int, again: pa.Table) -> None:
    raw = driver(connection)
    raw.register("again", again)
    try:
        raw.execute(
            "insert into edge_probability select $own, o.edge_id, if(n.edge_id is null, o.probability, n.probability), "
            "if(n.edge_id is null, o.how, n.how), if(n.edge_id is null, o.error, n.error) "
            "from edge_probability o left join again n using (edge_id) where o.posterior_id = $base order by o.edge_id",
            {"own": posterior_id, "base": base_id},
        )
    finally:
        raw.unregister("again")


def _take_outcomes(
    connection: sa.Connection, posterior_id: int, base_id: int, again: pa.Table, cells: NDArray[np.int64]
) -> None:
    raw = driver(connection)
    columns = "det_id, rank, daughters, probability, how, error"
    raw.register("again", again)
    raw.register("gone", pa.table({"det_id": cells}))
    try:
        raw.execute(
            f"insert into cell_outcome select $own, * from (select {columns} from cell_outcome o "
            "where posterior_id = $base and not exists (from gone where gone.det_id = o.det_id) "
            f"union all select {columns} from again) order by det_id, rank",
            {"own": posterior_id, "base": base_id},
        )
    finally:
        raw.unregister("again")
        raw.unregister("gone")


def _totals(connection: sa.Connection, posterior_id: int) -> Totals:
    o, v = tables.cell_outcome, tables.edge_probability
    bits = sa.func.sum(-sa.cast(o.c.probability, sa.Double) * sa.func.log2(sa.cast(o.c.probability, sa.Double)))
    query = sa.select(o.c.how, sa.func.count().filter(o.c.rank == 1), bits).where(o.c.posterior_id == posterior_id)
    rows = {how: (count, total) for how, count, total in connection.execute(query.group_by(o.c.how))}
    n_links = sa.select(sa.func.count()).select_from(v).where(v.c.posterior_id == posterior_id)
    cells = sum(count for count, _ in rows.values())
    return Totals(
        cells=cells,
        links=connection.execute(n_links).scalar_one(),
        how={how: rows.get(how, (0, 0.0))[0] for how in HOW},
        mean_entropy_bits=sum(total for _, total in rows.values()) / cells if cells else 0.0,
    )
