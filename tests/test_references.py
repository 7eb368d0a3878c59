"""The pages of reference are what the code says, and the code says something of everything."""

import runpy
from pathlib import Path

import pytest

from trackdb.storage import tables
from trackdb.storage.queries import VIEWS, macro_statements
from trackdb.storage.sandbox import ask
from trackdb.storage.view_columns import COLUMNS, MACROS, ROWS

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PAGES = runpy.run_path(str(REFERENCE / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_reference_is_what_the_code_says(name):
    wanted = PAGES[name]()
    found = (REFERENCE / name).read_text()
    assert found == wanted, f"docs/reference/{name} is old: python docs/reference/generate.py"


def test_every_column_of_every_table_says_what_it_holds():
    for table in tables.metadata.tables.values():
        assert table.info["row"]
        assert not [column.name for column in table.columns if not column.doc], table.name


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_every_view_says_what_it_holds(movie, view):
    assert ROWS[view]
    assert list(COLUMNS[view]) == ask(movie.path, f"from {view} limit 0").rows.column_names


def test_every_macro_is_told():
    for statement, told in zip(macro_statements(), MACROS, strict=True):
        name, arguments = told.removesuffix(")").split("(")
        assert f"macro {name}({arguments.replace(', ', '_, ')}_)" in statement
