"""The views and macros that a biologist sees, and the lock on the user's own SQL."""

import subprocess
import sys

import networkx as nx
import numpy as np
import pytest

from trackdb.errors import QueryError, StoreMissingError
from trackdb.storage.queries import VIEWS
from trackdb.storage.sandbox import Limits, ask

from .movies import CENTRES


def rows(store, query, **parameters):
    return ask(store.path, query, parameters).rows.to_pylist()


@pytest.fixture
def cell_at(solved):
    """Number of the cell with a label in a frame."""
    return {(row["t"], row["label"]): row["cell"] for row in rows(solved, "select cell, t, label from cells")}


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers(solved, view):
    assert ask(solved.path, f"from {view}").rows.column_names


def test_cells_stand_where_they_were_drawn(solved):
    found = {(r["t"], r["label"]): (r["y"], r["x"], r["area"]) for r in rows(solved, "from cells")}
    drawn = {(t, label): (*centre, 25.0) for t, frame in enumerate(CENTRES) for label, centre in frame.items()}
    assert found == drawn


def test_boxes_are_half_open(solved):
    [box] = rows(solved, "select bbox_y0, bbox_y1, bbox_x0, bbox_x1 from cells where t = 0 and label = 1")
    assert tuple(box.values()) == (8, 13, 18, 23)


def test_the_drawn_division_is_in_the_view(solved, cell_at):
    [division] = rows(solved, "select cell, t, daughters from divisions where solution = 'truth'")
    assert division == {"cell": cell_at[0, 2], "t": 0, "daughters": [cell_at[1, 3], cell_at[1, 4]]}


def test_links_of_truth_are_as_drawn(solved, cell_at):
    links = {(r["source"], r["target"], r["kind"]) for r in rows(solved, "from links where solution = 'truth'")}
    drawn = [
        ((0, 1), (1, 1), "continue"),
        ((1, 1), (2, 1), "continue"),
        ((0, 2), (1, 3), "divide"),
        ((0, 2), (1, 4), "divide"),
        ((1, 3), (2, 3), "continue"),
        ((1, 4), (2, 4), "continue"),
    ]
    assert links == {(cell_at[a], cell_at[b], kind) for a, b, kind in drawn}


def test_macros_agree_with_walking_the_links(solved):
    graph = nx.DiGraph([(r["source"], r["target"]) for r in rows(solved, "from links where solution = 'truth'")])
    graph.add_nodes_from(r["cell"] for r in rows(solved, "select cell from tracked where solution = 'truth'"))
    for cell in graph:
        for macro, walk in (("descendants", nx.descendants), ("ancestors", nx.ancestors)):
            found = {r["cell"] for r in rows(solved, f"from {macro}('truth', $cell)", cell=cell)}
            assert found == walk(graph, cell) | {cell}, macro


def test_subtree_and_clone_size_count_the_frames_asked_for(solved, cell_at):
    mother = cell_at[0, 2]
    assert {r["cell"] for r in rows(solved, "from subtree('truth', $c, 1, 1)", c=mother)} == {
        cell_at[1, 3],
        cell_at[1, 4],
    }
    assert rows(solved, "from clone_size('truth', $c, 2)", c=mother) == [{"cells": 2}]


def test_arguments_may_be_columns_of_the_query_around(solved):
    """A column named like one inside of a macro is still the caller's."""
    query = """
        select cell, t, det_id, (select count(*) from descendants('truth', cell)) as n,
            (select count(*) from ancestors('truth', det_id)) as up,
            (select cells from clone_size('truth', cell, t)) as now
        from (select cell, t, cell as det_id from tracked where solution = 'truth')
    """
    for row in rows(solved, query):
        alone = {
            "n": len(rows(solved, "from descendants('truth', $c)", c=row["cell"])),
            "up": len(rows(solved, "from ancestors('truth', $c)", c=row["cell"])),
            "now": 1,
        }
        assert {key: row[key] for key in alone} == alone


