"""How well links and divisions are found by distance alone, on real movies: one line a movie.

Run: python benchmarks/accuracy.py [STEP ...]     STEP 2 takes every second frame; default 1
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from truth import movies

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.scorers import open_scorer
from trackdb.solvers import open_solver

if TYPE_CHECKING:
    from numpy.typing import NDArray


def f1(found: set[tuple[int, ...]], true: set[tuple[int, ...]]) -> float:
    """Return the harmonic mean of precision and recall; 1 where there is nothing to find and nothing was found."""
    return 2 * len(found & true) / (len(found) + len(true)) if found or true else 1.0


def divisions(source: NDArray[np.int64], target: NDArray[np.int64]) -> set[tuple[int, ...]]:
    """Return (mother, daughter, daughter) of every mother of two; mothers of more are left out."""
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    mother, at, children = np.unique(source, return_index=True, return_counts=True)
    two = children == 2
    return set(zip(mother[two].tolist(), target[at[two]].tolist(), target[at[two] + 1].tolist(), strict=True))


def main(steps: list[int]) -> None:
    """Print the table."""
    print("set | role | cells | edge F1 | division F1 | found | true | CPU s | division, appear, disappear a frame")
    print("|".join(["---"] * 9))
    for movie in movies():
        for step in steps:
            m = movie.every(step)
            if not len(m.link):
                continue
            start = time.process_time()
            edges = link_nearest(m.detections)
            scores = open_scorer("distance").score(m.detections, edges)
            rates = fit(m.detections, edges, scores)
            chosen = edges.take(open_solver("ilp").solve(problem_from(m.detections, edges, scores, rates)).edge)
            spent = time.process_time() - start
            link_f1 = f1(
                set(zip(chosen.source.tolist(), chosen.target.tolist(), strict=True)),
                {(a, b) for a, b in m.link.tolist()},
            )
            found, true = divisions(chosen.source, chosen.target), divisions(m.link[:, 0], m.link[:, 1])
            print(
                f"{m.name} | {m.role} | {len(m.detections)} | {link_f1:.4f} | {f1(found, true):.3f} | {len(found)} | "
                f"{len(true)} | {spent:.2f} | {rates.division:.2g}, {rates.appear:.2g}, {rates.disappear:.2g}",
                flush=True,
            )


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1])
