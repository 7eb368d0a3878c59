"""The learned cost through a store: what is kept, what `info` says, what people said of cells, and the posterior."""

import json

import numpy as np
import pytest

import trackdb
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.costs.learned import told
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.pipeline import solve
from trackdb.errors import ConfigError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .command_line import answer, refusal, run
from .learned_movies import sheet
from .movies import write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")

LEARNED = Config(solve=SolveConfig(cost="learned"))
LINKS = """select a.label as a, b.label as b from links l join cells a on a.cell = l.source
    join cells b on b.cell = l.target where solution = $solution"""


def stored(folder, movie):
    """A store of a sheet; the label of a cell is its row."""
    cells = movie.detections
    rows = [(*row, i) for i, row in enumerate(np.c_[cells.frame, cells.position_px].tolist())]
    made = DuckDBStore(folder / "sheet.trackdb")
    ingest(write_rows(folder / "sheet.csv", rows, header="t,y,x,id"), made)
    return made


def links(store, solution):
    found = ask(store.path, LINKS, {"solution": solution}).rows.to_pydict()
    return set(zip(found["a"], found["b"], strict=True))


@pytest.fixture
def movie():
    return sheet(21, side=6, division=0.02, missed=0.02, false=0.03)


@pytest.fixture
def store(tmp_path, movie):
    return stored(tmp_path, movie)


def test_a_store_is_linked_over_gaps_and_solved_and_false_points_are_in_no_track(store, movie):
    found = solve(store, store.detection_set(), LEARNED)
    assert found.proven
    true = set(map(tuple, movie.link.tolist()))
    made = links(store, found.solution)
    assert 2 * len(made & true) > 0.96 * (len(made) + len(true))
    tracked = ask(store.path, "select c.label from tracked t join cells c using (cell)").rows.to_pydict()["label"]
    false = set(np.flatnonzero(~movie.real).tolist())
    assert len(false & set(tracked)) < 0.3 * len(false)
    assert any(movie.detections.frame[b] - movie.detections.frame[a] == 2 for a, b in made)


def test_estimates_are_kept_and_info_says_them_in_words(store):
    solved = answer("solve", store.path, "--cost", "learned")
    kept = done(store, store.detection_set(), "solve")[-1].params["estimates"]
    assert kept == solved["estimates"]
    assert kept["division_per_cell_and_frame"] == pytest.approx(0.02, abs=0.01)
    words = told(kept)
    assert "px a frame" in words
    assert f"{solved['solution']}: {words}" in run("info", store.path).stdout
    assert answer("info", store.path)["learned"] == [f"{solved['solution']}: {words}"]


def test_words_are_for_the_learned_cost_alone(store):
    answer("solve", store.path, "--simple")
    assert answer("info", store.path)["learned"] == []
    assert told({"division_per_cell_and_frame": 0.1}) == ""


def test_words_have_two_digits():
    said = told(
        {"step_um_per_frame": 4.13, "division_per_cell_and_frame": 0.0061, "miss_per_cell_and_frame": 0.0181,
         "false_per_detection": 0.022}
    )  # fmt: skip
    assert said == "4.1 um a frame, 0.61 % divide, 1.8 % missed, 2.2 % false"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lap"], "which lap does not divide into"),
        (["--greedy"], "which greedy does not divide into"),
        (["--scores", "distance"], "reads places and masks, not scores"),
    ],
)
def test_what_the_learned_cost_does_not_do_is_refused(store, words, message):
    assert message in refusal("solve", store.path, "--cost", "learned", *words, code=2)


def test_a_division_that_people_saw_is_kept_whatever_it_costs(tmp_path):
    """Two neighbours of the next frame, neither of them near the mother."""
    made = stored(tmp_path, sheet(22, side=5, n_frames=6))
    cell = ask(made.path, "select cell, label from cells").rows.to_pydict()
    number = dict(zip(cell["label"], cell["cell"], strict=True))
    run("link", made.path, "--max-gap", 1)
    run(
        "annotate",
        made.path,
        number[12],
        "--daughters",
        f"{number[25 + 6]},{number[25 + 18]}",
        "--add-candidate",
        "--as",
        "ana",
    )
    solved = answer("solve", made.path, "--cost", "learned")
    assert {(12, 31), (12, 43)} <= links(made, solved["solution"])
    assert solved["pins"] == 1


def test_a_point_that_people_called_no_cell_is_none(tmp_path):
    made = stored(tmp_path, sheet(23, side=5, n_frames=6))
    cell = ask(made.path, "select cell, label from cells").rows.to_pydict()
    number = dict(zip(cell["label"], cell["cell"], strict=True))
    run("annotate", made.path, number[60], "--not-a-cell", "--as", "ana")
    found = solve(made, made.detection_set(), LEARNED)
    assert not any(60 in link for link in links(made, found.solution))


def test_the_posterior_weighs_the_problem_that_was_solved(store):
    """Links of the optimum are likely, those that are nearly certain are in it."""
    solved = answer("solve", store.path, "--cost", "learned")
    run("posterior", store.path)
    rows = ask(
        store.path, "select probability from links where solution = $solution", {"solution": solved["solution"]}
    ).rows.to_pydict()["probability"]
    assert np.mean(rows) > 0.9
    assert min(rows) > 0.01


def test_a_movie_without_cells_to_link_is_solved(tmp_path):
    made = DuckDBStore(tmp_path / "two.trackdb")
    ingest(write_rows(tmp_path / "two.csv", [(0, 0, 0, 1), (1, 500, 500, 2)], header="t,y,x,id"), made)
    found = solve(made, made.detection_set(), LEARNED)
    assert found.divisions == 0
    with pytest.raises(ConfigError, match="reads places"):
        solve(made, made.detection_set(), LEARNED, scores="distance")


def test_the_list_asks_what_takes_most_errors_away_also_where_points_may_be_no_cells(store):
    answer("solve", store.path, "--cost", "learned")
    answer("posterior", store.path)
    told = answer("uncertain", store.path, "--top", 3)
    assert told["by"] == "error-reduction"
    worth = [item["expected_error_reduction"] for item in told["items"]]
    assert worth == sorted(worth, reverse=True)
    assert worth[0] > 0.1
    assert {item["worth_how"] for item in told["items"]} <= {"pruned", "belief"}
    review = trackdb.open(store.path).solution().posterior().open()
    live = review.uncertain(3)
    assert [item.expected_error_reduction for item in live] == pytest.approx(worth, abs=0.02)
    first = told["items"][0]
    review.choose(first["cell"], first["outcomes"][0]["daughters"])
    assert first["cell"] not in {item.cell for item in review.uncertain(3)}


def test_learned_costs_are_less_sure_than_they_say_unless_a_temperature_is_given(store):
    run("solve", store.path, "--cost", "learned")
    usual = run("posterior", store.path, "--json")
    assert json.loads(usual.stdout)["temperature"] == 1.2
    assert "temperature 1.2, usual for the learned cost" in usual.stderr
    assert answer("posterior", store.path, "--temperature", 1)["temperature"] == 1.0
    assert (
        json.loads(usual.stdout)["mean_entropy_bits"]
        > answer("posterior", store.path, "--temperature", 1)["mean_entropy_bits"]
    )
