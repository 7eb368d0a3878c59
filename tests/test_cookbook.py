"""The SQL cookbook: every question is held to an answer that knows no SQL."""

import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trackdb
from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.review.answers import Annotator, Asked, undo
from trackdb.engine.simulation import simulate_points
from trackdb.storage import posteriors, tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.posteriors import CellOutcomes, LinkProbabilities, PosteriorInfo
from trackdb.storage.sandbox import ask

from .movies import write_rows

COOKBOOK = (Path(__file__).parents[1] / "docs" / "cookbook.md").read_text()
QUESTION = re.compile(r"^\*\*(\d+)\. .*?^```sql\n(.*?);\n```", flags=re.DOTALL | re.MULTILINE)
QUERIES = {int(number): query for number, query in QUESTION.findall(COOKBOOK)}
SCALE_UM = (5.0, 4.0)
CURVE = "select age, cells, divided, undivided from survival order by age"


def store_of(folder, points, *, area=None, scale_um=None, solved=True):
    """Return a store of simulated points with their truth and, unless it is not wanted, an exact solution."""
    table = folder / "movie.csv"
    ids = np.arange(len(points.frame)) + 1
    parent = ["" if p < 0 else p + 1 for p in points.parent.tolist()]
    columns = [points.frame, *points.position_px.T, ids, parent, *([] if area is None else [area])]
    write_rows(table, zip(*columns, strict=True), header="t,y,x,id,parent" + (",area" if area is not None else ""))
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(table, store, options=SourceOptions(scale_um=scale_um))
    if solved:
        solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=1)))
    return store


def add_posterior(store, solution, edge, probability, outcomes=()):
    """Keep probabilities of edges, and outcomes (cell, a, b, probability) in the order of the cells, as a posterior."""
    chosen, info = store.find_solution(name=solution)
    known = [np.array(column) for column in zip(*outcomes, strict=True)] or [np.empty(0, dtype=np.int64)] * 4
    order = np.argsort(edge)
    with store.running("posterior", "posterior-1", {}, chosen=chosen) as run:
        about = PosteriorInfo(0, chosen.id, info.id, run.id, "posterior-1", "exact", 1.0, False)
        posteriors.add_posterior(
            store,
            run,
            about,
            LinkProbabilities(edge[order], probability[order], *exact(edge)),
            CellOutcomes(*known, *exact(known[0])),
            {},
        )


def exact(rows):
    """Return the columns `how` and `error` of rows that leave nothing out."""
    return np.zeros(len(rows), dtype=np.uint8), np.full(len(rows), np.nan)


def probabilities(store):
    """Return the probability of each edge."""
    with store.reading() as connection:
        return {r.edge_id: r.probability for r in connection.execute(tables.edge_probability.select())}


def answers(store, number, *, solution="ilp-1"):
    """Return the rows of a question of the cookbook."""
    return ask(store.path, QUERIES[number].replace("'ilp-1'", f"'{solution}'")).rows.to_pylist()


def followed_by_hand(store, solution="ilp-1"):
    """Read a solution link by link, and put its tracks together without any label that the store keeps of them.

    Tracks are lists of cells; their numbers are looked up at the end, to compare rows with.
    """
    chosen, info = store.find_solution(name=solution)
    detections, table, ends = store.detections(chosen), store.solution(info), store.link_ends(info)
    position = detections.position_px * (detections.scale_um or 1)
    daughters, mother = defaultdict(list), {}
    for source, target in zip(*(end.tolist() for end in ends), strict=True):
        daughters[source].append(target)
        mother[target] = source
    nodes = table.node.tolist()
    first = [c for c in nodes if len(daughters[mother.get(c)]) != 1]
    tracks = []
    for cell in first:
        path = [cell]
        while len(daughters[path[-1]]) == 1:
            path += daughters[path[-1]]
        tracks.append(path)
    at = {cell: i for i, cell in enumerate(detections.id.tolist())}
    number = dict(zip(nodes, table.track_id.tolist(), strict=True))
    return SimpleNamespace(
        nodes=nodes,
        t={c: int(detections.frame[i]) for c, i in at.items()},
        position={c: position[i] for c, i in at.items()},
        area={c: float(detections.area[i]) for c, i in at.items()},
        daughters=daughters,
        mother=mother,
        tracks={number[path[0]]: path for path in tracks},
        number=number,
        edge=dict(zip(zip(*(end.tolist() for end in ends), strict=True), table.edge.tolist(), strict=True)),
        last=int(detections.frame.max()),
    )


