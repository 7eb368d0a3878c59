"""Evaluation: counted by hand on a drawn movie."""

import numpy as np
import pytest

from trackdb.engine.evaluate import evaluate
from trackdb.engine.evaluation import CALIBRATION, FIGURES, require_at_least
from trackdb.engine.imports.solutions import edges_between
from trackdb.engine.ingest import ingest
from trackdb.engine.lineages import solution_table
from trackdb.engine.pipeline import solve
from trackdb.errors import CheckFailedError, ConfigError, MissingRowsError
from trackdb.storage.additions import grow, insert_solution
from trackdb.storage.catalogue import SolutionInfo, close_run
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .movies import DIVIDING, dividing_cells, own_copy, write_points, write_rows

# Truth, numbers are ids in the table; 9 and 10 have no track: nobody looked there.
#
#   frame   0     1     2     3
#           1 --- 2 -+- 3 --- 5
#                    +- 4 --- 6
#           7 --- 8           .
#                       9 --- 10
CELLS = [
    (0, 10, 10, 1, 1),
    (1, 10, 11, 2, 1),
    (2, 5, 12, 3, 2),
    (2, 15, 12, 4, 3),
    (3, 5, 13, 5, 2),
    (3, 15, 13, 6, 3),
    (0, 80, 80, 7, 4),
    (1, 80, 81, 8, 4),
    (2, 200, 200, 9, ""),
    (3, 200, 201, 10, ""),
]
LINKS = {(1, 2), (2, 3), (2, 4), (3, 5), (4, 6), (7, 8)}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """The drawn cells with their truth; to be copied."""
    tmp_path = tmp_path_factory.mktemp("ingested")
    truth = tmp_path / "truth" / "TRA"
    truth.mkdir(parents=True)
    (truth / "man_track.txt").write_text("1 0 1 0\n2 2 3 1\n3 2 3 1\n4 0 1 0\n")
    made = DuckDBStore(tmp_path / "drawn.trackdb")
    source = write_rows(tmp_path / "drawn.csv", CELLS, header="t,y,x,id,track")
    ingest(source, made, options=SourceOptions(truth=tmp_path / "truth"))
    return made


@pytest.fixture
def store(tmp_path, ingested):
    """The drawn cells in a store of their own."""
    return own_copy(ingested, tmp_path)


def keep(store, links, name="mine"):
    """Put links, told in ids of the table, into the store as a solution."""
    chosen = store.detection_set()
    detections = store.detections(chosen)
    row = {label: place for place, label in enumerate(detections.label.tolist())}
    ends = np.array([(row[a], row[b]) for a, b in links], dtype=np.int64).reshape(-1, 2)
    edges = edges_between(detections, ends[:, 0], ends[:, 1])
    with store.running("solve", name, {}, chosen=chosen) as run, store.writing() as connection:
        ids = grow(connection, chosen, detections, edges, candidate=False)
        info = SolutionInfo(0, chosen.id, run.id, name, "hand", 0.0, None, False)
        table = solution_table(detections, np.arange(len(detections)), edges.source, edges.target, ids)
        insert_solution(connection, info, table)
        close_run(connection, run.id, "done", {})
    return store.find_solution(name=name)


def counts(result):
    return {
        "edges": (result.edges.tp, result.edges.fp, result.edges.fn),
        **{frames: (c.tp, c.fp, c.fn) for frames, c in result.divisions.items()},
    }


def test_the_truth_is_never_compared_with_itself(store):
    with pytest.raises(ConfigError, match="compared with itself"):
        evaluate(store, *store.find_solution(name="truth"))


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        (LINKS - {(7, 8)}, {"edges": (5, 0, 1), 0: (1, 0, 0), 1: (1, 0, 0)}),
        (LINKS - {(2, 4)}, {"edges": (5, 0, 1), 0: (0, 0, 1), 1: (0, 0, 1)}),
        (LINKS | {(8, 9), (9, 10)}, {"edges": (6, 1, 0), 0: (1, 0, 0), 1: (1, 0, 0)}),
        (LINKS - {(2, 4), (4, 6)} | {(3, 6)}, {"edges": (4, 1, 2), 0: (0, 1, 1), 1: (1, 0, 0)}),
        (set(), {"edges": (0, 0, 6), 0: (0, 0, 1), 1: (0, 0, 1)}),
    ],
    ids=["missed link", "missed daughter", "link out of the truth", "division a frame late", "nothing"],
)
def test_errors_are_counted_as_drawn(store, links, expected):
    assert counts(evaluate(store, *keep(store, links))) == expected


