"""Survival in the cookbook: Kaplan-Meier against an oracle on any tracks, and against cycle lengths that are known."""

import re

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.simulation import simulate_points

from .cookbook import (
    COOKBOOK,
    CURVE,
    QUERIES,
    add_posterior,
    answers,
    followed_by_hand,
    kaplan_meier,
    store_of,
    with_curve,
)


def test_the_whole_curve_is_what_the_page_says():
    assert f"`{CURVE}`" in COOKBOOK


@st.composite
def movies_of_tracks(draw):
    """Draw tracks, each with a mother, and how sure each link is: (birth, frames, divides, probabilities)."""
    probability = st.sampled_from([0.95, 0.95, 1.0, 0.9, 0.5, None])
    tracks = []
    for _ in range(draw(st.integers(0, 12))):
        frames, divides = draw(st.integers(1, 6)), draw(st.booleans())
        n_links = frames - 1 + 2 * divides
        sure = draw(st.lists(probability, min_size=n_links, max_size=n_links))
        tracks.append((draw(st.sampled_from([1.0, 0.75, None])), frames, divides, sure))
    return tracks


def views_of(tracks):
    """Return what the views tell of drawn tracks; each has a mother of its own, who divides before frame 7."""
    rows = {"tracks": [], "tracked": [], "links": []}
    for i, (born, frames, divides, sure) in enumerate(tracks):
        mother, track = 2 * i + 1, 2 * i + 2
        cells = [100 * track + k for k in range(frames)]
        ends = {"first_t": 7, "last_t": 6 + frames, "n_children": 2 if divides else 0}
        rows["tracks"].append({"track": track, "parent": mother, **ends})
        rows["tracked"] += [{"track": mother, "cell": 100 * mother}, *({"track": track, "cell": c} for c in cells)]
        birth = [(100 * mother, 6, "divide", p) for p in (1.0, born)]
        inside = [(cells[k], 7 + k, "continue", p) for k, p in enumerate(sure[: frames - 1])]
        division = [(cells[-1], 6 + frames, "divide", p) for p in sure[frames - 1 :]]
        names = ("source", "t", "kind", "probability")
        rows["links"] += [dict(zip(names, link, strict=True)) for link in (*birth, *inside, *division)]
    types = {"kind": pa.string(), "probability": pa.float32(), "dataset": pa.string(), "solution": pa.string()}
    columns = {
        "tracks": ("track", "parent", "first_t", "last_t", "n_children"),
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
    cells = []
    for born, frames, divides, sure in tracks:
        each = [p or 0 for p in sure[: frames - 1]] + ([min(p or 0 for p in sure[frames - 1 :])] if divides else [])
        cells.append((born or 0, range(1, len(each) + 1), each, divides))
    curve = kaplan_meier(cells)
    lengths, complete = np.array([t[1] for t in tracks]), np.array([t[2] for t in tracks], dtype=bool)
    for name, table in views_of(tracks).items():
        memory.register(name, table)
    found = {age: share for age, *_, share in memory.execute(with_curve(QUERIES[18])).fetchall()}
    [row] = memory.execute(QUERIES[18]).fetchall()
    assert found == pytest.approx(curve, abs=1e-6)  # probabilities are kept in single precision
    assert row[0] in {
        min((a for a, share in curve.items() if share <= at), default=None) for at in (0.5 - 1e-6, 0.5 + 1e-6)
    }
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
