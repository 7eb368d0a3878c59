"""How many questions a review needs: people who know the truth answer in several orders, a line a case and an order.

Run: python benchmarks/accuracy/review.py [--only NAME ...] [--variants P x4] [--orders NAME ...] [--seeds 1 2 3 4 5]
[--lines FILE]. Lines that the file has already are not run again.

Each movie is linked over up to three missed frames, priced and solved by the learned cost. A question is what a cell
does next; it is answered from the truth (or that it is no cell), and where the truth is no candidate by saying of each
candidate that it is wrong. Orders: ``error-reduction`` and ``entropy`` are lists made anew after each answer;
``listed`` is the list by entropy as it stands before the first answer; ``random`` and ``time`` are all cells of the
solution by chance and by frame. What is left wrong is counted in the solution of least cost that keeps all answers:
links that are not true, and true ones that it lacks.
"""

from __future__ import annotations

import argparse
import json
import sys
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
from trackdb.engine.posterior.estimate import posterior_at
from trackdb.engine.posterior.lifting import stored_outcomes
from trackdb.engine.posterior.usual import OF_LEARNED
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.review.live import OpenReview, Reported
from trackdb.engine.review.questions import questions_of
from trackdb.errors import InfeasibleError
from trackdb.solvers import open_solver
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.problem import FORBIDDEN, KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from trackdb.solvers.problem import TrackingProblem

    Ints = NDArray[np.int64]

LIVE = ("error-reduction", "entropy")
ORDERS = (*LIVE, "listed", "random", "time")
COUNTED = (10, 30, 100)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.6, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
"""Questions after which is counted, in parts of what is wrong at the start."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one order found in a case: questions, and what was left wrong after so many.

    Parameters
    ----------
    case, seed, order : str, int, str
        Which.
    cells : int
        Cells that a question could be about.
    questions, left : list of int
        From none on.
    unknown : int
        Questions to which no candidate was the answer.
    """

    case: str
    seed: int
    order: str
    cells: int
    questions: list[int]
    left: list[int]
    unknown: int

    def half(self) -> float:
        """Return after how many questions half of what was wrong is gone, between counts on a line; NaN if never."""
        wanted = self.left[0] / 2
        below = next((i for i, left in enumerate(self.left) if left <= wanted), None)
        if below is None or below == 0:
            return float("nan")
        (a, b), (x, y) = self.questions[below - 1 : below + 1], self.left[below - 1 : below + 1]
        return a + (b - a) * (x - wanted) / max(x - y, 1e-9)


class Oracle:
    """Somebody who knows the truth and answers what a cell does.

    Parameters
    ----------
    problem : TrackingProblem
        n cells.
    true : (l, 2) int64
        True links as rows.
    false : (n,) bool
        Points that are no cell.
    """

    def __init__(self, problem: TrackingProblem, true: Ints, false: NDArray[np.bool_]) -> None:
        self.problem, self._false, self._true = problem, false, true
        n = problem.n_nodes
        by_source = np.argsort(problem.source, kind="stable")
        self._links = np.split(by_source, np.cumsum(np.bincount(problem.source, minlength=n))[:-1])
        self._daughters: dict[int, list[int]] = {}
        for mother, daughter in true.tolist():
            self._daughters.setdefault(mother, []).append(daughter)
        self._edge, self._node = np.zeros(problem.n_edges, np.int8), np.zeros(n, np.int8)
        self.unknown = 0

    def answer(self, cell: int, review: OpenReview | None) -> None:
        """Answer about a cell, and tell it to a review that is open; what contradicts earlier answers is let be."""
        links = self._links[cell]
        target = self.problem.target[links]
        wanted = sorted(self._daughters.get(cell, []))
        known = bool(np.isin(wanted, target).all()) and self._may_be(links[np.isin(target, wanted)])
        before = self._edge[links].copy(), self._node[cell]
        try:
            if self._false[cell]:
                self._edge[links], self._node[cell] = FORBIDDEN, FORBIDDEN
                if review is not None:
                    review.not_a_cell(cell)
            elif known:
                self._edge[links] = np.where(np.isin(target, wanted), KEPT, FORBIDDEN)
                self._node[cell] = KEPT
                if review is not None:
                    review.choose(cell, wanted)
            else:
                self.unknown += 1
                wrong = ~np.isin(target, wanted)
                self._edge[links[wrong]] = FORBIDDEN
                for daughter in target[wrong].tolist() if review is not None else []:
                    review.reject(cell, daughter)
        except InfeasibleError:
            self.unknown += 1
            self._edge[links], self._node[cell] = before

    def _may_be(self, links: Ints) -> bool:
        """Return whether the problem lets a cell have these links at once."""
        if len(links) < 2 or self.problem.pairs is None:
            return len(links) <= 2
        try:
            self.problem.pairs.cost_of(links[:1], links[1:], self.problem.n_edges)
        except InfeasibleError:
            return False
        return len(links) == 2

    def left_wrong(self) -> int:
        """Return how many links are wrong or lacking in the solution of least cost that keeps the answers."""
        left = pin(self.problem, Pins(self._edge, self._node))
        chosen = left.whole(open_solver("ilp").solve(left.problem)).edge
        return len(
            np.setxor1d(self._keys(np.c_[self.problem.source, self.problem.target][chosen]), self._keys(self._true))
        )

    def _keys(self, links: Ints) -> Ints:
        return links[:, 0] * self.problem.n_nodes + links[:, 1]


