"""An open linker: what loading costs, what a pin costs, and whether the pinned optimum is that of a fresh solve.

Run: python benchmarks/pins.py [--split 4] [--pins 200] [10k 100k 1M]

Links and detections drawn at random are pinned in or out one after the other; what other pins forbid is drawn again.
Times of pins are by the clock, loading is CPU time of the second load. The fresh solve has all pins at once.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

import numpy as np
from instances import EVENT, SIZES, instance
from measure import cpu_of, head, row

from trackdb.errors import InfeasibleError
from trackdb.solvers import open_solver
from trackdb.solvers.linker import Linker
from trackdb.solvers.pins import Pins, pin

if TYPE_CHECKING:
    from trackdb.solvers.problem import TrackingProblem

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def pinned_at_random(linker: Linker, problem: TrackingProblem, n_pins: int) -> tuple[Pins, np.ndarray]:
    """Pin at random; return the pins and the milliseconds of each."""
    rng = np.random.default_rng(0)
    pins = Pins(np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8))
    spent: list[float] = []
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
    return pins, np.array(spent)


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    small = instance(*SIZES["1k"], split=given.split)
    pinned_at_random(Linker(small), small, 50)  # compiles
    head("size", "detections / candidates", "load, CPU s", "median ms", "95 % ms", "most ms", "anew", "objective",
         "off a fresh solve")  # fmt: skip
    for size in given.sizes:
        problem = instance(*SIZES[size], split=given.split)
        loading = cpu_of(lambda problem=problem: Linker(problem), 1)[0]
        linker = Linker(problem)
        pins, ms = pinned_at_random(linker, problem, given.pins)
        taken = pin(problem, pins)
        fresh = taken.whole(open_solver("ilp").solve(taken.problem))
        row(size, f"{problem.n_nodes:,} / {problem.n_edges:,}", f"{loading:.2f}", f"{np.median(ms):.3f}",
            f"{np.percentile(ms, 95):.3f}", f"{ms.max():.0f}", linker.n_solved - 1, f"{linker.objective:.6f}",
            f"{linker.objective - fresh.objective:.1e}")  # fmt: skip


if __name__ == "__main__":
    os.environ.update(ONE_THREAD)
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("sizes", nargs="*", default=["10k", "100k", "1M"])
    options.add_argument("--split", type=float, default=EVENT, help="what a division costs (4)")
    options.add_argument("--pins", type=int, default=200)
    main(options.parse_args())
