"""What is dropped goes whole and alone, what people said stays, and a compaction changes nothing but the size."""

import os
import shutil
import subprocess
import sys

import duckdb
import numpy as np
import pytest

from trackdb.engine import space
from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.annotations.pins import pins_among
from trackdb.engine.annotations.records import entries
from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.errors import MissingRowsError, StaleError, StoreExistsError, StoreFullError, StoreLockedError
from trackdb.storage import arrays, compacting, tables
from trackdb.storage.commit_notes import COMMITS
from trackdb.storage.dropping import DROPPED
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.ingestion import ingesting
from trackdb.storage.posteriors import PosteriorInfo, add_posterior
from trackdb.storage.sandbox import ask
from trackdb.storage.schema import Movie

from .command_line import answer, refusal, run
from .movies import copied, own_copy
from .posteriors import candidates, keep, links_of, outcomes_of, random_outcomes


@pytest.fixture(scope="module")
def weighed(solved_once, tmp_path_factory):
    """The drawn movie with images, truth, scores, a solution, a posterior of it and an answer; to be copied."""
    store = own_copy(solved_once, tmp_path_factory.mktemp("weighed"))
    cells = random_outcomes(candidates(store), np.random.default_rng(0))
    keep(store, links_of(cells, candidates(store)), outcomes_of(cells))
    Annotator(store, store.detection_set()).answer("choose", 2, [4, 5], who="ana")
    with store.beginning():  # which merges the answer
        pass
    return store


@pytest.fixture
def store(weighed, tmp_path):
    return own_copy(weighed, tmp_path)


def rows_of(store):
    """All rows of all tables but the log of runs and the facts about the store."""
    with store.reading() as connection:
        return {
            name: connection.exec_driver_sql(f"select * from {name} order by all").all()
            for name in tables.metadata.tables
            if name not in ("run", "meta")
        }


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def dropped(store, kind, name, **options):
    return space.drop(store, space.planned(store, kind, name, **options))


def states(store):
    return {(r.kind, r.name): r.state for r in store.runs()}


def test_a_solution_goes_with_its_rows_alone(store):
    before = rows_of(store)
    done = dropped(store, "solution", "truth")
    after = rows_of(store)
    gone = {"solution", "solution_node", "solution_edge", "track"}
    assert changed(before, after) == gone == set(done.plan.rows)
    assert {name: len(before[name]) - len(after[name]) for name in gone} == done.plan.rows
    assert [row.name for row in after["solution"]] == ["ilp-1"]
    assert states(store)["ingest", "drawn"] == "done"
    assert states(store)["drop", "solution truth"] == "done"
    assert check(store) == []


def test_what_others_hang_on_is_refused_and_they_are_named(store):
    before = rows_of(store)
    with pytest.raises(StoreExistsError, match="posterior drawn-1"):
        space.planned(store, "solution", "ilp-1")
    with pytest.raises(StoreExistsError, match="posterior drawn-1, solution ilp-1"):
        space.planned(store, "scores", "distance")
    with pytest.raises(StoreExistsError, match="posterior drawn-1, solution truth, solution ilp-1, scores distance"):
        space.planned(store, "dataset", "drawn")
    assert rows_of(store) == before


def test_what_hangs_on_scores_goes_with_them_if_that_is_wanted(store):
    done = dropped(store, "scores", "distance", with_dependents=True)
    assert [str(part) for part in done.plan.dependents] == ["posterior drawn-1", "solution ilp-1"]
    after = rows_of(store)
    empty = {"edge_score", "posterior", "edge_probability", "cell_outcome", "solution_dual"}
    assert all(after[name] == [] for name in empty)
    assert [row.name for row in after["solution"]] == ["truth"]
    assert {states(store)[k] for k in (("score", "distance"), ("solve", "ilp-1"), ("posterior", "drawn-1"))} == {
        DROPPED
    }
    assert check(store) == []


def test_a_posterior_goes_and_its_solution_stays(store):
    dropped(store, "posterior", "drawn-1")
    after = rows_of(store)
    assert after["posterior"] == after["edge_probability"] == after["cell_outcome"] == []
    assert len(after["solution"]) == 2


