"""`trackdb solve --learn-from`: a lineage of this store or another teaches the learned cost, and the run keeps it."""

import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

import trackdb
from trackdb.engine.config import load_config
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.problem import priced_again
from trackdb.engine.progress import Recorded, Silent
from trackdb.errors import CalibrationError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .command_line import answer, refusal, run
from .learned_movies import sheet
from .movies import write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")

MOVIE = {"n_frames": 8, "side": 6, "division": 0.03, "missed": 0.02, "false": 0.03}


def stored(folder, movie, *, name="sheet", kept=None, links=None, dataset=None, **options):
    """A store of a sheet; the label of a cell is its row + 1. Its truth knows the rows `kept`, and some `links`."""
    cells = movie.detections
    kept = movie.real if kept is None else kept
    link = movie.link[kept[movie.link].all(axis=1)][:links]
    mother = np.zeros(len(cells), dtype=int)
    mother[link[:, 1]] = link[:, 0] + 1
    rows = [
        (int(t), *place, i + 1, mother[i] or "")
        for i, (t, place) in enumerate(zip(cells.frame, cells.position_px.tolist(), strict=True))
    ]
    axes = ",".join(["t", *"zyx"[-cells.ndim :]])
    made, options = DuckDBStore(folder / f"{name}.trackdb"), SourceOptions(**options)
    points = write_rows(folder / f"{dataset or name}.csv", [row[:-1] for row in rows], header=f"{axes},id")
    ingest(points, made, name=dataset, options=options)
    known = [row for row, known in zip(rows, kept, strict=True) if known]
    told = write_rows(folder / f"{dataset or name}_truth.csv", known, header=f"{axes},id,parent")
    import_tracking(told, made, made.detection_set(dataset), name="truth", options=replace(options, columns={}))
    return made


@pytest.fixture(scope="module")
def movie():
    return sheet(51, **MOVIE)


@pytest.fixture(scope="module")
def proofread(tmp_path_factory, movie):
    return stored(tmp_path_factory.mktemp("proofread"), movie, name="proofread")


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path, sheet(52, **MOVIE))


def digest(store):
    return sha256(b"".join(f.read_bytes() for f in sorted(store.path.rglob("*")) if f.is_file())).hexdigest()


def test_what_was_learned_is_kept_and_said(store, proofread, movie):
    before = digest(proofread)
    told = run("solve", store.path, "--learn-from", f"truth@{proofread.path}")
    kept = done(store, store.detection_set(), "solve")[-1].params
    assert (kept["cost"], kept["taught"]["solution"]) == ("learned", "truth")
    links, divisions = kept["taught"]["links"], kept["taught"]["divisions"]
    assert divisions == pytest.approx(movie.divisions, abs=2)
    assert 0.97 * len(movie.link) < links <= len(movie.link)
    words = f"learned from {links:,} links and {divisions:,} divisions of truth of proofread"
    assert words in told.stderr
    assert f"ilp-1: {words}; " in run("info", store.path).stdout
    taught = kept["taught"]["parameters"]["rates"]["division"]
    assert kept["estimates"]["division_per_cell_and_frame"] == pytest.approx(taught, rel=0.4)
    assert kept["estimates"]["detections_learned_from"] == movie.real.sum()
    assert digest(proofread) == before


def test_the_posterior_is_of_the_same_costs_when_the_other_store_is_gone(tmp_path, store, proofread):
    other = tmp_path / "other.trackdb"
    shutil.copytree(proofread.path, other)
    solved = answer("solve", store.path, "--learn-from", f"@{other}")
    shutil.rmtree(other)
    chosen, info = store.find_solution(None, solved["solution"])
    problem = priced_again(store, chosen, info, load_config(store.path), Silent()).problem
    table = store.solution(info)
    edges = store.candidate_edges(chosen, store.detections(chosen))
    taken = np.isin(edges.id, table.edge)
    paired = np.isin(problem.pairs.first, np.flatnonzero(taken)) & np.isin(problem.pairs.second, np.flatnonzero(taken))
    assert paired.sum() == solved["divisions"] > 0
    assert run("posterior", store.path)
    plain = answer("solve", store.path)
    again = priced_again(store, *store.find_solution(None, plain["solution"]), load_config(store.path), Silent())
    assert not np.array_equal(problem.edge_cost, again.problem.edge_cost)


def test_a_solution_of_the_same_store_teaches_and_who_is_judged_by_it_is_told(store):
    solved = answer("solve", store.path, "--learn-from", "truth")
    found = run("evaluate", store.path, "--solution", solved["solution"])
    assert "was learned from truth of this very movie" in found.stderr
    run("solve", store.path)
    assert "learned from truth" not in run("evaluate", store.path).stderr


def test_a_lineage_of_the_first_frames_teaches_the_rest(tmp_path, movie):
    early = movie.real & (movie.detections.frame < 5)
    made = stored(tmp_path, movie, kept=early)
    answer("solve", made.path, "--learn-from", "truth")
    kept = done(made, made.detection_set(), "solve")[-1].params["taught"]
    assert (kept["first_frame"], kept["last_frame"]) == (0, 4)
    assert kept["cells"] == early.sum()


