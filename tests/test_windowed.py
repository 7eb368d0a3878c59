"""A store that is solved window by window: the same lineages as in one piece, from a few frames at a time."""

import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine import costs
from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.costs import sampled_runs
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link, solve
from trackdb.engine.progress import Recorded
from trackdb.engine.scorers.base import ScoreScale
from trackdb.errors import ConfigError, InfeasibleError, NotProvenError
from trackdb.solvers.ilp import IlpSolver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.frames import FrameReader

from .command_line import answer, refusal, run
from .movies import DIVIDING, dividing_cells, own_copy, write_points, write_rows


def store_of(folder, rows, **columns):
    """A store with these points, not yet linked."""
    store = DuckDBStore(folder / "points.trackdb")
    ingest(write_rows(folder / "points.csv", rows, **columns), store)
    return store


PLAIN = Config(solve=SolveConfig(cost="density"))
"""What windows are priced by, for the whole movie."""


def in_windows(frames, context=10, **more):
    return Config(solve=SolveConfig(**{"cost": "density", **more}, window=frames, window_context=context))


@pytest.fixture(scope="module")
def crowd_once(tmp_path_factory):
    """Fifty cells that walk among each other for 24 frames and now and then are missed, linked over a gap of one."""
    rng = np.random.default_rng(5)
    place = rng.random((50, 2)) * 60
    rows = []
    for t in range(24):
        place = place + rng.normal(0, 1.2, place.shape)
        rows += [(t, *(round(float(c), 3) for c in p)) for p in place[rng.random(50) > 0.05]]
    store = store_of(tmp_path_factory.mktemp("crowd"), rows)
    link(store, store.detection_set(), replace(Config().link, max_gap=1))
    return store


@pytest.fixture
def crowd(tmp_path, crowd_once):
    """The crowd in a store of its own."""
    return own_copy(crowd_once, tmp_path)


def lineages(store, name):
    """What a solution consists of, without the numbers of tracks."""
    _, info = store.find_solution(None, name)
    table = store.solution(info)
    source, target = store.link_ends(info)
    return info, sorted(zip(source.tolist(), target.tolist(), table.kind.tolist(), strict=True)), table


def require_same(store, one, other):
    (info, links, table), (info2, links2, table2) = lineages(store, one), lineages(store, other)
    assert links == links2
    assert (info.objective, info.lower_bound, info.proven) == (info2.objective, info2.lower_bound, info2.proven)
    for column in ("node", "track_id", "pre"):
        assert np.array_equal(getattr(table, column), getattr(table2, column))
    for column in ("parent", "first_frame", "last_frame", "last", "generation"):
        assert np.array_equal(getattr(table.tracks, column), getattr(table2.tracks, column))


@pytest.mark.parametrize("frames", [1, 7, 24])
def test_windows_find_what_one_piece_finds_and_prove_it(crowd, frames):
    chosen = crowd.detection_set()
    whole = solve(crowd, chosen, PLAIN, name="whole")
    cut = solve(crowd, chosen, in_windows(frames), name="cut")
    require_same(crowd, "whole", "cut")
    assert replace(cut, solution="whole", seconds=whole.seconds) == whole
    assert whole.proven


def test_divisions_are_found_across_windows(tmp_path):
    store = store_of(tmp_path, dividing_cells(), header=DIVIDING)
    chosen = store.detection_set()
    whole = solve(store, chosen, PLAIN, name="whole")
    assert solve(store, chosen, in_windows(2, 3), name="cut").divisions == whole.divisions == 8
    require_same(store, "whole", "cut")


def test_a_short_context_tells_how_far_it_may_be_from_the_optimum(crowd):
    chosen, told = crowd.detection_set(), Recorded()
    whole = solve(crowd, chosen, PLAIN)
    cut = solve(crowd, chosen, in_windows(2, 1), progress=told)
    assert cut.lower_bound <= whole.objective <= cut.objective
    assert cut.proven == (cut.lower_bound == cut.objective)
    if not cut.proven:
        assert "of the cost above the optimum" in told.notes[-1]
    assert whole.objective - cut.lower_bound < 0.05 * abs(whole.objective)


