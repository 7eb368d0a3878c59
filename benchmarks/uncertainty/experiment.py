"""The experiment itself: temperatures from the design movies, then every method on every movie."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from figures import Curves, Row, figures_of
from methods import cases_by, trackers_of
from movies import frame_pairs

from trackdb.engine.metrics.calibration import ParentQuestions
from trackdb.engine.posterior.temperature import TemperatureFit, fit_temperature
from trackdb.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from methods import Case, Effort
    from movies import Source

Group = tuple[str, str, int]
"""Kind of movie, base tracker, temporal resolution: what shares a temperature."""


@dataclass(frozen=True)
class Scale:
    """How much of each movie is looked at.

    Parameters
    ----------
    steps : tuple of int
        Temporal resolutions.
    most_pairs, most_cells : int
        Frame pairs of a movie, and cells in their later frames together.
    """

    steps: tuple[int, ...]
    most_pairs: int
    most_cells: int


@dataclass(eq=False)
class Results:
    """What came out: rows of figures, temperatures, and why there is none where there is none."""

    rows: list[Row]
    temperatures: list[dict[str, object]]
    refused: list[dict[str, object]]
    curves: Curves


def cases_of(sources: Iterable[Source], scale: Scale, effort: Effort) -> Iterable[Case]:
    """Make the cases of movies: one for each resolution and base tracker, two for Activity."""
    for source in sources:
        for step in scale.steps:
            pairs = frame_pairs(source, step, most_pairs=scale.most_pairs, most_cells=scale.most_cells)
            if pairs is None or not (pairs.true >= 0).any():
                tell(f"{source.movie.name} x{step}: no pair of frames")
                continue
            for tracker in trackers_of(pairs, effort):
                begun = time.process_time()
                cases = cases_by(pairs, tracker, effort)
                problem = cases[0].problem
                tell(
                    f"{pairs.name} x{step} {tracker}: {problem.n_nodes} cells, {problem.n_edges} candidates, "
                    f"{time.process_time() - begun:.1f} CPU s"
                )
                yield from cases


def run(cases: Iterable[Case]) -> Results:
    """Fit a temperature for each group and method on its design movies, then judge: scaled on judge movies alone."""
    results = Results([], [], [], Curves({}))
    groups: dict[Group, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.kind, case.tracker, case.step].append(case)
    for (kind, tracker, step), members in groups.items():
        begun = time.process_time()
        for method in members[0].at:
            group = {"kind": kind, "tracker": tracker, "step": step, "method": method}
            temperature = _fitted(members, method, group, results)
            for case in members:
                judge(case, method, 1.0, results)
                if case.role == "judge" and temperature is not None:
                    judge(case, method, temperature, results, scaled=True)
        tell(f"{kind} {tracker} x{step}: judged in {time.process_time() - begun:.1f} CPU s")
    return results


def judge(case: Case, method: str, temperature: float, results: Results, *, scaled: bool = False) -> None:
    """Note the figures of a method on a case."""
    row, judged = figures_of(case, method, temperature, scaled=scaled)
    results.rows.append(row)
    results.curves.add(row, judged)


def _fitted(members: list[Case], method: str, group: dict[str, object], results: Results) -> float | None:
    """Return the temperature of a method from the design movies of a group, None where it cannot be fitted."""
    design = [case for case in members if case.role == "design"]
    try:
        if not design:
            raise CalibrationError("there is no other movie of this kind to fit a temperature on")
        fit: TemperatureFit = fit_temperature(
            lambda t: ParentQuestions.concatenate([case.questions(method, t) for case in design])
        )
    except CalibrationError as error:
        results.refused.append({**group, "why": str(error)})
        return None
    note = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in asdict(fit).items()}
    results.temperatures.append({**group, **note, "at_limit": fit.at_limit, "movies": [case.movie for case in design]})
    return fit.temperature


def tell(text: str) -> None:
    """Say how far the experiment is."""
    print(text, file=sys.stderr, flush=True)
