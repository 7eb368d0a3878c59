"""Who may talk to the review server: the table of requests that are let through and refused, one by one."""

import asyncio
from http.cookies import SimpleCookie

import pytest
from starlette.responses import PlainTextResponse

from trackdb.errors import ConfigError
from trackdb.server.guard import POLICY, Guard
from trackdb.server.serving import require_loopback

PORT = 8765
HERE = f"127.0.0.1:{PORT}"
TOKEN = "a-token-of-a-test"


class Asked:
    """A guarded application, asked without a network; it counts what comes through."""

    def __init__(self):
        self.let_through = []
        self.guard = Guard(self._app, port=PORT, token=TOKEN)
        self.cookie = None

    async def _app(self, scope, receive, send):
        self.let_through.append(scope["path"])
        await PlainTextResponse("inside")(scope, receive, send)

    def __call__(self, method="GET", path="/api/session", *, query="", host=HERE, cookie=True, **headers):
        """Return the status and the headers of the reply; `host` may be several."""
        hosts = [host] if isinstance(host, str) else host or []
        told = [(b"host", value.encode()) for value in hosts]
        told += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if cookie and self.cookie:
            told.append((b"cookie", self.cookie.encode()))
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": told}
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(self.guard(scope, receive, send))
        return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.fixture
def asked():
    """A guarded application that nobody has opened yet."""
    return Asked()


@pytest.fixture
def known(asked):
    """The same, and this browser has exchanged the token for the cookie."""
    status, headers = asked("GET", "/", query=f"token={TOKEN}")
    assert status == 303
    found = SimpleCookie(headers["set-cookie"])
    asked.cookie = f"{asked.guard.cookie}={found[asked.guard.cookie].value}"
    return asked


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_this_machine_is_let_through_under_its_own_names(known, host):
    assert known(host=host)[0] == 200
    assert known.let_through == ["/api/session"]


FOREIGN_HOSTS = {
    "another name (rebinding)": f"evil.example:{PORT}",
    "another port": "127.0.0.1:9999",
    "no port": "127.0.0.1",
    "another machine": f"192.168.1.7:{PORT}",
    "all of them": f"0.0.0.0:{PORT}",
    "a name that begins alike": f"127.0.0.1.evil.example:{PORT}",
    "none": [],
    "twice the same": [HERE, HERE],
    "a foreign one besides": [HERE, f"evil.example:{PORT}"],
}


@pytest.mark.parametrize("host", FOREIGN_HOSTS.values(), ids=FOREIGN_HOSTS)
def test_a_foreign_host_is_refused_with_a_valid_cookie_and_with_a_valid_token(known, host):
    assert known(host=host)[0] == 403
    assert known("POST", host=host, origin=f"http://{HERE}")[0] == 403
    fresh = Asked()
    assert fresh("GET", "/", query=f"token={TOKEN}", host=host)[0] == 403
    assert known.let_through == fresh.let_through == []


FOREIGN_PAGES = {
    "no origin": {},
    "a foreign origin": {"origin": "http://evil.example"},
    "a null origin": {"origin": "null"},
    "another port": {"origin": "http://127.0.0.1:9999"},
    "another name of this machine": {"origin": f"http://localhost:{PORT}"},
    "https": {"origin": f"https://{HERE}"},
    "another page of this site": {"origin": f"http://{HERE}", "sec_fetch_site": "same-site"},
    "a cross-site page": {"origin": f"http://{HERE}", "sec_fetch_site": "cross-site"},
    "no page at all": {"origin": f"http://{HERE}", "sec_fetch_site": "none"},
}


@pytest.mark.parametrize("headers", FOREIGN_PAGES.values(), ids=FOREIGN_PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_a_page_of_the_server_itself_changes_anything(known, headers, method):
    assert known(method, "/api/decisions", **headers)[0] == 403
    assert known.let_through == []


@pytest.mark.parametrize("site", [{}, {"sec_fetch_site": "same-origin"}])
def test_a_page_of_the_server_itself_may(known, site):
    assert known("POST", "/api/decisions", origin=f"http://{HERE}", **site)[0] == 200


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", f"token={TOKEN}&token={TOKEN}", f"Token={TOKEN}"])
def test_without_the_token_nothing_opens(asked, query):
    assert asked("GET", "/", query=query)[0] == 403
    assert asked("GET", "/api/session")[0] == 403
    assert asked("GET", "/static/review.css", query=f"token={TOKEN}")[0] == 403  # it opens one address alone
    assert asked("POST", "/", query=f"token={TOKEN}", origin=f"http://{HERE}")[0] == 403
    assert asked.let_through == []


def test_the_token_opens_once_and_leaves_the_address(asked):
    status, headers = asked("GET", "/", query=f"token={TOKEN}")
    assert (status, headers["location"]) == (303, "/")
    assert asked("GET", "/", query=f"token={TOKEN}")[0] == 403  # another browser, or somebody who read the history
    found = SimpleCookie(headers["set-cookie"])[f"trackdb-review-{PORT}"]
    assert found["httponly"]
    assert (found["samesite"], found["path"]) == ("strict", "/")
    assert TOKEN not in found.value
    asked.cookie = f"trackdb-review-{PORT}={found.value}"
    assert asked("GET", "/", query=f"token={TOKEN}")[0] == 303  # the same browser may come back by the address
    assert asked("GET", "/")[0] == 200


@pytest.mark.parametrize(
    "cookie",
    [f"trackdb-review-{PORT}=wrong", f"trackdb-review-{PORT}=", "trackdb-review-9999={}", "{}", "=;=", "\x7f=1"],
)
def test_another_cookie_is_none(known, cookie):
    known.cookie = cookie.replace("{}", known.cookie.partition("=")[2])
    assert known()[0] == 403


def test_every_reply_says_what_a_browser_may_do_with_it(known):
    for status, headers in (known(), known(host="evil.example"), known("GET", "/", query=f"token={TOKEN}")):
        assert status in (200, 303, 403)
        assert headers["content-security-policy"] == POLICY
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert not [name for name in headers if name.startswith("access-control")]
    assert POLICY.startswith("default-src 'none';")
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "", "example.org"])
def test_an_address_that_others_reach_is_refused_with_the_way_to_go(host):
    with pytest.raises(ConfigError, match=r"this machine alone.*ssh -L 8765:127\.0\.0\.1:8765"):
        require_loopback(host, PORT)


@pytest.mark.parametrize(("host", "taken"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")])
def test_an_address_of_this_machine_is_taken(host, taken):
    assert require_loopback(host, PORT) == taken
