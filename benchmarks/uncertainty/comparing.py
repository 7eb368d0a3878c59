"""Means over movies with their standard errors, and paired differences: what is better than what.

A movie counts once: its differences are averaged over the resolutions first. "Better" is a difference whose 95 %
interval by Student's t over the movies excludes zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from figures import LEAST_DAUGHTERS, REJECTED
from methods import METHODS, TRACKDB
from scipy.stats import t as student

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from figures import Row

MEASURES: Final[dict[str, Callable[[Row], float]]] = {
    "accuracy": lambda row: row.accuracy,
    "recall": lambda row: row.recall,
    "ECE": lambda row: row.ece,
    "floor": lambda row: row.ece_floor,
    "NLL": lambda row: row.nll,
    "AURC": lambda row: row.aurc_entropy,
    "gain 5 %": lambda row: row.gain_entropy[REJECTED.index(5)],
    "gain 20 %": lambda row: row.gain_entropy[REJECTED.index(20)],
    "links ECE": lambda row: row.links_ece,
}


@dataclass(frozen=True)
class Mean:
    """A mean over movies.

    Parameters
    ----------
    value, error : float
        Mean and its standard error; NaN of one movie.
    movies : int
        How many.
    """

    value: float
    error: float
    movies: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Mean:
        """Average some values, one a movie."""
        x = np.array(list(values), dtype=np.float64)
        error = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
        return cls(float(x.mean()) if len(x) else float("nan"), error, len(x))

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval by Student's t; without bounds for one movie."""
        if self.movies < 2:
            return -np.inf, np.inf
        half = float(student.ppf(0.975, self.movies - 1)) * self.error
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Difference:
    """How much less of a measure one method has than another, movie by movie.

    Parameters
    ----------
    kind, tracker, measure : str
        Of what.
    first, second : str
        Methods; the difference is the first less the second.
    mean : Mean
        Of the movies' differences.
    """

    kind: str
    tracker: str
    measure: str
    first: str
    second: str
    mean: Mean

    @property
    def verdict(self) -> str:
        """Which is larger, if the interval excludes zero."""
        low, high = self.mean.interval()
        if low > 0:
            return "more"
        return "less" if high < 0 else "no difference seen"


def named(row: Row) -> str:
    """Return the name of a row's method, as in the paper: AS+TS."""
    return row.method + "+TS" * row.scaled


def judged(rows: list[Row]) -> list[Row]:
    """Return the rows of the movies that judge, and have enough cells for it."""
    return [row for row in rows if row.role == "judge" and row.daughters >= LEAST_DAUGHTERS]


def means(rows: list[Row], measure: str) -> dict[tuple[str, str, int, str], Mean]:
    """Return the mean over judge movies for each kind, tracker, resolution and method."""
    held: dict[tuple[str, str, int, str], list[float]] = defaultdict(list)
    for row in judged(rows):
        held[row.kind, row.tracker, row.step, named(row)].append(MEASURES[measure](row))
    return {key: Mean.of(values) for key, values in held.items()}


def overall(rows: list[Row], measure: str) -> dict[tuple[str, str, str], Mean]:
    """Return the mean over judge movies of their means over the resolutions, for each kind, tracker and method."""
    found = {}
    for key, by_movie in _by_movie(rows, measure).items():
        found[key] = Mean.of(np.mean(list(by_step.values())) for by_step in by_movie.values())
    return found


def compared(rows: list[Row]) -> list[Difference]:
    """Return the paired differences that the page speaks of."""
    found: list[Difference] = []
    for kind, tracker in dict.fromkeys((row.kind, row.tracker) for row in judged(rows)):
        for method in METHODS:
            found += [_difference(rows, kind, tracker, m, f"{method}+TS", method) for m in ("ECE", "NLL", "AURC")]
        for ts in ("", "+TS"):
            for other in METHODS[:-1]:
                measures = ("ECE", "NLL", "AURC", "gain 5 %")
                found += [_difference(rows, kind, tracker, m, f"auto{ts}", f"{other}{ts}") for m in measures]
        if tracker == "distance":
            for measure in ("accuracy", "ECE", "NLL", "AURC"):
                found.append(_difference(rows, kind, tracker, measure, TRACKDB, "auto", first_tracker=TRACKDB))
    return [difference for difference in found if difference.mean.movies]


def by_which_doubt(rows: list[Row]) -> list[Difference]:
    """Return what entropy gains more than confidence where 5 % are rejected, for each method without TS."""
    held: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    at = REJECTED.index(5)
    for row in judged(rows):
        held[row.kind, row.tracker, named(row)][row.movie].append(row.gain_entropy[at] - row.gain_confidence[at])
    return [
        Difference(
            kind, tracker, "gain 5 %", f"{method} by entropy", "by confidence", Mean.of(map(np.mean, by.values()))
        )
        for (kind, tracker, method), by in held.items()
    ]


def _difference(
    rows: list[Row], kind: str, tracker: str, measure: str, first: str, second: str, first_tracker: str | None = None
) -> Difference:
    by_movie = _by_movie(rows, measure)
    one = by_movie.get((kind, first_tracker or tracker, "auto" if first == TRACKDB else first), {})
    other = by_movie.get((kind, tracker, second), {})
    differences = []
    for movie in one.keys() & other.keys():
        steps = one[movie].keys() & other[movie].keys()
        if steps:
            differences.append(float(np.mean([one[movie][s] - other[movie][s] for s in sorted(steps)])))
    return Difference(kind, tracker, measure, first, second, Mean.of(sorted(differences)))


def _by_movie(rows: list[Row], measure: str) -> dict[tuple[str, str, str], dict[str, dict[int, float]]]:
    held: dict[tuple[str, str, str], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in judged(rows):
        held[row.kind, row.tracker, named(row)][row.movie][row.step] = MEASURES[measure](row)
    return held
