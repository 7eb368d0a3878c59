"""Killed at any moment, a store loses nothing that was committed, shows nothing half done, and goes on."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from trackdb.engine.check import check
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.stage import posterior
from trackdb.storage.arrays import ARRAYS
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .movies import DIVIDING, dividing_cells, write_ctc, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")]

KILLS = int(os.environ.get("TRACKDB_KILLS", "8"))  # `make faults` takes many more
# Everything is imported, and kernels are loaded, once; each life is a fork that opens the store, and says each commit
# that is behind it. DuckDB has threads, which do not come along: it starts with each life.
ZYGOTE = """
import os, sys, time
from pathlib import Path
from trackdb.engine import ingest as engine_ingest
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.stage import posterior
import numpy as np
import scipy.spatial, zarr, tifffile, trackdb.engine.scorers.distance
from trackdb.engine.grid import Grid, nearest_by_grid
from trackdb.engine.measure import measure
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.posterior.marginals import estimate
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.testing.problems import crowded_movie

small = crowded_movie(0, n_frames=3, per_frame=4)
IlpSolver().solve(small)
estimate(small)
start = np.array([0, 1, 2])
nearest_by_grid(Grid.of(np.zeros((2, 2)), start, 1.0), start, start[:2], 1.0, 1, 0)
measure(np.ones((2, 2), dtype=np.uint16), {"a": np.ones((2, 2), dtype=np.uint16)})

engine_ingest.BATCH_ROWS = 1

class Telling(DuckDBStore):
    def writing(self, **options):
        return Acknowledged(super().writing(**options))

class Acknowledged:
    def __init__(self, inner):
        self.inner = inner
    def __enter__(self):
        return self.inner.__enter__()
    def __exit__(self, *error):
        stop = self.inner.__exit__(*error)
        if error[0] is None:
            os.write(1, b"commit\\n")
        return stop

print("ready", flush=True)
for line in sys.stdin:
    verb, source, place = line.split()
    child = os.fork()
    if child == 0:
        store = Telling(Path(place), command=f"trackdb {verb}")
        if verb == "ingest":
            ingest(Path(source), store, name="movie")
        elif verb == "import":
            import_tracking(Path(source), store, store.detection_set(), name="theirs")
        elif verb == "posterior":
            posterior(store, *store.find_solution())
        else:
            solve(store, store.detection_set(), Config(solve=SolveConfig(window=int(source))))
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
            [sys.executable, "-c", ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "ready\n"

    def live(self, verb, source, place, *, commits, then_s):
        """Let a life work until it has acknowledged some commits and a moment more, kill it, and return its lines."""
        self.process.stdin.write(f"{verb} {source} {place}\n")
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
        told = zygote.live("ingest", sources[kind], store.path, commits=rng.randint(1, 4), then_s=rng.uniform(0, 0.02))
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
    assert zygote.live("ingest", sources[kind], store.path, commits=float("inf"), then_s=0)[-1] == "done"
    assert everything(store) == wanted
    assert check(store) == []


@pytest.mark.parametrize("window", [0, 2])
def test_a_solve_killed_at_any_moment_can_be_given_again(zygote, sources, tmp_path, window):
    ingested = DuckDBStore(tmp_path / "ingested.trackdb")
    ingest(sources["table"], ingested, name="movie")
    undisturbed = DuckDBStore(shutil.copytree(ingested.path, tmp_path / "undisturbed.trackdb"))
    config = Config(solve=SolveConfig(window=window))
    solve(undisturbed, undisturbed.detection_set(), config)
    solved, numbers = seen(undisturbed)
    rng = random.Random("solve")
    for kill in range(KILLS // 2 if window else KILLS):
        store = DuckDBStore(shutil.copytree(ingested.path, tmp_path / "killed.trackdb"))
        before = int(store.meta()["commits"])
        told = zygote.live("solve", window, store.path, commits=rng.randint(1, 6), then_s=rng.uniform(0, 0.03))
        assert "commit" in told
        assert int(store.meta()["commits"]) >= before + told.count("commit")
        visible, _ = seen(store)
        assert visible in ({}, solved), kill
        assert all("was not finished by" in problem.what for problem in check(store))
        if not visible:
            solve(store, store.detection_set(), config)
        assert seen(store) == (solved, numbers)
        if kill % 6 == 0:  # a second for each
            assert check(store) == []
        shutil.rmtree(store.path)


def test_a_posterior_killed_at_any_moment_can_be_given_again(zygote, sources, tmp_path):
    solved = DuckDBStore(tmp_path / "solved.trackdb")
    ingest(sources["table"], solved, name="movie")
    solve(solved, solved.detection_set())
    undisturbed = DuckDBStore(shutil.copytree(solved.path, tmp_path / "undisturbed.trackdb"))
    posterior(undisturbed, *undisturbed.find_solution())
    wanted = weighed(undisturbed)
    assert all(wanted)
    rng = random.Random("posterior")
    for kill in range(KILLS // 2):
        store = DuckDBStore(shutil.copytree(solved.path, tmp_path / "killed.trackdb"))
        told = zygote.live("posterior", "-", store.path, commits=rng.randint(1, 2), then_s=rng.uniform(0, 0.05))
        assert weighed(store) in (([], [], 0), wanted), kill
        assert all("posterior posterior-1 was not finished by" in problem.what for problem in check(store))
        if not weighed(store)[0]:
            assert "done" not in told
            posterior(store, *store.find_solution())
        assert weighed(store) == wanted
        assert check(store) == []
        shutil.rmtree(store.path)


def weighed(store):
    """The probabilities and outcomes that the views show, and the number of links that have one."""
    told = ask(store.path, "from probabilities order by all").rows.to_pylist()
    outcomes = ask(store.path, "from outcomes order by all").rows.to_pylist()
    links = ask(store.path, "select count(probability) as n from links").rows["n"].to_pylist()
    return told, outcomes, links[0]


def test_an_import_killed_at_any_moment_can_be_given_again(zygote, sources, tmp_path):
    ingested = DuckDBStore(tmp_path / "ingested.trackdb")
    ingest(sources["table"], ingested, name="movie")
    undisturbed = DuckDBStore(shutil.copytree(ingested.path, tmp_path / "undisturbed.trackdb"))
    import_tracking(sources["table"], undisturbed, undisturbed.detection_set(), name="theirs")
    wanted = seen(undisturbed)
    rng = random.Random("import")
    for kill in range(KILLS // 2):
        store = DuckDBStore(shutil.copytree(ingested.path, tmp_path / "killed.trackdb"))
        told = zygote.live(
            "import", sources["table"], store.path, commits=rng.randint(1, 2), then_s=rng.uniform(0, 0.05)
        )
        assert seen(store) in (seen(ingested), wanted), kill
        assert all("import theirs was not finished by" in problem.what for problem in check(store))
        if not seen(store)[0]:
            assert "done" not in told
            import_tracking(sources["table"], store, store.detection_set(), name="theirs")
        assert seen(store) == wanted
        assert check(store) == []
        shutil.rmtree(store.path)


def seen(store):
    """The links of solutions that the views show, and the counts of candidates and finished scores."""
    links = {}
    rows = ask(store.path, "select solution, source, target from links where solution <> 'truth' order by all").rows
    for row in rows.to_pylist():
        links.setdefault(row["solution"], []).append((row["source"], row["target"]))
    scored = ask(store.path, "select scores, count(*) as n from scores group by 1 order by 1").rows.to_pylist()
    candidates = ask(store.path, "select count(*) as n from candidates").rows.to_pylist()
    return links, (scored, candidates)
