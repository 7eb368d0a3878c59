"""The command line: its help, and what each command says to people and to machines."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from trackdb.cli.main import app
from trackdb.engine.exports import FORMATS
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer, refusal, run
from .movies import write_ctc, write_points, write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")
COMMANDS = sorted(typer.main.get_command(app).commands)
ROOT = Path(__file__).parents[1]


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


def test_the_list_of_commands_says_of_each_a_whole_sentence():
    shown = run("--help").stdout.split("Commands:")[1].strip().split("\n")
    assert len(shown) > 20
    assert not [line for line in shown if "..." in line]


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
    assert run("version").stdout == run("--version").stdout == f"trackdb {version('trackdb')}\n"
    assert answer("version")["version"] == version("trackdb")


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
    wanted = "path store_schema_version datasets solutions scores posteriors annotations learned unfinished bytes"
    assert set(found) == set(wanted.split())
    assert [s["solution"] for s in found["solutions"]] == ["truth", "ilp-1"]
    assert answer("check", store) == {"ok": True, "problems": [], "mended": []}
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
    assert said.stderr == "note: 9 detections are too few to learn from: priced by the plain cost\n"
    said = run("evaluate", store)
    assert said.stdout.split("\n")[0].split() == ["tp", "fp", "fn", "precision", "recall", "f1"]
    assert said.stderr.startswith("solution ilp-1 against truth: edge F1 ")
    assert "ilp-1" in run("info", store).stdout
    assert "0 problems" in run("check", store).stderr
    assert "ingest" in run("log", store).stdout


def test_solve_says_what_it_did_by_itself_unless_asked_to_be_quiet(tmp_path):
    for name, quiet, notes in (("a", [], 5), ("b", ["-q"], 0)):
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
    assert "holds no solution named none to compare with" in refusal("evaluate", store, "--against", "none", code=3)
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
