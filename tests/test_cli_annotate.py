"""`trackdb annotate`, `annotations` and `diff`: what they print, their JSON, their exit codes."""

import json

import pytest
import zarr

from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .command_line import answer, refusal, run
from .movies import copied, write_ctc

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture(scope="module")
def drawn_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    made = DuckDBStore(folder / "movie.trackdb")
    ingest(write_ctc(folder / "movie"), made)
    solve(made, made.detection_set())
    return made


@pytest.fixture
def store(drawn_store, tmp_path):
    """The movie of `movies`, solved: cells 1 and 2, then 3, 4 and 5, then 6, 7, 8 and 9 in frames 0 to 2."""
    return copied(drawn_store.path, tmp_path / "movie.trackdb")


def test_from_an_answer_to_what_it_changed(store):
    said = answer("annotate", store, 3, "--daughters", 9, "--as", "ana")
    assert {key: said[key] for key in ("seq", "who", "kind", "cell", "frame", "daughters", "pins")} == {
        "seq": 1,
        "who": "ana",
        "kind": "choose",
        "cell": 3,
        "frame": 1,
        "daughters": [9],
        "pins": 1,
    }
    assert set(said) >= {"key", "at", "dataset", "undo_of", "replaced", "added_candidates"}
    assert answer("solve", store)["pins"] == 1
    changed = answer("diff", store, "ilp-1", "ilp-2")
    assert {key: changed[key] for key in ("only_a", "only_b", "shared", "links_only_a", "links_only_b")} == {
        "only_a": 1,
        "only_b": 1,
        "shared": 4,
        "links_only_a": [[3, 6]],
        "links_only_b": [[3, 9]],
    }
    # of ilp-1 the lineages of 3 and of 9, which was alone; of ilp-2 those of 3 and of 6
    assert (changed["lineages_touched"], changed["lineages_touched_b"]) == (2, 2)


@pytest.mark.parametrize(
    ("options", "kind", "daughters"),
    [
        (["--daughters", "4,5"], "choose", [4, 5]),
        (["--daughters", "1:4"], "choose", [5]),
        (["--ends"], "choose", []),
        (["--begins"], "begins", None),
        (["--not", "4, 5"], "reject", [4, 5]),
        (["--not-a-cell"], "not_a_cell", None),
        (["--bad-outline"], "segmentation", None),
        (["--unsure"], "unsure", None),
        (["--flag", "--note", "twins?"], "flag", None),
    ],
)
def test_each_option_is_one_kind_of_answer_and_cells_have_two_names(store, options, kind, daughters):
    said = answer("annotate", store, "0:2", *options, "--as", "ana")
    assert (said["kind"], said["cell"], said["daughters"]) == (kind, 2, daughters)


def test_the_closing_line_says_what_was_said(store):
    shown = run("annotate", store, 2, "--daughters", "4,5", "--as", "ana").stdout
    assert shown.startswith("cell 2 divides into 4, 5 (#1 ana 20")
    assert shown.endswith("; 1 annotation will be kept by the next solve\n")
    assert "1 division, 1 annotation kept, proven optimal" in run("solve", store).stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["3"], 2, "nothing is said about the cell"),
        (["3", "--ends", "--begins"], 2, "an annotation says one thing"),
        (["three", "--ends"], 2, "'three' names no cell"),
        (["3", "--not", "6", "--add-candidate"], 2, "--add-candidate is for --daughters"),
        (["3", "--ends", "--detections", ""], 3, "no detections named ''"),
        (["3", "--daughters", "6;7"], 2, "'6;7' names no cell"),
        (["3", "--daughters", ""], 2, "'' names no cell"),
        (["3", "--daughters", "6,"], 2, "'' names no cell"),
        (["3", "--daughters", "6,6"], 2, "a cell is named twice"),
        (["3", "--ends", "--as", "a b"], 2, "cannot be the name of who decides"),
        (["3", "--ends", "--as", ""], 2, "cannot be the name of who decides"),
        (["99", "--ends"], 3, "has no cell 99"),
        (["1:9", "--ends"], 3, "no cell with label 9 in frame 1"),
        (["3", "--daughters", "6,7,8"], 4, "a cell has at most two daughters"),
        (["6", "--daughters", "3"], 4, "cannot come from"),
        (["2", "--daughters", "7"], 4, "--add-candidate, which makes it one"),
    ],
)
def test_what_cannot_be_said_is_refused(store, words, code, message):
    assert message in refusal("annotate", store, *words, code=code)
    assert answer("annotations", store)["annotations"] == []


def test_a_conflict_names_both_and_can_be_replaced(store):
    run("annotate", store, 3, "--daughters", 7, "--as", "ana")
    said = refusal("annotate", store, 4, "--daughters", 7, "--as", "bob", code=4)
    assert "cell 4 continues as 7 (#2 bob" in said
    assert "against  cell 3 continues as 7 (#1 ana" in said
    assert "a cell has one parent" in said
    assert "--replace" in said
    assert "--keep" in said
    assert "--both-unsure" in said
    shown = run("annotate", store, 4, "--daughters", 7, "--as", "bob", "--replace")
    assert "note: taken back: cell 3 continues as 7" in shown.stderr
    states = [(a["seq"], a["who"], a["undone"]) for a in answer("annotations", "list", store)["annotations"]]
    assert states == [(1, "ana", True), (2, "bob", False), (3, "bob", False)]