def test_a_movie_that_is_sampled_gets_the_costs_of_one_piece(crowd, monkeypatch):
    def sampled(first, last, n_cells, *, most_cells=300):
        return sampled_runs(first, last, n_cells, most_cells=300)

    monkeypatch.setattr(sys.modules["trackdb.engine.costs.sample"], "sampled_runs", sampled)
    monkeypatch.setattr(costs, "sampled_runs", sampled)
    chosen = crowd.detection_set()
    whole = solve(crowd, chosen, PLAIN, name="whole")
    cut = solve(crowd, chosen, in_windows(9), name="cut")
    assert cut.estimates == whole.estimates
    require_same(crowd, "whole", "cut")


@pytest.mark.parametrize("scale", [ScoreScale.PROBABILITY, ScoreScale.SIMILARITY])
def test_scores_of_any_scale_are_priced_as_in_one_piece(crowd, scale):
    chosen = crowd.detection_set()
    detections = crowd.detections(chosen)
    edges = crowd.candidate_edges(chosen, detections)
    near = np.exp(-edges.distance)
    value = near / (np.bincount(edges.target, near)[edges.target] + 0.01)
    with crowd.running("score", "mine", {"by": "mine"}, chosen=chosen) as run:
        seen = np.arange(len(edges)) % 7 > 0
        crowd.add_scores(run, edges.take(seen), value[seen], {"scale": scale.value, "estimates": {}})
    whole = solve(crowd, chosen, scores="mine", name="whole")
    cut = solve(crowd, chosen, in_windows(6), scores="mine", name="cut")
    require_same(crowd, "whole", "cut")
    assert cut.left_out == whole.left_out == np.count_nonzero(~seen)
    assert cut.estimates == whole.estimates


def test_what_people_said_is_kept_across_windows(crowd):
    chosen = crowd.detection_set()
    free = solve(crowd, chosen, PLAIN, name="free")
    detections = crowd.detections(chosen)
    edges = crowd.candidate_edges(chosen, detections)
    source, target = (detections.id[rows] for rows in (edges.source, edges.target))
    links = {(a, b) for a, b, _ in lineages(crowd, "free")[1]}
    frame = dict(zip(detections.id.tolist(), detections.frame.tolist(), strict=True))
    other = [
        (a, b)
        for a, b in zip(source.tolist(), target.tolist(), strict=True)
        if (a, b) not in links and frame[b] == frame[a] + 1
    ]
    at_seams = [pair for pair in other if frame[pair[0]] in (7, 15)]
    annotator = Annotator(crowd, chosen)
    (a, b), (c, d) = at_seams[0], at_seams[-1]
    annotator.answer("choose", a, [b], who="ana")
    annotator.answer("choose", c, [d], who="ana")
    ends, (e, f) = next(pair for pair in links if frame[pair[0]] == 11)[0], max(links)
    annotator.answer("choose", ends, [], who="ana")
    annotator.answer("reject", e, [f], who="ana")
    annotator.answer("not_a_cell", int(detections.id[200]), who="ana")
    whole = solve(crowd, chosen, PLAIN, name="whole")
    cut = solve(crowd, chosen, in_windows(8), name="cut")
    assert whole.objective > free.objective
    info, found, table = lineages(crowd, "cut")
    assert (info.objective, info.proven) == (whole.objective, True)
    kept = {(x, y) for x, y, _ in found}
    assert {(a, b), (c, d)} <= kept
    assert (e, f) not in kept
    assert not {pair for pair in kept if pair[0] == ends}
    assert detections.id[200] not in table.node
    assert replace(cut, solution="whole", seconds=whole.seconds, lower_bound=whole.lower_bound) == whole
    assert cut.pins == 5
    assert solve(crowd, chosen, in_windows(8), ignore_pins=True).objective == free.objective


@pytest.mark.parametrize("frames", [5, 30])
def test_annotations_that_no_candidate_allows_are_refused(crowd, frames):
    chosen = crowd.detection_set()
    solve(crowd, chosen, PLAIN)
    Annotator(crowd, chosen).answer("choose", 1, [700], who="ana", add_candidate=True)
    with crowd.writing() as connection:
        connection.exec_driver_sql("update edge set candidate = false where source = 1 and target = 700")
    with pytest.raises(InfeasibleError, match="asks for a link that is no candidate"):
        solve(crowd, chosen, in_windows(frames, 2))


