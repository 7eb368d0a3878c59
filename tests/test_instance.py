"""One DuckDB for a process: started once, and files opened in it are held and let go as if each had its own."""

import os
import subprocess
import sys

import duckdb
import pytest

from trackdb.storage import instance
from trackdb.storage.instance import opened


@pytest.fixture
def file(tmp_path):
    """A database of one row, at a place whose name has to be quoted."""
    place = tmp_path / "it's" / "graph.duckdb"
    place.parent.mkdir()
    with opened(place, write=True) as connection:
        connection.execute("create table cell as select 1 as n")
        connection.execute("create view cells as from cell")
    return place


def cells(file):
    with opened(file, write=False) as connection:
        return connection.execute("from cells").fetchall()


def another_process_may(file, *, write):
    code = f"import duckdb; duckdb.connect({str(file)!r}, read_only={not write})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Conflicting lock" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.fixture
def started(monkeypatch):
    """What DuckDB was started for."""
    places = []
    real = duckdb.connect
    monkeypatch.setattr(instance.duckdb, "connect", lambda *place, **how: places.append(place) or real(*place, **how))
    return places


def test_duckdb_is_started_once_for_many_openings(file, started):
    for _ in range(5):
        assert cells(file) == [(1,)]
    assert len(started) <= 1  # none if an earlier test has started it


def test_a_file_is_held_while_it_is_open_and_no_longer(file):
    with opened(file, write=False):
        assert another_process_may(file, write=False)
        assert not another_process_may(file, write=True)
    assert another_process_may(file, write=True)


def test_what_was_written_stands_in_the_file_and_is_read_by_any_duckdb(file):
    assert [found.name for found in file.parent.iterdir()] == ["graph.duckdb"]  # no log is left
    with duckdb.connect(file, read_only=True) as alone:
        assert alone.execute("from cells").fetchall() == [(1,)]


def test_two_readers_in_a_process_hold_the_file_until_both_are_done(file):
    with opened(file, write=False) as outer:
        assert cells(file) == [(1,)]
        assert not another_process_may(file, write=True)
        assert outer.execute("from cells").fetchall() == [(1,)]
    assert another_process_may(file, write=True)


def test_a_reader_who_came_second_keeps_the_file_when_the_first_has_gone(file, tmp_path):
    first = opened(tmp_path / "other.duckdb", write=True)
    first.__enter__()
    with opened(file, write=False) as apart:  # the DuckDB that is shared has the other file
        first.__exit__(None, None, None)
        assert cells(file) == [(1,)]
        assert not another_process_may(file, write=True)
        assert apart.execute("from cells").fetchall() == [(1,)]
    assert another_process_may(file, write=True)
    assert cells(file) == [(1,)]


def test_nobody_writes_while_somebody_reads_in_the_same_process(file):
    with opened(file, write=False), pytest.raises(duckdb.Error, match="already attached"), opened(file, write=True):
        pass
    with opened(file, write=True), pytest.raises(duckdb.Error, match="already attached"), opened(file, write=False):
        pass
    assert cells(file) == [(1,)]


def test_files_that_are_open_together_do_not_see_each_other(file, tmp_path):
    with opened(file, write=False) as one, opened(tmp_path / "two" / ".." / "graph.duckdb", write=True) as two:
        two.execute("create table cell as select 2 as n")
        assert one.execute("from cell").fetchall() == [(1,)]
        assert two.execute("from cell").fetchall() == [(2,)]
        assert one.execute("select count(*) from duckdb_tables()").fetchone() == (1,)


@pytest.mark.parametrize("write", [True, False])
def test_after_an_error_nothing_is_held_and_nothing_is_half_written(file, write):
    def failing():
        with opened(file, write=write) as connection:
            connection.begin()
            connection.execute("create temp table mine as select 1" if not write else "insert into cell values (2)")
            connection.execute("select error('oh')")

    with pytest.raises(duckdb.Error, match="oh"):
        failing()
    assert another_process_may(file, write=True)
    assert cells(file) == [(1,)]


def test_a_file_that_cannot_be_opened_leaves_the_next_one_alone(file, tmp_path):
    bad = tmp_path / "bad" / "graph.duckdb"
    bad.parent.mkdir()
    bad.write_bytes(b"nothing of DuckDB's" * 1000)
    for place in (bad, tmp_path / "nowhere.duckdb"):
        with pytest.raises(duckdb.Error), opened(place, write=False):
            pass
        assert cells(file) == [(1,)]


def test_nothing_of_a_connection_is_there_for_the_next(file):
    with opened(file, write=False) as connection:
        connection.execute("create temp table mine as select 1")
    with opened(file, write=False) as connection:
        assert connection.execute("select count(*) from duckdb_tables()").fetchone() == (1,)


def test_what_does_not_fit_in_memory_goes_beside_the_file_that_is_open(file):
    with opened(file, write=False) as connection:
        [(place,)] = connection.execute("select current_setting('temp_directory')").fetchall()
    assert place == f"{file}.tmp"


def test_no_bar_of_progress_is_drawn_among_what_a_program_prints(file):
    code = f"""if True:
        from pathlib import Path
        from trackdb.storage.instance import opened
        asked = "select current_setting('enable_progress_bar')"
        place = Path({str(file)!r})
        with opened(place, write=False) as shared, opened(place.with_name("other"), write=True) as apart:
            print([connection.execute(asked).fetchone() for connection in (shared, apart)])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[(False,), (False,)]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_fork_starts_its_own(file, started):
    assert cells(file) == [(1,)]
    started.clear()
    child = os.fork()
    if child == 0:
        os._exit(7 if cells(file) == [(1,)] and started == [(":memory:",)] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert cells(file) == [(1,)]
