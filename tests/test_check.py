"""The check: an untouched store has no problem, and each promise that is broken shows."""

import subprocess
import sys

import numpy as np
import pytest

from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.progress import Recorded
from trackdb.errors import StoreDamagedError
from trackdb.storage import tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.promises import PROMISES

from .movies import DIVIDING, dividing_cells, write_rows
from .posteriors import candidates, keep, links_of, outcomes_of, random_outcomes

IN_TRUTH = "solution_id = (select solution_id from solution where name = 'truth')"
A_MOTHER = f"(select min(track_id) from track where {IN_TRUTH} and n_children = 2)"
LIKELIEST = "(select edge_id from edge_probability order by probability desc limit 1)"
# One statement for each promise, told by what it breaks.
BREAK = {
    "a detection stands twice": "insert into detection select * from detection where det_id = 1",
    "a label stands twice in a frame": "update detection set label = 1 where t = 0 and label = 2",
    "a detection has no place": "update detection set x = 'nan' where det_id = 5",
    "a detection belongs to no set": "update detection set set_id = 99 where det_id = 5",
    "the features of a detection stand twice": "insert into detection_feature (det_id) values (1), (1)",
    "features belong to no detection": "insert into detection_feature (det_id) values (99999)",
    "a box holds no pixel": "insert into detection_feature (det_id, bbox_y0, bbox_y1) values (1, 7, 7)",
    "an intensity stands twice": "insert into detection_intensity (det_id, channel) values (1, 'red'), (1, 'red')",
    "an intensity belongs to no detection": "insert into detection_intensity (det_id, channel) values (99999, 'red')",
    "an intensity lies outside of its bounds": "insert into detection_intensity values (1, 'red', 5, 6, 7)",
    "a property stands twice": """
        insert into detection_property values (1, 'name', null, 'AB'), (1, 'name', null, 'AB')""",
    "a property belongs to no detection": "insert into detection_property values (99999, 'name', null, 'AB')",
    "a property is neither a number nor a text": "insert into detection_property values (1, 'name', null, null)",
    "a candidate stands twice": "insert into edge select * replace (99999 as edge_id) from edge where edge_id = 1",
    "a candidate ties a detection that is not there": "update edge set target = 99999 where edge_id = 1",
    "a candidate does not run forward in time": "update edge set dt = 0 where edge_id = 1",
    "a score belongs to no candidate": "update edge_score set edge_id = 99999 where edge_id = 1",
    "a score is not a number": "update edge_score set score = 'nan' where edge_id = 1",
    "a link of a solution is no candidate": f"""
        insert into solution_edge select solution_id, 99999, 0 from solution where {IN_TRUTH}""",
    "a cell of a solution has two parents": f"""
        insert into solution_edge select s.solution_id, o.edge_id, 0 from solution_edge s join edge e using (edge_id)
            join edge o on o.target = e.target and o.edge_id <> e.edge_id where {IN_TRUTH} limit 1""",
    "a cell of a solution has more than two daughters": """
        update edge set source = 1 where edge_id in (
            select edge_id from solution_edge join solution using (solution_id) where name = 'ilp-1')""",
    "a link ties what is not a cell of its solution": f"delete from solution_node where {IN_TRUTH} and det_id = 1",
    "a cell stands in a track that is not there": f"""
        update solution_node set track_id = 9999 where {IN_TRUTH} and det_id = 1""",
    "the interval labels do not nest": f"update track set last = pre where {IN_TRUTH} and n_children = 2",
    "a track's daughters are not counted right": f"""
        update track set n_children = 1 where {IN_TRUTH} and track_id = {A_MOTHER}""",
    "a continuing link changes the track": f"update solution_edge set kind = 1 where {IN_TRUTH} and kind = 0",
    "a posterior belongs to no solution": "update posterior set solution_id = 99",
    "a probability stands twice": "insert into edge_probability select * from edge_probability limit 1",
    "a probability belongs to no candidate": "update edge_probability set edge_id = 99999 where edge_id = 1",
    "a probability belongs to no posterior": "update cell_outcome set posterior_id = 99",
    "a probability is not between 0 and 1": "update edge_probability set probability = 'nan' where edge_id = 1",
    "the mothers of a cell are together likelier than 1": "update edge_probability set probability = 0.6",
    "an outcome belongs to no detection": "update cell_outcome set det_id = 99999 where det_id = 1",
    "the outcomes of a cell do not sum to 1": "update cell_outcome set probability = probability / 2 where rank = 1",
    "the outcomes of a cell are not in the order of their ranks": "update cell_outcome set rank = rank + 1",
    "a link is not as likely as the outcomes that hold it": f"""
        update edge_probability set probability = 0 where edge_id = {LIKELIEST}""",
    "a solution is cheaper than its own bound": "update solution set lower_bound = objective + 1 where name = 'ilp-1'",
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


def test_an_untouched_store_has_no_problem(store, solved):
    progress = Recorded()
    assert check(store) == []
    assert check(solved, progress) == []
    assert progress.stages == ["tables", "pixels"]


def test_every_promise_has_a_statement_that_breaks_it():
    assert set(BREAK) == set(PROMISES)


@pytest.mark.parametrize("promise", BREAK)
def test_a_broken_promise_is_found(store, promise):
    with store.writing() as connection:
        connection.exec_driver_sql(BREAK[promise])
    found = {problem.what: problem for problem in check(store)}
    assert promise in found
    assert found[promise].count >= 1
    assert found[promise].remedy


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


def all_rows(store):
    with store.reading() as connection:
        return {
            name: connection.exec_driver_sql(f"select * from {name} order by all").all()
            for name in tables.metadata.tables
        }


@pytest.mark.parametrize("place", [0.03, 0.38, 0.55, 0.95])
def test_noise_on_the_disk_is_never_passed_over(store, place):
    """A block of the file is either in no use, and all rows are what they were, or its checksum tells."""
    before = all_rows(store)
    file = store.path / GRAPH
    content = bytearray(file.read_bytes())
    start = int(place * len(content))
    content[start : start + 4096] = np.random.default_rng(0).bytes(4096)
    file.write_bytes(content)
    try:
        problems, after = check(store), all_rows(store)
    except StoreDamagedError:
        return
    assert problems == []
    assert after == before
