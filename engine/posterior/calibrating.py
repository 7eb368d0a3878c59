"""Temperatures and costs fitted on stores with truth, for other movies."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError
from ...storage.catalogue import TRUTH
from ...storage.folders import appearing_file
from ..annotations.pins import pins_among
from ..config import Config
from ..evaluate import true_parents
from ..exports.base import require_place_for
from ..metrics.calibration import ParentQuestions
from ..metrics.parents import ask_parents
from ..progress import Silent
from .calibration_file import CalibrationFile, FittedMovie, as_toml, movie_of
from .estimate import PERTURBING, method_named, posterior_at
from .judging import reported_parents, settled_daughters
from .learning import TrainingMovie, fit_costs
from .problem import weighed
from .stage import redrawn_of
from .temperature import fit_temperature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, RunInfo, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ..metrics.parents import Asked
    from ..progress import Progress
    from .learning import FittedCosts
    from .problem import WeighedMovie
    from .temperature import TemperatureFit

    LinksAt = Callable[[float], NDArray[np.float64]]

DEFAULT_METHODS = ("auto", "softmax")


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What was fitted, and on what.

    Parameters
    ----------
    path : str
        The file that holds it.
    calibration : CalibrationFile
        What it says.
    fits : dict of str to TemperatureFit
        The temperature of each method.
    learned : FittedCosts or None
        Costs, where they were asked for.
    daughters, errors : int
        Daughters with a known parent in all movies, and reports among them that were wrong.
    candidate_recall : float
        Share of the true links that are candidates.
    seconds : float
        How long it took.
    """

    path: str
    calibration: CalibrationFile
    fits: dict[str, TemperatureFit]
    learned: FittedCosts | None
    daughters: int
    errors: int
    candidate_recall: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as the JSON of the command has it."""
        return {
            "path": self.path,
            "scores": self.calibration.scores,
            "movies": [asdict(movie) for movie in self.calibration.movies],
            "daughters": self.daughters,
            "errors": self.errors,
            "candidate_recall": self.candidate_recall,
            "temperature": {method: {**asdict(fit), "at_limit": fit.at_limit} for method, fit in self.fits.items()},
            "costs": None if self.learned is None else asdict(self.learned),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Movie:
    """A movie with truth: what it is called, how it is priced, and what can be asked of it."""

    named: FittedMovie
    weighed: WeighedMovie
    asked: Asked
    training: TrainingMovie
    links_at: dict[str, LinksAt]

    def questions_at(self, method: str, temperature: float) -> ParentQuestions:
        """Return the questions with the probabilities that a method gives at a temperature."""
        link = self.links_at[method](temperature)
        known = self.asked.questions
        return ParentQuestions(known.first, np.clip(link[self.asked.option], 0, 1), known.reported, known.true)


def calibrate(
    stores: Sequence[tuple[DuckDBStore, DetectionSet, SolutionInfo]],
    out: Path,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    costs: bool = False,
    against: str = TRUTH,
    config: Config | None = None,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Fit temperatures, and costs if asked, on movies with truth, and write them to a file for other movies.

    Parameters
    ----------
    stores : sequence of DuckDBStore, DetectionSet and SolutionInfo
        Movies, each with the solution that is reported.
    out : Path
        File to make.
    methods : sequence of str
        Methods that get a temperature.
    costs : bool
        Whether costs of new cells and divisions are learned, too.
    against : str
        Name of the truth in each store.
    config : Config
        Options of the methods.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    ConfigError
        If there is no movie, one stands twice, their scores are not of one kind, or there is no such method.
    CalibrationError
        If there are fewer than 200 daughters with a known parent, or all are reported right.
    MissingRowsError
        If a store holds no truth.
    FormatError
        If the file is there already, or cannot be made there.
    """
    started = time.perf_counter()
    config, progress = config or Config(), progress or Silent()
    require_place_for(out)
    named = tuple(dict.fromkeys(method_named(method) for method in methods))
    movies: list[_Movie] = []
    for store, chosen, info in stores:
        progress.start(f"pricing {chosen.movie.name}")
        movies.append(_movie(store, chosen, info, named, against, config, progress))
    scores = common_scores([(movie.named, movie.weighed.score_run) for movie in movies])
    fits = {}
    for method in named:
        progress.start(f"fitting {method}")
        fits[method] = fit_temperature(partial(_questions_at, movies, method))
        if fits[method].at_limit:
            progress.note(f"the temperature of {method} is at its limit: what these costs say is hardly known to be so")
    learned = None
    if costs:
        progress.start("learning costs")
        learned = fit_costs([movie.training for movie in movies])
        if not learned.divisions:
            progress.note("the truth knows no division: what one costs was not learned and kept")
    temperature = {method: fit.temperature for method, fit in fits.items()}
    shifts = None if learned is None else learned.shifts
    calibration = CalibrationFile(scores, temperature, shifts, tuple(movie.named for movie in movies))
    with appearing_file(out, new=True) as unfinished:
        unfinished.write_text(as_toml(calibration), encoding="utf-8")
    with_mother = sum(movie.asked.with_mother for movie in movies)
    return CalibrationReport(
        str(out),
        calibration,
        fits,
        learned,
        sum(movie.named.daughters for movie in movies),
        sum(movie.named.errors for movie in movies),
        sum(movie.asked.within_candidates for movie in movies) / with_mother if with_mother else float("nan"),
        time.perf_counter() - started,
    )


