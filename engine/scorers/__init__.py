"""Scorers: what an association model says of each candidate edge."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ...errors import ConfigError
from .base import SHARES, Scorer, Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SHARES", "ScoreScale", "Scorer", "Scores", "known_scorers", "open_scorer"]

GROUP = "trackdb.scorers"
OURS = ("activity", "distance", "overlap")


def known_scorers() -> tuple[str, ...]:
    """Return the names of all scorers, ours and those that installed packages offer."""
    return tuple(sorted({*OURS, *(point.name for point in entry_points(group=GROUP))}))


def open_scorer(name: str) -> Scorer:
    """Return the scorer of this name: one of ours, or one that an installed package offers as an entry point.

    An entry point of the group ``trackdb.scorers`` is a callable without arguments that returns a `Scorer`;
    `trackdb.testing.ScorerContract` tests what that promises.

    Raises
    ------
    ConfigError
        If nobody knows the name, or the package that offers it cannot be imported, or it is not made without arguments.
    """
    match name:
        case "activity":
            from .activity import ActivityScorer

            return ActivityScorer()
        case "distance":
            from .distance import DistanceScorer

            return DistanceScorer()
        case "overlap":
            from .overlap import OverlapScorer

            return OverlapScorer()
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        raise ConfigError(
            f"there is no scorer {name!r}",
            known=", ".join(known_scorers()),
            **{"try": "one of them, the folder or name of a model, or a table of source, target and score: FILE.csv"},
        )
    try:
        make: Callable[[], Scorer] = offered[name].load()
        return make()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"the scorer {name!r} cannot be loaded from {offered[name].value}: {error}") from error
