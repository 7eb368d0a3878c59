"""What `trackdb posterior` costs after annotations, beside weighing all: the real command in fresh processes.

Run: python benchmarks/posterior_again.py [--folder FOLDER] [10k 100k]

Movies are those of `scale.py`. The questions of most entropy are answered by what is likeliest: one, then twenty. With
a folder the stores are kept there, and taken from there the next time.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from instances import SIZES
from measure import Spent, head, middle, row, trackdb
from scale import inside

import trackdb as library

REPEAT = 3
ANSWERS = (1, 20)


def prepared(size: str, folder: Path) -> Path:
    """Return a store with a solution and a posterior of it."""
    store = folder / f"{size}.trackdb"
    if not store.exists():
        table, work = folder / f"{size}.parquet", folder / f"{size}.work.trackdb"
        inside("points", table, *SIZES[size])
        for words in (("ingest", table, "-o", work), ("solve", work), ("posterior", work)):
            trackdb(*words)
        work.rename(store)
    return store


def answered(store: Path, count: int) -> Path:
    """Return a copy of a store in which the first questions by entropy are answered."""
    other = store.with_name(f"{store.stem}-{count}.trackdb")
    if not other.exists():
        work = store.with_name(f"{store.stem}-{count}.work.trackdb")
        shutil.copytree(store, work)
        db = library.open(work, write=True)
        for question in db.solution().posterior().uncertain(top=count, by="entropy"):
            db.annotate(question.cell, daughters=list(question.outcomes[0].cells), who="ana")
        work.rename(other)
    return other


def spent(store: Path, work: Path, *words: str) -> Spent:
    """Return the run of median CPU time, each on a fresh copy of a store."""
    runs = []
    for _ in range(REPEAT):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(store, work)
        runs.append(trackdb("posterior", work, *words, "--json"))
    return middle(runs)


def line(size: str, what: str, found: Spent) -> None:
    """Print what a command cost, and how much it weighed."""
    report = found.report
    again = report["again"]
    weighed = f"{again['pieces']:,} of {again['of_pieces']:,} pieces" if again else "all"
    cells = f"{again['cells'] if again else report['cells']:,} of {report['cells']:,}"
    figures = (f"{report['seconds']:.2f}", f"{found.wall_s:.2f}", f"{found.cpu_s:.2f}", f"{found.peak_mb:.0f}")
    row(size, what, weighed, cells, *figures)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["10k", "100k"])
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        stores = {size: {n: answered(prepared(size, folder), n) for n in ANSWERS} for size in asked.sizes}
        head("cells", "after", "weighed", "cells weighed", "s, the stage", "s, the command", "CPU s", "MiB")
        for size, by_answers in stores.items():
            work = Path(temporary) / "work.trackdb"
            line(size, "1 annotation, --afresh", spent(by_answers[1], work, "--afresh"))
            for count, store in by_answers.items():
                line(size, f"{count} annotation{'s' * (count > 1)}", spent(store, work))


if __name__ == "__main__":
    main()
