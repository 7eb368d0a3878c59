"""The file of `trackdb calibrate`: temperatures by method, learned costs, and the movies that they come from.

A file holds for movies other than those it was fitted on, with scores of the same kind. What was learned of a movie
without its truth (``labelled = false``) holds for that movie, too. Format 1 had neither ``end`` nor ``labelled``::

    format = 2
    scores = "distance"

    [temperature]
    auto = 1.31

    [costs]
    temperature = 1.18
    appear = 0.4
    division = -0.2
    end = 0.0

    [[movies]]
    project = "5b0c..."
    dataset = "Fluo-N2DH-SIM+"
    daughters = 4211
    errors = 130
    labelled = true
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ...errors import CalibrationError, ConfigError
from ..costs.shifts import CostShifts
from ..posterior_config import COLDEST, HOTTEST, TEMPERATURES

if TYPE_CHECKING:
    from pathlib import Path

    from ...storage.catalogue import DetectionSet
    from ...storage.duckdb_store import DuckDBStore

FORMAT: Final = 2
READ: Final = (1, 2)
FARTHEST: Final = 1e3  # nats that a cost may be moved by; the sum of all costs has to stay exact


@dataclass(frozen=True, slots=True)
class FittedMovie:
    """A movie that something was fitted on.

    Parameters
    ----------
    project : str
        The store that holds it.
    dataset : str
        Its name there.
    daughters, errors : int
        Daughters with a known parent, and reports among them that were wrong; without truth the cells with candidates,
        and 0.
    labelled : bool
        Whether its truth was looked at.
    """

    project: str
    dataset: str
    daughters: int = 0
    errors: int = 0
    labelled: bool = True


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """What was fitted on movies with truth, or learned of some without.

    Parameters
    ----------
    scores : str
        The scorer, or table, whose costs it is for.
    temperature : dict of str to float
        For each method what costs are divided by.
    costs : CostShifts or None
        Learned costs.
    movies : tuple of FittedMovie
        What it was fitted on.
    """

    scores: str
    temperature: dict[str, float]
    costs: CostShifts | None = None
    movies: tuple[FittedMovie, ...] = field(default=())

    def temperature_for(self, method: str, store: DuckDBStore, chosen: DetectionSet, scores: str) -> float:
        """Return the temperature of a method for a movie.

        Parameters
        ----------
        method : str
            As `trackdb posterior` names it.
        store, chosen
            The movie that it is for.
        scores : str
            The scorer, or table, that its costs come from.

        Raises
        ------
        CalibrationError
            If it was fitted on this very movie, on other scores, or not for this method.
        """
        self._require_fitting(store, chosen, scores)
        if method not in self.temperature:
            without = "trackdb solve --calibration FILE, whose posterior has these costs"
            raise CalibrationError(
                f"the calibration has no temperature for the method {method}"
                + ("" if self.temperature else ": it was made without truth"),
                known=", ".join(self.temperature) or "none",
                **{"try": f"trackdb calibrate --method {method}" if self.temperature else without},
            )
        return self.temperature[method]

    def costs_for(self, store: DuckDBStore, chosen: DetectionSet, scores: str) -> CostShifts:
        """Return the learned costs for a movie; parameters as of `temperature_for`.

        Raises
        ------
        CalibrationError
            If it was fitted on this very movie or on other scores, or holds no costs.
        """
        self._require_fitting(store, chosen, scores)
        if self.costs is None:
            raise CalibrationError("the calibration holds no costs", **{"try": "trackdb calibrate --costs"})
        return self.costs

    def learned_of(self, store: DuckDBStore, chosen: DetectionSet) -> bool:
        """Tell whether a movie is among those that it comes from."""
        return self._known(store, chosen) is not None

    def _known(self, store: DuckDBStore, chosen: DetectionSet) -> FittedMovie | None:
        movie = movie_of(store, chosen)
        same = (known for known in self.movies if (known.project, known.dataset) == (movie.project, movie.dataset))
        return next(same, None)

    def _require_fitting(self, store: DuckDBStore, chosen: DetectionSet, scores: str) -> None:
        movie, known = movie_of(store, chosen), self._known(store, chosen)
        if known is not None and known.labelled:
            raise CalibrationError(
                f"the calibration was fitted on {movie.dataset} itself: on its own truth any posterior looks right",
                **{"try": "one that was fitted on other movies, or --temperature 1"},
            )
        if scores != self.scores:
            raise CalibrationError(
                f"the calibration is of scores by {self.scores}, those of {movie.dataset} are by {scores}",
                **{"try": f"trackdb calibrate with solutions by {scores}"},
            )


def movie_of(store: DuckDBStore, chosen: DetectionSet) -> FittedMovie:
    """Return the name by which a calibration knows a movie again, also in a copy of its store."""
    return FittedMovie(store.meta()["project"], chosen.movie.name)


def as_toml(calibration: CalibrationFile) -> str:
    """Return a calibration as text that `read_calibration` reads."""
    labelled = all(movie.labelled for movie in calibration.movies)
    lines = [
        "# Made by trackdb calibrate, for movies other than those below."
        if labelled
        else "# Made by trackdb calibrate without truth, for the movies below and for others.",
        f"format = {FORMAT}",
        f"scores = {_quoted(calibration.scores)}",
        "",
        "[temperature]",
        *(f"{_quoted(method)} = {value!r}" for method, value in calibration.temperature.items()),
    ]
    if calibration.costs is not None:
        lines += ["", "[costs]", *(f"{name} = {value!r}" for name, value in asdict(calibration.costs).items())]
    for movie in calibration.movies:
        lines += ["", "[[movies]]", *(f"{name} = {_quoted(value)}" for name, value in asdict(movie).items())]
    return "\n".join(lines) + "\n"


def _quoted(value: str | int) -> str:
    """Return a text, a number or a yes or no as TOML writes it: as JSON does, but for one letter that TOML escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_calibration(file: Path) -> CalibrationFile:
    """Read what `trackdb calibrate` wrote.

    Raises
    ------
    ConfigError
        If it cannot be read, or holds something else.
    """
    if not file.is_file():
        raise ConfigError(
            f"{file}: the calibration cannot be read",
            reason="it is a folder" if file.is_dir() else "there is no such file",
            **{"try": "the file that trackdb calibrate STORE... -o FILE has made"},
        )
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no text, no TOML, a number without end
        raise ConfigError(f"{file}: the calibration cannot be read", reason=str(error)) from error
    wrong = f"{file}: this is no file of trackdb calibrate"
    if "format" not in content:
        raise ConfigError(wrong, **{"try": "trackdb calibrate STORE... -o FILE makes one"})
    if content["format"] not in READ:
        known = " and ".join(map(str, READ))
        raise ConfigError(f"{file}: format is {content['format']!r}, this trackdb reads {known}")
    scores, temperature, movies = content.get("scores"), content.get("temperature", {}), content.get("movies", [])
    if not isinstance(scores, str) or not isinstance(temperature, dict) or not isinstance(movies, list):
        raise ConfigError(wrong, expected="scores, [temperature], [[movies]]")
    for method, value in temperature.items():
        if not _is_temperature(value):
            raise ConfigError(f"{file}: the temperature of {method} is {value!r}, wanted {TEMPERATURES}")
    try:
        fitted = tuple(FittedMovie(**movie) for movie in movies)
        costs = CostShifts(**content["costs"]) if "costs" in content else None
    except TypeError as error:
        raise ConfigError(wrong, reason=str(error)) from None
    if costs is not None:
        _require_costs(file, costs)
    if not all(isinstance(movie.labelled, bool) for movie in fitted):
        raise ConfigError(wrong, expected="movies.labelled = true or false")
    return CalibrationFile(scores, {name: float(value) for name, value in temperature.items()}, costs, fitted)


def _require_costs(file: Path, costs: CostShifts) -> None:
    for part in fields(costs):
        value = getattr(costs, part.name)
        if part.name == "temperature" and not _is_temperature(value):
            raise ConfigError(f"{file}: costs.temperature is {value!r}, wanted {TEMPERATURES}")
        if not _is_number(value) or abs(value) > FARTHEST:
            raise ConfigError(f"{file}: costs.{part.name} is {value!r}, wanted a number within +-{FARTHEST:g} nats")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)  # isfinite takes no whole number beyond 1e308


def _is_temperature(value: Any) -> bool:
    return _is_number(value) and COLDEST <= value <= HOTTEST
