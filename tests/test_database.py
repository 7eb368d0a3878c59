"""A store from Python."""

import subprocess
import sys

import networkx as nx
import pytest

import trackdb
from trackdb.errors import ConfigError, StoreMissingError


@pytest.fixture
def db(solved):
    return trackdb.open(solved.path, write=True)


def test_a_query_takes_parameters(db):
    assert db.sql("select count(*) as n from cells where t = $t", t=2).df()["n"].tolist() == [4]


def test_a_solution_becomes_a_graph_with_its_division(db):
    graph = db.solution("truth").to_networkx()
    assert sorted(d for _, d in graph.out_degree()) == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert nx.is_forest(graph)
    assert {graph.nodes[v]["t"] - graph.nodes[u]["t"] for u, v in graph.edges} == {1}


def test_links_and_tracks_are_tables(db):
    truth = db.solution("truth")
    assert truth.links.rows.num_rows == 6
    assert truth.tracks.df()["n_children"].sum() == 2
    assert truth.objective is None


def test_solving_needs_a_store_that_was_opened_for_writing(solved):
    with pytest.raises(ConfigError, match="write=True"):
        trackdb.open(solved.path).solve()


def test_a_new_solution_is_kept(db):
    made = db.solve("greedy", name="quick")
    assert (made.name, made.linker, made.proven) == ("quick", "greedy", False)
    assert db.solution("quick").links.rows.num_rows == made.links.rows.num_rows
    assert made.evaluate().edges.tp > 0


def test_scores_of_ones_own_are_kept_and_solved(db, tmp_path):
    ends = db.sql("select source, target from links where solution = 'truth'").rows.to_pylist()
    table = tmp_path / "mine.csv"
    table.write_text("from,to,p\n" + "".join(f"{row['source']},{row['target']},0.9\n" for row in ends))
    made = db.score(table, columns={"source": "from", "target": "to"})
    assert (made.scores, made.scale, made.edges) == ("mine", "probability", 6)
    truth = db.solution("truth").links.df()
    mine = db.solve(scores="mine").links.df()
    assert mine[["source", "target"]].equals(truth[["source", "target"]])
    assert db.score("overlap").scale == "iou"
    assert db.score(name="plain").scale == "log_density"


def test_scoring_needs_a_store_that_was_opened_for_writing(solved):
    with pytest.raises(ConfigError, match="write=True"):
        trackdb.open(solved.path).score("overlap")


def test_detections_and_candidates_are_tables_in_memory(db):
    assert len(db.detections()) == 9
    assert (db.candidates().frames == 1).all()


def test_opening_nothing_says_so(tmp_path):
    with pytest.raises(StoreMissingError):
        trackdb.open(tmp_path / "none.trackdb")


def test_the_import_is_quick():
    heavy = "torch numba duckdb pyarrow scipy numpy zarr"
    code = f"import sys, trackdb; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
