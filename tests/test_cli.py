"""The command line: what stands on stdout, what on stderr, and the exit code of everything that can go wrong."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from trackdb.cli.main import app
from trackdb.engine.check import check
from trackdb.engine.exports import FORMATS
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH

from .movies import CENTRES, DIVIDING, dividing_cells, square_mask, write_ctc, write_points, write_rows

COMMANDS = sorted(typer.main.get_command(app).commands)
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def handlers():
    """A command sets the root logger to its own stderr; give it back."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """A store that tests only read: dividing cells with truth and an exact solution."""
    folder = tmp_path_factory.mktemp("movie")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", dividing_cells(n_frames=6, side=3), header=DIVIDING), store)
    solve(store, store.detection_set())
    return store


def run(*words, code=0, text=None):
    """Run a command in this process, hold it to its exit code, and return its result."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=text)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def answer(*words, code=0):
    """Run a command with --json and return its one object."""
    result = run(*words, "--json", code=code)
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert found.pop("schema_version") == 1
    return found


def refusal(*words, code):
    """Run a command that must fail, and return what it says: after notes one to four lines, nothing on stdout."""
    result = run(*words, code=code)
    lines = [line for line in result.stderr.strip().split("\n") if not line.startswith("note: ")]
    assert result.stdout == ""
    assert 1 <= len(lines) <= 4, result.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def child(*words, **options):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "trackdb.cli.main", *map(str, words)], capture_output=True, text=True, **options
    )


