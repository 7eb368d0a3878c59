"""`trackdb posterior` and `trackdb uncertain`: what they close with, what they refuse, and the same from Python."""

import pytest

import trackdb
from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.exports.tracking import tracking_of
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link, solve
from trackdb.engine.posterior.calibration_file import CalibrationFile, FittedMovie, as_toml
from trackdb.errors import ConfigError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from . import posteriors
from .command_line import answer, refusal, run
from .movies import DIVIDING, copied, dividing_cells, jostling_cells, write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture(scope="module")
def unsolved(tmp_path_factory):
    """A store of jostling cells without a solution; for reading."""
    folder = tmp_path_factory.mktemp("unsolved")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", jostling_cells(seed=3)), store)
    return store


@pytest.fixture(scope="module")
def unweighed(unsolved, tmp_path_factory):
    """A solved copy of it, without a posterior; it is copied, never written."""
    store = DuckDBStore(copied(unsolved.path, tmp_path_factory.mktemp("solved") / "movie.trackdb"))
    solve(store, store.detection_set(), Config(link=LinkConfig(neighbors=3)))
    return store


@pytest.fixture
def path(unweighed, tmp_path):
    """The folder of a copy."""
    return copied(unweighed.path, tmp_path / "movie.trackdb")


def test_a_posterior_is_kept_shown_and_asked(path):
    made = answer("posterior", path)
    assert {"posterior", "method", "cells", "how", "mean_entropy_bits", "temperature", "seconds"} <= set(made)
    assert (made["posterior"], made["method"], made["temperature"], made["cells"]) == ("posterior-1", "auto", 1.0, 63)
    assert set(made["how"]) == {"exact", "pruned", "belief", "sampled"}
    assert sum(made["how"].values()) == 63
    asked = answer("uncertain", path, "--top", 3)
    assert 1 <= len(asked["items"]) <= 3
    for rank, item in enumerate(asked["items"], start=1):
        assert set(item) == {
            *(
                "rank",
                "cell",
                "frame",
                "outcomes",
                "entropy_bits",
                "expected_error_reduction",
                "chosen",
                "how",
                "worth_how",
                "view",
            )
        }
        assert item["rank"] == rank
        assert sum(outcome["probability"] for outcome in item["outcomes"]) == pytest.approx(1, abs=1e-9)
        assert all(isinstance(outcome["daughters"], list) for outcome in item["outcomes"])
    assert answer("info", path)["posteriors"] == ["posterior-1"]
    assert "posteriors: posterior-1" in run("info", path).stdout
    closing = run("posterior", path, "--method", "SM", "--temperature", 2, "--name", "soft").stdout
    assert closing.startswith("posterior soft of ilp-1 by softmax: 63 cells (63 belief), ")
    assert "questions by entropy of" in run("uncertain", path, "--by", "entropy").stderr


def test_a_list_without_a_question_says_which_order_has_some(tmp_path):
    """Two cells far apart: the drawn posterior doubts one of them a little, its own costs do not."""
    cells = [(t, y, 10 + t, label, label) for t in range(4) for label, y in ((1, 10), (2, 500))]
    store = DuckDBStore(tmp_path / "movie.trackdb")
    ingest(write_rows(tmp_path / "movie.csv", cells, header="t,y,x,label,track"), store)
    solve(store, store.detection_set(), Config(link=LinkConfig(max_distance=20.0)))
    edges = posteriors.candidates(store)
    said = {source: {(target,): 1.0} for source, target in edges}
    said[min(said)] = {next(iter(said[min(said)])): 0.99, (): 0.01}
    posteriors.keep(store, posteriors.links_of(said, edges), posteriors.outcomes_of(said))
    assert "--by entropy lists what is open" in run("uncertain", store.path).stderr
    assert len(answer("uncertain", store.path, "--by", "entropy")["items"]) == 1


def test_exports_carry_the_probability_of_every_link(path):
    answer("posterior", path)
    store = DuckDBStore(path)
    found = tracking_of(store, *store.find_solution())
    told = ask(path, "select probability from links where solution = 'ilp-1' order by source, target").rows
    by_link = dict(
        zip(zip(found.source.tolist(), found.target.tolist(), strict=True), found.evidence.probability, strict=True)
    )
    assert [by_link[link] for link in sorted(by_link)] == pytest.approx(told["probability"].to_pylist())
    assert found.evidence.posterior == "posterior-1"
    run("export", "geff", path, "-o", path.parent / "out.geff")
    import zarr

    written = zarr.open_array(path.parent / "out.geff" / "edges" / "props" / "probability" / "values", mode="r")[:]
    assert sorted(written.tolist()) == pytest.approx(sorted(told["probability"].to_pylist()))
    run("export", "csv", path, "-o", path.parent / "out")
    assert "probability" in (path.parent / "out" / "links.csv").read_text().split("\n")[0]


