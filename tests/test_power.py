"""Where the power fails, nothing that was acknowledged is lost, nothing is half there, and the command goes again."""

import os
import random
import shutil

import pytest

from trackdb.engine.check import check
from trackdb.storage.duckdb_store import DuckDBStore

from . import faults
from .fault_bench import bench_in, faults_of
from .fault_commands import STORE
from .faults import Counts, Life, commits_of
from .power import FAILURES, WHOLE, Disk, read_record
from .test_faults import ASKED, LIVES

IN_CI = ("ingest masks", "annotate", "migration")
MOMENTS = 8 if LIVES > 1 else 2
WAYS = len(FAILURES) if LIVES > 1 else 2  # to keep more or less of what was not synced, at each of these moments

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")]


class Recorded:
    """A life of a command that nothing disturbed: where it began, all that it did, and commits before it."""

    def __init__(self, bench, name):
        place = bench.begin(name)
        self.start, record = bench.folder / "start", bench.folder / "record"
        shutil.rmtree(self.start, ignore_errors=True)
        shutil.copytree(place, self.start)
        self.commits = commits_of(self.start / STORE)
        life = bench.live(name, place, record=record)
        assert life.code == 0, life.said
        self.place, self.done = place, list(read_record(record))

    def until(self, moment):
        """Return the disk after so many calls, and the life that ended there: behind the last one, well."""
        disk = Disk(self.start)
        for done in self.done[:moment]:
            disk.do(done)
        told = b"".join(done.data for done in self.done[:moment] if done.what == "told").decode().split("\n")
        keys = {word.partition(" ")[2] for word in told if word.startswith("entry")}
        return disk, Life(0 if moment == len(self.done) else -9, [], told.count("commit"), keys, "")

    def moments(self, count, rng):
        """Return calls behind which the power fails: the last, half of them right behind an acknowledgement, others."""
        behind = [k for k, done in enumerate(self.done, start=1) if done.what == "told" and k < len(self.done)]
        chosen = [len(self.done), *rng.sample(behind, min(len(behind), (count - 1) // 2))]
        others = [k for k in range(1, len(self.done) + 1) if k not in chosen]
        return sorted(chosen + rng.sample(others, min(len(others), count - len(chosen))))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with bench_in(tmp_path_factory.mktemp("bench")) as made:
        yield made


def files_in(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def wrong_after(bench, name, counts, recorded, moment, failure, rng):
    """Let the power fail once; return all that is wrong about what is left, and about giving the command again."""
    disk, life = recorded.until(moment)
    shutil.rmtree(recorded.place)
    disk.fail(recorded.place, failure, rng)
    try:
        wrong = faults_of(bench, name, counts, recorded.place, life, recorded.commits)
        if (recorded.place / STORE).exists():  # pixels are what their digest says, too
            found = [problem.what for problem in check(DuckDBStore(recorded.place / STORE))]
            wrong += [what for what in found if not what.startswith("nothing ")]  # refers to, or waits for
    except Exception as error:
        counts.counted.update(lost=1)
        wrong = [f"cannot be read: {error}"]
    return wrong


@pytest.mark.parametrize("name", [p for p in ASKED if LIVES > 1 or p.values[0] in IN_CI])
def test_where_the_power_fails_nothing_acknowledged_is_lost(bench, name):
    bench.undisturbed(name)
    recorded, rng = Recorded(bench, name), random.Random(f"{name} in the dark")
    whole = bench.folder / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    recorded.until(len(recorded.done))[0].fail(whole, WHOLE, rng)
    assert files_in(whole) == files_in(recorded.place)  # the record tells all that happened to the disk
    counts, wrong = Counts(f"{name}, the power failing"), []
    for moment in recorded.moments(MOMENTS, rng):
        for failure in rng.sample(FAILURES, WAYS):
            complaints = wrong_after(bench, name, counts, recorded, moment, failure, rng)
            at = f"{recorded.done[moment - 1].what} {recorded.done[moment - 1].path}"
            wrong += [f"{name} after call {moment} ({at}), kept {failure.name}: {c}" for c in complaints]
            counts.counted.update(failures=1)
    faults.keep(counts, wrong)
    assert wrong == []
