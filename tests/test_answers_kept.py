r"""What happens to answers when replies are lost, disks are full, others write, and people change their minds.

The movie of `movies`, by number of the cell::

    frame 0     frame 1     frame 2
    . 1 . 2     . 3 . 4     . 6 . 7
    . . . .     . . . 5     . . . 8
    . . . .     . . . .     9 . . .
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.annotations.agreement import agreements, conflicts, kappa, opinions
from trackdb.engine.annotations.answered import Asked
from trackdb.engine.annotations.answers import Annotator, redo, undo
from trackdb.engine.annotations.records import entries, export_log, import_log, work
from trackdb.engine.annotations.undoing import moment, newest_answer, newest_undoing, take_back
from trackdb.engine.annotations.words import told
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.errors import (
    ConfigError,
    ConflictError,
    InfeasibleError,
    MissingRowsError,
    StoreDamagedError,
    StoreFullError,
)
from trackdb.storage import decision_log
from trackdb.storage.catalogue import now
from trackdb.storage.decision_log import DecisionLog, write_lines
from trackdb.storage.decisions import CellPlace, Decision, DecisionKind, as_line, live, read_line
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.log_files import ANNOTATIONS, read_log
from trackdb.storage.sandbox import ask

from .movies import copied, write_ctc


@pytest.fixture(scope="module")
def drawn_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_ctc(folder / "movie"), store)
    solve(store, store.detection_set())
    return store


@pytest.fixture
def store(drawn_store, tmp_path):
    return DuckDBStore(copied(drawn_store.path, tmp_path / "movie.trackdb"))


@pytest.fixture
def annotator(store):
    return Annotator(store, store.detection_set())


def opened(store):
    """An annotator of another process, or of this one after a restart."""
    return Annotator(store, store.detection_set())


SAID = Decision(1, "k1", datetime(2026, 1, 31), "ana", DecisionKind.UNSURE, "movie", CellPlace(3, 1, (10.0, 21.0)))


# the same answer again


def test_a_retry_after_a_lost_reply_is_known_also_after_a_restart(store, annotator):
    said = annotator.answer("choose", 3, [6], who="ana", key="abc", asked=Asked(ms=700, model="distance"))
    assert not said.repeated
    for again in (annotator, opened(store)):
        report = again.answer("choose", 3, [6], who="ana", key="abc")
        assert (report.repeated, report.decision, report.pins) == (True, said.decision, 1)
    back = annotator.undo(who="ana", key="def")
    again = opened(store).undo(who="ana", key="def")
    assert (again.repeated, again.decision) == (True, back.decision)
    assert [d.key for d in store.decisions()] == ["abc", "def"]
    assert store.decisions()[0].model == "distance"


@pytest.mark.parametrize(
    ("key", "cell", "who", "message"),
    [
        ("abc", 4, "ana", "was used for another answer"),
        ("abc", 3, "bob", "was used for another answer"),
        ("", 3, "ana", "is no key"),
        ("a\nb", 3, "ana", "is no key"),
        ("a" * 101, 3, "ana", "is no key"),
    ],
)
def test_a_key_is_that_of_one_answer(annotator, key, cell, who, message):
    annotator.answer("unsure", 3, who="ana", key="abc")
    with pytest.raises(ConfigError, match=message):
        annotator.answer("unsure", cell, who=who, key=key)
    with pytest.raises(ConfigError, match="another answer"):
        annotator.undo(who="ana", key="abc")
    assert len(annotator.entries()) == 1


def test_a_note_is_kept_and_sql_tells_it(store, annotator):
    annotator.answer("flag", 3, who="ana", note="  two cells?\n", asked=Asked(model="model abc"))
    told = ask(store.path, "select note, model from annotations").rows_by_position()
    assert told == [["two cells?", "model abc"]]
    with pytest.raises(ConfigError, match="at most 2,000 characters"):
        annotator.answer("flag", 3, who="ana", note="x" * 2_001)


@pytest.mark.parametrize("who", ["../../x", "a/b", "/etc", "a\\b", "a\0b", "a\n", ""])
def test_nobody_is_called_like_a_path(store, annotator, who):
    with pytest.raises(ConfigError, match="cannot be the name of who decides"):
        annotator.answer("unsure", 3, who=who)
    with pytest.raises(ConfigError, match="cannot be the name of who decides"):
        undo(store, who=who)
    assert not (store.path / ANNOTATIONS).exists()


def test_dots_are_a_name_and_stay_in_the_folder(store, annotator):
    annotator.answer("unsure", 3, who="..")
    annotator.answer("unsure", 4, who=".")
    assert len(list((store.path / ANNOTATIONS).iterdir())) == 2
    assert [d.who for d in opened(store).entries()] == ["..", "."]


# what others write


def test_an_open_annotator_hears_what_others_say(store, annotator):
    other = opened(store)
    assert annotator.news() == other.news() == []
    said = other.answer("choose", 3, [6], who="bob").decision
    with pytest.raises(ConflictError) as refused:
        annotator.answer("choose", 3, [9], who="ana")
    [earlier] = refused.value.as_dict()["earlier"]
    assert (earlier["seq"], earlier["who"], earlier["says"]) == (1, "bob", "continues as 6")
    assert refused.value.as_dict()["choices"] == ["replace", "keep", "unsure"]
    assert json.loads(json.dumps(refused.value.as_dict()))["why"] == refused.value.details["why"]
    assert annotator.news() == [said]
    assert annotator.news() == []
    other.undo(who="bob")
    assert annotator.answer("choose", 3, [9], who="ana").pins == 1
    assert [d.kind.value for d in annotator.news()] == ["undo"]
    assert [d.who for d in annotator.standing()] == ["ana"]


def test_answers_need_no_tables_and_can_be_given_while_somebody_writes_to_them(store, annotator):
    annotator.prepare()
    with store.writing():
        assert annotator.answer("choose", 3, [9], who="ana").pins == 1
        assert annotator.undo(who="ana").pins == 0
        assert annotator.redo(who="ana").pins == 1
        with pytest.raises(ConflictError):
            annotator.answer("begins", 9, who="bob")
    assert ask(store.path, "select count(*) as n from annotations").rows["n"].to_pylist() == [3]


def test_a_candidate_that_somebody_added_meanwhile_is_one(store, annotator):
    annotator.prepare()
    with pytest.raises(InfeasibleError, match="is no candidate"):
        annotator.answer("choose", 2, [7], who="ana")
    opened(store).answer("choose", 2, [7], who="bob", add_candidate=True)
    assert annotator.answer("choose", 2, [7], who="ana").added == 0


def test_a_log_is_read_on_and_where_it_was_changed_it_is_read_anew(tmp_path):
    log = DecisionLog(tmp_path)
    assert log.follow() == []
    said = [replace(SAID, seq=i, key=f"k{i}", at=datetime(2026, 1, 31, 0, 0, i)) for i in range(1, 5)]
    write_lines(tmp_path, said[1:2])
    assert log.follow() == said[1:2]
    write_lines(tmp_path, said[2:])
    assert (log.follow(), log.rewritten) == (said[2:], 0)
    write_lines(tmp_path, [replace(said[0], who="bob")])  # earlier than what is known
    assert log.follow() == [replace(said[0], who="bob")]
    assert ([d.seq for d in log.entries], log.rewritten) == ([1, 2, 3, 4], 1)
    [file] = (tmp_path / ANNOTATIONS).glob("ana-*")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[2])
    assert log.follow() == []
    assert [d.seq for d in log.entries] == [1, 2, 4]
    file.write_bytes(lines[0] + b"nonsense\n")
    with pytest.raises(StoreDamagedError, match="line 2 is no decision"):
        log.follow()
    assert [d.seq for d in log.entries] == [1, 2, 4]
    file.unlink()
    log.follow()
    assert log.entries == read_log(tmp_path)


def test_files_that_rest_are_not_read_again_and_what_happens_to_them_is_seen(tmp_path, monkeypatch):
    said = [replace(SAID, seq=i, key=f"k{i}", who=f"p{i}", at=datetime(2026, 1, 31, 0, 0, i)) for i in range(3)]
    for one in said:
        write_lines(tmp_path, [one])
    files = sorted((tmp_path / ANNOTATIONS).iterdir())
    an_hour_ago = time.time_ns() - 3600 * 10**9
    for number, file in enumerate(files):
        os.utime(file, ns=(an_hour_ago, an_hour_ago + number))
    log = DecisionLog(tmp_path)
    log.follow()
    opened = []
    read = decision_log.bytes_from
    monkeypatch.setattr(decision_log, "bytes_from", lambda file, at: (opened.append(file), read(file, at))[1])
    assert log.follow() == []
    assert opened == []
    write_lines(tmp_path, [more := replace(said[0], seq=3, key="k3", at=datetime(2026, 1, 31, 0, 0, 3))])
    assert log.follow() == [more]
    assert opened == files[:1]
    os.utime(files[1], ns=(an_hour_ago, an_hour_ago))  # as another clock would have it, and as long as it was
    files[1].write_bytes(files[1].read_bytes().replace(b'"k1"', b'"k9"'))
    assert [d.key for d in log.follow()] == ["k9"]
    assert sorted(d.key for d in log.entries) == ["k0", "k2", "k3", "k9"]
    monkeypatch.setattr(decision_log, "FRESH_NS", 2 * 3600 * 10**9)  # all of them may change within the same instant
    log.follow()
    opened.clear()
    log.follow()
    assert sorted(opened) == files


def test_a_file_that_goes_while_its_folder_is_read_is_not_there(tmp_path):
    (tmp_path / "gone.jsonl").touch()
    with os.scandir(tmp_path) as entries:
        [entry] = entries
    (tmp_path / "gone.jsonl").unlink()
    assert decision_log._told(entry) is None


def test_lines_torn_on_other_days_are_mended_and_numbers_go_on(store, annotator):
    first = annotator.answer("unsure", 3, who="ana").decision
    folder = store.path / ANNOTATIONS
    for who in ("ana", "bob"):
        (folder / f"{who}-20200101.jsonl").write_bytes(
            as_line(replace(SAID, who=who, key=who)).encode() + b'{"v": 1, "s'
        )
    again = opened(store)
    assert again.answer("unsure", 4, who="ana").decision.seq == first.seq + 1
    assert all(file.read_bytes().endswith(b"}\n") for file in folder.iterdir())
    assert len(again.entries()) == 4
    read_by_duckdb = ask(store.path, "select count(*) as n from annotations").rows["n"].to_pylist()
    assert read_by_duckdb == [4]


# a disk without room

FILLING = """
import resource, sys
from pathlib import Path
from trackdb.engine.annotations.answers import Annotator
from trackdb.errors import StoreFullError
from trackdb.storage.duckdb_store import DuckDBStore
store = DuckDBStore(Path(sys.argv[1]))
annotator = Annotator(store, store.detection_set())
annotator.prepare()
annotator.answer("unsure", 3, who="ana", key="first")
[file] = (store.path / "annotations").iterdir()
size = file.stat().st_size
free = resource.getrlimit(resource.RLIMIT_FSIZE)
for room in (0, 1, 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, free[1]))
    try:
        annotator.answer("choose", 3, [6], who="ana", key="second")
        print("acknowledged")
    except StoreFullError as error:
        print(error.exit_code, file.stat().st_size == size, error)
    print([d.key for d in store.decisions()], [d.key for d in annotator.entries()])
