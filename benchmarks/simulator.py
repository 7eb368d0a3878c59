"""What simulated movies cost, and how well trackdb follows their cells as it gets harder.

Run: python benchmarks/simulator.py [cost accuracy lineages]     default: all three
     the last one draws on the real lineages in the folder that TRACKDB_DATA names
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from measure import head, row, trackdb

if TYPE_CHECKING:
    from collections.abc import Callable

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
    for axes in ("2D", "3D"):
        for wrong in (0, 0.05):
            for motion in MOTIONS:
                words = ["--cells", 100, "--motion", motion, "--merged", wrong, "--split", wrong]
                judged = [tracked(folder, [*words, *(["--3d"] if axes == "3D" else []), "--seed", s]) for s in SEEDS]
                edges, divisions, cells, n = (sum(column) / len(SEEDS) for column in zip(*judged, strict=True))
                row(axes, motion, f"{wrong:.0%}", f"{edges:.3f}", f"{divisions:.3f}", f"{cells:.0f}", f"{n:.0f}")


def lineages(folder: Path) -> None:
    """Print how well cells are followed that are drawn on real lineages."""
    print("\n## Accuracy on cells drawn on real lineages\n")
    head("lineage", "merged and split, each", "links F1", "divisions F1", "cells", "divisions")
    data = Path(os.environ["TRACKDB_DATA"])
    sources: dict[str, list[str | Path]] = {}
    for name in ("Sparse5", "BMP2"):
        table = data / C2C12 / name
        words = ["--on", table / "regionprops.csv.gz", "--truth", table / "02_GT", "--modality", "phase"]
        sources[f"C2C12 {name}"] = [*words, "--frames", "150"]
    for name in ("Pm03", "Pm09"):
        table = data / ASTEC / name
        sources[f"ascidian {name}"] = [
            "--on",
            f"{table}_spots.csv.gz",
            "--links",
            f"{table}_links.csv.gz",
            "--zoom",
            "0.2",
        ]
    for name, words in sources.items():
        for wrong in (0, 0.05):
            edges, divisions, cells, n = tracked(folder, [*words, "--merged", wrong, "--split", wrong])
            row(name, f"{wrong:.0%}", f"{edges:.3f}", f"{divisions:.3f}", cells, n)


def tracked(folder: Path, words: list[object]) -> tuple[float, float, int, int]:
    """Simulate, ingest, solve, evaluate; return F1 of links and of divisions, and how many cells and divisions."""
    place = Path(tempfile.mkdtemp(dir=folder))
    movie, store = place / "movie", place / "movie.trackdb"
    made = trackdb("simulate", "-o", movie, *map(str, words), "--no-images", "--json").report
    trackdb("ingest", movie / "01_SEG", "--truth", movie / "01_GT", "-o", store)
    trackdb("solve", store)
    found = trackdb("evaluate", store, "--json").report
    return found["edges"]["f1"], found["divisions"]["f1"], made["cells"], made["divisions"]


PARTS: dict[str, Callable[[Path], None]] = {part.__name__: part for part in (cost, accuracy, lineages)}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as made:
            PARTS[part](Path(made))
