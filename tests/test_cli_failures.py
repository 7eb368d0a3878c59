"""The exit code of everything that can go wrong, and what stands on stderr then."""

import re
import subprocess
import sys

import duckdb
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from trackdb.cli.main import app
from trackdb.engine.ingest import ingest
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH

from .command_line import answer, child, refusal, run
from .movies import CENTRES, square_mask, write_ctc, write_points

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.mark.parametrize(
    "words",
    [
        ["solve"],
        ["levitate"],
        ["solve", "a.trackdb", "--magic"],
        ["sql", "a.trackdb", "select 1", "--timeout", "soon"],
        ["sql", "a.trackdb", "select 1", "--timeout", "0"],
        ["simulate", "-o", "out", "--frames", "0"],
        ["evaluate", "a.trackdb", "--tolerance", "-1"],
    ],
)
def test_wrong_usage_is_2(words):
    result = run(*words, code=2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["solve", "STORE", "--ilp", "--greedy"], "exclude each other"),
        (["solve", "STORE", "--lap", "--greedy"], "--lap and --greedy exclude each other"),
        (["solve", "STORE", "--lap", "--backend", "highs"], "--backend is for --ilp"),
        (["solve", "STORE", "--linker", "mine", "--backend", "highs"], "--backend is for --ilp, not for mine"),
        (["solve", "STORE", "--linker", "mine", "--greedy"], "--greedy and --linker exclude each other"),
        (["solve", "STORE", "--linker", "mine"], "no solver 'mine'"),
        (["solve", "STORE", "--greedy", "--time-limit", "3"], "--time-limit is for --ilp"),
        (["solve", "STORE", "--max-gap", "1"], "--max-gap is for --lap, not for ilp"),
        (["solve", "STORE", "--max-gap", "1"], "trackdb link STORE --max-gap N"),
        (["solve", "STORE", "--greedy", "--no-merges"], "--merges is for --lap"),
        (["solve", "STORE", "--lap", "--percentile", "101"], "lap.percentile"),
        (["solve", "STORE", "--lap", "--percentile", "nan"], "lap.percentile"),
        (["solve", "STORE", "--lap", "--max-gap", "-2"], "lap.max_gap"),
        (["solve", "STORE", "--lap", "--factor", "0"], "lap.factor"),
        (["solve", "STORE", "--lap", "--split-distance", "inf"], "lap.split_distance"),
        (["solve", "STORE", "--lap", "--split-distance", "3", "--no-divisions"], "divisions = true"),
        (["solve", "STORE", "--lap", "--merge-distance", "3"], "merges = true"),
        (["solve", "STORE", "--lap", "--by", "score"], "does not go by score"),
        (["solve", "STORE", "--lap", "--by", "cost", "--merges"], "lap.merges is for a LAP by distance"),
        (["solve", "STORE", "--ilp", "--by", "distance"], "does not go by distance"),
        (["solve", "STORE", "--by", "magic"], "solve.by"),
        (["solve", "STORE", "--greedy", "--min-score", "0.7"], "--by score"),
        (["solve", "STORE", "--greedy", "--by", "score", "--min-score", "7"], "min_score"),
        (["solve", "STORE", "--backend", "abacus"], "abacus"),
        (["solve", "STORE", "--time-limit", "-1"], "time_limit"),
        (["link", "STORE", "--max-distance", "-3"], "max_distance"),
        (["link", "STORE", "--neighbors", "0"], "neighbors"),
        (["score", "STORE", "--by", "psychic"], "distance, overlap"),
        (["score", "STORE", "--by", "net.csv", "--scale", "guess"], "log-odds"),
        (["score", "STORE", "--by", "net.csv", "--columns", "score"], "--columns"),
        (["link", "STORE", "--config", "none.toml"], "none.toml"),
        (["lineage", "STORE", "1", "--format", "poem"], "poem"),
        (["export", "poem", "STORE", "-o", "out"], "poem"),
        (["evaluate", "STORE", "--fail-under", "edge_f9=1"], "edge_f9"),
        (["evaluate", "STORE", "--fail-under", "edge_f1=high"], "edge_f1=high"),
        (["evaluate", "STORE", "--fail-under", "edge_f1=nan"], "edge_f1=nan"),
        (["evaluate", "STORE", "--match-distance", "3"], "truth is a solution in the store"),
        (["evaluate", "STORE", "--ctc", "--sparse-truth"], "knows no sparse truth"),
        (["evaluate", "STORE", "--against", "CSV", "--ctc"], "no folder of the challenge"),
        (["ingest", "CSV", "-o", "new.trackdb", "--frames", "5"], "START:STOP:STEP"),
        (["ingest", "CSV", "-o", "new.trackdb", "--frames", "0:5:0"], "step of 0"),
        (["ingest", "CSV", "-o", "new.trackdb", "--columns", "t"], "--columns"),
        (["ingest", "CSV", "-o", "new.trackdb", "--columns", "t=t,t=y"], "t is named twice"),
        (["ingest", "CSV", "-o", "new.trackdb", "--images", "dapi="], "names no path"),
        (["ingest", "CSV", "-o", "new.trackdb", "--name", ""], "cannot be a name"),
        (["ingest", "CSV", "-o", "new.trackdb", "--name", "a" * 201], "cannot be a name"),
        (["import", "STORE", "CSV", "--name", ""], "cannot be a name"),
        (["import", "STORE", "CSV", "--name", "a\x1b[31mb"], "cannot be a name"),
        (["solve", "STORE", "--name", " "], "cannot be a name"),
        (["score", "STORE", "--name", ""], "cannot be a name"),
        (["ingest", "CSV", "-o", "new.trackdb", "--pixel-size", "tiny"], "--pixel-size"),
        (["ingest", "CSV", "-o", "new.trackdb", "--format", "poem"], "poem"),
        (["import", "STORE", "CSV", "--format", "poem"], "poem"),
        (["import", "STORE", "CSV", "--match-distance", "-1"], "--match-distance"),
        (["import", "STORE", "CSV", "--columns", "t"], "--columns"),
        (["simulate", "-o", "out", "--missed", "2"], "missed"),
    ],
)
def test_a_wrong_value_is_2_and_says_which(movie, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    places = {"STORE": movie.path, "CSV": movie.path.parent / "movie.csv"}
    assert message in refusal(*(places.get(word, word) for word in words), code=2)
    assert list(tmp_path.iterdir()) == []


NEEDS_A_STORE = {
    "import": ["tracks.csv"],
    "link": [],
    "score": [],
    "solve": [],
    "evaluate": [],
    "sql": ["select 1"],
    "lineage": ["1"],
    "info": [],
    "log": [],
    "check": [],
}


@pytest.mark.parametrize("command", NEEDS_A_STORE)
def test_a_missing_store_is_3_and_says_how_to_make_one(tmp_path, command):
    said = refusal(command, tmp_path / "none.trackdb", *NEEDS_A_STORE[command], code=3)
    assert "none.trackdb" in said
    assert "trackdb ingest" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", NEEDS_A_STORE)
def test_a_damaged_store_is_3(tmp_path, command):
    (tmp_path / "a.trackdb").mkdir()
    (tmp_path / "a.trackdb" / GRAPH).write_bytes(b"not a database" * 1000)
    said = refusal(command, tmp_path / "a.trackdb", *NEEDS_A_STORE[command], code=3)
    assert "damaged" in said
    assert "restore the store from a copy" in said


@pytest.fixture
def small(tmp_path):
    """A store to spoil."""
    store = DuckDBStore(tmp_path / "small.trackdb")
    ingest(write_points(tmp_path / "small.csv", n_frames=3, n_cells=4), store)
    return store


@pytest.mark.parametrize("command", NEEDS_A_STORE)
def test_a_newer_store_is_3_and_says_to_upgrade(small, command):
    with duckdb.connect(small.path / GRAPH) as connection:  # past trackdb, which trusts what it has written itself
        connection.execute("update meta set value = '99' where key in ('schema_version', 'oldest_reader')")
    said = refusal(command, small.path, *NEEDS_A_STORE[command], code=3)
    assert "schema version 99" in said
    assert re.search(r"pip install --upgrade (trackdb|\"trackdb>=)", said)


@pytest.mark.parametrize("command", ["solve", "sql", "ingest"])
def test_a_locked_store_is_3_and_names_the_holder(small, monkeypatch, command):
    monkeypatch.setattr("trackdb.storage.sandbox.PATIENCE_S", 0.1)
    monkeypatch.setattr(DuckDBStore.__init__, "__kwdefaults__", {"command": "python", "patience_s": 0.1})
    words = {"solve": [small.path], "sql": [small.path, "from cells"]}
    words["ingest"] = [small.path.with_suffix(".csv"), "-o", small.path, "--name", "other"]
    hold = f"c = duckdb.connect({str(small.path / GRAPH)!r}); print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", f"import duckdb, sys; {hold}"], **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        said = refusal(command, *words[command], code=3)
        holder.stdin.close()
    assert f"held by  pid {holder.pid}" in said
    assert "try      wait for it, or copy the store" in said


