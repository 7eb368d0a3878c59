"""Opening a review of a stored posterior: its movie priced again, with all that people said up to now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError
from ..posterior.problem import may_leave_out, run_of, weighed
from ..progress import Silent
from .live import OpenReview, Reported
from .queue import answered_cells

if TYPE_CHECKING:
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..config import Config

METHOD: Final = "auto"


def open_review(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, posterior: PosteriorInfo, config: Config
) -> OpenReview:
    """Open a review of a stored posterior: its movie priced again, with all that people said up to now.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen, info, posterior
        Detections, solution and posterior.
    config : Config
        Settings, for what the run of the solution does not tell.

    Raises
    ------
    ConfigError
        If the posterior is by another method than ``auto``.
    """
    if posterior.method != METHOD:
        raise ConfigError(
            f"posterior {posterior.name} is by {posterior.method}: a review follows those by {METHOD}",
            **{"try": f"trackdb posterior {store.path}"},
        )
    movie = weighed(store, chosen, info, config, Silent())
    ids = movie.detections.id
    params = next(run for run in store.runs() if run.id == posterior.run_id).params
    reported = Reported(
        posterior.name,
        info.name,
        *store.link_ends(info),
        np.isin(ids, store.solution(info).node),
        np.isin(ids, answered_cells(store, chosen)),
        may_leave_out(run_of(store, info).params),
    )
    return OpenReview(
        movie.left,
        ids,
        reported,
        temperature=posterior.temperature,
        prune=params["prune"],
        width=params["width"],
    )
