"""The exact solver in every regime: costs, proof, CPU time, memory, and how all grow with the size.

Run: python benchmarks/regimes.py [--solvers ilp greedy lap highs] [--sizes 1k 10k 100k 1M] [regime ...]

Each line is a process of its own; CPU seconds are those of the second of two solves, from checked arrays to the
selection. Growth is the exponent against the size before. HiGHS gets 100 seconds, and no more than 10k detections.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time

from instances import SIZES, instance, with_pairs
from measure import head, row, run

from trackdb.solvers import OWN_SOLVERS, open_solver

REGIMES = {
    "usual": {},
    "dense": {"spacing": 1.0},
    "3D": {"ndim": 3},
    "skips": {"max_gap": 1},
    "split 2": {"split": 2.0},
    "split 1": {"split": 1.0},
    "split -5": {"split": -5.0},
    "pairs": {},
}
LIMIT_S = {"highs": 100.0, "ilp": 120.0}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def alone(solver: str, size: str, regime: str) -> None:
    """Solve twice and print what came out as JSON."""
    n_frames, cells, spacing = SIZES[size]
    options = {**REGIMES[regime]}
    problem = instance(n_frames, cells, options.pop("spacing", spacing), **options)
    if regime == "pairs":
        problem = with_pairs(problem)
    linker = open_solver(solver, time_limit_s=LIMIT_S.get(solver))
    linker.solve(problem)
    started = time.process_time()
    found = linker.solve(problem)
    report = {
        "cpu_s": time.process_time() - started,
        "cells": problem.n_nodes,
        "edges": problem.n_edges,
        "objective": found.objective,
        "gap": found.gap if math.isfinite(found.lower_bound) else None,
        "proven": found.proven,
    }
    print(json.dumps(report))


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    head("regime", "size", "detections / candidates", "solver", "objective", "gap", "CPU s", "growth", "peak MB")
    for regime in given.regimes or REGIMES:
        before: dict[str, tuple[int, float]] = {}
        for size in given.sizes:
            for solver in given.solvers:
                if solver == "highs" and size not in ("1k", "10k"):
                    continue
                spent = run(sys.executable, __file__, "--alone", solver, size, regime, env=ONE_THREAD)
                if spent.code:
                    row(regime, size, "-", solver, spent.err.strip().splitlines()[-1][:80], "-", "-", "-", "-")
                    continue
                k = spent.report
                grown = "-"
                if solver in before and before[solver][1] > 0:
                    cells, cpu_s = before[solver]
                    grown = f"{math.log(k['cpu_s'] / cpu_s) / math.log(k['cells'] / cells):.2f}"
                before[solver] = k["cells"], k["cpu_s"]
                gap = "-" if k["gap"] is None else "proven" if k["proven"] else f"{k['gap']:.1e}"
                row(regime, size, f"{k['cells']:,} / {k['edges']:,}", solver, f"{k['objective']:.4f}", gap,
                    f"{k['cpu_s']:.4f}", grown, f"{spent.peak_mb:.0f}")  # fmt: skip


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("regimes", nargs="*", choices=[[], *REGIMES])
    parser.add_argument("--solvers", nargs="*", default=["ilp", "greedy", "highs"], choices=OWN_SOLVERS)
    parser.add_argument("--sizes", nargs="*", default=["1k", "10k", "100k", "1M"])
    parser.add_argument("--alone", nargs=3, help="solver, size and regime: only this, as JSON")
    arguments = parser.parse_args()
    if arguments.alone:
        alone(*arguments.alone)
    else:
        main(arguments)
