"""Who may talk to the server: a browser on this machine that was given the token, on pages of the server itself.

A server on a port of this machine can be reached by every page that a browser shows. So each request names this server
as its host (a foreign name may be made to lead here), what changes anything comes from a page of this server, and all
of it carries a secret that no other page knows. The secret is a cookie; the address that the terminal prints holds a
token that is exchanged for it once.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE: Final = ("GET", "HEAD")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Lets through what may come in, and says on every reply what a browser may do with it.

    Parameters
    ----------
    app : ASGIApp
        What is guarded.
    port : int
        Where the server listens.
    token : str
        What the first browser shows.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._used = False
        self._secret = secrets.token_urlsafe(32)
        self.cookie = f"trackdb-review-{port}"  # a browser sends the cookies of a host to all of its ports
        self._hosts = {f"{host}:{port}".encode() for host in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, told)
            return
        exchanged = self._exchanged(scope)
        await (exchanged or self._app)(scope, receive, told)

    def _refusal(self, scope: Scope) -> str | None:
        """Return why a request is refused, None where it is not."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "this server answers under its own address alone"
        if scope["method"] not in SAFE:
            origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
            if origins != [b"http://" + hosts[0].lower()] or sites not in ([], [b"same-origin"]):
                return "only pages of this server may change anything"
        if self._shown(scope) is not None or self._has_cookie(scope):
            return None
        return "open the address that trackdb review printed; it opens once: for another browser start the review again"

    def _exchanged(self, scope: Scope) -> Response | None:
        """Return the reply that gives the cookie for the token, and takes the token out of the address bar."""
        shown = self._shown(scope)
        if shown is None:
            return None
        response = RedirectResponse("/", 303)
        if not self._has_cookie(scope):
            self._used = True
            response.set_cookie(self.cookie, self._secret, httponly=True, samesite="strict", path="/")
        return response

    def _shown(self, scope: Scope) -> str | None:
        """Return the token that a request shows, if it is one that still opens, or that a known browser shows again."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if len(shown) != 1 or not hmac.compare_digest(shown[0].encode(), self._token.encode()):
            return None
        return shown[0] if not self._used or self._has_cookie(scope) else None

    def _has_cookie(self, scope: Scope) -> bool:
        found = [value for header in _values(scope, b"cookie") for value in _cookies(header, self.cookie)]
        return len(found) == 1 and hmac.compare_digest(found[0].encode(), self._secret.encode())


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


def _cookies(header: bytes, name: str) -> list[str]:
    """Return what a header tells of one cookie."""
    try:
        found = SimpleCookie(header.decode("latin-1"))
    except CookieError:
        return []
    return [found[name].value] if name in found else []
