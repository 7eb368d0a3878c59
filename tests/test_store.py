"""The store: made once, refused politely, locked by name, and never half changed."""

import subprocess
import sys
import threading
from contextlib import contextmanager

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from trackdb.errors import (
    MissingRowsError,
    SchemaError,
    SolverError,
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreLockedError,
    StoreMissingError,
    VersionError,
)
from trackdb.storage import catalogue, founding, leases, tables
from trackdb.storage.connection import append, connect
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.own_schema import is_trusted

HOLD = "import duckdb, sys, time; c = duckdb.connect({file!r}); print('held', flush=True); "


def write_and_stop(store, write):
    """Write in a transaction that ends in an error."""
    with store.writing() as connection:
        write(connection)
        raise SolverError("stop")


@pytest.fixture
def store(tmp_path):
    made = DuckDBStore(tmp_path / "a.trackdb", patience_s=0.2)
    assert made.create()
    return made


def test_a_store_is_made_once(store):
    assert not store.create()
    assert store.meta()["schema_version"] == str(tables.SCHEMA_VERSION)


def test_every_table_of_the_data_model_is_there(store):
    with store.reading() as connection:
        there = {row[0] for row in connection.exec_driver_sql("select table_name from duckdb_tables()")}
    assert there == set(tables.metadata.tables)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(StoreExistsError, match="not a store"):
        DuckDBStore(tmp_path / "thesis").create()
    assert [f.name for f in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


def test_a_missing_store_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreMissingError, match="trackdb ingest"):
        DuckDBStore(tmp_path / "none.trackdb").check_version()


def test_a_newer_store_is_refused_with_both_versions(store):
    with duckdb.connect(store.path / GRAPH) as connection:  # past the store, which trusts what it has written itself
        connection.execute("update meta set value = '99' where key in ('schema_version', 'oldest_reader')")
    with pytest.raises(VersionError, match=f"version 99.*up to {tables.SCHEMA_VERSION}"):
        store.check_version()


def test_a_newer_store_that_old_readers_understand_is_opened(store):
    with duckdb.connect(store.path / GRAPH) as connection:
        connection.execute("update meta set value = '99' where key = 'schema_version'")
    store.check_version()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 500])
def test_a_damaged_store_is_named(store, content):
    (store.path / GRAPH).write_bytes(content)
    with pytest.raises(StoreDamagedError, match=str(store.path)):
        store.check_version()


def test_a_store_cut_short_is_damaged_or_refused_by_a_check(store):
    file = store.path / GRAPH
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(StoreDamagedError):
        store.check_version()


def test_the_holder_of_a_locked_store_is_named(store):
    hold = HOLD.format(file=str(store.path / GRAPH)) + "sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError, match=f"pid {child.pid}"):
            store.meta()
        child.stdin.close()
    assert store.meta()


def test_a_holder_that_lets_go_in_time_is_waited_for(tmp_path):
    store = DuckDBStore(tmp_path / "a.trackdb", patience_s=30)
    store.create()
    hold = HOLD.format(file=str(store.path / GRAPH)) + "time.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        assert store.meta()


def test_a_transaction_that_raises_leaves_nothing(store):
    before = store.meta()["commits"]
    rows = pa.table({"run_id": np.arange(3), "edge_id": np.arange(3), "score": np.ones(3, np.float32)})
    with pytest.raises(SolverError, match="stop"):
        write_and_stop(store, lambda connection: append(connection, tables.edge_score, rows))
    with store.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.edge_score)).scalar_one() == 0
    assert store.meta()["commits"] == before


def test_each_commit_is_counted(store):
    before = int(store.meta()["commits"])
    for _ in range(3):
        with store.writing():
            pass
    assert int(store.meta()["commits"]) == before + 3


def test_numbers_are_never_given_twice(store):
    with store.writing() as connection:
        assert catalogue.take_ids(connection, tables.edge, 10) == 1
    with pytest.raises(SolverError, match="stop"):
        write_and_stop(store, lambda connection: catalogue.take_ids(connection, tables.edge, 5))
    with store.writing() as connection:
        assert catalogue.take_ids(connection, tables.edge, 1) == 11


