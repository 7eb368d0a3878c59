"""Where roles are tied: how near perturb-and-MAP comes to known probabilities, what draws cost, and what flips cost.

Run: python benchmarks/coupled.py            all tables, about two minutes
     python benchmarks/coupled.py noise      total variation to exact probabilities, small problems
     python benchmarks/coupled.py draws      CPU of a draw, whole and in windows
     python benchmarks/coupled.py flips      share of flips that are exact within a radius, CPU of a flip
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from instances import SIZES, instance, with_pairs
from measure import cpu_of, head, median_ms, row

from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.posterior.flips import flip_costs
from trackdb.solvers.posterior.perturbed import perturb_and_map, perturbed_selections
from trackdb.solvers.windows import Windows
from trackdb.testing.problems import crowded_movie

if TYPE_CHECKING:
    from trackdb.solvers.problem import TrackingProblem

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from weighed import coupled_problem, weigh_all

HOPS = (0, 1, 2, 3, 4, 6)


def kept(problem: TrackingProblem) -> TrackingProblem:
    """Return the problem with every detection kept."""
    return replace(problem, pinned_node=np.ones(problem.n_nodes, dtype=np.int8))


def apart(problem: TrackingProblem, draws: int, scale: float) -> float:
    """Return the mean total variation over what detections are: daughter of each, new, no cell."""
    known, found = weigh_all(problem), perturb_and_map(problem, draws=draws, scale=scale)
    distance = np.abs(found.new - known.new) + np.abs(found.present - known.present)
    np.add.at(distance, problem.target, np.abs(found.link - known.link))
    return float(distance.mean()) / 2


def print_noise(n_problems: int = 12) -> None:
    """Print how near frequencies come to probabilities that are added up over every selection."""
    head("nine detections, 12 problems", "draws", *(f"scale {scale}" for scale in (0.5, 0.6, 0.7, 0.8, 1.0)))
    for name, gaps, change in (
        ("all kept", False, kept),
        ("some optional", False, lambda p: p),
        ("some optional, links over gaps", True, lambda p: p),
    ):
        problems = [change(coupled_problem(seed, gaps=gaps)) for seed in range(n_problems)]
        for draws in (100, 400):
            distance = [np.mean([apart(p, draws, scale) for p in problems]) for scale in (0.5, 0.6, 0.7, 0.8, 1.0)]
            row(name, draws, *(f"{d:.4f}" for d in distance))


def print_draws() -> None:
    """Print what a draw costs, solved whole, and in windows of 25 frames with 5 more on both sides."""
    head("cells", "detections", "solve once, ms", "a draw, ms", "a draw in windows, ms")
    for size in ("1k", "10k", "100k"):
        for name, change in (("optional", lambda p: p), ("kept", kept)):
            problem = change(instance(*SIZES[size]))
            once = median_ms(cpu_of(lambda p=problem: IlpSolver().solve(p), 3))
            windows = Windows(int(problem.frame.min()), int(problem.frame.max()), core=25, context=5)
            spent = [
                median_ms(seconds_between(problem, None, 8)),
                median_ms(seconds_between(problem, windows, 3)) if problem.frame.max() >= 25 else np.nan,
            ]
            row(f"{problem.n_nodes:,}", name, f"{once:.1f}", *(f"{ms:.1f}" for ms in spent))


def seconds_between(problem: TrackingProblem, window: Windows | None, draws: int) -> list[float]:
    """Return the CPU seconds of each draw but the first."""
    seconds, begun = [], time.process_time()
    for _ in perturbed_selections(problem, draws=draws + 1, window=window):
        seconds.append(time.process_time() - begun)
        begun = time.process_time()
    return seconds[1:]


def print_flips() -> None:
    """Print how many flips are exact within a radius, and what a flip costs."""
    head("movie", "cells", "links flipped", "exact", *(f"within {hops}" for hops in HOPS), "a flip, ms", "all, s")
    movies = [
        (f"{name}, {size}", change(instance(*SIZES[size], max_gap=gap)), None)
        for size in ("1k", "10k", "100k")
        for name, gap, change in (
            ("optional", 0, lambda p: p),
            ("optional, gaps", 1, lambda p: p),
            ("kept, gaps", 1, kept),
        )
        if size != "100k" or not gap
    ]
    couplings = crowded_movie(0, n_frames=40, per_frame=25, division=0.5, false_cost=2.0)
    movies.append(("couplings break, 1k", couplings, 400))
    movies.append(("pairs of daughters, 1k", with_pairs(instance(*SIZES["1k"])), 200))
    for name, problem, sample in movies:
        links = np.arange(problem.n_edges)
        if sample:
            links = np.random.default_rng(0).choice(problem.n_edges, sample, replace=False)
        flip_costs(problem, links=links[:2], cells=links[:0])
        begun = time.process_time()
        found = flip_costs(problem, links=links, cells=links[:0]).link
        spent = time.process_time() - begun
        within = [np.mean(found.exact & (found.radius <= hops)) for hops in HOPS]
        shares = [f"{100 * share:.1f} %" for share in within]
        exact = f"{100 * found.exact.mean():.2f} %"
        each = f"{1000 * spent / len(links):.4f}"
        row(name, f"{problem.n_nodes:,}", f"{len(links):,}", exact, *shares, each, f"{spent:.2f}")


if __name__ == "__main__":
    tables = {"noise": print_noise, "draws": print_draws, "flips": print_flips}
    for asked in sys.argv[1:] or tables:
        tables[asked]()
        print()
