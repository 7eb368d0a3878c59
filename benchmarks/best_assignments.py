"""Lists of the cheapest lineages of two frames: what they cost, beside other ways to make them, and what they see.

Run: python benchmarks/best_assignments.py [sizes] [others] [seen]

Frames are drawn from the cost model (`trackdb.testing.frame_pairs`); sigma is the step of a cell in spacings. CPU time
of one thread, kernels compiled, from the tracking problem to the answer.

``sizes``: optimum, min-marginals and lists as frames grow. ``others``: Murty's method by scipy over mothers in two
copies, and ours on the whole frame as one piece, which gets the optimum and its prices for nothing. ``seen``: how far
the probabilities of ambiguous daughters (entropy above 0.1) are from the exact ones, in total variation.
"""

from __future__ import annotations

import heapq
import itertools
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from measure import cpu_of, head, median_ms, row
from scipy.optimize import linear_sum_assignment

from trackdb.solvers.posterior.assignment import AssignmentProblem
from trackdb.solvers.posterior.by_component import best_by_component
from trackdb.solvers.posterior.gaps import gaps_of, min_marginals
from trackdb.solvers.posterior.marginals import estimate
from trackdb.solvers.posterior.murty import cheapest_of
from trackdb.solvers.posterior.outcomes import HowWeighed
from trackdb.solvers.posterior.parents import cheapest_parents
from trackdb.solvers.posterior.product import best_assignments
from trackdb.solvers.posterior.residual import FAR
from trackdb.solvers.posterior.undecided import undecided
from trackdb.testing.frame_pairs import frame_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from trackdb.solvers.problem import TrackingProblem

NEVER = 1e6  # cost of what is no option
AMBIGUOUS = 0.1  # nats
WIDE = 20  # enough for every piece at sigma .15


def cpu_s(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the median CPU seconds of a function that has run once."""
    return median_ms(cpu_of(work, repeats)) / 1000


def cheapest(problem: TrackingProblem) -> object:
    """Return the optimum of a problem."""
    return cheapest_parents(AssignmentProblem.of(problem))


def sizes() -> None:
    """Print what optimum, flips and lists cost."""
    head("mothers", "sigma", "links", "optimum, s", "all min-marginals, s", "K = 10, s", "K = 100, s", "K = 1000, s",
         "100 of each piece, s")  # fmt: skip
    for n in (100, 1_000, 10_000):
        for sigma in (0.15, 0.30, 0.45):
            problem = frame_pair(n, sigma, 0).problem
            works = [partial(cheapest, problem), partial(min_marginals, problem)]
            works += [partial(best_assignments, problem, k) for k in (10, 100, 1000)]
            spent = [f"{cpu_s(work, 3):.4f}" for work in [*works, partial(best_by_component, problem, 100)]]
            row(n, sigma, problem.n_edges, *spent)


def doubled_mothers(problem: TrackingProblem, n_mothers: int) -> NDArray[np.float64]:
    """Return the dense costs of daughters in two copies of each mother, then in a beginning of their own."""
    n = problem.n_nodes - n_mothers
    table = np.full((n, 2 * n_mothers + n), NEVER)
    daughter = problem.target - n_mothers
    table[daughter, 2 * problem.source] = problem.edge_cost - problem.disappear_cost[problem.source]
    table[daughter, 2 * problem.source + 1] = problem.edge_cost + problem.division_cost[problem.source]
    table[np.arange(n), 2 * n_mothers + np.arange(n)] = problem.appear_cost[n_mothers:]
    return table


def by_scipy(table: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Return assignments in order of cost by Murty's method, each class solved from the start."""
    rows = np.arange(len(table))
    tie = itertools.count()
    waiting = [(0.0, next(tie), linear_sum_assignment(table)[1], table, 0)]
    while waiting:
        _, _, chosen, allowed, fixed = heapq.heappop(waiting)
        yield chosen
        for j in range(fixed, len(rows)):
            other = allowed.copy()
            for r in range(j):
                other[r, :] = NEVER
                other[r, chosen[r]] = table[r, chosen[r]]
            other[j, chosen[j]] = NEVER
            found = linear_sum_assignment(other)[1]
            cost = other[rows, found].sum()
            if cost < NEVER:
                heapq.heappush(waiting, (cost, next(tie), found, other, j))


def others() -> None:
    """Print what other ways to the same list cost."""
    pair = frame_pair(100, 0.15, 0)
    n = pair.n_mothers
    copies = list(itertools.islice(by_scipy(doubled_mothers(pair.problem, n)), 50))
    lineages = {tuple(np.where(chosen < 2 * n, chosen // 2, -1)) for chosen in copies}
    print(
        f"Of the first 50 assignments of scipy on {n} mothers in two copies, {len(lineages)} lineages are distinct.\n"
    )

    head("mothers", "sigma", "K", "ours, by pieces, s", "ours, the frame as one, s", "scipy, two copies, s",
         "one / pieces", "scipy / pieces")  # fmt: skip
    for n, sigma, k in ((1_000, 0.15, 10), (10_000, 0.15, 10), (10_000, 0.15, 100), (10_000, 0.15, 1000)):
        pair = frame_pair(n, sigma, 0)
        ours = cpu_s(partial(best_assignments, pair.problem, k))
        assignment = AssignmentProblem.of(pair.problem)
        best = cheapest_parents(assignment)
        frame = undecided(assignment, best, gaps_of(assignment, best)).compact
        cheapest_of(frame, 0, 2, FAR)
        as_one = cpu_s(partial(cheapest_of, frame, 0, k, FAR), 1)
        theirs, share = "", ""
        if n == 1_000:
            table = doubled_mothers(pair.problem, n)
            calls = (k - 1) * len(table)
            estimated = calls * cpu_s(partial(linear_sum_assignment, table), 10)
            theirs, share = f"{estimated:,.0f} (estimated: {calls:,} calls like the first)", f"{estimated / ours:,.0f}"
        row(n, sigma, k, f"{ours:.4f}", f"{as_one:.3f}", theirs, f"{as_one / ours:.1f}", share)


def seen() -> None:
    """Print how far probabilities are from the exact ones."""
    head("mothers", "ambiguous daughters", "optimum", "one list, K = 10", "100", "1000", "each piece, K = 2", "10",
         "100", "1000 / 100 of each")  # fmt: skip
    for n in (100, 1_000, 10_000):
        problem = frame_pair(n, 0.15, 0).problem
        exact = estimate(problem, method="exact", width=WIDE)
        assert (exact.how == HowWeighed.EXACT).all()
        ambiguous = entropy(problem, exact.link, exact.new) > AMBIGUOUS
        lists = [best_assignments(problem, k).shares() for k in (1, 10, 100, 1000)]
        lists += [best_by_component(problem, k) for k in (2, 10, 100)]
        apart = [
            0.5 * (np.bincount(problem.target, abs(given.link - exact.link), problem.n_nodes)
                   + abs(given.new - exact.new))[ambiguous].mean()
            for given in lists
        ]  # fmt: skip
        row(n, int(ambiguous.sum()), *(f"{far:.4f}" for far in apart), f"{apart[3] / apart[-1]:.0f}")


def entropy(problem: TrackingProblem, link: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of the parent of each cell, in nats."""

    def of(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return -p * np.log(np.maximum(p, 1e-300))

    return np.bincount(problem.target, of(link), problem.n_nodes) + of(new)


if __name__ == "__main__":
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    for part in sys.argv[1:] or ["sizes", "others", "seen"]:
        {"sizes": sizes, "others": others, "seen": seen}[part]()
        print()
