"""What check tells where the store itself is damaged: table `meta`, and what is no file among the pixels."""

import os

import duckdb
import pytest

from trackdb.engine.check import check
from trackdb.errors import StoreDamagedError
from trackdb.storage.checkpoints import HEADERS
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH

from .movies import own_copy
from .test_check import BLOCK, BREAK

INTENSITY = "an intensity lies outside of its bounds"


def without_meta(solved):
    """Write noise over the block in which table `meta` stands, and nothing else."""
    with solved.writing() as connection:
        connection.exec_driver_sql("insert into meta select 'x' || range, repeat('x', 200) from range(20000)")
    with solved.writing() as connection:
        connection.exec_driver_sql("delete from meta where value like 'xx%'")
    with duckdb.connect(solved.path / GRAPH) as connection:
        connection.execute("force checkpoint")
        of_meta = "select distinct block_id from pragma_storage_info('meta') where block_id >= 0"
        blocks = {block for (block,) in connection.execute(of_meta).fetchall()}
        others = set()
        for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall():
            if name != "meta":
                found = connection.execute(f"select distinct block_id from pragma_storage_info('{name}')").fetchall()
                others |= {block for (block,) in found}
    assert blocks - others
    content = bytearray((solved.path / GRAPH).read_bytes())
    for block in blocks - others:
        place = HEADERS + block * BLOCK + 100
        content[place : place + 50] = b"noise" * 10
    (solved.path / GRAPH).write_bytes(content)


def test_where_table_meta_is_damaged_that_is_told_and_the_others_are_looked_at(solved):
    with solved.writing() as connection:
        connection.exec_driver_sql(BREAK[INTENSITY])
    without_meta(solved)
    with pytest.raises(StoreDamagedError):
        DuckDBStore(solved.path).check_version()
    named = [problem.what for problem in check(DuckDBStore(solved.path))]
    assert [what for what in named if what.startswith("table ")] == [named[0]]
    assert named[0].startswith("table meta cannot be read: ")
    assert INTENSITY in named


@pytest.mark.parametrize("change", ["delete from meta", "update meta set value = 'x'"])
def test_where_table_meta_lacks_a_fact_that_is_told_and_the_others_are_looked_at(solved, change):
    for key in ("schema_version", "oldest_reader", "commits", "next_edge"):
        copy = own_copy(solved, solved.path.parent / f"without {key}")
        with copy.writing() as connection:
            connection.exec_driver_sql(BREAK[INTENSITY])
        with duckdb.connect(copy.path / GRAPH) as connection:
            connection.execute(f"{change} where key = '{key}'")
        named = [problem.what for problem in check(DuckDBStore(copy.path))]
        assert named[0] == f"table meta does not tell {key}"
        assert any(what.startswith(INTENSITY) for what in named)


def test_a_store_that_acts_is_refused_though_its_meta_is_damaged(solved):
    with duckdb.connect(solved.path / GRAPH) as connection:
        connection.execute("delete from meta where key = 'commits'; create macro count(x) as 1")
    with pytest.raises(StoreDamagedError, match="trackdb did not make: count"):
        check(DuckDBStore(solved.path))


@pytest.mark.parametrize("folder", ["data/c/0", "data", ""])
def test_a_pipe_or_a_link_among_pixels_is_named_and_not_opened(solved, tmp_path, folder):
    [ref] = [ref for ref in solved.all_arrays() if ref.kind == "masks"]
    place = solved.path / ref.path / folder
    os.mkfifo(place / "pipe")
    (tmp_path / "outside").write_text("hidden")
    (place / "link").symlink_to(tmp_path / "outside")
    named = [problem.what for problem in check(solved)]
    assert named == [f"{place / 'link'} leads out of the store", f"{place / 'pipe'} is neither a file nor a folder"]