def cycle(seen, path):
    """Return the cycle of a track in frames if it is complete, else None."""
    complete = path[0] in seen.mother and len(seen.daughters[path[-1]]) == 2
    return seen.t[path[-1]] - seen.t[path[0]] + 1 if complete else None


@pytest.fixture(scope="module")
def movie_of_twenty(tmp_path_factory):
    """A movie of twenty cells that divide every 15 frames or so, with errors, solved."""
    points = simulate_points(30, 20, seed=1, division_rate=0.06, spacing=2.5)
    area = np.round(np.random.default_rng(4).lognormal(4, 0.3, len(points.frame)), 2)
    return store_of(tmp_path_factory.mktemp("cookbook"), points, area=area, scale_um=SCALE_UM)


@pytest.fixture(scope="module")
def store(movie_of_twenty, tmp_path_factory):
    """The movie with probabilities and outcomes that are drawn, some of them unknown, some 0."""
    rng = np.random.default_rng(5)
    made = DuckDBStore(shutil.copytree(movie_of_twenty.path, tmp_path_factory.mktemp("drawn") / "movie.trackdb"))
    seen = followed_by_hand(made)
    edge = np.array(list(seen.edge.values()))
    known = rng.random(len(edge)) < 0.98
    chance = np.where(rng.random(len(edge)) < 0.9, rng.uniform(0.9, 1, len(edge)), rng.uniform(0.3, 0.9, len(edge)))
    outcomes = []
    for cell in sorted(seen.nodes)[::3]:
        shares = sorted(rng.dirichlet([1, 0.5, 0.2]), reverse=True)
        shares = [*(np.array(shares[:2]) / sum(shares[:2])), 0.0] if cell % 2 else shares
        daughters = [(cell + 20, cell + 21), (cell + 20, -1), (-1, -1)]
        outcomes += [(cell, *two, p) for two, p in zip(daughters, shares, strict=True)]
    add_posterior(made, "ilp-1", edge[known], chance[known], outcomes)
    return made


@pytest.fixture(scope="module")
def seen(store):
    return followed_by_hand(store)


@pytest.fixture(scope="module")
def weighed(movie_of_twenty, tmp_path_factory):
    """The same movie with the posterior that is computed for it."""
    copy = shutil.copytree(movie_of_twenty.path, tmp_path_factory.mktemp("weighed") / "movie.trackdb")
    trackdb.open(copy, write=True).posterior("ilp-1")
    return DuckDBStore(copy)


@pytest.fixture(params=["store", "weighed"])
def sure(request):
    """A store with a posterior: drawn, or computed."""
    return request.getfixturevalue(request.param)


def test_there_are_twenty_questions_and_no_query_is_left_over():
    assert list(QUERIES) == list(range(1, 21))
    assert COOKBOOK.count("```sql") == 20


def test_1_cells_of_each_frame(store, seen):
    assert {r["t"]: r["cells"] for r in answers(store, 1)} == Counter(seen.t[c] for c in seen.nodes)


def test_2_complete_cycles(store, seen):
    frames = [f for path in seen.tracks.values() if (f := cycle(seen, path))]
    assert len(frames) > 5
    assert answers(store, 2) == [{"frames": np.median(frames), "cycles": len(frames)}]


