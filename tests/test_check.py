"""The check: an untouched store has no problem, and each promise that is broken shows."""

import errno
import json
import shutil
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from trackdb.engine.check import check, examination, mend
from trackdb.engine.check.examination import altered_arrays, broken_promises
from trackdb.engine.check.labels import LABELS
from trackdb.engine.check.outcomes import LINKS, ORDER, SUM
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.progress import Recorded, Silent
from trackdb.errors import StoreDamagedError, StoreFullError
from trackdb.storage import commit_notes, commits, tables
from trackdb.storage.checkpoints import HEADERS
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.log_files import ANNOTATIONS
from trackdb.storage.promises import PROMISES
from trackdb.storage.quarantine import set_aside, unread_lines

from .command_line import answer, run
from .movies import DIVIDING, copied, dividing_cells, write_rows
from .posteriors import candidates, keep, links_of, outcomes_of, random_outcomes

IN_TRUTH = "solution_id = (select solution_id from solution where name = 'truth')"
BLOCK = 262144  # bytes of a block of the database
PIXELS = "'masks', '', 'arrays/0123', '0123', '[3, 4, 4]', 'uint16', 96, 1"
ELSEWHERE = PIXELS.replace("arrays/0123", "arrays/../../..")
LIKELIEST = "(select edge_id from edge_probability order by probability desc limit 1)"
# One statement for each promise, told by what it breaks.
BREAK = {
    "a number counts as free that was given": "update meta set value = '3' where key = 'next_detection'",
    "a run has no state that is known": "update run set state = 'over' where kind = 'link'",
    "a dataset belongs to no run": "update dataset set run_id = 99",
    "detections belong to no dataset or run": "update detection_set set run_id = 99",
    "a dataset has no detections": """
        insert into dataset select * replace (2 as dataset_id, 'empty' as name) from dataset""",
    "pixels belong to no dataset": f"insert into array_ref values (1, 99, {PIXELS})",
    "pixels are not named by their digest": f"insert into array_ref values (1, 1, {ELSEWHERE})",
    "a detection stands twice": "insert into detection select * replace (99 as label) from detection where det_id = 1",
    "a label stands twice in a frame": "update detection set label = 1 where t = 0 and label = 2",
    "a detection has no place": "update detection set x = 'nan' where det_id = 5",
    "a detection stands outside of the frames of its movie": "update dataset set n_frames = 5",
    "detections are not numbered in the order of their frames": """
        update detection set det_id = 999 where det_id = (select min(det_id) from detection)""",
    "a detection belongs to no set": """
        insert into detection select * replace (998 as det_id, 99 as set_id) from detection limit 1""",
    "the features of a detection stand twice": """
        insert into detection_feature (det_id, border_px) values (1, 1), (1, 2)""",
    "features belong to no detection": "insert into detection_feature (det_id) values (99999)",
    "a box holds no pixel": "insert into detection_feature (det_id, bbox_y0, bbox_y1) values (1, 7, 7)",
    "an intensity stands twice": """
        insert into detection_intensity (det_id, channel, mean) values (1, 'red', 1), (1, 'red', 2)""",
    "an intensity belongs to no detection": "insert into detection_intensity (det_id, channel) values (99999, 'red')",
    "an intensity lies outside of its bounds": "insert into detection_intensity values (1, 'red', 5, 6, 7)",
    "a property stands twice": """
        insert into detection_property values (1, 'name', null, 'AB'), (1, 'name', null, 'CD')""",
    "a property belongs to no detection": "insert into detection_property values (99999, 'name', null, 'AB')",
    "a property is neither a number nor a text": "insert into detection_property values (1, 'name', null, null)",
    "a conflict is not between two detections that are there": "insert into conflict values (1, 1, 1), (1, 2, 99999)",
    "a candidate stands twice": "insert into edge select * replace (9999 as edge_id) from edge where edge_id = 1",
    "the number of a candidate stands twice": "update edge set edge_id = 1 where edge_id = 2",
    "a candidate ties a detection that is not there": "update edge set target = 99999 where edge_id = 1",
    "a candidate does not run forward in time": "update edge set dt = 0 where edge_id = 1",
    "a candidate does not fit the frames of its detections": "update edge set t = t + 1 where edge_id = 1",
    "a candidate has no length": "update edge set distance = 'nan' where edge_id = 1",
    "a score belongs to no candidate": "update edge_score set edge_id = 99999 where edge_id = 1",
    "a score belongs to no run": "insert into edge_score values (99, 1, 0.5)",
    "a score stands twice": "insert into edge_score select * replace (score + 1 as score) from edge_score limit 1",
    "a score is not a number": "update edge_score set score = 'nan' where edge_id = 1",
    "a solution belongs to no detections": "update solution set set_id = 99 where name = 'truth'",
    "cells belong to no solution": "insert into solution_node values (99, 1, 1, 0)",
    "links belong to no solution": "insert into solution_edge values (99, 1, 0)",
    "prices belong to no solution": "insert into solution_dual values (99, 1, 0)",
    "tracks belong to no solution": "insert into track values (99, 1, null, 1, 0, 0, 0, 0, 0, 0)",
    "a cell of a solution stands twice": """
        insert into solution_node select * replace (pre + 1 as pre) from solution_node limit 1""",
    "a link of a solution stands twice": """
        insert into solution_edge select * replace (2 as kind) from solution_edge limit 1""",
    "a price of a solution stands twice": """
        insert into solution_dual select * replace (dual - 1 as dual) from solution_dual limit 1""",
    "a cell of a solution is no detection": f"""
        insert into solution_node select solution_id, 99999, 1, 0 from solution where {IN_TRUTH}""",
    "a link of a solution is no candidate": f"""
        insert into solution_edge select solution_id, 99999, 0 from solution where {IN_TRUTH}""",
    "a cell of a solution has two parents": f"""
        insert into solution_edge select s.solution_id, o.edge_id, 0 from solution_edge s join edge e using (edge_id)
            join edge o on o.target = e.target and o.edge_id <> e.edge_id where {IN_TRUTH} limit 1""",
    "a cell of a solution has more than two daughters": """
        update edge set source = 1 where edge_id in (
            select edge_id from solution_edge join solution using (solution_id) where name = 'ilp-1')""",
    "a link ties what is not a cell of its solution": f"delete from solution_node where {IN_TRUTH} and det_id = 1",
    "a solution is cheaper than its own bound": "update solution set lower_bound = objective + 1 where name = 'ilp-1'",
    "two solutions of a dataset have one name": "update solution set name = 'truth' where name = 'ilp-1'",
    LABELS: f"update track set last = pre where {IN_TRUTH} and n_children = 2",
    "a posterior belongs to no solution": "update posterior set solution_id = 99",
    "a probability belongs to no posterior": "insert into edge_probability values (99, 1, 0.5, 'exact', null)",
    "an outcome belongs to no posterior": "insert into cell_outcome values (99, 1, 1, '[]', 1, 'exact', null)",
    "a posterior has a temperature that is not above 0": "update posterior set temperature = 0",
    "a probability stands twice": """
        insert into edge_probability select * replace (probability / 2 as probability) from edge_probability limit 1""",
    "a probability belongs to no candidate": "update edge_probability set edge_id = 99999 where edge_id = 1",
    "a probability is not between 0 and 1": "update edge_probability set probability = 'nan' where edge_id = 1",
    "a probability does not say how it was got": "update edge_probability set how = 'guessed' where edge_id = 1",
    "the mothers of a cell are together likelier than 1": "update edge_probability set probability = 0.6",
    "an outcome belongs to no detection": "insert into cell_outcome values (1, 99999, 1, '[]', 1, 'exact', null)",
    "a posterior does not hold as many links as its run tells": """
        update run set params = json_object('links', 7) where kind = 'posterior'""",
    SUM: "update cell_outcome set probability = probability / 2 where rank = 1",
    ORDER: "update cell_outcome set rank = rank + 1",
    LINKS: f"update edge_probability set probability = 0 where edge_id = {LIKELIEST}",
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A store with divisions, truth, scores, a solution and a posterior; its folder is copied, never written."""
    folder = tmp_path_factory.mktemp("pristine")
    store = DuckDBStore(folder / "a.trackdb")
    ingest(write_rows(folder / "a.csv", dividing_cells(n_frames=6, side=3), header=DIVIDING), store)
    solve(store, store.detection_set())
    cells = random_outcomes(candidates(store), np.random.default_rng(0))
    keep(store, links_of(cells, candidates(store)), outcomes_of(cells))
    return store


@pytest.fixture
def store(pristine, tmp_path):
    """A copy of the store to break."""
    (tmp_path / "b.trackdb").mkdir()
    (tmp_path / "b.trackdb" / GRAPH).write_bytes((pristine.path / GRAPH).read_bytes())
    return DuckDBStore(tmp_path / "b.trackdb")


# What else is wrong once that statement was run.
COUNTS = "a number counts as free that was given"
ALSO = {
    "a dataset has no detections": {COUNTS},
    "pixels belong to no dataset": {COUNTS, "the masks in arrays/0123 are missing"},
    "pixels are not named by their digest": {COUNTS},
    "detections are not numbered in the order of their frames": {
        COUNTS,
        "a candidate ties a detection that is not there",
        "a cell of a solution is no detection",
        "an outcome belongs to no detection",
    },
    "a detection belongs to no set": {COUNTS},
    "a candidate stands twice": {COUNTS},
    "the number of a candidate stands twice": {
        "a score belongs to no candidate",
        "a link of a solution is no candidate",
        "a probability belongs to no candidate",
        LINKS,
    },
    "a candidate ties a detection that is not there": {"a link ties what is not a cell of its solution"},
    "links belong to no solution": {"a link ties what is not a cell of its solution"},
    "a cell of a solution has more than two daughters": {
        "a candidate does not fit the frames of its detections",
        LABELS,
        LINKS,
    },
    "a probability is not between 0 and 1": {"the mothers of a cell are together likelier than 1", LINKS},
    "the mothers of a cell are together likelier than 1": {LINKS},
}
# What of them is mended, so that the store is again what it was.
MENDED = {
    COUNTS,
    "pixels belong to no dataset",
    "features belong to no detection",
    "an intensity belongs to no detection",
    "a property belongs to no detection",
    "a score belongs to no run",
    "cells belong to no solution",
    "links belong to no solution",
    "prices belong to no solution",
    "tracks belong to no solution",
    "a probability belongs to no posterior",
    "an outcome belongs to no posterior",
    LABELS,
    ORDER,
}


def found_in(store):
    """What is wrong with a store, without whose it is."""
    return {problem.what.split(" (")[0] for problem in check(store)}


def all_rows(store):
    """All rows but the facts about the store, in words: no number is one that equals nothing, not even itself."""
    with store.reading() as connection:
        return {
            name: repr(connection.exec_driver_sql(f"select * from {name} order by all").all())
            for name in tables.metadata.tables
            if name != "meta"
        }


def test_an_untouched_store_has_no_problem(store, solved):
    progress = Recorded()
    assert check(store) == []
    assert check(solved, progress) == []
    assert progress.stages == ["blocks", "tables", "pixels"]


def test_every_promise_has_a_statement_that_breaks_it():
    assert set(BREAK) == {p.what for p in PROMISES} | {LABELS, SUM, ORDER, LINKS}


class Undone(Exception):
    """Takes a transaction back."""


def broken_by(store, statements):
    """What statements break, which are then taken back."""
    found = []
    with suppress(Undone), store.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        found += broken_promises(connection, Silent())
        raise Undone
    return found


ALONE = (*ALSO, "a posterior belongs to no solution", "a link of a solution stands twice")  # they hide others
TOGETHER = [promise for promise in BREAK if promise not in ALONE]
GROUPS = [*([promise] for promise in ALONE), *(TOGETHER[k::14] for k in range(14))]  # each question takes a while


@pytest.mark.parametrize("promises", GROUPS, ids=lambda promises: promises[0])
def test_broken_promises_are_found_and_nothing_else(pristine, promises):
    statements = [BREAK[promise] for promise in promises]
    problems = {problem.what.split(" (")[0]: problem for problem in broken_by(pristine, statements)}
    also = {what for promise in promises for what in ALSO.get(promise, set()) if not what.startswith("the masks")}
    assert set(problems) == {*promises} | also
    for promise in promises:
        assert problems[promise].count >= 1
        assert problems[promise].mendable == ("--repair" in problems[promise].remedy)
        assert problems[promise].mendable >= (promise in MENDED)


def test_what_can_be_mended_is_mended_at_once_and_the_store_is_what_it_was(store, pristine):
    with store.writing() as connection:
        for promise in MENDED:
            connection.exec_driver_sql(BREAK[promise])
    assert found_in(store) >= MENDED
    assert {mended.what.split(" (")[0] for mended in mend(store)} == MENDED
    assert check(store) == []
    assert all_rows(store) == all_rows(pristine)


def test_what_cannot_be_mended_stays_as_it_is(store):
    spoiling = {"a cell of a solution has more than two daughters", *(what for what in BREAK if "not numbered" in what)}
    with store.writing() as connection:
        for promise in BREAK:
            if promise not in MENDED | spoiling:
                connection.exec_driver_sql(BREAK[promise])
    broken, found = all_rows(store), found_in(store)
    assert len(found) > 40
    equal = {"a score stands twice", "a probability stands twice"}  # for what told them apart was altered, too
    assert {mended.what for mended in mend(store)} <= {COUNTS} | equal
    touched = {name for name, rows in all_rows(store).items() if rows != broken[name]}
    assert touched <= {"edge_score", "edge_probability"}
    assert found_in(store) >= found - {COUNTS} - equal


def test_rows_that_stand_twice_as_a_whole_are_kept_once(store, pristine):
    doubled = ("detection", "edge", "edge_score", "solution_node", "solution_edge", "solution_dual", "edge_probability")
    with store.writing() as connection:
        for table in doubled:
            connection.exec_driver_sql(f"insert into {table} select * from {table} where rowid in (0, 2)")
    twice = {what for what in found_in(store) if "twice" in what}
    assert len(twice) > len(doubled)
    done = mend(store)
    assert {mended.done for mended in done} == {"one of the equal rows was kept"}
    assert check(store) == []
    assert all_rows(store) == all_rows(pristine)


def test_a_problem_names_whose_it_is_and_what_makes_it_anew(store):
    with store.writing() as connection:
        connection.exec_driver_sql(BREAK[SUM])
    [problem] = check(store)
    assert problem.what.endswith("(posterior drawn-1)")
    assert problem.remedy == f"trackdb drop {store.path} posterior drawn-1, then trackdb posterior"


def test_a_run_that_was_left_behind_is_named_with_what_to_do(store):
    die = (
        "import os; from pathlib import Path; from trackdb.storage.duckdb_store import DuckDBStore\n"
        f"store = DuckDBStore(Path({str(store.path)!r}), command='trackdb score')\n"
        "with store.running('score', 'mine', {}): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", die], check=False).returncode == 9
    [problem] = check(store)
    assert "score mine was not finished by pid" in problem.what
    assert problem.remedy == "give the same command again"


def test_a_run_at_work_is_no_problem(store):
    with store.running("score", "mine", {}):
        assert check(store) == []


def test_pixels_that_nothing_refers_to_are_named(store):
    (store.path / "arrays" / "0123abcd").mkdir(parents=True)
    [problem] = check(store)
    assert problem.what == "nothing refers to arrays/0123abcd"


def test_a_failed_run_is_no_problem(store):
    with store.running("score", "mine", {}) as run:
        store.fail(run, StoreDamagedError("stop"))
    assert check(store) == []


def test_what_belongs_to_nothing_is_removed(store, pristine):
    for path in ("arrays/0123abcd", "arrays/.tmp-run-9-masks-", "unfinished/score-1", "unfinished/compact-1"):
        (store.path / path).mkdir(parents=True)
    assert len(check(store)) == 4
    assert all(problem.mendable for problem in check(store))
    assert len(mend(store)) == 4
    assert check(store) == []
    assert all_rows(store) == all_rows(pristine)


def test_files_stay_where_the_rows_that_let_them_go_could_not_be_written(store, monkeypatch):
    """Pixels of no dataset go with their rows; where these come back, the pixels must still be there."""
    with store.writing() as connection:
        connection.exec_driver_sql(f"insert into array_ref values (77, 99, {PIXELS})")
    (store.path / "arrays" / "0123").mkdir(parents=True)

    def full(*_):
        raise StoreFullError("no room")

    monkeypatch.setattr(commits.catalogue, "count_commit", full)
    with pytest.raises(StoreFullError):
        mend(store)
    assert (store.path / "arrays" / "0123").exists()


@pytest.mark.parametrize("kind", ["solve", "score"])
def test_runs_that_died_are_closed_but_for_those_that_the_same_command_goes_on_with(store, kind):
    store.running(kind, "mine", {}).gen.__next__()  # and its process dies: the lease goes, the run stays
    assert [problem.mendable for problem in check(store)] == [kind not in ("ingest", "score")]
    mend(store)
    assert {problem.remedy for problem in check(store)} <= {"give the same command again"}
    assert bool(check(store)) == (kind in ("ingest", "score"))


def pixels_of(store):
    return [file for ref in store.all_arrays() for file in (store.path / ref.path).rglob("*") if file.is_file()]


def test_a_flipped_bit_in_any_file_of_the_pixels_is_found(solved):
    for file in pixels_of(solved)[::3]:
        content = file.read_bytes()
        file.write_bytes(flipped(content, np.random.default_rng(0)))
        assert [problem.what.endswith("were altered") for problem in altered_arrays(solved, Silent())] == [True]
        file.write_bytes(content)
    assert check(solved) == []


def test_pixels_that_are_missing_or_more_are_found(solved):
    [first, *_] = solved.all_arrays()
    (solved.path / first.path / "more").write_text("")
    assert [problem.what for problem in check(solved)] == [f"the {first.kind} in {first.path} were altered"]
    shutil.rmtree(solved.path / first.path)
    assert [problem.what for problem in check(solved)] == [f"the {first.kind} in {first.path} are missing"]


def flipped(content, rng):
    """Return bytes of which one bit is another."""
    place = int(rng.integers(len(content)))
    changed = bytearray(content)
    changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


@pytest.mark.parametrize("seed", range(6))
def test_a_flipped_bit_in_the_database_is_found_or_harmless(store, pristine, seed):
    """A block is either in no use, and all rows are what they were, or its checksum tells."""
    file = store.path / GRAPH
    file.write_bytes(flipped(file.read_bytes(), np.random.default_rng(seed)))
    try:
        problems = check(store)
    except StoreDamagedError:
        return
    assert problems or all_rows(store) == all_rows(pristine)


def test_pixels_that_the_disk_does_not_give_back_are_named(solved, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(examination, "digest", broken)
    problems = check(solved)
    assert len(problems) == len(solved.all_arrays()) > 0
    for problem in problems:
        assert problem.what.endswith(" cannot be read: Input/output error")
        assert problem.remedy == "restore the folder from a copy"


def test_a_remedy_names_the_store_whatever_that_is_called(store, tmp_path):
    place = tmp_path / "STORE" / "a.trackdb"
    place.parent.mkdir()
    moved = DuckDBStore(copied(store.path, place))
    with (place / commit_notes.COMMITS).open("a") as notes:
        notes.write(json.dumps({"commit": 10**6, "at": "2026-01-31T10:00:00", "by": "pid 1"}) + "\n")
    [problem] = check(moved)
    assert f"remove {place / commit_notes.COMMITS} and" in problem.remedy


def test_a_damaged_table_is_named_and_the_others_are_looked_at(store):
    """Scored pairs are noise on the disk; a broken promise about another table is found all the same."""
    with store.writing() as connection:
        connection.exec_driver_sql("delete from edge_score")
        connection.exec_driver_sql("insert into edge_score select 3, 1, random() from range(200000)")
        connection.exec_driver_sql(BREAK["an intensity lies outside of its bounds"])
    with store.reading() as connection:
        block = connection.exec_driver_sql("select max(block_id) from pragma_storage_info('edge_score')").scalar_one()
    file = store.path / GRAPH
    content = file.read_bytes()
    place = HEADERS + block * BLOCK + BLOCK // 2
    file.write_bytes(content[:place] + b"noise" + content[place + 5 :])
    named = [problem.what for problem in check(store)]
    assert [what for what in named if what.startswith("table ")] == [named[0]]
    assert named[0].startswith("table edge_score cannot be read: ")
    assert "an intensity lies outside of its bounds" in named


GOOD = (
    b'{"v":1,"seq":1,"key":"one","at":"2026-01-31T10:00:00Z","who":"ana","kind":"begins","dataset":"a","cell":{"id":1}}'
)
BAD_LINES = {
    "noise": b"\x00\xff\x80",
    "half a line": GOOD[:40],
    "no person": GOOD.replace(b"ana", b"../x"),
    "no kind": GOOD.replace(b"begins", b"guesses"),
    "nothing": b"",
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_line_that_cannot_be_read_is_set_aside_and_the_others_are_read(store, bad):
    log = store.path / ANNOTATIONS / "ana-20260131.jsonl"
    log.parent.mkdir()
    later = GOOD.replace(b"one", b"two")
    log.write_bytes(GOOD + b"\n" + BAD_LINES[bad] + b"\n" + later + b"\n")
    [lines] = unread_lines(store.path)
    assert (lines.file, lines.numbers, lines.newer) == (log, (2,), False)
    with pytest.raises(StoreDamagedError):
        store.decisions()
    assert set_aside(store.path) == [lines]
    assert log.read_bytes() == GOOD + b"\n" + later + b"\n"
    assert log.with_suffix(".unread").read_bytes() == BAD_LINES[bad] + b"\n"
    assert [d.key for d in store.decisions()] == ["one", "two"]
    assert unread_lines(store.path) == []


def test_a_line_is_set_aside_whole_where_a_process_died_while_it_set_one_aside(store):
    log = store.path / ANNOTATIONS / "ana-20260131.jsonl"
    log.parent.mkdir()
    log.write_bytes(b"noise\n")
    log.with_suffix(".unread").write_bytes(b"former\nnoi")
    set_aside(store.path)
    assert log.with_suffix(".unread").read_bytes() == b"former\nnoi\nnoise\n"


@pytest.mark.parametrize("name", ["ana.jsonl", "ana.unread"])
def test_no_line_is_set_aside_out_of_the_store(store, tmp_path, name):
    """As in the store of a stranger, who has a link in the place of one of the two."""
    (store.path / ANNOTATIONS).mkdir()
    (store.path / ANNOTATIONS / "ana.jsonl").write_bytes(b"noise\n")
    (store.path / ANNOTATIONS / name).unlink(missing_ok=True)
    (tmp_path / "mine").write_bytes(b"mine\n")
    (store.path / ANNOTATIONS / name).symlink_to(tmp_path / "mine")
    with pytest.raises(StoreDamagedError, match="leads out of the store"):
        set_aside(store.path)
    assert (tmp_path / "mine").read_bytes() == b"mine\n"


def test_a_line_that_cannot_be_read_is_a_problem_that_mends(store):
    log = store.path / ANNOTATIONS / "ana-20260131.jsonl"
    log.parent.mkdir()
    log.write_bytes(b"noise\n" + GOOD + b"\n")
    [problem] = check(store)
    assert f"{log} line 1 is no decision" in problem.what
    assert [mended.what for mended in mend(store)] == [f"{log} line 1"]
    assert check(store) == []


def test_lines_of_a_newer_trackdb_stay(store):
    log = store.path / ANNOTATIONS / "ana-20260131.jsonl"
    log.parent.mkdir()
    log.write_bytes(GOOD.replace(b'"v":1', b'"v":2') + b"\n")
    [problem] = check(store)
    assert (problem.mendable, problem.remedy) == (False, "pip install --upgrade trackdb")
    assert set_aside(store.path) == []
    assert log.exists()


def test_an_answer_that_was_altered_in_the_log_or_in_the_table_is_found(store):
    log = store.path / ANNOTATIONS / "ana-20260131.jsonl"
    log.parent.mkdir()
    log.write_bytes(GOOD + b"\n")
    with store.beginning():  # which merges it
        pass
    assert check(store) == []
    log.write_bytes(GOOD.replace(b'"id":1', b'"id":3') + b"\n")
    [problem] = check(store)
    assert problem.what == "entries of the log are not those that were merged: one"
    log.write_bytes(GOOD + b"\n")
    with store.writing() as connection:
        connection.exec_driver_sql("update annotation set kind = 'guesses'")
    assert "a row of table annotation is no decision" in check(store)[0].what


@pytest.mark.usefixtures("own_home_and_log")
def test_the_command_tells_what_was_mended_and_what_is_left(store):
    with store.writing() as connection:
        connection.exec_driver_sql(BREAK[LABELS])
        connection.exec_driver_sql(BREAK[SUM])
    told = answer("check", store.path, "--repair", code=5)
    assert [mended["done"] for mended in told["mended"]] == ["made again from the links"]
    assert [problem["mendable"] for problem in told["problems"]] == [False]
    with store.writing() as connection:
        connection.exec_driver_sql("update cell_outcome set probability = probability * 2 where rank = 1")
    assert "0 problems, 0 things mended" in run("check", store.path, "--repair").stderr
