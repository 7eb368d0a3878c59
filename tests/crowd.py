"""Programs of many processes on one store, for `test_many_processes`; each prints what it found as lines of JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import trackdb
from trackdb.errors import TrackdbError


def told(**what: object) -> None:
    print(json.dumps(what), flush=True)


def read(store: Path, until: Path) -> None:
    """Ask for descendants again and again until a file appears; tell how long each answer took."""
    from trackdb.storage.sandbox import ask  # each imports what it needs alone: many of them begin at once

    seconds, wrong = [], 0
    told(ready=True)
    while not until.exists():
        started = time.perf_counter()
        found = ask(store, "select count(*) as n from descendants('truth', 1)").rows["n"].to_pylist()
        seconds.append(time.perf_counter() - started)
        wrong += found != [3]
        time.sleep(0.2)
    told(asked=len(seconds), wrong=wrong, seconds=seconds)


def solve(store: Path, name: str, times: int = 1) -> None:
    """Solve under a name, with a number behind it."""
    told(ready=True)
    started = time.perf_counter()
    try:
        for number in range(times):
            trackdb.open(store, write=True).solve("greedy", name=f"{name}-{number}", dataset="drawn")
        told(done=True, seconds=time.perf_counter() - started)
    except TrackdbError as error:
        told(done=False, refused=str(error))


def hold(store: Path) -> None:
    """Keep the database open for writing until somebody ends this."""
    from trackdb.storage.duckdb_store import DuckDBStore

    with DuckDBStore(store, command="trackdb hold").writing():
        told(ready=True)
        time.sleep(600)


def work(store: Path, name: str) -> None:
    """Be at work on a run until somebody ends this; the database is free meanwhile."""
    from trackdb.storage.duckdb_store import DuckDBStore

    opened = DuckDBStore(store, command="trackdb solve")
    with opened.running("solve", name, {}, chosen=opened.detection_set()):
        told(ready=True)
        time.sleep(600)


def bring(store: Path, source: Path, name: str) -> None:
    """Ingest a further movie."""
    from trackdb.engine.ingest import ingest
    from trackdb.storage.duckdb_store import DuckDBStore

    told(ready=True)
    ingest(source, DuckDBStore(store), name=name)
    told(done=True)


def answer(store: Path, until: Path) -> None:
    """Answer one cell after the other until a file appears, as a review does."""
    db = trackdb.open(store, write=True)
    told(ready=True)
    said = 0
    while not until.exists():
        db.annotate(1, daughters=[], who="ana", dataset="drawn")
        db.undo(who="ana")
        said += 2
        time.sleep(0.2)
    told(said=said)


if __name__ == "__main__":
    words = sys.argv[2:]
    arguments = [Path(word) if "/" in word else int(word) if word.isdigit() else word for word in words]
    {"read": read, "solve": solve, "hold": hold, "work": work, "bring": bring, "answer": answer}[sys.argv[1]](
        *arguments
    )
