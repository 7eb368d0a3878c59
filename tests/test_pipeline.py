"""Link, score, solve: the graph only grows, names are free or refused, and what is kept is what was proven."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv

from trackdb.engine import linkers, pipeline
from trackdb.engine.check import check
from trackdb.engine.config import Config, LinkConfig, ScoreConfig, SolveConfig
from trackdb.engine.handoff import to_networkx
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link, score, solve
from trackdb.engine.progress import Recorded
from trackdb.errors import ConfigError, MissingRowsError, NotProvenError, SolverError, StoreExistsError
from trackdb.solvers import open_solver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .movies import DIVIDING, GAP_ROWS, dividing_cells, own_copy, write_ctc, write_points, write_rows

TOO_FEW = "54 detections are too few to learn from: priced by the plain cost"
GREEDY = Config(solve=SolveConfig(linker="greedy"))


def store_of(folder, rows, **columns):
    """A store with these points, not yet linked."""
    store = DuckDBStore(folder / "points.trackdb")
    ingest(write_rows(folder / "points.csv", rows, **columns), store)
    return store


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """Stores that tests have copies of."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("gappy", "walking", "dividing")}
    walking = DuckDBStore(folders["walking"] / "walking.trackdb")
    ingest(write_points(folders["walking"] / "walking.csv"), walking)
    return {
        "gappy": store_of(folders["gappy"], GAP_ROWS),
        "walking": walking,
        "dividing": store_of(folders["dividing"], dividing_cells(), header=DIVIDING),
    }


@pytest.fixture
def gappy(tmp_path, ingested):
    """The drawn cells of which one is missed in one frame."""
    return own_copy(ingested["gappy"], tmp_path)


@pytest.fixture
def walking(tmp_path, ingested):
    """Nine cells that walk for six frames, with truth."""
    return own_copy(ingested["walking"], tmp_path)


@pytest.fixture
def dividing(tmp_path, ingested):
    """Sixteen cells for eight frames, of which every other divides once, with truth."""
    return own_copy(ingested["dividing"], tmp_path)


def candidates(store, dataset=None):
    """Number of each candidate by the detections that it ties, and the frames it spans."""
    chosen = store.detection_set(dataset)
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    ends = zip(detections.id[edges.source].tolist(), detections.id[edges.target].tolist(), strict=True)
    return dict(zip(ends, zip(edges.id.tolist(), edges.frames.tolist(), strict=True), strict=True))


def graph_of(store, dataset=None, name=None):
    """A solution as a graph."""
    chosen, info = store.find_solution(dataset, name)
    return to_networkx(store.solution(info), store.detections(chosen), *store.link_ends(info))


def run_states(store, kind):
    return [(run.name, run.state) for run in store.runs() if run.kind == kind]


# -- link -------------------------------------------------------------------------------------------------------------


def test_cells_within_the_radius_are_candidates_of_the_next_frame(gappy):
    report = link(gappy, gappy.detection_set(), LinkConfig(max_distance=5))
    assert (report.edges, report.new, report.unit, report.how) == (7, 7, "px", "given")
    assert set(candidates(gappy)) == {(1, 4), (4, 7), (7, 9), (2, 5), (3, 6), (6, 8), (8, 11)}


def test_linking_adds_and_never_removes(gappy):
    chosen = gappy.detection_set()
    link(gappy, chosen, LinkConfig(max_distance=25))
    wide = candidates(gappy)
    report = link(gappy, chosen, LinkConfig(max_distance=5))
    assert (report.total, report.new) == (len(wide), 0)
    assert report.edges < report.total  # what 5 um alone would propose
    assert candidates(gappy) == wide


def test_linking_wider_keeps_the_numbers_of_the_candidates(gappy):
    chosen = gappy.detection_set()
    link(gappy, chosen, LinkConfig(max_distance=5))
    near = candidates(gappy)
    report = link(gappy, chosen, LinkConfig(max_distance=25))
    assert candidates(gappy).items() > near.items()
    assert report.new == report.total - len(near)


