"""What is being written stands beside its place; what killed writers left there goes, what living ones write stays."""

import fcntl
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from trackdb.engine.check import check, mend
from trackdb.engine.exports import export
from trackdb.engine.ingest import ingest
from trackdb.errors import FormatError
from trackdb.storage import folders, partials
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.folders import appearing, appearing_file
from trackdb.storage.partials import MACHINE

from .movies import write_points

BEGIN = """
import os, signal, sys
from pathlib import Path
from trackdb.storage.folders import appearing, appearing_file
place = Path(sys.argv[2])
with appearing_file(place) if sys.argv[1] == "file" else appearing(place) as partial:
    (partial if sys.argv[1] == "file" else partial / "a").write_text("half")
    print("half", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def writer():
    """Returns a function that starts a process which is half through with writing; none is left in the end."""
    begun = []

    def begin(what, place):
        words = [sys.executable, "-c", BEGIN, what, str(place)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout.readline() == "half\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def write(what, place):
    """Write a file, or a folder with one, whole."""
    if what == "file":
        with appearing_file(place) as partial:
            partial.write_text("whole")
    else:
        with appearing(place) as partial:
            (partial / "a").write_text("whole")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_killed_writer_left_goes_when_the_same_is_written_again(writer, tmp_path, what):
    place = tmp_path / "out"
    dead = writer(what, place)
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    [left] = names(tmp_path)
    assert left.startswith(".out.")
    assert left.endswith(".partial")
    write(what, place)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_living_process_writes_stays_and_gets_its_name(writer, tmp_path, what):
    place = tmp_path / "out"
    living = writer(what, place)
    [theirs] = names(tmp_path)
    write(what, place)
    assert names(tmp_path) == [theirs, "out"]
    shutil.rmtree(place) if what == "folder" else place.unlink()
    living.communicate("go on\n", timeout=60)
    assert names(tmp_path) == ["out"]
    assert (place if what == "file" else place / "a").read_text() == "half"


def test_two_writers_in_one_process_do_not_take_each_other_for_dead(tmp_path):
    place = tmp_path / "out"
    with appearing_file(place) as mine:
        mine.write_text("mine")
        write("file", place)
        assert mine.read_text() == "mine"
    assert place.read_text() == "mine"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "name", [".out.ffffffff-01234567.partial", f".other.{MACHINE}-01234567.partial", ".out.123.partial", "out.partial"]
)
def test_what_another_machine_began_or_what_is_not_of_this_place_stays(tmp_path, name):
    assert MACHINE != "ffffffff"
    (tmp_path / name).mkdir()
    write("file", tmp_path / "out")
    assert names(tmp_path) == sorted([name, "out"])


def test_a_link_that_is_named_like_a_partial_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("mine")
    (tmp_path / f".out.{MACHINE}-01234567.partial").symlink_to(tmp_path / "mine")
    write("file", tmp_path / "out")
    assert (tmp_path / "mine" / "a").read_text() == "mine"


def test_a_writer_whose_folder_was_taken_for_left_behind_before_he_locked_it_makes_another(tmp_path, monkeypatch):
    flock = fcntl.flock
    taken = []

    def another_looks_first(handle, how):
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].rmdir()
        flock(handle, how)

    monkeypatch.setattr(partials.fcntl, "flock", another_looks_first)
    write("file", tmp_path / "out")
    assert taken
    assert names(tmp_path) == ["out"]


def test_a_disk_without_locks_is_written_to_and_nothing_on_it_is_taken_for_left_behind(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(partials.fcntl, "flock", refused)
    left = tmp_path / f".out.{MACHINE}-01234567.partial"
    left.mkdir()
    write("file", tmp_path / "out")
    assert names(tmp_path) == [left.name, "out"]


@pytest.mark.parametrize("there", [True, False])
def test_a_disk_without_links_is_written_to_and_nothing_on_it_is_replaced(tmp_path, monkeypatch, there):
    def refused(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    place = tmp_path / "out"
    refusal = pytest.raises(FormatError, match="came meanwhile") if there else nullcontext()
    with refusal, appearing_file(place, new=True) as partial:
        partial.write_text("whole")
        if there:
            place.write_text("mine")
    assert place.read_text() == ("mine" if there else "whole")
    assert names(tmp_path) == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from trackdb.engine.exports import export
from trackdb.storage import folders
from trackdb.storage.duckdb_store import DuckDBStore
folders.flush = lambda path: os.kill(os.getpid(), signal.SIGKILL)
store = DuckDBStore(Path(sys.argv[1]))
export("csv", store, *store.find_solution(name="truth"), Path(sys.argv[2]))
"""


def test_an_export_that_is_given_again_after_a_kill_leaves_nothing_of_the_killed_one(rich, tmp_path):
    out = tmp_path / "tables"
    words = [sys.executable, "-c", KILLED, str(rich.path), str(out)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert names(left / "tables") == ["about.json", "cells.csv", "links.csv", "tracks.csv"]
    export("csv", rich, *rich.find_solution(name="truth"), out)
    assert names(tmp_path) == ["tables"]


def test_an_export_that_is_refused_removes_what_a_kill_left_behind_the_last_step(rich, tmp_path):
    (tmp_path / "out.csv").write_text("whole")
    (tmp_path / f".out.csv.{MACHINE}-01234567.partial").mkdir()
    with pytest.raises(FormatError, match="exists already"):
        export("csv", rich, *rich.find_solution(name="truth"), tmp_path / "out.csv")
    assert names(tmp_path) == ["out.csv"]


@pytest.fixture
def store(tmp_path):
    made = DuckDBStore(tmp_path / "a.trackdb")
    ingest(write_points(tmp_path / "a.csv"), made)
    return made


def test_check_names_what_killed_writers_left_in_a_store_and_repair_removes_it(store, writer):
    (store.path / "annotations").mkdir()
    places = [store.path / "commits.jsonl", store.path / "annotations" / "import-a.jsonl"]
    dead = [writer("file", place) for place in places]
    assert check(store) == []
    assert mend(store) == []
    for process in dead:
        process.kill()
        process.wait()
    at_root, of_answers = check(store)
    assert at_root.what.startswith("nothing waits for .commits.jsonl.")
    assert of_answers.what.startswith("nothing waits for annotations/.import-a.jsonl.")
    assert at_root.mendable
    assert of_answers.mendable
    assert len(mend(store)) == 2
    assert check(store) == []


def test_a_store_in_which_a_writer_was_killed_is_a_store(store, tmp_path):
    (store.path / f".commits.jsonl.{MACHINE}-01234567.partial").mkdir()
    ingest(write_points(tmp_path / "b.csv"), store)
    assert len(store.detection_sets()) == 2


def test_names_of_folders_that_are_made_on_the_way_are_on_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(folders, "flush", flushed.append)
    folders.make_folder(tmp_path / "a" / "b" / "c")
    assert sorted(flushed) == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    folders.make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 3
