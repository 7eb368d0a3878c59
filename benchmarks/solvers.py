"""The exact solver beside others on the same costs: same optimum, how much CPU time, how much memory.

Run: python benchmarks/solvers.py [--limit 300] [--env DIR] [1k 3k 10k]

The peers (motile and tracksdata, both with SCIP) run in an environment of their own, made the first time. Their CPU
time is parted: what SCIP takes, and what building and handing over the model takes in Python. Ours is the median of 200
runs of `IlpSolver.solve`: arrays in, proven selection out. All run on one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from instances import SIZES, instance
from measure import cpu_of, head, median_ms, row, run
from peers import runner

from trackdb.solvers import open_solver
from trackdb.solvers.problem import objective

if TYPE_CHECKING:
    from trackdb.solvers.problem import TrackingProblem

PEERS = {"1k": ("motile", "tracksdata"), "3k": ("motile", "tracksdata"), "10k": ("tracksdata", "motile")}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def ours(size: str, problem: TrackingProblem) -> float:
    """Print the row of trackdb; return its CPU milliseconds."""
    solver = open_solver("ilp")
    ms = median_ms(cpu_of(lambda: solver.solve(problem), 200))
    selection = solver.solve(problem)
    peak = run(sys.executable, __file__, "--alone", size).peak_mb
    numbers = f"{problem.n_nodes:,} / {problem.n_edges:,}"
    cost = f"{selection.objective:.4f}"
    row(size, numbers, "trackdb", cost, "proven" if selection.proven else "open", "-", f"{ms / 1000:.5f}", "1",
        "1", f"{peak:.0f}")  # fmt: skip
    return ms


def bridged(size: str, problem: TrackingProblem, ms: float, limit: float) -> None:
    """Print the row of the same problem through motile by trackdb: building and solving in one figure."""
    begun = time.process_time()
    selection = open_solver("motile", time_limit_s=limit).solve(problem)
    spent = time.process_time() - begun
    peak = run(sys.executable, __file__, "--alone", size, "--solver", "motile", env=ONE_THREAD).peak_mb
    state = "proven" if selection.proven else f"stopped, gap {selection.gap:.1e}"
    row(size, "", "trackdb, --backend motile", f"{selection.objective:.4f}", state, "-", f"{spent:.2f}", "-",
        f"{1000 * spent / ms:,.0f}", f"{peak:.0f}")  # fmt: skip


def theirs(size: str, name: str, problem: TrackingProblem, ms: float, best: float, given: argparse.Namespace) -> None:
    """Print the row of a peer."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        np.savez(file, **{name: column for name, column in asdict(problem).items() if column is not None})
        command = runner(name, file, given.limit, env=given.env)
        spent = run(*command, env=ONE_THREAD, stop_after_s=2 * given.limit + 60)
        if spent.code:
            row(size, "", name, "-", f"stopped ({spent.code})", "-", f"> {spent.cpu_s:.1f}", "-", "-", "-")
            print(spent.err[-500:], file=sys.stderr)
            return
        found = np.load(f"{file}.selection.npz")
        cost = objective(problem, found["edge"], found["node"])
    k = spent.report
    off = (cost - best) / abs(best)
    optimal = bool(k["optimal"])
    more = "" if optimal else "> "
    state = f"optimal, {off:.0e} off" if optimal else f"stopped, {100 * off:.1f} % above the optimum"
    model = k["total_s"] - k["solver_s"]
    row(size, "", name, f"{cost:.4f}", state, f"{model:.2f}", f"{more}{k['solver_s']:.2f}",
        f"{more}{1000 * k['solver_s'] / ms:,.0f}", f"{more}{1000 * k['total_s'] / ms:,.0f}",
        f"{spent.peak_mb:.0f}")  # fmt: skip


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    head("size", "detections / candidates", "solver", "objective", "state", "model, CPU s", "solver, CPU s",
         "solver / ours", "model and solver / ours", "peak MB")  # fmt: skip
    for size in given.sizes:
        problem = instance(*SIZES[size])
        ms = ours(size, problem)
        best = open_solver("ilp").solve(problem).objective
        bridged(size, problem, ms, given.limit)
        for name in PEERS.get(size, ()):
            theirs(size, name, problem, ms, best, given)


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("sizes", nargs="*", default=["1k", "3k", "10k"])
    options.add_argument("--limit", type=float, default=300, help="wall seconds for a peer's solver (300)")
    options.add_argument("--env", type=Path, help="folder of the peers' environment")
    options.add_argument("--alone", help="only solve this size once, for its peak memory")
    options.add_argument("--solver", default="ilp", help="by this solver")
    arguments = options.parse_args()
    if arguments.alone:
        open_solver(arguments.solver).solve(instance(*SIZES[arguments.alone]))
    else:
        main(arguments)
