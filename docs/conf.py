"""How the site is built: `make docs` reads these pages into build/site, where nothing is loaded from elsewhere."""

import re
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "trackdb"
author = "trackdb developers"
html_title = "trackdb"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3  # so that links to headings are checked, too
suppress_warnings = ["misc.highlighting_failure"]  # SQL of DuckDB that Pygments does not know

FROM_THE_ROOT = {"readme": "README.md", "changelog": "CHANGELOG.md"}
"""Pages of the site that stand in the root, where people look for them."""


def setup(app):
    """Let each page be read with links that lead somewhere on the site."""
    app.connect("source-read", _for_the_site)


def _for_the_site(_app, page, source):
    """Put the text of the root's pages in, and let links lead to where things are on the site."""
    home = HERE / f"{page}.md"
    if page in FROM_THE_ROOT:
        home = ROOT / FROM_THE_ROOT[page]
        source[0] = home.read_text(encoding="utf-8")
    if not source[0].lstrip().startswith(("# ", "```", "<!--")):  # tables that another page speaks of
        source[0] = f"# {page}\n\n" + source[0].replace("\n### ", "\n## ").replace("### ", "## ", 1)
    pages = {(ROOT / file).resolve(): HERE / f"{name}.md" for name, file in FROM_THE_ROOT.items()}

    def there(match):
        target, anchor = match[1], match[2] or ""
        place = (home.parent / target).resolve()
        place = pages.get(place, place)
        return f"](/{place.relative_to(HERE)}{anchor})" if HERE in place.parents else f"]({_up(place, page)}{anchor})"

    source[0] = re.sub(r"\]\((?!https?:|#|/)([^)#\s]+)(#[^)]*)?\)", there, source[0])


def _up(place, page):
    """Return the way from a page to a file outside of docs."""
    return "../" * len(Path(page).parts) + str(place.relative_to(ROOT))
