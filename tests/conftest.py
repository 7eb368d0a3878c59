"""What several test files share: where the real data are, and movies drawn by hand."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore

from .exported import rich_store
from .movies import DIVIDING, dividing_cells, jostling_cells, own_copy, write_ctc, write_rows

LONGEST = (
    "test_kills",
    "test_real_data",
    "test_uncertainty_experiment",
    "test_review_page",
    "test_review_screen",
    "test_pipeline",
    "test_open_review",
    "test_ome_zarr",
    "test_fuzz_formats",
    "test_posterior_again",
    "test_calibrate",
    "test_evaluate_golden",
    "test_flip_costs",
    "test_cli_posterior",
    "test_export_laws",
    "test_plugins",
)
"""Files that take longest, in the order in which they begin: a long one that began late would leave workers idle."""

# laws hold as well where other work slows a machine down
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

DATA = Path(os.environ.get("TRACKDB_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported and collected: it would look at all of it again and again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Give it all of it back, or DuckDB's bindings complain on the way out."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def jostling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of jostling cells with a solution and a posterior; it is copied, never written."""
    from .reviews import jostling_store  # needs what only the review does

    return jostling_store(tmp_path_factory.mktemp("jostling"))


@pytest.fixture(scope="session")
def jostling_over_gaps(tmp_path_factory: pytest.TempPathFactory) -> DuckDBStore:
    """A store of jostling cells with an exact solution, linked over a missing frame too; it is never written."""
    folder = tmp_path_factory.mktemp("gaps")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", jostling_cells(seed=3)), store)
    solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=1, neighbors=3)))
    return store


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


@pytest.fixture(scope="session")
def solved_once(tmp_path_factory: pytest.TempPathFactory) -> DuckDBStore:
    """A store with the drawn movie, its truth and an exact solution; to be copied."""
    folder = tmp_path_factory.mktemp("solved")
    store = DuckDBStore(folder / "drawn.trackdb")
    ingest(write_ctc(folder / "drawn", images=True), store)
    solve(store, store.detection_set())
    return store


@pytest.fixture
def solved(tmp_path: Path, drawn: Path, solved_once: DuckDBStore) -> DuckDBStore:
    """A store of its own with the drawn movie, its truth and an exact solution."""
    return own_copy(solved_once, tmp_path)


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> DuckDBStore:
    """The store drawn in `exported`, with all that an export can carry; for reading."""
    return rich_store(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="session")
def movie(tmp_path_factory: pytest.TempPathFactory) -> DuckDBStore:
    """A store of dividing cells with truth and an exact solution; for reading."""
    folder = tmp_path_factory.mktemp("movie")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", dividing_cells(n_frames=6, side=3), header=DIVIDING), store)
    solve(store, store.detection_set())
    return store


@pytest.fixture
def own_home_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home without settings; and the root logger, which a command sets to its own stderr, is given back."""
    monkeypatch.setenv("HOME", str(tmp_path))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