def test_a_gap_ties_the_cell_that_was_missed(gappy):
    chosen = gappy.detection_set()
    link(gappy, chosen, LinkConfig(max_distance=5))
    report = link(gappy, chosen, LinkConfig(max_distance=5, max_gap=1))
    spans = {ends: frames for ends, (_, frames) in candidates(gappy).items()}
    assert spans[5, 10] == 2
    assert {frames for ends, frames in spans.items()} == {1, 2}
    assert report.new == sum(frames == 2 for frames in spans.values())


def test_links_of_the_truth_become_candidates_and_keep_their_number(walking):
    chosen = walking.detection_set()
    detections = walking.detections(chosen)
    truth = walking.candidate_edges(chosen, detections, imported=True)
    assert candidates(walking) == {}
    link(walking, chosen, LinkConfig(max_distance=15))
    found = candidates(walking)
    for number, source, target in zip(truth.id, detections.id[truth.source], detections.id[truth.target], strict=True):
        assert found[source, target][0] == number
    assert len(found) > len(truth)
    assert len({number for number, _ in found.values()}) == len(found)


def test_links_of_the_truth_beyond_the_radius_stay_hidden(walking):
    chosen = walking.detection_set()
    detections = walking.detections(chosen)
    link(walking, chosen, LinkConfig(max_distance=0.5))
    known = walking.candidate_edges(chosen, detections, imported=True)
    assert len(candidates(walking)) < len(known) == 45
    assert max(known.distance[np.isin(known.id, [n for n, _ in candidates(walking).values()])]) <= 0.5


def test_the_radius_and_its_unit_are_told(walking):
    progress = Recorded()
    report = link(walking, walking.detection_set(), progress=progress)
    assert report.max_distance > 0
    assert any(f"radius {report.max_distance:.4g} px" in note for note in progress.notes)
    assert any("in pixels" in note for note in progress.notes)


# -- score ------------------------------------------------------------------------------------------------------------


def test_scoring_before_linking_says_what_to_do(gappy):
    with pytest.raises(MissingRowsError, match="trackdb link"):
        score(gappy, gappy.detection_set())


def test_scores_are_numbered_and_every_candidate_has_one(walking):
    chosen = walking.detection_set()
    edges = link(walking, chosen).edges
    assert [score(walking, chosen).scores for _ in range(3)] == ["distance", "distance-2", "distance-3"]
    assert score(walking, chosen, name="mine").edges == edges
    assert run_states(walking, "score") == [(n, "done") for n in ("distance", "distance-2", "distance-3", "mine")]


def test_a_taken_name_of_scores_is_refused(walking):
    chosen = walking.detection_set()
    link(walking, chosen)
    score(walking, chosen, name="mine")
    with pytest.raises(StoreExistsError, match="scores named mine"):
        score(walking, chosen, name="mine")


def test_an_unknown_scorer_is_refused_before_any_work(walking):
    chosen = walking.detection_set()
    link(walking, chosen)
    with pytest.raises(ConfigError, match="known: activity, distance, overlap"):
        score(walking, chosen, ScoreConfig("psychic"))
    assert run_states(walking, "score") == []


def test_scores_of_a_smaller_graph_are_made_again(walking):
    chosen = walking.detection_set()
    link(walking, chosen, LinkConfig(max_distance=10))
    score(walking, chosen)
    link(walking, chosen, LinkConfig(max_distance=30))
    progress = Recorded()
    report = solve(walking, chosen, progress=progress)
    assert any("distance does not know all candidates" in note for note in progress.notes)
    assert run_states(walking, "score") == [("distance", "done"), ("distance-2", "done")]
    assert report.left_out == 0


def test_scores_that_the_user_names_are_taken_as_they_are(walking):
    chosen = walking.detection_set()
    few = link(walking, chosen, LinkConfig(max_distance=10)).edges
    score(walking, chosen)
    many = link(walking, chosen, LinkConfig(max_distance=30)).edges
    progress = Recorded()
    report = solve(walking, chosen, scores="distance", progress=progress)
    assert report.left_out == many - few > 0
    assert any(f"{many - few} of {many} candidates have no score in distance" in note for note in progress.notes)
    assert run_states(walking, "score") == [("distance", "done")]


def test_scores_that_are_not_there_are_refused_before_any_work(walking):
    before = walking.meta()["commits"]
    with pytest.raises(MissingRowsError, match="no scores named theirs"):
        solve(walking, walking.detection_set(), scores="theirs")
    assert walking.meta()["commits"] == before


