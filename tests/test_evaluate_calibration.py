"""The calibration block: a posterior drawn by hand, held against a truth that does not know all cells."""

import importlib.util
import json
import time

import numpy as np
import pytest

from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.config import LinkConfig
from trackdb.engine.evaluate import evaluate, judge_posterior
from trackdb.engine.evaluation import require_at_least
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link
from trackdb.engine.posterior.judging import newest_posterior
from trackdb.engine.progress import Recorded
from trackdb.errors import CheckFailedError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.posteriors import LinkProbabilities

from . import posteriors
from .command_line import answer, run
from .movies import own_copy, write_rows
from .test_evaluate import CELLS, LINKS, keep

# Truth, numbers are ids in the table; 9 and 10 have no track: nobody looked there. The solution takes 4 for a new cell.
#
#   frame   0     1     2     3
#           1 --- 2 -+- 3 --- 5
#                    +- 4 --- 6
#           7 --- 8           .
#                       9 --- 10
SAID = {(1, 2): 0.9, (2, 3): 0.8, (2, 4): 0.3, (3, 5): 0.7, (4, 5): 0.2, (3, 6): 0.4, (4, 6): 0.5, (7, 8): 1.0}
REPORTED = (LINKS - {(2, 4)}) | {(9, 10)}


@pytest.fixture(scope="module")
def weighed(tmp_path_factory):
    """The drawn cells with candidates, their truth, a solution and its posterior; to be copied."""
    tmp_path = tmp_path_factory.mktemp("weighed")
    truth = tmp_path / "truth" / "TRA"
    truth.mkdir(parents=True)
    (truth / "man_track.txt").write_text("1 0 1 0\n2 2 3 1\n3 2 3 1\n4 0 1 0\n")
    made = DuckDBStore(tmp_path / "drawn.trackdb")
    source = write_rows(tmp_path / "drawn.csv", CELLS, header="t,y,x,id,track")
    ingest(source, made, options=SourceOptions(truth=tmp_path / "truth"))
    link(made, made.detection_set(), LinkConfig(max_distance=30.0))
    keep(made, REPORTED)
    keep_posterior(made)
    return made


@pytest.fixture
def store(tmp_path, weighed):
    """A store of its own."""
    return own_copy(weighed, tmp_path)


def keep_posterior(store, said=SAID, *, solution="mine", **facts):
    """Keep the probabilities of candidates, told in ids of the table; what is not told is 0."""
    chosen = store.detection_set()
    detections = store.detections(chosen)
    label = dict(zip(detections.id.tolist(), detections.label.tolist(), strict=True))
    edges = {(label[a], label[b]): number for (a, b), number in posteriors.candidates(store).items()}
    assert set(said) <= set(edges)
    number, p = np.array(sorted((edges[pair], said.get(pair, 0.0)) for pair in edges)).T
    m = len(p)
    links = LinkProbabilities(number.astype(np.int64), p, np.zeros(m, np.uint8), np.full(m, np.nan))
    return posteriors.keep(store, links, None, solution=solution, **facts)


def test_every_daughter_that_the_truth_knows_is_judged_once(store):
    """2, 3, 5, 6, 8 as reported and right; 4 is reported as new, with .7, and has a mother. 10 does not count."""
    found = evaluate(store, *store.find_solution(name="mine")).calibration
    assert found.posterior.name == "drawn-1"
    assert (found.with_new.daughters, found.with_new.errors) == (6, 1)
    assert found.with_new.confidence == pytest.approx(np.mean([0.9, 0.8, 0.7, 0.7, 0.5, 1.0]))
    assert found.with_new.nll == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.7, 0.5, 1.0]).mean(), abs=1e-6)
    assert (found.asked.unknown, found.asked.annotated) == (1, 0)
    assert found.asked.candidate_recall == 1


def test_links_alone_leave_the_cell_that_is_reported_as_new_aside(store):
    found = evaluate(store, *store.find_solution(name="mine")).calibration.without_new
    assert (found.daughters, found.errors) == (5, 0)
    assert found.confidence == pytest.approx(np.mean([1, 1, 7 / 9, 5 / 9, 1]), abs=1e-6)


def test_the_newest_posterior_of_the_solution_is_judged(store):
    keep_posterior(store, {(1, 2): 1.0}, name="drawn-2", temperature=2.0, calibrated=True)
    _, info = store.find_solution(name="mine")
    assert newest_posterior(store, info).name == "drawn-2"
    told = evaluate(store, *store.find_solution(name="mine")).as_dict()["calibration"]
    assert (told["posterior"], told["temperature"], told["calibrated"]) == ("drawn-2", 2.0, True)


