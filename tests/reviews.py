"""Reviews in tests: a store with questions, servers in this process or one of their own, and who talks to them."""

import asyncio
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

import httpx

import trackdb
from trackdb.engine.config import Config, LinkConfig, SolveConfig, load_config
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.review.session import ReviewSession
from trackdb.storage.duckdb_store import DuckDBStore

from .movies import jostling_cells, write_rows

SIMPLE = Config(link=LinkConfig(neighbors=3), solve=SolveConfig(cost="density"))  # nothing is learned: quick
ORIGIN = "http://127.0.0.1:8765"
TOKEN = "a-token-of-a-test"
STARTS_S = 120.0  # a machine that compiles meanwhile


def jostling_store(folder):
    """Return the path of a store of jostling cells with a solution and a posterior."""
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", jostling_cells(n_frames=6, seed=3)), store)
    solve(store, store.detection_set(), SIMPLE)
    trackdb.open(store.path, write=True).posterior()
    return store.path


def opened(path, who="ana", **options):
    """Return a session of a store, none of whose questions are drawn unless it is said."""
    options = {"audit": 0.0, "overlap": 0.0} | options
    return ReviewSession(DuckDBStore(path), load_config(path), who=who, **options)


def log_of(path):
    return DuckDBStore(path).decisions()


@dataclass
class Running:
    """A server at work: the address that it printed, its process, and the file of what it prints."""

    url: str
    process: subprocess.Popen
    output: Path

    @property
    def origin(self):
        return self.url.partition("/?")[0]


@contextmanager
def review_server(store, *options):
    """Run `trackdb review STORE`, yield it once it has printed its address, and end it as a user does."""
    output = (
        Path(store).parent / f"review-{uuid.uuid4().hex}.txt"
    )  # no pipe: a server that outlives a test would hold it
    words = ["review", str(store), "--port", "0", "--no-browser", *map(str, options)]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "trackdb.cli.main", *words], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
    try:
        yield Running(address_of(process, output), process, output)
    finally:
        if process.poll() is None:
            process.send_signal(SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait(20)


def address_of(process, output):
    deadline = time.monotonic() + STARTS_S
    while time.monotonic() < deadline:
        for line in output.read_text().split("\n")[:-1]:
            if line.startswith("http://"):
                return line
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"no address was printed: {output.read_text()}")


class Local:
    """Asks an application without a network, as a browser would that keeps its cookies."""

    def __init__(self, app, origin):
        self.app, self.origin, self.cookies = app, origin, httpx.Cookies()

    def get(self, path, params=None):
        return self._ask("GET", path, params=params)

    def post(self, path, json):
        return self._ask("POST", path, json=json, headers={"Origin": self.origin})

    def _ask(self, method, path, **more):
        async def ask():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.origin, cookies=self.cookies) as client:
                reply = await client.request(method, path, follow_redirects=True, **more)
                self.cookies = client.cookies
                return reply

        return asyncio.run(ask())


def far(url):
    """Return a client of a server in another process."""
    origin = url.partition("/?")[0]
    return httpx.Client(base_url=origin, timeout=60, follow_redirects=True, headers={"Origin": origin})


class Tab:
    """A tab of a browser: it has the cookie, knows the state that it saw last, and answers."""

    def __init__(self, url, client="tab", *, http=None):
        self.http = http or far(url)
        self.http.get(url).raise_for_status()
        self.client = client
        self.state = self.get("/api/session", client=client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def get(self, path, **params):
        reply = self.http.get(path, params=params)
        reply.raise_for_status()
        return reply.json()

    @property
    def question(self):
        return self.state["question"]

    def body(self, daughters=None, **more):
        """Return what the page sends for the first outcome of the question that is shown."""
        question = self.question
        chosen = question["outcomes"][0]["daughters"] if daughters is None else daughters
        told = {"key": str(uuid.uuid4()), "client": self.client, "cell": question["cell"], "kind": "choose"}
        told |= {"daughters": chosen, "n_seen": self.state["n_entries"], "revision": self.state["revision"], "ms": 5}
        told["shown"] = [[o["daughters"], o["probability"]] for o in question["outcomes"]]
        return told | {"blind": question["blind"]} | more

    def post(self, path, body):
        """Send something; a reply that is well becomes what is shown."""
        reply = self.http.post(path, json=body)
        if reply.status_code == 200 and "progress" in reply.json():
            self.state = reply.json()
        return reply

    def answer(self, daughters=None, **more):
        return self.post("/api/decisions", self.body(daughters, **more))


def tab_of(session, client="tab", events=None):
    """Return a tab that has the page of a session open."""
    from trackdb.server.app import review_app
    from trackdb.server.events import Events

    app = review_app(session, events or Events(), port=8765, token=TOKEN)
    return Tab(f"{ORIGIN}/?token={TOKEN}", client, http=Local(app, ORIGIN))


def another(tab, client):
    """Return a second tab of the same browser."""
    found = Tab.__new__(Tab)
    found.http, found.client = tab.http, client
    found.state = found.get("/api/session", client=client)
    return found
