"""How far the probabilities of learned solutions can be trusted, and what their review lists find: a line a case.

Run: python benchmarks/accuracy/calibration.py [--only NAME ...] [--variants x1 P x2 x4] [--csv FILE]

Movies of the role ``design`` alone. Each is linked over one missed frame, priced and solved by the learned cost and
weighed by ``auto`` at each of `TEMPERATURES`. ECE, NLL and AURC are told at temperature 1, at the one that is usual for
learned costs, and at the one of these that makes the true parents of all *other* movies likeliest, each movie with the
same weight. The lists are those of the usual temperature. A question finds what the solution has wrong of what a cell
does: links that are not true, and true ones that it lacks. It is held against questions about cells picked at random.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

import numpy as np
from cases import Case, cases
from measure import head, row
from truth import detections_of

from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import PosteriorConfig
from trackdb.engine.costs import learn
from trackdb.engine.metrics.calibration import NEW, ParentQuestions, answers, mean_nll, summarise
from trackdb.engine.metrics.parents import ask_parents
from trackdb.engine.posterior.estimate import posterior_at
from trackdb.engine.posterior.lifting import stored_outcomes
from trackdb.engine.posterior.usual import OF_LEARNED
from trackdb.engine.review.questions import questions_of
from trackdb.engine.review.ranking import best_of_pieces, most_reducing
from trackdb.engine.review.rerun import Rerun
from trackdb.solvers import open_solver
from trackdb.solvers.pins import Pins, pin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trackdb.engine.posterior.estimate import Posterior
    from trackdb.solvers.problem import TrackingProblem

    Ints = NDArray[np.int64]

TEMPERATURES = (1.0, OF_LEARNED, 1.4, 1.7, 2.0)
SHOWN = ("x1", "P", "x2", "x4")
LISTED = 100  # questions of the list by expected error reduction
SHARE = 0.05  # of all cells, for the list by entropy
HEAD = (
    "case", "daughters", "wrong", "ECE", "as usual", "at T", "by chance", "NLL", "as usual", "at T", "T",
    "AURC", "at T", "to be found", "first 100 find", "times random", "first 5 % find", "times random", "posterior s",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Row:
    """What is known of a case: its questions at each temperature, and what the lists find.

    Parameters
    ----------
    name, movie : str
        Of the case, and of its movie.
    at : dict of float to ParentQuestions
        By temperature.
    wrong, cells : int
        What the solution has wrong of what cells do, and how many cells a question could be about.
    found : tuple of two (questions, found)
        By the first `LISTED` by error reduction, and the first `SHARE` by entropy.
    seconds : float
        That a posterior took.
    """

    name: str
    movie: str
    at: dict[float, ParentQuestions]
    wrong: int
    cells: int
    found: tuple[tuple[int, int], tuple[int, int]]
    seconds: float


def weigh(case: Case) -> Row:
    """Solve a case by the learned cost, weigh it and ask."""
    order = np.argsort(case.frame, kind="stable")
    place = np.argsort(order)
    link = place[case.link]
    detections = detections_of(case.frame[order], case.position[order], None)
    edges = link_nearest(detections, max_gap=1)
    problem = learn(detections, edges).problem(detections, edges)
    chosen = np.flatnonzero(open_solver("ilp").solve(problem).edge)
    solved = np.c_[problem.source[chosen], problem.target[chosen]]
    n = len(detections)
    asked = ask_parents(
        problem.source,
        problem.target,
        np.zeros(problem.n_edges),
        reported=mothers(solved, n),
        true=mothers(link, n),
        known=np.bincount(link[:, 1], minlength=n) <= 1,
    )
    known = asked.questions
    at = posterior_at(problem, PosteriorConfig())
    begun = time.process_time()
    usual = at(OF_LEARNED)
    seconds = time.process_time() - begun
    found = {t: usual.link if t == OF_LEARNED else at(t).link for t in TEMPERATURES}
    questions = {
        t: ParentQuestions(known.first, np.clip(p[asked.option], 0, 1), known.reported, known.true)
        for t, p in found.items()
    }
    wrong = wrong_at(solved, link, n)
    told = problem.frame < problem.frame.max()
    lists = review(problem, usual, wrong, told)
    return Row(
        case.name, case.name.rsplit(" ", 1)[0], questions, int(wrong[told].sum()), int(told.sum()), lists, seconds
    )


def mothers(link: Ints, n: int) -> Ints:
    """Return the mother of each of n cells, `NEW` for none."""
    mother = np.full(n, NEW)
    mother[link[:, 1]] = link[:, 0]
    return mother


def wrong_at(solved: Ints, true: Ints, n: int) -> Ints:
    """Return how many links of each cell as a mother are not true or lacking."""
    one, other = (link[:, 0] * n + link[:, 1] for link in (solved, true))
    return np.bincount(np.setxor1d(one, other) // n, minlength=n)


def review(
    problem: TrackingProblem, found: Posterior, wrong: Ints, told: NDArray[np.bool_]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how many questions two lists ask, and what they find."""
    left = pin(problem, Pins(np.zeros(problem.n_edges, np.int8), np.zeros(problem.n_nodes, np.int8)))
    asked = questions_of(stored_outcomes(found, left, np.arange(problem.n_nodes), told), optional=True)
    rerun = Rerun(problem, np.arange(problem.n_nodes), asked, OF_LEARNED)
    entropy = asked.entropy_bits
    first, _ = most_reducing(asked.piece, asked.errors, entropy, entropy > 1e-3, LISTED, rerun.reductions)
    second, _ = best_of_pieces(asked.piece, entropy, int(SHARE * told.sum()))
    return tuple((len(rows), int(wrong[asked.cell[rows]].sum())) for rows in (first, second))


