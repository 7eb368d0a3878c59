"""Whole lineages of a stored posterior: as often as they are likely, and what is counted among them."""

import numpy as np
import pytest

import trackdb
from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.lineages import DrawnLineages
from trackdb.errors import ConfigError
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import run
from .movies import jostling_cells, write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.fixture
def store(tmp_path):
    """Jostling cells with a solution."""
    made = DuckDBStore(tmp_path / "movie.trackdb")
    ingest(write_rows(tmp_path / "movie.csv", jostling_cells(seed=3)), made)
    solve(made, made.detection_set(), Config(link=LinkConfig(neighbors=3)))
    return made


def drawn_by_hand():
    """Two lineages of four cells.

    ::

        1    2        1    2
        |    |          \\ /
        3    4        3  4       (3 is new in the second one; 5 is a daughter of 4 in both)
             |           |
             5           5
    """
    source, target = np.array([1, 1, 2, 4]), np.array([3, 4, 4, 5])
    link = np.array([[True, False, True, True], [False, True, False, True]])
    return DrawnLineages(source, target, link)


def test_descent_is_told_for_each_lineage():
    drawn = drawn_by_hand()
    assert drawn.descends(5, 2).tolist() == [True, False]
    assert drawn.descends(5, 1).tolist() == [False, True]
    assert drawn.descends(5, 4).tolist() == [True, True]
    assert drawn.descends(3, 1).tolist() == [True, False]
    assert drawn.descends(3, 3).tolist() == [True, True]
    assert not drawn.descends(1, 5).any()


def test_links_are_drawn_as_often_as_they_are_likely_and_what_people_said_always(store):
    db = trackdb.open(store.path, write=True)
    posterior = db.posterior(temperature=2.0)
    drawn = posterior.lineages(2000, seed=1)
    told = posterior.links.arrow().to_pylist()
    likely = {(row["source"], row["target"]): row["probability"] for row in told}
    pairs = zip(drawn.source.tolist(), drawn.target.tolist(), strict=True)
    often = dict(zip(pairs, drawn.link.mean(axis=0).tolist(), strict=True))
    assert often.keys() == likely.keys()
    assert max(abs(often[pair] - likely[pair]) for pair in often) < 5 * np.sqrt(0.25 / 2000)
    unsure = min(likely, key=lambda pair: abs(likely[pair] - 0.5))
    assert 0.02 < often[unsure] < 0.98
    run("annotate", store.path, unsure[0], "--daughters", unsure[1])
    again = posterior.lineages(50)
    assert again.descends(unsure[1], unsure[0]).all()


def test_the_same_seed_draws_the_same(store):
    posterior = trackdb.open(store.path, write=True).posterior(temperature=3.0)
    first, again, other = (posterior.lineages(20, seed=seed).link for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_methods_that_weigh_no_lineages_and_no_draws_are_refused(store):
    db = trackdb.open(store.path, write=True)
    with pytest.raises(ConfigError, match="is by softmax, which weighs no whole lineages"):
        db.posterior(method="softmax").lineages()
    with pytest.raises(ConfigError, match="n_draws is 0"):
        db.posterior().lineages(0)