def test_taken_names_are_3(small, tmp_path):
    said = refusal("ingest", tmp_path / "small.csv", "-o", small.path, code=3)
    assert "already has a dataset named small" in said
    run("solve", small.path, "--name", "mine")
    assert "already a solution named mine" in refusal("solve", small.path, "--name", "mine", code=3)
    run("score", small.path, "--name", "ours")
    assert "already scores named ours" in refusal("score", small.path, "--name", "ours", code=3)


def test_what_the_store_does_not_hold_is_3(small, tmp_path):
    assert "holds no dataset named other" in refusal("solve", small.path, "--dataset", "other", code=3)
    assert "holds no solution named ilp-9" in refusal("evaluate", small.path, "--solution", "ilp-9", code=3)
    assert "no scores named theirs" in refusal("solve", small.path, "--scores", "theirs", code=3)
    mistyped = small.path.with_suffix(".trakcdb")
    assert f"known  {small.path}" in refusal("solve", mistyped, code=3)
    refused = refusal("score", small.path, code=3)
    assert "no candidates yet" in refused
    assert f"or trackdb solve {small.path}, which links first" in refused
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    assert "is not a store" in refusal("ingest", tmp_path / "small.csv", "-o", tmp_path / "thesis", code=3)


def test_an_optimum_that_is_required_and_not_proven_is_4(small):
    said = refusal("solve", small.path, "--greedy", "--require-optimal", "-q", code=4)
    assert "could not be proven" in said
    assert [s["solution"] for s in answer("info", small.path)["solutions"]] == ["truth"]