def test_a_run_is_pending_while_it_works_and_names_its_process(store):
    with store.running("score", "mine", {}) as run:
        [(pending, alive)] = store.unfinished()
        assert pending.id == run.id
        assert alive
        assert pending.process == store.process


def test_a_run_that_fails_keeps_the_reason(store):
    with pytest.raises(SchemaError), store.running("score", "mine", {}):
        raise SchemaError("three of two")
    [run] = store.runs()
    assert run.state == "failed"
    assert "three of two" in run.params["error"]


def test_a_run_whose_process_died_is_seen_and_replaced(store):
    die = (
        "import os; from pathlib import Path; from trackdb.storage.duckdb_store import DuckDBStore\n"
        f"with DuckDBStore(Path({str(store.path)!r})).running('score', 'mine', {{}}): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", die], check=False).returncode == 9
    [(left, alive)] = store.unfinished()
    assert not alive
    with store.running("score", "mine", {}) as again:
        assert again.id != left.id
        assert [run.id for run, alive in store.unfinished() if alive] == [again.id]
    assert {run.id: run.state for run in store.runs()}[left.id] == "failed"


def test_the_same_run_twice_at_once_is_refused(store):
    other = DuckDBStore(store.path, command="the other")
    with (
        store.running("score", "mine", {}),
        pytest.raises(StoreLockedError, match="under way"),
        other.running("score", "mine", {}),
    ):
        pass


def test_what_one_look_reads_comes_from_one_opening_of_that_store_alone(solved, store, monkeypatch):
    opened = []

    @contextmanager
    def counting(file, **how):
        opened.append(file.parent)
        with connect(file, **how) as connection:
            yield connection

    monkeypatch.setattr("trackdb.storage.duckdb_store.connect", counting)
    solved.check_version()
    with solved.looking():
        chosen = solved.detection_set()
        assert solved.count_detections(chosen) == len(solved.detections(chosen)) == 9
        assert store.detection_sets() == []
    assert opened == [solved.path, store.path]
    solved.meta()
    assert opened == [solved.path, store.path, solved.path]


def test_several_datasets_have_to_be_named(solved, drawn):
    from trackdb.engine.ingest import ingest

    ingest(drawn, solved, name="second")
    with pytest.raises(MissingRowsError, match="several datasets"):
        solved.detection_set()
    assert solved.detection_set("second").movie.name == "second"
    with pytest.raises(MissingRowsError, match="no dataset named third"):
        solved.detection_set("third")


def test_a_solution_goes_in_and_out_unchanged(solved):
    chosen, info = solved.find_solution(name="truth")
    table = solved.solution(info)
    assert table.track_id.tolist() == table.tracks.id[table.pre].tolist()
    assert len(table.node) == solved.count_detections(chosen) == 9
    assert len(table.edge) == 6
    assert sorted(table.tracks.n_children.tolist()) == [0, 0, 0, 0, 2]


def test_a_solution_name_is_taken_once(solved):
    chosen, info = solved.find_solution(name="ilp-1")
    with solved.running("solve", "again", {}, chosen=chosen) as run, pytest.raises(StoreExistsError, match="ilp-1"):
        solved.add_solution(run, info, solved.solution(info), {})
    assert list(solved.solutions(chosen)) == ["truth", "ilp-1"]


def test_an_open_reader_does_not_block_another_reader(store):
    with duckdb.connect(store.path / GRAPH, read_only=True):
        assert (
            subprocess.run(
                [sys.executable, "-c", f"import duckdb; duckdb.connect({str(store.path / GRAPH)!r}, read_only=True)"],
                check=False,
            ).returncode
            == 0
        )


@pytest.mark.parametrize("name", ["a b.trackdb", "a%20b.trackdb", "ü#&.trackdb", ":memory:"])
def test_a_store_is_at_the_place_that_was_named(tmp_path, name):
    made = DuckDBStore(tmp_path / name)
    assert made.create()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / GRAPH).exists()


