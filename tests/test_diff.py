"""What two solutions do not share, by Python and by the SQL of the documents."""

import re
from pathlib import Path

import pytest

from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.diff import difference
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.errors import ConfigError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask

from .movies import DIVIDING, dividing_cells, write_rows

SQL = (Path(__file__).parents[1] / "docs" / "sql.md").read_text()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Dividing cells with their truth, an exact solution, and one after three answers."""
    folder = tmp_path_factory.mktemp("diff")
    made = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", dividing_cells(n_frames=6, side=3), header=DIVIDING), made)
    solve(made, made.detection_set())
    say = Annotator(made, made.detection_set())
    _, info = made.find_solution(name="ilp-1")
    source, target = (ends.tolist() for ends in made.link_ends(info))
    say.answer("reject", source[2], [target[2]], who="ana")
    say.answer("not_a_cell", target[7], who="ana")
    say.answer("choose", source[12], [], who="ana")
    solve(made, made.detection_set())
    return made


def infos(store, *names):
    return [store.find_solution(name=name)[1] for name in names]


def links_of(store, name):
    return set(zip(*(ends.tolist() for ends in store.link_ends(*infos(store, name))), strict=True))


def recipe(title):
    """Return the query of the documents under a line."""
    found = re.search(re.escape(title) + r".*?```sql\n(.*?);\n```", SQL, flags=re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.parametrize(("a", "b"), [("ilp-1", "ilp-2"), ("truth", "ilp-1"), ("ilp-2", "truth"), ("ilp-1", "ilp-1")])
def test_links_of_one_alone_are_the_difference_of_sets(store, a, b):
    found = difference(store, *infos(store, a, b))
    mine, other = links_of(store, a), links_of(store, b)
    assert {tuple(link) for link in found.only_a.links} == mine - other
    assert {tuple(link) for link in found.only_b.links} == other - mine
    assert found.shared == len(mine & other)
    assert found.only_a.links == sorted(found.only_a.links)


def test_the_solutions_of_this_test_differ(store):
    found = difference(store, *infos(store, "ilp-1", "ilp-2"))
    assert len(found.only_a) > 2
    assert len(found.only_a.cell) == 1
    assert len(found.only_b.cell) == 0
    assert 0 < len(found.only_a.lineage) < 9


@pytest.mark.parametrize(("a", "b"), [("ilp-1", "ilp-2"), ("truth", "ilp-1"), ("ilp-1", "ilp-1")])
def test_sql_says_the_same(store, a, b):
    found = difference(store, *infos(store, a, b))

    def told(title):
        text = recipe(title).replace("'ilp-1'", "$a").replace("'truth'", "$b")
        return ask(store.path, text, {"a": a, "b": b}).rows_by_position()

    sides = [(side.solution, side) for side in (found.only_a, found.only_b)] if a != b else []
    links = [[name, *link, kind] for name, s in sides for link, kind in zip(s.links, s.kind.tolist(), strict=True)]
    assert sorted(told("Links that two solutions do not share")) == sorted(links)
    lineages = [[name, lineage] for name, side in sides for lineage in side.lineage.tolist()]
    assert sorted(told("Lineages that these links touch")) == sorted(lineages)


def test_solutions_of_different_detections_are_not_compared(store, tmp_path):
    other = DuckDBStore(store.path)
    ingest(write_rows(tmp_path / "again.csv", dividing_cells(n_frames=5, side=2), header=DIVIDING), other, name="again")
    with pytest.raises(ConfigError, match="different detections"):
        difference(other, infos_of(other, "movie"), infos_of(other, "again"))


def infos_of(store, dataset):
    return store.find_solution(dataset, "truth" if dataset == "again" else "ilp-1")[1]