def _questions_at(movies: Sequence[_Movie], method: str, temperature: float) -> ParentQuestions:
    return ParentQuestions.concatenate([movie.questions_at(method, temperature) for movie in movies])


def common_scores(movies: Sequence[tuple[FittedMovie, RunInfo]]) -> str:
    """Return the one scorer, or table, that the scores of all movies are by.

    Raises
    ------
    ConfigError
        If there is no movie, one stands twice, or there are several.
    """
    if not movies:
        raise ConfigError("nothing to calibrate on", **{"try": "one store, or more"})
    places = [(named.project, named.dataset) for named, _ in movies]
    if len(set(places)) < len(places):
        twice = next(dataset for place, (_, dataset) in enumerate(places) if places[place] in places[:place])
        raise ConfigError(f"the movie {twice} stands twice among those to calibrate on")
    kinds = {str(score_run.params["by"]) for _, score_run in movies}
    if len(kinds) > 1:
        raise ConfigError(
            f"the solutions go by different scores: {', '.join(sorted(kinds))}",
            **{"try": "--solution NAME, of solutions that go by the same"},
        )
    return kinds.pop()


def _movie(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    methods: Sequence[str],
    against: str,
    config: Config,
    progress: Progress,
) -> _Movie:
    """Price a movie as its solution did, and find the daughters that can be judged."""
    movie = weighed(store, chosen, info, config, progress)
    detections, edges = movie.detections, movie.edges
    truth = true_parents(store, chosen, info, detections, against=against, progress=progress)
    reported, single = reported_parents(store, info, detections)
    pins = pins_among(store.decisions(), chosen.movie.name, detections).pins
    asked = ask_parents(
        edges.source,
        edges.target,
        np.zeros(len(edges)),
        reported=reported,
        true=truth.mother,
        known=truth.known & single,
        annotated=settled_daughters(pins, len(detections)),
    )
    questions = asked.questions
    errors = int(np.count_nonzero(questions.reported != questions.true))
    return _Movie(
        replace(movie_of(store, chosen), daughters=len(questions), errors=errors),
        movie,
        asked,
        TrainingMovie(movie.problem, truth),
        {method: _links_at(store, chosen, movie, method, config, progress) for method in methods},
    )


def _links_at(
    store: DuckDBStore, chosen: DetectionSet, movie: WeighedMovie, method: str, config: Config, progress: Progress
) -> LinksAt:
    """Return what gives the probabilities of all candidates at a temperature."""
    settings = replace(config.posterior, method=method)
    redrawn = redrawn_of(store, chosen, movie, settings, progress) if method in PERTURBING else None
    left, at = movie.left, posterior_at(movie.left.problem, settings, redrawn)

    def links(temperature: float) -> NDArray[np.float64]:
        link = left.forced.astype(np.float64)
        link[left.rows] = at(temperature).link
        return link

    return links
