"""What two solutions of the same detections do not share: links, cells, and the lineages that these touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..errors import ConfigError, MissingRowsError
from ..storage.dataframes import Tabular
from ..storage.schema import LinkKind, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.catalogue import SolutionInfo
    from ..storage.duckdb_store import DuckDBStore


@dataclass(frozen=True, slots=True, eq=False)
class OnlyHere:
    """What one of two solutions has and the other has not.

    Parameters
    ----------
    solution : str
        Its name.
    source, target : (k,) int64
        Numbers of the cells that each link ties, ordered by both.
    kind : (k,) str
        ``continue``, ``divide`` or ``merge``.
    cell : (j,) int64
        Numbers of the cells that are no part of the other solution.
    lineage : (l,) int64
        Its lineages that hold such a cell, or an end of a link that either solution has alone.
    """

    solution: str
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    kind: NDArray[np.str_]
    cell: NDArray[np.int64]
    lineage: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def links(self) -> list[list[int]]:
        """The links as pairs of numbers."""
        return [list(ends) for ends in zip(self.source.tolist(), self.target.tolist(), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class SolutionDiff(Tabular):
    """What two solutions do not share.

    Parameters
    ----------
    only_a, only_b : OnlyHere
        What the first and the second has alone.
    shared : int
        Links that both have.
    """

    only_a: OnlyHere
    only_b: OnlyHere
    shared: int

    def __repr__(self) -> str:
        a, b = self.only_a, self.only_b
        return f"<{a.solution} and {b.solution}: {self.shared} links of both, {len(a)} and {len(b)} of one alone>"

    def arrow(self) -> pa.Table:
        """Return the links that one of them has alone: solution, source, target, kind."""
        sides = (self.only_a, self.only_b)
        return pa.table(
            {
                "solution": np.concatenate([np.full(len(side), side.solution) for side in sides]),
                "source": np.concatenate([side.source for side in sides]),
                "target": np.concatenate([side.target for side in sides]),
                "kind": np.concatenate([side.kind for side in sides]),
            }
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One solution, its links ordered by the number of the edge."""

    name: str
    edge: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    kind: NDArray[np.int64]
    node: NDArray[np.int64]
    lineage: NDArray[np.int64]  # of each node


def difference(store: DuckDBStore, a: SolutionInfo, b: SolutionInfo) -> SolutionDiff:
    """Compare two solutions.

    Raises
    ------
    ConfigError
        If they are of different detections.
    """
    if a.set_id != b.set_id:
        raise ConfigError(
            f"{a.name} and {b.name} are solutions of different detections",
            **{"try": f"trackdb evaluate {store.path} --solution {a.name} --against {b.name}"},
        )
    one, other = _read(store, a), _read(store, b)
    alone_a, alone_b = ~np.isin(one.edge, other.edge), ~np.isin(other.edge, one.edge)
    ends = [one.source[alone_a], one.target[alone_a], other.source[alone_b], other.target[alone_b]]
    touched = np.unique(np.concatenate(ends))
    return SolutionDiff(
        _only(one, alone_a, other, touched),
        _only(other, alone_b, one, touched),
        shared=int(np.count_nonzero(~alone_a)),
    )


def to_compare(
    store: DuckDBStore, dataset: str | None, a: str | None = None, b: str | None = None
) -> tuple[SolutionInfo, SolutionInfo]:
    """Return two solutions by name: by default the newest, and the one of the same detections that was solved before.

    Raises
    ------
    MissingRowsError
        If there is none of a name, or none before the newest.
    """
    chosen, other = store.find_solution(dataset, b)
    if a is not None:
        return store.find_solution(dataset, a)[1], other
    before = [s for s in store.solutions(chosen).values() if s.id < other.id and s.objective is not None]
    if not before:
        raise MissingRowsError(
            f"nothing was solved before {other.name}: there is nothing to compare it with",
            **{"try": f"trackdb solve {store.path}"},
        )
    return before[-1], other


def _read(store: DuckDBStore, info: SolutionInfo) -> _Side:
    table = store.solution(info)
    source, target = store.link_ends(info)
    tracks = table.tracks
    lineage = tracks.lineage[rows_of(tracks.pre, table.pre, "place in the walk")]
    return _Side(info.name, table.edge, source, target, table.kind, table.node, lineage)


def _only(side: _Side, alone: NDArray[np.bool_], other: _Side, touched: NDArray[np.int64]) -> OnlyHere:
    rows = np.flatnonzero(alone)
    rows = rows[np.lexsort((side.target[rows], side.source[rows]))]
    lonely = ~np.isin(side.node, other.node)
    return OnlyHere(
        solution=side.name,
        source=side.source[rows],
        target=side.target[rows],
        kind=np.array([kind.name.lower() for kind in LinkKind])[side.kind[rows]],
        cell=side.node[lonely],
        lineage=np.unique(side.lineage[lonely | np.isin(side.node, touched)]),
    )
