"""Stored posteriors: written whole, read as they were, seen in the views, and never of two names alike."""

from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa

from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.errors import MissingRowsError, SolverError, StoreExistsError
from trackdb.solvers.posterior import marginals
from trackdb.storage import tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.posteriors import (
    HOW,
    CellOutcomes,
    LinkProbabilities,
    find_posterior,
    posterior_names,
    read_links,
    read_outcomes,
)
from trackdb.storage.sandbox import ask

from .movies import copied, write_ctc
from .posteriors import EXACT, PRUNED, SAMPLED, candidates, keep, links_of, outcomes_of, random_outcomes

# The movie drawn in `movies`; numbers are those of the store. 2 divides into 4 and 5, or goes on as 4, or ends:
#
#   frame 0     frame 1          2 -> 4 + 5   .7
#      1   2       3   4         2 -> 4       .2
#                      5         2 ends       .1
CELLS = {1: {(3,): 1.0}, 2: {(4, 5): 0.7, (4,): 0.2, (): 0.1}}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """The drawn movie with its truth and a solution; its folder is copied, never written."""
    folder = tmp_path_factory.mktemp("pristine")
    store = DuckDBStore(folder / "drawn.trackdb")
    ingest(write_ctc(folder / "drawn"), store)
    solve(store, store.detection_set())
    return store


@pytest.fixture
def solved(pristine, tmp_path):
    """A copy of that store."""
    return DuckDBStore(copied(pristine.path, tmp_path / "drawn.trackdb"))


@pytest.fixture
def drawn_posterior(solved):
    """The store with a posterior of its truth."""
    keep(solved, links_of(CELLS, candidates(solved)), outcomes_of(CELLS), solution="truth")
    return solved


@pytest.fixture
def dividing(movie, tmp_path):
    """A store of dividing cells with truth, candidates and a solution."""
    return DuckDBStore(copied(movie.path, tmp_path / "movie.trackdb"))


def test_links_tell_the_probability_of_the_newest_posterior(drawn_posterior):
    asked = """select source, target, round(cast(probability as double), 3) as p from links
        where solution = 'truth' and t = 0 order by all"""
    assert [tuple(row.values()) for row in ask(drawn_posterior.path, asked).rows.to_pylist()] == [
        (1, 3, 1.0),
        (2, 4, 0.9),
        (2, 5, 0.7),
    ]
    surer = {1: {(3,): 1.0}, 2: {(4, 5): 1.0}}
    keep(
        drawn_posterior,
        links_of(surer, candidates(drawn_posterior)),
        outcomes_of(surer),
        name="drawn-2",
        solution="truth",
    )
    assert ask(drawn_posterior.path, asked).rows["p"].to_pylist() == [1.0, 1.0, 1.0]
    other = "select count(probability) as n from links where solution = 'ilp-1'"
    assert ask(drawn_posterior.path, other).rows["n"].to_pylist() == [0]


def test_outcomes_are_ranked_and_name_the_daughters_by_number(drawn_posterior):
    asked = """select rank, cast(daughters as bigint[]) as daughters, round(cast(probability as double), 3) as p, how
        from outcomes where posterior = 'drawn-1' and cell = 2 order by rank"""
    assert [tuple(row.values()) for row in ask(drawn_posterior.path, asked).rows.to_pylist()] == [
        (1, [4, 5], 0.7, "exact"),
        (2, [4], 0.2, "exact"),
        (3, [], 0.1, "exact"),
    ]


def test_probabilities_tell_every_candidate(drawn_posterior):
    told = ask(drawn_posterior.path, "select source, target, how from probabilities where posterior = 'drawn-1'").rows
    assert {tuple(link.values())[:2] for link in told.to_pylist()} == set(candidates(drawn_posterior))
    assert set(told["how"].to_pylist()) == {"exact"}


@pytest.mark.parametrize("seed", range(5))
def test_a_posterior_is_read_as_it_was_written(dividing, seed):
    rng = np.random.default_rng(seed)
    edges = candidates(dividing)
    cells = random_outcomes(edges, rng)
    links, outcomes = links_of(cells, edges), outcomes_of(cells)
    how = rng.integers(0, 4, len(links.edge)).astype(np.uint8)
    error = np.where(how % 2 == 1, rng.random(len(how)).astype(np.float32), np.nan)
    links = LinkProbabilities(links.edge, links.probability.astype(np.float32).astype(float), how, error)
    keep(dividing, links, outcomes, method="auto", temperature=1.5, calibrated=True)
    chosen, info, found = find_posterior(dividing)
    assert (chosen.movie.name, info.name) == ("movie", "ilp-1")
    assert (found.name, found.method, found.temperature, found.calibrated) == ("drawn-1", "auto", 1.5, True)
    again = read_links(dividing, found)
    for name in ("edge", "probability", "how", "error"):
        np.testing.assert_array_equal(getattr(again, name), getattr(links, name))
    read = read_outcomes(dividing, found)
    for name in ("cell", "a", "b", "how", "error"):
        np.testing.assert_array_equal(getattr(read, name), getattr(outcomes, name))
    np.testing.assert_allclose(read.probability, outcomes.probability, rtol=1e-6)
    assert check(dividing) == []


