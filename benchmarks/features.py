"""What features cost: a frame in one pass beside scikit-image, growth, whole movies by command, a million cells stored.

Run: python benchmarks/features.py
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from measure import Spent, cpu_of, head, median_ms, row, run, trackdb

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROPERTIES = ("label", "area", "centroid", "bbox", "equivalent_diameter_area", "inertia_tensor")
INTENSITIES = ("intensity_mean", "intensity_min", "intensity_max")
RADIUS_PX = {2: 14, 3: 7}  # of cells far apart


@dataclass(frozen=True)
class Case:
    """A frame to measure: its size, its cells, apart or filling it, and channels of images."""

    shape: tuple[int, ...]
    cells: int
    full: bool = False
    channels: int = 1
    kind: str = "uint16"

    def words(self) -> list[str]:
        """Return how it is given to a process of its own."""
        return [",".join(map(str, self.shape)), str(self.cells), str(int(self.full)), str(self.channels), self.kind]

    @classmethod
    def of(cls, words: list[str]) -> Case:
        """Return the case that `words` told."""
        shape, cells, full, channels, kind = words
        return cls(tuple(map(int, shape.split(","))), int(cells), full == "1", int(channels), kind)

    def told(self) -> list[str]:
        """Return its cells of a table."""
        size = " x ".join(map(str, self.shape))
        return [size, f"{self.cells:,}, {'touching' if self.full else 'apart'}", f"{self.channels} {self.kind}"]


COMPARED = {
    Case((1024, 1024), 500): "10 times less",
    Case((1024, 1024), 500, full=True): "10 times less",
    Case((1024, 1024), 500, kind="float32"): "10 times less",
    Case((1024, 1024), 500, channels=3): "10 times less",
    Case((100, 512, 512), 2000): "1 s",
    Case((100, 512, 512), 2000, full=True): "1 s",
}
GROWING = [
    *(Case((side, side), 500 * side**2 // 1024**2, full=True) for side in (256, 512, 1024, 2048, 4096)),
    *(Case((1024, 1024), cells, full=True) for cells in (50, 5000, 50_000)),
    *(Case((depth, 512, 512), 20 * depth, full=True) for depth in (25, 50, 200)),
]


# -- inside one process ---------------------------------------------------------------------------------------------


def frame_of(case: Case) -> tuple[NDArray[np.integer], dict[str, NDArray[np.generic]]]:
    """Return a mask of cells on a jittered grid, and images of noise."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    side = int(np.ceil(case.cells ** (1 / len(case.shape))))
    grid = np.stack(np.unravel_index(np.arange(side ** len(case.shape)), (side,) * len(case.shape)), axis=1)
    chosen = np.sort(rng.permutation(len(grid))[: case.cells])
    centre = (grid[chosen] + rng.uniform(0.4, 0.6, (case.cells, len(case.shape)))) / side * case.shape
    mask = np.zeros(case.shape, np.uint32 if case.cells > 60_000 else np.uint16)
    tree, reach = cKDTree(centre), np.inf if case.full else RADIUS_PX[len(case.shape)]
    for first in range(case.shape[0]):  # plane by plane (2D: row by row), or the tree's answer would be the peak
        places = np.indices((1, *case.shape[1:])).reshape(len(case.shape), -1)
        places[0] = first
        distance, nearest = tree.query(places.T)
        mask[first] = np.where(distance <= reach, nearest + 1, 0).reshape(case.shape[1:])
    images = {
        f"c{k}": rng.integers(0, 60_000, case.shape, dtype=np.uint16).astype(case.kind, copy=False)
        for k in range(case.channels)
    }
    return mask, images


