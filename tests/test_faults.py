"""Killed or refused at any step on the disk, a command loses nothing, shows nothing half, and can be given again."""

import errno
import importlib.util
import os
import random
import types

import pytest

from trackdb.engine.check import check
from trackdb.storage.commit_notes import COMMITS
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH

from . import faults
from .fault_bench import bench_in, judged
from .fault_commands import COMMANDS, STORE
from .faults import FAIL_ON, FAIL_ONCE, KILL, TEAR, Counts, kind_of

DRAWS = 5  # lives that may end before the step at which they are to be disturbed
LIVES = int(os.environ.get("TRACKDB_FAULTS", "1"))  # `make faults` takes 8, and every kind of step
HAS_TORCH = importlib.util.find_spec("torch") is not None
REFUSALS = {
    "a full disk": (FAIL_ON, errno.ENOSPC),
    "one error of the disk": (FAIL_ONCE, errno.EIO),
    "a broken disk": (FAIL_ON, errno.EIO),
    "a disk that is read-only": (FAIL_ON, errno.EROFS),
    "no permission": (FAIL_ON, errno.EACCES),
}
IN_CI = ("ingest masks", "solve", "posterior", "annotate", "annotations import", "drop", "migration", "export csv")
"""What is disturbed where nobody asks for more."""
ASKED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(command.network and not HAS_TORCH, reason="needs PyTorch: pip install '.[models]'"),
    )
    for name, command in COMMANDS.items()
    if LIVES > 1 or name in IN_CI
]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with bench_in(tmp_path_factory.mktemp("bench")) as made:
        yield made


