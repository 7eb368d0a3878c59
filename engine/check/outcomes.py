"""What the outcomes of a posterior promise: of a cell they sum to 1, the likeliest first, and links agree with them.

Outcomes are many: they are read some cells at a time, in arrays, which takes a fifth of what joins in SQL take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import sqlalchemy as sa

from ...storage import tables
from ...storage.connection import fetch
from ...storage.posteriors import daughter
from ...storage.rows import floats, ints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ...storage.posteriors import PosteriorInfo

AT_ONCE: Final = 200_000  # cells
TOLERANCE: Final = 1e-3  # probabilities are kept in single precision, and sums of many are off by more
SUM: Final = "the outcomes of a cell do not sum to 1"
ORDER: Final = "the outcomes of a cell are not in the order of their ranks"
LINKS: Final = "a link is not as likely as the outcomes that hold it"

RANKED: Final = """
    update cell_outcome set rank = r.k from (
        select rowid as own, row_number() over (
            partition by posterior_id, det_id order by probability desc, rank) as k from cell_outcome
    ) r where cell_outcome.rowid = r.own and cell_outcome.rank <> r.k"""
"""Gives outcomes the ranks of their probabilities."""


@dataclass(frozen=True, slots=True, eq=False)
class _Links:
    """Links with a probability, by a key of their ends: m of them, ordered by it."""

    source: NDArray[np.int64]
    key: NDArray[np.int64]
    probability: NDArray[np.float64]


def broken_outcomes(connection: sa.Connection, info: PosteriorInfo) -> dict[str, int]:
    """Count how often each promise about the outcomes of a posterior is broken; those that hold are left out."""
    o = tables.cell_outcome
    mine = sa.select(sa.func.min(o.c.det_id), sa.func.max(o.c.det_id)).where(o.c.posterior_id == info.id)
    first, last = connection.execute(mine).one()
    if first is None:
        return {}
    count = dict.fromkeys((SUM, ORDER, LINKS), 0)
    for start in range(first, last + 1, AT_ONCE):
        stop = min(start + AT_ONCE, last + 1)
        links = _links(connection, info, start, stop)
        for what, n in _broken(connection, info, start, stop, links):
            count[what] += n
    return {what: n for what, n in count.items() if n}


def _links(connection: sa.Connection, info: PosteriorInfo, start: int, stop: int) -> _Links:
    """Read the probabilities of links from some cells."""
    v, e = tables.edge_probability, tables.edge
    query = sa.select(e.c.source, e.c.target, v.c.probability).join(v, v.c.edge_id == e.c.edge_id)
    rows = fetch(connection, query.where(v.c.posterior_id == info.id, e.c.source >= start, e.c.source < stop))
    source, target = ints(rows, "source"), ints(rows, "target")
    key = _key(source - start, target)
    order = np.argsort(key, kind="stable")
    return _Links(source[order], key[order], floats(rows, "probability")[order])


def _key(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each pair of a source in a window and a target."""
    return source * np.int64(2**45) + target


def _broken(
    connection: sa.Connection, info: PosteriorInfo, start: int, stop: int, links: _Links
) -> Iterator[tuple[str, int]]:
    """Yield what is wrong with the outcomes of the cells from `start` to before `stop`."""
    o = tables.cell_outcome
    query = sa.select(o.c.det_id, o.c.rank, daughter(1).label("a"), daughter(2).label("b"), o.c.probability)
    rows = fetch(connection, query.where(o.c.posterior_id == info.id, o.c.det_id >= start, o.c.det_id < stop))
    cell, rank, p = ints(rows, "det_id"), ints(rows, "rank"), floats(rows, "probability")
    if not len(cell):
        return
    ends = ints(rows, "a"), ints(rows, "b")
    if np.any(np.diff(cell) < 0) or np.any(np.diff(rank)[np.diff(cell) == 0] < 0):
        order = np.lexsort((rank, cell))
        cell, rank, p, ends = cell[order], rank[order], p[order], (ends[0][order], ends[1][order])
    begins = np.flatnonzero(np.diff(cell, prepend=-1))
    place = np.arange(len(cell)) - np.repeat(begins, np.diff(begins, append=len(cell)))
    yield SUM, _count(~(np.abs(np.add.reduceat(p, begins) - 1) <= TOLERANCE))
    yield ORDER, _count((rank != place + 1) | ((place > 0) & (p > 1e-6 + np.roll(p, 1))))
    yield LINKS, _unlike(cell, ends, p, start, links)


def _unlike(
    cell: NDArray[np.int64],
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    p: NDArray[np.float64],
    start: int,
    links: _Links,
) -> int:
    """Count the links whose probability is not the sum of those of the outcomes that hold them."""
    holds = [end >= 0 for end in ends]
    source, held = (np.concatenate([column[hold] for hold in holds]) for column in (cell, p))
    target = np.concatenate([end[hold] for end, hold in zip(ends, holds, strict=True)])
    key = _key(source - start, target)
    place = np.minimum(np.searchsorted(links.key, key), max(len(links.key) - 1, 0))
    known = links.key[place] == key if len(links.key) else np.zeros(len(key), dtype=bool)
    total = np.bincount(place[known], held[known], minlength=len(links.key))
    asked = np.isin(links.source, cell[np.flatnonzero(np.diff(cell, prepend=-1))])
    strangers = len(np.unique(key[~known & (held > TOLERANCE)]))
    return _count(asked & ~(np.abs(total - links.probability) <= TOLERANCE)) + strangers


def _count(wrong: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(wrong))
