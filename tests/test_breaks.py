"""What a solve remarks on: frames between which a movie breaks, optima that are not proven, scores that say nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.breaks import breaks_of, told
from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import link, solve
from trackdb.engine.progress import Silent
from trackdb.engine.remarks import remark
from trackdb.solvers.problem import Selection
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.testing.movies import cells

from .command_line import answer, run
from .movies import write_rows

N, SIDE, REACH = 60, 300.0, 2
LATTICE = 40.0 * np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1).reshape(-1, 2)


def walking(*, seed=0, n_frames=6, ndim=2, home=None, shift_at=None, shift=0.0, drift=0.0, frames=None):
    """Cells that jitter around their homes; from frame `shift_at` on all are shifted, and in each by the drift."""
    rng = np.random.default_rng(seed)
    home = rng.uniform(0, SIDE, (N, ndim)) if home is None else home
    place = home + rng.normal(0, 0.8, (n_frames, len(home), ndim)) + drift * np.arange(n_frames)[:, None, None]
    if shift_at is not None:
        place[shift_at:] += shift
    number = np.arange(n_frames) if frames is None else np.asarray(frames)
    return cells(np.repeat(number, len(home)), place.reshape(-1, ndim))


def true_links(movie, n=N):
    source = np.arange(len(movie) - n)
    return source, source + n


def nearest_links(movie):
    """Each cell with the nearest one of the next frame: what goes by distance alone."""
    edges = link_nearest(movie, max_distance=2 * SIDE, neighbors=1)
    return edges.source, edges.target


def test_a_stage_that_moves_is_found_with_how_far_and_which_way():
    movie = walking(shift_at=3, shift=np.array([70.0, -25.0]))
    [found] = breaks_of(movie, *nearest_links(movie), REACH)
    assert (found.first, found.second, found.cells, found.unit) == (2, 3, N, "px")
    assert found.shift == pytest.approx((70, -25), abs=1)
    assert found.following < 10
    assert "between frames 2 and 3 most cells shift together by 74" in str(found)


def test_where_links_follow_a_jump_nothing_is_broken():
    movie = walking(shift_at=3, shift=np.array([70.0, -25.0]))
    assert breaks_of(movie, *true_links(movie), REACH) == ()


def test_a_jump_that_half_of_the_links_follow_is_found():
    movie = walking(shift_at=3, shift=np.array([70.0, -25.0]))
    source, target = true_links(movie)
    kept = (movie.frame[source] != 2) | (source % 2 == 0)
    [found] = breaks_of(movie, source[kept], target[kept], REACH)
    assert (found.links, found.following) == (30, 30)


@pytest.mark.parametrize("drift", [0.0, 1.0, 30.0])
def test_cells_that_move_as_ever_are_not_broken(drift):
    movie = walking(drift=drift)
    assert breaks_of(movie, *true_links(movie), REACH) == ()


def test_cells_that_all_jump_in_every_frame_are_found_too():
    movie = walking(drift=60.0)
    found = breaks_of(movie, *nearest_links(movie), REACH)
    assert len(found) >= 3
    assert all(one.shift == pytest.approx((60, 60), abs=1) for one in found)


def test_on_a_lattice_a_shift_by_its_period_is_none():
    movie = walking(home=LATTICE, shift_at=3, shift=40.0)
    assert breaks_of(movie, *nearest_links(movie), REACH) == ()


def test_on_a_lattice_links_that_go_another_way_that_fits_are_no_break():
    """All go 15 along y; the next one of the column is 25 the other way."""
    movie = walking(home=LATTICE, shift_at=3, shift=np.array([0.0, 15.0]))
    source, target = true_links(movie, len(LATTICE))
    jump, row = movie.frame[target] == 3, np.tile(np.arange(len(LATTICE)), 5)
    above = target - np.where(jump, 8, 0)
    kept = ~jump | (row >= 8)
    assert breaks_of(movie, source[kept], above[kept], REACH) == ()


def test_cells_at_rest_of_which_a_third_is_not_linked_are_no_break():
    movie = walking()
    source, target = true_links(movie)
    kept = (movie.frame[target] != 3) | (source % 3 > 0)
    assert breaks_of(movie, source[kept], target[kept], REACH) == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 50), st.sampled_from([2, 3]), st.integers(1, 5), st.floats(0.1, 0.4), st.floats(0, 6.28))
def test_a_shift_of_many_spacings_is_told_to_within_a_jitter(seed, ndim, at, share, angle):
    shift = share * SIDE * np.array([0.2, np.sin(angle), np.cos(angle)][-ndim:])
    movie = walking(seed=seed, ndim=ndim, shift_at=at, shift=shift)
    source, target = true_links(movie)
    kept = movie.frame[target] != at
    [found] = breaks_of(movie, source[kept], target[kept], REACH)
    assert (found.first, found.second) == (at - 1, at)
    assert found.shift == pytest.approx(tuple(shift), abs=1.5)


def test_frames_of_another_place_are_told_without_a_shift():
    movie, other = walking(seed=1), walking(seed=2)
    movie.position_px[3 * N :] = other.position_px[3 * N :]
    source, target = true_links(movie)
    kept = (movie.frame[target] != 3) | (source % 4 == 0)
    [found] = breaks_of(movie, source[kept], target[kept], REACH)
    assert (found.shift, found.links) == (None, 15)
    [line] = told([found], "m.trackdb", REACH)
    assert line.startswith("between frames 2 and 3 15 of 60 cells go on: far fewer than elsewhere")
    assert line.endswith("in focus?")
    [line] = told([found], "m.trackdb", REACH, "mine")
    assert line.endswith("in focus, and does the model mine know such cells?")


def test_frames_that_no_candidate_bridges_are_told_with_the_command_that_does():
    movie = walking(frames=[0, 1, 2, 6, 7, 8], shift_at=3, shift=70.0)
    source, target = true_links(movie)
    kept = movie.frame[target] != 6
    found = breaks_of(movie, source[kept], target[kept], REACH)
    [line] = told(found, "m.trackdb", REACH)
    assert line.startswith("between frames 2 and 6 0 of 60 cells go on")
    assert "trackdb link m.trackdb --max-gap 3" in line
    assert breaks_of(movie, source, target, 4) == ()


@pytest.mark.parametrize("n", [0, 1, 19])
def test_of_few_cells_nothing_is_told(n):
    movie = walking(home=np.random.default_rng(0).uniform(0, SIDE, (n, 2)), shift_at=3, shift=70.0)
    none = np.empty(0, dtype=np.int64)
    assert breaks_of(movie, none, none, REACH) == ()


def test_many_breaks_are_told_in_one_line():
    movie = walking(drift=60.0, n_frames=9)
    found = breaks_of(movie, *nearest_links(movie), REACH)
    [line] = told(found, "m.trackdb", REACH)
    assert line.count("between frames") == 3
    assert f"; and {len(found) - 3} more" in line


# -- what is said and kept by a solve --------------------------------------------------------------------------------


def stored(folder, movie):
    made = DuckDBStore(folder / "points.trackdb")
    rows = [(int(t), *where) for t, where in zip(movie.frame, movie.position_px.tolist(), strict=True)]
    ingest(write_rows(folder / "points.csv", rows, header="t,y,x"), made)
    return made


@pytest.mark.usefixtures("own_home_and_log")
def test_a_solve_tells_a_jump_on_screen_and_in_json(tmp_path):
    store = stored(tmp_path, walking(shift_at=3, shift=np.array([70.0, -25.0])))
    said = run("solve", store.path).stderr
    assert "note: between frames 2 and 3 most cells shift together by 74" in said
    assert "align the frames (registration), then ingest again" in said
    [found] = answer("solve", store.path)["breaks"]
    assert (found["first"], found["second"], found["cells"]) == (2, 3, N)
    assert found["shift"] == pytest.approx([70, -25], abs=1)


@pytest.mark.usefixtures("own_home_and_log")
def test_a_solve_of_a_sound_movie_remarks_nothing(tmp_path):
    store = stored(tmp_path, walking())
    result = run("solve", store.path, "--json")
    assert '"breaks": []' in result.stdout
    assert "between frames" not in result.stderr
    assert "not proven" not in result.stderr


@pytest.mark.usefixtures("own_home_and_log")
def test_a_solve_that_links_nothing_says_how_the_scores_are_looked_at(tmp_path):
    store = stored(tmp_path, walking())
    link(store, store.detection_set())
    pairs = store.path.parent / "poor.csv"
    query = "select source, target, 1e-9 * (1 + source % 2) score from candidates"
    pairs.write_text(run("sql", store.path, query, "--csv").stdout)
    run("score", store.path, "--by", pairs)
    said = run("solve", store.path, "--scores", "poor").stderr
    [line] = [line for line in said.splitlines() if "is linked" in line]
    assert "note: none of " in line
    look = line.split("how the scores are: trackdb ")[1]
    words = look.split(" ", 2)
    assert "poor" in run(words[0], words[1], words[2].strip('"')).stdout


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def unproven(n_edges, n, bound=-12.5):
    return Selection(np.zeros(n_edges, dtype=bool), np.ones(n, dtype=bool), 0.0, bound, proven=False)


@pytest.mark.parametrize(
    ("movie", "config", "why"),
    [
        (cells(np.repeat(np.arange(4), 9), np.full((36, 2), 5.0)), SolveConfig(), "the very place of another one"),
        (walking(), SolveConfig(time_limit_s=2.5), "2.5 s were given, --time-limit gives more"),
        (walking(), SolveConfig(), "too many cells compete"),
    ],
    ids=["one place", "time", "crowd"],
)
def test_it_is_told_why_an_optimum_is_not_proven(movie, config, why):
    edges, notes = link_nearest(movie), Notes()
    remark(movie, edges, unproven(len(edges), len(movie)), config, "m.trackdb", notes)
    [line] = [line for line in notes.lines if line.startswith("not proven: this costs 0")]
    assert "may cost 12 less at most" in line
    assert why in line


def test_of_who_proves_nothing_ever_nothing_is_told():
    movie, notes = walking(), Notes()
    edges = link_nearest(movie)
    remark(movie, edges, unproven(len(edges), len(movie), bound=-np.inf), SolveConfig(), "m.trackdb", notes)
    assert not any("not proven" in line for line in notes.lines)


@pytest.mark.usefixtures("own_home_and_log")
@pytest.mark.parametrize(("scores", "says"), [("0", True), ("0.05", True), ("varied", False)])
def test_scores_that_are_all_the_same_are_told(tmp_path, scores, says):
    store = stored(tmp_path, walking(n_frames=3))
    link(store, store.detection_set())
    source, target = _candidates(store)
    value = np.linspace(0.01, 0.09, len(source)) if scores == "varied" else np.full(len(source), float(scores))
    table = write_rows(tmp_path / "own.csv", zip(source, target, value, strict=True), header="source,target,score")
    scored = run("score", store.path, "--by", table, "--scale", "probability").stderr
    assert (f"all {len(source)} pairs have the score {scores}: it tells no link from another" in scored) == says
    said = run("solve", store.path, "--scores", "own").stderr
    assert (
        f"all {len(source)} candidates have the score {scores} in own: it tells no link from another" in said
    ) == says


def _candidates(store):
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    return detections.id[edges.source], detections.id[edges.target]


def test_python_reads_the_breaks_of_a_report(tmp_path):
    store = stored(tmp_path, walking(shift_at=3, shift=np.array([70.0, -25.0])))
    report = solve(store, store.detection_set(), Config(solve=SolveConfig(cost="density")))
    assert [(one.first, one.second) for one in report.breaks] == [(2, 3)]
