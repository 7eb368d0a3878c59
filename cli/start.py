"""How a process of the command line begins: interrupts are heeded from the first import on, and stderr may be deaf.

The commands are imported by `run`, so that Ctrl-C ends in one line already while they are. What is told on stderr is
told besides the work: where it cannot be written (a full disk, a pipe that was closed) the work goes on, and the exit
code tells how it ended.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any, Final, TextIO, cast

INTERRUPTED: Final = "interrupted; the same command can be given again"


class Unheard:
    """A stream that forgets what cannot be written to it.

    Parameters
    ----------
    stream : TextIO
        Where it writes; all else is asked of it, too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, if that is possible."""
        try:
            return self._stream.write(text)
        except OSError:
            self._stream = open(os.devnull, "w")  # noqa: SIM115  # the old one would try again to the end
            return len(text)

    def flush(self) -> None:
        """Hand on what was written, if that is possible."""
        try:
            self._stream.flush()
        except OSError:
            self._stream = open(os.devnull, "w")  # noqa: SIM115

    def __getattr__(self, name: str) -> Any:
        """Ask the stream."""
        return getattr(self._stream, name)


def forgive_stderr() -> None:
    """Let the work of this process go on, and its exit code be that of the work, where stderr cannot be written."""
    if sys.stderr is not None and not isinstance(sys.stderr, Unheard):
        sys.stderr = cast("TextIO", Unheard(sys.stderr))


def run() -> None:
    """Run the command line of this process."""
    signal.signal(signal.SIGINT, _stop)
    from .main import run as run_commands

    try:
        run_commands()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done


def _stop(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing was begun yet, and an import that is cut short may raise anything."""
    with suppress(OSError):
        os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(130)