def family(seen, cell):
    """Return all that came of a cell, itself included."""
    return [cell, *(c for daughter in seen.daughters[cell] for c in family(seen, daughter))]


def test_3_what_came_of_a_cell(store, seen):
    for cell in (1, max(seen.nodes, key=lambda c: len(family(seen, c)))):
        query = QUERIES[3].replace("'ilp-1', 1)", f"'ilp-1', {cell})")
        found = family(seen, cell)
        assert {r["t"]: r["cells"] for r in ask(store.path, query).rows.to_pylist()} == Counter(
            seen.t[c] for c in found
        )
    assert len(found) > 30


def test_4_what_a_cell_came_from(store, seen):
    cell = max(seen.nodes, key=lambda c: seen.t[c])
    query = QUERIES[4].replace("'ilp-1', 9", f"'ilp-1', {cell}")
    line = [cell]
    while line[0] in seen.mother:
        line = [seen.mother[line[0]], *line]
    assert len(line) > 5
    assert [r["cell"] for r in ask(store.path, query).rows.to_pylist()] == line
    assert answers(store, 4)[-1]["cell"] == 9


def test_5_generations_of_the_last_frame(store, seen):
    def generation(cell):
        up = seen.mother.get(cell)
        return 0 if up is None else generation(up) + (len(seen.daughters[up]) > 1)

    expected = Counter(generation(c) for c in seen.nodes if seen.t[c] == seen.last)
    assert len(expected) > 2
    assert {r["generation"]: r["cells"] for r in answers(store, 5)} == expected


def test_6_clones_of_the_first_cells(store, seen):
    expected = {c: sum(seen.t[d] == seen.last for d in family(seen, c)) for c in seen.nodes if seen.t[c] == 0}
    assert max(expected.values()) > 2
    rows = answers(store, 6)
    assert {r["cell"]: r["clone"] for r in rows} == expected
    assert [r["clone"] for r in rows] == sorted(expected.values(), reverse=True)


def test_7_cycles_of_sisters(store, seen):
    sisters = defaultdict(list)
    for path in seen.tracks.values():
        sisters[seen.mother.get(path[0])].append((seen.number[path[0]], cycle(seen, path)))
    pairs = [tuple(f for _, f in sorted(both)) for up, both in sisters.items() if up and all(f for _, f in both)]
    pairs = np.array([p for p in pairs if len(p) == 2])
    [row] = answers(store, 7)
    assert row["pairs"] == len(pairs) > 2
    assert row["r"] == pytest.approx(np.corrcoef(pairs.T)[0, 1])


def test_8_cycles_of_mothers_and_daughters(store, seen):
    of_track = {number: cycle(seen, path) for number, path in seen.tracks.items()}
    pairs = [
        (of_track[seen.number[seen.mother[path[0]]]], of_track[number])
        for number, path in seen.tracks.items()
        if path[0] in seen.mother
    ]
    pairs = np.array([p for p in pairs if all(p)])
    [row] = answers(store, 8)
    assert row["pairs"] == len(pairs) > 2
    assert row["r"] == pytest.approx(np.corrcoef(pairs.T)[0, 1])


def test_9_steps(store, seen):
    steps = [
        np.linalg.norm(seen.position[b] - seen.position[a]) / (seen.t[b] - seen.t[a])
        for a, after in seen.daughters.items()
        for b in after
        if len(after) == 1
    ]
    [row] = answers(store, 9)
    assert row["steps"] == len(steps)
    assert (row["typical"], row["fast"]) == pytest.approx((np.median(steps), np.quantile(steps, 0.95)), rel=1e-5)


