"""What several test files share: where the real data are, and movies drawn by hand."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("TRACKDB_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set TRACKDB_DATA")
    return DATA
