"""The doctor: what is there is told as it is, what is missing with how to get it, and a store with who holds it."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from trackdb.engine import doctor
from trackdb.engine.doctor import Package, examined, packages_of
from trackdb.engine.holders import holders_of
from trackdb.storage import tables
from trackdb.storage.founding import GRAPH

from .command_line import answer, refusal, run

pytestmark = pytest.mark.usefixtures("own_home_and_log")


def found(name, version, wanted="", extra=""):
    return Package(name, wanted, extra, version)


def test_the_machine_is_told_as_it_is(tmp_path):
    machine = examined(tmp_path / "not" / "there")
    assert machine.python == sys.version.split()[0]
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.place == str(tmp_path)
    assert 0 < machine.memory_free_bytes < machine.memory_bytes
    assert {p.name: p.found for p in machine.packages}["duckdb"] == importlib.metadata.version("duckdb")
    assert {"ilp", "highs", "motile", "lap", "greedy"} <= set(machine.solvers)
    assert not [gap for gap in machine.missing() if gap.needed]


def test_requirements_are_read_with_their_extras_and_without_those_of_developers():
    packages = packages_of(["duckdb<3,>=2", 'nothing-of-that-name>=1; extra == "plot"', 'pytest>=8; extra == "dev"'])
    assert [(p.name, p.wanted, p.extra, p.fits) for p in packages] == [
        ("duckdb", "<3,>=2", "", True),
        ("nothing-of-that-name", ">=1", "plot", False),
    ]


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.0.0", ">=2,<3", True),
        ("1.10", ">=1.9", True),
        ("1.9.9", ">=1.10", False),
        ("3.0", ">=2,<3", False),
        ("2.13.0+cpu", ">=2.4", True),
        ("2024.8.10", ">=2024.8", True),
        ("2", ">=2.0", True),
        ("1.0", "", True),
    ],
)
def test_a_version_fits_its_bounds(version, wanted, fits):
    assert found("x", version, wanted).fits == fits


def ailing(tmp_path, **facts):
    """The machine of these tests with other facts."""
    machine = examined(tmp_path)
    fields = {name: getattr(machine, name) for name in machine.__slots__}
    return doctor.Machine(**(fields | facts))


def test_what_is_missing_is_told_with_how_to_get_it(tmp_path):
    packages = [
        found("matplotlib", None, ">=3.8", "plot"),
        found("duckdb", "1.4.0", ">=2,<3"),
        found("torch", "2.13.0+cpu", ">=2.4", "models"),
    ]
    machine = ailing(tmp_path, packages=packages, kernels=None, disk_free_bytes=10**6, gpus=["NVIDIA H200, 140 GB"])
    told = {gap.what: gap for gap in machine.missing()}
    assert [gap.needed for gap in machine.missing()] == [True, True, False, False, False]
    assert told["duckdb >=2,<3 (there is 1.4.0)"].remedy == "pip install -c constraints.txt ."
    assert told["matplotlib"].remedy == 'pip install -c constraints.txt ".[plot]"'
    assert "NUMBA_CACHE_DIR" in told["a folder for compiled kernels"].remedy
    assert "NVIDIA H200" in told["a torch for CUDA"].why
    assert "1 MB free" in told["room on the disk"].why


def test_a_missing_package_fails_the_command(monkeypatch, tmp_path):
    machine = ailing(tmp_path, packages=[found("duckdb", None, ">=2")])
    monkeypatch.setattr(doctor, "examined", lambda _: machine)
    told = answer("doctor", code=5)
    assert told["ok"] is False
    assert [gap["what"] for gap in told["missing"] if gap["needed"]] == ["duckdb"]


def test_it_tells_people_and_programs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = answer("doctor")
    assert (told["ok"], told["store"]) == (True, None)
    assert told["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert {"python", "system", "cores", "memory_bytes", "gpus", "solvers", "disk_free_bytes", "missing"} <= set(told)
    shown = run("doctor")
    assert "duckdb" in shown.stdout
    assert "nothing that it needs is missing" in shown.stderr


def test_it_starts_without_what_it_asks_about():
    code = (
        "import sys\nfrom trackdb.cli.main import app\n"
        "try: app(['doctor', '--json'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'duckdb', 'numba', 'pyarrow', 'scipy', 'sqlalchemy', 'zarr', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_store_that_nobody_holds(solved):
    told = answer("doctor", solved.path)["store"]
    assert told["store_schema_version"] == tables.SCHEMA_VERSION
    assert told["writable"] is True
    assert (told["held_by"], told["leases"], told["at_work"], told["left_behind"]) == (None, [], [], [])
    assert "no store" in refusal("doctor", solved.path.parent / "other.trackdb", code=3)


def test_a_store_whose_database_may_not_be_written_is_told_so(solved, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _: path.name != GRAPH)
    assert not holders_of(solved.path).writable


@pytest.mark.parametrize("read_only", [True, False])
def test_who_holds_a_store_is_named(solved, read_only):
    hold = (
        f"import duckdb, sys; c = duckdb.connect({str(solved.path / GRAPH)!r}, read_only={read_only})\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "held\n"
        told = holders_of(solved.path)
        child.stdin.close()
    assert f"pid {child.pid}" in told.held_by
    assert (told.schema_version is None) == (not read_only)
    assert told.trouble is None


def test_work_under_way_and_work_that_was_left_behind(solved):
    with solved.running("score", "mine", {}):
        told = holders_of(solved.path)
    assert [said.startswith("score mine by pid") for said in told.at_work] == [True]
    assert told.left_behind == []
    assert [name.startswith("run-") for name in told.leases] == [True]
    told = holders_of(solved.path)
    assert (told.at_work, len(told.left_behind)) == ([], 1)
    assert "give its command again" in run("doctor", solved.path).stdout


def test_a_store_of_a_later_version_is_trouble(solved):
    with solved.writing() as connection:
        connection.exec_driver_sql("update meta set value = '99' where key in ('schema_version', 'oldest_reader')")
    told = answer("doctor", solved.path, code=5)
    assert "newer trackdb" in told["store"]["trouble"]


def test_a_store_that_cannot_be_read_is_trouble(solved):
    (solved.path / GRAPH).write_bytes(b"no database" * 5000)
    assert "damaged" in answer("doctor", solved.path, code=5)["store"]["trouble"]
