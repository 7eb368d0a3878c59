"""Which posterior to ask where to look first, and what: what cells do, or else whose daughters they are."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ...errors import MissingRowsError
from ...storage.parents import tells_of_cells
from ...storage.posteriors import find_posterior
from ..progress import Silent
from .parents import uncertain_parents
from .queue import ERROR_REDUCTION, ReviewList, uncertain

if TYPE_CHECKING:
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import PosteriorInfo
    from ..config import Config
    from ..progress import Progress


COUNTED: Final = "perturb-assign"
"""It counts solutions of other detections: how an answer would change the rest is not among what it counts."""


def posterior_to_ask(
    store: DuckDBStore,
    dataset: str | None,
    name: str | None,
    *,
    solution: str | None = None,
    progress: Progress | None = None,
) -> tuple[DetectionSet, SolutionInfo, PosteriorInfo]:
    """Return the posterior of a name, else the newest that tells what cells do, and tell of a newer one passed over.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    dataset, name, solution : str or None
        Names of the dataset, the posterior, and the solution of which it is one.
    progress : Progress
        Who is told.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    found = find_posterior(store, dataset, name, solution=solution, of_cells=True)
    _, weighed, newest = find_posterior(store, dataset, name, solution=solution)
    if progress is not None and newest.id != found[2].id:
        progress.note(
            f"asking {found[2].name} by {found[2].method}: the newer {newest.name} by {newest.method} tells of links "
            f"alone; --posterior {newest.name} asks it whose daughters cells are"
        )
    if progress is not None and name is None and solution is None:
        _note_unweighed(store, dataset, {found[1].name, weighed.name}, progress)
    return found


def _note_unweighed(store: DuckDBStore, dataset: str | None, weighed: set[str], progress: Progress) -> None:
    """Tell if the newest solution is none of those that are asked about."""
    with suppress(MissingRowsError):  # there is none but the truth
        latest = store.find_solution(dataset, doubtful=True)[1].name
        if latest not in weighed:
            progress.note(f"{latest} was not weighed yet, older ones are asked: trackdb posterior --solution {latest}")


def ask_first(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    posterior: PosteriorInfo,
    config: Config,
    *,
    top: int = 20,
    by: str = ERROR_REDUCTION,
    progress: Progress | None = None,
) -> ReviewList:
    """Return the questions of a stored posterior that are worth most; parameters and errors as of `queue.uncertain`.

    Where the posterior tells what cells do, that is what is asked; where it tells of links alone, whose daughters they
    are (`Question.view`).
    """
    progress = progress or Silent()
    if tells_of_cells(store, posterior) or not store.count_candidates(chosen):
        if by == ERROR_REDUCTION and posterior.method == COUNTED:
            progress.note(
                f"{posterior.name} by {posterior.method} is counted: what answers are worth is weighed by the costs "
                "of the detections as they were found"
            )
        return uncertain(store, chosen, info, posterior, config, top=top, by=by, progress=progress)
    return uncertain_parents(store, chosen, info, posterior, top=top, by=by, progress=progress)
