"""How far a command is: a bar on a terminal, elsewhere a line now and then, so that no long work is silent."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..storage.plain import printable

EVERY_S = 30.0  # seconds between two lines where nobody sees a bar


class Reporter:
    """Tells notes as they come; draws nothing.

    Parameters
    ----------
    tell : callable
        Takes a note to the user.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage."""

    def advance(self, steps: int = 1) -> None:
        """Go on."""

    def note(self, text: str) -> None:
        """Tell a fact."""
        self._tell(text)


class BarReporter(Reporter):
    """Draws a bar for the stage at work."""

    def __init__(self, tell: Callable[[str], None], bar: Any) -> None:
        super().__init__(tell)
        self._bar = bar
        self._task: Any = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a bar in place of the last one."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(printable(stage), total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bar.advance(self._task, steps)


class LineReporter(Reporter):
    """Knows how far the stage at work is, in words."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(tell)
        self._stage, self._done = "at work", 0
        self._total: int | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage."""
        self._stage, self._total, self._done = stage, total, 0

    def advance(self, steps: int = 1) -> None:
        """Count the steps."""
        self._done += steps

    def __str__(self) -> str:
        if self._total:
            return f"{self._stage}, {self._done:,} of {self._total:,}"
        return self._stage


@contextmanager
def bar_on_terminal(tell: Callable[[str], None]) -> Iterator[Reporter]:
    """Draw a bar on stderr while the block runs, and take it away after."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),  # names may look like it
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield BarReporter(tell, bar)


@contextmanager
def line_now_and_then(tell: Callable[[str], None], write: Callable[[str], None]) -> Iterator[Reporter]:
    """Write a line every `EVERY_S` seconds while the block runs, from beside it: one long step tells nothing itself."""
    reporter = LineReporter(tell)
    over = threading.Event()
    started = time.monotonic()

    def watch() -> None:
        while not over.wait(EVERY_S):
            write(f"{reporter}, {time.monotonic() - started:,.0f} s")

    watcher = threading.Thread(target=watch, daemon=True, name="progress")
    watcher.start()
    try:
        yield reporter
    finally:
        over.set()
        watcher.join()
