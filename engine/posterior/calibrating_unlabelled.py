"""Costs learned on stores without their truth: a calibration file for the same movies, and for others."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ...errors import CalibrationError
from ...storage.folders import appearing_file
from ..config import Config
from ..exports.base import require_place_for
from ..progress import Silent
from ..scorers.distance import DistanceScorer, Motion
from .calibrating import common_scores
from .calibration_file import CalibrationFile, FittedMovie, as_toml, movie_of
from .problem import priced_again
from .unlabelled import average, fit_without_truth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ..costs.shifts import CostShifts
    from ..progress import Progress
    from ..scorers.base import Scores
    from .problem import PricedMovie
    from .unlabelled import UnlabelledFit

TAIL: Final = "one_over_degrees_of_freedom"


@dataclass(frozen=True, slots=True)
class UnlabelledReport:
    """What was learned without truth, and of what.

    Parameters
    ----------
    path : str
        The file that holds it.
    calibration : CalibrationFile
        What it says.
    fits : dict of str to UnlabelledFit
        For each movie.
    seconds : float
        How long it took.
    """

    path: str
    calibration: CalibrationFile
    fits: dict[str, UnlabelledFit]
    seconds: float

    @property
    def shifts(self) -> CostShifts:
        """What all movies together say."""
        return average(list(self.fits.values()))

    @property
    def cells(self) -> int:
        """Cells with candidates, in all movies."""
        return sum(fit.cells for fit in self.fits.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it as the JSON of the command has it."""
        return {
            "path": self.path,
            "scores": self.calibration.scores,
            "movies": [asdict(movie) for movie in self.calibration.movies],
            "cells": self.cells,
            "costs": {"shifts": asdict(self.shifts)},
            "learned": {name: _as_dict(fit) for name, fit in self.fits.items()},
        }


def _as_dict(fit: UnlabelledFit) -> dict[str, Any]:
    learned = fit.learned
    return {
        "cells": fit.cells,
        "rounds": learned.rounds,
        "divisions_expected": learned.divisions,
        "division_kept": learned.kept_division,
        "sigma": None if learned.motion is None else learned.motion.sigma,
        "rates": learned.rates.as_dict(),
        "rates_before": fit.fitted.as_dict(),
        "shifts": asdict(fit.shifts),
    }


def calibrate_without_truth(
    stores: Sequence[tuple[DuckDBStore, DetectionSet, SolutionInfo]],
    out: Path,
    *,
    config: Config | None = None,
    progress: Progress | None = None,
) -> UnlabelledReport:
    """Learn what cells do and how far they go from movies alone, and write by how much that changes their costs.

    Annotations are left aside. Links by other scorers than distance keep their costs.

    Parameters
    ----------
    stores : sequence of DuckDBStore, DetectionSet and SolutionInfo
        Movies, each with a solution whose scores and rates are where learning begins.
    out : Path
        File to make.
    config : Config
        For what the runs of the solutions do not tell.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    ConfigError
        If there is no movie, one stands twice, or their scores are not of one kind.
    CalibrationError
        If a movie has fewer than 200 cells with candidates, is not priced by rates, or what it learns does not settle
        or runs away.
    MissingRowsError
        If a store holds no candidates.
    FormatError
        If the file is there already, or cannot be made there.
    """
    started = time.perf_counter()
    config, progress = config or Config(), progress or Silent()
    require_place_for(out)
    movies: list[tuple[FittedMovie, PricedMovie]] = []
    for store, chosen, info in stores:
        progress.start(f"pricing {chosen.movie.name}")
        movie = priced_again(store, chosen, info, config, progress)
        movies.append((replace(movie_of(store, chosen), labelled=False), movie))
    scores = common_scores([(named, movie.score_run) for named, movie in movies])
    fits: dict[str, UnlabelledFit] = {}
    for named, movie in movies:
        progress.start(f"learning from {named.dataset}")
        fit = _fit(named, movie)
        fits[named.dataset if named.dataset not in fits else f"{named.dataset} ({named.project})"] = fit
        if fit.learned.kept_division:
            progress.note(
                f"{named.dataset}: next to no divisions are expected: what one costs was not learned and kept"
            )
    if scores != DistanceScorer.name:
        progress.note(f"links by {scores} keep their costs: how far cells go is learned by distance alone")
    fitted = [replace(named, daughters=fit.cells) for (named, _), fit in zip(movies, fits.values(), strict=True)]
    calibration = CalibrationFile(scores, {}, average(list(fits.values())), tuple(fitted))
    with appearing_file(out, new=True) as partial:
        partial.write_text(as_toml(calibration), encoding="utf-8")
    return UnlabelledReport(str(out), calibration, fits, time.perf_counter() - started)


def _fit(named: FittedMovie, movie: PricedMovie) -> UnlabelledFit:
    if movie.rates is None:
        raise CalibrationError(
            f"{named.dataset} is not priced by rates: there is nothing to learn of what its cells do",
            **{"try": "a solution of `trackdb solve STORE --simple`, or by scores that are no probabilities"},
        )
    try:
        return fit_without_truth(movie.detections, movie.edges, _steps(movie), movie.rates)
    except CalibrationError as error:
        raise CalibrationError(f"{named.dataset}: {error.message}", **error.details) from None


def _steps(movie: PricedMovie) -> Motion | Scores:
    """Return the motion that scores by distance were made with, of others the log densities."""
    params = movie.score_run.params
    if params["by"] != DistanceScorer.name or not len(movie.edges):
        return movie.densities
    unit = "px" if movie.detections.scale_um is None else "um"
    return Motion(params["estimates"][f"sigma_{unit}"], params["estimates"][TAIL])
