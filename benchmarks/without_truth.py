"""Costs learned without truth: whether rates are found again, and what becomes of the probabilities.

Run: python benchmarks/without_truth.py [rates] [real] [--only NAME ...] [--steps 1 2 4 8]

``rates``: movies by `trackdb simulate`, and real ones: what share of the cells divides, ends and begins in truth, by
the fitted rates, and by expectation maximisation. ``real``: accuracy and calibration of the exact marginals at the
fitted costs, at those learned of the movie itself without truth, at those learned without truth of another movie of
the kind, and at those learned with the truth of that other movie. All cells are judged, none is left out.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from measure import head, row
from truth import TrueMovie, detections_of, movies

from trackdb.engine.candidates import link_nearest, radius_from
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.costs.shifts import CostShifts
from trackdb.engine.metrics.calibration import NEW, Summary, answers, summarise
from trackdb.engine.metrics.parents import ask_parents
from trackdb.engine.posterior.expectation import scores_of
from trackdb.engine.posterior.judging import TrueParents
from trackdb.engine.posterior.learning import TrainingMovie, fit_costs
from trackdb.engine.posterior.unlabelled import UnlabelledFit, fit_without_truth
from trackdb.engine.scorers.distance import fit_motion
from trackdb.engine.simulation import Simulation, simulate
from trackdb.errors import CalibrationError
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.posterior.marginals import estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trackdb.engine.costs import Rates
    from trackdb.engine.scorers.distance import Motion
    from trackdb.solvers.problem import TrackingProblem
    from trackdb.storage.schema import CandidateEdges

OF_A_KIND = {"epidermis": "cellmigration", "astec Pm09": "astec Pm03", "celegans 20241108 L4": "celegans 20240930 L4"}
"""Each judged movie, and the other one that is learned from."""

SIMULATED = ((0.01, 0.06), (0.01, 0.15), (0.05, 0.06), (0.05, 0.15))
"""Division rate of a grown cell, and motion in spacings."""

FRAMES, CELLS = 24, 60


@dataclass(frozen=True, eq=False)
class Priced:
    """A movie with truth, its candidates and what they cost by the fitted rates."""

    movie: TrueMovie
    edges: CandidateEdges
    motion: Motion
    rates: Rates
    problem: TrackingProblem
    mother: NDArray[np.int64]

    @classmethod
    def of(cls, movie: TrueMovie) -> Priced:
        """Link, score and price a movie as the commands do."""
        cells = movie.detections
        edges = link_nearest(cells, max_distance=radius_from(cells).radius)
        motion = fit_motion(cells, edges)
        scores = scores_of(cells, edges, motion)
        rates = fit(cells, edges, scores)
        mother = np.full(len(cells), NEW)
        mother[movie.link[:, 1]] = movie.link[:, 0]
        return cls(movie, edges, motion, rates, problem_from(cells, edges, scores, rates), mother)

    def learned(self) -> UnlabelledFit:
        """Learn without truth."""
        return fit_without_truth(self.movie.detections, self.edges, self.motion, self.rates)

    def with_truth(self) -> CostShifts:
        """Learn from the truth."""
        known = TrueParents(self.mother, np.ones(len(self.mother), dtype=bool))
        return fit_costs([TrainingMovie(self.problem, known)]).shifts

    def judged(self, shifts: CostShifts) -> tuple[Summary, int]:
        """Solve and weigh at some costs: calibration of the links of the optimum, and its divisions."""
        problem = shifts.applied(self.problem)
        edge = IlpSolver().solve(problem).edge
        reported = np.full(problem.n_nodes, NEW)
        reported[problem.target[edge]] = problem.source[edge]
        link = np.minimum(estimate(problem).link, 1.0)
        known = np.ones(problem.n_nodes, dtype=bool)
        asked = ask_parents(problem.source, problem.target, link, reported=reported, true=self.mother, known=known)
        return summarise(answers(asked.questions)), int((np.bincount(problem.source[edge]) == 2).sum())


def simulated() -> Iterator[TrueMovie]:
    """Draw movies without errors of segmentation; their cells are the centres of what was drawn."""
    for seed, (division, motion) in enumerate(SIMULATED):
        made = simulate(
            Simulation(
                seed=seed, frames=FRAMES, cells=CELLS, motion=motion, division_rate=division, death_rate=0.01,
                missed=0.0, false=0.0,
            )
        )  # fmt: skip
        frame, label, place = [], [], []
        for drawn in made:
            there = np.unique(drawn.truth[drawn.truth > 0])
            where = [np.argwhere(drawn.truth == number).mean(axis=0) for number in there]
            frame += [drawn.frame] * len(there)
            label += there.tolist()
            place += where
        cells = detections_of(np.array(frame), np.array(place), None)
        row_of = {pair: i for i, pair in enumerate(zip(label, frame, strict=True))}
        link = [(row_of[c, t], row_of[c, t + 1]) for c, t in row_of if (c, t + 1) in row_of]
        for number, begin, _, mother in made.tracks.tolist():
            if (mother, begin - 1) in row_of and (number, begin) in row_of:
                link.append((row_of[mother, begin - 1], row_of[number, begin]))
        yield TrueMovie(f"simulated, division {division}, motion {motion}", "judge", cells, np.array(link))


def shares(movie: TrueMovie, rates: Rates) -> tuple[float, float, float]:
    """Return the shares of cells that divide, end and begin at some rates, inside and border together."""
    frame = movie.detections.frame
    border = rates.at_border(movie.detections.position_um)
    earlier, later = border[frame < frame[-1]].mean(), border[frame > frame[0]].mean()
    end = rates.disappear + earlier * (rates.disappear_border - rates.disappear)
    return rates.division, end, rates.appear + later * (rates.appear_border - rates.appear)


def true_shares(movie: TrueMovie) -> tuple[float, float, float]:
    """Return the same of the truth."""
    n, frame = len(movie.detections), movie.detections.frame
    children = np.bincount(movie.link[:, 0], minlength=n)[frame < frame[-1]]
    parents = np.bincount(movie.link[:, 1], minlength=n)[frame > frame[0]]
    return float((children == 2).mean()), float((children == 0).mean()), float((parents == 0).mean())


def wanted(only: list[str], steps: list[int]) -> Iterator[tuple[TrueMovie, TrueMovie]]:
    """Read each judged movie and the other one of its kind, at each resolution."""
    needed = [name for pair in OF_A_KIND.items() for name in pair]
    known = {movie.name: movie for movie in movies() if movie.name in needed}
    for judged, other in OF_A_KIND.items():
        if not only or any(part.lower() in judged.lower() for part in only):
            for step in steps:
                yield known[judged].every(step), known[other].every(step)


def tell_rates(found: Iterator[TrueMovie]) -> None:
    """Print what share of the cells divides, ends and begins; in truth with its standard error by chance."""
    head("movie", "cells", "divide: true", "fitted", "learned", "end: true", "fitted", "learned", "begin: true",
         "fitted", "learned", "sigma: fitted", "learned", "rounds")  # fmt: skip
    for movie in found:
        one = Priced.of(movie)
        n = len(movie.detections)
        true, before = true_shares(movie), shares(movie, one.rates)
        told = [f"{p:.4f} ± {(p * (1 - p) / n) ** 0.5:.4f}" for p in true]
        try:
            learned = one.learned().learned
        except CalibrationError as error:
            row(movie.name, n, *[x for p, q in zip(told, before, strict=True) for x in (p, f"{q:.4f}", "")], "", "",
                f"refused: {error.message[:60]}")  # fmt: skip
            continue
        after = shares(movie, learned.rates)
        cells = [x for p, *q in zip(told, before, after, strict=True) for x in (p, *(f"{y:.4f}" for y in q))]
        row(movie.name, n, *cells, f"{one.motion.sigma:.3g}", f"{learned.motion.sigma:.3g}", learned.rounds)


def tell_real(pairs: Iterator[tuple[TrueMovie, TrueMovie]]) -> None:
    """Print accuracy and calibration at each way to learn."""
    head("movie", "cells", "costs", "accuracy", "ECE", "NLL", "AURC", "divisions of", "T, new, ends, divisions")
    for movie, other in pairs:
        one, training = Priced.of(movie), Priced.of(other)
        true = int((np.bincount(movie.link[:, 0]) == 2).sum())
        ways = {
            "as fitted": CostShifts,
            "without truth, itself": lambda: one.learned().shifts,  # noqa: B023
            "without truth, another": lambda: training.learned().shifts,  # noqa: B023
            "with truth, another": training.with_truth,
        }
        for name, learn in ways.items():
            try:
                shifts = learn()
            except CalibrationError as error:
                row(movie.name, len(movie.detections), name, *[""] * 5, f"refused: {error.message[:60]}")
                continue
            found, divisions = one.judged(shifts)
            moved = f"{shifts.temperature:.2f}, {shifts.appear:+.2f}, {shifts.end:+.2f}, {shifts.division:+.2f}"
            row(movie.name, len(movie.detections), name, f"{found.accuracy:.4f}", f"{found.ece:.4f}",
                f"{found.nll:.4f}", f"{found.aurc_confidence:.4f}", f"{divisions} of {true}", moved)  # fmt: skip


def main(given: argparse.Namespace) -> None:
    """Print the tables that were asked for."""
    if "rates" in given.what:
        tell_rates(simulated())
        tell_rates(movie for movie, _ in wanted(given.only, given.steps))
    if "real" in given.what:
        tell_real(wanted(given.only, given.steps))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", nargs="*", choices=[[], "rates", "real"], help="by default both")
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of judged movies")
    options.add_argument("--steps", nargs="*", type=int, default=[1, 2, 4, 8], help="every so many-th frame")
    asked = options.parse_args()
    asked.what = asked.what or ["rates", "real"]
    main(asked)