def moments(steps, count, rng):
    """Return steps at which to disturb: of each kind the first and the last, or some of them, and others at random."""
    numbered = [(kind_of(step), number) for number, step in enumerate(steps, start=1)]
    named = sorted({*dict(reversed(numbered)).values(), *dict(numbered).values()})
    chosen = named if count >= 8 else rng.sample(named, min(count, len(named)) - 1)
    others = [number for number in range(1, len(steps) + 1) if number not in chosen]
    return chosen + rng.sample(others, min(len(others), max(count - len(chosen), count // 4, 1)))


def same_moment(steps, number, others):
    """Return the step of another life that is the same of its kind, counted from the last; None without that kind.

    Lives of one command differ in a step or two: DuckDB writes a log in pieces of 4 KB, and a log with numbers of its
    own choice in it is a few bytes longer one time than the next.
    """
    kinds = list(map(kind_of, steps))
    kind, behind = kinds[number - 1], kinds[number:].count(kinds[number - 1])
    alike = [place for place, step in enumerate(others, start=1) if kind_of(step) == kind]
    return alike[max(len(alike) - 1 - behind, 0)] if alike else None


def in_order(steps):
    """Return what a trace of steps gives a name, or acknowledges, before it is on the disk."""
    unsynced, unnamed, early, committed = set(), set(), [], False
    for step in steps:
        what, _, path = step.partition(" ")
        path, _, old = path.partition(" <- ")
        if what in ("make", "mkdir", "rename"):
            unnamed = unnamed - {old} | {path}
        elif what == "sync":  # of a folder: what stands in it has its name
            unnamed = {name for name in unnamed if name.rpartition("/")[0] != path}
        if what in ("write", "truncate"):
            unsynced.add(path)
        elif what in ("sync", "remove"):
            unsynced.discard(path)
        elif what == "rename":
            moved = {name for name in unsynced if name == old or name.startswith(f"{old}/")}
            unsynced = unsynced - moved | {path + name.removeprefix(old) for name in moved}
            if ("/arrays/" in path and ".tmp-" not in path) or (".partial/" in old and ".partial/" not in path):
                early += [f"{path} before {name}" for name in moved]
        if (what == "sync" and path.endswith(".wal")) or (what == "make" and path.endswith(COMMITS)):
            committed = True  # the first note of an old store tells what stands there before
        if what == "write" and path.endswith(COMMITS):
            early += [] if committed else ["note before its commit"]
            committed = False
    kept = [name for name in unsynced | unnamed if "/annotations" in name or name.endswith(COMMITS)]
    return early + [f"end before {name}" for name in kept]


@pytest.mark.parametrize(
    "name",
    [
        p
        for p in ASKED
        if LIVES > 1 or p.values[0] in ("ingest masks", "annotate", "annotations import", "solve", "export csv")
    ],
)
def test_what_gets_a_name_or_is_acknowledged_is_on_the_disk_before(bench, name):
    steps, *_ = bench.undisturbed(name)
    assert in_order(steps) == []


def disturbed(bench, name, counts, step, disturbance):
    """Live until a life is disturbed at a step; return it with all that is wrong about any.

    A life that ended before that step, or was to be torn where it wrote nothing, has told its own steps: the next is
    disturbed at the same moment of those.
    """
    steps, *_ = bench.undisturbed(name)
    number, wrong = step, []
    for _ in range(DRAWS):
        before = counts.counted.copy()
        life, wrong = judged(bench, name, counts, {**disturbance, "step": number})
        came = life.steps[number - 1 : number]
        if wrong or life.killed or (came and (disturbance["action"] != TEAR or came[0].startswith("write"))):
            return life, wrong
        counts.counted = before  # it was not disturbed
        number = same_moment(steps, step, life.steps)
        if number is None:
            break
    return life, [f"never came to step {step} ({steps[step - 1]}); the last life took {len(life.steps)}"]


@pytest.mark.parametrize("lengths", [[19, 20], [18, 19, 20], [21, 20], [20]])
@pytest.mark.parametrize(("step", "action"), [(20, KILL), (19, TEAR)])
def test_a_life_that_ends_before_its_step_is_followed_by_one_that_comes_to_it(monkeypatch, lengths, step, action):
    """Lives of so many steps, of which the last is no write."""

    def steps(count):
        return [*["write m.trackdb/a"] * (count - 1), "remove m.trackdb/a"]

    def lived(bench, name, counts, disturbance):
        there, at = steps(next(lives)), disturbance["step"]
        killed = at < len(there) or (at == len(there) and action == KILL)
        counts.counted.update(["before" if killed else "after"])
        return faults.Life(-9 if killed else 0, there[:at] if killed else there, 0, set(), ""), []

    lives, counts = iter(lengths), Counts("compact")
    monkeypatch.setattr(f"{__name__}.judged", lived)
    bench = types.SimpleNamespace(undisturbed=lambda name: (steps(20), {}, {}))
    life, wrong = disturbed(bench, "compact", counts, step, {"action": action})
    assert (life.killed, wrong, counts.counted) == (True, [], {"before": 1})


def test_a_life_that_never_comes_to_its_step_is_told(monkeypatch):
    monkeypatch.setattr(f"{__name__}.judged", lambda *_: (faults.Life(0, ["make m.trackdb/a"], 0, set(), ""), []))
    bench = types.SimpleNamespace(undisturbed=lambda name: (["make m.trackdb/a", "remove m.trackdb/a"], {}, {}))
    _, wrong = disturbed(bench, "compact", Counts("compact"), 2, {"action": KILL})
    assert wrong == ["never came to step 2 (remove m.trackdb/a); the last life took 1"]


@pytest.mark.parametrize("name", ASKED)
def test_a_command_killed_at_any_step_can_be_given_again(bench, name):
    steps, *_ = bench.undisturbed(name)
    rng = random.Random(name)
    counts = Counts(name, steps=len(steps), kinds=len(set(map(kind_of, steps))))
    wrong = []
    for number in moments(steps, LIVES, rng):
        action = TEAR if steps[number - 1].startswith("write") and rng.random() < 0.5 else KILL
        life, complaints = disturbed(bench, name, counts, number, {"action": action})
        if not life.killed:  # each life got as far as the step at which it was to die
            complaints.append(f"was not killed: {life.code} {life.said}")
        counts.counted.update(kills=1, torn=action == TEAR)
        wrong += [f"{name} killed at step {number} ({life.steps[-1:]}): {complaint}" for complaint in complaints]
    faults.keep(counts, wrong)
    assert wrong == []
    if (bench.folder / "life.of" / STORE).exists():
        found = [problem.what for problem in check(DuckDBStore(bench.folder / "life.of" / STORE))]
        assert [what for what in found if not what.startswith("nothing ")] == []  # refers to, or waits for


@pytest.mark.parametrize("name", ["ingest table", "import", "solve", "drop", "migration"] if LIVES > 1 else ["drop"])
def test_no_write_of_the_database_that_is_cut_in_half_costs_anything(bench, name):
    """Such as those by which a checkpoint writes over what the database still leads to, and those of their copy."""
    steps, *_ = bench.undisturbed(name)
    writes = [number for number, step in enumerate(steps, start=1) if step.startswith(f"write {STORE}/{GRAPH}")]
    counts, wrong = Counts(f"{name}, each write of the database cut", steps=len(steps)), []
    for number in writes[-(24 if LIVES > 1 else 6) :]:
        life, complaints = judged(bench, name, counts, {"action": TEAR, "step": number})
        if not life.killed:
            complaints.append(f"was not killed: {life.code} {life.said}")
        counts.counted.update(kills=1, torn=1)
        wrong += [f"{name} cut at step {number} ({life.steps[-1:]}): {complaint}" for complaint in complaints]
    faults.keep(counts, wrong)
    assert wrong == []


@pytest.mark.parametrize("name", ASKED if LIVES > 1 else ["ingest masks", "annotate", "export csv"])
def test_a_disk_that_refuses_is_told_and_the_command_can_be_given_again(bench, name):
    steps, *_ = bench.undisturbed(name)
    rng = random.Random(f"{name} is refused")
    counts = Counts(name)
    wrong = []
    kinds = list(REFUSALS) if LIVES > 1 else rng.sample(list(REFUSALS), 1)
    for what in kinds:
        action, error = REFUSALS[what]
        for number in moments(steps, max(LIVES // 3, 1), rng)[: max(LIVES // 3, 1)]:
            life, complaints = disturbed(bench, name, counts, number, {"action": action, "error": error})
            counts.counted.update(refusals=1, told=life.code != 0)
            wrong += [f"{name}, {what} at step {number} ({steps[number - 1]}): {c}" for c in complaints]
    counts.counted = {key: n for key, n in counts.counted.items() if key in ("refusals", "told", "lost", "half")}
    faults.keep(counts, wrong)
    assert wrong == []
