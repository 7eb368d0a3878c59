"""What simulated movies cost, and how well trackdb follows their cells as it gets harder.

Run: python benchmarks/simulator.py [cost accuracy lineages]     default: all three
     the last one draws on the real lineages in the folder that TRACKDB_DATA names
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from measure import head, row, trackdb

from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.evaluate import evaluate
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.simulation import Drawing, Known, Simulation, simulate, simulate_on, write_movie
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from trackdb.engine.simulation import SimulatedMovie

FRAMES = 5
LARGE = {
    "2D, 2,000 cells": "--cells 2000 --shape 2048,2048",
    "the same, phase contrast": "--cells 2000 --shape 2048,2048 --modality phase",
    "2D, 20,000 cells, confluent": "--cells 20000 --density 1 --motion 0.3",
    "3D, 500 cells": "--cells 500 --shape 64,512,512 --3d",
}
MOTIONS = (0.1, 0.3, 0.5, 0.7)
SEEDS = (0, 1, 2)
C2C12, ASTEC = "c2c12_ker2018_ccby", "astec_ascidian_ccby"


def cost(folder: Path) -> None:
    """Print what a frame of a large movie costs: a movie of several frames less one of a single frame."""
    print(f"\n## Simulated movies, a frame (mean of {FRAMES}, each after the first)\n")
    for words in ((), ("--3d",)):  # kernels are compiled once
        trackdb("simulate", "-o", folder / f"warm{len(words)}", "--frames", "1", "--cells", "5", *words)
    head("movie", "CPU s", "wall s", "without images, CPU s", "peak MB", "MB on disk: images, masks and truth")
    for name, words in LARGE.items():
        made = {}
        for kind, more in (("whole", ()), ("bare", ("--no-images",))):
            runs = []
            for frames in (1, 1 + FRAMES):
                out = folder / f"{len(list(folder.iterdir()))}"
                runs.append(trackdb("simulate", "-o", out, *words.split(), "--frames", frames, *more, "--json"))
            made[kind] = [(runs[1].cpu_s - runs[0].cpu_s) / FRAMES, (runs[1].wall_s - runs[0].wall_s) / FRAMES]
            if kind == "whole":
                peak = runs[1].peak_mb
                sizes = [megabytes(out / "01") / (1 + FRAMES), megabytes(out / "01_SEG", out / "01_GT") / (1 + FRAMES)]
        (cpu, wall), (bare, _) = made["whole"], made["bare"]
        row(name, f"{cpu:.2f}", f"{wall:.2f}", f"{bare:.2f}", f"{peak:.0f}", f"{sizes[0]:.1f}, {sizes[1]:.2f}")


def megabytes(*folders: Path) -> float:
    """Return the size of all files of some folders."""
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()) / 1e6


def accuracy(folder: Path) -> None:
    """Print how well links and divisions are found as cells move farther and the segmentation fails more often."""
    print(f"\n## Accuracy on simulated movies (100 cells at first, 30 frames, mean of {len(SEEDS)} seeds)\n")
    head("axes", "median step, spacings", "merged and split, each", "links F1", "divisions F1", "cells", "divisions")
    for ndim in (2, 3):
        for wrong in (0.0, 0.05):
            for motion in MOTIONS:
                settings = Simulation(cells=100, ndim=ndim, motion=motion, merged=wrong, split=wrong)
                judged = [tracked(folder, simulate(replace(settings, seed=seed))) for seed in SEEDS]
                links, divisions, cells, n = (sum(column) / len(SEEDS) for column in zip(*judged, strict=True))
                row(f"{ndim}D", motion, f"{wrong:.0%}", f"{links:.3f}", f"{divisions:.3f}", f"{cells:.0f}", f"{n:.0f}")


def lineages(folder: Path) -> None:
    """Print how well cells are followed that are drawn on real lineages."""
    print("\n## Accuracy on cells drawn on real lineages\n")
    head("lineage", "merged and split, each", "links F1", "divisions F1", "cells", "divisions")
    data = Path(os.environ["TRACKDB_DATA"])
    sources: dict[str, Known] = {}
    for name in ("Sparse5", "BMP2"):
        place = data / C2C12 / name
        options = SourceOptions(truth=place / "02_GT")
        sources[f"C2C12 {name}"] = Known(place / "regionprops.csv.gz", options, frames=150)
    for name in ("Pm03", "Pm09"):
        options = SourceOptions(links=data / ASTEC / f"{name}_links.csv.gz")
        sources[f"ascidian {name}"] = Known(data / ASTEC / f"{name}_spots.csv.gz", options, zoom=0.2)
    for name, known in sources.items():
        for wrong in (0.0, 0.05):
            links, divisions, cells, n = tracked(folder, simulate_on(known, Drawing(merged=wrong, split=wrong)))
            row(name, f"{wrong:.0%}", f"{links:.3f}", f"{divisions:.3f}", cells, n)


def tracked(folder: Path, movie: SimulatedMovie) -> tuple[float, float, int, int]:
    """Write a movie, ingest, solve, evaluate; return F1 of links and of divisions, and how many cells and divisions."""
    place = Path(tempfile.mkdtemp(dir=folder))
    made = write_movie(place / "movie", movie, images=False)
    store = DuckDBStore(place / "movie.trackdb")
    ingest(place / "movie" / "01_SEG", store, options=SourceOptions(truth=place / "movie" / "01_GT"))
    solve(store, store.detection_set(), Config(solve=SolveConfig(cost="density")))
    found = evaluate(store, *store.find_solution())
    return found.edges.f1, found.divisions[0].f1, made.cells, made.divisions


PARTS: dict[str, Callable[[Path], None]] = {part.__name__: part for part in (cost, accuracy, lineages)}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as made:
            PARTS[part](Path(made))