# -- solve ------------------------------------------------------------------------------------------------------------


def test_solving_links_and_scores_what_is_missing_and_says_so(walking):
    progress = Recorded()
    report = solve(walking, walking.detection_set(), progress=progress)
    assert [note for note in progress.notes if "yet" in note] == [
        "no candidates yet: linking",
        "no scores by distance yet: scoring",
    ]
    assert (report.solution, report.links, report.tracks, report.divisions, report.proven) == ("ilp-1", 45, 9, 0, True)
    again = Recorded()
    solve(walking, walking.detection_set(), progress=again)
    assert again.notes == [TOO_FEW]


def test_scores_that_solve_does_not_take_by_itself_are_named(walking, tmp_path):
    chosen = walking.detection_set()
    solve(walking, chosen)
    pairs = ask(walking.path, "select source, target, 0.9 as score from candidates").rows
    csv.write_csv(pairs, tmp_path / "network.csv")
    score(walking, chosen, ScoreConfig(by=str(tmp_path / "network.csv")))
    told, silent = Recorded(), Recorded()
    solve(walking, chosen, progress=told)
    solve(walking, chosen, scores="network", progress=silent)
    assert told.notes == [TOO_FEW, "not solving by the newer network: --scores NAME takes those"]
    assert not any("newer" in note for note in silent.notes)


def test_the_drawn_divisions_are_found(dividing):
    """Sixteen cells, every other divides once."""
    assert solve(dividing, dividing.detection_set()).divisions == 8
    truth, found = (graph_of(dividing, name=name) for name in ("truth", "ilp-1"))
    assert set(truth.edges) == set(found.edges)


def test_solutions_are_numbered_by_their_linker(walking):
    chosen = walking.detection_set()
    names = [solve(walking, chosen, config).solution for config in (None, GREEDY, None, GREEDY)]
    assert names == ["ilp-1", "greedy-1", "ilp-2", "greedy-2"]
    assert solve(walking, chosen, name="mine").solution == "mine"


def test_a_taken_name_is_refused_before_any_work(walking, monkeypatch):
    chosen = walking.detection_set()
    solve(walking, chosen, name="mine")
    before = walking.meta()["commits"]
    monkeypatch.setattr(pipeline, "link", None)
    for name in ("mine", "truth"):
        with pytest.raises(StoreExistsError, match=f"solution named {name}") as error:
            solve(walking, chosen, name=name)
        assert error.value.exit_code == 3
    assert walking.meta()["commits"] == before


def test_an_unproven_solution_is_not_kept_where_an_optimum_is_required(walking):
    chosen = walking.detection_set()
    with pytest.raises(NotProvenError, match="without --require-optimal") as error:
        solve(walking, chosen, Config(solve=SolveConfig(linker="greedy", require_optimal=True)))
    assert error.value.exit_code == 4
    assert list(walking.solutions(chosen)) == ["truth"]
    assert run_states(walking, "solve") == [("greedy-1", "failed")]
    assert check(walking) == []


def test_an_optimum_that_was_required_and_proven_is_kept(walking):
    assert solve(walking, walking.detection_set(), Config(solve=SolveConfig(require_optimal=True))).proven


@pytest.mark.parametrize("off", [-1.0, 1e-6])
def test_a_solver_that_misstates_its_cost_is_refused(walking, monkeypatch, off):
    class Liar:
        def solve(self, problem):
            honest = open_solver("ilp").solve(problem)
            return replace(honest, objective=honest.objective + off)

    chosen = walking.detection_set()
    monkeypatch.setattr(linkers, "open_solver", lambda *_, **__: Liar())
    with pytest.raises(SolverError, match="nothing was kept"):
        solve(walking, chosen)
    assert list(walking.solutions(chosen)) == ["truth"]
    assert run_states(walking, "solve") == [("ilp-1", "failed")]
    assert check(walking) == []


def test_a_name_of_a_failed_run_is_free_again(walking, monkeypatch):
    chosen = walking.detection_set()
    with pytest.raises(NotProvenError):
        solve(walking, chosen, Config(solve=SolveConfig(linker="greedy", require_optimal=True)), name="mine")
    assert solve(walking, chosen, name="mine").solution == "mine"


