"""Each kind of evidence can be left out of the learned cost: what is lost is what it gives, and the run says so."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import load_config
from trackdb.engine.costs.learned import learn
from trackdb.engine.evidence import EVERYTHING, KINDS, without
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.posterior.problem import priced_again
from trackdb.engine.progress import Silent
from trackdb.errors import ConfigError
from trackdb.solvers import open_solver
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer, refusal
from .learned_movies import f1, linked, sheet
from .movies import write_rows


def tracked(movie, *kinds):
    """Learn and solve without some kinds of evidence: what was learned, the candidates, the problem, the selection."""
    edges = link_nearest(movie.detections, max_gap=1)
    learned = learn(movie.detections, edges, replace(EVERYTHING, **without(kinds)))
    problem = learned.problem(movie.detections, edges)
    return learned, edges, problem, open_solver("ilp").solve(problem)


@pytest.fixture(scope="module")
def busy():
    """Cells that divide, some of them missed, among points that are no cells."""
    return sheet(3, division=0.02, missed=0.03, false=0.03, n_frames=16)


def test_without_drift_a_sheet_that_moves_by_most_of_a_spacing_is_linked_wrongly():
    movie = sheet(4, drift=(7.0, 4.0), n_frames=12)
    _, edges, _, found = tracked(movie)
    assert f1(movie, edges, found) == 1
    learned, edges, _, found = tracked(movie, "drift", "velocity")
    assert f1(movie, edges, found) < 0.985
    assert not learned.model.motion.coefficient.any()


def test_without_drift_a_cell_still_goes_on_as_it_did_and_without_velocity_as_its_neighbours_do():
    movie = sheet(4, drift=(2.0, 1.0), n_frames=12)
    own = tracked(movie, "drift")[0].model.motion.coefficient
    assert not own[:, 0].any()
    assert own[3, 1:3].sum() == pytest.approx(1, abs=0.1)
    common = tracked(movie, "velocity")[0].model.motion.coefficient
    assert not common[:, 1:].any()
    assert common[:, 0] == pytest.approx(np.ones(4), abs=0.1)


def test_without_divisions_nobody_divides_and_births_are_new_cells(busy):
    learned, edges, problem, found = tracked(busy, "divisions")
    assert np.bincount(edges.source[found.edge]).max() == 1
    assert not len(problem.pairs.first)
    assert learned.model.rates.appear[0] > tracked(busy)[0].model.rates.appear[0]


def test_without_pairs_two_daughters_cost_as_much_as_two_steps(busy):
    learned, edges, problem, _ = tracked(busy, "pairs")
    first, second = problem.pairs.first, problem.pairs.second
    mother, rates = edges.source[first], learned.model.rates
    apart = problem.edge_cost[first] + problem.edge_cost[second]
    apart += 2 * np.log(rates.one_child(learned.around))[mother]
    apart -= np.log(rates.division * learned.model.hazard[mother])
    assert len(first)
    assert problem.pairs.cost_of(first, second, len(edges)) == pytest.approx(apart)
    assert learned.model.daughters == learn(busy.detections, edges, rounds=1).model.daughters


def test_without_gaps_no_link_skips_a_frame(busy):
    _, edges, _, found = tracked(busy)
    assert (edges.frames[found.edge] == 2).any()
    learned, edges, _, found = tracked(busy, "gaps")
    assert (edges.frames[found.edge] == 1).all()
    assert learned.spans.reach == 0


def test_without_optional_cells_every_point_is_a_cell(busy):
    assert not tracked(busy)[3].node.all()
    assert tracked(busy, "optional")[3].node.all()


def test_without_skip_divisions_a_daughter_that_is_missed_in_her_first_frame_is_nobodys(busy):
    def late(found, edges):
        """Daughters of divisions that were missed in their first frame."""
        children = np.bincount(edges.source[found.edge], minlength=len(busy.detections))
        return (children[edges.source] == 2) & found.edge & (edges.frames == 2)

    _, edges, _, found = tracked(busy)
    assert late(found, edges).any()
    _, edges, _, found = tracked(busy, "skip_divisions")
    assert not late(found, edges).any()


def test_without_hazard_every_cell_is_as_likely_to_divide(busy):
    assert (tracked(busy)[0].model.hazard != 1).any()
    assert (tracked(busy, "hazard")[0].model.hazard == 1).all()


def test_all_evidence_is_the_default(busy):
    everything = tracked(busy)
    edges = link_nearest(busy.detections, max_gap=1)
    problem = learn(busy.detections, edges).problem(busy.detections, edges)
    assert linked(edges, open_solver("ilp").solve(problem)) == linked(everything[1], everything[3])


def test_kinds_are_named_as_in_the_settings_or_with_a_dash():
    assert without(["drift", " skip-divisions"]) == {"drift": False, "skip_divisions": False}
    assert replace(EVERYTHING, **without(["gaps"])).left_out == ("gaps",)
    assert not EVERYTHING.left_out
    with pytest.raises(ConfigError, match="no evidence 'colour'; known: drift, velocity"):
        without(["colour"])


@pytest.fixture
def store(tmp_path, busy, own_home_and_log):
    movie = busy.detections
    rows = [(*row, i) for i, row in enumerate(np.c_[movie.frame, movie.position_px].tolist())]
    made = DuckDBStore(tmp_path / "sheet.trackdb")
    ingest(write_rows(tmp_path / "sheet.csv", rows, header="t,y,x,id"), made)
    return made


def test_what_was_left_out_is_kept_with_the_run_and_its_posterior_leaves_it_out_too(store):
    solved = answer("solve", store.path, "--cost", "learned", "--without", "optional,drift")
    kept = done(store, store.detection_set(), "solve")[-1].params["learned"]
    assert kept == {kind: kind not in ("optional", "drift") for kind in KINDS}
    chosen, info = store.find_solution(name=solved["solution"])
    again = priced_again(store, chosen, info, load_config(store.path), Silent())
    assert again.problem.pinned_node.all()
    assert open_solver("ilp").solve(again.problem).objective == pytest.approx(info.objective)


def test_settings_leave_evidence_out(store):
    (store.path / "trackdb.toml").write_text("[learned]\nhazard = false\n")
    assert load_config(store.path).learned.left_out == ("hazard",)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cost", "learned", "--without", "colour"], "knows no evidence 'colour'"),
        (["--cost", "density", "--without", "drift"], "--cost density and --without are different costs"),
    ],
)
def test_what_cannot_be_left_out_is_refused(store, words, message):
    assert message in refusal("solve", store.path, *words, code=2)
