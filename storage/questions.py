"""The way to the processes in which queries run: one that keeps the libraries loaded, and forks for each question."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from ..errors import QueryError
from .confined import GRACE_S, LENGTH, STATUS

if TYPE_CHECKING:
    from .confined import Question

STARTING_S: Final = 60.0  # for the libraries to be loaded, on a machine that does much else
PASSED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""Of the environment; whatever else stands there, such as keys of other services, is out of reach of a query."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from the process that answered a question.

    Parameters
    ----------
    rows : memoryview
        An Arrow stream; empty where there is no answer, cut where the process was ended.
    verdict : dict or None
        As of `confined.answer`; None if the process was ended.
    status : int or None
        How it ended, as `os.waitpid` tells it; None if that cannot be known.
    """

    rows: memoryview
    verdict: dict[str, object] | None
    status: int | None


class _Host:
    """The process that forks for each question; started when the first one is put."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def put(self, exchange: int, end: int) -> None:
        """Hand over where a question comes from, and where to tell how the process that answers it has ended.

        Raises
        ------
        QueryError
            If the process cannot be started.
        """
        with self._guard:
            for _ in range(2):  # the one at hand may have gone, for nobody asked for long
                if self._line is None:
                    self._start()
                assert self._line is not None
                try:
                    socket.send_fds(self._line, [b"?"], [exchange, end])
                    return
                except OSError:
                    self._let_go()
        raise QueryError("no process could be started to answer a query")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        places = [os.path.abspath(place) for place in sys.path]
        code = (
            f"import sys; sys.path[:] = {places!r}\n"
            f"from {__package__}.confined import serve\n"
            f"import socket; serve(socket.socket(fileno={theirs.fileno()}))"
        )
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", code, "trackdb", "query"],  # the last two tell others what it is
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us; it is we who tell
                    cwd="/",
                    env=environment
                    | {
                        "ARROW_DEFAULT_MEMORY_POOL": "system",
                        "JE_ARROW_MALLOC_CONF": "background_thread:false",
                        "MALLOC_ARENA_MAX": "2",  # each reserves address space, which is limited
                        "OPENBLAS_NUM_THREADS": "1",
                    },
                )
            except OSError as error:
                ours.close()
                raise QueryError("no process could be started to answer a query", reason=str(error)) from error
        self._line = ours

    def _let_go(self) -> None:
        """Close the line, which ends the process, and wait for it."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._line = self._process = None

    def end(self) -> None:
        """End the process; the next question starts another."""
        with self._guard:
            self._let_go()

    def forget(self) -> None:
        """Leave it to the process that this one was forked from."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.returncode = 0  # it is none of our children
        self.__init__()  # type: ignore[misc]  # the lock may have been held when we were forked


_HOST = _Host()
atexit.register(_HOST.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOST.forget)


def put(question: Question) -> Reply:
    """Put a question to a process of its own, and return what came back.

    Raises
    ------
    QueryError
        If no process can be started, or one sends more than it may.
    TimeoutError
        If nothing came for longer than the question may take, which the process itself should have ended.
    """
    reply = _put(question)
    if reply.status is None and not reply.rows:  # the process that forks was just going, for nobody had asked for long
        reply = _put(question)
    return reply


def _put(question: Question) -> Reply:
    deadline = time.monotonic() + question.patience_s + question.timeout_s + GRACE_S + STARTING_S
    told, tell = os.pipe()
    exchange, theirs = socket.socketpair()
    with closing(exchange), os.fdopen(told, "rb", buffering=0) as end:
        try:
            _HOST.put(theirs.fileno(), tell)
        finally:
            theirs.close()
            os.close(tell)
        text = json.dumps(asdict(question)).encode()
        try:
            exchange.sendall(LENGTH.pack(len(text)) + text)
            data = _received(exchange, deadline, most=(question.answer_mb + 64) << 20)
        except ConnectionError:
            data = bytearray()
        select.select([end], [], [], max(0.0, deadline - time.monotonic()))
        ended = end.read(STATUS.size) or b""
    status = STATUS.unpack(ended)[0] if len(ended) == STATUS.size else None
    return _parsed(data, status)


def _received(exchange: socket.socket, deadline: float, most: int) -> bytearray:
    data = bytearray()
    while True:
        exchange.settimeout(max(0.001, deadline - time.monotonic()))
        part = exchange.recv(1 << 20)
        if not part:
            return data
        data += part
        if len(data) > most:
            raise QueryError("the answer is larger than was allowed")


def _parsed(data: bytearray, status: int | None) -> Reply:
    """Return the parts of what came; a process that was ended has given no verdict."""
    whole = memoryview(data).toreadonly()
    if status != 0 or len(data) < LENGTH.size:
        return Reply(whole, None, status)
    stop = len(data) - LENGTH.size
    begin = stop - LENGTH.unpack(whole[stop:])[0]
    return Reply(whole[:begin], json.loads(bytes(whole[begin:stop])), status)
