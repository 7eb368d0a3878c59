"""LAP in two steps beside laptrack, and beside greedy and the exact linker: what each finds, and CPU time.

Run: python benchmarks/lap.py [--env DIR] [simulated] [real] [sizes]

``simulated``: 3k and 10k detections, the same points and radius for laptrack and trackdb, from points to links in one
process; laptrack in the peers' environment, as in `peers`, its imports and files apart. ``real``: movies of
TRACKDB_DATA, as in `truth`, candidates and costs by default; CPU time is that of the linker alone. ``sizes``: up to a
million detections.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from instances import SIZES, STEPS, detections_of
from measure import cpu_of, head, median_ms, row, run
from peers import runner
from truth import movies

from trackdb.engine.candidates import link_nearest, radius_from
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.metrics.edges import compare_divisions, compare_links
from trackdb.engine.scorers import open_scorer
from trackdb.engine.simulation import simulate_points
from trackdb.solvers import open_solver
from trackdb.solvers.lap import JaqamanSolver, LapRule, link_in_two_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trackdb.solvers.base import Solver
    from trackdb.storage.schema import CandidateEdges, Detections

ALL = 64  # neighbours: all that lie within the radius, as for laptrack
SETTINGS = {"gaps of 0": (0, ""), "gaps of 1": (1, ""), "gaps of 1, merging": (1, "merging")}
COMPARED = ("3k", "10k")
MOVIES = ("cellmigration", "epidermis", "c2c12 Sparse5", "c2c12 BMP2")
MOST_FOR_LAPTRACK = 30_000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def by_laptrack(
    cells: Detections, radius: float, env: Path | None, gap: int = 0, merging: str = ""
) -> tuple[NDArray[np.int64], float]:
    """Return the links of laptrack as rows, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "points.parquet"
        axes = dict(zip("zyx"[-cells.ndim :], cells.position_um.T, strict=True))
        pd.DataFrame({"t": cells.frame, **axes}).to_parquet(file)
        answer = run(*runner("laptrack", file, radius, gap, *merging.split(), env=env), env=ONE_THREAD)
    if answer.code:
        raise SystemExit(answer.err)
    return np.array(answer.report["links"], dtype=np.int64).reshape(-1, 2), answer.report["total_s"]


def judged(true: NDArray[np.int64], found: NDArray[np.int64]) -> list[str]:
    """Return F1 of links, and of divisions, to which links into merges do not count."""
    plain = found[np.bincount(found[:, 1])[found[:, 1]] == 1]
    return [f"{compare_links(*true.T, *found.T).f1:.4f}", f"{compare_divisions(*true.T, *plain.T).f1:.3f}"]


def simulated(env: Path | None) -> None:
    """Link the same points by both, and print how they compare."""
    head("size", "second step", "linker", "links", "in both", "edge F1", "division F1", "candidates, CPU s",
         "links, CPU s", "laptrack / both", "laptrack / links")  # fmt: skip
    for size in COMPARED:
        n_frames, per_frame, spacing = SIZES[size]
        points = simulate_points(n_frames, per_frame, 0, spacing=spacing)
        cells, true = detections_of(points), np.stack(points.links, axis=1)
        for name, (gap, merging) in SETTINGS.items():
            search = partial(link_nearest, cells, max_distance=STEPS, neighbors=ALL, max_gap=gap)
            edges = search()
            rule = LapRule(max_gap=gap, merge_cost=np.inf if merging else None)
            link = partial(link_in_two_steps, cells.frame, edges.source, edges.target, edges.distance**2, rule)
            searching, linking = (median_ms(cpu_of(work, 50)) / 1000 for work in (search, link))
            taken = link()
            found = np.stack([edges.source[taken], edges.target[taken]], axis=1)
            theirs, cpu_s = by_laptrack(cells, STEPS, env, gap, merging)
            both = len({*map(tuple, found.tolist())} & {*map(tuple, theirs.tolist())})
            spent = (
                f"{searching:.4f}",
                f"{linking:.4f}",
                f"{cpu_s / (searching + linking):.0f}",
                f"{cpu_s / linking:.0f}",
            )
            row(size, name, "trackdb", len(found), both, *judged(true, found), *spent)
            row(size, "", "laptrack", len(theirs), both, *judged(true, theirs), "", f"{cpu_s:.2f}", "", "")


def linkers(edges: CandidateEdges) -> Iterator[tuple[str, Solver]]:
    """Return what solves a movie."""
    yield "greedy, by cost", open_solver("greedy")
    yield "LAP, by distance", JaqamanSolver(edges.distance**2)
    yield "LAP, by cost", open_solver("lap")
    yield "ILP, exact", open_solver("ilp")


def real(env: Path | None) -> None:
    """Print what each linker finds in movies with truth."""
    head("movie", "cells / candidates", "linker", "edge F1", "division F1", "divisions", "objective", "CPU s")
    for movie in movies():
        if movie.name not in MOVIES:
            continue
        cells = movie.detections
        edges = link_nearest(cells)
        scores = open_scorer("distance").score(cells, edges)
        problem = problem_from(cells, edges, scores, fit(cells, edges, scores))
        shown = f"{len(cells):,} / {len(edges):,}"
        for name, solver in linkers(edges):
            ms = median_ms(cpu_of(partial(solver.solve, problem), 5))
            chosen = solver.solve(problem)
            found = np.stack([edges.source[chosen.edge], edges.target[chosen.edge]], axis=1)
            divisions = int(np.count_nonzero(np.bincount(found[:, 0]) == 2))
            cost = f"{chosen.objective:,.1f}"
            row(movie.name, shown, name, *judged(movie.link, found), divisions, cost, f"{ms / 1000:.4f}")
        if len(cells) <= MOST_FOR_LAPTRACK:
            found, cpu_s = by_laptrack(cells, radius_from(cells).radius, env)
            divisions = int(np.count_nonzero(np.bincount(found[:, 0]) == 2))
            row(movie.name, shown, "laptrack", *judged(movie.link, found), divisions, "", f"{cpu_s:.2f}")


def sizes() -> None:
    """Print what each linker costs as movies grow."""
    head("size", "detections / candidates", "linker", "objective", "CPU s")
    for size in ("10k", "100k", "1M"):
        n_frames, per_frame, spacing = SIZES[size]
        cells = detections_of(simulate_points(n_frames, per_frame, 0, spacing=spacing))
        edges = link_nearest(cells, max_gap=1)
        scores = open_scorer("distance").score(cells, edges)
        problem = problem_from(cells, edges, scores, fit(cells, edges, scores))
        for name, solver in linkers(edges):
            ms = median_ms(cpu_of(partial(solver.solve, problem), 3))
            cost = f"{solver.solve(problem).objective:,.1f}"
            row(size, f"{len(cells):,} / {len(edges):,}", name, cost, f"{ms / 1000:.3f}")


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", default=["simulated", "real", "sizes"])
    options.add_argument("--env", type=Path, help="folder of the peers' environment")
    given = options.parse_args()
    for part in given.parts:
        sizes() if part == "sizes" else {"simulated": simulated, "real": real}[part](given.env)
        print()