def test_links_where_nobody_looked_do_not_count(store):
    assert counts(evaluate(store, *keep(store, LINKS | {(9, 10)})))["edges"] == (6, 0, 0)


def test_two_solutions_are_compared_with_each_other(store):
    keep(store, LINKS - {(7, 8)}, "short")
    chosen, info = store.find_solution(name="short")
    both = evaluate(store, *store.find_solution(name="truth"), against="short"), evaluate(store, chosen, info)
    assert (both[0].edges.fp, both[0].edges.fn) == (both[1].edges.fn, both[1].edges.fp) == (1, 0)
    assert both[0].edges.f1 == both[1].edges.f1


def test_links_of_the_truth_over_gaps_are_counted(tmp_path):
    rows = [(0, 5, 5, 1, ""), (1, 5, 6, 2, 1), (3, 5, 7, 3, 2)]
    store = DuckDBStore(tmp_path / "gap.trackdb")
    ingest(write_rows(tmp_path / "gap.csv", rows, header=DIVIDING), store)
    solve(store, store.detection_set())
    result = evaluate(store, *store.find_solution())
    assert (result.reference_gaps, result.edges.fn >= 1) == (1, True)


def test_a_store_without_truth_says_how_to_bring_it(tmp_path):
    store = DuckDBStore(tmp_path / "none.trackdb")
    ingest(write_rows(tmp_path / "points.csv", [(0, 1, 1), (1, 1, 2)]), store)
    solve(store, store.detection_set())
    with pytest.raises(MissingRowsError, match=r"no solution named truth.*known: ilp-1.*--truth"):
        evaluate(store, *store.find_solution())


def test_figures_are_held_to_what_was_wanted(store):
    result = evaluate(store, *keep(store, LINKS - {(2, 4)}))
    require_at_least(result, {"edge_precision": 1.0, "edge_f1": 0.9, "division_recall": 0.0})
    with pytest.raises(CheckFailedError, match=r"edge_recall is 0\.8333, wanted at least 0\.9") as error:
        require_at_least(result, {"edge_precision": 1.0, "edge_recall": 0.9})
    assert error.value.exit_code == 5
    with pytest.raises(ConfigError, match=r"no figure edge_f2; known: .*edge_f1"):
        require_at_least(result, {"edge_f2": 0.5})


def test_a_figure_that_is_not_a_number_fails_what_was_wanted(tmp_path):
    """Without a division there is no division precision; asking for one must not pass."""
    store = DuckDBStore(tmp_path / "walking.trackdb")
    ingest(write_points(tmp_path / "walking.csv"), store)
    solve(store, store.detection_set())
    result = evaluate(store, *store.find_solution())
    assert np.isnan(result.divisions[0].precision)
    with pytest.raises(CheckFailedError, match="division_precision is nan"):
        require_at_least(result, {"division_precision": 0.1})


def test_every_figure_has_a_name_and_is_in_the_json(store):
    result = evaluate(store, *keep(store, LINKS))
    assert tuple(result.figures()) == FIGURES
    figures = result.figures()
    assert figures.pop("AOGM") == 2.0  # two cells that the truth does not know
    assert figures.pop("TRA") == pytest.approx(1 - 2 / (80 + 9))
    assert figures.pop("DET") == pytest.approx(1 - 2 / 80)
    assert np.isnan([figures.pop(name) for name in CALIBRATION]).all()  # nobody made a posterior
    assert set(figures.values()) == {1.0}
    told = result.as_dict()
    assert told.keys() >= {"edges", "divisions", "divisions_1", "association_accuracy", "target_effectiveness", "ctc"}
    assert told["calibration"] is None
    wanted = {"tp", "fp", "fn", "precision", "recall", "f1"}
    assert all(set(told[part]) == wanted for part in ("edges", "divisions", "divisions_1", "associations"))
    assert told["ctc"].keys() >= {"TRA", "DET", "LNK", "AOGM", "AOGM_0", "AOGM_NS", "AOGM_EC", "by"}


def test_figures_do_not_depend_on_the_order_of_the_table(tmp_path):
    results = []
    rows = dividing_cells(n_frames=6, side=3)
    for seed in (None, 0):
        order = np.arange(len(rows)) if seed is None else np.random.default_rng(seed).permutation(len(rows))
        store = DuckDBStore(tmp_path / f"{seed}.trackdb")
        ingest(write_rows(tmp_path / f"{seed}.csv", [rows[i] for i in order], header=DIVIDING), store, name="m")
        solve(store, store.detection_set())
        results.append(counts(evaluate(store, *store.find_solution())))
    assert results[0] == results[1]