def test_of_two_that_exclude_each_other_the_earlier_is_kept_or_both_are_left_open(store):
    said = ["annotate", store, 4, "--daughters", 7, "--as", "bob"]
    run("annotate", store, 3, "--daughters", 7, "--as", "ana")
    kept = answer(*said, "--keep")
    assert (kept["kind"], kept["replaced"], kept["pins"]) == ("flag", [], 1)
    assert kept["note"].startswith("meant: continues as 7, which is excluded: cell 3 continues as 7 (#1 ana")
    shown = run(*said, "--both-unsure")
    assert "note: said with it: cell 3 unsure" in shown.stderr
    assert answer(*said)["pins"] == 1
    assert "one way out" in refusal(*said, "--keep", "--replace", code=2)


def test_a_candidate_that_is_added_is_chosen(store):
    shown = run("annotate", store, 2, "--daughters", 7, "--add-candidate")
    assert "note: 1 new candidate for it" in shown.stderr
    run("solve", store)
    assert ask(store, "select target from links where solution = 'ilp-2' and source = 2").rows_by_position() == [[7]]


def test_annotations_are_listed_counted_and_taken_back(store, tmp_path):
    assert run("annotations", "stats", store).stderr == "0 people\n"
    run("annotate", store, 3, "--daughters", 9, "--as", "ana")
    assert run("annotations", "stats", store).stderr == "1 person\n"
    run("annotate", store, 8, "--begins", "--as", "bob")
    for words in (["annotations", store], ["annotations", "list", store]):
        shown = run(*words)
        assert [line.split()[0] for line in shown.stdout.splitlines()[2:]] == ["1", "2"]
        assert "2 annotations, 2 in force" in shown.stderr
    assert [a["who"] for a in answer("annotations", "list", store, "--who", "bob")["annotations"]] == ["bob"]
    assert "taken back: cell 8 begins (#2 bob" in run("annotations", "undo", store, "--as", "bob").stdout
    shown = run("annotations", store)
    assert shown.stdout.splitlines()[-1].split()[-3:] == ["takes", "back", "#2"]
    assert "3 annotations, 1 in force" in shown.stderr
    assert answer("annotations", "undo", store, 3, "--as", "ana")["undone"] == 3
    assert "2 people" in run("annotations", "stats", store).stderr
    people = answer("annotations", "stats", store)["people"]
    assert [(p["who"], p["answers"], p["pins"]) for p in people] == [("ana", 1, 1), ("bob", 1, 1)]
    assert answer("info", store)["annotations"] == 4
    assert answer("annotations", "export", store, "-o", tmp_path / "said.jsonl")["count"] == 4
    lines = run("annotations", "export", store).stdout.splitlines()
    assert lines == (tmp_path / "said.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["cell"] == {"id": 3, "t": 1, "z": None, "y": 10.0, "x": 21.0}
    assert answer("annotations", "import", store, tmp_path / "said.jsonl")["count"] == 0


def test_what_was_taken_back_is_brought_back(store):
    run("annotate", store, 3, "--daughters", 9, "--as", "ana")
    run("annotations", "undo", store, "--as", "ana")
    assert "brought back: cell 3 continues as 9 (#1 ana" in run("annotations", "redo", store, "--as", "ana").stdout
    states = [(a["seq"], a["kind"], a["undone"]) for a in answer("annotations", store)["annotations"]]
    assert states == [(1, "choose", False), (2, "undo", True), (3, "undo", False)]


def test_where_people_disagree_is_told(store):
    run("annotate", store, 3, "--daughters", 7, "--as", "ana", "--note", "sure")
    run("annotate", store, 3, "--daughters", 6, "--as", "bob", "--replace")
    run("annotate", store, 4, "--ends", "--as", "ana")
    run("annotate", store, 4, "--ends", "--as", "bob")
    shown = run("annotations", "conflicts", store)
    assert "1 conflict, 0 of them open" in shown.stderr
    told = answer("annotations", "conflicts", store)
    [apart] = told["conflicts"]
    assert (apart["earlier"]["who"], apart["later"]["who"], apart["open"], told["open"]) == ("ana", "bob", False, 0)
    stats = answer("annotations", "stats", store)
    assert set(stats) >= {"people", "median_ms", "pairs", "conflicts", "audits"}
    assert stats["pairs"] == [{"a": "ana", "b": "bob", "cells": 2, "agreed": 1, "kappa": pytest.approx(1 / 3)}]
    assert (stats["conflicts"], stats["audits"], stats["median_ms"]) == (1, {}, {})
    shown = run("annotations", "stats", store)
    assert "kappa" in shown.stdout
    assert "1 conflict: trackdb annotations conflicts" in shown.stderr
    assert "undone 'sure'" in run("annotations", store).stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["undo", "STORE", "7"], 3, "there is no annotation 7"),
        (["undo", "STORE", "--as", "ana"], 3, "ana has said nothing"),
        (["undo"], 2, "annotations undo of which store?"),
        ([], 2, "annotations list of which store?"),
        (["undo", "STORE", ""], 2, "undo of which annotation?"),
        (["undo", "STORE", "--as", ""], 2, "cannot be the name of who decides"),
        (["remove", "STORE"], 2, "annotations cannot 'remove'"),
        (["STORE", "undo"], 2, "try    trackdb annotations undo "),
        (["STORE", "undo", "7"], 2, "known  list, undo, redo, stats, conflicts, export, import"),
        (["import", "STORE"], 2, "annotations import needs a file"),
        (["import", "STORE", "nothing.jsonl"], 1, "cannot be read"),
        (["list", "STORE", "7"], 2, "annotations list takes no '7'"),
        (["list", "STORE", "--as", "ana"], 2, "--as is for annotations undo and redo"),
        (["redo", "STORE", "--as", "ana"], 3, "ana has taken nothing back"),
        (["redo", "STORE", "7"], 2, "annotations redo takes no '7'"),
        (["elsewhere.trackdb"], 3, "is not a store"),
    ],
)
def test_what_cannot_be_done_with_annotations_is_refused(store, words, code, message):
    assert message in refusal("annotations", *[store if word == "STORE" else word for word in words], code=code)


