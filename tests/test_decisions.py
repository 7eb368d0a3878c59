"""The decision log: what was acknowledged is there, whatever happens to the process, and SQL sees it at once."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime

import pytest

from trackdb.engine.annotations.pins import pins_among
from trackdb.engine.check import check, mend
from trackdb.engine.contents import contents_of
from trackdb.engine.pipeline import link
from trackdb.errors import ConfigError, StoreDamagedError, StoreError, VersionError
from trackdb.storage import decision_log
from trackdb.storage.decision_log import write_lines, write_together
from trackdb.storage.decisions import (
    CellPlace,
    Decision,
    DecisionKind,
    as_line,
    counting,
    live,
    read_line,
    require_who,
    this_person,
)
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.log_files import ANNOTATIONS, read_log
from trackdb.storage.sandbox import ask

from .faults import Counts, keep
from .movies import copied


@pytest.fixture
def store(movie, tmp_path):
    """A store of its own, with the dividing cells."""
    return DuckDBStore(copied(movie.path, tmp_path / "movie.trackdb"))


def entry(seq, kind="choose", cell=3, daughters=(7,), *, who="ana", undo_of=None, key=None):
    """An entry, a second after the one before."""
    named = kind in ("choose", "reject")
    return Decision(
        seq=seq,
        key=key or f"k{seq}",
        at=datetime(2026, 1, 31, 10, 0, seq),
        who=who,
        kind=DecisionKind(kind),
        dataset="movie",
        cell=None if kind == "undo" else CellPlace(cell, 0, (1.5, 2.25)),
        daughters=tuple(CellPlace(d, 1, (1.0, 2.0)) for d in daughters) if named else None,
        shown=[[[7], 0.75]] if named else None,
        solution="ilp-1" if named else None,
        ms=2140 if named else None,
        undo_of=undo_of,
    )


def logs(store):
    return logs_in(store.path)


def logs_in(path):
    return sorted((path / ANNOTATIONS).glob("*"))


def test_what_is_written_is_read_again_in_the_order_in_which_it_was_said(tmp_path):
    said = [entry(1), entry(2, who="bob"), entry(3, "begins"), entry(4, "undo", undo_of="k1"), entry(5, "flag")]
    for decision in reversed(said):
        write_lines(tmp_path, [decision])
    assert read_log(tmp_path) == said


def test_each_start_and_each_person_has_a_file_and_those_of_days_are_read_too(tmp_path, monkeypatch):
    folder, start = tmp_path / ANNOTATIONS, decision_log.STARTED
    write_lines(tmp_path, [entry(1)])
    write_lines(tmp_path, [entry(2, who="bob")])
    write_lines(tmp_path, [entry(3)])
    monkeypatch.setattr(decision_log, "STARTED", "20260201T100000")
    write_lines(tmp_path, [entry(4)])
    (folder / "ana-20260131.jsonl").write_text(as_line(entry(5)))  # of an earlier trackdb
    lines = {file.name: file.read_text().count("\n") for file in folder.iterdir()}
    pid = os.getpid()
    assert lines == {
        f"ana-{start}-{pid}.jsonl": 2,
        f"bob-{start}-{pid}.jsonl": 1,
        f"ana-20260201T100000-{pid}.jsonl": 1,
        "ana-20260131.jsonl": 1,
    }
    assert [d.seq for d in read_log(tmp_path)] == [1, 2, 3, 4, 5]
    elsewhere = tmp_path / "copy"  # two logs are merged by copying files
    (elsewhere / ANNOTATIONS).mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copy(file, elsewhere / ANNOTATIONS)
    assert read_log(elsewhere) == read_log(tmp_path)


def test_names_are_flushed_once_and_again_where_that_failed(tmp_path, monkeypatch):
    flushed, broken = [], [True]

    def flush(path):
        flushed.append(path)
        if broken:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(decision_log, "flush", flush)
    with pytest.raises(StoreError, match="Input/output error"):
        write_lines(tmp_path, [entry(1)])
    assert logs_in(tmp_path) == []
    broken.clear()
    flushed.clear()
    write_lines(tmp_path, [entry(1)])
    assert flushed == [tmp_path / ANNOTATIONS, tmp_path]
    write_lines(tmp_path, [entry(2)])
    assert len(flushed) == 2
    assert read_log(tmp_path) == [entry(1), entry(2)]


def test_a_line_is_what_the_data_model_says(tmp_path):
    write_lines(tmp_path, [entry(7)])
    [file] = logs_in(tmp_path)
    [line] = file.read_text().splitlines()
    cell, daughter = ({"id": i, "t": t, "z": None, "y": y, "x": x} for i, t, y, x in ((3, 0, 1.5, 2.25), (7, 1, 1, 2)))
    assert json.loads(line) == {
        "v": 1,
        "seq": 7,
        "key": "k7",
        "at": "2026-01-31T10:00:07Z",
        "who": "ana",
        "kind": "choose",
        "dataset": "movie",
        "cell": cell,
        "daughters": [daughter],
        "shown": [[[7], 0.75]],
        "solution": "ilp-1",
        "posterior": None,
        "blind": False,
        "ms": 2140,
        "undo_of": None,
        "note": None,
        "model": None,
    }


@pytest.mark.parametrize("torn", [b'{"v": 1, "se', b'{"v":1}', b"\x00\x00"], ids=["half", "no end", "zeros"])
def test_a_line_without_an_end_was_never_acknowledged_and_the_next_writer_takes_it_away(tmp_path, torn):
    write_lines(tmp_path, [entry(1)])
    [file] = logs_in(tmp_path)
    with file.open("ab") as stream:
        stream.write(torn)
    assert read_log(tmp_path) == [entry(1)]
    write_lines(tmp_path, [entry(2), entry(3)])
    assert read_log(tmp_path) == [entry(1), entry(2), entry(3)]


def test_an_entry_that_comes_twice_counts_once(tmp_path):
    write_lines(tmp_path, [entry(1)])
    write_lines(tmp_path, [entry(1)])
    assert read_log(tmp_path) == [entry(1)]


def test_a_disk_that_takes_half_a_line_keeps_none_of_it(tmp_path, monkeypatch):
    write_lines(tmp_path, [entry(1)])

    def refuse(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreError, match="No space left"):
        write_lines(tmp_path, [entry(2)])
    monkeypatch.undo()
    assert read_log(tmp_path) == [entry(1)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "guess"}, "guess"),
        ({"who": "a b"}, "cannot be the name"),
        ({"at": "yesterday"}, "yesterday"),
        ({"at": "0999-01-31T10:00:01Z"}, "a time since 1970"),
        ({"at": "9999-12-31T23:00:00-14:00"}, "OverflowError"),
        ({"daughters": [{"id": 6}, {"id": 7}, {"id": 8}]}, "at most two daughters, got 3"),
        ({"cell": None}, "choose without cell"),
        ({"daughters": None}, "choose without daughters"),
        ({"kind": "undo"}, "undo without undo_of"),
        ({"cell": 3}, "TypeError|AttributeError"),
        ({"cell": {"id": 2**70}}, "whole number of 63 bits"),
        ({"cell": {"id": 3, "t": "first"}}, "whole number of 31 bits"),
        ({"cell": {"id": 3, "y": float("nan")}}, "must be finite"),
        ({"seq": 1.5}, "whole number"),
        ({"ms": True}, "whole number"),
    ],
)
def test_a_whole_line_that_is_no_entry_is_damage_and_its_place_is_told(change, reason):
    line = json.dumps(entry(1).as_dict() | change)
    with pytest.raises(StoreDamagedError, match=r"ana\.jsonl line 4") as raised:
        read_line(line, "ana.jsonl line 4")
    assert re.search(reason, str(raised.value))
    assert "mend the line" in raised.value.details["try"]


def test_a_time_without_a_zone_is_utc_and_others_are_brought_there():
    told = {
        at: read_line(json.dumps(entry(1).as_dict() | {"at": at}), "line").at
        for at in ("2026-01-31T10:00:01", "2026-01-31T11:00:01+01:00", "2026-01-31T10:00:01Z")
    }
    assert set(told.values()) == {datetime(2026, 1, 31, 10, 0, 1)}


def test_a_line_that_never_ends_its_brackets_is_damage():
    with pytest.raises(StoreDamagedError, match="is no decision"):
        read_line("[" * 100_000, "line 1")


def test_a_line_of_a_newer_trackdb_is_not_guessed_at():
    with pytest.raises(VersionError, match="newer trackdb"):
        read_line(json.dumps(entry(1).as_dict() | {"v": 2}), "line 1")


@pytest.mark.parametrize("what", [{"note": "\ud83d"}, {"dataset": "\ud83d"}, {"shown": [["\ud83d", 0.5]]}])
def test_half_a_letter_is_not_written_and_where_it_stands_the_line_is_set_aside(store, what):
    """As a browser sends it that cuts a note in the middle of a pair; no table takes it."""
    half = replace(entry(1), **what)
    with pytest.raises(ConfigError, match="no text"):
        write_lines(store.path, [half])
    assert read_log(store.path) == []
    whole = as_line(entry(2, cell=4))
    (store.path / ANNOTATIONS).mkdir(exist_ok=True)
    lines = json.dumps(half.as_dict()) + "\n" + whole
    (store.path / ANNOTATIONS / "eve-20260101.jsonl").write_text(lines)
    with pytest.raises(StoreDamagedError, match=r"eve-20260101.jsonl line 1 is no decision"):
        read_log(store.path)
    mend(store)
    assert [d.seq for d in read_log(store.path)] == [2]
    assert ask(store.path, "select seq from annotations").rows["seq"].to_pylist() == [2]


def test_what_no_line_can_hold_is_refused_before_anything_is_written(tmp_path):
    endless, deep = [], []
    endless.append([[endless]])
    for _ in range(5000):
        deep = [deep]
    for shown in ([float("nan")], [[1, float("inf")]], endless, deep):
        with pytest.raises(ConfigError, match="what was said"):
            write_lines(tmp_path, [replace(entry(1), shown=shown)])
    assert read_log(tmp_path) == []


def test_a_log_that_is_larger_than_any_is_damage_and_not_read(store):
    (store.path / ANNOTATIONS).mkdir(exist_ok=True)
    with (store.path / ANNOTATIONS / "eve-20260101.jsonl").open("wb") as stream:
        stream.truncate(1 << 40)  # a hole, which takes no room
    for reads in (lambda: read_log(store.path), store.decisions, lambda: mend(store)):
        with pytest.raises(StoreDamagedError, match="has 1,099,511,627,776 bytes"):
            reads()
    assert any("1,099,511,627,776 bytes" in problem.what for problem in check(store))


def test_a_note_may_hold_any_whole_letter(tmp_path):
    write_lines(tmp_path, [replace(entry(1), note="\U0001f42d \0 \x1b")])
    assert read_log(tmp_path)[0].note == "\U0001f42d \0 \x1b"


def test_a_damaged_log_is_a_problem_of_the_store(store):
    write_lines(store.path, [entry(1)])
    [file] = logs(store)
    with file.open("ab") as stream:
        stream.write(b"nonsense\n")
    [problem] = check(store)
    assert f"{file.name} line 2 is no decision" in problem.what


def test_a_log_that_cannot_be_read_is_a_problem_of_the_store(store):
    (store.path / "annotations" / "ana-20260131.jsonl").mkdir(parents=True)
    with pytest.raises(StoreDamagedError, match=r"ana-20260131.jsonl cannot be read; reason: Is a directory"):
        store.decisions()
    [problem] = check(store)
    assert "ana-20260131.jsonl cannot be read" in problem.what


@pytest.mark.parametrize("name", ["", "a b", "a" * 41, "ana/..", "änä"])
def test_who_decides_has_a_plain_name(name):
    with pytest.raises(ConfigError, match="cannot be the name"):
        require_who(name)


def test_the_user_of_the_system_can_decide(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "Ána María")
    assert this_person() == "_na_Mar_a"


UNDOINGS = {
    "nothing": ([], {1, 2}),
    "an answer": (["k1"], {2}),
    "an answer, and then the undoing": (["k1", "k3"], {1, 2}),
    "that once more": (["k1", "k3", "k4"], {2}),
    "the same answer twice": (["k1", "k1"], {2}),
    "an undoing of two": (["k1", "k2", "k3"], {1}),
}


@pytest.mark.parametrize(("undone", "left"), UNDOINGS.values(), ids=UNDOINGS)
def test_an_undoing_can_be_undone_and_sql_says_the_same(store, undone, left):
    said = [entry(1), entry(2, cell=4)] + [entry(3 + i, "undo", undo_of=key) for i, key in enumerate(undone)]
    write_lines(store.path, said)
    assert {d.seq for d in live(said)} == left
    in_sql = ask(store.path, "select key from annotations where not undone").rows["key"].to_pylist()
    assert set(in_sql) == counting(said)


def test_sql_sees_an_answer_at_once_and_the_next_command_that_writes_merges_it(store):
    write_lines(store.path, [entry(1)])
    query = "select seq, cell, who, kind, json_extract(daughters, '$[0].id')::int, ms, \"at\"::varchar from annotations"
    wanted = [[1, 3, "ana", "choose", 7, 2140, "2026-01-31 10:00:01"]]
    assert ask(store.path, query).rows_by_position() == wanted
    assert contents_of(store).annotations == 1
    link(store, store.detection_set())
    write_lines(store.path, [entry(2, who="bob", cell=4)])
    with store.reading() as connection:
        assert connection.exec_driver_sql("select key from annotation").scalars().all() == ["k1"]
    assert ask(store.path, f"{query} where who = 'ana'").rows_by_position() == wanted
    assert store.decisions() == [entry(1), entry(2, who="bob", cell=4)]
    shutil.rmtree(store.path / ANNOTATIONS)
    assert store.decisions() == [entry(1)]  # as merged


# Says of each cell in turn what it becomes, and tells which answers were taken.
CHOOSING = """
import sys
from pathlib import Path
from trackdb.engine.annotations.answers import Annotator
from trackdb.errors import InfeasibleError
from trackdb.storage.duckdb_store import DuckDBStore
store = DuckDBStore(Path(sys.argv[1]))
annotator = Annotator(store, store.detection_set())
annotator.cells.detections
print("ready", flush=True)
sys.stdin.readline()
for cell in range(1, 10):
    try:
        annotator.answer("choose", cell, [cell + int(sys.argv[3])], who=sys.argv[2], add_candidate=True)
        print(cell, flush=True)
    except InfeasibleError:
        pass
