"""How far the probabilities of learned solutions can be trusted, and what their review lists find: a line a case.

Run: python benchmarks/accuracy/calibration.py [--only NAME ...] [--variants x1 P x2 x4] [--seeds 1 2 3] [--lines FILE].
Lines that the file has already are not run again, so that hours can be done in pieces.

Movies of the role ``design`` alone. Each is linked over up to three missed frames, priced and solved by the learned
cost and weighed by ``auto`` at each of `TEMPERATURES`. ECE, NLL and AURC are told at temperature 1, at the one that is
usual for learned costs, and at the one of these that makes the true parents of all *other* movies likeliest, each movie
with the same weight. The lists are those of the usual temperature. A question finds what the solution has wrong of what
a cell does: links that are not true, and true ones that it lacks. It is held against questions about cells picked at
random.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

import numpy as np
from cases import NOISE, VARIANTS, Case, cases
from measure import head, row
from truth import detections_of

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import learn
from trackdb.engine.default_cost import MISSED
from trackdb.engine.metrics.calibration import NEW, ParentQuestions, answers, summarise
from trackdb.engine.metrics.parents import ask_parents
from trackdb.engine.posterior.estimate import posterior_at
from trackdb.engine.posterior.lifting import stored_outcomes
from trackdb.engine.posterior.usual import OF_LEARNED
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.review.questions import questions_of
from trackdb.engine.review.ranking import LEAST, best_of_pieces, most_reducing
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
MEASURES = ("ece", "nll", "aurc_entropy")
HEAD = (
    "case", "daughters", "wrong", "ECE", "as usual", "at T", "by chance", "NLL", "as usual", "at T", "T",
    "AURC", "as usual", "at T", "to be found", "first 100 find", "times random", "first 5 % find", "times random",
    "posterior s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of a case and a seed; one line of the file.

    Parameters
    ----------
    case, seed : str, int
        Its name, and the seed of its noise.
    daughters, errors : int
        Cells whose true parent is known, and how many of them have another in the solution.
    floor : float
        ECE at the usual temperature that chance alone would leave.
    wrong, cells : int
        What the solution has wrong of what cells do, and how many cells a question could be about.
    asked, found : tuple of two int
        Questions of the lists, the first by error reduction and the second by entropy, and what they find.
    seconds : float
        CPU time of a posterior.
    at : dict of str to float
        ``"ece 1.2"`` and so on, for each of `MEASURES` and `TEMPERATURES`.
    """

    case: str
    seed: int
    daughters: int
    errors: int
    floor: float
    wrong: int
    cells: int
    asked: tuple[int, int]
    found: tuple[int, int]
    seconds: float
    at: dict[str, float]

    @property
    def movie(self) -> str:
        """Name of the movie that the case is made of."""
        return self.case.rsplit(" ", 1)[0]