# -- help, documents, start-up ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    shown = run(name, "--help").stdout
    assert f"Example: trackdb {name}" in shown
    assert {"--json", "--quiet", "--verbose", "--debug"} <= set(re.findall(r"--[a-z-]+", shown))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name):
    assert f"trackdb {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_in_kebab_case_and_short_ones_few(name):
    command = typer.main.get_command(app).commands[name]
    options = [o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")]
    assert all(re.fullmatch(r"--[a-z0-9]+(-[a-z]+)*|-[oqvnj]", option) for option in options)


@pytest.mark.parametrize("words", [["--help"], ["version"], ["version", "--json"], ["solve", "--help"]])
def test_the_command_line_starts_without_what_it_does_not_need(words):
    code = (
        "import sys\nfrom trackdb.cli.main import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'duckdb', 'numba', 'pyarrow', 'scipy', 'sqlalchemy', 'zarr', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_the_version_is_told():
    assert run("version").stdout == f"trackdb {version('trackdb')}\n"
    assert answer("version")["version"] == version("trackdb")


# -- what each command says -------------------------------------------------------------------------------------------


def test_the_way_from_files_to_a_lineage_in_json(tmp_path):
    drawn, store = write_ctc(tmp_path / "drawn", images=True), tmp_path / "drawn.trackdb"
    found = answer("ingest", drawn, "-o", store)
    assert set(found) == {"store", "dataset", "frames", "detections", "truth_edges", "solution", "seconds"}
    assert [found[k] for k in ("store", "dataset", "frames", "detections", "truth_edges", "solution")] == [
        str(store),
        "drawn",
        3,
        9,
        6,
        "truth",
    ]
    found = answer("link", store, "--max-distance", 15, "--neighbors", 5, "--max-gap", 1)
    assert set(found) == {"edges", "max_distance", "neighbors", "max_gap", "seconds"}
    assert (found["max_distance"], found["neighbors"], found["max_gap"]) == (15, 5, 1)
    found = answer("score", store, "--by", "distance", "--name", "mine")
    assert set(found) == {"scores", "edges", "seconds", "device"}
    assert (found["scores"], found["device"]) == ("mine", "cpu")
    found = answer("solve", store, "--scores", "mine")
    wanted = "solution linker objective lower_bound proven links tracks divisions merges appearances disappearances"
    assert {*wanted.split(), "pins", "left_out", "seconds"} <= set(found)
    assert (found["solution"], found["linker"], found["proven"], found["pins"]) == ("ilp-1", "ilp", True, 0)
    assert (found["links"], found["left_out"]) == (len(links_of(store)), 0)
    found = answer("evaluate", store)
    assert {"edges", "divisions", "divisions_1", "ctc", "calibration"} <= set(found)
    found = answer("export", "ctc", store, "-o", tmp_path / "01_RES")
    assert found.items() >= {"format": "ctc", "path": str(tmp_path / "01_RES"), "files": 4}.items()
    assert found["links"] == len(links_of(store))
    assert found["notes"] == [note for note in found["notes"] if "left out" in note]  # no gap was split
    found = answer("info", store)
    wanted = "path store_schema_version datasets solutions scores posteriors annotations unfinished bytes"
    assert set(found) == set(wanted.split())
    assert [s["solution"] for s in found["solutions"]] == ["truth", "ilp-1"]
    assert answer("check", store) == {"ok": True, "problems": []}
    assert [r["kind"] for r in answer("log", store)["runs"]] == ["ingest", "link", "score", "solve"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_exported_by_its_name_and_says_what_it_loses(rich, tmp_path, name):
    out = tmp_path / f"out.{name}"
    said = run("export", name, rich.path, "-o", out, "--solution", "truth")
    assert re.fullmatch(rf"solution truth: \d+ files? in {out}: [\d,]+ tracks, 7 links, [\d.]+ s\n", said.stdout)
    notes = [line.removeprefix("note: ") for line in said.stderr.splitlines()]
    found = answer("export", name, rich.path, "-o", tmp_path / "again" / out.name, "--solution", "truth")
    assert set(found) == {"format", "path", "files", "links", "tracks", "notes"}
    assert found["notes"] == notes
    assert name in run("export", "--help").stdout.split("Arguments:")[1].split("Options:")[0]
    assert f"{out} exists already" in refusal("export", name, rich.path, "-o", out, code=1)


def test_masks_go_beside_the_graph_where_the_format_has_a_place_for_them(tmp_path, movie):
    assert "holds no label masks" in refusal("export", "csv", movie.path, "-o", tmp_path / "x", "--masks", code=2)
    assert "no label masks" in refusal("export", "geff", movie.path, "-o", tmp_path / "x", "--masks", code=1)
    assert not (tmp_path / "x").exists()


def test_scores_by_overlap_and_by_a_table_of_ones_own(tmp_path):
    store = tmp_path / "drawn.trackdb"
    run("ingest", write_ctc(tmp_path / "drawn"), "-o", store, "-q")
    run("link", store, "-q")
    said = run("score", store, "--by", "overlap")
    assert re.fullmatch(r"scores overlap: \d+ candidates, drift_px 0, largest_drift_px 0, [\d.]+ s\n", said.stdout)
    candidates = answer("sql", store, "select source, target, distance from candidates")["rows"]
    table = tmp_path / "net.csv"
    table.write_text("a,b,logit\n" + "".join(f"{a},{b},{9 - d}\n" for a, b, d in candidates))
    said = run("score", store, "--by", table, "--columns", "source=a,target=b", "--scale", "similarity")
    assert said.stdout.startswith(f"scores net: {len(candidates)} candidates, ")
    assert "note: columns of net.csv guessed from their names: score=logit" in said.stderr
    assert set(answer("score", store, "--by", table, "--columns", "source=a,target=b")) == {
        "scores", "edges", "seconds", "device"
    }  # fmt: skip
    for name in ("overlap", "net"):
        assert answer("solve", store, "--scores", name, "--name", f"by {name}")["links"] > 0
    table.write_text("source,target,score\n1,9,0.5\n1,99,0.5\n")
    said = refusal("score", store, "--by", table, code=1)
    assert f"{table} line 3: there is no cell 99" in said
    (store / "trackdb.toml").write_text('[score]\nby = "overlap"\n')
    assert run("score", store, "--name", "set").stdout.startswith("scores set: ")
    assert answer("info", store)["scores"] == ["overlap", "net", "net-2", "set"]


def links_of(store):
    _, info = DuckDBStore(store).find_solution(name="ilp-1")
    return DuckDBStore(store).link_ends(info)[0]


def test_the_way_from_files_to_a_lineage_for_people(tmp_path):
    drawn, store = write_ctc(tmp_path / "drawn"), tmp_path / "drawn.trackdb"
    said = run("ingest", drawn, "-o", store)
    assert re.fullmatch(r"dataset drawn: 3 frames, 9 detections, 6 links of truth, [\d.]+ s\n", said.stdout)
    said = run("link", store, "--max-distance", 15)
    assert re.fullmatch(r"[\d,]+ candidates within 15 px: [\d,]+ new, [\d,]+ in the graph, [\d.]+ s\n", said.stdout)
    assert "note: no voxel size is known" in said.stderr
    assert run("score", store).stdout.startswith("scores distance: ")
    said = run("solve", store)
    pattern = r"solution ilp-1: \d+ links?, \d+ tracks?, \d+ divisions?, proven optimal, [\d.]+ s\n"
    assert re.fullmatch(pattern, said.stdout)
    assert said.stderr == ""
    said = run("evaluate", store)
    assert said.stdout.split("\n")[0].split() == ["tp", "fp", "fn", "precision", "recall", "f1"]
    assert said.stderr.startswith("solution ilp-1 against truth: edge F1 ")
    assert "ilp-1" in run("info", store).stdout
    assert "0 problems" in run("check", store).stderr
    assert "ingest" in run("log", store).stdout


def test_solve_says_what_it_did_by_itself_unless_asked_to_be_quiet(tmp_path):
    for name, quiet, notes in (("a", [], 4), ("b", ["-q"], 0)):
        store = tmp_path / f"{name}.trackdb"
        run("ingest", write_points(tmp_path / "points.csv"), "-o", store, *quiet)
        said = run("solve", store, *quiet)
        assert said.stdout.startswith("solution ilp-1: 45 links, 9 tracks, 0 divisions")
        assert len([line for line in said.stderr.split("\n") if line.startswith("note: ")]) == notes


def test_a_solution_that_is_not_proven_has_no_bound_in_json(tmp_path):
    run("ingest", write_points(tmp_path / "points.csv"), "-o", tmp_path / "a.trackdb")
    found = answer("solve", tmp_path / "a.trackdb", "--greedy", "--name", "quick")
    assert (found["solution"], found["linker"], found["lower_bound"], found["proven"]) == (
        "quick",
        "greedy",
        None,
        False,
    )


def test_ingest_understands_its_options(tmp_path):
    rows = [(t, 1 + k * 30, 2 + t, 7 + k) for t in range(6) for k in range(3)]
    write_rows(tmp_path / "points.csv", rows, header="frame,row,col,cell")
    columns = ["--columns", "t=frame,y=row,x=col,track=cell"]
    numbers = ["--pixel-size", "0.5,0.25", "--frame-interval", "30", "--frames", "1:5:2", "--name", "thin"]
    found = answer("ingest", tmp_path / "points.csv", "-o", tmp_path / "a.trackdb", *columns, *numbers)
    assert (found["dataset"], found["frames"], found["detections"], found["truth_edges"]) == ("thin", 2, 6, 3)
    [row] = answer("sql", tmp_path / "a.trackdb", "select unit, scale_y, scale_x, frame_interval_s from datasets")[
        "rows"
    ]
    assert row == ["um", 0.5, 0.25, 60.0]


def test_columns_are_kept_as_properties_of_the_cells(tmp_path):
    rows = [(t, 10 * k, t, 0.5 + t, f"cell {k}", "x") for t in range(3) for k in range(2)]
    write_rows(tmp_path / "points.csv", rows, header="t,y,x,quality,who,other")
    store, words = tmp_path / "a.trackdb", ["--keep", "quality", "--keep", "who"]
    answer("ingest", tmp_path / "points.csv", "-o", store, *words, "--name", "two")
    answer("ingest", tmp_path / "points.csv", "-o", store, "--keep", "all", "--name", "all")
    answer("ingest", tmp_path / "points.csv", "-o", store, "--name", "none")
    query = "select dataset, name, count(*), sum(value), min(text) from properties group by all order by all"
    assert answer("sql", store, query)["rows"] == [
        ["all", "other", 6, None, "x"],
        ["all", "quality", 6, 9.0, None],
        ["all", "who", 6, None, "cell 0"],
        ["two", "quality", 6, 9.0, None],
        ["two", "who", 6, None, "cell 0"],
    ]
    assert "missing" in refusal("ingest", tmp_path / "points.csv", "-o", store, "--keep", "missing", code=1)


def test_what_cannot_be_kept_is_said(tmp_path):
    said = run("ingest", write_ctc(tmp_path / "drawn"), "-o", tmp_path / "a.trackdb", "--keep", "quality")
    assert "note: nothing is kept of the cells" in said.stderr


def test_links_come_in_from_a_second_table(tmp_path):
    write_rows(tmp_path / "spots.csv", [(0, 1, 1, 10), (1, 1, 2, 11), (2, 1, 3, 12)], header="t,y,x,id")
    write_rows(tmp_path / "links.csv", [(10, 11), (11, 12)], header="source,target")
    found = answer("ingest", tmp_path / "spots.csv", "--links", tmp_path / "links.csv", "-o", tmp_path / "a.trackdb")
    assert found["truth_edges"] == 2


def test_images_and_truth_are_named_on_the_command_line(tmp_path):
    drawn = write_ctc(tmp_path / "drawn", images=True)
    masks = shutil.copytree(drawn / "01_GT" / "TRA", drawn / "masks")
    (masks / "man_track.txt").unlink()
    words = ["--images", f"nuclei={drawn / '01'}", "--truth", drawn / "01_GT", "--format", "masks"]
    assert answer("ingest", masks, "-o", tmp_path / "a.trackdb", *words)["truth_edges"] == 6
    refs = DuckDBStore(tmp_path / "a.trackdb").all_arrays()
    assert {(ref.kind, ref.channel) for ref in refs} == {("masks", ""), ("images", "nuclei")}


IMPORT_KEYS = {"store", "dataset", "frames", "detections", "truth_edges", "solution", "seconds"}


EVALUATE_KEYS = {
    *("edges", "divisions", "divisions_1", "association_accuracy", "target_effectiveness", "ctc", "calibration"),
    *("solution", "against", "associations", "reference_cells", "reference_matched", "sparse_truth"),
}


def test_a_solution_is_measured_against_folders_and_files(tmp_path):
    drawn, store = write_ctc(tmp_path / "drawn"), tmp_path / "drawn.trackdb"
    run("ingest", drawn, "-o", store)
    run("solve", store)
    found = answer("evaluate", store, "--against", drawn / "01_GT", "--ctc")
    assert set(found) >= EVALUATE_KEYS
    assert (found["ctc"]["by"], found["reference_cells"], found["calibration"]) == ("py-ctcmetrics", 9, None)
    own = answer("evaluate", store, "--against", drawn / "01_GT")
    assert own["ctc"] == {**found["ctc"], "by": "trackdb"}
    said = run("evaluate", store, "--against", drawn, "--tolerance", 2)
    for words in ("divisions (+-2)", "associations", "association accuracy", "target effectiveness", "AOGM_EC"):
        assert words in said.stdout
    cells = [(0, 10, 20, 1, ""), (1, 10, 21, 2, 1)]
    table = write_rows(tmp_path / "some.csv", cells, header="t,y,x,id,parent")
    sparse = answer("evaluate", store, "--against", table, "--sparse-truth")
    assert (sparse["reference_matched"], sparse["association_accuracy"], sparse["ctc"]["AOGM_FP"]) == (2, 1.0, 0)
    run("evaluate", store, "--against", table, "--fail-under", "AOGM=7", "--fail-under", "association_accuracy=1")
    said = run("evaluate", store, "--against", table, "--fail-under", "AOGM=6.9", code=5)
    assert "AOGM is 7, wanted at most 6.9" in said.stderr
    assert "there is no solution named none" in refusal("evaluate", store, "--against", "none", code=3)
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv" in refusal("evaluate", store, "--against", tmp_path / "empty.csv", code=1)


def test_a_tracking_of_others_becomes_a_solution(tmp_path):
    points = write_points(tmp_path / "points.csv")
    place = tmp_path / "a.trackdb"
    run("ingest", points, "-o", place)
    found = answer("import", place, points, "--name", "theirs")
    assert set(found) >= IMPORT_KEYS
    assert (found["solution"], found["truth_edges"], found["detections"]) == ("theirs", 45, 54)
    said = refusal("import", place, points, "--name", "theirs", code=3)
    assert "already a solution named theirs" in said
    done = run("import", place, points, "--columns", "t=t,y=y,x=x,track=track", "--frames", "0:3")
    assert done.stdout.startswith("solution points: 18 links of 27 cells over 54 detections of points")
    assert "there is nothing at" in refusal("import", place, tmp_path / "none.csv", code=1)


def test_several_datasets_are_chosen_by_name(tmp_path):
    store = tmp_path / "a.trackdb"
    for name in ("left", "right"):
        run("ingest", write_points(tmp_path / f"{name}.csv"), "-o", store, "--name", name)
    said = refusal("solve", store, code=3)
    assert "known  left, right" in said
    assert "--dataset NAME" in said
    for name in ("left", "right"):
        assert answer("solve", store, "--dataset", name)["solution"] == "ilp-1"
    assert answer("evaluate", store, "--dataset", "right", "--solution", "ilp-1")["edges"]["f1"] == 1.0


def test_settings_come_from_files_and_options_win(tmp_path):
    store = tmp_path / "a.trackdb"
    run("ingest", write_points(tmp_path / "points.csv"), "-o", store)
    (store / "trackdb.toml").write_text("[link]\nmax_distance = 12\nneighbors = 3\n")
    (tmp_path / "mine.toml").write_text("[link]\nneighbors = 4\n")
    found = answer("link", store, "--config", tmp_path / "mine.toml", "--max-distance", 15)
    assert (found["max_distance"], found["neighbors"]) == (15, 4)
    (store / "trackdb.toml").write_text("[link]\nneighbours = 3\n")
    assert "neighbours" in refusal("link", store, code=2)


# -- sql and lineage --------------------------------------------------------------------------------------------------

COUNT = "select t, count(*) n from cells group by t order by t"


def test_sql_answers_as_a_table_json_csv_and_parquet(movie, tmp_path):
    wanted = [9, 9, 14, 14, 14, 14]
    found = answer("sql", movie.path, COUNT)
    assert set(found) == {"columns", "rows", "truncated", "seconds"}
    assert (found["columns"], [n for _, n in found["rows"]], found["truncated"]) == (["t", "n"], wanted, False)
    said = run("sql", movie.path, COUNT)
    assert [line.split() for line in said.stdout.strip().split("\n")][2:] == [
        [str(t), str(n)] for t, n in enumerate(wanted)
    ]
    assert said.stderr.startswith("6 rows, ")
    said = child("sql", movie.path, COUNT, "--csv")
    assert said.stdout == '"t","n"\n' + "".join(f"{t},{n}\n" for t, n in enumerate(wanted))
    said = run("sql", movie.path, COUNT, "--parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["n"].to_pylist() == wanted
    assert said.stdout == ""


def test_sql_reads_its_query_from_stdin(movie):
    said = run("sql", movie.path, "-", "--json", text="select 1 as one\n")
    assert json.loads(said.stdout)["rows"] == [[1]]


def test_sql_takes_parameters(movie):
    query = "select $a as a, $b as b, $c as c"
    [row] = answer("sql", movie.path, query, "--param", "a=3", "--param", "b=0.5", "--param", "c=it's; drop")["rows"]
    assert row == [3, 0.5, "it's; drop"]
    assert "--param" in refusal("sql", movie.path, query, "--param", "3", code=2)


def test_sql_says_when_there_is_more(movie):
    found = answer("sql", movie.path, "select cell from cells order by cell", "--limit", 3)
    assert (found["rows"], found["truncated"]) == ([[1], [2], [3]], True)
    assert "3 rows, and more" in run("sql", movie.path, "from cells", "--limit", 3).stderr


def test_sql_without_a_query_lists_what_there_is(movie):
    names = {row[0] for row in answer("sql", movie.path)["rows"]}
    assert {"cells", "links", "tracks", "tracked", "divisions"} <= names


@pytest.mark.parametrize(
    ("query", "words", "message"),
    [
        ("selec 1", [], "cannot be answered"),
        ("from cellz", [], "cannot be answered"),
        ("select 1; select 2", [], "one SQL statement"),
        ("drop table run", [], "may not change"),
        ("from '/etc/passwd'", [], "cannot be answered"),
        ("select count(*) from range(10000000000) a, range(100000) b", ["--timeout", "0.2"], "longer than 0.2 s"),
        ("select $a", [], "cannot be answered"),
    ],
)
def test_sql_that_cannot_be_answered_is_bad_input(movie, query, words, message):
    assert message in refusal("sql", movie.path, query, *words, code=1)


def test_a_lineage_is_a_tree_newick_or_json(movie):
    [[mother]] = answer("sql", movie.path, "select min(cell) from divisions where solution = 'ilp-1'")["rows"]
    tree = run("lineage", movie.path, mother).stdout
    assert len(tree.strip().split("\n")) == 3
    assert f"<- cell {mother}" in tree
    assert re.fullmatch(
        r"\(\d+:\d+,\d+:\d+\)\d+:\d+;\n", run("lineage", movie.path, mother, "--format", "newick").stdout
    )
    found = answer("lineage", movie.path, mother)
    assert set(found) == {"cell", "nodes", "edges"}
    assert json.loads(run("lineage", movie.path, mother, "--format", "json").stdout)["edges"] == found["edges"]
    up, down = (answer("lineage", movie.path, mother, way) for way in ("--up", "--down"))
    ids = [{node["cell"] for node in part["nodes"]} for part in (up, down, found)]
    assert ids[0] & ids[1] == {mother}
    assert ids[0] | ids[1] == ids[2]
    assert len(found["edges"]) == len(ids[2]) - 1


def test_a_cell_that_is_not_there_is_a_matter_of_the_store(movie):
    assert "cell 9999 is not part of solution ilp-1" in refusal("lineage", movie.path, 9999, code=3)


# -- dry runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["simulate", "demo", "export"])
def test_a_dry_run_writes_nothing(movie, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    words = {"simulate": ["-o", "out"], "demo": ["out"], "export": ["ctc", movie.path, "-o", "out"]}[command]
    said = run(command, *words, "--dry-run")
    assert "would write" in said.stdout
    assert answer(command, *words, "--dry-run")["path"] == "out"
    assert list(tmp_path.iterdir()) == []


def test_simulate_writes_a_movie_that_can_be_ingested(tmp_path):
    words = ["--frames", 4, "--cells", 6, "--seed", 3, "--no-images"]
    found = answer("simulate", "-o", tmp_path / "movie", *words)
    assert (found["frames"], found["seed"]) == (4, 3)
    assert found["tracks"] >= 6
    assert answer("ingest", tmp_path / "movie" / "01_GT", "-o", tmp_path / "a.trackdb")["frames"] == 4


# -- exit codes -------------------------------------------------------------------------------------------------------


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
        (["solve", "STORE", "--greedy", "--time-limit", "3"], "--time-limit is for --ilp"),
        (["solve", "STORE", "--max-gap", "1"], "--max-gap is for --lap, not for ilp"),
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
        (["evaluate", "STORE", "--match-distance", "3"], "truth is a solution in the store"),
        (["evaluate", "STORE", "--ctc", "--sparse-truth"], "knows no sparse truth"),
        (["evaluate", "STORE", "--against", "CSV", "--ctc"], "no folder of the challenge"),
        (["ingest", "CSV", "-o", "new.trackdb", "--frames", "5"], "START:STOP:STEP"),
        (["ingest", "CSV", "-o", "new.trackdb", "--frames", "0:5:0"], "step of 0"),
        (["ingest", "CSV", "-o", "new.trackdb", "--columns", "t"], "--columns"),
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
    with small.writing() as connection:
        connection.exec_driver_sql("update meta set value = '99' where key in ('schema_version', 'oldest_reader')")
    said = refusal(command, small.path, *NEEDS_A_STORE[command], code=3)
    assert "schema version 99" in said
    assert "pip install --upgrade trackdb" in said


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
    assert "no candidates yet" in refusal("score", small.path, code=3)
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
    assert found == {
        "ok": False,
        "problems": [{"what": "a detection has no place", "count": 1, "try": "restore the store from a copy"}],
    }
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


# -- streams and signals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["info"], ["check"], ["evaluate"], ["sql", COUNT], ["log"]])
def test_what_is_not_a_terminal_gets_no_escape_codes(movie, words):
    said = child(words[0], movie.path, *words[1:])
    assert said.returncode == 0
    assert "\x1b" not in said.stdout + said.stderr
    assert said.stdout or words == ["check"]


def test_a_terminal_with_no_color_gets_no_colour(tmp_path):
    pty = pytest.importorskip("pty")
    write_points(tmp_path / "points.csv")
    ours, theirs = pty.openpty()
    words = ["ingest", str(tmp_path / "points.csv"), "-o", str(tmp_path / "a.trackdb"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "trackdb.cli.main", *words],
        env={**os.environ, "NO_COLOR": "1", "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(4096):
                shown += part
        except OSError:  # the other end is closed
            pass
    assert json.loads(done.stdout)["detections"] == 54
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown)


def test_ctrl_c_is_130_and_the_same_command_goes_on(tmp_path):
    """The child sends itself SIGINT in the middle of the frames, as a terminal would."""
    drawn, place = write_ctc(tmp_path / "drawn", images=True), tmp_path / "a.trackdb"
    code = (
        "import os, signal, sys\nfrom trackdb.engine import ingest as engine_ingest\nfrom trackdb.cli.main import run\n"
        "engine_ingest.BATCH_ROWS = 1\nmeasured, calls = engine_ingest._measured, []\n"
        "def interrupted(batch):\n"
        "    calls.append(batch.frame)\n"
        "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return measured(batch)\n"
        "engine_ingest._measured = interrupted\n"
        f"sys.argv = ['trackdb', 'ingest', {str(drawn)!r}, '-o', {str(place)!r}]\nrun()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    store = DuckDBStore(place)
    assert store.detection_sets() == []
    [problem] = check(store)
    assert "ingest drawn was not finished" in problem.what
    said = run("ingest", drawn, "-o", place)
    assert "going on with an unfinished ingest at frame 1" in said.stderr
    assert "9 detections" in said.stdout
    assert check(store) == []


def test_csv_tells_what_it_does_not_know_as_text(movie):
    said = run("sql", movie.path, "select '\\xff'::blob as b, [1, 2] as l, 'x' as s", "--csv")
    assert said.stdout == '"b","l","s"\n"ff","[1, 2]","x"\n'


@pytest.mark.parametrize("images", [["a/b=x"], ["../x=y"], ["x=a", "x=b"]])
def test_channels_have_plain_names_each_once(tmp_path, images):
    options = [part for text in images for part in ("--images", text)]
    said = run("ingest", write_ctc(tmp_path / "m"), "-o", tmp_path / "a.trackdb", *options, code=2)
    assert "named twice or badly" in said.stderr
    assert not (tmp_path / "a.trackdb").exists()
