"""Links by distance, by the overlap of masks, and by a small association transformer, each solved in three ways.

Run: python benchmarks/association [--folder DIR] [--only NAME ...] [--steps 1 2 4]
[--scores learned distance overlap model]

The model is trained first (minutes on a CPU), on simulated movies and the first half of the cell migration movie
(`films.LESSONS`). It is judged by movies of other data sets, whose truth nothing here is chosen by. Movies and model
are kept in DIR, the model under a digest of its settings and of what it learns from. The real movies lie in the folder
that TRACKDB_DATA names, as in `truth`.

A cell of the table is edge F1 / division F1 / AOGM (Cell Tracking Challenge, less is better). Nothing is told which
cells are missing: links lead to the next frame, everything else is as a user begins.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # what all benchmarks share stands one folder up

from films import JUDGED, judged_store
from learning import trained
from measure import head, row
from peers import HOME

from trackdb.engine.config import Config, ScoreConfig, SolveConfig
from trackdb.engine.evaluate import evaluate
from trackdb.engine.network_config import NetworkConfig
from trackdb.engine.pipeline import link, score, solve
from trackdb.storage.duckdb_store import DuckDBStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from films import Judged

LEARNED, DISTANCE, OVERLAP, MODEL = "learned", "distance", "overlap", "model"
SOLVED: dict[str, dict[str, SolveConfig]] = {
    LEARNED: {"ILP": SolveConfig(cost="learned")},
    DISTANCE: {
        "greedy": SolveConfig(linker="greedy"),
        "LAP": SolveConfig(linker="lap"),
        "ILP": SolveConfig(cost="density"),
    },
    OVERLAP: {
        "greedy": SolveConfig(linker="greedy"),
        "LAP": SolveConfig(linker="lap", by="cost"),
        "ILP": SolveConfig(cost="density"),
    },
    MODEL: {
        "greedy": SolveConfig(linker="greedy", by="score"),
        "LAP": SolveConfig(linker="lap", by="cost"),
        "ILP": SolveConfig(cost="density"),
        "ILP, Trackastra's cost": SolveConfig(cost="association"),
    },
}
"""How links are chosen by each kind of scores; the learned cost has none. Greedy by the model is its authors'."""
COLUMNS = tuple(SOLVED[MODEL])


def lines(film: Judged, step: int, store: DuckDBStore, kinds: list[str], model: Path | None) -> Iterator[list[str]]:
    """Return the lines of a movie at a temporal resolution, one for each kind of scores.

    The model's comes last: it adds candidates, which the others are not to see.
    """
    chosen = store.detection_set()
    link(store, chosen)
    for kind in (kind for kind in SOLVED if kind in kinds):
        if kind == OVERLAP and not film.masks:
            continue  # discs of one size overlap as they are near: nothing but distance once more
        scores = None
        if kind != LEARNED:
            by = str(model) if kind == MODEL else kind
            scores = score(store, chosen, ScoreConfig(by=by), network=NetworkConfig(device="cpu", max_gap=0)).scores
        figures = [_judged(store, scores, SOLVED[kind][column]) if column in SOLVED[kind] else "" for column in COLUMNS]
        yield [f"{film.name} x{step}", kind, *figures]


def _judged(store: DuckDBStore, scores: str | None, settings: SolveConfig) -> str:
    """Solve, and return how far the solution is from the truth."""
    chosen = store.detection_set()
    squared = settings.linker == "lap" and settings.by != "cost"  # the LAP of distances goes by their squares
    made = solve(store, chosen, Config(solve=settings), scores=None if squared else scores)
    found = evaluate(store, chosen, store.solutions(chosen)[made.solution])
    return f"{found.edges.f1:.4f} / {found.divisions[0].f1:.3f} / {found.corrections.aogm:.0f}"


def main(given: argparse.Namespace) -> None:
    """Print the table."""
    model = trained(given.folder) if MODEL in given.scores else None
    head("movie", "scores", *COLUMNS)
    for film in JUDGED:
        if given.only and not any(part.lower() in film.name.lower() for part in given.only):
            continue
        for step in given.steps:
            started = time.process_time()
            with tempfile.TemporaryDirectory() as place:
                made = shutil.copytree(judged_store(given.folder, film, step), Path(place) / "movie.trackdb")
                for line in lines(film, step, DuckDBStore(made), given.scores, model):
                    row(*line)
            print(f"{film.name} x{step}: {time.process_time() - started:.1f} CPU s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HOME / "association")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--scores", nargs="+", choices=SOLVED, default=list(SOLVED))
    main(parser.parse_args())