def test_10_mean_squared_displacement(store, seen):
    squares = defaultdict(list)
    for path in seen.tracks.values():
        for i, a in enumerate(path):
            for b in path[i + 1 :]:
                squares[seen.t[b] - seen.t[a]].append(np.sum((seen.position[b] - seen.position[a]) ** 2))
    rows = answers(store, 10)
    assert {r["lag"]: r["pairs"] for r in rows} == {lag: len(found) for lag, found in squares.items()}
    assert [r["msd"] for r in rows] == pytest.approx([np.mean(squares[r["lag"]]) for r in rows], rel=1e-5)


def test_11_growth(store, seen):
    expected = {
        number: np.exp(np.polyfit([seen.t[c] for c in path], np.log([seen.area[c] for c in path]), 1)[0]) - 1
        for number, path in seen.tracks.items()
        if len(path) >= 5
    }
    rows = answers(store, 11)
    assert {r["track"]: r["growth"] for r in rows} == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert [r["frames"] for r in rows] == [len(seen.tracks[r["track"]]) for r in rows]


def test_12_unequal_daughters(store, seen):
    expected = {
        c: max(seen.area[a], seen.area[b]) / min(seen.area[a], seen.area[b])
        for c, (a, b) in ((c, d) for c, d in seen.daughters.items() if len(d) == 2)
    }
    rows = answers(store, 12)
    assert {r["cell"]: r["ratio"] for r in rows} == pytest.approx(expected, rel=1e-5)
    assert [r["ratio"] for r in rows] == sorted((r["ratio"] for r in rows), reverse=True)


def test_13_division_rate(store, seen):
    divisions = sum(len(d) == 2 for d in seen.daughters.values())
    at_risk = sum(seen.t[c] < seen.last for c in seen.nodes)
    expected = {"divisions": divisions, "cell_frames": at_risk, "rate": divisions / at_risk}
    assert answers(store, 13) == [expected]


def test_14_lost_and_15_from_nowhere(store, seen):
    lost = {n: p[-1] for n, p in seen.tracks.items() if not seen.daughters[p[-1]] and seen.t[p[-1]] < seen.last}
    new = {n: p[0] for n, p in seen.tracks.items() if p[0] not in seen.mother and seen.t[p[0]] > 0}
    for number, expected in ((14, lost), (15, new)):
        rows = answers(store, number)
        assert {r["track"]: r["cell"] for r in rows} == expected
        assert [(r["y"], r["x"]) for r in rows] == [pytest.approx(seen.position[r["cell"]], rel=1e-5) for r in rows]


def test_16_neighbours(store, seen):
    expected = {
        a: sum(
            seen.t[b] == seen.t[a] and b != a and np.linalg.norm(seen.position[a] - seen.position[b]) < 40
            for b in seen.nodes
        )
        for a in seen.nodes
    }
    assert min(expected.values()) < max(expected.values())
    assert {r["cell"]: r["neighbours"] for r in answers(store, 16)} == expected


def test_17_lineages_to_trust(sure):
    store, seen, chance = sure, followed_by_hand(sure), probabilities(sure)
    trees = defaultdict(list)
    for (source, _), edge in seen.edge.items():
        root = source
        while root in seen.mother:
            root = seen.mother[root]
        trees[seen.number[root]].append(chance.get(edge))
    rows = answers(store, 17)
    assert {r["lineage"]: (r["links"], r["unknown"]) for r in rows} == {
        tree: (len(p), p.count(None)) for tree, p in trees.items()
    }
    for row in rows:
        known = [p for p in trees[row["lineage"]] if p is not None]
        assert row["all_right"] == pytest.approx(np.prod(known))
        assert row["weakest"] == pytest.approx(min(known))
    assert [r["all_right"] for r in rows] == sorted((r["all_right"] for r in rows), reverse=True)