def test_windows_read_no_more_than_themselves(crowd, monkeypatch):
    asked = []
    read = FrameReader.detections

    def reading(self, first, last):
        asked.append((first, last))
        return read(self, first, last)

    chosen = crowd.detection_set()
    solve(crowd, chosen, PLAIN)  # links and scores
    monkeypatch.setattr(FrameReader, "detections", reading)
    monkeypatch.setattr(type(crowd), "detections", None)
    solve(crowd, chosen, in_windows(8, 3))
    assert asked == [(0, 23), (0, 10), (5, 18), (13, 23)]  # the first one is the sample: a small movie is its own


def test_what_dies_halfway_leaves_nothing_and_is_done_again(crowd, monkeypatch):
    chosen = crowd.detection_set()
    solve(crowd, chosen, PLAIN, name="whole")
    with monkeypatch.context() as broken:
        broken.setattr(FrameReader, "cells", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            solve(crowd, chosen, in_windows(8), name="cut")
    assert list(crowd.solutions(chosen)) == ["whole"]
    solve(crowd, chosen, in_windows(8), name="cut")
    require_same(crowd, "whole", "cut")


def test_a_movie_without_cells_or_with_one_frame_has_windows_too(tmp_path):
    store = store_of(tmp_path, [(3, 1.0, 2.0), (3, 10.0, 20.0)])
    report = solve(store, store.detection_set(), in_windows(5))
    assert (report.links, report.tracks, report.proven) == (0, 2, True)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (in_windows(5, linker="greedy"), "windows are for the exact linker, not for greedy"),
        (in_windows(5, cost="two-distance"), "learned from the whole movie"),
    ],
)
def test_what_needs_the_whole_movie_is_refused(crowd, config, match):
    with pytest.raises(ConfigError, match=match):
        solve(crowd, crowd.detection_set(), config)


def test_a_solver_of_ones_own_is_refused(crowd):
    with pytest.raises(ConfigError, match="speaks of the whole movie"):
        solve(crowd, crowd.detection_set(), in_windows(5), solver=IlpSolver())


@pytest.mark.parametrize(("key", "value"), [("window", -1), ("window_context", 0)])
def test_windows_of_no_frames_are_refused(key, value):
    with pytest.raises(ConfigError, match=f"solve.{key} is {value}"):
        SolveConfig(**{key: value})


@settings(max_examples=50)
@given(st.integers(0, 50), st.integers(1, 400), st.integers(1, 10**6), st.integers(10, 10**5))
def test_sampled_runs_lie_in_the_movie_and_hold_about_as_many_cells_as_wanted(first, length, n_cells, most):
    runs = list(sampled_runs(first, first + length - 1, n_cells, most_cells=most))
    assert runs[0][0] == first
    assert all(begin <= end for begin, end in runs)
    assert all(end < begin for (_, end), (begin, _) in pairwise(runs))


def test_the_command_solves_in_windows_and_says_so(tmp_path):
    run("ingest", write_points(tmp_path / "cells.csv", 12), "-o", tmp_path / "cells.trackdb")
    whole = answer("solve", tmp_path / "cells.trackdb", "--simple")
    cut = answer("solve", tmp_path / "cells.trackdb", "--window", "4", "--require-optimal")
    told = ("objective", "lower_bound", "proven", "links", "tracks", "divisions", "appearances", "left_out")
    assert [cut[key] for key in told] == [whole[key] for key in told]
    assert cut["solution"] == "ilp-2"
    assert "exact linker, not for greedy" in refusal(
        "solve", tmp_path / "cells.trackdb", "--greedy", "--window", "4", code=2
    )


def test_an_optimum_that_windows_cannot_prove_is_not_kept_if_it_was_required(crowd):
    chosen = crowd.detection_set()
    if solve(crowd, chosen, in_windows(1, 2)).proven:
        pytest.fail("these cells are too far apart to be in doubt")
    with pytest.raises(NotProvenError):
        solve(crowd, chosen, in_windows(1, 2, require_optimal=True), name="required")
    assert "required" not in crowd.solutions(chosen)
