"""What several test files share: where the real data are, and movies drawn by hand."""

import os
from pathlib import Path

import pytest

from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore

from .exported import rich_store
from .movies import write_ctc

DATA = Path(os.environ.get("TRACKDB_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set TRACKDB_DATA")
    return DATA


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """The CTC data set drawn in `movies`, with images."""
    return write_ctc(tmp_path / "drawn", images=True)


@pytest.fixture
def solved(tmp_path: Path, drawn: Path) -> DuckDBStore:
    """A store with the drawn movie, its truth and an exact solution."""
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(drawn, store)
    solve(store, store.detection_set())
    return store


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> DuckDBStore:
    """The store drawn in `exported`, with all that an export can carry; for reading."""
    return rich_store(tmp_path_factory.mktemp("rich"))
