"""A review server that is killed at any moment has every answer that it acknowledged, and goes on where it was."""

import os
import random
import signal
import subprocess
import sys
import uuid
from collections import Counter

import httpx
import pytest

from trackdb.storage.decisions import live
from trackdb.storage.duckdb_store import DuckDBStore

from .faults import Counts, keep
from .reviews import Tab, jostling_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked"),
    pytest.mark.usefixtures("own_home_and_log"),
]

KILLS = int(os.environ.get("TRACKDB_REVIEW_KILLS", "5"))  # `make faults` takes many more
# Everything is imported once; each life is a fork that opens the store and serves it until it is killed.
ZYGOTE = """
import os, sys
from pathlib import Path
from trackdb.engine.config import load_config
from trackdb.engine.review.session import ReviewSession
from trackdb.server import serving
from trackdb.storage.duckdb_store import DuckDBStore

print("ready", flush=True)
for line in sys.stdin:
    if os.fork() == 0:
        path = Path(line.strip())
        session = ReviewSession(DuckDBStore(path), load_config(path), who="ana")
        serving.serve(session, path, port=0, opened=lambda address: print(os.getpid(), address, flush=True))
        os._exit(0)
"""


@pytest.fixture
def path(tmp_path):
    return jostling_store(tmp_path)


@pytest.fixture
def zygote():
    with subprocess.Popen(
        [sys.executable, "-c", ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def born(zygote, path):
    """Return the process and the address of a new server."""
    zygote.stdin.write(f"{path}\n")
    zygote.stdin.flush()
    pid, url = zygote.stdout.readline().split()
    return int(pid), url


def test_every_acknowledged_answer_survives_kills_at_random_moments(path, zygote):
    rng = random.Random(1)
    acknowledged = []
    for _ in range(KILLS):
        pid, url = born(zygote, path)
        with Tab(url) as tab:
            assert tab.state["progress"]["answered"] == len(live(DuckDBStore(path).decisions()))
            moment = f"sleep {rng.uniform(0, 0.05):.3f}; kill -9 {pid}"
            acknowledged += answered_before_its_death(tab, moment, after=rng.randint(0, 6))
    said = DuckDBStore(path).decisions()
    assert set(acknowledged) <= {d.key for d in said}
    assert [d.seq for d in said] == list(range(1, len(said) + 1))
    assert len(said) - len(acknowledged) <= KILLS  # of each life at most what was under way
    assert len(acknowledged) > KILLS
    keep(Counts("review, a server killed at random moments", counted=Counter(kills=KILLS)))


def answered_before_its_death(tab, killing, *, after):
    """Answer and undo without a pause until the server is gone, and return the keys that it acknowledged.

    The killing begins `after` so many of them: a slow machine gets as far as a fast one.
    """
    kept, rng, killer = [], random.Random(tab.state["n_entries"]), None
    while True:
        if killer is None and len(kept) == after:
            killer = subprocess.Popen(["sh", "-c", killing])
        key = str(uuid.uuid4())
        try:
            if tab.question is None or rng.random() < 0.2:
                reply = tab.post("/api/undo", {"key": key, "client": "tab"})
            else:
                reply = tab.answer(key=key)
            if reply.status_code == 200:
                kept.append(key)
                continue
            assert reply.json()["error"]["code"] == "nothing_to_undo", reply.text
            tab.state = tab.get("/api/session", client="tab")
        except httpx.TransportError:
            assert killer is not None  # else it ended by itself
            killer.wait()
            return kept


def test_a_torn_end_of_a_line_is_no_answer(path, zygote):
    pid, url = born(zygote, path)
    with Tab(url) as tab:
        assert tab.answer().status_code == 200
        os.kill(pid, signal.SIGKILL)
    [file] = (path / "annotations").glob("*.jsonl")
    whole = file.read_bytes()
    with file.open("ab") as stream:
        stream.write(whole[: len(whole) // 2])
    pid, url = born(zygote, path)
    with Tab(url) as tab:
        assert tab.state["progress"]["answered"] == 1
        assert tab.answer().status_code == 200
        os.kill(pid, signal.SIGKILL)
    assert [d.seq for d in DuckDBStore(path).decisions()] == [1, 2]
    assert file.read_bytes().startswith(whole)