"""


@pytest.mark.slow
def test_of_two_people_who_contradict_each_other_at_once_one_is_heard(store):
    words = [sys.executable, "-c", CHOOSING, store.path]
    people = [
        subprocess.Popen([*words, who, shift], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for who, shift in (("ana", "9"), ("bob", "10"))
    ]
    for person in people:
        assert person.stdout.readline() == "ready\n"
    for person in people:
        person.stdin.write("go\n")
        person.stdin.flush()
    heard = [person.communicate()[0].split() for person in people]
    assert [person.returncode for person in people] == [0, 0]
    # a cell is nobody's only where both of its daughters were taken, by its neighbours, which have theirs then
    assert len(heard[0]) + len(heard[1]) == len(store.decisions()) >= 5
    pins, lost, disputes = pins_among(store.decisions(), "movie", store.detections(store.detection_set()))
    assert (len(pins), lost, disputes) == (len(store.decisions()), [], [])


# Answers as fast as it can, and says each answer that is acknowledged.
ANSWERING = """
import sys
from pathlib import Path
from trackdb.engine.annotations.answers import Annotator
from trackdb.storage.duckdb_store import DuckDBStore
store = DuckDBStore(Path(sys.argv[1]))
annotator = Annotator(store, store.detection_set())
print("ready", flush=True)
for i in range(10_000):
    report = annotator.answer("unsure", 1 + i % 9, who=sys.argv[2])
    print(report.decision.key, flush=True)
