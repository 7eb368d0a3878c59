"""Linkers on stores: what each goes by, what it links by itself, and what becomes of merges."""

import pytest
from motile.constraints import Constraint
from motile.variables import EdgeSelected

import trackdb
from trackdb.engine.check import check
from trackdb.engine.config import Config, LapConfig, LinkConfig, ScoreConfig, SolveConfig
from trackdb.engine.exports import FORMATS, export
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.pipeline import link, score, solve
from trackdb.engine.progress import Recorded
from trackdb.errors import ConfigError, NotProvenError
from trackdb.solvers.motile_bridge import MotileSolver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .command_line import answer
from .movies import own_copy, write_rows

# Numbers are cells and their ids, beside them their column x. 1 and 2 merge into 9, 3 divides, 4 is missed in frame 2:
#
#   frame 0     1        2          3
#      1 0 ---- 5 2 --.
#      2 10 --- 6 6 ---`- 9 4 ---- 12 4.5
#      3 40 --- 7 40 ---- 10 38 -- 13 37.5
#                  `----- 11 41.5 - 14 42
#      4 0 ---- 8 0.5 ------------ 15 1           (at y = 60)
ROWS = [
    (0, 0, 0, 1), (0, 0, 10, 2), (0, 0, 40, 3), (0, 60, 0, 4),
    (1, 0, 2, 5), (1, 0, 6, 6), (1, 0, 40, 7), (1, 60, 0.5, 8),
    (2, 0, 4, 9), (2, 0, 38, 10), (2, 0, 41.5, 11),
    (3, 0, 4.5, 12), (3, 0, 37.5, 13), (3, 0, 42, 14), (3, 60, 1, 15),
]  # fmt: skip
SIMPLE = {(1, 5), (2, 6), (3, 7), (4, 8), (7, 11), (9, 12), (10, 13), (11, 14)}
MERGES = {(5, 9), (6, 9)}

LAP = Config(
    link=LinkConfig(max_distance=11), solve=SolveConfig(linker="lap"), lap=LapConfig(max_gap=1, percentile=100)
)
MERGING = Config(link=LAP.link, solve=LAP.solve, lap=LapConfig(max_gap=1, merges=True, percentile=100))


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """The drawn cells, neither linked nor scored; to be copied."""
    folder = tmp_path_factory.mktemp("ingested")
    made = DuckDBStore(folder / "drawn.trackdb")
    ingest(write_rows(folder / "drawn.csv", ROWS, header="t,y,x,id"), made)
    return made


@pytest.fixture
def store(tmp_path, ingested):
    """The drawn cells in a store of their own."""
    return own_copy(ingested, tmp_path)


def links(store, solution, kind=None):
    """Return the links of a solution by the numbers of the drawing."""
    query = """select a.label as a, b.label as b from links l join cells a on a.cell = l.source
        join cells b on b.cell = l.target where solution = $solution and l.kind = coalesce($kind, l.kind)"""
    found = ask(store.path, query, {"solution": solution, "kind": kind}).rows.to_pydict()
    return set(zip(found["a"], found["b"], strict=True))


def test_lap_links_over_the_gap_that_it_shall_close_and_finds_what_is_drawn(store):
    progress = Recorded()
    found = solve(store, store.detection_set(), LAP, progress=progress)
    assert links(store, found.solution) == SIMPLE | {(5, 9), (7, 10), (8, 15)}
    assert (found.solution, found.linker, found.proven, found.merges, found.divisions) == ("lap-1", "lap", False, 0, 1)
    assert (found.appearances, found.disappearances) == (0, 1)
    assert links(store, found.solution, "divide") == {(7, 10), (7, 11)}
    assert done(store, store.detection_set(), "link")[-1].params["max_gap"] == 1
    again = Recorded()
    solve(store, store.detection_set(), LAP, progress=again)
    assert again.notes == []


def test_a_distance_whose_square_is_beyond_any_number_is_any_distance(store):
    far = Config(link=LAP.link, solve=LAP.solve, lap=LapConfig(max_gap=1, percentile=100, max_distance=1e200))
    found = [solve(store, store.detection_set(), config).solution for config in (LAP, far)]
    assert links(store, found[0]) == links(store, found[1])


def test_a_wider_gap_than_was_linked_is_linked_first_and_said(store):
    chosen = store.detection_set()
    plain = Config(link=LAP.link, solve=LAP.solve)
    narrow = solve(store, chosen, plain)
    assert (8, 15) not in links(store, narrow.solution)
    progress = Recorded()
    wide = solve(store, chosen, LAP, progress=progress)
    assert "no candidates skip more than 0 frames yet: linking over 1" in progress.notes
    assert (8, 15) in links(store, wide.solution)
    least = solve(store, chosen, Config(solve=LAP.solve, lap=LapConfig(max_gap=0, percentile=100)))
    assert links(store, least.solution) == links(store, narrow.solution)


def test_merges_are_kept_with_their_kind_and_end_tracks(store):
    found = solve(store, store.detection_set(), MERGING)
    assert links(store, found.solution) == SIMPLE | MERGES | {(7, 10), (8, 15)}
    assert links(store, found.solution, "merge") == MERGES
    assert (found.merges, found.divisions, found.appearances, found.disappearances) == (2, 1, 0, 0)
    assert check(store) == []
    rows = ask(store.path, "select cell, track, lineage from tracked order by cell").rows
    track, lineage = ([0, *rows[name].to_pylist()] for name in ("track", "lineage"))
    assert track[9] == track[12]
    assert len({track[c] for c in (5, 6, 9)}) == len({lineage[c] for c in (5, 6, 9)}) == 3
    assert lineage[3] == lineage[13] == lineage[14]


