"""The review page in a browser, as a person meets it: keys are pressed, and what is on the screen is read."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
]
PATIENCE_MS = 60_000  # a machine that does other things meanwhile


@contextmanager
def chromium():
    """Start a browser; tests that need one skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: the review page is not tested in a browser")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: the review page is not tested in a browser")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=30_000)
        try:
            yield browser
        finally:
            browser.close()


class Screen:
    """A tab with the review page.

    Parameters
    ----------
    context : playwright.sync_api.BrowserContext
        What the tab shares its cookies and its storage with.
    running : tests.reviews.Running
        The server. Its address opens once; what it gives the first tab then is handed to those that follow.
    """

    def __init__(self, context, running):
        self.running = running
        self.complaints = []
        """What the browser found wrong: errors of scripts, and what the policy of the page forbids."""
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        # a browser that is asked for its first interception while a page loads may let a request through
        self.page.route("**/no-such-address", lambda route: route.abort())
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._began = 0

    def _hear(self, message):
        # a refusal by the server is told by the browser as an error, too
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def open(self):
        """Open the page, and wait for its first question."""
        cookies = getattr(self.running, "cookies", None)
        if cookies:
            self.page.context.add_cookies(cookies)
        # the page says itself when it is there
        self.page.goto(f"{self.running.origin}/" if cookies else self.running.url, wait_until="commit")
        self.wait()
        self.running.cookies = self.page.context.cookies()
        self._began = max((record["seq"] for record in self.ask("/api/decisions?top=1")["items"]), default=0)
        return self

    def wait(self, phase="ready"):
        """Wait until the page is in a phase."""
        self.page.wait_for_selector(f"body[data-phase={phase}]")
        return self

    @property
    def cell(self) -> int:
        """Number of the cell on the screen."""
        return int(self.page.get_attribute("body", "data-cell"))

    @property
    def turn(self) -> int:
        return int(self.page.get_attribute("body", "data-turn"))

    @property
    def phase(self) -> str:
        return self.page.get_attribute("body", "data-phase")

    def text(self, selector) -> str:
        """Return the text of an element."""
        return self.page.inner_text(selector)

    def press(self, *keys):
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def answer(self, *keys):
        """Press keys of which the last gives an answer, and wait for the next question."""
        before = self.turn
        self.press(*keys)
        self.page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{before}'])")
        return self

    def ask(self, path):
        """Ask the server, as the page does, and return the JSON."""
        return self.page.evaluate("async (path) => (await fetch(path)).json()", path)

    def said(self, top=50) -> list[dict]:
        """Return what this person said since the page was opened, the newest first; undoings are told with it."""
        return [r for r in self.ask(f"/api/decisions?top={top}")["items"] if r["seq"] > self._began]

    def until(self, holds, what=""):
        """Wait until something holds; the page's policy forbids to wait by evaluating in it."""
        for _ in range(PATIENCE_MS // 50):
            if holds():
                return self
            self.page.wait_for_timeout(50)
        raise AssertionError(f"waited in vain {what}")

    def post(self, path, body):
        """Send something to the server, as the page does, and return the JSON."""
        script = """async ([path, body]) => (await fetch(path, {
          method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)})).json()"""
        return self.page.evaluate(script, [path, body])

    @property
    def question(self) -> dict:
        """What the server tells of the question on the screen."""
        return self.ask(f"/api/question?client=test&cell={self.cell}")["question"]

    def outcomes(self) -> list[str]:
        """Return the outcomes as they are read out."""
        return [
            option.get_attribute("aria-label") for option in self.page.query_selector_all("#outcomes [role=option]")
        ]

    @property
    def highlighted(self) -> int | None:
        """Number of the highlighted outcome."""
        name = self.page.get_attribute("#outcomes", "aria-activedescendant")
        return int(name.rpartition("-")[2]) if name else None

    def captions(self) -> list[str]:
        """Return what stands over the two frames."""
        return [text.text_content() for text in self.page.query_selector_all("#links .when")]


@contextmanager
def tab(browser, running, *, strict=True, **options) -> Iterator[Screen]:
    """Open the review page in a tab of its own; what the browser complains of fails the test."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"} | options)
    screen = Screen(context, running)
    try:
        yield screen
        assert not strict or screen.complaints == []
    finally:
        context.close()


CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *:not(svg):not(svg *)")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    const box = element.getBoundingClientRect();
    if (!own || !box.width || !box.height || element.closest("#strip")) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    found.push([own.slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""
"""Texts on the screen, and the contrast of each with its ground, by the formula of WCAG 2.1."""


def numbers_in(text) -> list[float]:
    """Return the numbers of a text."""
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]
