"""Scores of one's own: what a table may say, how its numbers are read, and every way in which it can be wrong."""

import gzip
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.candidates import link_nearest
from trackdb.engine.check import check
from trackdb.engine.config import Config, LinkConfig, ScoreConfig
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.ingest import ingest
from trackdb.engine.own_scores import at_most_one_parent, probabilities_of, read_own_scores
from trackdb.engine.pipeline import link, score, solve
from trackdb.engine.progress import Recorded
from trackdb.engine.scorers import ScoreScale
from trackdb.errors import ConfigError, FormatError, MissingRowsError, StoreExistsError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask
from trackdb.testing.movies import cells

from .fuzz_formats import harm_bytes, harm_text
from .movies import GAP_ROWS, own_copy, write_ctc, write_points, write_rows

# Two cells that change places between the frames; numbers are rows, and labels are 10 more:
#
#   frame     0    1    2
#   y = 10    0    3    4
#   y = 20    1    2    5
SWAP = [(0, 10, 0), (0, 20, 0), (1, 20, 0), (1, 10, 0), (2, 10, 0), (2, 20, 0)]
RIGHT = [(1, 3, 0.9), (1, 4, 0.05), (2, 3, 0.1), (2, 4, 0.9), (3, 6, 0.05), (3, 5, 0.9), (4, 5, 0.1), (4, 6, 0.9)]


def table(folder, rows, header="source,target,score", name="net.csv"):
    return write_rows(folder / name, rows, header=header)


@pytest.fixture(scope="module")
def swap_once(tmp_path_factory):
    """The cells that change places, not linked; a cell's number in the store is its row and 1."""
    tmp_path = tmp_path_factory.mktemp("swap")
    rows = [(*row, 10 + k) for k, row in enumerate(SWAP)]
    store = DuckDBStore(tmp_path / "swap.trackdb")
    ingest(write_rows(tmp_path / "swap.csv", rows, header="t,y,x,label"), store)
    return store


@pytest.fixture
def swap(tmp_path, swap_once):
    """The cells that change places, in a store of its own."""
    return own_copy(swap_once, tmp_path)


def bring(store, path, *, progress=None, columns=None, name=None, **config):
    return score(
        store, store.detection_set(), ScoreConfig(str(path), **config), name=name, columns=columns, progress=progress
    )


def kept(store, name):
    """Score of each pair of cells in a run."""
    rows = ask(store.path, "select source, target, score from scores where scores = $n", {"n": name}).rows.to_pylist()
    return {(row["source"], row["target"]): pytest.approx(row["score"], rel=1e-6) for row in rows}


def links(store, name):
    rows = ask(store.path, "select source, target from links where solution = $n", {"n": name}).rows.to_pylist()
    return {(row["source"], row["target"]) for row in rows}


def tables_of(store):
    """All rows of the tables that scoring could touch."""
    with store.reading() as connection:
        return [connection.exec_driver_sql(f"from {t} order by all").fetchall() for t in ("edge", "edge_score", "run")]


# -- what a table may say ---------------------------------------------------------------------------------------------


def test_scores_by_number_track_what_distance_mistakes(swap, tmp_path):
    report = bring(swap, table(tmp_path, RIGHT))
    assert (report.scores, report.scale, report.edges, report.new) == ("net", "probability", 8, 8)
    assert kept(swap, "net") == {(a, b): p for a, b, p in RIGHT}
    solve(swap, swap.detection_set(), scores="net", name="by net")
    assert links(swap, "by net") == {(1, 3), (2, 4), (3, 5), (4, 6)}
    solve(swap, swap.detection_set(), name="by distance")
    assert (1, 4) in links(swap, "by distance")
    assert check(swap) == []


LABELLED = [(SWAP[a - 1][0], 9 + a, SWAP[b - 1][0], 9 + b, p) for a, b, p in RIGHT]


