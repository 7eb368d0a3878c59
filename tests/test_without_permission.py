"""Who may only read a store is told which file he may not write, and what helps."""

import os
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import duckdb
import pytest
from filelock import FileLock

from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.connection import explained
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.leases import is_held, lease
from trackdb.storage.log_files import ANNOTATIONS

from .command_line import refusal
from .movies import jostling_cells, write_rows

COPY = "work on a copy: cp -r"


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A store with a solution; it is copied, never written."""
    folder = tmp_path_factory.mktemp("allowed")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", jostling_cells(seed=3)), store)
    solve(store, store.detection_set())
    return store.path


@pytest.fixture
def store(solved, tmp_path):
    """The path of a copy of that store."""
    return shutil.copytree(solved, tmp_path / "movie.trackdb")


def refused(lock, timeout=None):
    raise PermissionError(13, "Permission denied", lock.lock_file)


@pytest.fixture
def locked(monkeypatch):
    """Locks that the system does not let anybody take."""

    monkeypatch.setattr(FileLock, "acquire", refused)


@pytest.mark.parametrize(
    "words", [("annotate", "17", "--ends", "--as", "ana"), ("annotations", "undo", "--as", "ana")], ids=["say", "undo"]
)
def test_who_may_not_take_the_lock_is_told_which_file_and_what_helps(store, locked, words):
    command, *rest = words
    place = (rest[0], store, *rest[1:]) if command == "annotations" else (store, *rest)
    said = refusal(command, *place, code=3)
    assert f"{store}/locks/decisions.lock could not be written" in said
    assert "reason  Permission denied" in said
    assert f"chmod -R u+w {store} as its owner, or {COPY} {store} movie-copy.trackdb" in said


def test_who_may_not_write_the_log_is_told_the_same(store, monkeypatch):
    def mkdir(path, *args, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(store), "mkdir", mkdir)
    log = store / ANNOTATIONS
    monkeypatch.setattr("trackdb.storage.decision_log.lease", lambda *args, **options: nullcontext())
    said = refusal("annotate", store, "17", "--ends", "--as", "ana", code=3)
    assert f"{log} could not be written" in said
    assert COPY in said


def test_what_the_database_says_of_permissions_is_told_in_words(store):
    file = store / "graph.duckdb"
    error = explained(duckdb.IOException(f'IO Error: Cannot open file "{file}": Permission denied'), file)
    assert str(error).startswith(f"{file} could not be written; reason: no permission; try: chmod -R u+w {store}")
    assert "IO Error" not in str(error)


def test_a_store_that_may_not_even_be_read_is_told_so(store, monkeypatch):
    file = store / "graph.duckdb"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    error = explained(duckdb.IOException(f'IO Error: Cannot open file "{file}": Permission denied'), file)
    assert str(error) == f"{file} could not be read; reason: no permission; try: chmod -R a+rX {store} as its owner"


def test_on_a_disk_that_is_read_only_no_permission_helps(store):
    file = store / "graph.duckdb"
    error = explained(duckdb.IOException(f'IO Error: Cannot open file "{file}": Read-only file system'), file)
    assert str(error).startswith(f"{file} could not be written; reason: the disk is read-only; try: {COPY} {store}")
    assert f"chmod -R u+w {store}" not in str(error)


def test_a_disk_that_is_full_is_no_matter_of_permissions(store, monkeypatch):
    def mkdir(path, *args, **options):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(type(store), "mkdir", mkdir)
    monkeypatch.setattr("trackdb.storage.decision_log.lease", lambda *args, **options: nullcontext())
    said = refusal("annotate", store, "17", "--ends", "--as", "ana", code=3)
    assert "No space left on device" in said
    assert "chmod" not in said


def test_who_may_only_look_sees_who_is_at_work(store, monkeypatch):
    """To take the lock one would have to write its file."""
    with lease(store, "run-7", holder="me"):
        opened = os.open

        def read_only(path, flags, *mode, **where):
            if str(path).endswith(".lock") and flags & (os.O_WRONLY | os.O_RDWR):
                raise PermissionError(13, "Permission denied", str(path))
            return opened(path, flags, *mode, **where)

        monkeypatch.setattr(os, "open", read_only)
        assert is_held(store, "run-7")
    assert not is_held(store, "run-7")
    assert not is_held(store, "run-8")


@pytest.mark.parametrize("name", ["", "graph.duckdb", "locks"])
@pytest.mark.parametrize(
    ("flags", "told"), [(0, "Permission denied"), (os.ST_RDONLY, "Read-only file system")], ids=["mode", "disk"]
)
def test_who_may_not_write_is_told_so_before_a_tracking_is_read(store, monkeypatch, tmp_path, name, flags, told):
    place, allowed = store / name, os.access
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (place, os.W_OK) and allowed(path, mode))
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=flags))
    monkeypatch.setattr("trackdb.engine.imports.importing.read_tracking", lambda *_, **__: pytest.fail("it is read"))
    (tmp_path / "theirs.csv").write_text("t,y,x,track\n0,1,1,1\n1,1,1,1\n")
    said = refusal("import", store, tmp_path / "theirs.csv", code=3)
    assert f"{place} could not be written" in said
    assert f"reason  {told}" in said
    assert COPY in said
