"""What the link radius keeps, on real movies with truth: one line a movie; then why it is what it is.

Run: python benchmarks/candidates.py [STEP ...]     STEP 2 takes every second frame; default 1 2 4
     python benchmarks/candidates.py rule           other factors, and nearest parents against nearest children
     python benchmarks/candidates.py speed          a million cells
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from truth import TrueMovie, detections_of, movies

from trackdb.engine import candidates
from trackdb.engine.candidates import link_nearest, radius_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trackdb.storage.schema import Detections

STEPS = [1, 2, 4]


def pairs(n: int, source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each link."""
    return source * n + target


def kept(movie: TrueMovie, found: NDArray[np.int64]) -> float:
    """Return the share of true links among the links found."""
    return float(np.isin(pairs(len(movie.detections), *movie.link.T), found).mean())


def backwards(detections: Detections) -> Detections:
    """Return the movie played backwards, so that nearest parents become nearest children."""
    frame = (detections.frame[-1] - detections.frame)[::-1]
    return detections_of(frame, detections.position_px[::-1], detections.scale_um)


def thinned(steps: list[int]) -> Iterator[TrueMovie]:
    """Read the movies, each at every step that leaves links."""
    for movie in movies():
        for step in steps:
            m = movie.every(step)
            if len(m.link):
                yield m


def print_table(steps: list[int]) -> None:
    """Print what the radius keeps of each movie."""
    print("set | role | cells | step | spacing | radius | links kept % | candidates a cell")
    print("|".join(["---"] * 8))
    for m in thinned(steps):
        radius, edges, n = radius_from(m.detections), link_nearest(m.detections), len(m.detections)
        unit = "px" if m.detections.scale_um is None else "um"
        print(
            f"{m.name} | {m.role} | {n} | {radius.step:.2f} | {radius.spacing:.2f} | {radius.radius:.1f} {unit} | "
            f"{100 * kept(m, pairs(n, edges.source, edges.target)):.2f} | {len(edges) / n:.2f}",
            flush=True,
        )


def print_rule() -> None:
    """Print the worst of the designing movies for other factors, and for other ways to count the k nearest."""
    print("factor | least kept %, every frame | least kept %, steps 1 2 4 | most candidates a cell")
    print("---|---|---|---")
    design = [m for m in thinned(STEPS) if m.role == "design"]
    steps = candidates.STEPS / candidates.SPACINGS
    for factor in (1.0, 1.25, 1.5, 1.75, 2.0, 2.5):
        share, size = [], []
        for m in design:
            found = radius_from(m.detections)
            edges = link_nearest(m.detections, max_distance=factor * max(steps * (found.step or 0), found.spacing or 0))
            share.append(100 * kept(m, pairs(len(m.detections), edges.source, edges.target)))
            size.append(len(edges) / len(m.detections))
        whole = [s for s, m in zip(share, design, strict=True) if " x" not in m.name]
        print(f"{factor} | {min(whole):.2f} | {min(share):.2f} | {max(size):.2f}", flush=True)
    print("\nk | nearest parents: mean kept %, a cell | nearest children | either")
    print("---|---|---|---")
    for k in (2, 3, 5, 10):
        rows = []
        for m in design:
            n = len(m.detections)
            radius = radius_from(m.detections).radius
            forward = link_nearest(m.detections, max_distance=radius, neighbors=k)
            back = link_nearest(backwards(m.detections), max_distance=radius, neighbors=k)
            parents = pairs(n, forward.source, forward.target)
            children = pairs(n, n - 1 - back.target, n - 1 - back.source)
            rows.append([(kept(m, f) * 100, len(f) / n) for f in (parents, children, np.union1d(parents, children))])
        mean = np.array(rows).mean(axis=0)
        print(f"{k} | " + " | ".join(f"{share:.2f}, {size:.2f}" for share, size in mean), flush=True)


def print_speed() -> None:
    """Print the wall time of a million cells: 500 frames of 2000, ten candidates nearly each."""
    rng = np.random.default_rng(0)
    n_frames, n = 500, 2000
    place = rng.uniform(0, n**0.5, (1, n, 2)) + np.cumsum(rng.normal(0, 0.25, (n_frames, n, 2)), axis=0)
    movie = detections_of(np.repeat(np.arange(n_frames), n), place.reshape(-1, 2), None)
    for radius in (None, 3.0):
        start = time.perf_counter()
        edges = link_nearest(movie, max_distance=radius)
        print(f"{len(movie)} cells, {len(edges)} candidates: {time.perf_counter() - start:.2f} s wall")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["rule"]:
            print_rule()
        case ["speed"]:
            print_speed()
        case chosen:
            print_table([int(a) for a in chosen] or STEPS)
