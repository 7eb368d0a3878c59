"""The demo: from nothing to a queried lineage, and what it says it typed can be typed."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trackdb.cli.main import app
from trackdb.engine.check import check
from trackdb.engine.demo import demo
from trackdb.errors import FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import Limits, ask

from .pages import run_page

FIRST = "trackdb demo demo"


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder and the steps of one demo."""
    folder = tmp_path_factory.mktemp("demo") / "d"
    return folder, list(demo(folder, seed=1))


def test_the_demo_goes_the_whole_way(walked):
    folder, steps = walked
    verbs = [step.command.split()[1] for step in steps]
    assert verbs == ["simulate", "ingest", "solve", "posterior", "uncertain", "evaluate", "sql"]
    assert "proven optimal" in steps[2].result
    assert "of them exactly" in steps[3].result
    assert steps[4].result.startswith("cell ")
    assert 1 <= steps[-1].answer.rows.num_rows <= 5
    families = "select count(*) as n from tracked where solution = 'ilp-1' and t = 29 group by lineage order by n desc"
    largest = ask(folder / "demo.trackdb", families, limits=Limits(max_rows=5)).rows["n"].to_pylist()
    assert steps[-1].answer.rows["clone"].to_pylist() == largest
    assert check(DuckDBStore(folder / "demo.trackdb")) == []


def test_most_links_of_the_demo_are_right(walked):
    figures = dict(part.rsplit(" ", 1) for part in walked[1][5].result.split(", "))
    assert float(figures["edge F1"]) > 0.95


@pytest.mark.parametrize("place", [4, 5, 6])
def test_what_the_demo_says_it_typed_can_be_typed(walked, place):
    words = shlex.split(walked[1][place].command)
    assert words[0] == "trackdb"
    result = CliRunner().invoke(app, [*words[1:], "--json"])
    assert result.exit_code == 0, result.output
    if place == 6:
        asked = json.loads(result.stdout)["rows"]
        assert asked == [list(row.values()) for row in walked[1][6].answer.rows.to_pylist()]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FormatError, match="is not empty"):
        next(demo(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """The folder in which somebody typed the first command of the tutorial, and what it answered."""
    folder = tmp_path_factory.mktemp("typed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, CliRunner().invoke(app, [*FIRST.split()[1:], "--json", "-q"])


def test_the_demo_is_one_object_in_json(typed):
    result = typed[1]
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["schema_version"] == 1
    assert found["steps"][0]["command"].startswith("trackdb simulate")


@pytest.mark.usefixtures("own_home_and_log")
def test_the_tutorial_runs_as_it_stands(typed, monkeypatch):
    monkeypatch.chdir(typed[0])
    assert run_page(Path(__file__).parents[1] / "docs" / "tutorial.md", done=FIRST) > 10
