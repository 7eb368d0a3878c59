"""Stores of older trackdbs: one of each version is kept, and has to open and answer as it did."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

import trackdb
from trackdb.cli.main import app
from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.errors import StoreLockedError, VersionError
from trackdb.storage import tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.migrations import STEPS, upgrade, version_of
from trackdb.storage.sandbox import ask

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = range(1, tables.SCHEMA_VERSION + 1)  # the fixture of today's is written before it goes up: `old_stores`
ANSWERS = {version: json.loads((FIXTURES / f"store_v{version}.json").read_text()) for version in VERSIONS}


def unpacked(folder, version=1):
    """A store that trackdb wrote while it had a schema version.

    1: a movie of masks and one of points, both solved; 2 and 3: a movie of masks and images, solved, with annotations;
    3 has a posterior, too; 4: see `old_stores`.
    """
    with tarfile.open(FIXTURES / f"store_v{version}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder / f"store_v{version}.trackdb"


@pytest.fixture
def old(tmp_path):
    return unpacked(tmp_path)


def schema_of(path):
    """All columns of all tables, all views and all macros, as the database tells them."""
    with duckdb.connect(path / GRAPH, read_only=True) as connection:
        columns = connection.execute(
            "select table_name, column_index, column_name, data_type, is_nullable from duckdb_columns() order by all"
        ).fetchall()
        views = connection.execute("select view_name, sql from duckdb_views() where not internal order by 1").fetchall()
        macros = connection.execute(
            "select function_name, macro_definition from duckdb_functions() where not internal order by all"
        ).fetchall()
    return columns, views, macros


def facts_of(path):
    """What a store tells of itself, read past trackdb."""
    with duckdb.connect(path / GRAPH, read_only=True) as connection:
        return dict(connection.execute("select key, value from meta").fetchall())


def test_every_version_has_its_store():
    kept = {int(file.stem.removeprefix("store_v")) for file in FIXTURES.glob("store_v*.json")}
    assert kept == set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_whoever_opens_an_old_store_need_not_know_that_it_is_old(tmp_path, version):
    """No version is asked for first: each way into the tables brings them up to date."""
    kinds = {run.kind for run in DuckDBStore(unpacked(tmp_path / "a", version)).runs()}
    assert {"ingest", "link", "score", "solve"} <= kinds
    with DuckDBStore(unpacked(tmp_path / "b", version)).writing() as connection:
        assert version_of(connection) == tables.SCHEMA_VERSION
    store = DuckDBStore(unpacked(tmp_path / "c", version))
    assert check(store) == []
    assert facts_of(store.path)["schema_version"] == str(tables.SCHEMA_VERSION)


def test_there_is_a_step_to_every_version():
    assert set(STEPS) == set(range(2, tables.SCHEMA_VERSION + 1))


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """A store of each version, opened once."""
    stores = {version: unpacked(tmp_path_factory.mktemp("old"), version) for version in VERSIONS}
    for path in stores.values():
        DuckDBStore(path).check_version()
    return stores


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_store_answers_as_it_did(upgraded, version):
    asked = {}
    for view, told in ANSWERS[version].items():
        columns = ", ".join(f'"{column}"' for column in told["columns"] or ()) or "*"
        source = "descendants('truth', 2)" if view == "descendants" else view
        asked[view] = f"select {columns} from {source} order by all"
    with duckdb.connect(upgraded[version] / GRAPH, read_only=True) as connection:
        answers = {view: connection.sql(query).fetchall() for view, query in asked.items()}
    answers["annotations"] = ask(upgraded[version], asked["annotations"]).rows_by_position()  # with the log
    told = {view: told["rows"] for view, told in ANSWERS[version].items()}
    assert json.loads(json.dumps(answers, default=str)) == told


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgraded_store_has_the_tables_views_and_macros_of_a_new_one(tmp_path, version):
    old = unpacked(tmp_path, version)
    DuckDBStore(old).check_version()
    new = DuckDBStore(tmp_path / "new.trackdb")
    new.create()
    assert schema_of(old) == schema_of(new.path)


def test_an_upgrade_is_one_commit_and_happens_once(old):
    before = facts_of(old)
    for _ in range(2):
        DuckDBStore(old).check_version()
    after = facts_of(old)
    assert (before["schema_version"], after["schema_version"]) == ("1", str(tables.SCHEMA_VERSION))
    assert after["oldest_reader"] == str(tables.OLDEST_READER)
    assert int(after["commits"]) == int(before["commits"]) + 1
    assert {key for key in before if before[key] != after[key]} == {"schema_version", "oldest_reader", "commits"}


def test_an_upgrade_that_another_process_made_meanwhile_is_not_made_again(old):
    upgrade(old / GRAPH, patience_s=1)
    after = facts_of(old)
    upgrade(old / GRAPH, patience_s=1)
    assert facts_of(old) == after


def test_an_old_store_takes_new_data_and_has_no_problem(old, drawn):
    store = DuckDBStore(old)
    ingest(drawn, store, name="new")
    assert check(store) == []
    bordered = ask(old, "select dataset, count(bbox_y0) as boxes from cells group by dataset order by dataset").rows
    assert bordered.to_pylist() == [
        {"dataset": "drawn", "boxes": 9},
        {"dataset": "new", "boxes": 9},
        {"dataset": "points", "boxes": 0},
    ]


@pytest.mark.parametrize(
    "words", [["info"], ["sql", "from cells"], ["lineage", "1", "--dataset", "drawn"], ["check"], ["log"]]
)
def test_any_command_opens_an_old_store(old, words):
    result = CliRunner().invoke(app, [words[0], str(old), *words[1:]])
    assert result.exit_code == 0, result.output
    assert facts_of(old)["schema_version"] == str(tables.SCHEMA_VERSION)


def test_python_opens_an_old_store(old):
    assert trackdb.open(old).sql("select count(intensity_mean) as n from cells").rows["n"].to_pylist() == [0]


# Dies before the k-th statement of an upgrade, for every k; each life has a store of its own.
LIVES = """
import os, sys
from pathlib import Path
import sqlalchemy as sa
from trackdb.storage.founding import GRAPH
from trackdb.storage.migrations import upgrade
run = sa.Connection.exec_driver_sql
for k, folder in enumerate(sys.argv[1:]):
    child = os.fork()
    if child == 0:
        left = [k]
        def counted(self, *args, **options):
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return run(self, *args, **options)
        sa.Connection.exec_driver_sql = counted
        upgrade(Path(folder) / GRAPH, patience_s=1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")
def test_an_upgrade_that_dies_half_way_changes_nothing(old, tmp_path):
    folders = [shutil.copytree(old, tmp_path / str(k) / "store.trackdb") for k in range(40)]
    done = subprocess.run([sys.executable, "-c", LIVES, *folders], capture_output=True, text=True, check=True)
    codes = [int(code) for code in done.stdout.split()]
    assert set(codes) == {0, 9}
    assert codes.count(9) > len(STEPS[2])
    for code, folder in zip(codes, folders, strict=True):
        assert facts_of(folder)["schema_version"] == ("1" if code else str(tables.SCHEMA_VERSION))
    last = folders[codes.count(9) - 1]
    assert schema_of(last) == schema_of(old)
    DuckDBStore(last).check_version()
    assert check(DuckDBStore(last)) == []


def test_an_old_store_that_cannot_be_written_says_what_to_do(tmp_path):
    """As root no permission holds, so the opening is done as nobody, in a folder that everybody may enter."""
    open_it = (
        "import os, sys; from pathlib import Path\n"
        "from trackdb.errors import VersionError; from trackdb.storage.duckdb_store import DuckDBStore\n"
        "os.geteuid() or os.setuid(65534)\n"
        "try: DuckDBStore(Path(sys.argv[1])).check_version()\n"
        "except VersionError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as place:
        store = unpacked(Path(place))
        os.chmod(store / GRAPH, 0o444)
        os.chmod(store, 0o555)
        os.chmod(place, 0o755)
        done = subprocess.run([sys.executable, "-c", open_it, store], capture_output=True, text=True, check=True)
        assert facts_of(store)["schema_version"] == "1"
        os.chmod(store, 0o755)
    assert "is of an older trackdb and has to be upgraded, but cannot be written" in done.stdout
    assert "try: give it write permission" in done.stdout


def test_an_old_store_that_another_process_reads_is_locked(old):
    hold = f"import duckdb, sys; c = duckdb.connect({str(old / GRAPH)!r}, read_only=True); print('held', flush=True); "
    child = subprocess.Popen(
        [sys.executable, "-c", hold + "sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreLockedError, match=f"pid {child.pid}"):
            DuckDBStore(old, patience_s=0.2).check_version()
        child.stdin.close()
    DuckDBStore(old).check_version()


@pytest.fixture
def later(old):
    """A store that trackdb 7.1 wrote, with tables that nobody here knows."""
    with duckdb.connect(old / GRAPH) as connection:
        connection.execute("update meta set value = '99' where key in ('schema_version', 'oldest_reader')")
        connection.execute("update run set code_version = '6.0.0'")
        connection.execute("update run set code_version = '7.1.0' where run_id = (select max(run_id) from run)")
    return old


def test_a_store_of_a_later_version_is_refused_with_the_version_that_it_needs(later):
    for use in (DuckDBStore(later).check_version, DuckDBStore(later).runs, lambda: trackdb.open(later)):
        with pytest.raises(VersionError, match=r"version 99.*trackdb 7.1.0, which wrote to it last.*trackdb>=7.1.0"):
            use()
    with duckdb.connect(later / GRAPH) as connection:
        connection.execute("alter table run rename column code_version to written_by")
    with pytest.raises(VersionError, match=r"pip install --upgrade trackdb$"):
        DuckDBStore(later).check_version()
    assert facts_of(later)["schema_version"] == "99"


@pytest.mark.parametrize(
    "words",
    [
        ["info"],
        ["log"],
        ["check"],
        ["check", "--repair"],
        ["solve"],
        ["sql", "from cells"],
        ["compact"],
        ["drop", "solution", "truth", "--yes"],
        ["export", "csv", "-o", "out.csv"],
    ],
    ids=" ".join,
)
def test_any_command_refuses_a_store_of_a_later_version(later, words):
    before = (later / GRAPH).read_bytes()
    place = [*words[:2], str(later), *words[2:]] if words[0] == "export" else [words[0], str(later), *words[1:]]
    result = CliRunner().invoke(app, place)
    assert result.exit_code == 3, result.output
    assert "trackdb 7.1.0" in result.stderr
    assert (later / GRAPH).read_bytes() == before


def test_a_later_version_that_we_still_understand_is_read(old):
    DuckDBStore(old).check_version()
    with duckdb.connect(old / GRAPH) as connection:
        connection.execute("update meta set value = '99' where key = 'schema_version'")
    assert DuckDBStore(old).runs()
    assert facts_of(old)["schema_version"] == "99"
