"""What the documents promise: commands, columns and queries."""

import re
import tomllib
from pathlib import Path

import pytest

from trackdb.storage.founding import OURS
from trackdb.storage.queries import VIEWS
from trackdb.storage.sandbox import ask

ROOT = Path(__file__).parents[1]
SQL = (ROOT / "docs" / "sql.md").read_text()
COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text()
README = (ROOT / "README.md").read_text()


def queries(text):
    blocks = re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)
    return [query.strip() for block in blocks for query in block.split(";") if query.strip()]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from trackdb.engine.ingest import ingest
    from trackdb.engine.pipeline import solve
    from trackdb.storage.duckdb_store import DuckDBStore

    from .movies import write_ctc

    folder = tmp_path_factory.mktemp("docs")
    made = DuckDBStore(folder / "movie.trackdb")
    ingest(write_ctc(folder / "movie"), made)
    solve(made, made.detection_set())
    return made


@pytest.mark.parametrize("query", queries(SQL) + queries(COOKBOOK) + queries(README), ids=lambda q: q[:60])
def test_every_query_of_the_documents_runs(store, query):
    assert ask(store.path, query).rows.column_names


@pytest.mark.parametrize("view", VIEWS)
def test_the_columns_of_every_view_are_told(store, view):
    told = re.search(rf"^\| `{view}` \| (.*) \|$", SQL, flags=re.MULTILINE)
    assert told, f"docs/sql.md does not tell of {view}"
    assert told[1].split(", ") == ask(store.path, f"from {view}").rows.column_names


def places_in(page):
    """Return the names of the headings of a page, as a site gives them to links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_of_the_pages_lead_to_a_file_and_to_a_heading_in_it(page):
    for target, place in re.findall(r"\]\((?!http)([^)#\s]*)#?([^)\s]*)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not place or place in places_in(file), f"{target}#{place}"


def test_extras_of_the_readme_are_those_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = README.split("Extras:")[1].split("\n")[0]
    assert set(re.findall(r"`(\w+)`", named)) == set(extras)


def test_design_notes_have_their_four_parts():
    for note in sorted((ROOT / "docs" / "design").glob("0*.md")):
        text = note.read_text()
        missing = [part for part in ("Wanted", "Chosen", "Not chosen", "Costs") if part not in text]
        assert not missing, f"{note.name} lacks {missing}"


def test_the_page_on_formats_tells_of_every_file_of_a_store():
    table = (ROOT / "docs" / "formats.md").read_text().partition("## What stands in a store")[2]
    assert set(re.findall(r"^[|] `([^`]+)` [|]", table, re.MULTILINE)) == OURS
