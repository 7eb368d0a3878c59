"""Whose daughter each cell may be, as a stored posterior tells it: its links by their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from . import tables
from .connection import fetch
from .posteriors import code_of_how
from .rows import floats, ints
from .schema import require_equal_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .duckdb_store import DuckDBStore
    from .posteriors import PosteriorInfo


@dataclass(frozen=True, slots=True, eq=False)
class PossibleParents:
    """How likely each candidate is a link, ordered by daughter.

    Parameters
    ----------
    mother, daughter : (m,) int64
        Numbers of the cells that it ties; the daughter never decreases.
    probability : (m,) float64
        Of each.
    how : (m,) uint8
        A `HowKnown` each.
    """

    mother: NDArray[np.int64]
    daughter: NDArray[np.int64]
    probability: NDArray[np.float64]
    how: NDArray[np.uint8]

    def __post_init__(self) -> None:
        require_equal_lengths(mother=self.mother, daughter=self.daughter, probability=self.probability, how=self.how)


def read_parents(store: DuckDBStore, info: PosteriorInfo) -> PossibleParents:
    """Return whose daughter each cell may be according to a posterior; cells without a candidate are left out."""
    v, e = tables.edge_probability, tables.edge
    query = sa.select(e.c.source, e.c.target, v.c.probability, code_of_how(v)).join(e, e.c.edge_id == v.c.edge_id)
    with store.reading() as connection:
        rows = fetch(connection, query.where(v.c.posterior_id == info.id).order_by(e.c.target, e.c.source))
    return PossibleParents(
        ints(rows, "source"), ints(rows, "target"), floats(rows, "probability"), ints(rows, "code").astype(np.uint8)
    )


def tells_of_cells(store: DuckDBStore, info: PosteriorInfo) -> bool:
    """Return whether a posterior tells what cells do; else it tells of links alone."""
    o = tables.cell_outcome
    with store.reading() as connection:
        return bool(connection.execute(sa.select(sa.exists().where(o.c.posterior_id == info.id))).scalar_one())