def test_a_store_without_a_solution_says_what_to_do_next(unsolved):
    assert "try  trackdb solve" in refusal("posterior", unsolved.path, code=3)
    assert "try  trackdb posterior" in refusal("uncertain", unsolved.path, code=3)


def test_a_store_that_holds_the_truth_alone_is_asked_about_it_by_name_alone(tmp_path):
    """How sure a solution is, is asked of one that somebody made."""
    store = DuckDBStore(tmp_path / "true.trackdb")
    ingest(write_rows(tmp_path / "true.csv", dividing_cells(), header=DIVIDING), store)
    said = refusal("posterior", store.path, code=3)
    assert "holds no solution but truth" in said
    assert "or --solution truth to weigh it all the same" in said
    link(store, store.detection_set())
    with pytest.raises(MissingRowsError, match="holds no solution but truth"):
        trackdb.open(store.path, write=True).posterior()
    assert answer("posterior", store.path, "--solution", "truth")["solution"] == "truth"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("posterior", "--temperature", "0"), "posterior.temperature is 0.0, wanted a number within 0.001 .. 1000"),
        (("posterior", "--temperature", "-1"), "wanted a number within 0.001 .. 1000"),
        (("posterior", "--temperature", "nan"), "wanted a number within 0.001 .. 1000"),
        (("posterior", "--temperature", "1e-300"), "wanted a number within 0.001 .. 1000"),
        (("posterior", "--temperature", "1001"), "wanted a number within 0.001 .. 1000"),
        (("posterior", "--temperature", "warm"), "--temperature is a number within .001 .. 1000, or auto, got 'warm'"),
        (("posterior", "--temperature", "2", "--calibration", "a.toml"), "are two temperatures"),
        (("posterior", "--method", "magic"), "there is no method 'magic'"),
        (("posterior", "--method", "topk", "--k", "0"), "posterior.k is 0, wanted 1 to 1,000,000"),
        (("posterior", "--method", "topk", "--k", "1000001"), "posterior.k is 1000001, wanted 1 to 1,000,000"),
        (("posterior", "--name", " "), "cannot be a name"),
        (("uncertain", "--by", "luck"), "questions are not ordered by luck"),
    ],
)
def test_what_makes_no_sense_is_refused(unweighed, tmp_path, words, said):
    path = unweighed.path
    if words[0] == "uncertain":
        path = copied(path, tmp_path / "movie.trackdb")
        run("posterior", path, "--method", "softmax")
    verb, *options = words
    assert said in refusal(verb, path, *options, code=2)


def test_a_list_longer_than_all_lineages_holds_them_all(path):
    made = answer("posterior", path, "--method", "AS", "--k", 10)
    assert made["method"] == "topk"
    assert made["draws"] == 10


def test_a_fitted_temperature_is_taken_and_told(path, tmp_path):
    file = tmp_path / "fitted.toml"
    fitted = CalibrationFile("distance", {"auto": 1.7}, None, (FittedMovie("elsewhere", "another", 500, 20),))
    file.write_text(as_toml(fitted))
    made = answer("posterior", path, "--calibration", file, "--temperature", "auto")
    assert (made["temperature"], made["calibrated"]) == (1.7, True)
    told = trackdb.open(path).solution().posterior()
    assert (told.temperature, told.calibrated) == (1.7, True)
    assert "has no temperature for the method softmax" in refusal(
        "posterior", path, "--method", "softmax", "--calibration", file, code=1
    )


def test_the_same_from_python(path):
    db = trackdb.open(path, write=True)
    made = db.posterior(db.solution(), method="exact")
    assert repr(made) == "<posterior posterior-1 of ilp-1 by exact>"
    assert (made.name, made.method, made.solution, made.temperature) == ("posterior-1", "exact", "ilp-1", 1.0)
    assert made.links.arrow().column_names == ["source", "target", "probability", "how", "error"]
    first = made.outcomes.arrow().to_pylist()[0]
    assert set(first) == {"cell", "rank", "daughters", "probability", "how", "error"}
    asked = made.uncertain(top=3)
    assert [question.rank for question in asked] == list(range(1, len(asked) + 1))
    assert asked.arrow().num_rows == len(asked)
    listed = answer("uncertain", path, "--top", 3)["items"]
    assert [question.cell for question in asked] == [item["cell"] for item in listed]
    with pytest.raises(ConfigError, match="read-only"):
        trackdb.open(path).posterior()
