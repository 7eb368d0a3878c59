"""How a server ends though threads are still at work: nobody waits for what only reads or computes.

An answer is on the disk before it is acknowledged, and nothing else is written. So when the time for a tidy end is
over, the process ends at once; a thread in the middle of a long computation cannot be told to stop.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
LAST_S: Final = 1.8
"""From the interrupt to the end of the process, whatever is still at work."""
INTERRUPTED: Final = 130
JOIN_S: Final = 0.1
LOOK_S: Final = 0.2


class Ending:
    """Ends the process a while after it is told to, unless nothing is left that would keep it.

    Parameters
    ----------
    leave : callable
        Ends the process with a code.
    """

    def __init__(self, leave: Callable[[int], None] | None = None) -> None:
        self._leave = leave_at_once if leave is None else leave
        self._there = set(threading.enumerate())
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Start the clock; a second time changes nothing."""
        if self._timer is None:
            self._timer = threading.Timer(LAST_S, self._end)
            self._timer.daemon = True
            self._timer.start()

    def settle(self) -> None:
        """Stop the clock if all threads have ended that began meanwhile and that Python would wait for."""
        late = [t for t in threading.enumerate() if t not in self._there and not t.daemon]
        for thread in late:
            thread.join(JOIN_S)
        if self._timer is not None and not any(thread.is_alive() for thread in late):
            self._timer.cancel()

    def _end(self) -> None:
        self._leave(0)


def leave_at_once(code: int) -> None:
    """End the process at once, whatever other threads do; what was printed is seen."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def waited_for(call: Callable[[], T]) -> T:
    """Return what a call returns; Ctrl-C is heard meanwhile, and raised though the call goes on.

    Python hears it between two steps of its own only, and opening a large review takes many seconds within one. Who
    then has nothing left to do ends by `leave_at_once`: Python's own way out does not suit a thread that computes.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # it is raised where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_S)
    if failed:
        raise failed[0]
    return done[0]