def test_19_cells_by_entropy(sure):
    store, seen = sure, followed_by_hand(sure)
    with store.reading() as connection:
        told = list(connection.execute(tables.cell_outcome.select()))
    shares = defaultdict(list)
    for row in told:
        if row.probability:
            shares[row.det_id].append(row.probability)
    bits = {cell: -sum(p * np.log2(p) for p in found) for cell, found in shares.items()}
    rows = answers(store, 19)
    assert len(rows) == 20
    assert [r["bits"] for r in rows] == pytest.approx(sorted(bits.values(), reverse=True)[:20])
    for row in rows:
        assert (row["outcomes"], row["t"]) == (len(shares[row["cell"]]), seen.t[row["cell"]])
        assert row["likeliest"] == pytest.approx(max(shares[row["cell"]]))


def test_20_annotators(store, seen):
    """Ana and Bob agree on two of three cells; what Bob took back himself is not compared, what he replaced is.

    Ana took her third answer back, and the taking back as well.
    """
    goes_on = [(a, after[0]) for a, after in seen.daughters.items() if len(after) == 1]
    alone = {end for link in goes_on[:40:10] for end in link}
    assert len(alone) == 8
    (a, a2), (b, b2), (c, _), (d, d2) = goes_on[:40:10]
    annotator = Annotator(store, store.detection_set())
    annotator.answer("choose", a, [a2], who="ana", asked=Asked(ms=1000))
    annotator.answer("choose", b, [b2], who="ana", asked=Asked(ms=3000))
    annotator.answer("not_a_cell", c, who="ana", asked=Asked(ms=2500))
    undo(store, undo(store, who="ana").decision.key, who="ana")
    annotator.answer("choose", a, [a2], who="bob", asked=Asked(ms=500))
    annotator.answer("choose", b, [], who="bob", take_back=True, asked=Asked(ms=1500))
    annotator.answer("not_a_cell", c, who="bob")
    annotator.answer("choose", d, [d2], who="bob")
    undo(store, who="bob")
    annotator.answer("choose", d, [], who="cyd")
    assert answers(store, 20) == [
        {"who": "ana", "answers": 3, "seconds": 2.5, "shared": 3, "agreement": pytest.approx(2 / 3)},
        {"who": "bob", "answers": 4, "seconds": 1.0, "shared": 3, "agreement": pytest.approx(2 / 3)},
        {"who": "cyd", "answers": 1, "seconds": None, "shared": None, "agreement": None},
    ]


def kaplan_meier(frames, complete):
    """Return the share that has not divided after each age, from what was seen of each cell frame by frame.

    The step from the n-th frame of a cell to the next is seen if the cell goes on, or divides there.
    """
    steps_seen = frames - ~complete
    curve, undivided = {}, 1.0
    for age in range(1, int(steps_seen.max(initial=0)) + 1):
        at_risk = np.count_nonzero(steps_seen >= age)
        undivided *= 1 - np.count_nonzero(complete & (frames == age)) / at_risk
        curve[age] = undivided
    return curve


def trusted_pieces(seen, chance, trust=0.9):
    """Return length and completeness of all tracks that a trusted division brought."""

    def trusted(source):
        return all(chance.get(seen.edge[source, d], 0) >= trust for d in seen.daughters[source])

    found = []
    for path in seen.tracks.values():
        if path[0] in seen.mother and trusted(seen.mother[path[0]]):
            doubt = next((c for c in path if not trusted(c)), None)
            end = path[-1] if doubt is None else doubt
            complete = doubt is None and len(seen.daughters[path[-1]]) == 2
            found.append((seen.t[end] - seen.t[path[0]] + 1, complete))
    frames, complete = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return frames, complete.astype(bool)


def with_curve(query):
    return query[: query.index("select (select min(age)")] + CURVE


def test_the_whole_curve_is_what_the_page_says():
    assert f"`{CURVE}`" in COOKBOOK


