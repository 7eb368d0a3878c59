"""How far it carries: every stage of a simulated movie as the real command in a fresh process, up to a million cells.

Run: python benchmarks/scale.py [10k 100k 1M ...]     default: these and '1M dense'
     python benchmarks/scale.py --repeat 3 1M         the run of median CPU time is printed
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from instances import SIZES, detections_of, instance
from measure import Spent, cpu_of, head, median_ms, middle, row, run, trackdb

if TYPE_CHECKING:
    from collections.abc import Callable

SPARSE = ("--neighbors", "5", "--max-distance", "4")
BOUNDS = {
    "ingest": "10 s wall, 3 GB",
    "link, 5 within 4 px": "5 s wall",
    "link": "5 s wall",
    "solve --simple, linked (5 within 4 px)": "25 s wall, 4 GB",
    "solve --simple, linked": "25 s wall, 4 GB",
    "solve --simple, only ingested": "25 s wall, 4 GB",
    "solve, only ingested": "25 s wall, 4 GB",
}
"""What a million detections may take."""

INSIDE_BOUNDS = {"link_nearest": "5 s", "IlpSolver.solve": "1.5 s"}


# -- commands -------------------------------------------------------------------------------------------------------


def print_commands(size: str, folder: Path, repeat: int) -> Path:
    """Print what every stage of one size costs; return the solved store."""
    table = folder / "points.parquet"
    inside("points", table, *SIZES[size])
    ingested, sparse, linked = (folder / f"{name}.trackdb" for name in ("ingested", "sparse", "linked"))
    work = folder / "work.trackdb"

    def stage(name: str, origin: Path | None, *words: str | Path, keep: Path | None = None) -> None:
        """Run one command on a fresh copy of a store, several times, and keep the last store."""
        runs: list[Spent] = []
        for _ in range(repeat):
            shutil.rmtree(work, ignore_errors=True)
            if origin:
                shutil.copytree(origin, work)
            runs.append(trackdb(*words))
        if keep:
            work.rename(keep)
        spent = middle(runs)
        bound = BOUNDS.get(name, "") if size == "1M" else ""
        row(size, name, said(spent), f"{spent.wall_s:.1f}", f"{spent.cpu_s:.1f}", f"{spent.peak_mb:.0f}", bound)

    solved = folder / "solved.trackdb"
    stage("ingest", None, "ingest", table, "-o", work, "--json", keep=ingested)
    stage("link, 5 within 4 px", ingested, "link", work, *SPARSE, "--json", keep=sparse)
    stage("link", ingested, "link", work, "--json", keep=linked)
    stage("solve --simple, linked (5 within 4 px)", sparse, "solve", work, "--simple", "--json", keep=solved)
    stage("solve --simple, linked", linked, "solve", work, "--simple", "--json")
    stage("solve --simple, only ingested", ingested, "solve", work, "--simple", "--json")
    stage("solve, only ingested", ingested, "solve", work, "--json")
    return solved


def said(spent: Spent) -> str:
    """Return what a command made, in a word or two."""
    report = spent.report
    for key, word in (("links", "links"), ("edges", "candidates"), ("detections", "detections")):
        if isinstance(report.get(key), int):
            return f"{report[key]:,} {word}"
    return ""


def print_start_up(folder: Path) -> None:
    """Print what it takes to say anything at all, and the first solution after an installation."""
    row("", "`trackdb --help`", "", *figures(middle([trackdb("--help") for _ in range(5)])), "0.5 s CPU")
    row("", "`trackdb version`", "", *figures(middle([trackdb("version") for _ in range(5)])), "0.5 s CPU")
    store, table, cache = folder / "small.trackdb", folder / "small.parquet", folder / "numba"
    inside("points", table, *SIZES["10k"])
    trackdb("ingest", table, "-o", store)
    runs = [trackdb("solve", store, env={"NUMBA_CACHE_DIR": str(cache)}) for _ in range(2)]
    row("10k", "first solve after installation", "kernels are compiled", *figures(runs[0]), "15 s more than the next")
    row("10k", "second solve", "", *figures(runs[1]), "")


def figures(spent: Spent) -> list[str]:
    """Return wall time, CPU time and peak memory as cells of a table."""
    return [f"{spent.wall_s:.2f}", f"{spent.cpu_s:.2f}", f"{spent.peak_mb:.0f}"]


# -- inside one process ---------------------------------------------------------------------------------------------


def inside(part: str, *words: object) -> Spent:
    """Run one of the parts below in a process of its own."""
    spent = run(sys.executable, __file__, "--part", part, *map(str, words))
    if spent.code:
        raise SystemExit(spent.err)
    return spent


def points(file: str, frames: str, cells: str, spacing: str) -> None:
    """Write simulated points as a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from trackdb.engine.simulation import simulate_points

    p = simulate_points(int(frames), int(cells), spacing=float(spacing))
    pq.write_table(pa.table({"t": p.frame, "y": p.position_px[:, 0], "x": p.position_px[:, 1]}), file)


