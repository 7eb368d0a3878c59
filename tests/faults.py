"""Lives of commands on a faulty disk: what each did, what a store and its outputs say behind it, and the counts."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from trackdb.storage.checkpoints import HEADERS
from trackdb.storage.decisions import live
from trackdb.storage.founding import GRAPH
from trackdb.storage.instance import opened
from trackdb.storage.log_files import read_log

HERE = Path(__file__).parent
WATCH, KILL, TEAR, FAIL_ONCE, FAIL_ON = range(5)
"""What `faulty_disk.c` does at a step: nothing, kill before it, kill amid it, refuse it, or it and all that follow."""

ONE_BY_ONE = {"ZARR_ASYNC__CONCURRENCY": "1", "ZARR_THREADING__MAX_WORKERS": "1"}
"""Files of an array are written one after the other, so that two runs take the same number of steps."""


def build_disk(folder: Path) -> Path | None:
    """Compile the faulty disk; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "faulty_disk.so"
    words = [compiler, "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, HERE / "faulty_disk.c", "-ldl"]
    subprocess.run(words, check=True)
    return library


@dataclass(frozen=True)
class Life:
    """How a command ended: its exit code (-9 if killed), its steps, what it acknowledged, and what it said."""

    code: int
    steps: list[str]
    commits: int
    entries: set[str]
    said: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Lives:
    """The warm process, and the disk under it."""

    def __init__(self, library: Path, folder: Path, *, networks: bool) -> None:
        self.notes = folder / "life"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.lives", *(["networks"] if networks else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parent,
            env=os.environ | {"LD_PRELOAD": str(library), "HOME": str(folder)} | ONE_BY_ONE,
        )
        assert self.process.stdout.readline() == "ready\n"

    def live(
        self, root: Path, words, *, action: int = WATCH, step: int = 0, error: int = 0, record: Path | None = None
    ) -> Life:
        """Run a command; files below `root` lie on the faulty disk, and what it does there is recorded if asked for."""
        task = {"words": list(map(str, words)), "root": f"{root}/", "action": action, "step": step, "error": error}
        task["record"] = str(record or "")
        print(json.dumps(task | {"notes": str(self.notes)}), file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        told = {name: Path(f"{self.notes}.{name}").read_text() for name in ("trace", "acknowledged", "out", "err")}
        words_back = told["acknowledged"].split("\n")[:-1]
        return Life(
            code,
            told["trace"].split("\n")[:-1],
            words_back.count("commit"),
            {word.partition(" ")[2] for word in words_back if word.startswith("entry")},
            told["err"],
        )

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def kind_of(step: str) -> str:
    """Return a step without what differs between two runs: numbers, digests, names of partial files."""
    what, _, path = step.partition(" ")
    path = path.partition(" <- ")[0]
    first, _, rest = path.partition("/")
    if not first.endswith(".trackdb"):  # what is exported or taught: all of its files are alike
        return f"{what} {re.sub(r'[.][0-9a-f]{8}-[0-9a-f]{8}[.]partial', ' (partial)', first)}{'/...' * bool(rest)}"
    path = re.sub(r"[0-9a-f]{64}(/.*)?", "<digest>", path)
    path = re.sub(r"import-[0-9a-f]+", "import-<digest>", path)
    path = re.sub(r"[^/]*[.]?[0-9a-f]{32}[.]partial|[^/]*[.][0-9a-f]{8}-[0-9a-f]{8}[.]partial", "N.partial", path)
    return f"{what} {re.sub('[0-9]+', 'N', path)}"


OF_DONE = "(select run_id from run where state = 'done')"
OF_SETS = f"(select set_id from detection_set where run_id in {OF_DONE})"
OF_CELLS = f"(select det_id from detection where set_id in {OF_SETS})"
NAME = "(select any_value(kind || ' ' || name) from run r where r.run_id = {0}.run_id)"
SEEN = {
    "schema": "select value, (select string_agg(column_name, ' ' order by column_name) from duckdb_columns()) "
    "from meta where key = 'schema_version'",
    "dataset": f"select * exclude (run_id, source) from dataset where run_id in {OF_DONE}",
    "pixels": f"select * exclude (run_id), {NAME.format('array_ref')} from array_ref where run_id in {OF_DONE}",
    "cells": f"select * from detection where set_id in {OF_SETS}",
    "features": f"select * from detection_feature where det_id in {OF_CELLS}",
    "intensities": f"select * from detection_intensity where det_id in {OF_CELLS}",
    "properties": f"select * from detection_property where det_id in {OF_CELLS}",
    "edges": "select * from edge",
    "scores": f"select edge_id, score, {NAME.format('edge_score')} from edge_score where run_id in {OF_DONE}",
    "solutions": f"select * exclude (run_id) from solution where run_id in {OF_DONE}",
    "nodes": "select * from solution_node",
    "links": "select * from solution_edge",
    "prices": "select * from solution_dual",
    "tracks": "select * from track",
    "posteriors": f"select * exclude (run_id) from posterior where run_id in {OF_DONE}",
    "probabilities": "select * from edge_probability",
    "outcomes": "select * from cell_outcome",
    "runs": "select distinct kind, name from run where state = 'done'",
}
"""What can be seen of a store, and is the same however often its commands were disturbed."""
MODEL = "model"  # folder that a training fills; it begins with what the training needs to go on
TOGETHER = {
    "graph": ("edges",),
    "scores": ("scores",),
    "lineages": ("solutions", "nodes", "links", "prices", "tracks"),
}
"""What stages of one command commit one after the other; the rest is committed together."""


def state_of(folder: Path) -> dict[str, str]:
    """Return digests of all that the folder of a case shows: its store's tables, answers and arrays, and outputs."""
    state = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".trackdb":
            told = {"answers": _answers(path), "files": _arrays(path)}
            state |= _tables(path) | {name: _digest(rows) for name, rows in told.items() if rows}
        elif path.name == MODEL:
            state |= {MODEL: _digest(_files(path))} if (path / "model.pt").exists() else {}
        elif not path.name.startswith("."):
            state[path.name] = _digest(_files(path))
    return state


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Open the tables past trackdb, which would upgrade them; None where there are none yet."""
    if not (path / GRAPH).exists() or (path / GRAPH).stat().st_size < HEADERS:
        yield None  # killed before the database had a head
        return
    with opened(path / GRAPH, write=False) as connection:
        founded = connection.execute("select count(*) from duckdb_tables()").fetchone()[0]
        yield connection if founded else None


def _tables(path: Path) -> dict[str, str]:
    with _reading(path) as connection:
        found = {name: connection.execute(query).fetchall() for name, query in SEEN.items()} if connection else {}
    return {name: _digest(sorted(map(repr, rows))) for name, rows in found.items() if rows}


def commits_of(path: Path) -> int:
    """Return the counter of commits of a store; 0 where there is none."""
    with _reading(path) as connection:
        told = connection and connection.execute("select value from meta where key = 'commits'").fetchone()
    return int(told[0]) if told else 0


def _answers(path: Path) -> list[str]:
    """What counts of what people said, however often it was said."""
    return sorted({f"{d.who} {d.kind} {d.cell and d.cell.id} {d.daughters}" for d in live(read_log(path))})


def _arrays(path: Path) -> list[str]:
    """Arrays by their digests, and what unfinished work keeps."""
    kept = [f"{f.parent.name}/{f.name}" for name in ("arrays", "unfinished") for f in (path / name).glob("*")]
    return sorted(re.sub(r"\d+$", "N", name) if name.startswith("unfinished") else name for name in kept)


def _files(path: Path) -> list[str]:
    """Names and digests of all files; of a model those without times, which are there before its weights."""
    wanted = ("config.yaml", "model.pt") if path.name == MODEL else ("*",)
    files = [path] if path.is_file() else sorted(f for name in wanted for f in path.rglob(name) if f.is_file())
    return [f"{f.relative_to(path.parent)} {hashlib.sha256(f.read_bytes()).hexdigest()}" for f in files]


def _digest(rows: list[str]) -> str:
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def half_visible(state: dict, before: dict, after: dict, *, staged: bool, gradual: bool) -> list[str]:
    """Return the parts of a state that are neither as before nor as after, or are that of one without the other.

    Commands that are `gradual` give one answer after the other.
    """
    # tables come before rows, and arrays have their name before a row refers to them
    names = {*before, *after, *state} - {
        "files",
        "runs",
        *(["schema"] if not before else []),
        *(["answers"] if gradual else []),
    }
    torn = [name for name in names if state.get(name) not in (before.get(name), after.get(name))]
    changes = {name for name in names if after.get(name) != before.get(name)}
    moved = {name for name in changes if state.get(name) != before.get(name)}
    stages = [changes & set(of_stage) for of_stage in TOGETHER.values()] if staged else []
    stages.append(changes.difference(*stages))
    return sorted([*torn, *(name for stage in stages if stage & moved for name in stage - moved)])


@dataclass
class Counts:
    """What happened to the lives of one command."""

    command: str
    steps: int = 0
    kinds: int = 0
    counted: Counter = field(default_factory=Counter)

    def row(self) -> dict:
        return {"command": self.command, "steps": self.steps, "kinds": self.kinds, **self.counted}


def keep(counts: Counts, wrong: Sequence[str] = ()) -> None:
    """Add a row to the table that `make faults` prints, where one is asked for, and what was wrong."""
    table = os.environ.get("TRACKDB_FAULTS_TABLE")
    if table:
        with Path(table).open("a") as stream:
            print(json.dumps(counts.row() | {"wrong": list(wrong)}), file=stream)
