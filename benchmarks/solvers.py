"""The exact solver beside others on the same costs: objective, bound, CPU time, memory, and how they grow.

Run: python benchmarks/solvers.py [--limit 300] [--env DIR] [1k 3k 10k 100k 1M]

The peers run in an environment of their own, made the first time. Their CPU time is parted: what the solver takes, and
what building and handing over the model takes in Python. motile and tracksdata go by SCIP. OR-tools solves the problem
without its couplings, as a flow: its value is a bound. laptrack goes by squared distance; the objective is that of
those of its links that are candidates. Ours and greedy are the median of many solves, from arrays to the selection;
HiGHS is one. All run on one thread. Growth is the exponent of all CPU time against the size before.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from instances import SIZES, STEPS, instance
from measure import cpu_of, head, median_ms, row, run
from peers import runner

from trackdb.engine.simulation import simulate_points
from trackdb.errors import InfeasibleError
from trackdb.solvers import open_solver
from trackdb.solvers.problem import objective

if TYPE_CHECKING:
    from measure import Spent

    from trackdb.solvers.problem import TrackingProblem

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
REPEATS = {"1k": 200, "3k": 200, "10k": 200, "100k": 20, "1M": 3}
SMALL = ("1k", "3k", "10k")
WHERE = {
    "ilp": (*SMALL, "100k", "1M"),
    "greedy": (*SMALL, "100k", "1M"),
    "ortools": (*SMALL, "100k", "1M"),
    "highs": SMALL,
    "motile, by trackdb": SMALL,
    "laptrack": (*SMALL, "100k"),
    "tracksdata": SMALL,
    "motile": SMALL,
}
"""Sizes that each is given: beyond them its model alone takes minutes."""


@dataclass(frozen=True)
class Line:
    """What one solver made of one size; None where it tells nothing."""

    cost: float | None
    bound: float | None
    state: str
    model_s: float | None
    solver_s: float
    peak_mb: float

    @property
    def cpu_s(self) -> float:
        """All of it."""
        return self.solver_s + (self.model_s or 0.0)


def alone(name: str, size: str, limit: float) -> None:
    """Solve by one of our solvers and print what came out as JSON."""
    problem = instance(*SIZES[size])
    solver = open_solver(name, time_limit_s=limit)
    if name in ("ilp", "greedy"):
        seconds = median_ms(cpu_of(lambda: solver.solve(problem), REPEATS[size])) / 1000
        found = solver.solve(problem)
    else:
        started = time.process_time()  # their kernels are compiled already
        found = solver.solve(problem)
        seconds = time.process_time() - started
    report = {"cost": found.objective, "bound": found.lower_bound, "cpu_s": seconds}
    print(json.dumps({**report, "proven": found.proven, "gap": found.gap}))


def ours(name: str, size: str, limit: float) -> Line:
    """Return what a solver of trackdb makes of a size."""
    spent = run(sys.executable, __file__, "--alone", name, size, "--limit", str(limit), env=ONE_THREAD)
    if spent.code:
        raise SystemExit(spent.err)
    k = spent.report
    known = math.isfinite(k["bound"])
    state = "proven" if k["proven"] else f"gap {k['gap']:.1e}" if known else ""
    return Line(k["cost"], k["bound"] if known else None, state, None, k["cpu_s"], spent.peak_mb)


def theirs(name: str, problem: TrackingProblem, given: argparse.Namespace) -> Line | None:
    """Return what a peer makes of a problem; None where it was stopped."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        np.savez(file, **{name: column for name, column in asdict(problem).items() if column is not None})
        spent = run(*runner(name, file, given.limit, env=given.env), env=ONE_THREAD, stop_after_s=2 * given.limit + 60)
        if spent.code:
            print(spent.err[-500:], file=sys.stderr)
            return None
        found = np.load(f"{file}.selection.npz")
    k = spent.report
    try:
        cost = objective(problem, found["edge"], found["node"])
        state = "optimal" if k["optimal"] else "stopped"
    except InfeasibleError:
        cost, state = None, "optimal flow, no selection"
    bound = k.get("bound", cost if k["optimal"] else None)
    return Line(cost, bound, state, k["total_s"] - k["solver_s"], k["solver_s"], spent.peak_mb)


