"""A stored solution as a linker opens it: which detections are cells, which edges are links, and their prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from . import tables
from .connection import fetch
from .rows import floats, ints
from .schema import Prices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .catalogue import SolutionInfo
    from .duckdb_store import DuckDBStore


@dataclass(frozen=True, slots=True, eq=False)
class HeldSolution:
    """What a store holds of a solution besides its labels.

    Parameters
    ----------
    node : (n,) int64
        Ids of the detections that are part of it, in any order.
    edge : (m,) int64
        Ids of its links, in any order.
    prices : Prices
        Prices that prove it, in any order, as they stand there: none where its solver knew none or an older trackdb
        made it, and not checked.
    """

    node: NDArray[np.int64]
    edge: NDArray[np.int64]
    prices: Prices


def held_solution(store: DuckDBStore, info: SolutionInfo) -> HeldSolution:
    """Read a solution without its labels."""
    n, e, d = tables.solution_node, tables.solution_edge, tables.solution_dual
    with store.reading() as connection:
        nodes = fetch(connection, sa.select(n.c.det_id).where(n.c.solution_id == info.id))
        edges = fetch(connection, sa.select(e.c.edge_id).where(e.c.solution_id == info.id))
        prices = fetch(connection, sa.select(d.c.det_id, d.c.dual).where(d.c.solution_id == info.id))
    return HeldSolution(
        node=ints(nodes, "det_id"),
        edge=ints(edges, "edge_id"),
        prices=Prices(ints(prices, "det_id"), floats(prices, "dual")),
    )
