"""A review ends soon after it is interrupted, also while a thread reads or computes what takes minutes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from threading import Thread

import httpx
import pytest

from trackdb.storage.founding import GRAPH

from .command_line import run
from .movies import copied
from .reviews import Tab, address_of

pytest.importorskip("starlette", reason="needs the review: pip install -c constraints.txt '.[review]'")
pytest.importorskip("uvicorn", reason="needs the review: pip install -c constraints.txt '.[review]'")
pytestmark = pytest.mark.usefixtures("own_home_and_log")

ENDS_S = 2.0
SLOW_S = 8.0  # that a machine with other work may add
BLOCKED = """
import sys, time
from trackdb.engine.review import session
def blocked(*_, **__):
    print("at work", flush=True)
    time.sleep(600)
{}
from trackdb.cli.main import run
sys.argv[0] = "trackdb"
run()
"""


@pytest.fixture(scope="module")
def reviewable(tmp_path_factory, solved_once):
    """A store of the drawn movie with a posterior; nothing is written to it."""
    place = copied(solved_once.path, tmp_path_factory.mktemp("ends") / "movie.trackdb")
    run("posterior", place)
    return place


@contextmanager
def blocked_server(store, output, what):
    """Run a review of which some part never comes to an end once it has begun."""
    words = ["review", str(store), "--as", "ana", "--port", "0", "--no-browser"]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED.format(f"session.{what} = blocked"), *words],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def wait_for(output, text):
    for _ in range(1200):
        if text in output.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(output.read_text())


def ends(process, number):
    """Interrupt a process, and return what it returns; it has ended by then, or the test fails."""
    begun = time.monotonic()
    process.send_signal(number)
    code = process.wait(ENDS_S + SLOW_S)
    assert time.monotonic() - begun < ENDS_S + SLOW_S
    return code


def ask_in_vain(tab):
    with suppress(httpx.HTTPError):
        tab.get("/api/stats")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_reads_a_newer_solution_ends(reviewable, tmp_path, number):
    output = tmp_path / "printed.txt"
    with blocked_server(reviewable, output, "ReviewSession.reload") as process:
        address_of(process, output)
        os.utime(reviewable / GRAPH)
        wait_for(output, "at work")
        assert ends(process, number) == 0
    assert "0 answers by ana" in output.read_text()
    assert "Traceback" not in output.read_text()


def test_a_server_with_a_request_under_way_ends(reviewable, tmp_path):
    output = tmp_path / "printed.txt"
    with (
        blocked_server(reviewable, output, "ReviewSession.stats") as process,
        Tab(address_of(process, output)) as tab,
    ):
        asking = Thread(target=ask_in_vain, args=[tab], daemon=True)
        asking.start()
        wait_for(output, "at work")
        assert ends(process, signal.SIGINT) == 0
        asking.join(20)
    assert "0 answers by ana" in output.read_text()
    assert "Traceback" not in output.read_text()


def test_a_review_that_is_being_opened_ends(reviewable, tmp_path):
    output = tmp_path / "printed.txt"
    with blocked_server(reviewable, output, "read_material") as process:
        wait_for(output, "at work")
        assert ends(process, signal.SIGINT) == 130
    assert output.read_text() == "at work\nAborted.\n"
