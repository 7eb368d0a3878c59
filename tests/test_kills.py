"""Killed again and again, an ingest loses nothing that was committed, shows nothing half done, and goes on."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.storage.arrays import ARRAYS
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .faults import Counts, keep
from .movies import DIVIDING, dividing_cells, write_ctc, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")]

KILLS = int(os.environ.get("TRACKDB_KILLS", "8"))  # `make faults` takes many more
# Everything is imported, and kernels are loaded, once; each life is a fork that opens the store, and says each commit
# that is behind it. DuckDB has threads, which do not come along: it starts with each life.
ZYGOTE = """
import os, sys, time
from pathlib import Path
from trackdb.engine import ingest as engine_ingest
from trackdb.engine.ingest import ingest
import numpy as np
import zarr, tifffile
from trackdb.engine.measure import measure
from trackdb.storage.duckdb_store import DuckDBStore
from tests.acknowledged import tell_commits

measure(np.ones((2, 2), dtype=np.uint16), {"a": np.ones((2, 2), dtype=np.uint16)})

engine_ingest.BATCH_ROWS = 1
tell_commits(1)
print("ready", flush=True)
for line in sys.stdin:
    source, place = line.split()
    child = os.fork()
    if child == 0:
        ingest(Path(source), DuckDBStore(Path(place), command="trackdb ingest"), name="movie")
        os.write(1, b"done\\n")
        os._exit(0)
    os.write(1, f"born {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"over\\n")
"""


class Zygote:
    """A process that is warm, and forks a life for each piece of work."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self.process.stdout.readline() == "ready\n"

    def live(self, source, place, *, commits, then_s):
        """Let a life work until it has acknowledged some commits and a moment more, kill it, and return its lines."""
        self.process.stdin.write(f"{source} {place}\n")
        self.process.stdin.flush()
        told, pid, left = [], None, commits
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "over":
                return told
            if word == "born":
                pid = int(rest[0])
            else:
                told.append(word)
                left -= word == "commit"
            if pid and left <= 0:
                time.sleep(then_s)
                with contextlib.suppress(ProcessLookupError):  # it was quicker
                    os.kill(pid, signal.SIGKILL)
                left = float("inf")
        raise AssertionError("the zygote died")


@pytest.fixture(scope="module")
def zygote():
    """The warm process of this file."""
    made = Zygote()
    yield made
    made.process.stdin.close()
    made.process.stdout.close()
    made.process.wait()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same cells as masks with images and truth, and as a table."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    home = np.array([[15, 15], [15, 45], [45, 15], [45, 45]])
    walk = home + np.cumsum(rng.integers(-1, 2, (12, 4, 2)), axis=0)
    centres = [{k + 1: tuple(place) for k, place in enumerate(frame.tolist())} for frame in walk]
    movie = write_ctc(
        folder / "movie", centres=centres, tracks=[(k, 0, 11, 0) for k in range(1, 5)], shape=(60, 60), images=True
    )
    table = write_rows(folder / "table.csv", dividing_cells(n_frames=12, side=3), header=DIVIDING)
    return {"masks": movie, "table": table}


def everything(store):
    """All rows that an undisturbed history would hold, without numbers of runs and times."""
    tables = {}
    with store.reading() as connection:
        for name, columns in {
            "detection": "*",
            "detection_feature": "*",
            "detection_intensity": "*",
            "detection_property": "*",
            "edge": "*",
            "edge_score": "score, (select name from run r where r.run_id = edge_score.run_id), edge_id",
            "solution": "name, set_id, linker, objective, lower_bound, proven",
            "solution_node": "*",
            "solution_edge": "*",
            "track": "*",
            "array_ref": "dataset_id, kind, channel, path, sha256, shape, dtype, bytes",
            "dataset": "dataset_id, name, n_frames, ndim, shape, source",
        }.items():
            rows = connection.exec_driver_sql(f"select {columns} from {name}").fetchall()
            tables[name] = sorted(map(repr, rows))
    return tables


def committed(store):
    """What is durable: the counter of commits, and the detections of the unfinished ingest."""
    if not (store.path / "graph.duckdb").exists():
        return 0, 0
    with store.reading() as connection:
        tables = connection.exec_driver_sql("select count(*) from duckdb_tables()").scalar_one()
        if not tables:
            return 0, 0
        rows = connection.exec_driver_sql("select count(*) from detection").scalar_one()
    return int(store.meta()["commits"]), rows


def require_nothing_half_visible(store):
    """Views show no dataset that is not finished, and the check knows of nothing but that."""
    assert {(run.kind, run.name, alive) for run, alive in store.unfinished()} == {("ingest", "movie", False)}
    views = ("datasets", "cells", "solutions", "links", "tracked", "tracks")
    [rows] = ask(
        store.path, "select " + ", ".join(f"(select count(*) from {view}) as {view}" for view in views)
    ).rows.to_pylist()
    assert rows == dict.fromkeys(views, 0)
    [problem] = check(store)
    assert "ingest movie was not finished by" in problem.what


@pytest.mark.parametrize("kind", ["masks", "table"])
def test_an_ingest_killed_at_any_moment_goes_on(zygote, sources, tmp_path, kind):
    undisturbed = DuckDBStore(tmp_path / "undisturbed.trackdb")
    ingest(sources[kind], undisturbed, name="movie")
    wanted = everything(undisturbed)
    rng = random.Random(kind)
    store = DuckDBStore(tmp_path / "0.trackdb")
    kills = finished = 0
    while kills < KILLS // 2 or not finished:
        before, rows_before = committed(store)
        told = zygote.live(sources[kind], store.path, commits=rng.randint(1, 4), then_s=rng.uniform(0, 0.02))
        after, rows_after = committed(store)
        assert "commit" in told  # every life gets on
        assert after >= max(before, 1) + told.count("commit")  # the first commit of all makes the store
        assert rows_after >= rows_before
        kills += "done" not in told
        if store.detection_sets():
            assert everything(store) == wanted
            assert check(store) == []
            assert not list((store.path / ARRAYS).glob(".tmp-*"))
            finished += 1
            store = DuckDBStore(tmp_path / f"{finished}.trackdb")
        else:
            require_nothing_half_visible(store)
    assert zygote.live(sources[kind], store.path, commits=float("inf"), then_s=0)[-1] == "done"
    assert everything(store) == wanted
    assert check(store) == []
    keep(Counts(f"ingest of {kind}, killed again and again", counted=Counter(kills=kills, before=kills)))