@pytest.mark.parametrize(
    ("header", "pick", "columns"),
    [
        ("source_frame,source_label,target_frame,target_label,score", (0, 1, 2, 3, 4), {}),
        ("t,source_label,target_label,probability", (0, 1, 3, 4), {}),
        ("frame,source_label,target_label,weight", (0, 1, 3, 4), {}),
        ("t_previous,a,t_current,b,weight", (0, 1, 2, 3, 4), {"source_label": "a", "target_label": "b"}),
        ("a,b,score", (1, 3, 4), {"source_label": "a", "target_label": "b"}),  # labels are unique in this movie
        ("p,b,a,u,t", (4, 3, 1, 2, 0), dict(zip(("source_frame", "source_label", "target_frame", "target_label"),
                                                "taub", strict=True))),
    ],
)  # fmt: skip
def test_cells_may_be_named_by_frame_and_label(swap, tmp_path, header, pick, columns):
    bring(swap, table(tmp_path, [[row[k] for k in pick] for row in LABELLED], header), columns=columns)
    assert kept(swap, "net") == {(a, b): p for a, b, p in RIGHT}


@pytest.mark.parametrize("form", ["csv", "tsv", "csv.gz", "parquet", "semicolons"])
@pytest.mark.parametrize("order", [1, -1])
def test_every_form_of_table_in_any_order_says_the_same(swap, tmp_path, form, order):
    rows = RIGHT[::order]
    if form == "parquet":
        names = ("source", "target", "score")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        pq.write_table(pa.table(columns), path := tmp_path / "net.parquet")
    elif form == "csv.gz":
        path = tmp_path / "net.csv.gz"
        path.write_bytes(gzip.compress(table(tmp_path, rows).read_bytes()))
    else:
        parts = {"csv": ",", "tsv": "\t", "semicolons": ";"}[form]
        path = tmp_path / f"net.{'tsv' if form == 'tsv' else 'csv'}"
        path.write_text(table(tmp_path, rows).read_text().replace(",", parts))
    assert bring(swap, path).scores == "net"
    assert kept(swap, "net") == {(a, b): p for a, b, p in RIGHT}


def test_columns_of_any_name_are_read_as_the_user_says(swap, tmp_path):
    path = table(tmp_path, [(p, b, a, -1) for a, b, p in RIGHT], "how,to,from,score")
    bring(swap, path, columns={"source": "from", "target": "to", "score": "how"})
    assert kept(swap, "net") == {(a, b): p for a, b, p in RIGHT}


def test_what_was_read_is_kept_with_the_run(swap, tmp_path):
    path = table(tmp_path, RIGHT)
    bring(swap, path, name="mine", scale="probability")
    [run] = [run for run in swap.runs() if run.kind == "score"]
    wanted = {
        "by": str(path),
        "file": "net.csv",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "scale": "probability",
        "given_as": "probability",
        "pairs": 8,
        "estimates": {},
    }
    assert wanted.items() <= run.params.items()
    assert (run.name, run.state) == ("mine", "done")


# -- candidates -------------------------------------------------------------------------------------------------------


def test_pairs_that_are_no_candidates_become_candidates_and_that_is_said(tmp_path):
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_rows(tmp_path / "points.csv", GAP_ROWS), store)
    chosen = store.detection_set()
    near = link(store, chosen, LinkConfig(max_distance=5)).total
    numbers = dict(ask(store.path, "select source || '-' || target as pair, source from candidates").rows.to_pydict())
    progress = Recorded()
    report = bring(store, table(tmp_path, [(1, 4, 0.5), (5, 10, 0.9), (1, 11, 0.1)]), progress=progress)
    assert (report.edges, report.new) == (3, 2)
    assert "2 pairs of net.csv were no candidates and are now" in progress.notes
    left_out = f"{near - 1} of {near + 2} candidates have no score in net: a solve by it leaves them out"
    assert left_out in progress.notes
    grown = ask(store.path, "select source, target, t, dt, distance from candidates").rows.to_pylist()
    assert len(grown) == near + 2
    assert len(numbers["pair"]) == near
    skip = next(row for row in grown if (row["source"], row["target"]) == (5, 10))
    assert (skip["t"], skip["dt"], skip["distance"]) == (1, 2, 2.0)
    assert check(store) == []