def test_the_truth_itself_is_not_judged_where_no_posterior_is_named(store):
    keep(store, LINKS, name="reference")
    keep_posterior(store, solution="reference", name="newest")
    assert judge_posterior(store, against="reference").posterior.name == "drawn-1"
    assert judge_posterior(store, against="truth").posterior.name == "newest"


def test_a_true_mother_that_is_no_candidate_lowers_the_recall(store, tmp_path):
    """The tracks of the file say that 8 comes from 1, over 70 pixels."""
    rows = [(t, y, x, i, {2: 1, 3: 2, 4: 2, 5: 3, 6: 4, 8: 1}.get(i, "")) for t, y, x, i, _ in CELLS if i < 9]
    file = write_rows(tmp_path / "other.csv", rows, header="t,y,x,id,parent")
    found = evaluate(store, *store.find_solution(name="mine"), against=file).calibration
    assert found.asked.candidate_recall == pytest.approx(5 / 6)
    assert found.with_new.errors == 2
    assert found.with_new.nll > -np.log(1e-6) / 6


def test_daughters_that_people_settled_before_are_no_test_of_it(store):
    chosen = store.detection_set()
    detections = store.detections(chosen)
    row = {label: int(i) for label, i in zip(detections.label.tolist(), detections.id.tolist(), strict=True)}
    time.sleep(1.001 - time.time() % 1)  # answers know the second: what is said in that of the posterior is evidence
    Annotator(store, chosen).answer("choose", row[2], [row[3], row[4]], who="ana")
    _, info = store.find_solution(name="mine")
    before = evaluate(store, chosen, info).calibration
    keep_posterior(store, SAID | {(2, 3): 1.0, (2, 4): 1.0}, name="after")
    after = evaluate(store, chosen, info).calibration
    assert (before.with_new.daughters, before.asked.annotated) == (6, 0)
    assert (after.with_new.daughters, after.asked.annotated) == (4, 2)


def test_a_truth_that_knows_no_daughter_says_nothing(store, tmp_path):
    """A table of the cell 9 alone: its daughter is not known, nothing can be judged, and that is told."""
    file = write_rows(tmp_path / "one.csv", [(2, 200, 200, 9, "")], header="t,y,x,id,parent")
    progress = Recorded()
    chosen, info = store.find_solution(name="mine")
    result = evaluate(store, chosen, info, against=file, progress=progress)
    assert result.calibration is None
    assert any("no daughter of which drawn-1" in note for note in progress.notes)


def test_figures_of_calibration_are_held_to_what_was_wanted(store):
    chosen, info = store.find_solution(name="mine")
    result = evaluate(store, chosen, info)
    require_at_least(result, {"ECE": 0.5, "NLL": 1.0, "AURC": 0.5})
    with pytest.raises(CheckFailedError, match=r"NLL is 0\.\d+, wanted at most 0.01"):
        require_at_least(result, {"NLL": 0.01})
    unasked = evaluate(store, *keep(store, LINKS, name="other"))
    assert unasked.as_dict()["calibration"] is None
    with pytest.raises(CheckFailedError, match="other has no posterior"):
        require_at_least(unasked, {"ECE": 0.5})


def test_the_command_shows_the_block(store):
    told = answer("evaluate", store.path, "--solution", "mine")["calibration"]
    assert told["daughters"] == 6
    assert told["without_new"]["daughters"] == 5
    assert sum(b["daughters"] for b in told["reliability"]) == 6
    assert told["accuracy_low"] < told["accuracy"] < told["accuracy_high"]
    assert set(told["accuracy_kept_by_entropy"]) == {"0.99", "0.95", "0.9", "0.8"}
    json.dumps(told, allow_nan=False)
    shown = run("evaluate", store.path, "--solution", "mine").stdout
    assert "posterior drawn-1" in shown
    assert "candidate recall" in shown
    run("evaluate", store.path, "--solution", "mine", "--fail-under", "ECE=0.001", code=5)


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.parametrize("what", ["reliability", "rejection"])
def test_plots_of_a_stored_posterior(store, tmp_path, what):
    out = tmp_path / f"{what}.svg"
    told = answer("plot", what, store.path, "-o", out, "--posterior", "drawn-1")
    assert (told["plot"], told["path"], told["daughters"]) == (what, str(out), 6)
    assert out.read_text().count("<path") > 10
    said = run("plot", what, store.path, "-o", tmp_path / "b.png")
    assert "posterior drawn-1, 6 daughters, ECE" in said.stdout
    assert "exists already" in run("plot", what, store.path, "-o", out, code=1).stderr
