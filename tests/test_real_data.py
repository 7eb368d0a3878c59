"""Real movies go the whole way: ingest, solve, evaluate, query, check, export, with loose limits on what is right.

The limits are far below what is reached; `benchmarks/accuracy.py` has the figures.
"""

import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trackdb.engine.check import check
from trackdb.engine.evaluate import evaluate
from trackdb.engine.evaluation import require_at_least
from trackdb.engine.exports.ctc import export_ctc
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.sandbox import ask

pytestmark = [pytest.mark.data, pytest.mark.slow]

REGIONS = {"t": "frame", "y": "centroid-0", "x": "centroid-1", "label": "label", "track": "track"}
POINTS = {"t": "frame", "y": "y", "x": "x", "track": "track"}
SPOTS = {"source": "source_idx", "target": "target_idx"}


@dataclass(frozen=True)
class Real:
    """A data set, what it holds, and the least that its solution has to reach."""

    path: str
    detections: int
    truth_edges: int
    edge_f1: float
    division_f1: float
    options: dict = field(default_factory=dict)
    exported: bool = True


REAL = {
    "cell migration, masks": Real("cellmigration_ccby/02_GT", 26087, 25719, 0.998, 0.9),
    "cell migration, table": Real(
        "cellmigration_ccby/regionprops.csv.gz",
        27630,
        25719,
        0.99,
        0.75,
        {"columns": REGIONS, "truth": "cellmigration_ccby/02_GT"},
        exported=False,
    ),
    "epidermis": Real("mouse_epidermis_area1_apache/02_GT", 4453, 4070, 0.95, 0.7),
    "C2C12, every fifth frame": Real(
        "c2c12_ker2018_ccby/Sparse5/regionprops.csv.gz",
        18432,
        18315,
        0.97,
        0.8,
        {"columns": POINTS, "truth": "c2c12_ker2018_ccby/Sparse5/02_GT"},
    ),
    "ascidian embryo": Real(
        "astec_ascidian_ccby/Pm03_spots.csv.gz",
        13484,
        13438,
        0.998,
        0.97,
        {"columns": SPOTS, "links": "astec_ascidian_ccby/Pm03_links.csv.gz"},
        exported=False,
    ),
}


def require_valid(folder: Path) -> None:
    """Hold a result to the validation of py-ctcmetrics."""
    validate = pytest.importorskip("ctc_metrics.scripts.validate", reason="needs the extra `evaluate`")
    with contextlib.redirect_stdout(io.StringIO()):
        assert validate.validate_sequence(str(folder), threads=1) == {"Valid": 1}


@pytest.mark.parametrize("name", REAL)
def test_a_real_movie_goes_the_whole_way(data_dir, tmp_path, name):
    real = REAL[name]
    paths = {key: data_dir / value if isinstance(value, str) else value for key, value in real.options.items()}
    store = DuckDBStore(tmp_path / "real.trackdb")
    report = ingest(data_dir / real.path, store, options=SourceOptions(**paths))
    assert (report.detections, report.links["truth"]) == (real.detections, real.truth_edges)

    solved = solve(store, store.detection_set())
    assert solved.proven
    chosen, info = store.find_solution()
    result = evaluate(store, chosen, info)
    require_at_least(result, {"edge_f1": real.edge_f1, "division_f1": real.division_f1})

    answer = ask(store.path, "select count(*) n, count(distinct track) k from tracked where solution = 'ilp-1'")
    [tracked] = answer.rows.to_pylist()
    assert 0.97 * real.detections < tracked["n"] <= real.detections  # a few are taken for false
    assert tracked["k"] == solved.tracks
    [counted] = ask(store.path, "select count(*) n from divisions where solution = 'ilp-1'").rows.to_pylist()
    assert counted["n"] == solved.divisions
    assert check(store) == []

    if real.exported:
        export_ctc(store, chosen, info, tmp_path / "02_RES")
        require_valid(tmp_path / "02_RES")
