"""Scorers: what an association model says of each candidate edge."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ...errors import ConfigError
from .base import SHARES, Scorer, Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SHARES", "ScoreScale", "Scorer", "Scores", "open_scorer"]

GROUP = "trackdb.scorers"
OURS = ("distance", "overlap")


def open_scorer(name: str) -> Scorer:
    """Return the scorer of this name: one of ours, or one that an installed package offers as an entry point.

    An entry point of the group ``trackdb.scorers`` is a callable without arguments that returns a `Scorer`; the tests
    of `tests/scorer_contract.py` say what that promises.

    Raises
    ------
    ConfigError
        If nobody knows the name.
    """
    match name:
        case "distance":
            from .distance import DistanceScorer

            return DistanceScorer()
        case "overlap":
            from .overlap import OverlapScorer

            return OverlapScorer()
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted({*OURS, *offered}))
        raise ConfigError(f"there is no scorer {name!r}", known=known)
    make: Callable[[], Scorer] = offered[name].load()
    return make()
