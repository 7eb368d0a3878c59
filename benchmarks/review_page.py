"""How long a person waits: from the key of an answer to the next question painted, in headless Chromium.

python benchmarks/review_page.py STORE [-n 50] [--picture docs/review/page.png]

The store is copied first, so that nothing is written to it. Each answer is one key, as a person presses it; the page
says when a question is on the screen (two frames drawn and handed to the compositor), and the clock of the browser
counts from the key. Parts of a wait: until the reply is there, which comes when the answer is on the disk; until the
pictures of the next question are, where they were not asked for in advance; and until they are drawn and painted. Needs
a Chromium, and the extras `review` and `dev`.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WATCH = """() => {
  window.waits = [];
  let pressed = 0;
  document.addEventListener("keydown", () => {
    performance.clearResourceTimings();
    pressed = performance.now();
  }, true);
  new MutationObserver(() => {
    const now = performance.now();
    const asked = performance.getEntriesByType("resource")
      .filter(({ startTime, responseEnd }) => startTime >= pressed && responseEnd <= now);
    const last = (path) =>
      Math.max(0, ...asked.filter(({ name }) => path.test(name)).map(({ responseEnd }) => responseEnd - pressed));
    const reply = last(/\\/api\\/decisions/);
    const pictures = Math.max(reply, last(/\\/api\\/(scene|crop|mask)/));
    window.waits.push([now - pressed, reply, pictures - reply, now - pressed - pictures]);
  }).observe(document.body, { attributeFilter: ["data-turn"] });
}"""


def serve(store: Path, out: Path) -> tuple[subprocess.Popen, str]:
    """Start a server and return it with the address that it printed."""
    words = [
        sys.executable,
        "-m",
        "trackdb.cli.main",
        "review",
        str(store),
        "--as",
        "bench",
        "--port",
        "0",
        "--no-browser",
    ]
    with out.open("w") as output:
        server = subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    for _ in range(6000):
        found = re.search(r"http://\S+", out.read_text())
        if found:
            return server, found.group()
        if server.poll() is not None:
            raise SystemExit(out.read_text())
        try:
            server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise SystemExit("the server did not start within ten minutes")


def answers(url: str, n: int, chromium: str, picture: Path | None) -> list[list[float]]:
    """Return how long each of n answers took and its parts, in milliseconds; a picture shows what comes after them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(120_000)
        page.goto(url)
        page.wait_for_selector("body[data-phase=ready]")
        page.evaluate(WATCH)
        for place in range(n):
            turn = page.get_attribute("body", "data-turn")
            page.wait_for_timeout(400)  # a person looks at the picture, the page fetches what is next
            page.keyboard.press("12"[place % 2])
            page.wait_for_selector(f"body[data-phase=ready]:not([data-turn='{turn}'])")
        waits = page.evaluate("() => window.waits")
        if picture is not None:
            page.keyboard.press("ArrowDown")
            page.wait_for_timeout(1000)  # its effect and its lineage come a moment later
            page.screenshot(path=picture)
            Image.open(picture).quantize(96).save(picture, optimize=True)
        browser.close()
    return waits


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("-n", type=int, default=50)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium")
    with tempfile.TemporaryDirectory() as folder:
        store = shutil.copytree(given.store, Path(folder) / given.store.name)
        begun = time.perf_counter()
        server, url = serve(store, Path(folder) / "server.txt")
        opened = time.perf_counter() - begun
        try:
            waits = np.array(answers(url, given.n, chromium, given.picture))
        finally:
            server.terminate()
            server.wait(30)
    told = {"store": given.store.name, "opened_s": round(opened, 1), "answers": len(waits)}
    for part, column in zip(("all", "reply", "pictures", "drawing"), waits.T, strict=True):
        told[f"{part}_ms"] = dict(
            zip(("median", "p95", "most"), np.percentile(column, [50, 95, 100]).round(), strict=True)
        )
    print(json.dumps(told))


if __name__ == "__main__":
    main()