def test_18_cycles_by_trusted_links(sure):
    store, seen, chance = sure, followed_by_hand(sure), probabilities(sure)
    frames, complete = trusted_pieces(seen, chance)
    assert 0 < complete.sum() < len(complete)
    curve = kaplan_meier(frames, complete)
    [row] = answers(store, 18)
    assert row == {
        "kaplan_meier": min((age for age, s in curve.items() if s <= 0.5 + 1e-12), default=None),
        "all_as_complete": np.median(frames),
        "complete_only": np.median(frames[complete]),
        "cells": len(frames),
        "complete": complete.sum(),
    }
    found = ask(store.path, with_curve(QUERIES[18])).rows.to_pylist()
    assert {r["age"]: r["undivided"] for r in found if r["age"]} == pytest.approx(
        {r["age"]: curve[r["age"]] for r in found if r["age"]}
    )


@st.composite
def movies_of_tracks(draw):
    """Draw tracks, each with a mother, and how sure each link is: (birth trusted, frames, divides, probabilities)."""
    probability = st.sampled_from([0.95, 0.95, 0.95, 1.0, 0.9, 0.5, None])
    tracks = []
    for _ in range(draw(st.integers(0, 12))):
        frames, divides = draw(st.integers(1, 6)), draw(st.booleans())
        n_links = frames - 1 + 2 * divides
        sure = draw(st.lists(probability, min_size=n_links, max_size=n_links))
        tracks.append((draw(st.sampled_from([True, True, False])), frames, divides, sure))
    return tracks


def views_of(tracks):
    """Return what the views tell of drawn tracks; each has a mother of its own, who divides before frame 7."""
    rows = {"tracks": [], "tracked": [], "links": []}
    for i, (born, frames, _, sure) in enumerate(tracks):
        mother, track = 2 * i + 1, 2 * i + 2
        cells = [100 * track + k for k in range(frames)]
        rows["tracks"].append({"track": track, "parent": mother, "first_t": 7, "last_t": 6 + frames})
        rows["tracked"] += [{"track": mother, "cell": 100 * mother}, *({"track": track, "cell": c} for c in cells)]
        birth = [(100 * mother, 6, "divide", p) for p in (0.99, 0.99 if born else 0.3)]
        inside = [(cells[k], 7 + k, "continue", p) for k, p in enumerate(sure[: frames - 1])]
        division = [(cells[-1], 6 + frames, "divide", p) for p in sure[frames - 1 :]]
        names = ("source", "t", "kind", "probability")
        rows["links"] += [dict(zip(names, link, strict=True)) for link in (*birth, *inside, *division)]
    types = {"kind": pa.string(), "probability": pa.float32(), "dataset": pa.string(), "solution": pa.string()}
    columns = {
        "tracks": ("track", "parent", "first_t", "last_t"),
        "tracked": ("track", "cell"),
        "links": ("source", "t", "kind", "probability"),
    }
    return {
        name: pa.table({
            **{c: pa.array([r[c] for r in rows[name]], types.get(c, pa.int64())) for c in columns[name]},
            "dataset": pa.array(["movie"] * len(rows[name]), pa.string()),
            "solution": pa.array(["ilp-1"] * len(rows[name]), pa.string()),
        })
        for name in rows
    }  # fmt: skip


@pytest.fixture(scope="module")
def memory():
    """A database that holds nothing yet."""
    with duckdb.connect() as db:
        yield db


@given(tracks=movies_of_tracks())
@settings(deadline=None)
def test_survival_is_that_of_the_oracle_on_any_tracks(memory, tracks):
    """The query as it stands, over views that are tables in memory."""
    lengths, complete = [], []
    for born, frames, divides, sure in tracks:
        doubtful = [p is None or p < 0.9 for p in sure]
        followed = min(doubtful.index(True) + 1, frames) if any(doubtful) else frames
        if born:
            lengths.append(followed)
            complete.append(divides and not any(doubtful))
    lengths, complete = np.array(lengths, dtype=np.int64), np.array(complete, dtype=bool)
    curve = kaplan_meier(lengths, complete)
    for name, table in views_of(tracks).items():
        memory.register(name, table)
    found = {age: share for age, *_, share in memory.execute(with_curve(QUERIES[18])).fetchall() if age}
    [row] = memory.execute(QUERIES[18]).fetchall()
    assert found == pytest.approx({age: share for age, share in curve.items() if age in found})
    assert set(lengths[complete].tolist()) <= set(found)  # it steps nowhere else
    assert row[0] == min((age for age, share in curve.items() if share <= 0.5 + 1e-12), default=None)
    assert row[1] == (np.median(lengths) if len(lengths) else None)
    assert row[2] == (np.median(lengths[complete]) if complete.any() else None)
    assert row[3:] == (len(lengths), complete.sum())


