"""The DuckDB of this process: started once, it opens one store after the other.

To start DuckDB takes some 15 ms of CPU, most of it to register functions, and a command opens its store dozens of
times. To attach a file to a DuckDB that runs takes a tenth of that. One file is attached at a time, under the name that
it would have alone; whoever opens a second one meanwhile gets a DuckDB apart.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    connection, shared = instance.take(place, file.stem, write=write)
    sound = False
    try:
        # what is shared is asked once: that takes as long as a small query
        if not shared or instance.draws_a_bar(connection):
            draw_no_bar(connection)
        yield connection
        sound = True
    finally:
        connection.close()
        instance.give_back(place, shared=shared, sound=sound)


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
        self._draws: bool | None = None

    def take(self, place: str, name: str, *, write: bool) -> tuple[duckdb.DuckDBPyConnection, bool]:
        """Return a connection to a file, and whether it goes through the shared DuckDB.

        A process loses its lock on a file when any of its handles closes, so one file has one handle: readers of the
        file that is attached share it, and who meets a file that is open apart joins it there.
        """
        with self._guard:
            if self._attached is None and not self._apart[place]:
                self._attach(place, name, write=write)
            elif self._attached != (place, name, False) or write:
                connection = duckdb.connect(place, read_only=not write, config={"enable_external_access": "false"})
                self._apart[place] += 1
                return connection, False
            assert self._root is not None
            connection = self._root.cursor()
            connection.execute(f'use "{name}"')
            self._users += 1
            return connection, True

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

    def give_back(self, place: str, *, shared: bool, sound: bool) -> None:
        """Let a file go whose connection is closed; after an error the DuckDB goes with it."""
        with self._guard:
            if not shared:
                self._apart[place] -= 1
                return
            self._users -= 1
            if self._users:
                return
            assert self._root is not None
            assert self._attached is not None
            root, name = self._root, self._attached[1]
            self._root = self._attached = None
            # what is committed is safe in the log if the disk is too full to merge it, as when DuckDB ends
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
    return root


_OF_THIS_PROCESS = _Instance()
_LEFT_BEHIND: list[_Instance] = []


def _begin_anew() -> None:
    """Leave the DuckDB of the parent alone: its threads did not come along with a fork."""
    global _OF_THIS_PROCESS
    _LEFT_BEHIND.append(_OF_THIS_PROCESS)
    _OF_THIS_PROCESS = _Instance()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
