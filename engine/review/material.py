"""What a review of one posterior needs: read once, and read anew when the store was solved again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...storage.posteriors import find_posterior, read_outcomes
from ..annotations.answers import Annotator
from .audit import open_cells
from .descent import Descent
from .following import FollowedReview
from .opening import FOLLOWED, review_movie
from .pictures import Pictures
from .put import Candidates
from .scene import Scenes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ...storage.schema import Detections
    from ..config import Config
    from ..progress import Progress
    from .live import OpenReview


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which posterior of a store is reviewed: names, None for the newest."""

    dataset: str | None = None
    solution: str | None = None
    posterior: str | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """What a review was made from.

    Parameters
    ----------
    chosen, solution, posterior
        Detections, solution and posterior.
    candidates : int
        How many candidates there are.
    """

    chosen: DetectionSet
    solution: SolutionInfo
    posterior: PosteriorInfo
    candidates: int

    def __str__(self) -> str:
        return f"{self.solution.name}/{self.posterior.name}/{self.posterior.run_id}-{self.candidates}"


def revision_of(store: DuckDBStore, wanted: Wanted) -> Revision:
    """Return what a review of a store would be made from now: the newest posterior that a review can follow.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    with store.reading():  # one connection for all that is read here
        chosen, info = store.find_solution(wanted.dataset, wanted.solution, doubtful=True)
        found = find_posterior(store, wanted.dataset, wanted.posterior, solution=info.name, methods=FOLLOWED)
        return Revision(*found, store.count_candidates(chosen))


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A posterior opened for review.

    Parameters
    ----------
    revision : Revision
        What it was made from.
    annotator : Annotator
        Takes answers about its cells.
    followed : FollowedReview
        The posterior that follows them.
    candidates : Candidates
        Its links, by their ends.
    descent : Descent
        The lineages of the solution.
    pictures : Pictures
        What is around its cells.
    drawable : (k,) int64
        Numbers of the cells that the audit draws from: those that could do more than one thing before anybody answered.
    """

    revision: Revision
    annotator: Annotator
    followed: FollowedReview
    candidates: Candidates
    descent: Descent
    pictures: Pictures
    drawable: NDArray[np.int64]

    @property
    def review(self) -> OpenReview:
        """The posterior as it stands."""
        return self.followed.review

    @property
    def detections(self) -> Detections:
        """All cells."""
        return self.followed.movie.movie.detections


def read_material(store: DuckDBStore, revision: Revision, config: Config, progress: Progress) -> Material:
    """Open a posterior for review, with all that people said up to now; tells the stages.

    Raises
    ------
    InfeasibleError
        If an entry of the log asks for a link that is no candidate.
    """
    with store.reading():  # one connection for all that is read here
        return _read(store, revision, config, progress)


def _read(store: DuckDBStore, revision: Revision, config: Config, progress: Progress) -> Material:
    progress.start("reading cells and candidates")
    annotator = Annotator(store, revision.chosen)
    annotator.prepare()
    movie = review_movie(store, revision.chosen, revision.solution, revision.posterior, config)
    cells = movie.movie.detections
    standing = annotator.standing()
    descent = Descent(cells.id, cells.frame, movie.source, movie.target)
    descent.heed(standing)
    candidates = Candidates(cells, movie.movie.edges)
    progress.start(f"weighing {candidates.n_links:,} candidate links")
    followed = FollowedReview(movie, [d for d in standing if d.key not in annotator.in_dispute()])
    return Material(
        revision,
        annotator,
        followed,
        candidates,
        descent,
        Pictures(Scenes(store.path, cells, store.arrays(revision.chosen)), candidates),
        open_cells(read_outcomes(store, revision.posterior)),
    )
