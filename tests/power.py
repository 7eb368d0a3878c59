"""What a power failure leaves of a life: all that it had synced, and of the rest what chance has kept.

A life is recorded by `faulty_disk.c`, call by call. It is lived again here on a disk of Python that knows, of each file
and each folder, what is safe and what is not yet: bytes are safe once their file was synced, a name once the folder in
which it stands was. What is not safe may be lost or kept in pieces of 4 kB, in any order.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE = 4096  # bytes that a disk writes as one


@dataclass(frozen=True)
class Done:
    """A call that changed something below the folder of a case, or an acknowledgement (``told``)."""

    what: str
    path: str
    old: str
    offset: int
    data: bytes


def read_record(file: Path) -> Iterator[Done]:
    """Read what a life did, in its order."""
    with file.open("rb") as stream:
        while line := stream.readline():
            what, path, old, offset, length = line.decode().rstrip("\n").split("\t")
            data = stream.read(int(length)) if what in ("write", "told") else b""
            yield Done(what, path, old, int(offset), data)


class File:
    """Bytes: what is safe, and what was changed since."""

    def __init__(self, safe: bytes = b"") -> None:
        self.safe, self.changes = safe, []

    def write(self, offset: int, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self.changes.append((offset + start, data[start : start + PIECE]))

    def truncate(self, length: int) -> None:
        self.changes.append((length, None))

    def sync(self) -> None:
        self.safe, self.changes = self.left(lambda: True), []

    def left(self, kept: Callable[[], bool]) -> bytes:
        """Return its bytes if of the changes those remain that are `kept`; what was never written is 0."""
        there = bytearray(self.safe)
        for at, data in self.changes:
            if not kept():
                continue
            there.extend(bytes(max(at - len(there), 0)))
            if data is None:
                del there[at:]
            else:
                there[at : at + len(data)] = data
        return bytes(there)


class Folder:
    """Names: those that are safe, those of now, and all states between the two."""

    def __init__(self) -> None:
        self.states: list[dict[str, File | Folder]] = [{}]

    @property
    def now(self) -> dict[str, "File | Folder"]:
        return self.states[-1]

    def change(self, name: str, node: "File | Folder | None") -> None:
        """Give a name to something, or take it away."""
        there = dict(self.now)
        there.pop(name, None)
        self.states.append(there | ({name: node} if node else {}))

    def sync(self) -> None:
        self.states = [self.now]


@dataclass(frozen=True)
class Failure:
    """What is kept of that which was not safe: states of folders, and pieces of files."""

    name: str
    names: Callable[[random.Random, list[dict]], dict]
    pieces: Callable[[random.Random], bool]


FAILURES = (
    Failure("nothing", lambda rng, states: states[0], lambda rng: False),
    Failure("names", lambda rng, states: states[-1], lambda rng: False),
    Failure("bytes", lambda rng, states: states[0], lambda rng: True),
    Failure("names and some bytes", lambda rng, states: states[-1], lambda rng: rng.random() < 0.5),
    Failure("some of both", lambda rng, states: rng.choice(states), lambda rng: rng.random() < 0.5),
)
"""A disk keeps of what was not synced, by name, this much."""
WHOLE = Failure("all", lambda rng, states: states[-1], lambda rng: True)
"""No failure: what was not synced is there as well."""


class Disk:
    """The disk below the folder of a case, which begins with all that stands there, safe."""

    def __init__(self, folder: Path) -> None:
        self.root = _read(folder)
        self._moves: list[tuple[Folder, Folder]] = []  # of names between two folders, both of which have it or neither

    def do(self, done: Done) -> None:
        """Change what a call changed."""
        try:
            folder, name = self._place(done.path)
        except KeyError:  # a call that failed: the folder was not there yet, or not any more
            assert done.what in ("make", "mkdir", "remove"), done
            return
        node = folder.now.get(name) if name else folder
        if done.what in ("make", "mkdir"):
            folder.change(name, File() if done.what == "make" else Folder())
        elif done.what == "write":
            node.write(done.offset, done.data)
        elif done.what == "truncate":
            node.truncate(done.offset)
        elif done.what == "sync":
            for each in [node, *(other for pair in self._moves if node in pair for other in pair)]:
                each.sync()
            self._moves = [pair for pair in self._moves if node not in pair]
        elif done.what == "remove" and not (isinstance(node, Folder) and node.now):  # else the call failed
            folder.change(name, None)
        elif done.what in ("rename", "renameat", "link"):
            self._rename(done, folder, name)

    def _rename(self, done: Done, folder: Folder, name: str) -> None:
        before, old = self._place(done.old)
        node, there = before.now[old], dict(folder.now)
        if before is not folder:
            self._moves.append((before, folder))
            before.change(old, None)
        elif done.what != "link":
            del there[old]
        folder.states.append(there | {name: node})  # at once

    def _place(self, path: str) -> tuple[Folder, str]:
        """Return the folder in which a path stands, and its last name."""
        *above, name = path.split("/")
        folder = self.root
        for each in above:
            folder = folder.now[each]
        return folder, name

    def fail(self, place: Path, failure: Failure, rng: random.Random) -> None:
        """Write what is left after a power failure into a folder that is not there yet."""
        moved = {}
        for pair in self._moves:
            first, last = (tuple(folder.states[k] for folder in pair) for k in (0, -1))
            moved |= zip(pair, failure.names(rng, [first, last]), strict=True)
        _write(self.root, place, failure, rng, moved)


def _read(folder: Path) -> Folder:
    made = Folder()
    for path in folder.iterdir():
        made.now[path.name] = _read(path) if path.is_dir() else File(path.read_bytes())
    return made


def _write(folder: Folder, place: Path, failure: Failure, rng: random.Random, moved: dict[Folder, dict]) -> None:
    place.mkdir()
    names = moved[folder] if folder in moved else failure.names(rng, folder.states)
    for name, node in names.items():
        if isinstance(node, Folder):
            _write(node, place / name, failure, rng, moved)
        else:
            (place / name).write_bytes(node.left(lambda: failure.pieces(rng)))
