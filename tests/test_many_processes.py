"""Many processes on one store: each is served, waits, or is told who holds it; a killed one leaves no lock behind.

``TRACKDB_CROWD`` is how many read at once, and half as often two others solve meanwhile; 2 by default.
"""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from platform import node

import pytest

import trackdb
from trackdb.engine.check import check
from trackdb.errors import StoreLockedError
from trackdb.storage import turns
from trackdb.storage.connection import holder_of
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.sandbox import ask
from trackdb.storage.turns import give_way, waiting_to_write

CROWD = int(os.environ.get("TRACKDB_CROWD", "2"))
PATIENCE_S = 60.0 + 30.0 * CROWD


class Other:
    """A program of `crowd` in a process of its own."""

    def __init__(self, *words):
        command = [sys.executable, "-m", "tests.crowd", *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def begun(self):
        assert json.loads(self.process.stdout.readline()) == {"ready": True}
        return self

    def result(self):
        # a few lines wait in the pipes; `communicate` would lose those that were read ahead
        self.process.wait(PATIENCE_S)
        assert self.process.returncode == 0, self.process.stderr.read()
        return json.loads(self.process.stdout.read())


def test_all_who_come_at_once_are_served(solved, drawn, tmp_path):
    """Readers, two who solve, one who brings a movie, one who answers: none is refused, and nothing is lost."""
    ended = tmp_path / "ended"
    with ExitStack() as stack:
        readers = [stack.enter_context(Other("read", solved.path, ended)) for _ in range(CROWD)]
        answering = stack.enter_context(Other("answer", solved.path, ended))
        for other in (*readers, answering):
            other.begun()
        solving = [stack.enter_context(Other("solve", solved.path, name, CROWD // 2)) for name in ("one", "two")]
        bringing = stack.enter_context(Other("bring", solved.path, drawn, "again")).begun()
        for other in solving:
            found = other.begun().result()
            assert found["done"], found
        assert bringing.result() == {"done": True}
        ended.touch()
        told = [reader.result() for reader in readers]
        said = answering.result()["said"]
    assert all(found["asked"] >= 2 and found["wrong"] == 0 for found in told), told
    assert said >= 2
    assert len(solved.decisions()) == said
    names = solved.solution_names(solved.detection_set("drawn"))
    assert names >= {f"{who}-{number}" for who in ("one", "two") for number in range(CROWD // 2)}
    assert {chosen.movie.name for chosen in solved.detection_sets()} == {"drawn", "again"}
    assert check(solved) == []


def test_the_same_work_is_done_once_and_names_who_is_at_it(solved):
    with Other("work", solved.path, "mine") as other:
        other.begun()
        pid = other.process.pid
        with pytest.raises(StoreLockedError) as refused:
            trackdb.open(solved.path, write=True).solve("greedy", name="mine")
        assert refused.value.details["held by"] == f"pid {pid} (trackdb solve) on {node()}"
        other.process.kill()
        other.process.wait()
    assert trackdb.open(solved.path, write=True).solve("greedy", name="mine").name == "mine"
    assert check(solved) == []


def test_who_holds_the_database_is_named_and_holds_nothing_once_it_is_killed(solved, monkeypatch):
    monkeypatch.setattr("trackdb.storage.sandbox.PATIENCE_S", 0.1)
    hurried = DuckDBStore(solved.path, patience_s=0.1)
    with Other("hold", solved.path) as other:
        other.begun()
        for asked in (hurried.detection_sets, lambda: ask(solved.path, "select 1")):
            with pytest.raises(StoreLockedError) as refused:
                asked()
            held = refused.value.details["held by"]
            assert held.startswith(f"pid {other.process.pid} (")
            assert held.endswith(f" on {node()}")
        other.process.kill()
        other.process.wait()
    assert ask(solved.path, "select 1 as n").rows["n"].to_pylist() == [1]
    with hurried.writing():
        pass


def test_a_query_that_runs_is_named_to_who_would_write(solved):
    asking = threading.Thread(target=ask, args=(solved.path, "select sleep_ms(3000)"))
    asking.start()
    deadline = time.monotonic() + PATIENCE_S
    while holder_of(solved.path / GRAPH) is None:  # a process is started for it first
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(StoreLockedError) as refused, DuckDBStore(solved.path).writing(patience_s=0.1):
        pass
    assert "(trackdb query)" in refused.value.details["held by"]
    with DuckDBStore(solved.path).writing(patience_s=PATIENCE_S):
        pass
    asking.join()


def test_readers_give_way_to_who_waits_to_write_but_not_for_ever(tmp_path):
    (tmp_path / "locks").mkdir()
    give_way(tmp_path, most_s=PATIENCE_S)  # nobody waits
    with waiting_to_write(tmp_path):
        started = time.perf_counter()
        give_way(tmp_path, most_s=0.1)
        assert time.perf_counter() - started >= 0.1
    started = time.perf_counter()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(waiting_to_write(tmp_path))
        second.enter_context(waiting_to_write(tmp_path))
        first.close()  # is served first: the other one waits on
        give_way(tmp_path, most_s=0.1)
        assert time.perf_counter() - started >= 0.1
    started = time.perf_counter()
    give_way(tmp_path, most_s=PATIENCE_S)
    assert time.perf_counter() - started < PATIENCE_S


def test_a_sign_that_cannot_be_raised_stops_nobody(tmp_path):
    with waiting_to_write(tmp_path / "no store"):
        give_way(tmp_path / "no store")
    (tmp_path / "locks").mkdir()
    (tmp_path / turns.SIGN).symlink_to(tmp_path / "outside")
    with waiting_to_write(tmp_path):
        give_way(tmp_path)
    assert not (tmp_path / "outside").exists()


def test_a_writer_finds_a_moment_among_readers_who_never_all_rest(solved):
    """Four threads of readers would leave hardly an instant at which nobody reads."""
    ended = threading.Event()

    def read_on():
        while not ended.is_set():
            ask(solved.path, "select sleep_ms(60)")

    ask(solved.path, "select 1")
    readers = [threading.Thread(target=read_on) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        time.sleep(0.5)
        started = time.perf_counter()
        with DuckDBStore(solved.path).writing(patience_s=PATIENCE_S):
            waited = time.perf_counter() - started
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert waited < PATIENCE_S / 2
