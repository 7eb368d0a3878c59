"""What it takes to write a solution in each format, and to read it again: real commands, each in a fresh process.

Run: python benchmarks/formats.py [10k 100k 1M ...]     default: 100k 1M
     python benchmarks/formats.py --repeat 3 1M         the run of median CPU time is printed

The movie is that of `scale`: simulated points with divisions, misses and false detections, solved exactly. The size of
a file or folder is on disk. `geff package` is the standard's own reader, which keeps the graph in memory; the reader of
trackdb also writes a store. The command that writes includes the start of Python and the reading of the store.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from instances import SIZES
from measure import head, middle, row, run, trackdb
from scale import figures, inside

if TYPE_CHECKING:
    from measure import Spent

OUT = {
    "geff": "graph.geff",
    "trackmate": "tracks.xml",
    "graphml": "graph.graphml",
    "napari": "layer",
    "csv": "cells.csv",
    "parquet": "cells.parquet",
    "csv, three tables": "tables_csv",
    "parquet, three tables": "tables_parquet",
}
NOT_READ = ("graphml",)
BOUND = {"geff": "15 s wall"}
"""What a million nodes may take, to write and to read each."""


def solved_store(size: str, folder: Path) -> Path:
    """Make the store of a solved movie."""
    table, store = folder / "points.parquet", folder / "movie.trackdb"
    inside("points", table, *SIZES[size])
    trackdb("ingest", table, "-o", store)
    trackdb("solve", store, "--simple")
    return store


def print_format(size: str, name: str, store: Path, folder: Path, repeat: int) -> None:
    """Print what it takes to write one format and to read it."""
    out, again = folder / OUT[name], folder / "again.trackdb"
    bound = BOUND.get(name, "") if size == "1M" else ""

    def written() -> Spent:
        shutil.rmtree(out, ignore_errors=True)
        out.unlink(missing_ok=True)
        return trackdb("export", name.split(",")[0], store, "-o", out, "--json")

    def read() -> Spent:
        shutil.rmtree(again, ignore_errors=True)
        return trackdb("ingest", out, "-o", again, "--json")

    spent = middle([written() for _ in range(repeat)])
    row(size, name, "write", f"{spent.report['links']:,}", f"{megabytes(out):,.1f}", *figures(spent), bound)
    if name not in NOT_READ:
        spent = middle([read() for _ in range(repeat)])
        row(size, name, "read", f"{sum(links_of(again)):,}", "", *figures(spent), bound)
    if name == "geff":
        spent = middle([run(sys.executable, __file__, "--part", "package", out) for _ in range(repeat)])
        row(size, "geff package", "read", f"{spent.report['links']:,}", "", *figures(spent), "")
    shutil.rmtree(again, ignore_errors=True)


def links_of(store: Path) -> list[int]:
    """Return the number of links of each solution of a store."""
    return [solution["links"] for solution in trackdb("info", store, "--json").report["solutions"]]


def package(out: str) -> None:
    """Read a GEFF with the standard's own package."""
    from geff.core_io import read_to_memory

    print(json.dumps({"links": len(read_to_memory(out)["edge_ids"])}))


def megabytes(path: Path) -> float:
    """Return the size of a file, or of a folder with all below it."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 2**20


def main(sizes: list[str], repeat: int) -> None:
    """Print the table."""
    head("size", "format", "", "links", "MB", "wall s", "CPU s", "peak MB", "bound")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            store = solved_store(size, Path(folder))
            for name in OUT:
                print_format(size, name, store, Path(folder), repeat)


if __name__ == "__main__":
    if sys.argv[1:3] == ["--part", "package"]:
        package(sys.argv[3])
    else:
        options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        options.add_argument("sizes", nargs="*", default=["100k", "1M"])
        options.add_argument("--repeat", type=int, default=1)
        given = options.parse_args()
        main(given.sizes, given.repeat)
