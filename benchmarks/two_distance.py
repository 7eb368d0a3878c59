"""How well links and divisions are found by the two-distance cost, beside the fitted cost: one line each.

Run: python benchmarks/two_distance.py [STEP ...]     STEP 2 takes every second frame; default 1 2 4

Candidates, movies and counting are those of `overlap`; both costs read the same scores and are solved exactly. Weights
are the defaults: no movie was looked at for them.
"""

from __future__ import annotations

import sys
import time

from overlap import MOVIES, figures_of, movie_of, solved_figures

from trackdb.engine.config import TwoDistanceConfig
from trackdb.engine.costs import two_distance_problem
from trackdb.engine.pixels import pixels_of
from trackdb.engine.scorers import open_scorer


def main(steps: list[int]) -> None:
    """Print the table."""
    print("movie | scores | cost | edge F1 | division F1 | found | true | price and solve, CPU s")
    print("|".join(["---"] * 8))
    for name, _, folder in MOVIES:
        for step in steps:
            shown = f"{name} x{step}" if step > 1 else name
            with movie_of(folder, step) as (store, chosen, detections, edges, true):
                for scorer in ("distance", "overlap"):
                    scores = open_scorer(scorer).score(detections, edges, pixels_of(store, chosen))
                    begun = time.process_time()
                    figures = solved_figures(detections, edges, scores, true)
                    between = time.process_time()
                    problem = two_distance_problem(detections, edges, scores, TwoDistanceConfig()).problem
                    others = figures_of(problem, edges, true)
                    spent = between - begun, time.process_time() - between
                    print(shown, scorer, "density", *figures, f"{spent[0]:.2f}", sep=" | ", flush=True)
                    print(shown, scorer, "two-distance", *others, f"{spent[1]:.2f}", sep=" | ", flush=True)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1, 2, 4])
