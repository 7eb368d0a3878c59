"""The files of the page, read once: what a client asks for is looked up among them, and never on the disk."""

from __future__ import annotations

from importlib.resources import files
from typing import Final, NamedTuple

KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
INDEX: Final = "index.html"


class PageFile(NamedTuple):
    """A file of the page: what it holds, and as what it is sent."""

    content: bytes
    kind: str


def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their names."""
    found = {}
    for entry in files(__package__).joinpath("web").iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in KINDS and not getattr(entry, "is_symlink", bool)():
            found[entry.name] = PageFile(entry.read_bytes(), KINDS[suffix])
    return found
