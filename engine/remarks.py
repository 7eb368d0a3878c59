"""What a solve remarks on its solution, that nobody takes it at its word where there is a reason to doubt it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .breaks import Break, breaks_of, told
from .candidates import radius_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..solvers.problem import Selection
    from ..storage.schema import CandidateEdges, Detections
    from .config import SolveConfig
    from .progress import Progress


def remark(
    detections: Detections,
    edges: CandidateEdges,
    selection: Selection,
    config: SolveConfig,
    path: str,
    progress: Progress,
    model: str = "",
) -> tuple[Break, ...]:
    """Tell where the movie breaks, that nothing is linked, and why an optimum is not proven; return the breaks.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    selection : Selection
        What was chosen of them.
    config : SolveConfig
        By which settings.
    path : str
        Of the store, for what to do.
    progress : Progress
        Who is told.
    model : str
        Model whose scores it goes by, if it does.
    """
    chosen = edges.take(selection.edge)
    reach = int(edges.frames.max(initial=1))
    breaks = breaks_of(detections, chosen.source, chosen.target, reach)
    for line in told(breaks, path, reach, model):
        progress.note(line)
    if len(edges) and not selection.edge.any():
        progress.note(_none_linked(len(edges), path))
    if not selection.proven and np.isfinite(selection.lower_bound):
        progress.note(_not_proven(detections, selection, config))
    return breaks


def without_score(count: int, of: int, scores: str) -> str:
    """Return a note on candidates that a score run does not know.

    Examples
    --------
    >>> without_score(1401, 2072, "mine")
    '1,401 of 2,072 candidates have no score in mine: a solve by it leaves them out'
    """
    return f"{count:,} of {of:,} candidates have no score in {scores}: a solve by it leaves them out"


def same_scores(value: NDArray[np.float64], scores: str) -> str:
    """Return a note where all scores are one number, which tells no link from another; nothing where they are not."""
    if len(value) < 2 or np.ptp(value) > 0:
        return ""
    return f"all {len(value):,} candidates have the score {value[0]:g} in {scores}: it tells no link from another"


def _none_linked(count: int, path: str) -> str:
    look = f'trackdb sql {path} "select scores, min(score), max(score) from scores group by scores"'
    return f"none of {count:,} candidates is linked: cells that begin and end cost less; how the scores are: {look}"


def _not_proven(detections: Detections, selection: Selection, config: SolveConfig) -> str:
    crowded = radius_from(detections)
    if crowded.spacing == 0:
        why = str(crowded.doubt)
    elif config.time_limit_s:
        why = f"{config.time_limit_s:g} s were given, --time-limit gives more"
    else:
        why = "too many cells compete for each other to try out all that they may do"
    return (
        f"not proven: this costs {selection.objective:.6g}, and another solution may cost "
        f"{selection.objective - selection.lower_bound:.2g} less at most: {why}"
    )