def test_views_tell_the_error_where_there_is_one(solved):
    edges, outcomes = candidates(solved), outcomes_of(CELLS)
    links, known = links_of(CELLS, edges), np.array([PRUNED, *[EXACT] * 3], np.uint8)
    how = np.full(len(links.edge), SAMPLED, dtype=np.uint8)
    links = replace(links, how=how, error=np.full(len(how), 0.125))
    keep(solved, links, replace(outcomes, how=known, error=np.where(known == PRUNED, 0.25, np.nan)))
    of_links = ask(solved.path, "select distinct how, error from probabilities").rows.to_pylist()
    of_cells = ask(solved.path, "select distinct cell, how, error from outcomes order by cell").rows.to_pylist()
    assert of_links == [{"how": "sampled", "error": 0.125}]
    assert [tuple(row.values()) for row in of_cells] == [(1, "pruned", 0.25), (2, "exact", None)]


def test_links_may_come_in_any_order(solved):
    links = links_of(CELLS, candidates(solved))
    order = np.random.default_rng(0).permutation(len(links.edge))
    shuffled = LinkProbabilities(*(getattr(links, n)[order] for n in ("edge", "probability", "how", "error")))
    keep(solved, shuffled, None)
    np.testing.assert_array_equal(read_links(solved, find_posterior(solved)[2]).edge, links.edge)
    with solved.reading() as connection:
        stored = connection.execute(sa.select(tables.edge_probability.c.edge_id)).scalars().all()
    assert stored == links.edge.tolist()  # in the table itself, for zone maps


def test_outcomes_know_where_the_rows_of_each_cell_begin():
    outcomes = outcomes_of(CELLS)
    assert outcomes.first.tolist() == [0, 1, 4]
    none = np.empty(0, dtype=np.int64)
    assert CellOutcomes(none, none, none, np.empty(0), none.astype(np.uint8), np.empty(0)).first.tolist() == [0]


def test_a_name_is_given_once_in_a_dataset(drawn_posterior):
    assert posterior_names(drawn_posterior, drawn_posterior.detection_set()) == {"drawn-1"}
    commits = drawn_posterior.meta()["commits"]
    with pytest.raises(StoreExistsError, match="posterior named drawn-1"):
        keep(drawn_posterior, links_of(CELLS, candidates(drawn_posterior)), outcomes_of(CELLS))
    assert int(drawn_posterior.meta()["commits"]) == int(commits) + 2  # the run began, and failed
    assert read_outcomes(drawn_posterior, find_posterior(drawn_posterior)[2]).cell.tolist() == [1, 2, 2, 2]


def test_what_fails_on_the_way_leaves_nothing(solved, monkeypatch):
    from trackdb.storage import posteriors

    def stop(*_):
        raise SolverError("stop")

    monkeypatch.setattr(posteriors, "outcome_rows", stop)
    with pytest.raises(SolverError, match="stop"):
        keep(solved, links_of(CELLS, candidates(solved)), outcomes_of(CELLS))
    for table in ("posterior", "edge_probability", "cell_outcome"):
        with solved.reading() as connection:
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar_one() == 0, table
    assert check(solved) == []


def test_a_posterior_is_found_by_its_name_and_by_its_solution(drawn_posterior):
    links = links_of(CELLS, candidates(drawn_posterior))
    keep(drawn_posterior, links, None, name="other", solution="ilp-1")
    assert find_posterior(drawn_posterior)[2].name == "other"
    assert find_posterior(drawn_posterior, solution="truth")[2].name == "drawn-1"
    assert find_posterior(drawn_posterior, name="drawn-1")[1].name == "truth"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "holds no posterior; try: trackdb posterior"),
        ({"solution": "ilp-1"}, "holds no posterior of ilp-1; try: trackdb posterior .* --solution ilp-1"),
        ({"solution": "lap-7"}, "no solution named lap-7"),
    ],
)
def test_where_there_is_none_it_is_said_how_to_make_one(solved, asked, said):
    with pytest.raises(MissingRowsError, match=said):
        find_posterior(solved, **asked)


def test_a_name_that_is_not_there_is_told_with_those_that_are(drawn_posterior):
    with pytest.raises(MissingRowsError, match="no posterior named lost; known: drawn-1"):
        find_posterior(drawn_posterior, name="lost")


def test_store_and_kernels_say_how_alike():
    assert [(how.name.lower(), how.value) for how in marginals.HowWeighed] == list(
        zip(HOW, range(len(HOW)), strict=True)
    )
