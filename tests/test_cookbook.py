"""The SQL cookbook: every question is held to an answer that knows no SQL."""

from collections import Counter, defaultdict

import numpy as np
import pytest

import trackdb
from trackdb.engine.annotations.answered import Asked
from trackdb.engine.annotations.answers import Annotator, undo
from trackdb.engine.simulation import simulate_points
from trackdb.storage import tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .cookbook import (
    COOKBOOK,
    QUERIES,
    add_posterior,
    answers,
    followed_by_hand,
    kaplan_meier,
    probabilities,
    store_of,
    with_curve,
)
from .movies import copied

SCALE_UM = (5.0, 4.0)


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
    made = DuckDBStore(copied(movie_of_twenty.path, tmp_path_factory.mktemp("drawn") / "movie.trackdb"))
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
    copy = copied(movie_of_twenty.path, tmp_path_factory.mktemp("weighed") / "movie.trackdb")
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
    annotator.answer("choose", b, [], who="bob", on_conflict="replace", asked=Asked(ms=1500))
    annotator.answer("not_a_cell", c, who="bob")
    annotator.answer("choose", d, [d2], who="bob")
    undo(store, who="bob")
    annotator.answer("choose", d, [], who="cyd")
    assert answers(store, 20) == [
        {"who": "ana", "answers": 3, "seconds": 2.5, "shared": 3, "agreement": pytest.approx(2 / 3)},
        {"who": "bob", "answers": 4, "seconds": 1.0, "shared": 3, "agreement": pytest.approx(2 / 3)},
        {"who": "cyd", "answers": 1, "seconds": None, "shared": None, "agreement": None},
    ]


def followed_cells(seen, chance):
    """Return each cell that a division brought, as `kaplan_meier` takes it; its frames; and whether it is complete."""

    def sure(source):
        return min(chance.get(seen.edge[source, d], 0) for d in seen.daughters[source])

    cells, frames, complete = [], [], []
    for path in seen.tracks.values():
        if path[0] in seen.mother:
            steps = [c for c in path if seen.daughters[c]]
            ages = [seen.t[c] - seen.t[path[0]] + 1 for c in steps]
            cells.append(
                (sure(seen.mother[path[0]]), ages, [sure(c) for c in steps], len(seen.daughters[path[-1]]) == 2)
            )
            frames.append(seen.t[path[-1]] - seen.t[path[0]] + 1)
            complete.append(cells[-1][3])
    return cells, np.array(frames), np.array(complete)


def test_18_cycles_as_sure_as_links_are(sure):
    store, seen, chance = sure, followed_by_hand(sure), probabilities(sure)
    cells, frames, complete = followed_cells(seen, chance)
    assert 0 < complete.sum() < len(complete)
    curve = kaplan_meier(cells)
    [row] = answers(store, 18)
    assert row == {
        "kaplan_meier": min((age for age, s in curve.items() if s <= 0.5 + 1e-9), default=None),
        "all_as_complete": np.median(frames),
        "complete_only": np.median(frames[complete]),
        "cells": len(frames),
        "complete": complete.sum(),
    }
    found = ask(store.path, with_curve(QUERIES[18])).rows.to_pylist()
    assert {r["age"]: r["undivided"] for r in found} == pytest.approx(curve)