def best_temperature(rows: list[Row], movie: str) -> float:
    """Return the temperature at which the true parents in all other movies are likeliest."""
    others = sorted({row.movie for row in rows} - {movie})
    if not others:
        return 1.0

    def nll(t: float) -> float:
        of_movies = [[mean_nll(answers(row.at[t]).true_probability) for row in rows if row.movie == o] for o in others]
        return float(np.mean([np.mean(of) for of in of_movies]))

    return min(TEMPERATURES, key=nll)


def line(row: Row, temperature: float) -> list[str]:
    """Return the cells of the table."""
    plain, usual, at = (summarise(answers(row.at[t])) for t in (1.0, OF_LEARNED, temperature))
    base = row.wrong / row.cells
    lists = [
        cell
        for asked, found in row.found
        for cell in (f"{found} of {asked}", f"{found / asked / base:.0f}" if asked and base else "-")
    ]
    return [
        row.name, str(plain.daughters), str(plain.errors),
        f"{plain.ece:.4f}", f"{usual.ece:.4f}", f"{at.ece:.4f}", f"{usual.ece_floor:.4f}",
        f"{plain.nll:.4f}", f"{usual.nll:.4f}", f"{at.nll:.4f}", f"{temperature:g}",
        f"{plain.aurc_entropy:.5f}", f"{at.aurc_entropy:.5f}", str(row.wrong), *lists, f"{row.seconds:.1f}",
    ]  # fmt: skip


def main(given: argparse.Namespace) -> None:
    """Print the table, and write it as CSV if asked."""
    rows = []
    for case in cases(given.only, given.variants, given.seed):
        if case.role == "design":
            rows.append(weigh(case))
            print(f"{case.name}: weighed", file=sys.stderr, flush=True)
    lines = [line(one, best_temperature(rows, one.movie)) for one in rows]
    head(*HEAD)
    for cells in lines:
        row(*cells)
    if given.csv:
        with given.csv.open("w", newline="") as file:
            csv.writer(file).writerows([HEAD, *lines])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of movies")
    options.add_argument("--variants", nargs="*", default=[*SHOWN], choices=SHOWN)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--csv", type=Path, help="file for the table")
    main(options.parse_args())