def laptrack(size: str, problem: TrackingProblem, given: argparse.Namespace) -> Line:
    """Return what laptrack makes of the points of a size."""
    n_frames, cells, spacing = SIZES[size]
    points = simulate_points(n_frames, cells, 0, spacing=spacing)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "points.parquet"
        y, x = points.position_px.T
        pd.DataFrame({"t": points.frame, "y": y, "x": x}).to_parquet(file)
        spent: Spent = run(*runner("laptrack", file, STEPS, env=given.env), env=ONE_THREAD)
    if spent.code:
        raise SystemExit(spent.err)
    links = np.array(spent.report["links"], dtype=np.int64).reshape(-1, 2)
    key = links[:, 0] * problem.n_nodes + links[:, 1]
    edge = np.isin(problem.source * problem.n_nodes + problem.target, key)
    cost = objective(problem, edge, np.ones(problem.n_nodes, dtype=bool))
    state = f"{len(links) - np.count_nonzero(edge)} links are no candidates"
    return Line(cost, None, state, None, spent.report["total_s"], spent.peak_mb)


def show(size: str, problem: TrackingProblem, name: str, line: Line | None, best: Line, before: tuple | None) -> None:
    """Print a line of the table."""
    if line is None:
        row(size, f"{problem.n_nodes:,} / {problem.n_edges:,}", name, "-", "-", "stopped", *["-"] * 6)
        return
    more = "> " if line.state == "stopped" else ""
    grown = "-"
    if before is not None:
        grown = f"{math.log(line.cpu_s / before[1]) / math.log(problem.n_nodes / before[0]):.2f}"
    state = [line.state] if line.state else []
    if line.cost is not None and line.cost != best.cost:
        state.append(f"{(line.cost - best.cost) / abs(best.cost):.0e} off")
    row(
        size, f"{problem.n_nodes:,} / {problem.n_edges:,}", name,
        "-" if line.cost is None else f"{line.cost:.4f}", "-" if line.bound is None else f"{line.bound:.4f}",
        ", ".join(state), "-" if line.model_s is None else f"{line.model_s:.2f}", f"{more}{line.solver_s:.5f}",
        f"{more}{line.solver_s / best.cpu_s:,.1f}", f"{more}{line.cpu_s / best.cpu_s:,.1f}", grown,
        f"{line.peak_mb:.0f}",
    )  # fmt: skip


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    head("size", "detections / candidates", "solver", "objective", "bound", "state", "model, CPU s", "solver, CPU s",
         "solver / ours", "all / ours", "growth", "peak MB")  # fmt: skip
    before: dict[str, tuple[int, float]] = {}
    for size in given.sizes:
        problem = instance(*SIZES[size])
        best = ours("ilp", size, given.limit)
        for name in given.solvers:
            if size not in WHERE[name]:
                continue
            if name == "laptrack":
                line = laptrack(size, problem, given)
            elif name in ("ortools", "tracksdata", "motile"):
                line = theirs(name, problem, given)
            else:
                line = best if name == "ilp" else ours(name.partition(",")[0], size, given.limit)
            show(size, problem, name, line, best, before.get(name))
            if line is not None:
                before[name] = problem.n_nodes, line.cpu_s


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("sizes", nargs="*", default=["1k", "3k", "10k", "100k", "1M"])
    options.add_argument("--solvers", nargs="*", default=list(WHERE), choices=list(WHERE))
    options.add_argument("--limit", type=float, default=300, help="wall seconds for a general solver (300)")
    options.add_argument("--env", type=Path, help="folder of the peers' environment")
    options.add_argument("--alone", nargs=2, metavar=("SOLVER", "SIZE"), help="only this one of ours, as JSON")
    arguments = options.parse_args()
    if arguments.alone:
        alone(*arguments.alone, arguments.limit)
    else:
        main(arguments)
