"""Hold a built site to what is promised of it: `python docs/own_site.py FOLDER`.

Nothing is loaded from elsewhere, and every link to a page of the site leads to a page, every picture is there.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "link": "href", "img": "src", "source": "src", "iframe": "src", "image": "href"}


class Page(HTMLParser):
    """What a page loads, where it leads to, and which places in it have names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element loads, leads to or names."""
        told = {name: value or "" for name, value in attrs}
        if "id" in told:
            self.names.add(told["id"])
        if tag == "a" and "href" in told:
            self.leads.append(told["href"])
        elif LOADED.get(tag, "") in told and told.get("rel") != "canonical":
            self.loads.append(told[LOADED[tag]])


def problems_of(site: Path) -> list[str]:
    """Return what is wrong with a site, one line each."""
    pages = {file.resolve(): Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        name = file.relative_to(site.resolve())
        found += [f"{name} loads {url}" for url in page.loads if urlsplit(url).netloc]
        for url in (*page.loads, *page.leads):
            if not _leads_somewhere(url, file, pages):
                found.append(f"{name}: {url} leads nowhere")
    for file in site.rglob("*.css"):
        urls = re.findall(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)", file.read_text(encoding="utf-8"))
        found += [f"{file.relative_to(site)} loads {url}" for url in urls]
    return found


def _leads_somewhere(url: str, file: Path, pages: dict[Path, Page]) -> bool:
    """Return whether a link within the site leads to a file that is there, and to a place in it; others are taken."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
        return True
    place = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if place.is_dir():
        place /= "index.html"
    if not place.exists():
        return False
    return not parts.fragment or place not in pages or unquote(parts.fragment) in pages[place].names


if __name__ == "__main__":
    problems = problems_of(Path(sys.argv[1]))
    print("\n".join(problems) or "the site is whole", file=sys.stderr if problems else sys.stdout)
    sys.exit(1 if problems else 0)