@pytest.mark.parametrize(
    ("kind", "name", "about"), [("solution", "truth", 0), ("detections", "stain", 0), ("detections", "ingested", 1)]
)
def test_answers_are_told_of_cells_that_go_and_no_others(store, kind, name, about):
    second_set(store)
    plan = space.planned(store, kind, name, with_dependents=True)
    assert (space.answers_about(store, plan), space.drop(store, plan).answers) == (about, about)
    assert len(store.decisions()) == 1


def test_answers_outlive_their_dataset_and_find_their_cells_when_it_comes_back(store, drawn):
    done = dropped(store, "dataset", "drawn", with_dependents=True)
    assert done.answers == 1
    after = rows_of(store)
    kept = {"annotation"}
    assert {name for name in after if after[name]} == kept
    assert not list((store.path / "arrays").iterdir())
    [entry] = entries(store)
    assert not entry.attached
    assert check(store) == []

    ingest(drawn, store)
    chosen = store.detection_set()
    detections = store.detections(chosen)
    assert detections.id[0] > 9, "a number is never given twice"
    pinned = pins_among(store.decisions(), "drawn", detections)
    assert (len(pinned.pins), pinned.lost) == (1, [])
    assert entries(store)[0].attached


def test_pixels_that_serve_twice_stay_while_one_is_left(store, drawn):
    ingest(drawn, store, name="again")
    folders = {ref.path for ref in store.all_arrays()}
    assert len(store.all_arrays()) == 2 * len(folders)
    dropped(store, "dataset", "again", with_dependents=True)
    assert all((store.path / path).is_dir() for path in folders)
    assert check(store) == []
    dropped(store, "dataset", "drawn", with_dependents=True)
    assert not any((store.path / path).exists() for path in folders)


def second_set(store):
    """Give the dataset a second detection set of one cell, with a mask of its own."""
    with store.writing() as connection:
        for statement in (
            "insert into run select * replace ({} as run_id, 'detect' as kind, 9 as set_id) from run where run_id = 1",
            "insert into detection_set values (9, 1, 'stain', {})",
            "insert into detection values (99, 9, 0, null, 1, 1, 1, 4, null)",
            "insert into detection_feature (det_id) values (99)",
            """insert into array_ref select * replace ({} as run_id, 99 as array_id, 'arrays/f00' as path)
                from array_ref where kind = 'masks'""",
        ):
            connection.exec_driver_sql(statement.format(90))
        connection.exec_driver_sql("update meta set value = '100' where key like 'next_%%'")
    (store.path / "arrays" / "f00").mkdir()


def test_detections_go_where_the_dataset_has_others(store):
    before = rows_of(store)
    with pytest.raises(StoreExistsError, match="drop STORE dataset drawn"):
        space.planned(store, "detections", "ingested")
    second_set(store)
    dropped(store, "detections", "stain")
    assert rows_of(store) == before
    assert not (store.path / "arrays" / "f00").exists()
    assert check(store) == []


def test_scores_of_other_detections_and_what_was_made_of_them_stay(store):
    second_set(store)
    with store.writing() as connection:
        for statement in (
            "insert into run select * replace (92 as run_id, 9 as set_id, 'other' as name) from run "
            "where name = 'ilp-1'",
            "insert into solution select * replace (92 as run_id, 9 as set_id, 98 as solution_id, 'other' as name) "
            "from solution where name = 'ilp-1'",
        ):
            connection.exec_driver_sql(statement)
    done = dropped(store, "scores", "distance", detections="ingested", with_dependents=True)
    assert [str(part) for part in done.plan.dependents] == ["posterior drawn-1", "solution ilp-1"]
    assert {row.name for row in rows_of(store)["solution"]} == {"truth", "other"}


def test_embeddings_go_with_their_scores(store):
    of_scores = "(select run_id from run where kind = 'score')"
    with store.writing() as connection:
        connection.exec_driver_sql(
            f"insert into array_ref select * replace ({of_scores} as run_id, 99 as array_id, 'embeddings' as kind, "
            "'arrays/f00' as path) from array_ref where kind = 'masks'"
        )
    (store.path / "arrays" / "f00").mkdir()
    dropped(store, "scores", "distance", with_dependents=True)
    assert "embeddings" not in {ref.kind for ref in store.all_arrays()}
    assert not (store.path / "arrays" / "f00").exists()


