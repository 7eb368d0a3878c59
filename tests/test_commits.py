"""A write-ahead log that is cut or deleted is noticed: commits are counted beside the database, too."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from platform import node

import pytest

from trackdb.engine.check import check
from trackdb.engine.database import open as open_database
from trackdb.engine.pipeline import link
from trackdb.errors import StoreDamagedError
from trackdb.storage import commit_notes
from trackdb.storage.commit_notes import COMMITS, notes
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH

from .command_line import answer, refusal, run

WAL = f"{GRAPH}.wal"
# Commits once and dies before the log is merged into the file.
COMMITTING = """
import os, sys
from pathlib import Path
from platform import node
from trackdb.storage import commits
from trackdb.storage.duckdb_store import DuckDBStore
noted = commits.note
def note_and_die(*words):
    noted(*words)
    os._exit(0)
commits.note = note_and_die
with DuckDBStore(Path(sys.argv[1]), command="trackdb solve").writing() as connection:
    connection.exec_driver_sql("update dataset set source = 'x'")
"""


@pytest.fixture
def store(movie, tmp_path):
    """A store of its own, with the dividing cells."""
    return DuckDBStore(shutil.copytree(movie.path, tmp_path / "movie.trackdb"), command="trackdb link")


@pytest.fixture(scope="module")
def with_log(movie, tmp_path_factory):
    """A store whose last commit stands in the log alone, and how many it has."""
    path = shutil.copytree(movie.path, tmp_path_factory.mktemp("log") / "movie.trackdb")
    before = int(movie.meta()["commits"])
    subprocess.run([sys.executable, "-c", COMMITTING, path], check=True)
    assert (path / WAL).stat().st_size > 100
    return path, before + 1


@pytest.fixture
def logged(with_log, tmp_path):
    """A copy of that store, and how many commits it has."""
    path, count = with_log
    return shutil.copytree(path, tmp_path / "movie.trackdb"), count


def cut_tail(wal):
    os.truncate(wal, wal.stat().st_size - 5)


HARMS = {
    "deleted": lambda wal: wal.unlink(),
    "cut in the tail": cut_tail,
    "cut in half": lambda wal: os.truncate(wal, wal.stat().st_size // 2),
    "emptied": lambda wal: os.truncate(wal, 0),
}


def test_every_commit_is_noted(store):
    before = notes(store.path)
    assert [note.number for note in before] == list(range(1, int(store.meta()["commits"]) + 1))
    link(store, store.detection_set())
    new = notes(store.path)[len(before) :]
    assert [note.number for note in new] == [before[-1].number + 1, before[-1].number + 2]
    assert {note.by for note in new} == {store.process}


def test_a_log_that_is_whole_loses_nothing(logged):
    path, count = logged
    store = DuckDBStore(path)
    store.check_version()
    assert int(store.meta()["commits"]) == notes(path)[-1].number == count
    assert check(store) == []


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_harmed_log_is_told_with_what_is_lost_and_what_to_do(logged, harm):
    path, count = logged
    harm(path / WAL)
    said = refusal("info", path, code=3)
    assert f"{path} has lost its last commit: pid " in said
    assert f"(trackdb solve) on {node()} at 20" in said
    assert "graph.duckdb.wal was cut or deleted" in said
    assert f"remove {path / COMMITS}" in said
    with pytest.raises(StoreDamagedError, match="has lost its last commit"):
        open_database(path)
    found = answer("check", path, code=5)
    assert [p["what"].partition(":")[0] for p in found["problems"]] == ["the store has lost its last commit"]
    assert int(DuckDBStore(path).meta()["commits"]) == count - 1


def test_nothing_is_written_over_a_loss_that_would_hide_it(logged):
    path, count = logged
    (path / WAL).unlink()
    store = DuckDBStore(path)
    with pytest.raises(StoreDamagedError, match="has lost its last commit"):
        link(store, store.detection_set())
    assert int(store.meta()["commits"]) == count - 1
    (path / COMMITS).unlink()
    run("link", path)
    assert check(store) == []
    assert notes(path)[-1].number == count + 1


def test_an_older_copy_of_the_database_alone_is_noticed(store, tmp_path):
    shutil.copy(store.path / GRAPH, tmp_path / "older")
    link(store, store.detection_set())
    shutil.copy(tmp_path / "older", store.path / GRAPH)
    [problem] = check(store)
    assert problem.what.startswith("the store has lost its last 2 commits: pid ")


def test_a_store_that_lost_its_founding_is_not_made_anew(tmp_path):
    store = DuckDBStore(tmp_path / "new.trackdb")
    store.create()
    (store.path / GRAPH).write_bytes(b"")
    with pytest.raises(StoreDamagedError, match="has lost its last commit"):
        store.create()
    (store.path / COMMITS).unlink()
    assert store.create()


def test_a_store_of_an_older_trackdb_has_no_notes_and_gets_some(store):
    (store.path / COMMITS).unlink()
    assert check(store) == []
    link(store, store.detection_set())
    assert [note.number for note in notes(store.path)][-1] == int(store.meta()["commits"])


def test_a_torn_note_is_none(store):
    whole = notes(store.path)
    with (store.path / COMMITS).open("ab") as stream:
        stream.write(b'{"commit": 1')
    assert notes(store.path) == whole
    link(store, store.detection_set())
    assert notes(store.path)[: len(whole)] == whole
    assert len(notes(store.path)) == len(whole) + 2


@pytest.mark.parametrize(
    "line",
    ['{"commit": Infinity, "at": "", "by": ""}', "[" * 100_000, '{"commit": %s, "at": "", "by": ""}' % ("9" * 5000)],
)
def test_a_line_that_is_no_note_of_ours_is_none(store, line):
    whole = notes(store.path)
    with (store.path / COMMITS).open("a") as stream:
        stream.write(f"{line}\n")
    assert notes(store.path) == whole


def test_of_a_file_that_a_stranger_made_long_the_end_is_read(store):
    whole = notes(store.path)
    text = (store.path / COMMITS).read_bytes()
    with (store.path / COMMITS).open("wb") as stream:
        stream.seek(50 << 20)  # a hole: zeros that take no room
        stream.write(b"\n" + text)
    tracemalloc.start()
    assert notes(store.path) == whole
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_the_notes_do_not_grow_for_ever(tmp_path):
    for number in range(1, 3000):
        commit_notes.note(tmp_path, number, "pid 1 (trackdb ingest)" + " " * 60)
    kept = notes(tmp_path)
    assert kept[-1].number == 2999
    assert commit_notes.KEPT <= len(kept) < 2000
    assert [note.number for note in kept] == list(range(kept[0].number, 3000))
    assert os.listdir(tmp_path) == [COMMITS]


def test_of_many_lost_commits_the_last_three_are_named():
    noted = [commit_notes.Commit(number, f"{number} o'clock", f"pid {number}") for number in range(1, 7)]
    assert commit_notes.loss(noted, 6) is None
    assert commit_notes.loss(noted, 5) == "its last commit: pid 6 at 6 o'clock"
    last = "pid 4 at 4 o'clock, pid 5 at 5 o'clock, pid 6 at 6 o'clock"
    assert commit_notes.loss(noted, 3) == f"its last 3 commits: {last}"
    assert commit_notes.loss(noted, 2) == f"its last 4 commits: ... {last}"


def test_a_disk_that_takes_no_note_keeps_the_work(store, caplog):
    (store.path / COMMITS).unlink()
    (store.path / COMMITS).mkdir()
    with pytest.raises(StoreDamagedError, match=r"commits.jsonl cannot be read"):
        link(store, store.detection_set())
    commit_notes.note(store.path, 7, "pid 1")
    assert "commits.jsonl could not be written" in caplog.text


def test_notes_are_lines_of_json(store):
    first = (store.path / COMMITS).read_text().splitlines()[0]
    assert set(json.loads(first)) == {"commit", "at", "by"}
