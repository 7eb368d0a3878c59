"""What trust costs: a query in a process of its own, and lineages that are asked for beside a solve.

Run: python benchmarks/sandbox.py [sandbox] [lineage] [readers]

sandbox: a small query as the first of a process, all that is started for it included, and those after it; against the
same query on a connection of the process itself with the same locks.

lineage: the work of `solution.lineage` of the notebook for cells at random, as the first of a process and after it.

readers: ten processes ask for the family of a cell at random, each two seconds after the last answer, while the movie
is solved three times by commands; once by SQL (`descendants`), once by `solution.lineage` of the notebook.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import head, row, trackdb

QUERY = "select t, count(*) as n from cells group by t order by t"
READERS = 10
PAUSE_S = 2.0
FIRST = """
import json, sys, time
from pathlib import Path
import duckdb
from trackdb.storage.confined import LOCKED
from trackdb.storage.sandbox import ask
store, query, seconds = Path(sys.argv[1]), sys.argv[2], []
started = time.perf_counter()
with duckdb.connect(store / "graph.duckdb", read_only=True, config=LOCKED) as connection:
    connection.sql(query).to_arrow_table()
seconds.append(time.perf_counter() - started)
for _ in range(11):
    started = time.perf_counter()
    ask(store, query)
    seconds.append(time.perf_counter() - started)
print(json.dumps(seconds))
"""
ALONE = """
import json, random, sys, time
import trackdb
db, seconds = trackdb.open(sys.argv[1]), []
cells = db.sql("select cell from tracked where solution = 'truth'").rows["cell"].to_pylist()
truth, draw = db.solution("truth"), random.Random(0)
for _ in range(31):
    started = time.process_time()
    truth.lineage(draw.choice(cells))
    seconds.append(time.process_time() - started)
print(json.dumps(seconds))
"""
READING = """
import json, random, sys, time
from pathlib import Path
import trackdb
store, until, pause, way, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4], []
db = trackdb.open(store)
cells = db.sql("select cell from tracked where solution = 'truth'").rows["cell"].to_pylist()
truth = db.solution("truth")
print("ready", flush=True)
while not until.exists():
    time.sleep(pause * random.uniform(0.5, 1.5))
    cell, started = random.choice(cells), time.perf_counter()
    if way == "sql":
        db.sql("from descendants('truth', $cell)", cell=cell)
    else:
        truth.lineage(cell)
    seconds.append(time.perf_counter() - started)
print(json.dumps(seconds))
"""


def movie(folder: Path, frames: int, cells: int, *, solved: bool = True) -> Path:
    """Return a store of a simulated movie with its truth."""
    store = folder / "movie.trackdb"
    simulated = ("simulate", "-o", folder / "simulated", "--frames", frames, "--cells", cells, "--seed", 1)
    for words in (simulated, ("ingest", folder / "simulated", "-o", store), *[("solve", store)] * solved):
        trackdb(*map(str, words))
    return store


def sandbox(folder: Path, processes: int = 5) -> None:
    """Print what a small query takes in a process of its own."""
    store = movie(folder, frames=20, cells=50)
    told = []
    for _ in range(processes):
        words = [sys.executable, "-c", FIRST, str(store), QUERY]
        told.append(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    within, first = (statistics.median(seconds[n] for seconds in told) for n in (0, 1))
    later = statistics.median(second for seconds in told for second in seconds[2:])
    command = statistics.median(trackdb("sql", store, QUERY, "-q").wall_s for _ in range(processes))
    head("query", "seconds", "more than within")
    row("within the process", f"{within:.3f}", "")
    row("first in a process of its own", f"{first:.3f}", f"{first - within:.3f}")
    row("those after it", f"{later:.3f}", f"{later - within:.3f}")
    row("`trackdb sql`, all of the command", f"{command:.2f}", "")


def lineage(folder: Path, processes: int = 3) -> None:
    """Print the CPU time that a lineage takes."""
    store = movie(folder, frames=100, cells=100, solved=False)
    told = []
    for _ in range(processes):
        words = [sys.executable, "-c", ALONE, str(store)]
        told.append(json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    head("`solution.lineage`", "CPU ms")
    row("first of a process", f"{1e3 * statistics.median(seconds[0] for seconds in told):.0f}")
    row("those after it", f"{1e3 * statistics.median(second for seconds in told for second in seconds[1:]):.0f}")


def readers(folder: Path, solves: int = 3) -> None:
    """Print how long lineages take beside a solve."""
    store = movie(folder, frames=100, cells=100)
    head("ten readers by", "solves", "in s", "answers", "median ms", "p95 ms", "longest ms")
    for way in ("sql", "lineage"):
        until = folder / f"until-{way}"
        words = [sys.executable, "-c", READING, str(store), str(until), str(PAUSE_S), way]
        asking = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]
        for reader in asking:
            reader.stdout.readline()
        started = time.perf_counter()
        for number in range(solves):
            trackdb("solve", store, "--name", f"beside-{way}-{number}")
        wall_s = time.perf_counter() - started
        until.touch()
        seconds = sorted(second for reader in asking for second in json.loads(reader.communicate()[0]))
        times = (statistics.median(seconds), seconds[int(0.95 * len(seconds))], seconds[-1])
        row(way, solves, f"{wall_s:.1f}", len(seconds), *(f"{1e3 * one:.0f}" for one in times))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="sandbox, lineage, readers; all by default")
    for part in parser.parse_args().parts or ("sandbox", "lineage", "readers"):
        with tempfile.TemporaryDirectory() as folder:
            {"sandbox": sandbox, "lineage": lineage, "readers": readers}[part](Path(folder))


if __name__ == "__main__":
    main()