def test_the_most_recent_common_ancestor_of_sisters_is_their_mother(solved, cell_at):
    [found] = rows(solved, "from mrca('truth', $a, $b)", a=cell_at[2, 3], b=cell_at[2, 4])
    assert found["cell"] == cell_at[0, 2]
    assert rows(solved, "from mrca('truth', $a, $b)", a=cell_at[2, 1], b=cell_at[2, 4]) == []


def test_an_unfinished_run_is_in_no_view(solved):
    chosen = solved.detection_set()
    detections = solved.detections(chosen)
    edges = solved.candidate_edges(chosen, detections)
    with solved.running("score", "half", {}, chosen=chosen):
        assert rows(solved, "select distinct scores from scores") == [{"scores": "distance"}]
    with solved.running("score", "whole", {}, chosen=chosen) as run:
        solved.add_scores(run, edges, np.zeros(len(edges)), {})
    assert {r["scores"] for r in rows(solved, "select distinct scores from scores")} == {"distance", "whole"}


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("from read_csv('/etc/passwd')", "cannot be answered"),
        ("from read_text('/etc/passwd')", "cannot be answered"),
        ("from glob('/*')", "cannot be answered"),
        ("from '/etc/passwd'", "cannot be answered"),
        ("copy (select 1) to 'out.csv'", "cannot be answered"),
        ("export database 'out'", "cannot be answered"),
        ("install httpfs", "cannot be answered"),
        ("set memory_limit = '99GB'", "locked"),
        ("set threads = 99", "locked"),
        ("pragma enable_logging", "cannot be answered|locked"),
        ("delete from detection", "may not change"),
        ("drop table detection", "may not change"),
        ("create table x (a int)", "may not change"),
        ("insert into meta values ('a', 'b')", "may not change"),
        ("insert into cells values (1)", "may not change"),
        ("update cells set t = 1", "may not change"),
        ("delete from cells", "may not change"),
        ("select 1; select 2", "one SQL statement"),
        ("", "the query is empty: give one SQL statement"),
        ("selec 1", "cannot be answered"),
        ("from cellz", "Did you mean"),
        ("from python_table", "cannot be answered"),
    ],
)
def test_a_query_reads_the_store_and_nothing_else(solved, attack, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    python_table = [1]  # a name that DuckDB would find if it looked into Python
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(QueryError, match=message):
        ask(solved.path, attack)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert python_table


def test_a_query_that_takes_too_long_is_stopped(solved):
    with pytest.raises(QueryError, match=r"longer than 0.3 s"):
        ask(solved.path, "select count(*) from range(10000000000) a, range(100000) b", limits=Limits(timeout_s=0.3))
    assert rows(solved, "select count(*) as n from cells") == [{"n": 9}]


def test_no_bar_of_progress_is_drawn_among_what_a_program_prints(solved):
    code = f"""if True:
        from pathlib import Path
        from trackdb.storage.sandbox import ask
        asked = "select current_setting('enable_progress_bar') as drawn"
        print(ask(Path({str(solved.path)!r}), asked).rows.to_pylist())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[{'drawn': False}]\n"


def test_rows_beyond_the_limit_are_left_out_and_said(solved):
    answer = ask(solved.path, "select cell from cells order by cell", limits=Limits(max_rows=4))
    assert answer.truncated
    assert answer.rows.num_rows == 4
    assert not ask(solved.path, "select cell from cells", limits=Limits(max_rows=9)).truncated


def test_answers_come_as_arrow_and_as_a_data_frame(solved):
    answer = ask(solved.path, "select t, count(*) as n from cells group by t order by t")
    assert answer.arrow()["n"].to_pylist() == [2, 3, 4]
    assert answer.df()["n"].tolist() == [2, 3, 4]


def test_asking_where_no_store_is_says_so(tmp_path):
    with pytest.raises(StoreMissingError, match="no store"):
        ask(tmp_path / "none.trackdb", "select 1")