def kernel(frames: str, cells: str, spacing: str) -> None:
    """Time the exact solver alone on noisy scores where every detection is optional."""
    from trackdb.solvers import open_solver

    problem = instance(int(frames), int(cells), float(spacing))
    solver, selection = open_solver("ilp"), None

    def solve() -> None:
        nonlocal selection
        selection = solver.solve(problem)

    repeats = max(3, min(100, 10**7 // problem.n_nodes))
    ms = median_ms(cpu_of(solve, repeats))
    print(json.dumps({"n": problem.n_nodes, "m": problem.n_edges, "ms": ms, "proven": bool(selection.proven)}))


def stages(frames: str, cells: str, spacing: str, neighbors: str, radius: str) -> None:
    """Time each step of the way from points to a labelled solution, without a store."""
    import numpy as np

    from trackdb.engine.candidates import link_nearest
    from trackdb.engine.costs import fit, problem_from
    from trackdb.engine.lineages import solution_table
    from trackdb.engine.scorers import open_scorer
    from trackdb.engine.simulation import simulate_points
    from trackdb.solvers import open_solver
    from trackdb.storage.schema import Prices

    open_solver("ilp").solve(instance(*SIZES["1k"]))  # loads the kernels
    d = detections_of(simulate_points(int(frames), int(cells), spacing=float(spacing)))
    spent: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        start = time.process_time()
        made = work()
        spent[name] = time.process_time() - start
        return made

    edges = timed("link_nearest", lambda: link_nearest(d, max_distance=float(radius) or None, neighbors=int(neighbors)))
    scores = timed("score by distance", lambda: open_scorer("distance").score(d, edges))
    rates = timed("fit of the rates", lambda: fit(d, edges, scores))
    problem = timed("costs", lambda: problem_from(d, edges, scores, rates))
    selection = timed("IlpSolver.solve", lambda: open_solver("ilp").solve(problem))
    taken = edges.take(selection.edge)
    cell, prices = np.flatnonzero(selection.node), Prices(d.id, selection.dual)
    timed("labels", lambda: solution_table(d, cell, taken.source, taken.target, taken.id, prices))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"m": len(edges), "peak_mb": peak, "proven": bool(selection.proven), **spent}))


def lineages(store: str, solution: str) -> None:
    """Time `descendants` of random cells on an open connection, and one whole question through the sandbox."""
    import duckdb

    from trackdb.storage.founding import GRAPH
    from trackdb.storage.sandbox import ask

    with duckdb.connect(Path(store) / GRAPH, read_only=True) as opened:
        (n,) = opened.execute("select count(*) from cells").fetchone()
        chosen = random.Random(0).sample(range(1, n + 1), 200)
        took, sizes = [], []
        for cell in chosen:
            start = time.perf_counter()
            sizes.append(len(opened.execute(f"from descendants('{solution}', {cell})").fetchall()))
            took.append(1000 * (time.perf_counter() - start))
    whole = [1000 * ask(Path(store), f"from descendants('{solution}', {cell})").seconds for cell in chosen[:20]]
    took.sort()
    print(json.dumps({"n": n, "median": took[100], "p95": took[190], "cells": max(sizes), "ask": sorted(whole)[10]}))


PARTS = {part.__name__: part for part in (points, kernel, stages, lineages)}


# -- tables ---------------------------------------------------------------------------------------------------------


def main(sizes: list[str], repeat: int) -> None:
    """Print all tables."""
    with tempfile.TemporaryDirectory() as name:
        print("## Commands, each in a fresh process\n")
        head("size", "command", "made", "wall s", "CPU s", "peak MB", "bound")
        stores = {}
        for size in sizes:
            (Path(name) / size).mkdir()
            stores[size] = print_commands(size, Path(name) / size, repeat)
        print_start_up(Path(name))

        print("\n## The exact solver alone, noisy scores, every detection optional\n")
        head("size", "detections", "candidates", "CPU ms, warm", "proven", "bound")
        for size in sizes:
            k = inside("kernel", *SIZES[size]).report
            bound = "1500" if size == "1M" else ""
            row(size, f"{k['n']:,}", f"{k['m']:,}", f"{k['ms']:.1f}", k["proven"], bound)

        print("\n## Descendants of 200 random cells, on an open connection\n")
        head("size", "cells", "median ms", "95 % ms", "most descendants", "whole question, opened anew, ms", "bound")
        for size, store in stores.items():
            k = inside("lineages", store, "ilp-1").report
            shown = [f"{k[key]:.1f}" for key in ("median", "p95")]
            bound = "20 ms median" if size == "1M" else ""
            row(size, f"{k['n']:,}", *shown, k["cells"], f"{k['ask']:.0f}", bound)

        print("\n## From points to labelled lineages inside one process, no store\n")
        names = ("link_nearest", "score by distance", "fit of the rates", "costs", "IlpSolver.solve", "labels")
        head("size", "candidates", *(f"{n}, CPU s" for n in names), "peak MB")
        for size in sizes:
            for radius in (("5", "4"), ("10", "0")):
                k = inside("stages", *SIZES[size], *radius).report
                row(size, f"{k['m']:,}", *(f"{k[n]:.2f}" for n in names), f"{k['peak_mb']:.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        PARTS[sys.argv[2]](*sys.argv[3:])
    else:
        options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        options.add_argument("sizes", nargs="*", default=["10k", "100k", "1M", "1M dense"])
        options.add_argument("--repeat", type=int, default=1)
        given = options.parse_args()
        main(given.sizes, given.repeat)
