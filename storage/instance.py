"""The DuckDB of this process: started once, it opens one store after the other.

To start DuckDB takes some 15 ms of CPU, most of it to register functions, and a command opens its store dozens of
times. To attach a file to a DuckDB that runs takes a tenth of that. One file is attached at a time, under the name that
it would have alone; whoever opens a second one meanwhile gets a DuckDB apart. No DuckDB merges a write-ahead log by
itself: that is done when a file that was written is let go, so that it may be cut short (`checkpoints`).
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from .checkpoints import SETTINGS, has_log, merge_log, undo_unfinished
from .torn_logs import cut_torn_log

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def opened(file: Path, *, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to a file, which is let go when the block ends.

    Parameters
    ----------
    file : Path
        The database; made if it is not there and `write` is given.
    write : bool
        False opens read-only.

    Raises
    ------
    duckdb.Error
        If the file cannot be opened: another process holds it, or it is none of DuckDB's.
    """
    place = str(file.absolute())
    instance = _OF_THIS_PROCESS
    owner, shared = instance.take(place, file.stem, write=write)
    sound = False
    try:
        with owner.cursor() as connection:
            if shared:
                connection.execute(f'use "{file.stem}"')
            # what is shared is asked once: that takes as long as a small query
            if not shared or instance.draws_a_bar(connection):
                draw_no_bar(connection)
            yield connection
        # what is committed is safe in the log if the disk is too full to merge it
        sound = not write or instance.merge(owner, place)
    finally:
        instance.give_back(owner, place, shared=shared, sound=sound)


def put_right(file: Path) -> None:
    """Undo a checkpoint of a file that was cut short, for a process that opens it by itself."""
    _OF_THIS_PROCESS.put_right(str(file.absolute()))


def draw_no_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep DuckDB from drawing a bar, as it would in notebooks; those without ipywidgets refuse the setting."""
    if _draws_a_bar(connection):
        connection.execute("set enable_progress_bar = false")


def _draws_a_bar(connection: duckdb.DuckDBPyConnection) -> bool:
    return connection.execute("select current_setting('enable_progress_bar')").fetchone() != (False,)


class _Instance:
    """A DuckDB in memory with at most one file attached, and the count of files that are open apart from it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._root: duckdb.DuckDBPyConnection | None = None
        self._attached: tuple[str, str, bool] | None = None  # place, name, for writing
        self._beside = ""  # the place beside which alone the root reads and writes
        self._users = 0
        self._apart: Counter[str] = Counter()
        self._merging = threading.Lock()
        self._handles: dict[str, int] = {}  # of files that were written, closed when nobody has them open any more
        self._draws: bool | None = None

    def take(self, place: str, name: str, *, write: bool) -> tuple[duckdb.DuckDBPyConnection, bool]:
        """Return the DuckDB that has a file open, and whether that is the shared one.

        A process loses its lock on a file when any of its handles closes, so one file has one handle: readers of the
        file that is attached share it, and who meets a file that is open apart joins it there.
        """
        with self._guard:
            self._put_right(place)
            try:
                return self._open(place, name, write=write)
            except duckdb.Error as error:
                if self._is_open(place) or not cut_torn_log(Path(place), str(error)):
                    raise
            return self._open(place, name, write=write)

    def _open(self, place: str, name: str, *, write: bool) -> tuple[duckdb.DuckDBPyConnection, bool]:
        if self._attached is None and not self._apart[place]:
            self._attach(place, name, write=write)
        elif self._attached != (place, name, False) or write:
            owner = duckdb.connect(place, read_only=not write, config={"enable_external_access": "false"})
            self._apart[place] += 1
            _never_merge(owner)
            return owner, False
        assert self._root is not None
        self._users += 1
        return self._root, True

    def put_right(self, place: str) -> None:
        """Undo a checkpoint that was cut short; where the file is open here, that was done when it was opened."""
        with self._guard:
            self._put_right(place)

    def _put_right(self, place: str) -> None:
        if not self._is_open(place):
            undo_unfinished(Path(place))

    def _is_open(self, place: str) -> bool:
        return bool(self._apart[place]) or (self._attached is not None and self._attached[0] == place)

    def _attach(self, place: str, name: str, *, write: bool) -> None:
        root = self._root if self._root and place == self._beside else _confined(place)
        # if the file cannot be attached, whatever is left of the attempt goes with the instance
        self._root, self._beside = None, place
        quoted = place.replace("'", "''")
        root.execute(f"attach '{quoted}' as \"{name}\"" + ("" if write else " (read_only)"))
        self._root, self._attached = root, (place, name, write)

    def draws_a_bar(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Tell whether the shared connections of this process would draw one, as the first of them says."""
        if self._draws is None:
            self._draws = _draws_a_bar(connection)
        return self._draws

    def merge(self, owner: duckdb.DuckDBPyConnection, place: str) -> bool:
        """Merge the log of a file that was written; return whether the disk took that."""
        file = Path(place)
        with self._merging:
            try:
                if has_log(file):
                    if place not in self._handles:
                        self._handles[place] = os.open(file, os.O_RDONLY)
                    merge_log(owner, file, self._handles[place])
            except (duckdb.Error, OSError):
                return False
            return True

    def give_back(self, owner: duckdb.DuckDBPyConnection, place: str, *, shared: bool, sound: bool) -> None:
        """Let a file go to which a connection is closed; after an error the DuckDB goes with it."""
        with self._guard:
            try:
                if shared:
                    self._detach(sound=sound)
                else:
                    owner.close()
                    self._apart[place] -= 1
            finally:
                if not self._is_open(place) and place in self._handles:
                    os.close(self._handles.pop(place))

    def _detach(self, *, sound: bool) -> None:
        self._users -= 1
        if self._users:
            return
        assert self._root is not None
        assert self._attached is not None
        root, name = self._root, self._attached[1]
        self._root = self._attached = None
        with suppress(duckdb.Error):
            root.execute(f'detach "{name}"')
            if sound:
                self._root = root
                return
        root.close()


def _confined(place: str) -> duckdb.DuckDBPyConnection:
    """Start a DuckDB that reads and writes beside one file alone, whatever stands in that file."""
    root = duckdb.connect(":memory:")
    file, folder = place.replace("'", "''"), os.path.dirname(place).replace("'", "''")
    root.execute(f"set temp_directory = '{file}.tmp'")
    root.execute(f"set allowed_directories = ['{folder}']")
    root.execute("set enable_external_access = false")
    _never_merge(root)
    return root


def _never_merge(started: duckdb.DuckDBPyConnection) -> None:
    """Keep a DuckDB from checkpoints of its own."""
    for setting in SETTINGS:
        started.execute(setting)


_OF_THIS_PROCESS = _Instance()
_LEFT_BEHIND: list[_Instance] = []


def _begin_anew() -> None:
    """Leave the DuckDB of the parent alone: its threads did not come along with a fork."""
    global _OF_THIS_PROCESS
    _LEFT_BEHIND.append(_OF_THIS_PROCESS)
    _OF_THIS_PROCESS = _Instance()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