@pytest.mark.parametrize("seed", range(2))
def test_exact_costs_no_more_than_greedy_and_no_less_than_its_bound(tmp_path, seed):
    rng = np.random.default_rng(seed)
    rows = [(t, *rng.uniform(0, 40, 2).round(3)) for t in range(5) for _ in range(12)]
    store = store_of(tmp_path, rows)
    chosen = store.detection_set()
    exact, greedy = solve(store, chosen), solve(store, chosen, GREEDY)
    assert exact.lower_bound == pytest.approx(exact.objective, abs=1e-6)
    assert exact.proven
    assert exact.objective <= greedy.objective
    assert greedy.lower_bound <= exact.objective + 1e-6


@pytest.mark.parametrize("backend", ["highs", "motile"])
def test_two_exact_solvers_find_the_same_cost(walking, backend):
    chosen = walking.detection_set()
    ours, theirs = solve(walking, chosen), solve(walking, chosen, Config(solve=SolveConfig(backend=backend)))
    assert theirs.solution == "ilp-2"
    assert ours.objective == pytest.approx(theirs.objective, abs=1e-5)


@pytest.mark.parametrize(
    ("rows", "tracks"),
    [
        ([(0, 5, 5)], 1),
        ([(0, 5, 5), (0, 20, 20), (0, 40, 5)], 3),
        ([(0, 5, 5), (3, 5, 5)], 2),
        ([(0, 5, 5), (1, 5, 6)], None),
        ([(0, 5, 5), (0, 5, 5), (1, 5, 5), (1, 5, 5)], None),
    ],
    ids=["one cell", "one frame", "frames apart", "one link", "all in one place"],
)
@pytest.mark.parametrize("config", [Config(), GREEDY], ids=["ilp", "greedy"])
def test_hardly_anything_can_be_solved(tmp_path, rows, tracks, config):
    store = store_of(tmp_path, rows)
    report = solve(store, store.detection_set(), config)
    assert tracks in (None, report.tracks)
    assert report.links == len(rows) - report.tracks + report.divisions
    assert check(store) == []


def test_no_detections_make_an_empty_solution(tmp_path):
    write_ctc(tmp_path / "empty", centres=[{}, {}], tracks=[])
    (tmp_path / "empty" / "01_GT" / "TRA" / "man_track.txt").unlink()
    store = DuckDBStore(tmp_path / "empty.trackdb")
    ingest(tmp_path / "empty" / "01_GT" / "TRA", store, file_format="masks")
    report = solve(store, store.detection_set())
    assert (report.links, report.tracks, report.objective, report.proven) == (0, 0, 0.0, True)
    assert check(store) == []


