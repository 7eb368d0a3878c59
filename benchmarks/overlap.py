"""How well links and divisions are found by the overlap of masks, and by other readings of it: one line each.

Run: python benchmarks/overlap.py [STEP ...]     STEP 2 takes every second frame; default 1 2 4

Candidates are those of `trackdb link`, the solution is exact, every cell is kept; a division counts when mother and
both daughters are right. The folder of the movies is named by TRACKDB_DATA, as in `truth`. ``design`` movies were
looked at while choosing, ``judge`` movies only judged.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from truth import DATA

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.costs.similarity import covered_share
from trackdb.engine.ingest import ingest
from trackdb.engine.metrics.edges import compare_divisions, compare_links
from trackdb.engine.pixels import pixels_of
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer
from trackdb.solvers import open_solver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trackdb.solvers.problem import TrackingProblem
    from trackdb.storage.catalogue import DetectionSet
    from trackdb.storage.schema import CandidateEdges, Detections

MOVIES = (
    ("epidermis", "design", "mouse_epidermis_area1_apache/02_GT"),
    ("cellmigration", "judge", "cellmigration_ccby/02_GT"),
)


def readings(detections: Detections, edges: CandidateEdges, iou: Scores) -> Iterator[tuple[str, Scores]]:
    """Return the overlaps as the cost model reads them, and in other ways."""
    covered = covered_share(detections, edges, iou.value)
    yield "overlap", iou
    yield "IoU, worth learned", replace(iou, scale=ScoreScale.SIMILARITY)
    yield "nothing, worth learned", Scores(np.zeros(len(edges)), ScoreScale.SIMILARITY)
    yield "IoU as probability", replace(iou, scale=ScoreScale.PROBABILITY)
    yield "covered share as probability", Scores(covered, ScoreScale.PROBABILITY)


@contextmanager
def movie_of(
    folder: str, step: int
) -> Iterator[tuple[DuckDBStore, DetectionSet, Detections, CandidateEdges, tuple[NDArray[np.int64], ...]]]:
    """Bring a movie into a store for the while of the block: store, set, cells, candidates, sources and targets."""
    with tempfile.TemporaryDirectory() as place:
        store = DuckDBStore(Path(place) / "movie.trackdb")
        ingest(DATA / folder, store, options=SourceOptions(frames=slice(None, None, step)))
        chosen = store.detection_set()
        detections = store.detections(chosen)
        true = tuple(detections.row_of(ends) for ends in store.link_ends(store.solutions(chosen)["truth"]))
        yield store, chosen, detections, link_nearest(detections), true


def solved_figures(
    detections: Detections, edges: CandidateEdges, scores: Scores, true: tuple[NDArray[np.int64], ...]
) -> list[str]:
    """Solve; return F1 of edges and of divisions, and how many divisions were found and are true."""
    return figures_of(problem_from(detections, edges, scores, fit(detections, edges, scores)), edges, true)


def figures_of(problem: TrackingProblem, edges: CandidateEdges, true: tuple[NDArray[np.int64], ...]) -> list[str]:
    """Solve a problem; return the same figures."""
    links = edges.take(open_solver("ilp").solve(problem).edge)
    annotated = np.ones(problem.n_nodes, dtype=bool)
    ends = (*true, links.source, links.target)
    found = compare_links(*ends, annotated=annotated)
    divisions = compare_divisions(*ends, tolerance_frames=0, annotated=annotated)
    return [
        f"{found.f1:.4f}",
        f"{divisions.f1:.3f}",
        str(divisions.tp + divisions.fp),
        str(divisions.tp + divisions.fn),
    ]


def main(steps: list[int]) -> None:
    """Print the table."""
    print("movie | role | scores | edge F1 | division F1 | found | true | score, CPU s | solve, CPU s")
    print("|".join(["---"] * 9))
    for name, role, folder in MOVIES:
        for step in steps:
            with movie_of(folder, step) as (store, chosen, detections, edges, true):
                begun = time.process_time()
                lines = [("distance", open_scorer("distance").score(detections, edges), time.process_time() - begun)]
                begun = time.process_time()
                iou = open_scorer("overlap").score(detections, edges, pixels_of(store, chosen))
                spent = time.process_time() - begun
                lines += [(label, scores, spent) for label, scores in readings(detections, edges, iou)]
                for label, scores, scoring in lines:
                    begun = time.process_time()
                    figures = solved_figures(detections, edges, scores, true)
                    solving = time.process_time() - begun
                    shown = f"{name} x{step}" if step > 1 else name
                    print(shown, role, label, *figures, f"{scoring:.2f}", f"{solving:.2f}", sep=" | ", flush=True)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [1, 2, 4])
