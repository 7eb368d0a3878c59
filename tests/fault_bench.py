"""Commands on a faulty disk, what they do when nothing disturbs them, and what is wrong about a disturbed one."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trackdb.storage.log_files import read_log
from trackdb.storage.partials import is_partial

from . import fault_commands, faults
from .fault_commands import COMMANDS, STORE
from .faults import Counts, Life, commits_of, half_visible, state_of


class Bench:
    """Commands on a faulty disk, and what they do when nothing disturbs them."""

    def __init__(self, folder):
        library = faults.build_disk(folder)
        if library is None:
            pytest.skip("the faulty disk is a library of Linux that a C compiler makes, and there is none")
        self.folder, self.sources, self.stages = folder, folder / "sources", folder / "stages"
        self.sources.mkdir()
        self.stages.mkdir()
        fault_commands.write_sources(self.sources)
        self._library, self._warm = library, {}
        self._undisturbed = {}

    def begin(self, name):
        """Return a folder in which a command can begin."""
        place = self.folder / "life.of"
        shutil.rmtree(place, ignore_errors=True)
        fault_commands.begin(COMMANDS[name], self.stages, self.sources, place)
        return place

    def live(self, name, place, **disturbance):
        command = COMMANDS[name]
        return self._lives(command.network).live(place, command.words(place, self.sources), **disturbance)

    def _lives(self, network):
        """Return the warm process of commands that need PyTorch, or of those that do not."""
        if network not in self._warm:
            if network:
                model = str(self.sources / "model")
                making = f"from pathlib import Path; from tests.test_networks import *; write_model(Path({model!r}))"
                # PyTorch stays out of this process
                subprocess.run([sys.executable, "-c", making], check=True, cwd=faults.HERE.parent)
            self._warm[network] = faults.Lives(self._library, self.folder, networks=network)
        return self._warm[network]

    def end(self):
        for lives in self._warm.values():
            lives.end()

    def undisturbed(self, name):
        """Return the steps of a command, and the states before and after it."""
        if name not in self._undisturbed:
            place = self.begin(name)
            before = state_of(place)
            life = self.live(name, place)
            assert life.code == 0, life.said
            after = state_of(place)
            assert (after != before) == COMMANDS[name].changes
            self._undisturbed[name] = life.steps, before, after
        return self._undisturbed[name]


def lost(place, before, life):
    """Return what a life acknowledged and its store does not hold."""
    if not (place / STORE).exists():
        return ["the store"] * bool(life.commits)
    keys = {d.key for d in read_log(place / STORE)}
    gone = sorted(life.entries - keys)
    if life.commits:
        missing = before + life.commits - commits_of(place / STORE)
        gone += [f"{missing} commits"] if missing > 0 else []
    return gone


def seen(state, before):
    """What of a state can be seen: arrays that no row refers to cannot, nor tables without rows."""
    return {name: digest for name, digest in state.items() if name != "files" and (before or name != "schema")}


def judged(bench, name, counts, disturbance):
    """Live once in a disturbed way, and again in peace; return all that is wrong about it."""
    place = bench.begin(name)
    commits = commits_of(place / STORE)
    life = bench.live(name, place, **disturbance)
    return life, faults_of(bench, name, counts, place, life, commits)


def faults_of(bench: Bench, name: str, counts: Counts, place: Path, life: Life, commits: int) -> list[str]:
    """Return what is wrong about what a life left, which began with so many commits, and about giving it again."""
    _, before, after = bench.undisturbed(name)
    state = state_of(place)
    command, gone = COMMANDS[name], lost(place, commits, life)
    torn = half_visible(state, before, after, staged=command.staged, gradual=command.gradual)
    wrong = [f"half visible: {torn}"] * bool(torn) + [f"lost: {gone}"] * bool(gone)
    counts.counted.update(half=bool(torn), lost=bool(gone))
    now, then, first = (seen(each, before) for each in (state, after, before))
    where = "after" if now == then else "before" if now == first else "between"
    counts.counted.update([where])
    if life.code == 0 and where != "after":
        wrong.append(f"said that it was done, and is {where}")
    if not life.killed and life.code != 0 and not ("error: " in life.said and 1 <= life.code <= 5):
        wrong.append(f"ended with {life.code} and said {life.said}")
    if where != "after" or not command.changes:
        again = bench.live(name, place)
        if again.code or state_of(place) != after:
            wrong.append(f"given again: {again.code} {again.said} differs in {differing(state_of(place), after)}")
        wrong += [f"left behind: {path.name}" for path in place.iterdir() if is_partial(path)]
    return wrong


def differing(state, other):
    return sorted(name for name in {**state, **other} if state.get(name) != other.get(name))


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Make a bench, and end its processes."""
    made = Bench(folder)
    yield made
    made.end()