def test_links_of_the_truth_keep_their_number_when_somebody_scores_them(tmp_path):
    store = DuckDBStore(tmp_path / "walking.trackdb")
    ingest(write_points(tmp_path / "walking.csv"), store)
    chosen = store.detection_set()
    detections = store.detections(chosen)
    truth = store.candidate_edges(chosen, detections, imported=True)
    ends = zip(detections.id[truth.source].tolist(), detections.id[truth.target].tolist(), strict=True)
    bring(store, table(tmp_path, [(a, b, 0.9) for a, b in ends]))
    assert np.array_equal(store.candidate_edges(chosen, detections).id, truth.id)


def test_a_store_that_was_never_linked_takes_the_pairs_alone(swap, tmp_path):
    bring(swap, table(tmp_path, RIGHT))
    progress = Recorded()
    report = solve(swap, swap.detection_set(), scores="net", progress=progress)
    assert report.left_out == 0
    assert progress.notes == [
        "the learned cost reads places and masks, not the scores net: priced by the odds of these probabilities"
    ]
    assert swap.count_candidates(swap.detection_set()) == 8


# -- what the numbers mean --------------------------------------------------------------------------------------------


def test_numbers_beyond_0_and_1_are_similarities(swap, tmp_path):
    progress = Recorded()
    report = bring(swap, table(tmp_path, [(a, b, 20 * p - 9) for a, b, p in RIGHT]), progress=progress)
    assert report.scale == "similarity"
    assert any("read as similarities" in note for note in progress.notes)
    assert kept(swap, "net")[1, 3] == 9


def test_shares_that_sum_to_more_than_1_are_no_probabilities_unless_the_user_says_so(swap, tmp_path):
    rows = [(a, b, min(1, p + 0.3)) for a, b, p in RIGHT]
    progress = Recorded()
    assert bring(swap, table(tmp_path, rows), progress=progress).scale == "similarity"
    assert any("sum to 1.4 for a target" in note for note in progress.notes)
    assert bring(swap, tmp_path / "net.csv", progress=progress, name="said", scale="probability").scale == "probability"
    assert any("4 of 4 targets sum to more than 1, 1.4 at most" in note for note in progress.notes)
    assert kept(swap, "said")[1, 3] == 1 / 1.4
    solve(swap, swap.detection_set(), scores="said")
    assert links(swap, "ilp-1") == {(1, 3), (2, 4), (3, 5), (4, 6)}


def test_log_odds_become_probabilities_with_the_option_to_be_new(swap, tmp_path):
    bring(swap, table(tmp_path, [(1, 3, 2.0), (2, 3, -1.0), (1, 4, 0.0)]), scale="log-odds")
    total = 1 + np.exp(2) + np.exp(-1)
    assert kept(swap, "net") == {(1, 3): np.exp(2) / total, (2, 3): np.exp(-1) / total, (1, 4): 0.5}


def test_log_densities_are_kept_as_they_are(swap, tmp_path):
    assert bring(swap, table(tmp_path, [(1, 3, -2.5), (2, 4, -3.5)]), scale="log-density").scale == "log_density"
    assert kept(swap, "net") == {(1, 3): -2.5, (2, 4): -3.5}


def test_numbers_that_are_smaller_for_likelier_links_are_refused(tmp_path):
    store = DuckDBStore(tmp_path / "walking.trackdb")
    ingest(write_points(tmp_path / "walking.csv", n_frames=8), store)
    link(store, store.detection_set(), LinkConfig(max_distance=45))
    rows = ask(store.path, "select source, target, distance * 3 as d from candidates").rows.to_pylist()
    far = [(row["source"], row["target"], row["d"]) for row in rows]
    before = tables_of(store)
    with pytest.raises(FormatError, match="turn their sign"):
        bring(store, table(tmp_path, far))
    assert tables_of(store) == before
    report = bring(store, table(tmp_path, [(a, b, -d) for a, b, d in far]))
    assert report.scale == "similarity"
    assert solve(store, store.detection_set(), scores="net").links == 7 * 9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=12))