def peak_mb() -> float:
    """Return the most memory that this process held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(*words: str) -> None:
    """Measure a frame with trackdb."""
    from trackdb.engine.measure import measure

    case = Case.of(list(words))
    mask, images = frame_of(case)
    small = tuple(slice(0, 8) for _ in case.shape)
    measure(mask[small], {c: image[small] for c, image in images.items()})  # loads the kernels
    before, regions = peak_mb(), measure(mask, images)
    more = peak_mb() - before
    ms = median_ms(cpu_of(lambda: measure(mask, images), 3 if mask.size > 10**7 else 15))
    print(json.dumps({"ms": ms, "more_mb": more, "cells": len(regions)}))


def theirs(*words: str) -> None:
    """Measure a frame with scikit-image, and compare every number."""
    from skimage.measure import regionprops_table

    from trackdb.engine.measure import measure

    case = Case.of(list(words))
    mask, images = frame_of(case)
    image = np.stack(list(images.values()), axis=-1) if images else None  # channels come last there
    asked = (*PROPERTIES, *(INTENSITIES if images else ()))
    before, table = peak_mb(), regionprops_table(mask, image, properties=asked)
    more = peak_mb() - before
    ms = median_ms(cpu_of(lambda: regionprops_table(mask, image, properties=asked), 3))
    features = measure(mask, images).features
    pairs = [(features.inertia_px2[:, a, a], table[f"inertia_tensor-{a}-{a}"]) for a in range(mask.ndim)]
    for k, channel in enumerate(images):
        pairs += [(getattr(features.intensity[channel], key[10:]), table[f"{key}-{k}"]) for key in INTENSITIES]
    off = max(float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-9))) for a, b in pairs)
    print(json.dumps({"ms": ms, "more_mb": more, "off": off}))


def stored(folder: str) -> None:
    """Store a million cells with features, three channels and two properties, and ask for them."""
    import duckdb

    from trackdb.storage.duckdb_store import DuckDBStore
    from trackdb.storage.founding import GRAPH
    from trackdb.storage.ingestion import ingesting
    from trackdb.storage.measurements import Features, Intensity
    from trackdb.storage.schema import Detections, Movie

    rng, n, batches, figures = np.random.default_rng(0), 200_000, 5, {}
    store = DuckDBStore(Path(folder) / "a.trackdb")
    store.create()
    place = rng.uniform(10, 1000, (n, 2))
    corner = place.astype(np.int64)
    bright = [Intensity(*np.sort(rng.uniform(0, 60_000, (3, n)), axis=0)[[1, 0, 2]]) for _ in "rgb"]
    inertia = rng.uniform(1, 90, (n, 2, 2))
    channels = dict(zip(("red", "green", "blue"), bright, strict=True))
    features = Features(
        corner - 9, corner + 9, inertia + inertia.transpose(0, 2, 1), corner.min(axis=1) + 0.0, channels
    )
    properties = {"QUALITY": rng.uniform(0, 1, n), "name": np.array([f"AB{k}" for k in rng.integers(0, 4000, n)])}
    start = time.process_time()
    with ingesting(store, Movie("million", 100 * batches, 2), {}) as ingestion:
        for batch in range(batches):
            frame = np.repeat(np.arange(100), n // 100) + 100 * batch
            cells = Detections(np.arange(n), frame, place, np.arange(n), inertia[:, 0, 0])
            ingestion.append(cells, features, properties, 100 * (batch + 1))
        found = store.detections(ingestion.chosen)
        ingestion.finish([], found, store.candidate_edges(ingestion.chosen, found), [], {})
    figures["written, all of it"] = time.process_time() - start
    chosen = store.detection_set()
    for name, read in (("features()", store.features), ("properties()", store.properties)):
        figures[f"`DuckDBStore.{name}`"] = min(cpu_of(partial(read, chosen, found), 3))
    with duckdb.connect(store.path / GRAPH, read_only=True) as opened:
        for query in QUERIES:
            figures[f"`{query}`"] = min(cpu_of(lambda asked=query: opened.execute(asked).fetchall(), 5))
    size = (store.path / GRAPH).stat().st_size / 1e6
    print(json.dumps({"figures": figures, "size_mb": size}))


QUERIES = (
    "select t, count(*) from cells group by t",
    "select t, avg(area) from cells group by t",
    "select t, avg(border), avg(intensity_mean) from cells group by t",
    "select * from cells where t = 250",
    "select channel, avg(mean) from intensities group by channel",
    "select name, count(*), avg(value) from properties group by name",
)
PARTS = {part.__name__: part for part in (ours, theirs, stored)}


def inside(part: str, *words: str) -> dict:
    """Run one of the parts above in a process of its own."""
    spent = run(sys.executable, __file__, "--part", part, *words)
    if spent.code:
        raise SystemExit(spent.err)
    return spent.report


# -- whole movies ---------------------------------------------------------------------------------------------------


def write_movie(folder: Path, frames: int) -> None:
    """Write masks and two channels of a movie that repeats one frame."""
    mask, images = frame_of(Case((1024, 1024), 500, full=True, channels=2))
    for name, pixels in {"masks": mask, **images}.items():
        (folder / name).mkdir(parents=True)
        for t in range(frames):
            tifffile.imwrite(folder / name / f"t{t:04d}.tif", pixels)


def ingested(folder: Path, channels: int) -> Spent:
    """Ingest a movie with some of its channels into a new store."""
    images = [word for k in range(channels) for word in ("--images", f"c{k}={folder / f'c{k}'}")]
    with tempfile.TemporaryDirectory() as place:
        return trackdb("ingest", folder / "masks", "-o", Path(place) / "a.trackdb", *images, "--json")


# -- tables ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """Print all tables."""
    print("## One frame beside scikit-image's regionprops_table of the same properties\n")
    head(
        "frame", "cells", "channels", "trackdb, CPU ms", "more MB", "scikit-image, CPU ms", "more MB", "ratio", "bound"
    )
    worst = 0.0
    for case, bound in COMPARED.items():
        a, b = inside("ours", *case.words()), inside("theirs", *case.words())
        worst = max(worst, b["off"])
        figures = [f"{a['ms']:.1f}", f"{a['more_mb']:.0f}", f"{b['ms']:.0f}", f"{b['more_mb']:.0f}"]
        row(*case.told(), *figures, f"{b['ms'] / a['ms']:.0f}", bound)
    print(f"\nLargest relative difference of a number: {worst:.1e}.")

    print("\n## Growth\n")
    head("frame", "cells", "channels", "CPU ms", "CPU ns a pixel", "more MB")
    for case in GROWING:
        a = inside("ours", *case.words())
        row(*case.told(), f"{a['ms']:.1f}", f"{1e6 * a['ms'] / np.prod(case.shape):.1f}", f"{a['more_mb']:.0f}")

    print("\n## `trackdb ingest` of masks of 1024 x 1024 with 500 touching cells\n")
    head("frames", "channels", "detections", "wall s", "CPU s", "peak MB")
    with tempfile.TemporaryDirectory() as name:
        for frames in (10, 40):
            write_movie(Path(name) / str(frames), frames)
            for channels in (0, 1, 2):
                spent = ingested(Path(name) / str(frames), channels)
                made = f"{spent.report['detections']:,}"
                row(frames, channels, made, f"{spent.wall_s:.1f}", f"{spent.cpu_s:.1f}", f"{spent.peak_mb:.0f}")

    print("\n## A million cells with features, three channels and two properties in a store\n")
    head("what", "CPU ms")
    with tempfile.TemporaryDirectory() as name:
        held = inside("stored", name)
        for what, seconds in held["figures"].items():
            row(what, f"{1000 * seconds:.0f}")
    print(f"\nSize of the tables: {held['size_mb']:.0f} MB.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        PARTS[sys.argv[2]](*sys.argv[3:])
    else:
        main()