def test_what_failed_has_failed_also_when_its_dataset_is_gone(store):
    with store.running("score", "mine", {}, chosen=store.detection_set()) as begun:
        store.fail(begun, StaleError("stop"))
    dropped(store, "dataset", "drawn", with_dependents=True)
    assert states(store)["score", "mine"] == "failed"
    assert states(store)["score", "distance"] == DROPPED


def test_the_first_detections_go_and_the_images_stay(store):
    second_set(store)
    dropped(store, "detections", "ingested", with_dependents=True)
    assert [s.name for s in store.detection_sets()] == ["stain"]
    assert len(store.all_arrays()) == 3


def test_an_unfinished_ingest_is_dropped_by_its_dataset(store):
    before = rows_of(store)
    with ingesting(store, Movie("half", 3, 2), {}):
        pass
    (store.path / "arrays" / ".tmp-run-6-masks-").mkdir()
    dropped(store, "dataset", "half")
    assert rows_of(store) == before
    assert store.unfinished() == []
    assert check(store) == []


def test_nothing_is_dropped_under_a_process_at_work(store):
    before = rows_of(store)
    plan = space.planned(store, "posterior", "drawn-1")
    at_work = store.running("solve", "mine", {}, chosen=store.detection_set())
    with at_work, pytest.raises(StoreLockedError, match="solve mine is at work"):
        space.drop(store, plan)
    assert rows_of(store) == before


def test_what_came_to_hang_on_it_meanwhile_does_not_go(store):
    plan = space.planned(store, "solution", "truth")
    cells = random_outcomes(candidates(store), np.random.default_rng(1))
    keep(store, links_of(cells, candidates(store)), outcomes_of(cells), name="late", solution="truth")
    with pytest.raises(StaleError, match="posterior late"):
        space.drop(store, plan)


def test_work_on_what_was_dropped_meanwhile_is_refused(store):
    chosen, info = store.find_solution(name="truth")
    cells = random_outcomes(candidates(store), np.random.default_rng(1))
    links, outcomes = links_of(cells, candidates(store)), outcomes_of(cells)
    dropped(store, "solution", "truth")
    with store.running("posterior", "late", {}, chosen=chosen) as begun:
        made = PosteriorInfo(0, chosen.id, info.id, begun.id, "late", "exact", 1.0, False)
        with pytest.raises(MissingRowsError, match="solution that this is made of was dropped"):
            add_posterior(store, begun, made, links, outcomes, {})
        store.fail(begun, StaleError("stop"))
    dropped(store, "dataset", "drawn", with_dependents=True)
    too_late = store.running("solve", "late", {}, chosen=chosen)
    with pytest.raises(MissingRowsError, match="detection set that this is made of was dropped"):
        too_late.__enter__()
    assert check(store) == []


