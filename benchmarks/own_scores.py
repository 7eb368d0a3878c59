"""How numbers that somebody's network gives are best read: one line for each reading, on real movies.

Run: python benchmarks/own_scores.py [STEP ...]     STEP 2 takes every second frame; default 1

The network is a stand-in: the logit of a candidate is 2 or -2, as the truth says, with noise of 1.2 (seeded), so that
no reading can be perfect. Then its logits are made too sure, or shifted, as those of networks are. Candidates are those
of `trackdb link`, the solution is exact; a division counts when mother and both daughters are right.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from overlap import MOVIES, movie_of, solved_figures
from scipy.special import expit

from trackdb.engine.own_scores import at_most_one_parent, probabilities_of
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trackdb.storage.schema import CandidateEdges

DISTORTIONS = {"as it is": (1.0, 0.0), "twice too sure": (2.0, 0.0), "+ 2": (1.0, 2.0), "- 2": (1.0, -2.0)}


def readings(logit: NDArray[np.float64], edges: CandidateEdges, n: int) -> Iterator[tuple[str, Scores]]:
    """Return logits as each scale reads them."""
    p = expit(logit)
    yield "similarity, of the logit", Scores(logit, ScoreScale.SIMILARITY)
    yield "similarity, of the probability", Scores(p, ScoreScale.SIMILARITY)
    yield "probability", Scores(at_most_one_parent(p, edges.target, n)[0], ScoreScale.PROBABILITY)
    yield "log-odds", Scores(probabilities_of(logit, edges.target, n), ScoreScale.PROBABILITY)


def main(steps: list[int]) -> None:
    """Print the table."""
    print("movie | role | network | read as | edge F1 | division F1 | found | true")
    print("|".join(["---"] * 8))
    for name, role, folder in MOVIES:
        for step in steps:
            with movie_of(folder, step) as (_, _, detections, edges, true):
                n, label = len(detections), f"{name} x{step}" if step > 1 else name
                linked = np.isin(edges.source * n + edges.target, true[0] * n + true[1])
                logit = np.where(linked, 2.0, -2.0) + np.random.default_rng(0).normal(0, 1.2, len(edges))
                by_distance = open_scorer("distance").score(detections, edges)
                print(label, role, "-", "distance", *solved_figures(detections, edges, by_distance, true), sep=" | ")
                for network, (scale, shift) in DISTORTIONS.items():
                    for reading, scores in readings(scale * logit + shift, edges, n):
                        figures = solved_figures(detections, edges, scores, true)
                        print(label, role, network, reading, *figures, sep=" | ", flush=True)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1])