def test_no_target_has_more_than_one_parent(rows):
    target, p = np.array([t for t, _ in rows]), np.array([p for _, p in rows])
    one, note = at_most_one_parent(p, target, 4)
    total, after = np.bincount(target, p, 4), np.bincount(target, one, 4)
    assert after.max() <= 1 + 1e-9
    assert np.array_equal(one[total[target] <= 1], p[total[target] <= 1])
    assert bool(note) == (total.max() > 1.001)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e4, 1e4)), min_size=1, max_size=12))
def test_log_odds_keep_their_order_and_leave_room_to_be_new(rows):
    target, x = np.array([t for t, _ in rows]), np.array([x for _, x in rows])
    p = probabilities_of(x, target, 4)
    assert np.bincount(target, p, 4).max() <= 1 + 1e-12
    assert np.all(np.isfinite(p))
    for t in set(target.tolist()):
        of_t = target == t
        assert np.all(np.diff(p[of_t][np.argsort(x[of_t], kind="stable")]) >= 0)


# -- bad input --------------------------------------------------------------------------------------------------------

BAD = {
    "a cell that is not there": ([(1, 3, 0.5), (2, 99, 0.5)], r"line 3: there is no cell 99.*view cells.*source_label"),
    "a cell with a negative number": ([(-1, 3, 0.5)], r"line 2: column source needs a whole number"),
    "backward in time": ([(1, 3, 0.5), (5, 3, 0.5)], r"line 3: the pair 5 -> 3 runs from frame 2 to frame 1"),
    "within a frame": ([(1, 2, 0.5)], r"line 2: the pair 1 -> 2 runs from frame 0 to frame 0"),
    "to itself": ([(1, 1, 0.5)], r"line 2: the pair 1 -> 1 runs from frame 0 to frame 0"),
    "twice": ([(2, 4, 0.1), (1, 3, 0.5), (2, 4, 0.1)], r"line 4: the pair 2 -> 4 is there already.*the same in line 2"),
    "nan": ([(1, 3, 0.5), (2, 4, "nan")], r"line 3: column score needs a finite number"),
    "inf": ([(1, 3, "inf")], r"line 2: column score needs a finite number"),
    "minus inf": ([(1, 3, 0.5), (1, 4, "-inf")], r"line 3: column score needs a finite number"),
    "text": ([(1, 3, 0.5), (1, 4, "likely")], r"line 3: column score needs a number.*likely"),
    "nothing": ([(1, 3, 0.5), (1, 4, "")], r"line 3: column score needs a finite number.*nothing"),
    "half a cell": ([(1.5, 3, 0.5)], r"line 2: column source needs a whole number"),
    "a word for a cell": ([("a", 3, 0.5)], r"line 2: column source needs a number"),
    "no rows": ([], r"holds no pairs"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_table_is_refused_with_its_line_and_leaves_the_store_alone(swap, tmp_path, case):
    rows, message = BAD[case]
    before = tables_of(swap)
    with pytest.raises(FormatError, match=message) as error:
        bring(swap, table(tmp_path, rows))
    assert "net.csv" in str(error.value)
    assert error.value.exit_code == 1
    assert tables_of(swap) == before
    assert bring(swap, table(tmp_path, RIGHT)).scores == "net"  # the name is still free


@pytest.mark.parametrize(
    ("header", "rows", "columns", "message"),
    [
        ("source,target", [(1, 3)], {}, "no column that is clearly score"),
        ("a,b,score", [(1, 3, 0.5)], {}, "no column that is clearly source or target"),
        ("source,target,score", [(1, 3, 0.5)], {"score": "p"}, "has no column p for score"),
        ("source,target,score,score", [(1, 3, 0.5, 0.5)], {}, "2 columns score"),
        ("target_frame,source_label,target_label,score", [(1, 10, 12, 0.5)], {}, "not of sources"),
        ("t,source_label,target_label,score", [(0, 10, 99, 0.5)], {}, "line 2: .*label 99 in frame 1"),
        ("t,source_label,target_label,score", [(7, 10, 12, 0.5)], {}, "line 2: .*label 10 in frame 7"),
        ("t,source_label,target_label,score", [(2, 15, 12, 0.5)], {}, "line 2: .*label 12 in frame 3"),
    ],
)
def test_wrong_columns_are_refused(swap, tmp_path, header, rows, columns, message):
    before = tables_of(swap)
    with pytest.raises(FormatError, match=message):
        bring(swap, table(tmp_path, rows, header), columns=columns)
    assert tables_of(swap) == before


@pytest.mark.parametrize("form", ["numbers", "labels", "parquet"])
def test_harmed_tables_are_read_whole_or_refused(tmp_path, form):
    """Five hundred of each: what comes out of one that is read is as sound as what comes out of a whole one."""
    movie = cells([row[0] for row in SWAP], [row[1:] for row in SWAP])
    path = tmp_path / f"net.{'parquet' if form == 'parquet' else 'csv'}"
    header = "source_frame,source_label,target_frame,target_label,score" if form == "labels" else "source,target,score"
    rows = [(t, a - 9, u, b - 9, p) for t, a, u, b, p in LABELLED] if form == "labels" else RIGHT
    rows = rows if form == "labels" else [(a - 1, b - 1, p) for a, b, p in rows]
    if form == "parquet":
        columns = zip(header.split(","), map(list, zip(*rows, strict=True)), strict=True)
        pq.write_table(pa.table(dict(columns)), path)
    else:
        table(tmp_path, rows, header)
    whole, seen = path.read_bytes(), {"read": 0, "refused": 0}
    for case in range(500):
        rng = np.random.default_rng([case, *form.encode()])
        path.write_bytes(whole)
        for _ in range(1 + int(rng.integers(3)) // 2):
            (harm_bytes if form == "parquet" else harm_text)(path, rng)
        try:
            own = read_own_scores(path, movie)
        except (FormatError, ConfigError):
            seen["refused"] += 1
            continue
        seen["read"] += 1
        assert np.all(movie.frame[own.edges.target] > movie.frame[own.edges.source])
        assert np.isfinite(own.scores.value).all()
        if own.scores.scale is ScoreScale.PROBABILITY:
            assert np.bincount(own.edges.target, own.scores.value).max() <= 1.001
        rates = fit(movie, own.edges, own.scores)
        assert np.isfinite(problem_from(movie, own.edges, own.scores, rates).edge_cost).all()
    assert min(seen.values()) > 20, seen


def test_labels_that_come_again_need_frames(tmp_path):
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(write_ctc(tmp_path / "drawn"), store)
    path = table(tmp_path, [(1, 1, 0.5)], "source_label,target_label,score")
    with pytest.raises(FormatError, match=r"no frames.*source_frame=NAME"):
        bring(store, path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\x01\x02", b"PAR1", b"score"])
def test_files_that_are_no_tables_are_refused(swap, tmp_path, content):
    for name in ("net.csv", "net.parquet"):
        (tmp_path / name).write_bytes(content)
        before = tables_of(swap)
        with pytest.raises(FormatError, match=name):
            bring(swap, tmp_path / name)
        assert tables_of(swap) == before


def test_a_table_that_is_not_there_is_refused(swap, tmp_path):
    with pytest.raises(FormatError, match=r"there is no table of scores at .*none.csv"):
        bring(swap, tmp_path / "none.csv")


def test_no_probability_is_beyond_0_and_1(swap, tmp_path):
    with pytest.raises(FormatError, match=r"line 3: score 1.5 is no probability"):
        bring(swap, table(tmp_path, [(1, 3, 0.5), (2, 4, 1.5)]), scale="probability")


def test_words_that_nobody_knows_are_refused(swap, tmp_path):
    path = table(tmp_path, RIGHT)
    with pytest.raises(ConfigError, match=r"score\.scale.*probability, log-odds"):
        bring(swap, path, scale="guess")
    with pytest.raises(ConfigError, match=r"weight is no name of a column.*source_label"):
        bring(swap, path, columns={"weight": "score"})
    bring(swap, path)
    with pytest.raises(StoreExistsError, match="scores named net"):
        bring(swap, path, name="net")


def test_points_that_nobody_has_cannot_be_scored(tmp_path):
    none = cells([], np.empty((0, 2)))
    for header in ("source,target,score", "source_label,target_label,score"):
        with pytest.raises(FormatError):
            read_own_scores(table(tmp_path, [(1, 3, 0.5)], header), none)


# -- with the rest ----------------------------------------------------------------------------------------------------


def test_a_table_in_the_settings_is_read_once_and_again_when_it_has_changed(swap, tmp_path):
    path = table(tmp_path, RIGHT)
    config = Config(score=ScoreConfig(str(path)))
    chosen = swap.detection_set()
    notes = []
    for content in (None, None, [(a, b, p / 2) for a, b, p in RIGHT], None):
        if content:
            table(tmp_path, content)
        progress = Recorded()
        solve(swap, chosen, config, progress=progress)
        notes.append([note for note in progress.notes if "scoring" in note])
    assert notes == [[f"no scores by {path} yet: scoring"], [], [f"{path} has changed since net: scoring again"], []]
    path.unlink()
    progress = Recorded()
    solve(swap, chosen, config, progress=progress)
    assert any("is gone: solving by net-2" in note for note in progress.notes)


def test_a_scorer_does_not_look_at_what_belongs_to_a_table(swap):
    link(swap, swap.detection_set())
    progress = Recorded()
    score(swap, swap.detection_set(), ScoreConfig("distance", "similarity"), progress=progress)
    assert any("distance is a scorer" in note for note in progress.notes)


def test_overlap_of_points_says_what_to_do(swap):
    link(swap, swap.detection_set())
    before = tables_of(swap)[:2]
    with pytest.raises(MissingRowsError, match="ingest the masks"):
        score(swap, swap.detection_set(), ScoreConfig("overlap"))
    assert tables_of(swap)[:2] == before


def test_overlaps_of_a_store_are_solved(solved):
    chosen = solved.detection_set()
    progress = Recorded()
    report = score(solved, chosen, ScoreConfig("overlap"), progress=progress)
    assert report.scale == ScoreScale.IOU
    assert progress.steps == 3  # each mask once
    shown = ask(solved.path, "select max(score) as best, min(score) as least from scores where scores = 'overlap'")
    assert shown.rows.to_pylist() == [{"best": pytest.approx(2 / 3), "least": 0.0}]
    found = solve(solved, chosen, scores="overlap", name="by overlap")
    assert found.estimates["nats_per_covered_target"] > 0
    assert found.estimates["drift_px"] == 0


def test_a_score_that_tells_nothing_is_told(tmp_path):
    store = DuckDBStore(tmp_path / "walking.trackdb")
    ingest(write_points(tmp_path / "walking.csv", n_frames=8), store)
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = link_nearest(detections, max_distance=45)
    rng = np.random.default_rng(0)
    rows = zip(detections.id[edges.source], detections.id[edges.target], rng.normal(5, 1, len(edges)), strict=True)
    bring(store, table(tmp_path, rows), name="noise")
    flat = zip(detections.id[edges.source], detections.id[edges.target], np.full(len(edges), 7), strict=True)
    bring(store, table(tmp_path, flat), name="flat")
    progress = Recorded()
    report = solve(store, chosen, scores="flat", progress=progress)
    assert report.links == 7 * 9
    assert "flat tells nothing of the links of this movie: solved by distance" in progress.notes
    assert solve(store, chosen, scores="noise").links == 7 * 9