def test_a_store_of_several_movies_is_asked_by_name(tmp_path, store, movie):
    two = stored(tmp_path, movie, name="two", dataset="a")
    stored(tmp_path, sheet(53, **MOVIE), name="two", dataset="b")
    assert "several datasets" in refusal("solve", store.path, "--learn-from", f"truth@{two.path}", code=3)
    run("solve", store.path, "--learn-from", f"truth@{two.path}/b")
    assert done(store, store.detection_set(), "solve")[-1].params["taught"]["dataset"] == "b"
    assert "named c" in refusal("solve", store.path, "--learn-from", f"truth@{two.path}/c", code=3)


def test_from_python_a_solution_teaches(store, proofread):
    db, other = trackdb.open(store.path, write=True), trackdb.open(proofread.path)
    made = db.solve(learn_from=other.solution("truth"))
    assert made.proven
    assert done(store, store.detection_set(), "solve")[-1].params["taught"]["dataset"] == "proofread"


def test_settings_may_name_the_lineage(store, proofread):
    (store.path / "trackdb.toml").write_text(f'[solve]\nlearn_from = "truth@{proofread.path}"\n')
    run("solve", store.path)
    assert "taught" in done(store, store.detection_set(), "solve")[-1].params


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nobody", "no solution named nobody"),
        ("nobody@{}", "no solution named nobody"),
        ("truth@no.trackdb", "no.trackdb"),
    ],
)
def test_a_lineage_that_is_not_there_is_refused(store, proofread, named, message):
    assert message in refusal("solve", store.path, "--learn-from", named.format(proofread.path), code=3)
    assert not done(store, store.detection_set(), "solve")


def test_who_names_a_store_alone_is_told_how_to_name_its_truth(store, proofread):
    assert f"truth@{proofread.path}" in refusal("solve", store.path, "--learn-from", proofread.path, code=3)


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (sheet(51, **MOVIE), {"scale_um": (0.5, 0.5)}, "lengths of one tell nothing of the other"),
        (sheet(51, **{**MOVIE, "side": 4}, ndim=3), {}, "is of a movie in 3D, sheet is in 2D"),
        (sheet(51, **MOVIE), {"links": 3}, "has 3 links that are candidates: too few to learn from"),
        (sheet(51, **MOVIE), {"links": 0}, "has no links to learn from"),
    ],
)
def test_a_lineage_that_tells_too_little_is_refused(tmp_path, store, other, options, message):
    made = stored(tmp_path, other, name="other", **options)
    assert message in refusal("solve", store.path, "--learn-from", f"truth@{made.path}", code=1)


def test_a_sparse_lineage_is_refused(tmp_path, store, movie):
    """Half of the cells; of the others it does not tell whether they are cells."""
    some = movie.real & (movie.detections.position_px[:, 0] < 25)
    made = stored(tmp_path, movie, name="other", kept=some)
    said = refusal("solve", store.path, "--learn-from", f"truth@{made.path}", code=1)
    assert "% of the detections in its frames" in said
    assert "80 % of them or more" in said
    with pytest.raises(CalibrationError):
        trackdb.open(store.path, write=True).solve(learn_from=f"truth@{made.path}")


@pytest.mark.parametrize(
    "words",
    [["--simple"], ["--cost", "density"], ["--lap"], ["--greedy"], ["--window", 4], ["--calibration", "c.toml"],
     ["--scores", "distance"]],
)  # fmt: skip
def test_what_cannot_be_taught_is_refused(store, words):
    refusal("solve", store.path, "--learn-from", "truth", *words, code=2)


def test_another_pace_is_told(tmp_path, proofread):
    slow = stored(tmp_path, sheet(51, **MOVIE), name="slow", interval_s=300.0)
    fast = stored(tmp_path, sheet(52, **MOVIE), name="fast", interval_s=60.0)
    said = Recorded()
    chosen = fast.detection_set()
    settings = load_config(fast.path, overrides={"solve": {"learn_from": f"truth@{slow.path}"}})
    solve(fast, chosen, settings, progress=said)
    assert any("300 s apart in slow and 60 s in fast" in note for note in said.notes)


def test_points_without_errors_are_told_of(tmp_path, store):
    clean = stored(tmp_path, sheet(54, n_frames=8, side=6, division=0.03), name="clean")
    said = run("solve", store.path, "--learn-from", f"truth@{clean.path}").stderr
    assert "no detection of clean is false and no cell is missed" in said


@pytest.mark.slow
def test_a_solve_that_is_killed_while_it_learns_leaves_both_stores_as_they_were(store, proofread):
    before = digest(proofread)
    words = ["solve", str(store.path), "--learn-from", f"truth@{proofread.path}"]
    for seconds in (1.0, 2.5, 4.0):
        life = subprocess.Popen([sys.executable, "-m", "trackdb.cli.main", *words], stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            life.wait(seconds)
        life.kill()
        life.wait()
    answer(*words)  # the same command: by another name the run of whoever was killed would stay open
    assert answer("check", store.path)["ok"]
    assert digest(proofread) == before
