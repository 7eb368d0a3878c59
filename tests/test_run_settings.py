"""Settings of runs in a store may be anything: where those that are read again cannot be, that is told as damage."""

import json

import duckdb
import pytest

import trackdb
from trackdb.engine.check import check
from trackdb.engine.config import TwoDistanceConfig
from trackdb.engine.evidence import KINDS
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.scorers.base import ScoreScale
from trackdb.engine.teaching import Lesson
from trackdb.errors import ConfigError, StoreDamagedError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.facts import facts_in
from trackdb.storage.founding import GRAPH
from trackdb.storage.run_settings import SETTINGS, WIDEST_PIECE, Fields, settings_of_run

from .attacks import bytes_of
from .command_line import answer, refusal
from .movies import own_copy

pytestmark = pytest.mark.usefixtures("own_home_and_log")

WRONG = {  # kind of the run, where in its settings, and what stands there
    "a number for a scale": ("score", "scale", 5, "5 as scale"),
    "a scale that there is none of": ("score", "scale", "loud", "'loud' as scale"),
    "a list for a number": ("link", "max_distance", [1], r"\[1\] as max_distance"),
    "a text for a number": ("link", "max_gap", "1", "'1' as max_gap"),
    "no number": ("link", "max_distance", float("nan"), "nan as max_distance"),
    "a number without end": ("link", "neighbors", 10**30, "1000000000000000000000000000000 as neighbors"),
    "a truth for a number": ("link", "max_gap", True, "True as max_gap"),
    "a number for an object": ("score", "estimates", 3, "3 as estimates"),
    "a text among estimates": ("solve", "estimates", {"sigma_px": "far"}, "'far' as estimates.sigma_px"),
    "an object for a name": ("solve", "cost", {"a": 1}, "an object of 1 as cost"),
    "evidence that there is none of": ("solve", "learned", {"smell": True}, "True as learned.smell"),
    "a text for a flag": ("solve", "learned", {"drift": "yes"}, "'yes' as learned.drift"),
    "a lesson that is a list": ("solve", "taught", [1], r"\[1\] as taught"),
    "text for parameters": ("solve", "taught", {"parameters": {"motion": ["x"]}}, "as taught.parameters"),
    "a model that is a text": ("score", "model", "net", "'net' as model"),
    "draws without end": ("posterior", "draws", 10**30, "1000000000000000000000000000000 as draws"),
    "draws below none": ("posterior", "draws", -1, "-1 as draws"),
    "draws that are no number": ("posterior", "draws", float("nan"), "nan as draws"),
    "a piece too wide for any memory": ("posterior", "width", 10**6, "1000000 as width"),
}


def altered(jostling, folder, kind, name, value):
    """Return a copy of the store of jostling cells in which the newest run of a kind keeps something else."""
    store = own_copy(DuckDBStore(jostling), folder)
    with duckdb.connect(store.path / GRAPH) as connection:
        newest = "from run where kind = ? order by run_id desc limit 1"
        number, kept = connection.execute(f"select run_id, params {newest}", [kind]).fetchone()
        changed = json.dumps({**json.loads(kept), name: value})
        connection.execute("update run set params = ? where run_id = ?", [changed, number])
    return store


@pytest.mark.parametrize("what", WRONG)
def test_a_setting_of_another_kind_is_damage_and_named_by_check(jostling, tmp_path, what):
    kind, name, value, told = WRONG[what]
    store = altered(jostling, tmp_path, kind, name, value)
    with pytest.raises(StoreDamagedError, match=told):
        store.runs()
    named = [problem.what for problem in check(store)]
    assert len(named) == 1
    assert f"({kind}" in named[0]
    assert name in named[0]


@pytest.mark.parametrize("what", ["a number for a scale", "a list for a number", "draws without end"])
def test_every_command_that_reads_settings_ends_in_words(jostling, tmp_path, what):
    kind, name, value, _ = WRONG[what]
    store = altered(jostling, tmp_path, kind, name, value)
    before = bytes_of(store.path)
    reads = {
        "score": [["info"], ["log"], ["solve"], ["posterior"], ["uncertain"]],
        "link": [["info"], ["log"], ["solve", "--lap", "--max-gap", "1"], ["posterior"]],
        "posterior": [["info"], ["log"], ["posterior"], ["uncertain"]],
    }
    for verb, *rest in reads[kind]:
        assert f"as {name}" in refusal(verb, store.path, *rest, code=3), verb
    assert bytes_of(store.path) == before
    assert answer("check", store.path, code=5)["problems"][0]["count"] == 1
    assert trackdb.open(store.path).sql("select count(*) as n from cells").rows["n"].to_pylist() == [54]


@pytest.mark.parametrize("text", ['{"estimates": 1', "[" * 5000])
def test_settings_that_are_no_json_are_named_by_check(jostling, tmp_path, text):
    store = own_copy(DuckDBStore(jostling), tmp_path)
    with duckdb.connect(store.path / GRAPH) as connection:
        connection.execute("alter table run alter params type varchar")
        connection.execute("update run set params = ? where kind = 'link'", [text])
    assert any("no JSON" in problem.what for problem in check(store))


def test_what_was_asked_for_is_kept_until_it_is_known():
    asked = facts_in('{"by": "network.csv", "scale": "auto"}')
    assert settings_of_run(asked, 3, "score", done=False) == asked
    with pytest.raises(StoreDamagedError, match="'auto' as scale"):
        settings_of_run(asked, 3, "score")


def test_what_nobody_reads_again_may_be_anything():
    kept = facts_in('{"max_gap": 1, "colour": [1, "x"]}')
    assert settings_of_run(kept, 1, "link") == kept
    assert settings_of_run(kept, 1, "a kind of theirs") == kept


def test_what_the_settings_of_runs_may_be_is_what_the_engine_knows():
    assert set(SETTINGS["solve"].of["learned"].of) == set(KINDS)
    assert set(SETTINGS["solve"].of["two_distance"].of) == set(TwoDistanceConfig.__slots__)
    assert isinstance(SETTINGS["score"], Fields)
    for scale in ScoreScale:
        settings_of_run(facts_in(json.dumps({"scale": scale})), 1, "score")
    PosteriorConfig(width=WIDEST_PIECE)
    with pytest.raises(ConfigError):
        PosteriorConfig(width=WIDEST_PIECE + 1)


LESSON = {
    **dict.fromkeys(("solution", "dataset", "project", "store"), "x"),
    **dict.fromkeys(("links", "divisions", "cells", "first_frame", "last_frame"), 1),
}


@pytest.mark.parametrize("parameters", [{}, {"motion": {}}, {"motion": 3, "rates": 3, "outlines": None}])
def test_a_lesson_that_is_none_is_damage(parameters):
    kept = facts_in(json.dumps({"taught": LESSON | {"parameters": parameters}}))
    with pytest.raises(StoreDamagedError):
        Lesson.of_run(settings_of_run(kept, 1, "solve"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("division_per_cell_and_frame", 5.0), ("density_cells_per_px2", -1.0), ("miss_per_cell_and_frame", float("nan"))],
)
def test_rates_that_cannot_be_are_damage(jostling, tmp_path, name, value):
    estimates = next(run for run in DuckDBStore(jostling).runs() if run.kind == "solve").params["estimates"]
    store = altered(jostling, tmp_path, "solve", "estimates", {**estimates, name: value})
    said = refusal("posterior", store.path, "--afresh", code=3)
    assert "what cannot be" in said
    assert "restore the store" in said
