"""Real trackings against their truth: the golden values of py-ctcmetrics, after ingest and export."""

import contextlib
import io
import json
import math
import shutil
import warnings

import pytest

from trackdb.engine.ctc_metrics import MEASURES, lay_out_truth
from trackdb.engine.evaluate import evaluate
from trackdb.engine.exports.ctc import export_ctc
from trackdb.engine.ingest import ingest
from trackdb.storage.duckdb_store import DuckDBStore

pytestmark = [pytest.mark.data, pytest.mark.slow]

EPIDERMIS = "mouse_epidermis_area1 02_RES_greedy_overlap"
GOLDEN = {
    EPIDERMIS: ("mouse_epidermis_area1_apache/02_RES_greedy_overlap", "mouse_epidermis_area1_apache/02_GT"),
    "ctc_java": ("ctc_java_testdata_bsd2/res", "ctc_java_testdata_bsd2/GT"),
}
# what py-ctcmetrics is asked for; it answers with more
ASKED = ["Valid", "CHOTA", "BC", "CT", "CCA", "TF", "TRA", "DET", "MOTA", "HOTA", "IDF1", "LNK"]


@pytest.fixture(scope="module")
def oracle(data_dir):
    """Return what py-ctcmetrics said of the original files."""
    return json.loads((data_dir / "oracle_py_ctcmetrics.json").read_text())


@pytest.fixture(scope="module", params=GOLDEN)
def tracking(request, data_dir, tmp_path_factory):
    """A tracking of others, ingested: its name in the oracle, the store, and the folder of its truth."""
    result, truth = (data_dir / path for path in GOLDEN[request.param])
    store = DuckDBStore(tmp_path_factory.mktemp("golden") / "golden.trackdb")
    ingest(result, store)
    chosen = store.detection_set()
    return request.param, (store, chosen, store.solutions(chosen)[result.name]), truth


def test_the_measures_of_the_challenge_are_the_golden_ones(tracking, oracle):
    pytest.importorskip("ctc_metrics", reason="needs the extra `evaluate`")
    name, solution, truth = tracking
    result = evaluate(*solution, against=truth, by_py_ctcmetrics=True)
    golden = {key: oracle[name][key] for key in MEASURES}
    assert result.measured == pytest.approx(golden, rel=1e-12)
    assert result.ctc == pytest.approx(golden, rel=1e-12)
    assert result.disagreements() == []
    if name == EPIDERMIS:
        assert (round(result.ctc["TRA"], 6), round(result.ctc["LNK"], 6)) == (0.988624, 0.905651)
        assert result.ctc["AOGM"] == 576


def test_what_is_exported_is_worth_as_much_as_what_came_in(tracking, oracle, tmp_path):
    scripts = pytest.importorskip("ctc_metrics.scripts.evaluate", reason="needs the extra `evaluate`")
    name, solution, truth = tracking
    golden = oracle[name]
    export_ctc(*solution, tmp_path / "01_RES")
    lay_out_truth(truth, tmp_path / "01_GT" / "TRA")
    asked = list(ASKED)
    if "SEG" in golden:
        shutil.copytree(truth / "SEG", tmp_path / "01_GT" / "SEG")
        asked.append("SEG")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides by the number of divisions, which may be none
        found = scripts.evaluate_sequence(str(tmp_path / "01_RES"), str(tmp_path / "01_GT"), metrics=asked, threads=1)
    shared = [key for key in golden if found.get(key) is not None and golden[key] is not None]
    assert len(shared) > 40
    for key in shared:
        assert found[key] == pytest.approx(golden[key], rel=1e-9, nan_ok=math.isnan(golden[key])), key