RATE = 0.05
# cycles are geometric, and independent of all others
KNOWN_MEDIAN = int(np.ceil(np.log(0.5) / np.log(1 - RATE / (1 - RATE))))  # as many die as divide, and are censored


@pytest.fixture(scope="module")
def memoryless(tmp_path_factory):
    """A movie of 40 frames, true links, of which one in fifty is not trusted, whatever it is."""
    points = simulate_points(40, 400, seed=2, division_rate=RATE, missed=0, false=0)
    made = store_of(tmp_path_factory.mktemp("memoryless"), points, solved=False)
    edge = np.array(list(followed_by_hand(made, "truth").edge.values()))
    sure = np.random.default_rng(0).random(len(edge)) > 0.02
    add_posterior(made, "truth", edge, np.where(sure, 0.99, 0.5))
    return made


def test_survival_finds_the_known_cycle_length_where_the_naive_forms_fall_short(memoryless):
    [row] = answers(memoryless, 18, solution="truth")
    assert row["cells"] > 1000
    assert abs(row["kaplan_meier"] - KNOWN_MEDIAN) <= 1
    assert row["all_as_complete"] <= row["complete_only"] < KNOWN_MEDIAN - 3
    [complete] = answers(memoryless, 2, solution="truth")
    assert complete["frames"] < KNOWN_MEDIAN - 3


N_FRAMES, FAMILIES = 40, 100_000


def cycles_of_families(rng):
    """Return a view `tracks` of mothers born at any time of a movie, with a daughter or two each; geometric cycles."""
    born = rng.integers(1, N_FRAMES, FAMILIES)
    frames = rng.geometric(RATE, (FAMILIES, 3))
    first = np.stack([born, born + frames[:, 0], born + frames[:, 0]], axis=1)
    ends = first + frames - 1
    track = np.arange(3 * FAMILIES).reshape(-1, 3)
    parent = np.stack([-1 - np.arange(FAMILIES), track[:, 0], track[:, 0]], axis=1)
    shown = first < N_FRAMES
    columns = {"track": track, "parent": parent, "first_t": first, "last_t": np.minimum(ends, N_FRAMES - 1)}
    columns["n_children"] = np.where(ends < N_FRAMES - 1, 2, 0)
    words = {
        name: pa.array([word] * np.count_nonzero(shown)) for name, word in (("dataset", "m"), ("solution", "ilp-1"))
    }
    return pa.table({**{name: column[shown] for name, column in columns.items()}, **words})


@pytest.mark.parametrize(("number", "sign"), [(7, 1), (8, -1)])
def test_independent_cycles_of_relatives_look_as_the_page_says(number, sign):
    """And what the page advises against it helps."""
    advice = re.search(rf"^\*\*{number}\. .*?`(and [^`]*)`", COOKBOOK, flags=re.DOTALL | re.MULTILINE)
    with duckdb.connect() as db:
        db.register("tracks", cycles_of_families(np.random.default_rng(3)))
        r, pairs = db.execute(QUERIES[number]).fetchone()
        better, fewer = db.execute(f"{QUERIES[number]} {advice[1]}").fetchone()
    assert sign * r > 0.08
    assert 1000 < fewer < pairs
    assert abs(better) < 3 / np.sqrt(fewer)