resource.setrlimit(resource.RLIMIT_FSIZE, free)
print(annotator.answer("choose", 3, [6], who="ana", key="second").repeated)
"""


def test_where_there_is_no_room_nothing_is_acknowledged_and_the_log_stays_whole(store):
    done = subprocess.run([sys.executable, "-c", FILLING, store.path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *tries, last = done.stdout.splitlines()
    assert last == "False"
    for refused, known in zip(tries[::2], tries[1::2], strict=True):
        assert refused.startswith("3 True ")
        assert "could not be written; reason: " in refused
        assert "File too large" in refused or "No space left" in refused  # where some of it went in
        assert "make room" in refused
        assert known == "['first'] ['first']"
    assert [d.key for d in store.decisions()] == ["first", "second"]


def test_other_trouble_with_the_disk_is_no_lack_of_room(store, annotator):
    (store.path / ANNOTATIONS).write_text("a file where the folder should be")
    with pytest.raises(StoreDamagedError, match="Not a directory"):
        annotator.answer("unsure", 3, who="ana")


# taken back, and brought back


def test_nobody_can_tell_of_both_that_exclude_each_other(store, annotator):
    annotator.answer("choose", 3, [7], who="ana")
    report = annotator.answer("choose", 4, [7], who="bob", on_conflict="unsure")
    assert (report.decision.kind, report.decision.cell.id, report.decision.daughters) == (DecisionKind.UNSURE, 4, None)
    assert [d.cell.id for d in report.replaced] == [3]
    assert [(d.kind.value, d.cell.id, d.who) for d in report.also] == [("unsure", 3, "bob")]
    assert sorted((d.kind.value, d.cell.id) for d in annotator.standing()) == [("unsure", 3), ("unsure", 4)]
    assert [d.seq for d in annotator.entries()] == [1, 2, 3, 4]
    back = annotator.undo(who="bob")
    assert [d.who for d in back.restored] == ["ana"]
    assert [(d.who, d.kind.value) for d in opened(store).standing()] == [("ana", "choose")]
    same = annotator.answer("choose", 3, [6], who="bob", on_conflict="unsure")
    assert (same.also, [d.kind.value for d in annotator.standing()]) == ([], ["unsure"])
    assert annotator.answer("choose", 5, [8], who="bob", on_conflict="unsure").decision.kind is DecisionKind.CHOOSE


def test_what_excludes_an_answer_may_be_kept_and_what_was_meant_is_kept_in_words(annotator):
    ana = annotator.answer("choose", 3, [7], who="ana").decision
    report = annotator.answer("choose", 4, [7], who="bob", note="sure", on_conflict="keep")
    assert (report.replaced, report.pins, report.decision.kind) == ([], 1, DecisionKind.FLAG)
    assert report.decision.note == f"sure; meant: continues as 7, which is excluded: {told(ana)}"
    assert annotator.standing() == [ana, report.decision]
    assert annotator.answer("choose", 5, [8], who="bob", on_conflict="keep").decision.kind is DecisionKind.CHOOSE


def test_what_an_answer_replaced_comes_back_with_its_undoing_and_goes_again(store, annotator):
    ana = annotator.answer("choose", 3, [6], who="ana").decision
    bob = annotator.answer("choose", 3, [9], who="bob", on_conflict="replace").decision
    report = annotator.undo(who="bob")
    assert (report.replaced[0], report.restored) == (bob, [ana])
    assert opened(store).standing() == [ana]
    again = opened(store).redo(who="bob")
    assert (again.restored, annotator.standing()) == ([bob], [bob])
    with pytest.raises(MissingRowsError, match="bob has taken nothing back"):
        annotator.redo(who="bob")
    annotator.undo(who="bob")
    annotator.undo(who="ana")
    with pytest.raises(MissingRowsError, match="ana has said nothing"):
        annotator.undo(who="ana")
    assert annotator.standing() == []


def test_what_was_replaced_stays_away_where_something_else_excludes_it_by_now(annotator):
    annotator.answer("choose", 3, [6], who="ana")
    annotator.answer("choose", 3, [9], who="bob", on_conflict="replace")
    annotator.answer("choose", 4, [6], who="cy")
    report = annotator.undo(who="bob")
    assert report.restored == []
    assert [d.who for d in annotator.standing()] == ["cy"]


def test_what_is_excluded_by_now_is_not_brought_back(store, annotator):
    annotator.answer("choose", 3, [6], who="ana")
    annotator.undo(who="ana")
    annotator.answer("choose", 4, [6], who="bob")
    with pytest.raises(ConflictError, match="two pins exclude each other"):
        redo(store, who="ana")
    annotator.answer("unsure", 5, who="ana")
    with pytest.raises(MissingRowsError, match="since the last answer"):
        redo(store, who="ana")


@given(st.lists(st.sampled_from(["say", "undo", "redo", "restart", "other"]), max_size=25))
def test_undo_and_redo_are_those_of_an_editor(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("log")
    log, done, undone = DecisionLog(folder), [], []

    def write(made):
        log.write(made)
        return made

    for number, step in enumerate(steps):
        match step:
            case "say" | "other":
                who = "ana" if step == "say" else "bob"
                at = datetime(2026, 1, 31)
                [said] = write([replace(SAID, seq=number + 1, key=f"{who}{number}", at=at, who=who)])
                if step == "say":
                    done.append(said.key)
                    undone.clear()
            case "restart":
                log = DecisionLog(folder)
                log.follow()
            case _:
                stack, other = (done, undone) if step == "undo" else (undone, done)
                newest = newest_answer if step == "undo" else newest_undoing
                if not stack:
                    with pytest.raises(MissingRowsError):
                        newest(log, "ana")
                    continue
                made = take_back(log, newest(log, "ana"), "ana", key=None, cells=pytest.fail)
                write([replace(d, seq=number + 1, at=datetime(2026, 1, 31)) for d in made.written])
                other.append(stack.pop())
        assert [d.key for d in live(log.entries) if d.who == "ana"] == done


# everything goes out and comes back

PLACES = st.builds(CellPlace, st.integers(0, 2**62), st.integers(0, 2**30), st.tuples(st.floats(-1e6, 1e6)) | st.none())
OUTCOME = st.tuples(st.lists(st.integers(0, 99), max_size=2), st.floats(0, 1)).map(list)


@st.composite
def decisions(draw):
    kind = draw(st.sampled_from(DecisionKind))
    named = kind in (DecisionKind.CHOOSE, DecisionKind.REJECT)
    undoing = kind is DecisionKind.UNDO
    text = st.text(max_size=20)
    return Decision(
        seq=draw(st.integers(1, 2**40)),
        key=draw(st.text(min_size=1, max_size=20)),
        at=draw(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1))).replace(microsecond=0),
        who=draw(st.from_regex(r"\A[A-Za-z0-9_.-]{1,40}\Z")),
        kind=kind,
        dataset=draw(text),
        cell=None if undoing else draw(PLACES),
        daughters=tuple(draw(st.lists(PLACES, max_size=2))) if named else None,
        shown=draw(st.none() | st.lists(OUTCOME, max_size=3)),
        solution=draw(st.none() | text),
        posterior=draw(st.none() | text),
        blind=draw(st.booleans()),
        ms=draw(st.none() | st.integers(0, 2**30)),
        undo_of=draw(text) if undoing else None,
        note=draw(st.none() | text),
        model=draw(st.none() | text),
    )


@given(decisions())
def test_a_line_tells_all_of_an_entry(decision):
    line = as_line(decision)
    assert line.index("\n") == len(line) - 1
    assert read_line(line, "line 1") == decision


def test_nothing_is_lost_on_the_way_to_another_store_and_back(store, annotator, drawn_store, tmp_path):
    asked = Asked(shown=[[[6], 0.75], [[], 0.25]], solution="ilp-1", posterior="p", blind=True, ms=900, model="m")
    annotator.answer("choose", 3, [6], who="ana", asked=asked, note="sure")
    annotator.answer("choose", 3, [9], who="bob", on_conflict="unsure")
    annotator.answer("flag", 5, who="cy", note="twins?")
    annotator.undo(who="cy")
    other = DuckDBStore(copied(drawn_store.path, tmp_path / "other.trackdb"))
    export_log(store, tmp_path / "there.jsonl")
    assert len(import_log(other, tmp_path / "there.jsonl").new) == 5
    solve(other, other.detection_set())  # merges them into the table
    shutil.rmtree(other.path / ANNOTATIONS)
    assert other.decisions() == opened(other).entries() == store.decisions()
    export_log(other, tmp_path / "back.jsonl")
    assert (tmp_path / "back.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()
    assert import_log(store, tmp_path / "back.jsonl").new == []


# people among themselves


def of(who, cell, daughters=None, kind="choose", **more):
    named = None if daughters is None else tuple(CellPlace(d, 2) for d in daughters)
    at, place, key = datetime(2026, 1, 31), CellPlace(cell, 1), f"{who}-{cell}-{kind}"
    return Decision(len(who) * 1_000 + cell, key, at, who, DecisionKind(kind), "movie", place, named, **more)


def test_kappa_is_that_of_the_book():
    pairs = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    assert kappa(pairs) == pytest.approx(0.4)  # observed .7, by chance .5
    assert kappa([("a", "a")] * 3) is None
    assert kappa([("a", "b")] * 3) == 0
    assert kappa([("a", "a"), ("b", "b")]) == 1


def test_people_agree_where_they_name_the_same_daughters():
    shown = [[[6], 0.6], [[9], 0.3], [[6, 9], 0.1]]
    said = [
        of("ana", 1, [6], shown=shown),
        of("bob", 1, [6], shown=[shown[2], shown[1], shown[0]]),
        of("ana", 2, [6], shown=shown),
        of("bob", 2, [9], shown=shown),  # both go on, as different cells
        of("ana", 3, [], shown=shown),
        of("bob", 3, []),
        of("ana", 4, kind="unsure"),
        of("bob", 4, [6], shown=shown),
        of("ana", 5, [6]),
        of("bob", 6, [6]),
        of("cy", 7, [6]),
    ]
    [told] = agreements(said)
    assert (told.a, told.b, told.cells, told.agreed) == ("ana", "bob", 4, 2)
    # ana: continues 1 twice, ends, unsure; bob: continues 1 twice, continues 2, ends
    by_chance = (2 * 2 + 1 * 1) / 16
    assert told.kappa == pytest.approx((2 / 4 - by_chance) / (1 - by_chance))


def test_who_is_replaced_has_his_opinion_still_and_who_takes_back_has_none(annotator):
    ana = annotator.answer("choose", 3, [6], who="ana").decision
    bob = annotator.answer("choose", 3, [9], who="bob", on_conflict="replace").decision
    said = annotator.entries()
    assert opinions(said) == [ana, bob]
    [told] = agreements(said)
    assert (told.cells, told.agreed) == (1, 0)
    annotator.undo(who="bob")
    assert opinions(annotator.entries()) == [ana]
    annotator.undo(who="ana")
    assert opinions(annotator.entries()) == []


def test_conflicts_are_found_whether_open_or_settled(store, annotator):
    annotator.answer("choose", 3, [6], who="ana")
    annotator.answer("choose", 3, [9], who="bob", on_conflict="replace")
    annotator.answer("choose", 4, [7], who="ana")
    annotator.answer("choose", 4, [8], who="ana", on_conflict="replace")  # changed her mind
    [settled] = conflicts(store, store.decisions())
    assert (settled.earlier.who, settled.later.who, settled.open) == ("ana", "bob", False)
    past = replace(of("cy", 5, [8]), seq=99, at=datetime(2100, 1, 1), dataset=settled.earlier.dataset)
    write_lines(store.path, [past])  # past the check
    still = [c for c in conflicts(store, store.decisions()) if c.open]
    assert [(c.earlier.cell.id, c.later.cell.id, c.why) for c in still] == [(4, 5, "a cell has one parent")]


def test_times_are_told_by_person_and_by_kind(store, annotator):
    for cell, ms in ((3, 1_000), (4, 3_000), (5, 2_000)):
        annotator.answer("choose", cell, [], who="ana", asked=Asked(ms=ms))
    annotator.answer("unsure", 6, who="ana", asked=Asked(ms=9_000))
    annotator.answer("flag", 6, who="ana")
    [ana] = work(store)
    assert (ana.median_ms, ana.median_ms_by_kind) == (2_500, {"choose": 2_000, "unsure": 9_000})
    assert [e.decision.kind.value for e in entries(store)] == ["choose"] * 3 + ["unsure", "flag"]


def test_a_clock_that_was_set_back_puts_no_answer_before_the_last_one():
    ahead = (now() + timedelta(hours=1)).replace(microsecond=0)
    last = Decision(1, "key", ahead, "ana", DecisionKind.CHOOSE, "movie", CellPlace(1), ())
    assert moment([last]) == ahead
    assert moment([]) < ahead


def two_people_said(annotator, store, file):
    annotator.answer("choose", 3, [6], who="ana")
    annotator.answer("flag", 5, who="cy")
    export_log(store, file)
    return file


def test_what_is_imported_of_several_people_comes_in_one_file(store, annotator, drawn_store, tmp_path):
    said = two_people_said(annotator, store, tmp_path / "said.jsonl")
    other = DuckDBStore(copied(drawn_store.path, tmp_path / "other.trackdb"))
    assert len(import_log(other, said).new) == 2
    [file] = (other.path / ANNOTATIONS).iterdir()
    assert file.read_bytes() == said.read_bytes()


def test_an_import_that_the_disk_does_not_take_whole_takes_nothing(
    store, annotator, drawn_store, tmp_path, monkeypatch
):
    said = two_people_said(annotator, store, tmp_path / "said.jsonl")
    other = DuckDBStore(copied(drawn_store.path, tmp_path / "other.trackdb"))

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("trackdb.storage.decision_log.flush", full)
        with pytest.raises(StoreFullError, match="make room"):
            import_log(other, said)
    assert list((other.path / ANNOTATIONS).iterdir()) == other.decisions() == []
    assert len(import_log(other, said).new) == 2
