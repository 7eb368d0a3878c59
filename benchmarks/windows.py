"""What memory holds: a store solved in one piece and window by window, each command in a fresh process.

Run: python benchmarks/windows.py [1M 3M ...]     default: 3M, windows only
     python benchmarks/windows.py --whole 1M      in one piece besides
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from measure import Spent, head, row, trackdb
from scale import SPARSE, inside

SIZES = {"100k": (100, 1000, 2.0), "300k": (150, 2000, 2.0), "1M": (500, 2000, 2.0), "3M": (1500, 2000, 2.0)}
"""Frames, cells in each, and the mean distance of neighbours in steps of a cell."""

WINDOWS = (50,)


def main(sizes: list[str], *, whole: bool) -> None:
    """Print the table."""
    head("size", "command", "made", "wall s", "CPU s", "peak MB", "bound")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            print_size(size, Path(folder), whole=whole)


def print_size(size: str, folder: Path, *, whole: bool) -> None:
    """Print what one size costs."""
    table, store = folder / "points.parquet", folder / "movie.trackdb"
    inside("points", table, *SIZES[size])
    for name, words in {
        "ingest": ("ingest", table, "-o", store),
        "link, 5 within 4 px": ("link", store, *SPARSE),
        "score": ("score", store),
    }.items():
        print_command(size, name, trackdb(*words, "--json"))
    work = folder / "work.trackdb"
    for frames in WINDOWS:
        shutil.copytree(store, work)
        bound = "2000 MB" if size == "3M" else ""
        print_command(
            size,
            f"solve --simple --window {frames}",
            trackdb("solve", work, "--simple", "--window", str(frames), "--json"),
            bound,
        )
        shutil.rmtree(work)
    if whole:
        print_command(size, "solve", trackdb("solve", store, "--simple", "--json"))


def print_command(size: str, name: str, spent: Spent, bound: str = "") -> None:
    """Print a line."""
    row(size, name, said(spent), f"{spent.wall_s:.1f}", f"{spent.cpu_s:.1f}", f"{spent.peak_mb:.0f}", bound)


def said(spent: Spent) -> str:
    """Return what a command made, and of a solution how near the optimum it is."""
    found = spent.report
    if "links" in found:
        gap = (found["objective"] - found["lower_bound"]) / abs(found["objective"])
        return f"{found['links']:,} links, proven within {gap:.1e}"
    if "edges" in found:
        return f"{found['edges']:,} candidates"
    return f"{found['detections']:,} detections"


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("sizes", nargs="*", default=["3M"])
    options.add_argument("--whole", action="store_true", help="solve in one piece too")
    given = options.parse_args()
    main(given.sizes, whole=given.whole)
