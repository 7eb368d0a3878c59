"""Real disks: one that runs full, one that may only be read; and a store that its reader may not write.

The disks are file systems in memory, of a size that can be changed. Who may not mount them does so as the root of a
namespace of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from . import fault_commands
from .command_line import refusal, run
from .fault_commands import COMMANDS, STORE, make_stage
from .faults import state_of

WHOLE_KB = 64 * 1024
NAMESPACE = ("unshare", "--map-root-user", "--mount")
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""As root every permission holds; a process that root starts in this way has what its files allow."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="disks in memory, and powers of root, are those of Linux"),
    pytest.mark.usefixtures("own_home_and_log"),
]


class Disk:
    """A file system in memory that holds a file of somebody else: one without a size would have no end."""

    def __init__(self, place: Path):
        self.place = place
        mount("-t", "tmpfs", "-o", f"size={WHOLE_KB}k", "tmpfs", place)
        (place / "others").write_bytes(bytes(1 << 16))

    def leave(self, kb: int) -> None:
        """Make it so small that only so much can be added."""
        told = os.statvfs(self.place)
        used_kb = (told.f_blocks - told.f_bfree) * told.f_frsize // 1024
        mount("-o", f"remount,size={used_kb + kb}k", self.place)

    def enlarge(self) -> None:
        mount("-o", f"remount,size={WHOLE_KB}k", self.place)

    def freeze(self) -> None:
        """Let it be read, and no more."""
        mount("-o", "remount,ro", self.place)

    def end(self) -> None:
        subprocess.run(["umount", "--lazy", self.place], check=True)


def mount(*words) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


@cache
def may_mount() -> bool:
    """Return whether this user may mount a file system, as tried where nobody sees it."""
    return os.geteuid() == 0 and works("unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt")


def works(*words: str) -> bool:
    return shutil.which(words[0]) is not None and subprocess.run(words, capture_output=True).returncode == 0


def disk_in(folder: Path) -> Disk:
    if not may_mount():
        pytest.skip("no file system may be mounted here; where it can be, a namespace is tried instead")
    place = folder / "disk"
    place.mkdir()
    return Disk(place)


@pytest.fixture
def disk(tmp_path):
    made = disk_in(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of what commands read, and of what they begin with."""
    folder = tmp_path_factory.mktemp("made")
    sources, stages = folder / "sources", folder / "stages"
    sources.mkdir()
    stages.mkdir()
    fault_commands.write_sources(sources)
    return sources, stages


@pytest.fixture(scope="module")
def frozen(made, tmp_path_factory):
    """A store with a posterior on a disk that may only be read."""
    disk = disk_in(tmp_path_factory.mktemp("frozen"))
    store = shutil.copytree(make_stage("weighed", *reversed(made)) / STORE, disk.place / STORE)
    disk.freeze()
    yield store
    disk.end()


def shown(folder: Path) -> dict[str, str]:
    """What can be seen of the folder of a case: neither arrays that no row refers to, nor tables without rows."""
    return {name: digest for name, digest in state_of(folder).items() if name not in ("files", "schema")}


@pytest.mark.parametrize(
    ("name", "left_kb"),
    [
        ("ingest table", 100),  # the tables have room, and no cells
        ("ingest masks", 100),  # nor pixels
        ("link", 0),
        ("solve", 8),  # the run has room, and no candidates
        ("annotate", 0),
    ],
)
def test_a_command_that_meets_a_full_disk_says_so_and_is_done_once_there_is_room(disk, made, name, left_kb):
    sources, stages = made
    folder, command = disk.place / "case", COMMANDS[name]
    fault_commands.begin(command, stages, sources, folder)
    before = shown(folder)
    disk.leave(left_kb)
    said = refusal(*command.words(folder, sources), code=3)
    assert str(folder / STORE) in said
    assert "could not be written" in said
    assert "No space left on device" in said
    assert "try     make room on the disk, and give it again" in said
    assert shown(folder) == before
    if command.begins:
        run("info", folder / STORE)  # who only reads needs no room
    disk.enlarge()
    run(*command.words(folder, sources))
    assert shown(folder) != before
    run("check", folder / STORE)


def test_an_export_to_a_full_disk_names_its_target_and_leaves_nothing(disk, made):
    store = make_stage("solved", *reversed(made)) / STORE
    out = disk.place / "tables"
    disk.leave(4)
    said = refusal("export", "csv", store, "-o", out, code=1)
    assert f"error: {out}: No space left on device" in said
    assert "try  make room, then give the command again" in said
    assert [path.name for path in disk.place.iterdir()] == ["others"]
    disk.enlarge()
    run("export", "csv", store, "-o", out)
    assert (out / "cells.csv").exists()


