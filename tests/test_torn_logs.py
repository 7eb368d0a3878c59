"""A log of the database of which pieces are missing is cut where it is torn, if nothing goes that anybody heard of."""

import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.check import check
from trackdb.errors import StoreDamagedError
from trackdb.storage import torn_logs
from trackdb.storage.checkpoints import log_of
from trackdb.storage.commit_notes import COMMITS, notes
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH

from .command_line import refusal, run

PIECE = 4096
# Commits once, and dies before that is noted, or behind it; the log is not merged in either case.
DYING = """
import os, random, sys
from pathlib import Path
from trackdb.storage import commits
from trackdb.storage.duckdb_store import DuckDBStore
note = commits.note
def die(*words):
    committed = Path(sys.argv[1], "graph.duckdb.wal").exists()
    if not committed or sys.argv[2] == "noted":
        note(*words)
    if committed:
        os._exit(0)
commits.note = die
with DuckDBStore(Path(sys.argv[1])).writing() as connection:
    for number in range(40):
        told = random.Random(number).randbytes(400).hex()  # DuckDB's checksum takes no notice of words that repeat
        connection.exec_driver_sql(f"insert into meta values ('told {number}', '{told}')")
"""


def dying(movie, folder, when):
    path = shutil.copytree(movie.path, folder / when / "movie.trackdb")
    subprocess.run([sys.executable, "-c", DYING, path, when], check=True)
    assert log_of(path / GRAPH).stat().st_size > 4 * PIECE
    return path


@pytest.fixture(scope="module")
def made(movie, tmp_path_factory):
    """Stores with a commit in the log alone, by whether it was noted; and how many commits they had before."""
    folder = tmp_path_factory.mktemp("dying")
    return {when: dying(movie, folder, when) for when in ("unheard", "noted")}, int(movie.meta()["commits"])


@pytest.fixture
def torn(made, tmp_path):
    """Such a store whose commit nobody heard of, a piece of its log missing; and the commits before."""
    stores, count = made
    path = shutil.copytree(stores["unheard"], tmp_path / "movie.trackdb")
    lose(path, [1])
    return path, count


def lose(path, pieces):
    """Lose pieces of the log of a store: a disk gives zeros where nothing was written."""
    with log_of(path / GRAPH).open("r+b") as stream:
        for piece in pieces:
            stream.seek(piece * PIECE)
            stream.write(bytes(PIECE))


def commits(path):
    return int(DuckDBStore(path).meta()["commits"])


@settings(max_examples=12)
@given(st.sets(st.integers(0, 4), min_size=1))
def test_whatever_is_missing_of_a_commit_that_nobody_heard_of_the_store_is_as_before(made, tmp_path_factory, pieces):
    stores, count = made
    path = shutil.copytree(stores["unheard"], tmp_path_factory.mktemp("torn") / "movie.trackdb")
    lose(path, pieces)
    assert commits(path) == count
    assert check(DuckDBStore(path)) == []
    shutil.rmtree(path.parent)


def test_a_store_with_a_torn_log_is_read_and_written_as_ever(torn):
    path, count = torn
    assert f"{log_of(path / GRAPH)} was torn at byte " in run("info", path).stderr
    with DuckDBStore(path).writing() as connection:
        connection.exec_driver_sql("update dataset set source = 'x'")
    assert commits(path) == count + 1 == notes(path)[-1].number
    assert not [name for name in os.listdir(path) if name.endswith(".partial")]


def test_where_a_disk_knows_no_links_the_database_is_copied(torn, monkeypatch):
    path, count = torn

    def refused(link, target):
        raise PermissionError(1, "Operation not permitted", str(link))

    monkeypatch.setattr(type(path), "hardlink_to", refused)
    assert commits(path) == count


def test_a_commit_that_was_acknowledged_is_not_cut_off(made, tmp_path):
    stores, count = made
    path = shutil.copytree(stores["noted"], tmp_path / "movie.trackdb")
    assert commits(path) == count + 1
    path = shutil.copytree(stores["noted"], tmp_path / "torn.trackdb")
    lose(path, [1])
    before = log_of(path / GRAPH).read_bytes()
    said = refusal("info", path, code=3)
    assert "it is damaged" in said
    assert "restore the store from a copy" in said
    assert log_of(path / GRAPH).read_bytes() == before


def test_without_notes_nobody_can_tell_what_was_acknowledged(torn):
    path, _ = torn
    (path / COMMITS).unlink()
    before = log_of(path / GRAPH).read_bytes()
    with pytest.raises(StoreDamagedError, match="it is damaged"):
        DuckDBStore(path).meta()
    assert log_of(path / GRAPH).read_bytes() == before


def test_a_store_of_an_older_trackdb_is_noted_before_its_first_commit(movie, tmp_path):
    path = shutil.copytree(movie.path, tmp_path / "older" / "movie.trackdb")
    (path / COMMITS).unlink()
    count = commits(path)
    subprocess.run([sys.executable, "-c", DYING, path, "unheard"], check=True)
    lose(path, [2])
    assert [note.number for note in notes(path)] == [count]
    assert commits(path) == count


def test_who_may_not_write_is_told_who_can_mend_it(torn, monkeypatch):
    path, _ = torn

    def refused(file):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(torn_logs, "held", refused)
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK)
    with pytest.raises(StoreDamagedError, match="a write of it was cut short, and only who may write it can undo that"):
        DuckDBStore(path).meta()


def test_a_log_that_somebody_mends_meanwhile_is_left_to_him(torn, monkeypatch):
    path, count = torn
    file, holding = path / GRAPH, torn_logs.held

    def late(place):
        os.truncate(log_of(place), 0)  # another process was here
        return holding(place)

    monkeypatch.setattr(torn_logs, "held", late)
    assert commits(path) == count
    assert log_of(file).stat().st_size == 0


def test_who_mends_it_at_this_moment_is_waited_for(torn, monkeypatch):
    path, count = torn

    def taken(place):
        os.truncate(log_of(place), 0)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(torn_logs, "held", taken)
    assert commits(path) == count


def test_what_is_said_of_something_else_is_no_torn_log(torn):
    path, _ = torn
    before = log_of(path / GRAPH).read_bytes()
    assert not torn_logs.cut_torn_log(path / GRAPH, "IO Error: Could not set lock on file")
    assert log_of(path / GRAPH).read_bytes() == before
