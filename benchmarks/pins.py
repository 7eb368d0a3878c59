"""An open linker: what loading costs, what a pin costs, and whether the pinned optimum is that of a fresh solve.

Run: python benchmarks/pins.py [--split 4] [--pins 200] [10k 100k 1M]

Arrays: every detection optional. The linker opens on the links and prices of a solve, and afresh. Links and detections
drawn at random are pinned in or out one after the other; what other pins forbid is drawn again. The selection is
compared with a fresh solve that has all pins so far: after every pin at 10k, every tenth at 100k, every fortieth at 1M.

Stores: a movie of points, ingested and solved by commands. `solution.open()` reads, prices and opens, with the stored
prices and on a copy without them. Random answers follow and are all taken back: then the cost is the stored one.

Times of pins and answers are by the clock. Loading is the least of three, of stores of five turn about, once kernels
are loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from instances import EVENT, SIZES, instance
from measure import cpu_of, head, row, run, trackdb

from trackdb import open as open_store
from trackdb.errors import InfeasibleError
from trackdb.solvers import open_solver
from trackdb.solvers.linker import Linker
from trackdb.solvers.pins import Pins, pin
from trackdb.storage.duckdb_store import DuckDBStore

if TYPE_CHECKING:
    from trackdb.engine.review.linking import OpenLinker
    from trackdb.engine.solution import Solution
    from trackdb.solvers.problem import TrackingProblem

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
COMPARED = {"1k": 1, "3k": 1, "10k": 1, "100k": 10, "1M": 40, "1M dense": 40}
"""After how many pins a fresh solve is made to compare with."""

# -- arrays ---------------------------------------------------------------------------------------------------------


def pinned_at_random(linker: Linker, problem: TrackingProblem, n_pins: int, every: int) -> tuple[np.ndarray, list[int]]:
    """Pin at random; return the milliseconds of each, and how many fresh solves cost the same, of how many."""
    rng = np.random.default_rng(0)
    pins = Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8))
    spent: list[float] = []
    same = [0, 0]
    while len(spent) < n_pins:
        link, value = bool(rng.random() < 0.7), int(rng.choice([-1, 1]))
        which = int(rng.integers(problem.n_edges if link else problem.n_nodes))
        started = time.perf_counter()
        try:
            (linker.pin_link if link else linker.pin_cell)(which, value)
        except InfeasibleError:
            continue
        spent.append(1000 * (time.perf_counter() - started))
        (pins.edge if link else pins.node)[which] = value
        if len(spent) % every == 0:
            taken = pin(problem, pins)
            fresh = taken.whole(open_solver("ilp").solve(taken.problem))
            same[0] += linker.objective == fresh.objective
            same[1] += 1
    return np.array(spent), same


def print_arrays(sizes: list[str], split: float, n_pins: int) -> None:
    """Print what a linker costs on arrays."""
    small = instance(*SIZES["1k"], split=split)
    pinned_at_random(Linker(small, start=open_solver("ilp").solve(small)), small, 50, 50)  # compiles
    head("size", "detections / candidates", "from prices, CPU s", "matched again", "afresh, CPU s", "median ms",
         "95 % ms", "most ms", "anew", "as fresh solves")  # fmt: skip
    for size in sizes:
        problem = instance(*SIZES[size], split=split)
        solved = open_solver("ilp").solve(problem)
        loading = min(cpu_of(lambda problem=problem, solved=solved: Linker(problem, start=solved), 3))
        afresh = min(cpu_of(lambda problem=problem: Linker(problem), 3))
        linker = Linker(problem, start=solved)
        again, at_first = linker.n_again, linker.n_solved
        ms, same = pinned_at_random(linker, problem, n_pins, COMPARED[size])
        row(size, f"{problem.n_nodes:,} / {problem.n_edges:,}", f"{loading:.2f}", again, f"{afresh:.2f}",
            f"{np.median(ms):.3f}", f"{np.percentile(ms, 95):.3f}", f"{ms.max():.0f}", linker.n_solved - at_first,
            f"{same[0]} of {same[1]}")  # fmt: skip


# -- stores ---------------------------------------------------------------------------------------------------------


def spent_opening(solution: Solution) -> tuple[float, float]:
    """Return the seconds by the clock and of CPU that opening takes."""
    started = time.perf_counter(), time.process_time()
    solution.open()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def answered_at_random(linker: OpenLinker, n_answers: int) -> np.ndarray:
    """Answer at random, and return the milliseconds of each."""
    rng = np.random.default_rng(0)
    source, target = linker.links
    spent: list[float] = []
    while len(spent) < n_answers:
        which, kind = int(rng.integers(len(source))), int(rng.integers(5))
        a, b = int(source[which]), int(target[which])
        other = int(target[min(which + 1, len(target) - 1)])
        started = time.perf_counter()
        try:
            match kind:
                case 0:
                    linker.choose(a, [b])
                case 1:
                    linker.choose(a, [other])
                case 2:
                    linker.choose(a, [])
                case 3:
                    linker.reject(a, b)
                case _:
                    linker.not_a_cell(b)
        except InfeasibleError:
            continue
        spent.append(1000 * (time.perf_counter() - started))
    return np.array(spent)


def stored(path: str, n_answers: str) -> None:
    """Open the solution of a store with its prices and without, turn about; then answer, and take all back."""
    bare = Path(path).with_name("bare.trackdb")
    shutil.copytree(path, bare)
    with DuckDBStore(bare).writing() as connection:
        connection.exec_driver_sql("delete from solution_dual")
    solution, without = open_store(path).solution(), open_store(bare).solution()
    told = {"opened": solution.open().opened, "afresh": without.open().opened}  # loads kernels
    pairs = [(*spent_opening(solution), *spent_opening(without)) for _ in range(5)]
    told |= dict(zip(("wall", "cpu", "afresh_wall", "afresh_cpu"), np.array(pairs).min(axis=0), strict=True))
    linker = solution.open()
    ms = answered_at_random(linker, int(n_answers))
    for _ in range(len(linker)):
        linker.undo()
    told["off"] = linker.objective - solution.objective
    print(json.dumps({**told, "median": np.median(ms), "p95": np.percentile(ms, 95), "most": ms.max()}))


def print_stores(sizes: list[str], n_answers: int) -> None:
    """Print what opening a stored solution costs, and an answer."""
    head("size", "from stored prices, wall / CPU s", "afresh, wall / CPU s", "matched again", "median ms",
         "95 % ms", "most ms", "off after undoing all")  # fmt: skip
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            table, store = Path(name) / "points.parquet", Path(name) / "movie.trackdb"
            made = run(
                sys.executable, Path(__file__).parent / "scale.py", "--part", "points", table, *map(str, SIZES[size])
            )
            if made.code:
                raise SystemExit(made.err)
            trackdb("ingest", table, "-o", store)
            trackdb("solve", store, "--simple")
            found = run(sys.executable, __file__, "--part", store, str(n_answers))
            if found.code:
                raise SystemExit(found.err)
            k = found.report
            if not k["afresh"].startswith("matched afresh"):
                raise SystemExit(k["afresh"])
            again = k["opened"].removeprefix("from its prices, ").removesuffix(" places matched again")
            row(size, f"{k['wall']:.2f} / {k['cpu']:.2f}", f"{k['afresh_wall']:.2f} / {k['afresh_cpu']:.2f}", again,
                f"{k['median']:.3f}", f"{k['p95']:.3f}", f"{k['most']:.0f}", f"{k['off']:.1e}")  # fmt: skip
            shutil.rmtree(store)


def main(given: argparse.Namespace) -> None:
    """Print both tables."""
    print("## Arrays, every detection optional\n")
    print_arrays(given.sizes, given.split, given.pins)
    print("\n## Stores, all detections kept\n")
    print_stores(given.sizes, given.pins)


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    if sys.argv[1:2] == ["--part"]:
        stored(*sys.argv[2:])
    else:
        options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        options.add_argument("sizes", nargs="*", default=["10k", "100k", "1M"])
        options.add_argument("--split", type=float, default=EVENT, help="what a division costs (4)")
        options.add_argument("--pins", type=int, default=200)
        main(options.parse_args())