def test_the_price_of_a_solution_with_merges_is_that_of_its_forest(store):
    chosen = store.detection_set()
    merging, exact = solve(store, chosen, MERGING), solve(store, chosen, Config(link=LAP.link))
    assert exact.objective <= merging.objective
    assert store.solutions(chosen)[merging.solution].lower_bound in (None, -float("inf"))


@pytest.mark.parametrize("format", FORMATS)
def test_every_export_of_merges_is_whole_or_says_what_it_leaves_out(store, tmp_path, format):
    solve(store, store.detection_set(), MERGING)
    made = export(format, store, *store.find_solution(), tmp_path / f"out_{format}")
    left_out = [note for note in made.notes if note.startswith("left out: 2 links into cells that came of several")]
    assert len(left_out) == (format == "ctc")
    assert made.links == 12 - 2 * len(left_out)


def test_merges_are_measured_and_handed_on(store):
    chosen = store.detection_set()
    solve(store, chosen, LAP)
    solve(store, chosen, MERGING)
    merging = trackdb.open(store.path).solution("lap-2")
    found, graph = merging.evaluate("lap-1"), merging.to_networkx()
    assert (found.merges, found.reference_merges) == (2, 0)
    assert (found.edges.tp, found.edges.fp, found.edges.fn) == (11, 1, 0)
    assert sorted(k for *_, k in graph.edges(data="kind")) == sorted(8 * ["continue"] + 2 * ["divide"] + 2 * ["merge"])


def test_lap_goes_by_cost_where_scores_are_named(store):
    chosen = store.detection_set()
    link(store, chosen, LAP.link)
    score(store, chosen, name="mine")
    plain = Config(solve=SolveConfig(linker="lap"))
    for scores, by in ((None, "distance"), ("mine", "cost")):
        name = solve(store, chosen, plain, scores=scores).solution
        assert done(store, chosen, "solve")[-1].params["by"] == by
        assert links(store, name) >= SIMPLE - {(4, 8)}


def test_from_python_a_linker_is_told_what_to_go_by(store):
    db = trackdb.open(store.path, write=True)
    assert db.solve("lap", by="cost").linker == "lap"
    assert done(store, store.detection_set(), "solve")[-1].params["by"] == "cost"
    with pytest.raises(ConfigError, match="the linker ilp does not go by score; known: cost"):
        db.solve(by="score")


def test_greedy_takes_the_best_scores_of_a_half_and_more(store, tmp_path):
    """6 -> 9 scores more than 5 -> 9, and 7 -> 10 less than a half."""
    table = write_rows(
        tmp_path / "network.csv",
        [(5, 9, 0.6), (6, 9, 0.7), (7, 10, 0.4), (7, 11, 0.9), (9, 12, 0.5)],
        header="source,target,score",
    )
    chosen = store.detection_set()
    link(store, chosen, LAP.link)
    score(store, chosen, ScoreConfig(by=str(table), scale="probability"))
    by_score = Config(solve=SolveConfig(linker="greedy", by="score"))
    found = solve(store, chosen, by_score, scores="network")
    assert links(store, found.solution) == {(6, 9), (7, 11), (9, 12)}
    less = Config(solve=SolveConfig(linker="greedy", by="score", min_score=0.3))
    found = solve(store, chosen, less, scores="network")
    assert links(store, found.solution) == {(6, 9), (7, 10), (7, 11), (9, 12)}
    assert check(store) == []


def test_log_densities_have_no_half(store):
    chosen = store.detection_set()
    for scores in (None, "distance"):
        with pytest.raises(ConfigError, match="distance is on the scale log_density"):
            solve(store, chosen, Config(solve=SolveConfig(linker="greedy", by="score")), scores=scores)
    assert done(store, chosen, "solve") == []


def test_two_optima_apart_are_no_proof_of_the_whole(store):
    with pytest.raises(NotProvenError):
        solve(store, store.detection_set(), Config(solve=SolveConfig(linker="lap", require_optimal=True)))
    assert store.solutions(store.detection_set()) == {}


def test_constraints_of_motile_are_kept_in_a_store(store):
    """The drawn division of 7 is taken away by a constraint that no setting could say."""

    class OnlyOneChild(Constraint):
        def instantiate(self, solver):
            for edges in filter(None, solver.graph.next_edges.values()):
                yield sum(solver.get_variables(EdgeSelected)[edge] for edge in edges) <= 1

    db = trackdb.open(store.path, write=True)
    free, bound = db.solve(), db.solve(solver=MotileSolver(extra=[OnlyOneChild()]))
    assert links(store, free.name, "divide") == {(7, 10), (7, 11)}
    assert links(store, bound.name, "divide") == set()
    assert free.objective < bound.objective
    assert bound.proven  # of all that have no division
    assert done(store, store.detection_set(), "solve")[-1].params["solver"] == "MotileSolver"


def test_a_solver_of_ones_own_is_no_greedy_one(store):
    with pytest.raises(ConfigError, match="stands for ilp, not for greedy"):
        trackdb.open(store.path, write=True).solve("greedy", solver=MotileSolver())


@pytest.mark.usefixtures("own_home_and_log")
def test_motile_solves_from_the_command_line(store):
    ours, theirs = answer("solve", store.path), answer("solve", store.path, "--backend", "motile")
    assert theirs["proven"]
    assert theirs["objective"] == ours["objective"]
    assert theirs["linker"] == "ilp"