def test_a_check_that_finds_something_is_5(small):
    with small.writing() as connection:
        connection.exec_driver_sql("update detection set x = 'nan' where det_id = 5")
    found = answer("check", small.path, code=5)
    what = "a detection has no place (detections ingested)"
    problem = {"what": what, "count": 1, "try": "restore the store from a copy", "mendable": False}
    assert found == {"ok": False, "problems": [problem], "mended": []}
    said = run("check", small.path, code=5)
    assert "a detection has no place" in said.stdout
    assert "error: " in said.stderr


def test_a_figure_below_what_was_wanted_is_5(movie):
    run("evaluate", movie.path, "--fail-under", "edge_f1=0.9", "--fail-under", "edge_recall=0.9")
    said = run("evaluate", movie.path, "--fail-under", "edge_f1=1.01", code=5)
    assert re.search(r"edge_f1 is [\d.]+, wanted at least 1.01", said.stderr)
    assert answer("evaluate", movie.path, "--fail-under", "edge_f1=1.01", code=5)["edges"]["f1"] <= 1


BAD_MASKS = {
    "float": lambda file: tifffile.imwrite(file, square_mask(CENTRES[1]).astype(np.float32)),
    "rgb": lambda file: tifffile.imwrite(file, np.zeros((48, 64, 3), np.uint8), photometric="rgb"),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:200]),
    "shape": lambda file: tifffile.imwrite(file, np.zeros((10, 10), np.uint16)),
    "missing": lambda file: file.unlink(),
    "text": lambda file: file.write_text("not an image"),
}


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_bad_masks_are_1_and_leave_no_store(tmp_path, kind):
    drawn = write_ctc(tmp_path / "drawn")
    BAD_MASKS[kind](drawn / "01_GT" / "TRA" / "man_track001.tif")
    refusal("ingest", drawn, "-o", tmp_path / "a.trackdb", "-q", code=1)
    assert not (tmp_path / "a.trackdb").exists()