def test_a_gap_is_bridged_where_gaps_are_allowed(tmp_path):
    """Nine cells for eight frames, far apart; cell 4 is missed in frame 4."""
    rows = [(t, 20 * (k // 3), 20 * (k % 3) + t) for t in range(8) for k in range(9) if (t, k) != (4, 4)]
    store = store_of(tmp_path, rows)
    chosen = store.detection_set()
    whole = Config(link=LinkConfig(max_gap=1))
    report = solve(store, chosen, whole)
    graph = graph_of(store)
    skips = [(a, b) for a, b in graph.edges if graph.nodes[b]["t"] - graph.nodes[a]["t"] == 2]
    assert (report.tracks, report.links, len(skips)) == (9, 62, 1)
    [(a, b)] = skips
    assert [graph.nodes[n]["t"] for n in (a, b)] == [3, 5]
    assert graph.nodes[a]["track"] == graph.nodes[b]["track"]
    assert check(store) == []


def test_frames_that_stand_empty_are_named_where_no_candidate_leads_over_them(tmp_path):
    store = store_of(tmp_path, [(t, 50 * k, t) for t in (0, 1, 2, 5, 6) for k in range(4)])
    told = Recorded()
    link(store, store.detection_set(), LinkConfig(max_gap=1), told)
    assert any("no cell goes on over the empty frames 3-4" in note for note in told.notes)
    bridged = Recorded()
    link(store, store.detection_set(), LinkConfig(max_gap=2), bridged)
    assert not any("empty frames" in note for note in bridged.notes)


def test_labels_agree_with_the_links(dividing):
    """The tracks in the store are the paths of the graph without divisions, and lineages its components."""
    solve(dividing, dividing.detection_set())
    graph = graph_of(dividing)
    cut = graph.copy()
    cut.remove_edges_from([(a, b) for a, b in graph.edges if graph.out_degree(a) > 1])
    for whole, label in ((cut, "track"), (graph, "lineage")):
        components = {frozenset(part) for part in nx.weakly_connected_components(whole)}
        labelled = {}
        for node, number in whole.nodes(data=label):
            labelled.setdefault(number, set()).add(node)
        assert components == {frozenset(part) for part in labelled.values()}
    for a, b, kind in graph.edges(data="kind"):
        assert (kind == "divide") == (graph.out_degree(a) == 2) == (graph.nodes[a]["track"] != graph.nodes[b]["track"])


def test_ends_of_the_movie_are_no_ends_of_cells(tmp_path):
    """B appears in frame 2, A is gone after frame 3; 36 other cells stay, far from both."""
    still = [(t, 30 * (k // 6), 30 * (k % 6)) for t in range(6) for k in range(36)]
    rows = [*still, *((t, 500, 500) for t in range(4)), *((t, 700, 700) for t in range(2, 6))]
    store = store_of(tmp_path, rows)
    report = solve(store, store.detection_set())
    assert (report.appearances, report.disappearances, report.tracks, report.divisions) == (1, 1, 38, 0)


def test_each_dataset_has_solutions_of_its_own(tmp_path):
    store = DuckDBStore(tmp_path / "two.trackdb")
    for name, seed in (("left", 0), ("right", 1)):
        ingest(write_points(tmp_path / f"{name}.csv", seed=seed, n_cells=4 + 5 * seed), store)
    with pytest.raises(MissingRowsError, match="several datasets"):
        store.detection_set()
    for name in ("left", "right"):
        assert solve(store, store.detection_set(name)).solution == "ilp-1"
    assert [graph_of(store, name, "ilp-1").number_of_nodes() for name in ("left", "right")] == [24, 54]
    counted = ask(
        store.path, "select dataset, count(*) as n from tracks where solution = 'ilp-1' group by 1 order by 1"
    )
    assert counted.rows.to_pylist() == [{"dataset": "left", "n": 4}, {"dataset": "right", "n": 9}]
    mine, theirs = (min(graph_of(store, name, "ilp-1")) for name in ("left", "right"))
    walked = [
        ask(store.path, "from descendants('ilp-1', $cell)", {"cell": cell}).rows.num_rows for cell in (mine, theirs)
    ]
    assert walked == [6, 6]
    assert check(store) == []


def test_settings_and_estimates_are_kept_with_the_run(walking):
    solve(walking, walking.detection_set(), Config(solve=SolveConfig(time_limit_s=60.0)))
    [run] = [run for run in walking.runs() if run.kind == "solve"]
    assert run.params["time_limit_s"] == 60.0
    assert run.params["scores"] == "distance"
    assert run.params["estimates"]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=25, unique=True
    ),
    gap=st.integers(0, 2),
    config=st.sampled_from([Config(), GREEDY]),
)
def test_every_movie_of_points_becomes_a_forest(tmp_path_factory, rows, gap, config):
    """All detections are kept; nobody has two parents or three daughters; links run forward, one frame and the gap."""
    store = store_of(tmp_path_factory.mktemp("drawn"), rows)
    report = solve(store, store.detection_set(), replace(config, link=LinkConfig(max_gap=gap)))
    graph = graph_of(store)
    assert graph.number_of_nodes() == len(rows)
    assert graph.number_of_edges() == report.links
    assert max((d for _, d in graph.in_degree), default=0) <= 1
    assert max((d for _, d in graph.out_degree), default=0) <= 2
    assert all(1 <= graph.nodes[b]["t"] - graph.nodes[a]["t"] <= gap + 1 for a, b in graph.edges)
    assert report.tracks == len({track for _, track in graph.nodes(data="track")})
    assert report.lower_bound <= report.objective + 1e-6
    assert check(store) == []