"""


LIVES = int(os.environ.get("TRACKDB_KILLS", "8")) * 3 // 5  # `make faults` takes 51


@pytest.mark.slow
def test_no_acknowledged_answer_is_lost_to_a_kill(store):
    acknowledged = []
    for life in range(LIVES):
        child = subprocess.Popen(
            [sys.executable, "-c", ANSWERING, store.path, f"ana{life % 2}"], stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout.readline() == "ready\n"
            chance = random.Random(life)
            acknowledged += [child.stdout.readline().strip() for _ in range(chance.randint(1, 4))]
            time.sleep(chance.uniform(0, 0.05))
            os.kill(child.pid, signal.SIGKILL)
            lines = child.stdout.read().split("\n")
        acknowledged += lines[:-1]
        assert set(acknowledged) <= {d.key for d in read_log(store.path)}
    assert len(acknowledged) > LIVES
    said = store.decisions()
    assert len(said) <= len(acknowledged) + LIVES  # one that was not acknowledged may stand in each life
    assert [d.seq for d in said] == list(range(1, len(said) + 1))
    assert check(store) == []
    keep(Counts("answers from Python, killed at random moments", counted=Counter(kills=LIVES)))


@pytest.mark.parametrize("write", [write_lines, write_together])
def test_nothing_is_written_through_a_link_out_of_the_store(store, tmp_path, write):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (store.path / ANNOTATIONS).symlink_to(elsewhere)
    with pytest.raises(StoreDamagedError, match="leads out of the store"):
        write(store.path, [entry(1)])
    assert not any(elsewhere.iterdir())