def weigh(case: Case, seed: int) -> Line:
    """Solve a case by the learned cost, weigh it and ask."""
    order = np.argsort(case.frame, kind="stable")
    place = np.argsort(order)
    link = place[case.link]
    detections = detections_of(case.frame[order], case.position[order], None)
    edges = link_nearest(detections, max_gap=MISSED)
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
    goes_on = problem.frame < problem.frame.max()
    asked_of, found_by = zip(*review(problem, usual, wrong, goes_on), strict=True)
    summaries = {t: summarise(answers(one)) for t, one in questions.items()}
    return Line(
        case=case.name,
        seed=seed,
        daughters=summaries[OF_LEARNED].daughters,
        errors=summaries[OF_LEARNED].errors,
        floor=summaries[OF_LEARNED].ece_floor,
        wrong=int(wrong[goes_on].sum()),
        cells=int(goes_on.sum()),
        asked=asked_of,
        found=found_by,
        seconds=seconds,
        at={f"{name} {t:g}": getattr(one, name) for t, one in summaries.items() for name in MEASURES},
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
    problem: TrackingProblem, found: Posterior, wrong: Ints, goes_on: NDArray[np.bool_]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return how many questions two lists ask, and what they find."""
    left = pin(problem, Pins(np.zeros(problem.n_edges, np.int8), np.zeros(problem.n_nodes, np.int8)))
    asked = questions_of(stored_outcomes(found, left, np.arange(problem.n_nodes), goes_on), optional=True)
    rerun = Rerun(problem, np.arange(problem.n_nodes), asked, OF_LEARNED)
    entropy = asked.entropy_bits
    first, _ = most_reducing(asked.piece, asked.errors, entropy, entropy > LEAST, LISTED, rerun.reductions)
    second, _ = best_of_pieces(asked.piece, entropy, int(SHARE * goes_on.sum()))
    return tuple((len(rows), int(wrong[asked.cell[rows]].sum())) for rows in (first, second))


def best_temperature(lines: list[Line], movie: str) -> float:
    """Return the temperature at which the true parents in all other movies are likeliest."""
    others = {name: [line for line in lines if line.movie == name] for name in {line.movie for line in lines} - {movie}}
    if not others:
        return 1.0
    return min(
        TEMPERATURES, key=lambda t: np.mean([np.mean([x.at[f"nll {t:g}"] for x in of]) for of in others.values()])
    )


def shown(lines: list[Line], temperature: float) -> list[str]:
    """Return the cells of the table for a case: means of its seeds."""

    def mean(name: str, t: float = OF_LEARNED) -> float:
        return float(np.mean([line.at[f"{name} {t:g}"] for line in lines]))

    def total(name: str) -> int:
        return sum(getattr(line, name) for line in lines)

    three = (1.0, OF_LEARNED, temperature)
    base = total("wrong") / total("cells")
    lists = []
    for i in range(2):
        asked, found = (sum(getattr(line, name)[i] for line in lines) for name in ("asked", "found"))
        lists += [f"{found} of {asked}", f"{found / asked / base:.1f}" if asked and base else "-"]
    return [
        lines[0].case, str(total("daughters")), str(total("errors")),
        *(f"{mean('ece', t):.4f}" for t in three), f"{np.mean([line.floor for line in lines]):.4f}",
        *(f"{mean('nll', t):.4f}" for t in three), f"{temperature:g}",
        *(f"{mean('aurc_entropy', t):.5f}" for t in three), str(total("wrong")), *lists,
        f"{np.mean([line.seconds for line in lines]):.1f}",
    ]  # fmt: skip


def lines_of(file: Path | None) -> list[Line]:
    """Return the lines of an earlier run, none without one."""
    if file is None or not file.exists():
        return []
    found = [json.loads(text) for text in file.read_text().splitlines()]
    return [Line(**{**one, "asked": tuple(one["asked"]), "found": tuple(one["found"])}) for one in found]


def main(given: argparse.Namespace) -> None:
    """Print the table, and keep its lines if asked."""
    lines = lines_of(given.lines)
    done = {(line.case, line.seed) for line in lines}
    for seed in given.seeds:
        variants = [variant for variant in given.variants if variant in NOISE or seed == given.seeds[0]]
        for case in cases(given.only, variants, seed):
            if case.role != "design" or (case.name, seed) in done:
                continue
            lines.append(weigh(case, seed))
            print(f"{case.name}, seed {seed}: weighed", file=sys.stderr, flush=True)
            if given.lines:  # after every case: a long run that is stopped has its results
                given.lines.write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))
    head(*HEAD)
    for name in dict.fromkeys(line.case for line in lines):
        of = [line for line in lines if line.case == name]
        row(*shown(of, best_temperature(lines, of[0].movie)))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=[], help="parts of the names of movies")
    options.add_argument("--variants", nargs="*", default=[*SHOWN], choices=VARIANTS)
    options.add_argument("--seeds", nargs="+", type=int, default=[1])
    options.add_argument("--lines", type=Path, help="file for what was found of each case, JSON lines")
    main(options.parse_args())
