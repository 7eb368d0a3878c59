"""Whole lineages of a stored posterior, each drawn as often as it is likely: for what one link does not answer.

Links of neighbouring frames hang together, so whether a cell descends from another is no product of probabilities.
Among lineages that were drawn it is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigError, SolverError
from ...solvers.posterior.draws import draw_selections
from ..progress import Silent
from .estimate import WEIGHING
from .problem import weighed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..config import Config

NOBODY = -1
WIDEST = 18  # daughters that a piece may have open at once: one sweep of a thousand mothers takes 2 GB then


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLineages:
    """Lineages of a movie, drawn independently.

    Parameters
    ----------
    source, target : (m,) int64
        Numbers of the cells that each candidate ties, in order of `target`.
    link : (n_draws, m) bool
        Links of each lineage; of one cell at most one leads to it.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    link: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.link)

    def descends(self, cell: int, ancestor: int) -> NDArray[np.bool_]:
        """Tell for each lineage, (n_draws,), whether a cell is `ancestor` or descends from it."""
        at = np.full(len(self), cell, dtype=np.int64)
        found = np.asarray(at == ancestor, dtype=np.bool_)
        while (at != NOBODY).any():
            at = self._mothers(at)
            found |= at == ancestor
        return found

    def _mothers(self, cell: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the mother, in each lineage, of one cell each; `NOBODY` where it has none."""
        mother = np.full(len(cell), NOBODY, dtype=np.int64)
        for number in np.unique(cell[cell != NOBODY]).tolist():
            first, last = np.searchsorted(self.target, [number, number + 1])
            draw, which = np.nonzero(self.link[:, first:last] & (cell == number)[:, None])
            mother[draw] = self.source[first + which]
        return mother


def draw_lineages(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    posterior: PosteriorInfo,
    n_draws: int,
    config: Config,
    *,
    seed: int = 0,
) -> DrawnLineages:
    """Draw lineages of a stored posterior: its movie priced again, with all that people said up to now.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info, posterior
        Detections, solution and posterior.
    n_draws : int
        How many.
    config : Config
        Settings, for what the run of the solution does not tell.
    seed : int
        The same lineages for the same seed.

    Raises
    ------
    ConfigError
        If the posterior is by a method that does not weigh whole lineages, or there is not one draw.
    SolverError
        If a piece has more than `WIDEST` daughters open at once, and more than the posterior was allowed.
    """
    if posterior.method not in WEIGHING:
        raise ConfigError(
            f"posterior {posterior.name} is by {posterior.method}, which weighs no whole lineages",
            **{"try": f"trackdb posterior {store.path}"},
        )
    movie = weighed(store, chosen, info, config, Silent())
    width = max(WIDEST, next(run for run in store.runs() if run.id == posterior.run_id).params["width"])
    left = movie.left
    try:
        drawn, _ = draw_selections(left.problem, n_draws, temperature=posterior.temperature, width=width, seed=seed)
    except SolverError as error:
        raise SolverError(
            f"whole lineages are drawn exactly or not at all, and {error.message}",
            wanted=f"at most {width}",
            **{"try": "a movie of fewer frames (ingest --frames), or a smaller radius (link --max-distance)"},
        ) from error
    link = np.tile(left.forced, (n_draws, 1))
    link[:, left.rows] = drawn
    ids = movie.detections.id
    order = np.argsort(ids[movie.edges.target], kind="stable")
    return DrawnLineages(ids[movie.edges.source][order], ids[movie.edges.target][order], link[:, order])
