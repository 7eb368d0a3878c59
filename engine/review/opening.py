"""Opening a review of a stored posterior: its movie priced again, with all that people said up to now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...errors import ConfigError
from ..annotations.pins import decided, pins_among
from ..posterior.estimate import WEIGHING
from ..posterior.problem import may_leave_out, priced_again, run_of
from ..progress import Silent
from .answered import answered_among
from .live import OpenReview
from .written import Reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.decisions import Decision
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..config import Config
    from ..posterior.problem import PricedMovie

FOLLOWED: Final = WEIGHING
"""Methods that weigh all selections, as a review does: where pieces are too wide it prunes, or goes by belief."""

ITS_OWN: Final = ("auto", "exact")
"""Methods of which a review finds the very probabilities again."""


@dataclass(frozen=True, slots=True, eq=False)
class ReviewMovie:
    """A movie priced as the solution of a posterior saw it: a review of it can be opened again and again.

    Parameters
    ----------
    dataset : str
        Name of the movie.
    movie : PricedMovie
        Its cells and candidates, with what each costs.
    posterior, solution : str
        Names.
    source, target : (l,) int64
        Numbers of the cells that the links of the solution join.
    part : (n,) bool
        Cells that are part of the solution.
    optional : bool
        Whether it was left to the solution which detections are cells.
    temperature, prune, width
        As of the posterior.
    """

    dataset: str
    movie: PricedMovie
    posterior: str
    solution: str
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    part: NDArray[np.bool_]
    optional: bool
    temperature: float
    prune: float
    width: int

    def open(self, said: Sequence[Decision]) -> OpenReview:
        """Open a review in which some entries of the log are known.

        Raises
        ------
        InfeasibleError
            If one asks for a link that is no candidate.
        """
        ids = self.movie.detections.id
        pins = pins_among(said, self.dataset, self.movie.detections).pins
        left = decided(self.movie.problem, pins.for_edges(self.movie.edges, len(ids)))
        answered = np.isin(ids, answered_among(said, self.dataset, self.movie.detections))
        reported = Reported(self.posterior, self.solution, self.source, self.target, self.part, answered, self.optional)
        return OpenReview(left, ids, reported, temperature=self.temperature, prune=self.prune, width=self.width)


def review_movie(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, posterior: PosteriorInfo, config: Config
) -> ReviewMovie:
    """Price the movie of a stored posterior again, to open reviews of it; parameters and errors as of `open_review`."""
    if posterior.method not in FOLLOWED:
        raise ConfigError(
            f"posterior {posterior.name} is by {posterior.method}, which does not tell what answers change: "
            f"a review follows those by {', '.join(FOLLOWED)}",
            **{"try": f"trackdb posterior {store.path} --solution {info.name}"},
        )
    movie = priced_again(store, chosen, info, config, Silent())
    params = next(run for run in store.runs() if run.id == posterior.run_id).params
    return ReviewMovie(
        chosen.movie.name,
        movie,
        posterior.name,
        info.name,
        *store.link_ends(info),
        np.isin(movie.detections.id, store.solution(info).node),
        may_leave_out(run_of(store, info).params),
        posterior.temperature,
        params["prune"],
        params["width"],
    )


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
        If the posterior is by a method that looks at one daughter at a time, or at some selections alone.
    """
    return review_movie(store, chosen, info, posterior, config).open(store.decisions())
