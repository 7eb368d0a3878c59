"""What a review hears while it runs: that the store cannot be read is told once, and that it can be again, too."""

import asyncio

import pytest

from trackdb.errors import MissingRowsError, StoreLockedError
from trackdb.storage.founding import GRAPH

pytest.importorskip("starlette", reason="needs the review: pip install -c constraints.txt '.[review]'")
pytest.importorskip("uvicorn", reason="needs the review: pip install -c constraints.txt '.[review]'")

from trackdb.server import serving
from trackdb.server.serving import Watch


class Told:
    """Keeps what pages are told."""

    def __init__(self):
        self.events = []

    def tell(self, name, data):
        self.events.append((name, data.get("message")))


class Solved:
    """A session of which each look ends as it is told: an error, or whether the store was solved again."""

    revision = "second/first/3-9"

    def __init__(self, *looks):
        self.looks = list(looks)
        self.rounds = 0

    def hear(self):
        self.rounds += 1
        return []

    def solved_again(self):
        return None

    def reload(self, progress=None):
        look = self.looks.pop(0) if self.looks else False
        if isinstance(look, Exception):
            raise look
        if look:
            progress.start("weighing")
        return look


def told_in(folder, monkeypatch, *looks):
    """Return what pages are told when the tables change before each of some looks."""
    monkeypatch.setattr(serving, "LOOK_S", 0.0)
    graph = folder / GRAPH
    graph.touch()
    session, events = Solved(*looks), Told()
    watch = Watch(session, folder, events)

    async def until_all_looked():
        running = asyncio.create_task(watch.run())
        size = 0
        while session.looks:
            size += 1
            graph.write_bytes(b"x" * size)
            await asyncio.sleep(0.01)
        last = session.rounds
        while session.rounds == last and not running.done():  # what the last look told is told before the next
            await asyncio.sleep(0.01)
        assert not running.done()
        running.cancel()

    asyncio.run(until_all_looked())
    return events.events


def test_a_solution_without_a_posterior_is_told_once_and_the_review_goes_on(tmp_path, monkeypatch):
    missing = MissingRowsError("second has no posterior")
    found = told_in(tmp_path, monkeypatch, missing, missing, missing, True)
    assert found == [
        ("busy", "second has no posterior"),
        ("busy", "the store was solved again: weighing; questions go on meanwhile"),
        ("store", "solved again: questions are of second and first now"),
    ]


def test_it_is_told_again_when_it_comes_back(tmp_path, monkeypatch):
    missing = MissingRowsError("second has no posterior")
    found = told_in(tmp_path, monkeypatch, missing, False, missing, False)
    assert [name for name, _ in found] == ["busy", "busy"]


def test_a_store_that_another_writes_is_busy_until_it_is_free(tmp_path, monkeypatch):
    locked = StoreLockedError("the store is being written")
    found = told_in(tmp_path, monkeypatch, locked, locked, False)
    assert found == [("busy", "the store is being written"), ("free", None)]
