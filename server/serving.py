"""The server at work: it listens on this machine alone, looks for what others write, and ends when it is told to."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.concurrency import run_in_threadpool

from ..engine.progress import Silent
from ..errors import ConfigError, StoreLockedError, TrackdbError
from ..storage.founding import GRAPH
from . import plain
from .app import review_app
from .ending import Ending
from .events import Events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from ..engine.review.session import ReviewSession

HOSTS: Final = ("127.0.0.1", "localhost", "::1")
PORT: Final = 8765
LOOK_S: Final = 1.0  # from one look at what others wrote to the next
GRACE_S: Final = 1  # for replies that are under way when the server ends


def require_loopback(host: str, port: int) -> str:
    """Return the address to listen on, or raise ConfigError where others than this machine could reach it."""
    if host not in HOSTS:
        raise ConfigError(
            f"a review listens on this machine alone, not on {host[:60]}",
            expected=", ".join(HOSTS),
            **{
                "try": f"from another machine: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, then open the address there"
            },
        )
    return "127.0.0.1" if host == "localhost" else host


def serve(
    session: ReviewSession, store: Path, *, host: str = HOSTS[0], port: int = PORT, opened: Callable[[str], None]
) -> None:
    """Serve a review until an interrupt; what is still read or computed then ends with the process, soon after.

    Parameters
    ----------
    session : ReviewSession
        The review.
    store : Path
        Folder of the store.
    host : str
        An address of this machine that no other reaches.
    port : int
        0 takes any that is free.
    opened : callable
        Is told the address once connections are taken.

    Raises
    ------
    ConfigError
        If the port is taken, or others could reach the address.
    """
    listener = _listening(require_loopback(host, port), port)
    with listener:
        port = int(listener.getsockname()[1])
        events, token = Events(), secrets.token_urlsafe(32)
        app = review_app(session, events, port=port, token=token)
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        shown = f"[{host}]" if ":" in host else host
        ending = Ending()
        server = _Server(config, events, Watch(session, store, events), ending)
        opened(f"http://{shown}:{port}/?token={token}")
        asyncio.run(server.serve(sockets=[listener]))
        ending.settle()


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was let go a moment ago is free
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(
            f"port {port} of {host} cannot be listened on",
            reason=getattr(error, "strerror", None) or str(error),
            **{"try": "another --port, or --port 0 for any that is free"},
        ) from error
    return listener


class Watch:
    """Looks again and again for what others wrote, and tells the pages.

    Parameters
    ----------
    session : ReviewSession
        The review.
    store : Path
        Folder of the store.
    events : Events
        The pages that listen.
    """

    def __init__(self, session: ReviewSession, store: Path, events: Events) -> None:
        self._session, self._graph, self._events = session, store / GRAPH, events
        self._seen = self._stamp()
        self._busy = False

    async def run(self) -> None:
        """Look until this is cancelled; what keeps it from looking is told once, not every second."""
        told = None
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except (TrackdbError, OSError) as error:
                if str(error) != told:
                    self._events.tell("busy", {"by": None, "message": str(error)})
                told = str(error)
            else:
                told = None

    async def look(self) -> None:
        """Look once."""
        for heard in await run_in_threadpool(self._session.hear):
            told = {"record": plain.record(*heard.told), "touched": sorted(heard.touched), "client": None}
            name = "undone" if heard.told.undone else "answered"
            self._events.tell(name, told | {"n_entries": heard.n_entries})
        stamp = self._stamp()
        if stamp == self._seen and not self._busy:
            return
        try:
            resolved = await run_in_threadpool(self._session.solved_again)
            if resolved is not None:
                self._events.tell("solved", plain.solved(resolved))
            anew = await run_in_threadpool(self._session.reload, _Told(self._events, asyncio.get_running_loop()))
        except StoreLockedError as error:
            if not self._busy:
                self._events.tell("busy", {"by": error.details.get("held by"), "message": error.message})
            self._busy = True
            return
        self._seen = stamp
        if self._busy:
            self._busy = False
            self._events.tell("free", {})
        if anew:
            revision = self._session.revision
            message = f"solved again: questions are of {' and '.join(revision.split('/')[:2])} now"
            self._events.tell("store", {"revision": revision, "message": message})

    def _stamp(self) -> tuple[int, int] | None:
        """Return what changes when somebody writes to the tables."""
        try:
            found = self._graph.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


class _Told(Silent):
    """Tells the pages how far reading a newer solution is; it is called in another thread."""

    def __init__(self, events: Events, loop: asyncio.AbstractEventLoop) -> None:
        self._events, self._loop = events, loop

    def start(self, stage: str, total: int | None = None) -> None:
        """Tell a stage."""
        message = f"the store was solved again: {stage}; questions go on meanwhile"
        told = {"by": None, "message": message}
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._events.tell, "busy", told)


class _Server(uvicorn.Server):
    """A server that lets its pages go, and returns, when it is interrupted."""

    def __init__(self, config: uvicorn.Config, events: Events, watch: Watch, ending: Ending) -> None:
        super().__init__(config)
        self._events, self._watch, self._ending = events, watch, ending

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        watching = asyncio.create_task(self._watch.run())
        try:
            await super().serve(sockets)
        finally:
            watching.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").disabled = True  # requests that are given up now are no errors
        self._events.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ending.begin()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at an interrupt, which is the usual way to end: it is not raised again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before: dict[int, Any] = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
