"""Which cost a solve takes: the one that is named, else the learned one where linker, scores and movie fit.

The learned cost reads places and masks, and prices daughters in pairs. Whoever asks for what
does not go with that, and names no cost, gets the plain one of distance, and is told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .config import AUTO, ScoreConfig
from .costs import MOST_CELLS
from .linkers import GOES_BY, LEARNED
from .scorers.base import ScoreScale

if TYPE_CHECKING:
    from .config import Config

DENSITY: Final = "density"
FEWEST: Final = 200
"""Detections from which on a movie is learned from unasked: on pieces of real movies with fewer, the plain cost links
as well or better (design 25)."""
PRICED_BY: Final = {
    ScoreScale.LOG_DENSITY: "the plain cost",
    ScoreScale.PROBABILITY: "the odds of these probabilities",
    ScoreScale.IOU: "distance and overlap, for what they are worth here",
    ScoreScale.SIMILARITY: "distance and these scores, for what they are worth here",
}
"""What the plain cost is of scores of each scale."""
MISSED: Final = 3
"""Frames that the learned cost looks over, as misses come in runs; one in movies that are learned from in part, where
the candidates would take too long."""


def cost_for(
    config: Config, *, scores: str | None, own_solver: bool, n_detections: int, scale: str = ScoreScale.LOG_DENSITY
) -> tuple[str, str]:
    """Return the name of the cost, and where it is not the learned one although nobody said so, why.

    Parameters
    ----------
    config : Config
        Settings.
    scores : str or None
        Scores that the user named.
    own_solver : bool
        Whether the user made the solver.
    n_detections : int
        Size of the movie.
    scale : str
        What the numbers of these scores mean, a `ScoreScale`.
    """
    settings = config.solve
    if settings.cost != AUTO:
        return settings.cost, ""
    if settings.learn_from:
        return LEARNED, ""
    if settings.linker in GOES_BY:  # squared distances, or one link at a time: no pairs in either
        return DENSITY, ""
    reason = _against_learning(config, scores, own_solver, n_detections)
    return (DENSITY, f"{reason}: priced by {PRICED_BY[ScoreScale(scale)]}") if reason else (LEARNED, "")


def missed_frames(config: Config, n_detections: int) -> int:
    """Return over how many missed frames a solve wants to link.

    Parameters
    ----------
    config : Config
        Settings, the cost resolved.
    n_detections : int
        Size of the movie.
    """
    if config.solve.linker == "lap":
        return config.lap.max_gap
    if config.solve.cost != LEARNED or not config.learned.gaps:
        return 0
    return MISSED if n_detections <= MOST_CELLS else 1


def _against_learning(config: Config, scores: str | None, own_solver: bool, n_detections: int) -> str:
    """Return what does not go with the learned cost; nothing where all does."""
    settings = config.solve
    if scores is not None or config.score.by != ScoreConfig().by:
        return f"the learned cost reads places and masks, not the scores {scores or config.score.by}"
    if settings.calibration:
        return "a calibration is of the plain cost"
    if own_solver or settings.linker != "ilp":
        return "a solver of your own may know no pairs of daughters"
    if n_detections < FEWEST:
        return f"{n_detections} detections are too few to learn from"
    return ""