def replay(case: Case, seed: int, orders: Sequence[str]) -> Iterator[Line]:
    """Let the truth answer in some orders."""
    order = np.argsort(case.frame, kind="stable")
    place = np.argsort(order)
    true, false = place[case.link], case.false[order]
    detections = detections_of(case.frame[order], case.position[order], None)
    edges = link_nearest(detections, max_gap=MISSED)
    problem = learn(detections, edges).problem(detections, edges)
    chosen = open_solver("ilp").solve(problem)
    n = len(detections)
    part = chosen.node.astype(bool)
    reported = Reported(
        "posterior",
        "solution",
        problem.source[chosen.edge],
        problem.target[chosen.edge],
        part,
        np.zeros(n, bool),
        optional=True,
    )
    asked_about = np.flatnonzero(part & (problem.frame < problem.frame.max()))
    free = pin(problem, Pins(np.zeros(problem.n_edges, np.int8), np.zeros(n, np.int8)))
    for name in orders:
        oracle = Oracle(problem, true, false)
        start = oracle.left_wrong()
        counts = sorted({*COUNTED, *(max(round(share * start), 1) for share in SHARES)})
        review = OpenReview(free, np.arange(n), reported, temperature=OF_LEARNED) if name in LIVE else None
        cells = order_of(name, problem, free, asked_about, review, seed)
        questions, left = [0], [start]
        for number, cell in enumerate(cells, start=1):
            oracle.answer(cell, review)
            if number in counts:
                questions.append(number)
                left.append(oracle.left_wrong())
                if left[-1] <= start / 2 and number >= COUNTED[-1]:
                    break
        yield Line(case.name, seed, name, len(asked_about), questions, left, oracle.unknown)


def order_of(
    name: str, problem: TrackingProblem, free: object, cells: Ints, review: OpenReview | None, seed: int
) -> Iterator[int]:
    """Yield the cells in an order, each once; an open review is asked again after each."""
    if review is not None:
        yield from _asked(review, name)
    elif name == "listed":
        posterior = posterior_at(problem, PosteriorConfig())(OF_LEARNED)
        goes_on = problem.frame < problem.frame.max()
        asked = questions_of(stored_outcomes(posterior, free, np.arange(problem.n_nodes), goes_on), optional=True)
        yield from asked.cell[np.argsort(-asked.entropy_bits, kind="stable")].tolist()
    elif name == "random":
        yield from np.random.default_rng(seed).permutation(cells).tolist()
    else:
        yield from cells[np.argsort(problem.frame[cells], kind="stable")].tolist()


def _asked(review: OpenReview, by: str) -> Iterator[int]:
    """Yield what a review asks next; where error reduction lists nothing more, it goes on by entropy."""
    given: set[int] = set()
    for order in dict.fromkeys((by, "entropy")):
        most = 1
        while True:
            listed = [item.cell for item in review.uncertain(top=most, by=order)]
            fresh = [cell for cell in listed if cell not in given]
            if fresh:
                given.add(fresh[0])
                yield fresh[0]
            elif len(listed) == most:  # all of so many were asked, and could not be answered: look further down
                most *= 2
            else:
                break


def left_after(line: Line, n: int) -> int:
    """Return what is left wrong after n questions; where an order ended before, what it ended with."""
    return line.left[line.questions.index(n)] if n in line.questions else line.left[-1]


def shown(lines: list[Line], by_chance: list[Line]) -> list[str]:
    """Return the cells of the table for a case and an order: means of its seeds."""
    start = np.mean([line.left[0] for line in lines])
    half, chance = (np.mean([line.half() for line in of]) if of else np.nan for of in (lines, by_chance))
    counted = []
    for n in COUNTED:
        left = [left_after(line, n) for line in lines]
        grew = np.mean([after > line.left[0] for after, line in zip(left, lines, strict=True)])
        counted.append(f"{np.mean(left):.1f} ({100 * grew:.0f} %)")
    return [
        lines[0].case, lines[0].order, str(len(lines)), f"{start:.1f}", *counted, f"{half:.0f}",
        f"{half / start:.2f}", f"{half / chance:.3f}", str(sum(line.unknown for line in lines)),
    ]  # fmt: skip


def lines_of(file: Path | None) -> list[Line]:
    """Return the lines of an earlier run, none without one."""
    return (
        []
        if file is None or not file.exists()
        else [Line(**json.loads(text)) for text in file.read_text().splitlines()]
    )


def main(given: argparse.Namespace) -> None:
    """Print the table, and keep its lines if asked."""
    lines = lines_of(given.lines)
    done = {(line.case, line.seed, line.order) for line in lines}
    for seed in given.seeds:
        variants = [variant for variant in given.variants if variant in NOISE or seed == given.seeds[0]]
        for case in cases(given.only, variants, seed):
            lines += replay(case, seed, [order for order in given.orders if (case.name, seed, order) not in done])
            print(f"{case.name}, seed {seed}: answered", file=sys.stderr, flush=True)
            if given.lines:  # after every case: a long run that is stopped has its results
                given.lines.write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))
    head(
        "case", "order", "seeds", "wrong at start", *(f"after {n} (grew)" for n in COUNTED), "questions for half",
        "per wrong link", "of random", "no candidate",
    )  # fmt: skip
    for name in dict.fromkeys(line.case for line in lines):
        by_chance = [line for line in lines if line.case == name and line.order == "random"]
        for order in ORDERS:
            of = [line for line in lines if line.case == name and line.order == order]
            if of:
                row(*shown(of, by_chance))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", default=["epidermis", "cellmigration"], help="parts of names of movies")
    options.add_argument("--variants", nargs="*", default=["P"], choices=VARIANTS)
    options.add_argument("--orders", nargs="*", default=[*ORDERS], choices=ORDERS)
    options.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    options.add_argument("--lines", type=Path, help="file for what was found of each case, JSON lines")
    main(options.parse_args())