def test_a_place_that_the_database_would_misread_is_refused(tmp_path):
    with pytest.raises(StoreError, match="with \\? in its name"):
        DuckDBStore(tmp_path / "q?x=1.trackdb").create()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        "delete from meta where key = 'oldest_reader'",
        "update meta set value = 'abc'",
        "update meta set value = '²' where key = 'schema_version'",
        "update meta set value = '0' where key = 'schema_version'",
        "update meta set value = repeat('9', 5000) where key = 'next_run'",
    ],
)
def test_a_store_without_facts_about_itself_is_damaged(store, spoil):
    with store.writing() as connection:
        connection.exec_driver_sql(spoil)
        connection.exec_driver_sql("insert into meta values ('commits', '1') on conflict do update set value = '1'")
    with pytest.raises(StoreDamagedError, match="lacks facts"):
        store.check_version()


@pytest.mark.parametrize("size", [0, 100, 3 * 4096 - 1])
def test_a_store_whose_making_broke_off_in_its_first_bytes_is_made_anew(tmp_path, size):
    path = tmp_path / "a.trackdb"
    path.mkdir()
    (path / GRAPH).write_bytes(bytes(size))
    assert DuckDBStore(path).create()
    assert DuckDBStore(path).meta()["commits"] == "1"


def test_a_disk_that_is_full_at_once_leaves_no_database(tmp_path):
    path = tmp_path / "a.trackdb"
    text = (
        "import resource, sys; from pathlib import Path; from trackdb.storage.duckdb_store import DuckDBStore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); DuckDBStore(Path(sys.argv[1])).create()"
    )
    said = subprocess.run([sys.executable, "-B", "-c", text, str(path)], capture_output=True, text=True, check=False)
    assert "the database refused" in said.stderr
    assert not (path / GRAPH).exists()


def test_a_log_that_goes_while_it_is_looked_at_is_no_error(store):
    """Another process merges the log, and removes it, at any moment."""
    log = store.path / f"{GRAPH}.wal"
    over = threading.Event()

    def come_and_go():
        while not over.is_set():
            log.touch()
            log.unlink()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(3000):
            is_trusted(store.path / GRAPH)
    finally:
        over.set()
        other.join()


def test_a_database_that_is_gone_is_said_to_be_and_no_empty_one_is_made(store):
    (store.path / GRAPH).unlink()
    with pytest.raises(StoreMissingError, match="holds no store"), store.writing():
        pass
    assert not (store.path / GRAPH).exists()
    with pytest.raises(StoreMissingError):
        store.discard_if_empty()
    assert not (store.path / GRAPH).exists()


def test_who_waits_for_a_lock_whose_folder_goes_meanwhile_makes_it_anew(tmp_path, monkeypatch):
    acquire = leases.FileLock.acquire
    taken_away = []

    def late(lock, **how):
        if not taken_away:  # by whoever had the lock, with an empty store
            taken_away.append((tmp_path / leases.LOCKS).rmdir())
            raise FileNotFoundError(lock.lock_file)
        return acquire(lock, **how)

    monkeypatch.setattr(leases.FileLock, "acquire", late)
    with leases.lease(tmp_path, "founding", holder="another"):
        assert leases.is_held(tmp_path, "founding")


def test_a_store_that_is_made_while_an_empty_one_is_taken_away_stays(store, monkeypatch):
    """Whoever makes it waits until nothing of the empty one is left, and loses nothing of his."""
    makers = []
    connect = founding.connect

    @contextmanager
    def slow_to_close(*where, **how):
        with connect(*where, **how) as connection:
            yield connection
        if how["write"] and not makers:  # both files are gone by now
            makers.append(threading.Thread(target=DuckDBStore(store.path).create))
            makers[0].start()
            makers[0].join(0.5)

    monkeypatch.setattr(founding, "connect", slow_to_close)
    store.discard_if_empty()
    makers[0].join()
    assert DuckDBStore(store.path).meta()["commits"] == "1"
