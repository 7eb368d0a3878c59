"""The lineage of one cell as a result: a drawing in a notebook, a table, a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..storage.dataframes import Tabular
from ..storage.plain import plural
from .family import as_newick, as_text, family_from, rows_of_family
from .handoff import to_networkx
from .notebook.tree import family_html
from .plots.tree import tip_columns

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import NDArray

    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.duckdb_store import DuckDBStore
    from .family import Family


@dataclass(frozen=True, slots=True, eq=False)
class FamilyTree(Tabular):
    """The ancestors and descendants of a cell in a solution.

    Parameters
    ----------
    solution : str
        Name of the solution.
    family : Family
        Its n cells, m links and k tracklets.
    probability : (m,) float64
        Of each link in the solution's newest posterior; NaN where it tells none.
    column : (k,) float64
        Where each tracklet stands in a drawing; neighbours are 1 apart.
    """

    solution: str
    family: Family
    probability: NDArray[np.float64]
    column: NDArray[np.float64]
    _store: DuckDBStore
    _set: DetectionSet
    _info: SolutionInfo

    def __len__(self) -> int:
        return len(self.family.id)

    def __str__(self) -> str:
        return as_text(self.family)

    def __repr__(self) -> str:
        counted = f"{plural(len(self), 'cell')}, {plural(len(self.family.branch), 'track')}"
        return f"<lineage of cell {self.family.cell} in {self.solution}: {counted}>"

    def _repr_html_(self) -> str:
        """Return the drawing."""
        return family_html(self.family, self.solution, self.column, self.probability)

    @property
    def newick(self) -> str:
        """The tracklets as a Newick tree; a branch is as long as the frames that it lasts."""
        return as_newick(self.family)

    def arrow(self) -> pa.Table:
        """Return its cells: cell, t, track, mother (the cell before; NULL at the top), probability of the link."""
        order = np.argsort(self.family.target)
        target = self.family.target[order]
        place = np.searchsorted(target, self.family.id)
        place[place == len(target)] = 0
        linked = target[place] == self.family.id if len(target) else np.zeros(len(self), dtype=bool)
        link = order[place[linked]]
        mother = np.zeros(len(self), dtype=np.int64)
        probability = np.full(len(self), np.nan)
        mother[linked], probability[linked] = self.family.source[link], self.probability[link]
        return pa.table(
            {
                "cell": self.family.id,
                "t": self.family.frame,
                "track": self.family.track,
                "mother": pa.array(mother, mask=~linked),
                "probability": pa.array(probability, mask=np.isnan(probability)),
            }
        )

    def to_networkx(self) -> nx.DiGraph[int]:
        """Return it as a directed graph, with the attributes of `Solution.to_networkx`."""
        source, target = self._store.link_ends(self._info)
        whole = to_networkx(self._store.solution(self._info), self._store.detections(self._set), source, target)
        return whole.subgraph(self.family.id.tolist()).copy()


def tree_of(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, cell: int, *, up: bool, down: bool
) -> FamilyTree:
    """Return the lineage of a cell; as `engine.family.family_of`.

    Raises
    ------
    MissingRowsError
        If the cell is not part of the solution.
    """
    rows = rows_of_family(store, info, cell, up=up, down=down)
    column = tip_columns(rows.tracks, np.ones(len(rows.tracks), dtype=bool))
    return FamilyTree(info.name, family_from(cell, rows), rows.probability, column, store, chosen, info)