READ = (
    ("info",),
    ("sql", "select count(*) from cells"),
    ("annotations",),
    ("uncertain", "--top", "2"),
    ("lineage", "3"),
    ("log",),
    ("check",),
)
"""Commands that read a store, and what stands behind its name."""
WRITE = (
    ("annotate", "4", "--ends"),
    ("link", "--max-distance", "30"),
    ("solve", "--name", "again"),
    ("posterior", "--name", "again"),
    ("review", "--no-browser"),
    ("drop", "solution", "one", "--with-dependents", "--yes"),
    ("compact",),
    ("check", "--repair"),
)
"""Commands that write to it."""


@pytest.mark.parametrize("words", READ, ids=" ".join)
def test_a_store_on_a_disk_that_is_read_only_is_read(frozen, words):
    assert run(words[0], frozen, *words[1:]).stderr


@pytest.mark.parametrize("words", WRITE, ids=" ".join)
def test_what_would_write_to_a_disk_that_is_read_only_is_refused_with_what_helps(frozen, words):
    said = refusal(words[0], frozen, *words[1:], code=3)
    assert f"error: {frozen}" in said
    assert "could not be written" in said
    assert "read-only" in said.lower()
    assert f"work on a copy: cp -r {frozen} m-copy.trackdb" in said
    assert f"chmod -R u+w {frozen}" not in said  # which would help nobody here


def test_what_is_read_from_a_disk_that_is_read_only_is_exported_to_another(frozen, tmp_path):
    run("export", "csv", frozen, "-o", tmp_path / "tables")
    assert (tmp_path / "tables" / "cells.csv").exists()
    beside = frozen.parent / "tables"
    said = refusal("export", "csv", frozen, "-o", beside, code=1)
    assert f"error: {beside}: Read-only file system" in said
    assert "another place for -o" in said


def test_a_new_store_on_a_disk_that_is_read_only_is_refused(frozen, made):
    place = frozen.parent / "new.trackdb"
    said = refusal("ingest", made[0] / "table.csv", "-o", place, code=3)
    assert f"{place} cannot be made" in said
    assert "another place for -o" in said


# A process is started once; each line on its stdin is a command.
COMMANDED = """
import json, sys
from typer.testing import CliRunner
from trackdb.cli.main import app
for line in sys.stdin:
    done = CliRunner().invoke(app, json.loads(line))
    print(json.dumps([done.exit_code, done.stdout, done.stderr]), flush=True)
"""


class Reader:
    """Somebody who may read a store, and not write it."""

    def __init__(self, store: Path):
        self.store = store
        self.process = subprocess.Popen(
            [*POWERLESS, sys.executable, "-c", COMMANDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, verb, *words) -> tuple[int, str, str]:
        """Give a command; the store stands behind the verb, or where the words say so."""
        given = [self.store if word is STORE else word for word in words]
        given = given if STORE in words else [self.store, *given]
        print(json.dumps([verb, *map(str, given)]), file=self.process.stdin, flush=True)
        return tuple(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def reader(made, tmp_path_factory):
    if POWERLESS and not works(*POWERLESS, "true"):
        pytest.skip("this root may write everywhere, and cannot start a process that may not (setpriv)")
    store = shutil.copytree(make_stage("weighed", *reversed(made)) / STORE, tmp_path_factory.mktemp("theirs") / STORE)
    places = [store, *store.rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    somebody = Reader(store)
    yield somebody
    somebody.end()
    for place in places:
        place.chmod(0o755)


@pytest.mark.parametrize("words", [READ[0], READ[1], READ[-1]], ids=" ".join)
def test_who_may_only_read_a_store_reads_it(reader, words):
    code, _, said = reader.run(*words)
    assert code == 0, said


@pytest.mark.parametrize("words", [WRITE[0], WRITE[2], WRITE[-2]], ids=" ".join)
def test_who_may_only_read_a_store_is_refused_with_what_helps(reader, words):
    before = state_of(reader.store.parent)
    code, out, said = reader.run(*words)
    assert (code, out) == (3, ""), said
    assert f"error: {reader.store}/" in said
    assert "could not be written" in said
    assert f"chmod -R u+w {reader.store} as its owner, or work on a copy" in said
    assert state_of(reader.store.parent) == before


def test_what_one_may_only_read_is_exported_elsewhere(reader, tmp_path):
    code, _, said = reader.run("export", "csv", STORE, "-o", tmp_path / "tables")
    assert code == 0, said
    assert (tmp_path / "tables" / "cells.csv").exists()


def test_who_may_not_mount_tries_it_in_a_namespace():
    if may_mount():
        pytest.skip("file systems are mounted as it is")
    if not works(*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"):
        pytest.skip("no file system may be mounted here, not even in a namespace")
    words = [
        *NAMESPACE,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "full_disk or read_only",
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout
