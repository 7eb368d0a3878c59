"""The exact solver in every regime: costs, proof, CPU time, memory, and how all grow with the size.

Run: python benchmarks/regimes.py [--solvers ilp greedy lap highs] [--sizes 1k 10k 100k 1M] [regime ...]

Each line is a process of its own; CPU seconds are those of the second of two solves, from checked arrays to the
selection. Outlines are detections of which three in ten have a second one that excludes them. Real pairs are those of a
movie of TRACKDB_DATA, as in `truth`. Growth is the exponent against the size before. HiGHS solves once, within 100
seconds, and no more than 10k detections.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from instances import SIZES, instance, with_outlines, with_pairs
from measure import head, row, run
from truth import movies

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.scorers import open_scorer
from trackdb.solvers import OWN_SOLVERS, open_solver

if TYPE_CHECKING:
    from trackdb.solvers.problem import TrackingProblem

REAL = ("real pairs, all kept", "real pairs, optional")
REGIMES = {
    "usual": {},
    "dense": {"spacing": 1.0},
    "3D": {"ndim": 3},
    "skips": {"max_gap": 1},
    "split 2": {"split": 2.0},
    "split 1": {"split": 1.0},
    "split -5": {"split": -5.0},
    "pairs": {},
    "outlines": {},
    REAL[0]: {},
    REAL[1]: {},
}
LIMIT_S = {"highs": 100.0, "ilp": 120.0}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def real_pairs(*, optional: bool) -> TrackingProblem:
    """Price cell migration in pairs, ten candidates for each cell and over one frame.

    Where detections are optional, each is worth what nine of ten cells pay at most for their best link; unrewarded,
    none would be selected.
    """
    cells = next(movie for movie in movies() if movie.name == "cellmigration").detections
    edges = link_nearest(cells, neighbors=10, max_gap=1)
    scores = open_scorer("distance").score(cells, edges)
    problem = problem_from(cells, edges, scores, fit(cells, edges, scores))
    if optional:
        best = np.full(len(cells), np.inf)
        np.minimum.at(best, problem.target, problem.edge_cost)
        worth = np.full(len(cells), -np.round(np.quantile(best[np.isfinite(best)], 0.9), 6))
        problem = replace(problem, node_cost=worth, pinned_node=np.zeros(len(cells), dtype=np.int8))
    return with_pairs(problem)


def alone(solver: str, size: str, regime: str) -> None:
    """Solve and print what came out as JSON."""
    if regime in REAL:
        problem = real_pairs(optional=regime == REAL[1])
    else:
        n_frames, cells, spacing = SIZES[size]
        options = {**REGIMES[regime]}
        problem = instance(n_frames, cells, options.pop("spacing", spacing), **options)
        if regime == "pairs":
            problem = with_pairs(problem)
        if regime == "outlines":
            problem = with_outlines(problem)
    linker = open_solver(solver, time_limit_s=LIMIT_S.get(solver))
    if solver != "highs":
        linker.solve(problem)  # kernels are compiled then
    started = time.process_time()
    found = linker.solve(problem)
    report = {
        "links": int(found.edge.sum()),
        "cpu_s": time.process_time() - started,
        "cells": problem.n_nodes,
        "edges": problem.n_edges,
        "objective": found.objective,
        "bound": found.lower_bound if math.isfinite(found.lower_bound) else None,
        "gap": found.gap if math.isfinite(found.lower_bound) else None,
        "proven": found.proven,
    }
    print(json.dumps(report))


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    head(
        "regime", "size", "detections / candidates", "solver", "objective", "bound", "gap", "CPU s", "growth", "peak MB"
    )
    for regime in given.regimes or REGIMES:
        before: dict[str, tuple[int, float]] = {}
        for size in ["cellmigration"] if regime in REAL else given.sizes:
            for solver in given.solvers:
                if solver == "highs" and size not in ("1k", "10k"):
                    continue
                spent = run(sys.executable, __file__, "--alone", solver, size, regime, env=ONE_THREAD)
                if spent.code:
                    row(regime, size, "-", solver, spent.err.strip().splitlines()[-1][:80], *["-"] * 5)
                    continue
                k = spent.report
                grown = "-"
                if solver in before and before[solver][1] > 0:
                    cells, cpu_s = before[solver]
                    grown = f"{math.log(k['cpu_s'] / cpu_s) / math.log(k['cells'] / cells):.2f}"
                before[solver] = k["cells"], k["cpu_s"]
                gap = "-" if k["gap"] is None else "proven" if k["proven"] else f"{k['gap']:.1e}"
                bound = "-" if k["bound"] is None else f"{k['bound']:.4f}"
                row(regime, size, f"{k['cells']:,} / {k['edges']:,}", solver, f"{k['objective']:.4f}", bound, gap,
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
