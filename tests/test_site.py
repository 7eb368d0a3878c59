"""The site loads nothing from elsewhere and its links lead somewhere; who cites trackdb cites this version."""

import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
problems_of = runpy.run_path(str(ROOT / "docs" / "own_site.py"))["problems_of"]

WHOLE = {
    "index.html": '<link href="look.css"><a href="a/b.html#here">b</a><a href="https://elsewhere.org">away</a>',
    "a/b.html": '<h1 id="here">b</h1><a href="../index.html">up</a><img src="p.png">',
    "a/p.png": "",
    "look.css": "body{background:url(a/p.png)}",
}


@pytest.fixture
def site(tmp_path):
    """A site of two pages that is whole."""
    for name, text in WHOLE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_site_that_is_whole_has_no_problem(site):
    assert problems_of(site) == []


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("a/b.html", '<script src="https://cdn.net/x.js"></script>', "a/b.html loads https://cdn.net/x.js"),
        ("a/b.html", '<link href="//fonts.net/f.css">', "a/b.html loads //fonts.net/f.css"),
        ("a/b.html", '<img src="q.png"><h1 id="here">', "a/b.html: q.png leads nowhere"),
        ("a/b.html", '<h1 id="there">', "index.html: a/b.html#here leads nowhere"),
        ("look.css", "@import 'https://fonts.net/f.css'", "look.css loads https://fonts.net/f.css"),
    ],
)
def test_what_is_loaded_from_elsewhere_or_leads_nowhere_is_found(site, file, text, problem):
    (site / file).write_text(text)
    assert problem in problems_of(site)


def test_the_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["title"], cited["version"], cited["license"]) == tuple(
        project[k] for k in ("name", "version", "license")
    )
    assert cited["authors"] == [{"name": "trackdb developers"}]
    assert {"cff-version", "message", "type"} <= set(cited)
