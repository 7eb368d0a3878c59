"""The review as an application of Starlette: each address does one thing of a session and tells it as JSON."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import FormatError, MissingRowsError, StaleError, TrackdbError
from . import plain
from .asked import CLIENT, answer_in, client_in, daughters_in, key_in, kind_in, number_in, sent
from .guard import Guard
from .keys import KEYS
from .page import INDEX, page_files
from .refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from ..engine.review.scene import Crop, View
    from ..engine.review.session import ReviewSession
    from .events import Events

    Endpoint = Callable[[Request], Awaitable[Response]]
    Work = Callable[[Request], Awaitable[dict[str, Any] | Response]]

SCHEMA_VERSION: Final = 1
NOTHING_TO_UNDO, NOTHING_TO_REDO = "nothing_to_undo", "nothing_to_redo"
MOST_LISTED: Final = 1000


class ReviewApp:
    """The addresses of a review.

    Parameters
    ----------
    session : ReviewSession
        What they are about.
    events : Events
        The pages that listen.
    """

    def __init__(self, session: ReviewSession, events: Events) -> None:
        self._session, self._events = session, events
        self._page = page_files()

    @property
    def routes(self) -> list[Route]:
        """All addresses."""
        return [
            Route("/", self._index),
            Route("/static/{name}", self._static),
            Route("/api/session", _told(self._whole)),
            Route("/api/question", _told(self._question)),
            Route("/api/scene/{cell:int}", _told(self._scene)),
            Route("/api/crop/{cell:int}/{t:int}", _told(self._crop)),
            Route("/api/mask/{cell:int}/{t:int}", _told(self._mask)),
            Route("/api/lineage/{cell:int}", _told(self._lineage)),
            Route("/api/queue", _told(self._queue)),
            Route("/api/decisions", _told(self._records)),
            Route("/api/decisions", self._decide, methods=["POST"]),
            Route("/api/preview", _told(self._preview), methods=["POST"]),
            Route("/api/undo", _told(self._undo, NOTHING_TO_UNDO), methods=["POST"]),
            Route("/api/redo", _told(self._redo, NOTHING_TO_REDO), methods=["POST"]),
            Route("/api/stats", _told(self._stats)),
            Route("/api/changes", _told(self._changes)),
            Route("/api/events", self._listen),
        ]

    async def _index(self, request: Request) -> Response:
        return self._file(INDEX)

    async def _static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        found = self._page.get(name)
        if found is None:
            return _not_found()
        return Response(found.content, media_type=found.kind)

    async def _whole(self, request: Request) -> dict[str, Any]:
        found = await run_in_threadpool(self._session.state, _client(request))
        return {"schema_version": SCHEMA_VERSION, **plain.about(self._session), "keys": KEYS, **plain.state(found)}

    async def _question(self, request: Request) -> dict[str, Any]:
        asked = {name: _number(request, name) for name in ("cell", "after")}
        return plain.state(await run_in_threadpool(partial(self._session.state, _client(request), **asked)))

    async def _scene(self, request: Request) -> dict[str, Any]:
        pictures = self._session.pictures
        return plain.scene(await run_in_threadpool(pictures.scene, request.path_params["cell"]), pictures.scenes)

    async def _crop(self, request: Request) -> Response:
        cell, t, view = request.path_params["cell"], request.path_params["t"], _view(request)
        return await self._shown(
            cell, t, "no_images", self._session.pictures.image, request.query_params.get("channel"), view
        )

    async def _mask(self, request: Request) -> Response:
        cell, t, view = request.path_params["cell"], request.path_params["t"], _view(request)
        return await self._shown(cell, t, "no_masks", self._session.pictures.mask, view)

    async def _shown(self, cell: int, t: int, missing: str, crop: Callable[..., Crop], *asked: object) -> Response:
        """Return pixels, or what of them is missing: the cell, the frame among those of its scene, or all."""
        if t not in self._session.pictures.frames_of(cell):
            return refusal(MissingRowsError(f"frame {t} is not shown with cell {cell}"), missing="unknown_frame")
        try:
            return _pixels(await run_in_threadpool(crop, cell, t, *asked))
        except MissingRowsError as error:
            return refusal(error, missing=missing)

    async def _lineage(self, request: Request) -> dict[str, Any]:
        cell = request.path_params["cell"]
        relatives, likely, blind = await run_in_threadpool(self._session.lineage, cell)
        return plain.lineage(cell, relatives, likely, blind=blind)

    async def _queue(self, request: Request) -> dict[str, Any]:
        top = min(_number(request, "top") or 50, MOST_LISTED)
        listed, leased = await run_in_threadpool(self._session.queue, _client(request, "none"), top)
        return {"items": plain.queue(listed, leased), "open": listed.open, "by": listed.by}

    async def _records(self, request: Request) -> dict[str, Any]:
        top = min(_number(request, "top") or 50, MOST_LISTED)
        found = await run_in_threadpool(self._session.recent, top)
        return {"items": [plain.record(*told) for told in found]}

    async def _stats(self, request: Request) -> dict[str, Any]:
        return plain.stats(await run_in_threadpool(self._session.stats))

    async def _changes(self, request: Request) -> dict[str, Any]:
        return plain.changes(self._session.changes)

    async def _decide(self, request: Request) -> Response:
        try:
            answer = answer_in(await sent(request))
            done, found = await run_in_threadpool(self._session.decide, answer)
        except StaleError as error:
            return refusal(error, **plain.state(await run_in_threadpool(self._session.state_after, answer)))
        except TrackdbError as error:
            return refusal(error)
        saved = plain.record(done.report.decision)
        if not done.report.repeated:
            self._tell("answered", saved, answer.client, done.touched, found.n_entries)
        told = {
            "saved": saved,
            "repeated": done.report.repeated,
            "touched": len(done.touched),
            "settled": done.settled,
            "replaced": [plain.record(old, undone=True) for old in done.report.replaced],
        }
        return JSONResponse({**told, **plain.state(found)})

    async def _preview(self, request: Request) -> dict[str, Any]:
        body = await sent(request)
        asked = number_in(body, "cell"), kind_in(body), daughters_in(body)
        return plain.effect(await run_in_threadpool(self._session.preview, *asked))

    async def _undo(self, request: Request) -> dict[str, Any]:
        body = await sent(request)
        which = None if body.get("seq") is None else number_in(body, "seq")
        done, found = await run_in_threadpool(self._session.undo, client_in(body), key_in(body), which)
        old = plain.record(done.report.replaced[0] if done.report.replaced else done.report.decision, undone=True)
        if not done.report.repeated:
            self._tell("undone", old, client_in(body), done.touched, found.n_entries)
        return {"undone": old, **plain.state(found)}

    async def _redo(self, request: Request) -> dict[str, Any]:
        body = await sent(request)
        done, found = await run_in_threadpool(self._session.redo, client_in(body), key_in(body))
        again = plain.record(done.report.restored[0] if done.report.restored else done.report.decision)
        if not done.report.repeated:
            self._tell("answered", again, client_in(body), done.touched, found.n_entries)
        return {"redone": again, **plain.state(found)}

    async def _listen(self, request: Request) -> Response:
        first = {"n_entries": self._session.n_entries, "revision": self._session.revision}
        return StreamingResponse(self._events.listen("hello", first), media_type="text/event-stream")

    def _tell(self, name: str, saved: dict[str, Any], client: str, touched: frozenset[int], n_entries: int) -> None:
        """Tell all pages of an entry of the log; the one that sent it knows itself by `client`."""
        told = {"record": saved, "touched": sorted(touched), "client": client, "n_entries": n_entries}
        self._events.tell(name, told)


def review_app(session: ReviewSession, events: Events, *, port: int, token: str) -> Guard:
    """Return the application, guarded.

    Parameters
    ----------
    session : ReviewSession
        The review.
    events : Events
        The pages that listen.
    port : int
        Where the server listens.
    token : str
        What the first browser shows.
    """
    app = Starlette(routes=ReviewApp(session, events).routes, exception_handlers={404: _no_address, 405: _no_address})
    app.router.redirect_slashes = False
    return Guard(app, port=port, token=token)


def _told(work: Work, missing: str = "unknown_cell") -> Endpoint:
    """Return an endpoint that tells what some work returns, or the error that it raises."""

    async def endpoint(request: Request) -> Response:
        try:
            found = await work(request)
        except TrackdbError as error:
            return refusal(error, missing=missing)
        return found if isinstance(found, Response) else JSONResponse(found)

    return endpoint


async def _no_address(request: Request, error: Exception) -> Response:
    return _not_found()


def _not_found() -> Response:
    return refusal(MissingRowsError("there is nothing at this address"), missing="not_found")


def _client(request: Request, default: str | None = None) -> str:
    found = request.query_params.get("client", default)
    if found is None or not CLIENT.fullmatch(found):
        raise FormatError("the request does not tell which page asks", expected="client=, letters, digits and dashes")
    return found


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FormatError(f"{name} is a whole number", got=text[:60])
    return int(text)


def _view(request: Request) -> View:
    match request.query_params.get("view", "max"):
        case "max":
            return "max"
        case "slice":
            return "slice"
    raise FormatError("view is max or slice")


def _pixels(crop: Crop) -> Response:
    """Return pixels as they are, and what they mean in headers."""
    height, width = crop.pixels.shape
    told = {"X-Shape": f"{height},{width}", "X-Step": str(crop.step), "X-Gain": repr(crop.gain)}
    told["X-Offset"] = repr(crop.offset)
    if crop.range is not None:
        told["X-Range"] = "{:.6g},{:.6g}".format(*crop.range)
    if crop.z is not None:
        told["X-Z"] = str(crop.z)
    if crop.cells is not None:
        told["X-Cells"] = ",".join(map(str, crop.cells))
    return Response(crop.pixels.astype("<u2").tobytes(), media_type="application/octet-stream", headers=told)
