"""Checkpoints cut short: whatever one had written by then, all that was committed is there at the next opening."""

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import StoreDamagedError
from trackdb.storage import checkpoints, instance
from trackdb.storage.checkpoints import HEADERS, has_log, undo_of, undo_unfinished
from trackdb.storage.connection import connect
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.instance import opened
from trackdb.storage.sandbox import ask

BLOCK = 262_144
KEPT = 5  # tables whose metadata the old head leads to


@dataclass(frozen=True)
class Checkpoint:
    """A database with commits in its log, and what the checkpoint that merges it makes of its bytes."""

    before: bytes
    after: bytes
    log: bytes
    undo: bytes

    def blocks(self):
        """Return the numbers of the blocks that it writes over, and of those that it adds."""
        numbers = range((len(self.after) - HEADERS) // BLOCK)
        return [n for n in numbers if block(self.before, n) != block(self.after, n)]


def block(content, number):
    return content[HEADERS + number * BLOCK : HEADERS + (number + 1) * BLOCK]


def write(file, number):
    with opened(file, write=True) as connection:
        connection.execute(f"create table t{number} as select range as n, random() as x from range({1000 * number})")
        if number > 2:
            connection.execute(f"delete from t{number - 2} where n % 3 = 0")
            connection.execute(f"update t{number - 1} set x = 1 where n % 2 = 0")
        if number > 3:  # its blocks are free from the next head on
            connection.execute(f"drop table t{number - 3}")


def told(file):
    """Return what all tables of a database hold."""
    with opened(file, write=False) as connection:
        names = [name for (name,) in connection.execute("select table_name from duckdb_tables() order by 1").fetchall()]
        return [
            connection.execute(f"select '{name}', count(*), sum(n), sum(x) from {name}").fetchone() for name in names
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A database of five tables whose log holds two commits more, the checkpoint, and what the tables hold."""
    file = tmp_path_factory.mktemp("made") / "graph.duckdb"
    for number in range(1, KEPT + 1):
        write(file, number)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(instance, "merge_log", lambda *_: None)
        write(file, KEPT + 1)
        write(file, KEPT + 2)
    before, rows, kept = file.read_bytes(), told(file), []
    log = file.with_name("log")
    log.hardlink_to(log_of(file))  # to see what the checkpoint adds to it
    with pytest.MonkeyPatch.context() as patched:
        keep = type(file).unlink
        patched.setattr(
            type(file), "unlink", lambda path, **_: kept.append(path.read_bytes()) if path.exists() else None
        )
        with opened(file, write=True):
            pass
        patched.setattr(type(file), "unlink", keep)
    return Checkpoint(before, file.read_bytes(), log.read_bytes(), kept[-1]), rows


def log_of(file):
    return file.with_name(f"{file.name}.wal")


def put(file, content, made, *, undo=True):
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    log_of(file).write_bytes(made.log)
    undo_of(file).unlink(missing_ok=True)
    if undo:
        undo_of(file).write_bytes(made.undo)


def cut_short(made, how):
    """Return the database as a checkpoint leaves it that has not written its head; `how` is said for each block.

    That is from which byte to which the new block stands in the old one.
    """
    content = bytearray(made.before.ljust(len(made.after), b"\0"))
    for number, (start, end) in zip(made.blocks(), how, strict=True):
        first = HEADERS + number * BLOCK
        content[first + start : first + end] = block(made.after, number)[start:end]
    return bytes(content)


def page(made):
    """Return a cut behind the first page of each block, which a checksum over all of the block sees."""
    return cut_short(made, [(0, 4096)] * len(made.blocks()))


def test_a_checkpoint_writes_over_metadata_that_the_old_head_leads_to(made, tmp_path):
    """Else none of this was needed."""
    checkpoint, _ = made
    file = tmp_path / "graph.duckdb"
    put(file, page(checkpoint), checkpoint, undo=False)
    with pytest.raises(duckdb.Error, match="checksum"):
        told(file)


def test_a_checkpoint_writes_over_nothing_else_that_the_old_head_leads_to(made, tmp_path):
    """Else another version of DuckDB does what this one did not, and the copy has to hold more."""
    checkpoint, rows = made
    file = tmp_path / "graph.duckdb"
    content = bytearray(page(checkpoint))
    for number in checkpoint.blocks():
        content[HEADERS + number * BLOCK : HEADERS + (number + 1) * BLOCK] = b"\xff" * BLOCK
    put(file, bytes(content), checkpoint)
    assert told(file) == rows


@settings(max_examples=40)
@given(data=st.data())
def test_what_was_committed_is_there_whatever_a_checkpoint_had_written(made, tmp_path_factory, data):
    checkpoint, rows = made
    written = len(checkpoint.blocks())
    part = st.tuples(st.integers(0, 16), st.integers(0, 16) | st.just(64)).map(lambda at: (4096 * at[0], 4096 * at[1]))
    how = data.draw(st.lists(part, min_size=written, max_size=written))
    file = tmp_path_factory.getbasetemp() / "drawn" / "graph.duckdb"
    put(file, cut_short(checkpoint, how), checkpoint)
    assert told(file) == rows
    with opened(file, write=True):
        pass
    assert told(file) == rows
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_checkpoint_that_was_done_is_not_undone(made, tmp_path):
    checkpoint, rows = made
    file = tmp_path / "graph.duckdb"
    put(file, checkpoint.after, checkpoint)
    assert told(file) == rows
    assert file.read_bytes() == checkpoint.after
    assert not undo_of(file).exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 20_000, BLOCK, -1])
def test_a_copy_that_was_cut_short_was_not_needed(made, tmp_path, kept):
    checkpoint, rows = made
    file = tmp_path / "graph.duckdb"
    put(file, checkpoint.before, checkpoint)
    undo_of(file).write_bytes(checkpoint.undo[:kept])
    assert told(file) == rows
    assert not undo_of(file).exists()
    assert file.read_bytes() == checkpoint.before


@pytest.mark.parametrize("at", [3, 20, 28, 40, HEADERS, 2 * BLOCK // 3])
def test_a_copy_that_was_altered_is_not_believed(made, tmp_path, at):
    checkpoint, rows = made
    file = tmp_path / "graph.duckdb"
    put(file, checkpoint.before, checkpoint)
    altered = bytearray(checkpoint.undo)
    altered[at] ^= 0x55
    undo_of(file).write_bytes(altered)
    assert told(file) == rows
    assert file.read_bytes() == checkpoint.before


def test_a_copy_of_another_database_is_not_believed(made, tmp_path):
    checkpoint, _ = made
    file = tmp_path / "graph.duckdb"
    for number in range(1, KEPT + 1):
        write(file, number)
    before = told(file), file.read_bytes()
    undo_of(file).write_bytes(checkpoint.undo)
    assert (told(file), file.read_bytes()) == before


def test_the_copy_of_a_process_at_work_is_left_alone(made, tmp_path):
    checkpoint, _ = made
    file = tmp_path / "graph.duckdb"
    put(file, checkpoint.before, checkpoint)
    hold = f"import duckdb; c = duckdb.connect({str(file)!r}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        undo_unfinished(file)
        assert undo_of(file).read_bytes() == checkpoint.undo
        holder.kill()


def test_the_first_to_come_may_be_a_query(tmp_path):
    store = DuckDBStore(tmp_path / "a.trackdb")
    store.create()
    file = store.path / GRAPH
    with file.open("r+b") as stream:
        checkpoints._save(file, stream.fileno(), BLOCK, [0])
        stream.seek(HEADERS + 4096)
        stream.write(b"\xff" * 4096)
    assert ask(store.path, "select count(*) n from cells").arrow().to_pydict() == {"n": [0]}


def test_who_may_not_write_is_told_who_can_help(made, tmp_path, monkeypatch):
    checkpoint, rows = made
    file = tmp_path / "graph.duckdb"
    put(file, page(checkpoint), checkpoint)
    refused = PermissionError(errno.EACCES, "Permission denied")
    real = os.open
    with monkeypatch.context() as patched:
        patched.setattr(
            os,
            "open",
            lambda path, flags, *rest: (
                real(path, flags, *rest) if not flags & os.O_RDWR else (_ for _ in ()).throw(refused)
            ),
        )
        with pytest.raises(StoreDamagedError, match="cut short") as told_so, connect(file, write=False):
            pass
    assert "trackdb info" in str(told_so.value)
    assert told(file) == rows


def test_a_disk_that_takes_no_copy_leaves_the_commit_in_the_log(made, tmp_path, monkeypatch):
    checkpoint, _ = made
    file = tmp_path / "graph.duckdb"
    put(file, checkpoint.before, checkpoint, undo=False)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        write(file, KEPT + 3)
    assert file.read_bytes()[:HEADERS] == checkpoint.before[:HEADERS]
    assert has_log(file)
    assert not undo_of(file).exists()
    rows = told(file)
    assert rows[-1][1] == 1000 * (KEPT + 3)
    write(file, KEPT + 4)
    assert told(file)[-2][1] == rows[-1][1]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("apart", [False, True])
def test_no_commit_is_merged_before_the_copy_stands(tmp_path, monkeypatch, apart):
    """Not one of hundreds of thousands of rows, nor one whose log is longer than DuckDB lets it grow by itself."""
    file = tmp_path / "graph.duckdb"
    write(file, 1)
    heads = file.read_bytes()[:HEADERS]
    monkeypatch.setattr(instance, "merge_log", lambda *_: None)
    other = opened(tmp_path / "other.duckdb", write=True)
    if apart:  # the DuckDB that is shared has another file
        other.__enter__()
    for statement in (
        "create table many as select range as n, repeat(chr((65 + range % 20)::int), 90) as word from range(400_000)",
        "update many set word = n || word",
        "delete from many where n % 2 = 0",
    ):
        with opened(file, write=True) as connection:
            connection.execute(statement)
        assert file.read_bytes()[:HEADERS] == heads
    assert log_of(file).stat().st_size > 16 << 20
    if apart:
        other.__exit__(None, None, None)
    with opened(file, write=False) as connection:
        assert connection.execute("select count(*), min(word) from many").fetchone()[0] == 200_000


def test_a_copy_that_is_a_link_or_a_pipe_is_neither_read_nor_followed(made, tmp_path):
    checkpoint, rows = made
    file, elsewhere = tmp_path / "in" / "graph.duckdb", tmp_path / "elsewhere"
    elsewhere.write_bytes(checkpoint.undo)
    for make in (lambda place: place.symlink_to(elsewhere), os.mkfifo):
        shutil.rmtree(file.parent, ignore_errors=True)
        put(file, checkpoint.before, checkpoint, undo=False)
        make(undo_of(file))
        assert told(file) == rows
        write(file, KEPT + 3)
    assert elsewhere.read_bytes() == checkpoint.undo