@pytest.mark.parametrize(
    "text", ["t,y\n0,1\n", "t,y,x\n0,1,nan\n", "t,y,x\n-1,1,2\n", "t,y,x\n0,1,2\n0,one,3\n", "", "t,y,x\n0.5,1,2\n"]
)
def test_a_bad_table_is_1_and_leaves_no_store(tmp_path, text):
    (tmp_path / "points.csv").write_text(text)
    assert "points.csv" in refusal("ingest", tmp_path / "points.csv", "-o", tmp_path / "a.trackdb", "-q", code=1)
    assert not (tmp_path / "a.trackdb").exists()


def test_what_a_damaged_file_holds_does_not_steer_the_terminal_or_fill_it(tmp_path):
    (tmp_path / "points.csv").write_text(",".join(f"\x1b[31mred{i}" for i in range(2000)) + "\n1\n")
    said = refusal("ingest", tmp_path / "points.csv", "-o", tmp_path / "a.trackdb", code=1)
    assert r"\x1b[31mred0" in said
    assert "\x1b" not in said
    assert len(said) < 2500


@pytest.mark.parametrize("words", [["export", "csv", "STORE", "-o", "out.csv"], ["simulate", "-o", "out"]])
def test_a_full_disk_is_1_names_the_place_and_leaves_nothing(movie, tmp_path, words):
    places = {"STORE": movie.path, "out.csv": tmp_path / "out.csv", "out": tmp_path / "out"}
    # -B: Python, too, would keep what it compiles, cut off
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", sys.executable, "-B", "-m", "trackdb.cli.main"]
    command = [*limited, *(str(places.get(word, word)) for word in words)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert f"error: {tmp_path / 'out'}" in said.stderr
    assert "make room" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_not_there_is_1(tmp_path):
    assert "none.csv" in refusal("ingest", tmp_path / "none.csv", "-o", tmp_path / "a.trackdb", code=1)
    assert list(tmp_path.iterdir()) == []


def test_an_error_has_its_traceback_when_it_is_asked_for(movie):
    result = CliRunner().invoke(app, ["lineage", str(movie.path), "9999", "--debug"])
    assert result.exit_code != 0
    said = child("lineage", movie.path, 9999, "--debug")
    assert "Traceback" in said.stderr
    assert "MissingRowsError" in said.stderr


def test_a_bug_keeps_its_traceback(movie, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("trackdb.engine.contents.contents_of", broken)
    result = CliRunner().invoke(app, ["info", str(movie.path)])
    assert isinstance(result.exception, ZeroDivisionError)


def test_too_little_memory_is_told_in_words(movie, monkeypatch):
    def large(*_):
        raise MemoryError("Unable to allocate 8.00 EiB")

    monkeypatch.setattr("trackdb.engine.contents.contents_of", large)
    assert "not enough memory for this" in refusal("info", movie.path, code=1)


def test_a_solve_with_too_little_memory_is_told_what_needs_less(movie, monkeypatch):
    def large(*_, **__):
        raise MemoryError("Unable to allocate 8.00 EiB")

    monkeypatch.setattr("trackdb.engine.pipeline.solve", large)
    assert "--window 5" in refusal("solve", movie.path, code=1)
    assert "--window" not in refusal("solve", movie.path, "--window", "5", code=1)


@pytest.mark.parametrize("images", [["a/b=x"], ["../x=y"], ["x=a", "x=b"]])
def test_channels_have_plain_names_each_once(tmp_path, images):
    options = [part for text in images for part in ("--images", text)]
    said = run("ingest", write_ctc(tmp_path / "m"), "-o", tmp_path / "a.trackdb", *options, code=2)
    assert "named twice or badly" in said.stderr
    assert not (tmp_path / "a.trackdb").exists()


def test_nowhere_to_keep_compiled_kernels_is_told(monkeypatch, tmp_path):
    def nowhere(_):
        raise RuntimeError("cannot cache function '_nearest': no locator available for file 'features.py'")

    monkeypatch.setattr("trackdb.cli.view.require_text", nowhere)
    assert "set NUMBA_CACHE_DIR to a folder" in refusal("info", tmp_path, code=1)