def test_pixels_whose_removal_was_killed_are_not_taken_for_whole(store, drawn, monkeypatch):
    plan = space.planned(store, "dataset", "drawn", with_dependents=True)
    monkeypatch.setattr(arrays.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        space.drop(store, plan)
    monkeypatch.undo()
    ingest(drawn, store)
    assert [p for p in check(store) if "nothing refers to" not in p.what] == []
    space.compact(store)
    assert check(store) == []


def killed(folder, ignore_errors=False):
    """Remove one file of a folder, and die."""
    if ignore_errors:
        return
    next(file for file in folder.rglob("*") if file.is_file()).unlink()
    raise KeyboardInterrupt


def test_a_compaction_gives_space_back_and_changes_no_answer(store):
    dropped(store, "scores", "distance", with_dependents=True)
    with store.writing() as connection:
        connection.exec_driver_sql("create table mine as select 7 as own")
    before, meta = rows_of(store), store.meta()
    done = space.compact(store)
    assert done.after < done.before
    assert rows_of(store) == before
    assert {k for k, v in store.meta().items() if v != meta[k]} == {"commits"}
    assert ask(store.path, "select count(*) from descendants('truth', 2)").rows_by_position() == [[5]]
    assert ask(store.path, "from mine").rows_by_position() == [[7]]
    assert check(store) == []


def test_a_compaction_is_on_the_disk_before_it_takes_its_place_and_keeps_who_may_read_it(store, monkeypatch):
    steps, flushed, replaced = [], compacting.flush, os.replace
    monkeypatch.setattr(compacting, "flush", lambda path: (steps.append(path.name), flushed(path)))
    monkeypatch.setattr(compacting.os, "replace", lambda old, new: (steps.append("replace"), replaced(old, new)))
    os.chmod(store.path / GRAPH, 0o640)
    compacting.rewrite(store.path)
    assert steps == [GRAPH, "replace", store.path.name]
    assert (store.path / GRAPH).stat().st_mode & 0o777 == 0o640


def test_a_compaction_collects_what_belongs_to_nothing(store):
    for path in ("arrays/0123abcd", "arrays/.tmp-run-1-masks-", "unfinished/score-1", "unfinished/compact-7"):
        (store.path / path).mkdir(parents=True)
    (store.path / "locks" / "run-1.lock").touch()
    done = space.compact(store)
    assert len(done.strays) == 4
    assert not (store.path / "unfinished").exists()
    assert not (store.path / "locks" / "run-1.lock").exists()
    assert check(store) == []


def test_a_compaction_leaves_unfinished_work_its_files(store):
    with store.running("score", "mine", {}):
        (store.path / "arrays" / ".tmp-score-mine").mkdir()
        (store.path / "unfinished" / "score-mine").mkdir(parents=True)
        done = space.compact(store)
    assert (done.kept, done.strays) == (["score mine"], [])
    assert (store.path / "unfinished" / "score-mine").is_dir()


# Dies before the k-th of the steps named, for every k; each life has a store of its own.
LIVES = """
import os, sys
from pathlib import Path
from trackdb.engine import space
from trackdb.storage import compacting, strays
from trackdb.storage.duckdb_store import DuckDBStore
steps = [(compacting, "_copy"), (compacting, "_put_in_place"), (compacting, "flush"), (os, "replace"),
    (compacting.shutil, "copymode"), (compacting.shutil, "rmtree"), (compacting.shutil, "disk_usage")]
for k, folder in enumerate(sys.argv[1:]):
    child = os.fork()
    if child == 0:
        left = [k]
        def dying(of, name):
            run = getattr(of, name)
            def step(*args, **options):
                if not left[0]:
                    os._exit(9)
                left[0] -= 1
                return run(*args, **options)
            setattr(of, name, step)
        for of, name in steps:
            dying(of, name)
        space.compact(DuckDBStore(Path(folder)))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")
def test_a_compaction_killed_at_any_step_leaves_a_store_that_tells_the_same(store, tmp_path):
    before = rows_of(store)
    lives = [DuckDBStore(copied(store.path, tmp_path / str(k) / "b.trackdb")) for k in range(10)]
    done = subprocess.run(
        [sys.executable, "-c", LIVES, *(life.path for life in lives)], capture_output=True, text=True, check=True
    )
    codes = [int(code) for code in done.stdout.split()]
    assert codes == [9] * codes.count(9) + [0] * codes.count(0)
    assert codes.count(9) >= 8
    for life in lives:
        assert rows_of(life) == before
    for life in (lives[3], lives[codes.count(9) - 1]):
        space.compact(life)
        assert rows_of(life) == before
        assert check(life) == []
        assert {f.name for f in life.path.iterdir()} == {GRAPH, COMMITS, "arrays", "locks", "annotations"}


def test_a_store_that_is_read_is_not_compacted_and_its_reader_is_named(store):
    hold = (
        f"import duckdb, sys; c = duckdb.connect({str(store.path / GRAPH)!r}, read_only=True)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError, match=f"pid {child.pid}"):
            compacting.rewrite(store.path, patience_s=0.2)
        child.stdin.close()


def test_a_disk_without_room_for_the_copy_is_told_before(store, monkeypatch):
    before = rows_of(store)
    monkeypatch.setattr(compacting.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(StoreFullError, match="no room for the copy"):
        space.compact(store)
    assert rows_of(store) == before


def test_a_table_of_their_own_whose_name_is_a_statement_is_a_name(store):
    name = 'x" t; create table "told'
    with store.writing() as connection:
        connection.exec_driver_sql(f'create table "{name.replace(chr(34), 2 * chr(34))}" (a integer)')
    space.compact(store)
    with store.reading() as connection:
        names = connection.exec_driver_sql("select table_name from duckdb_tables()").scalars().all()
    assert name in names
    assert "told" not in names


def test_a_copy_that_tells_something_else_takes_no_place(store, monkeypatch):
    before, copied = rows_of(store), compacting._copy

    def badly(raw, file, new):
        copied(raw, file, new)
        with duckdb.connect(new) as other:
            other.execute("update track set last = last + 1 where pre = 0")

    monkeypatch.setattr(compacting, "_copy", badly)
    with pytest.raises(OSError, match="the copy of table track is another one"):
        space.compact(store)
    assert rows_of(store) == before


@pytest.mark.parametrize("statement", ["drop table track", "create table more as select 1 as own"])
def test_a_copy_of_other_tables_takes_no_place(store, monkeypatch, statement):
    before, copied = rows_of(store), compacting._copy

    def badly(raw, file, new):
        copied(raw, file, new)
        with duckdb.connect(new) as other:
            other.execute(statement)

    monkeypatch.setattr(compacting, "_copy", badly)
    with pytest.raises(OSError, match="the copy holds other tables"):
        space.compact(store)
    assert rows_of(store) == before


@pytest.mark.usefixtures("own_home_and_log")
class TestCommands:
    def test_it_asks_and_takes_no_for_an_answer(self, store):
        before = rows_of(store)
        asked = run("drop", store.path, "posterior", "drawn-1", text="n\n")
        assert "drop posterior drawn-1" in asked.stderr
        assert asked.stdout.endswith("nothing was dropped\n")
        refusal("drop", store.path, "posterior", "drawn-1", "--json", code=2)
        assert rows_of(store) == before
        assert "dropped" in run("drop", store.path, "posterior", "drawn-1", text="y\n").stdout
        assert rows_of(store)["posterior"] == []

    def test_nobody_there_to_answer_is_told_what_to_say(self, store):
        result = run("drop", store.path, "posterior", "drawn-1", text="", code=2)
        assert "--yes" in result.stderr

    def test_a_dry_run_drops_nothing(self, store):
        before = rows_of(store)
        would = answer("drop", store.path, "scores", "distance", "--dry-run")
        assert would["dependents"] == [
            {"what": "posterior", "name": "drawn-1"},
            {"what": "solution", "name": "ilp-1"},
        ]
        assert rows_of(store) == before
        done = answer("drop", store.path, "scores", "distance", "--with-dependents", "--yes")
        assert done["rows"] == would["rows"]

    def test_what_cannot_be_dropped_is_refused_in_words(self, store):
        assert "known" in refusal("drop", store.path, "candidates", "x", "--yes", code=2)
        assert "no solution named x" in refusal("drop", store.path, "solution", "x", "--yes", code=3)
        assert "posterior drawn-1" in refusal("drop", store.path, "solution", "ilp-1", "--yes", code=3)

    def test_a_compaction_tells_what_it_gave_back(self, store):
        answer("drop", store.path, "dataset", "drawn", "--with-dependents", "--yes")
        done = answer("compact", store.path)
        assert done["given_back"] == done["bytes_before"] - done["bytes_after"] > 0
        assert "MB given back" in run("compact", store.path).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["truth"], "drop {store} solution truth"),
        (["truth", "solution"], "drop {store} solution truth"),
        (["solution"], "drop {store} solution NAME"),
        (["nobody"], "known  solution, scores, posterior, detections, dataset"),
    ],
)
def test_a_drop_that_lacks_a_word_is_told_the_whole_command(store, words, told):
    before = states(store)
    assert told.format(store=store.path) in refusal("drop", store.path, *words, code=2)
    assert states(store) == before