def test_a_log_that_contradicts_the_store_is_taken_in_and_told(store, tmp_path):
    run("annotate", store, 3, "--daughters", 7, "--as", "ana")
    entry = answer("annotations", "export", store)["annotations"][0]
    far = entry | {"seq": 2, "key": "far", "cell": {"id": 777}}
    entry |= {"seq": 1, "key": "other", "who": "bob", "cell": {"id": 4}}
    (tmp_path / "bob.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (entry, far)))
    told = answer("annotations", "import", store, tmp_path / "bob.jsonl")
    assert (told["count"], [c["why"] for c in told["conflicts"]]) == (2, ["a cell has one parent"])
    assert [d["key"] for d in told["unattached"]] == ["far"]
    assert "in conflict" in run("annotations", "list", store).stdout
    assert answer("annotations", "conflicts", store)["open"] == 1
    shown = run("solve", store)
    assert "note: annotations that exclude each other, and pin nothing until one is taken back: 2" in shown.stderr
    run("annotations", "undo", store, 1, "--as", "bob")
    assert answer("solve", store)["pins"] == 1


def test_pins_go_out_with_a_geff(store, tmp_path):
    pytest.importorskip("geff")
    run("annotate", store, 3, "--daughters", 9, "--as", "ana")
    run("solve", store)
    run("export", "geff", store, "-o", tmp_path / "movie.geff")
    edges = zarr.open(tmp_path / "movie.geff")["edges"]
    who = dict(zip(map(tuple, edges["ids"][:].tolist()), edges["props/pinned_by/values"][:].tolist(), strict=True))
    assert who.pop((3, 9)) == "ana"
    assert set(who.values()) == {""}
    assert edges["props/pinned/values"][:].sum() == 1


def test_solutions_are_compared_in_a_table(store):
    shown = run("diff", store, "truth", "ilp-1")
    assert [line.split() for line in shown.stdout.splitlines()[2:]] == [["truth", "2", "5", "divide"]]
    assert "5 links of both, 1 only in truth, 0 only in ilp-1" in shown.stderr
    assert run("diff", store, "ilp-1", "ilp-1").stdout == ""
    assert "no solution named ilp-9" in refusal("diff", store, "ilp-1", "ilp-9", code=3)
    assert "no solution named ''" in refusal("diff", store, "", "ilp-1", code=3)


def test_what_the_newest_solve_changed_is_told_without_names(store):
    assert "nothing was solved before ilp-1" in refusal("diff", store, code=3)
    run("annotate", store, 3, "--ends", "--as", "ana")
    run("solve", store)
    told = answer("diff", store)
    assert (told["a"], told["b"], told["only_b"]) == ("ilp-1", "ilp-2", 0)
    assert [source for source, _ in told["links_only_a"]] == [3]
    run("solve", store)
    assert [answer("diff", store)[one] for one in ("a", "b")] == ["ilp-2", "ilp-3"]
    assert answer("diff", store, "ilp-2")["shared"] == answer("diff", store, "ilp-2", "ilp-2")["shared"]


def test_a_long_difference_is_cut_and_says_how_much_is_left(store):
    assert run("diff", store, "truth", "ilp-1", "--limit", 0).stdout.strip() == "... 1 more; --limit 1 shows all"
    assert answer("diff", store, "truth", "ilp-1", "--limit", 0)["links_only_a"] == [[2, 5]]  # the JSON is whole
    assert "more" not in run("diff", store, "truth", "ilp-1", "--limit", 1).stdout
