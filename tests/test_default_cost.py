"""Which cost a solve takes where nobody names one, what it says of it, and movies of which little can be learned."""

import numpy as np
import pytest

from trackdb.engine.config import Config, LapConfig, LinkConfig, ScoreConfig, SolveConfig
from trackdb.engine.costs import MOST_CELLS
from trackdb.engine.default_cost import FEWEST, MISSED, cost_for, missed_frames
from trackdb.engine.evidence import LearnedConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.names import done, linked_gap
from trackdb.engine.pipeline import link, solve
from trackdb.errors import ConfigError
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer, refusal, run
from .learned_movies import sheet
from .movies import write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")


def cost_of(*, scores=None, own_solver=False, n=1000, score_by="distance", **settings):
    config = Config(score=ScoreConfig(by=score_by), solve=SolveConfig(**settings))
    return cost_for(config, scores=scores, own_solver=own_solver, n_detections=n)


def stored(folder, frame, place):
    made = DuckDBStore(folder / "points.trackdb")
    rows = [(int(t), *where) for t, where in zip(frame, np.asarray(place).tolist(), strict=True)]
    ingest(write_rows(folder / "points.csv", rows, header="t,y,x"), made)
    return made


def stored_sheet(folder, seed=1, **options):
    movie = sheet(seed, **options).detections
    return stored(folder, movie.frame, movie.position_px)


def last_run(store):
    return done(store, store.detection_set(), "solve")[-1].params


def test_a_user_who_sets_nothing_gets_the_learned_cost():
    assert cost_of() == ("learned", "")
    assert cost_of(backend="highs") == ("learned", "")
    assert cost_of(window=50) == ("learned", "")
    assert cost_of(n=FEWEST) == cost_of(n=10_000_000) == ("learned", "")


@pytest.mark.parametrize("cost", ["learned", "density", "two-distance"])
def test_a_cost_that_is_named_is_taken(cost):
    assert cost_of(cost=cost, n=3) == (cost, "")


@pytest.mark.parametrize("linker", ["lap", "greedy"])
def test_linkers_that_know_no_pairs_go_by_the_plain_cost_and_nothing_is_said(linker):
    assert cost_of(linker=linker) == ("density", "")


@pytest.mark.parametrize(
    ("scale", "by"),
    [
        ("probability", "the odds of these probabilities"),
        ("iou", "distance and overlap, for what they are worth here"),
        ("similarity", "distance and these scores, for what they are worth here"),
        ("log_density", "the plain cost"),
    ],
)
def test_scores_are_priced_by_what_they_mean_and_that_is_told(scale, by):
    config = Config(solve=SolveConfig())
    said = cost_for(config, scores="network", own_solver=False, n_detections=1000, scale=scale)[1]
    assert said.endswith(f"the scores network: priced by {by}")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"scores": "network"}, "reads places and masks, not the scores network"),
        ({"score_by": "overlap"}, "reads places and masks, not the scores overlap"),
        ({"calibration": "cal.toml"}, "a calibration is of the plain cost"),
        ({"own_solver": True}, "may know no pairs"),
        ({"linker": "mutual"}, "may know no pairs"),
        ({"n": FEWEST - 1}, f"{FEWEST - 1} detections are too few"),
    ],
)
def test_what_does_not_go_with_the_learned_cost_gets_the_plain_one_and_is_told_why(asked, why):
    cost, said = cost_of(**asked)
    assert cost == "density"
    assert why in said
    assert said.endswith(": priced by the plain cost")


def test_the_default_learns_links_over_a_gap_and_says_what_it_learned(tmp_path):
    store = stored_sheet(tmp_path, missed=0.03, division=0.01)
    said = run("solve", store.path).stderr
    assert "px a frame" in said
    params = last_run(store)
    assert (params["cost"], params["by"]) == ("learned", "cost")
    assert "division_per_cell_and_frame" in params["estimates"]
    assert linked_gap(store, store.detection_set()) == MISSED
    assert answer("info", store.path)["learned"][0].startswith("ilp-1: ")


def test_simple_is_the_plain_cost_over_no_gap(tmp_path):
    store = stored_sheet(tmp_path)
    answer("solve", store.path, "--simple")
    assert last_run(store)["cost"] == "density"
    assert linked_gap(store, store.detection_set()) == 0
    answer("solve", store.path, "--cost", "density")
    simple, named = done(store, store.detection_set(), "solve")
    assert simple.params["estimates"] == named.params["estimates"]


def test_candidates_without_gaps_are_linked_again_over_some_with_the_same_radius(tmp_path):
    store = stored_sheet(tmp_path)
    run("link", store.path, "--max-distance", 9, "--neighbors", 4)
    said = run("solve", store.path).stderr
    assert f"linking over {MISSED}" in said
    again = done(store, store.detection_set(), "link")[-1].params
    assert (again["max_distance"], again["neighbors"], again["max_gap"]) == (9.0, 4, MISSED)
    assert "linking" not in run("solve", store.path).stderr


@pytest.mark.parametrize("max_gap", [1, MISSED + 1])
def test_candidates_over_gaps_stay_as_they_are(tmp_path, max_gap):
    store = stored_sheet(tmp_path)
    run("link", store.path, "--max-gap", max_gap)
    run("solve", store.path)
    assert len(done(store, store.detection_set(), "link")) == 1


@pytest.mark.parametrize("max_gap", [1, MISSED + 1])
def test_as_many_frames_as_the_settings_say_are_linked_over(tmp_path, max_gap):
    store = stored_sheet(tmp_path)
    solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=max_gap)))
    assert linked_gap(store, store.detection_set()) == max_gap
    assert last_run(store)["cost"] == "learned"


@pytest.mark.parametrize(
    ("config", "n", "wanted"),
    [
        (Config(solve=SolveConfig(cost="learned")), MOST_CELLS, MISSED),
        (Config(solve=SolveConfig(cost="learned")), MOST_CELLS + 1, 1),
        (Config(solve=SolveConfig(cost="learned"), learned=LearnedConfig(gaps=False)), 1000, 0),
        (Config(solve=SolveConfig(cost="density")), 1000, 0),
        (Config(solve=SolveConfig(cost="density", linker="lap"), lap=LapConfig(max_gap=2)), 1000, 2),
    ],
)
def test_the_learned_cost_looks_over_runs_of_misses_but_in_large_movies(config, n, wanted):
    assert missed_frames(config, n) == wanted


def test_without_gaps_nothing_is_linked_again(tmp_path):
    store = stored_sheet(tmp_path)
    link(store, store.detection_set())
    run("solve", store.path, "--without", "gaps")
    assert len(done(store, store.detection_set(), "link")) == 1
    assert last_run(store)["cost"] == "learned"


def test_a_note_says_why_it_is_the_plain_cost(tmp_path):
    store = stored_sheet(tmp_path)
    assert "too few" not in run("solve", store.path).stderr
    said = run("solve", store.path, "--scores", "distance").stderr
    assert "note: the learned cost reads places and masks, not the scores distance: priced by the plain cost" in said
    assert last_run(store)["cost"] == "density"
    assert "plain cost" not in run("solve", store.path, "--window", 5).stderr
    assert last_run(store)["cost"] == "learned"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--simple", "--cost", "learned"], "--cost learned and --simple are different costs"),
        (["--simple", "--without", "drift"], "--simple and --without are different costs"),
        (["--cost", "two-distance", "--without", "drift"], "are different costs"),
        (["--cost", "learned", "--lap"], "which lap does not divide into"),
        (["--without", "drift", "--greedy"], "which greedy does not divide into"),
    ],
)
def test_costs_that_contradict_each_other_are_refused(tmp_path, words, message):
    store = stored_sheet(tmp_path, n_frames=4)
    assert message in refusal("solve", store.path, *words, code=2)


def test_simple_and_the_density_are_one_cost(tmp_path):
    store = stored_sheet(tmp_path, n_frames=4)
    answer("solve", store.path, "--simple", "--cost", "density")
    assert last_run(store)["cost"] == "density"


def test_python_takes_the_same_default(tmp_path):
    store = stored_sheet(tmp_path, n_frames=4)
    solve(store, store.detection_set())
    assert last_run(store)["cost"] == "learned"
    solve(store, store.detection_set(), Config(solve=SolveConfig(cost="density")))
    assert last_run(store)["cost"] == "density"


def test_highs_solves_the_learned_cost_to_the_same_optimum(tmp_path):
    store = stored_sheet(tmp_path, side=6, n_frames=6, division=0.03)
    ours, theirs = answer("solve", store.path), answer("solve", store.path, "--backend", "highs")
    assert theirs["objective"] == pytest.approx(ours["objective"], abs=1e-4)
    assert last_run(store)["cost"] == "learned"


# -- movies of which little can be learned ---------------------------------------------------------------------------

CORNERS = 30.0 * np.stack(np.meshgrid(np.arange(12), np.arange(10)), axis=-1).reshape(-1, 2)


def two_frames(rng):
    place = CORNERS + rng.normal(0, 0.5, CORNERS.shape)
    return np.repeat([0, 1], 120), np.concatenate([place, place + 1])


def three_cells(rng):
    return np.repeat(np.arange(70), 3), (CORNERS[:3] + rng.normal(0, 0.5, (70, 3, 2))).reshape(-1, 2)


def all_new(rng):
    return np.repeat(np.arange(6), 50), rng.uniform(0, 100, (300, 2))


def a_frame_missing(rng):
    return np.repeat([0, 1, 2, 4, 5], 120), np.concatenate([CORNERS + rng.normal(0, 0.5, (120, 2)) for _ in range(5)])


def a_stage_jump(rng):
    place = np.stack([CORNERS + rng.normal(0, 0.5, (120, 2)) for _ in range(6)])
    place[3:] += 8
    return np.repeat(np.arange(6), 120), place.reshape(-1, 2)


def changing_intervals(rng):
    return np.repeat([0, 1, 2, 4, 6, 8], 120), np.concatenate(
        [CORNERS + rng.normal(0, 0.5, (120, 2)) for _ in range(6)]
    )


def duplicates(rng):
    frame, place = a_frame_missing(rng)
    order = np.argsort(np.r_[frame, frame[:100:9]], kind="stable")
    return np.r_[frame, frame[:100:9]][order], np.concatenate([place, place[:100:9]])[order]


HARD = (two_frames, three_cells, all_new, a_frame_missing, a_stage_jump, changing_intervals, duplicates)


@pytest.mark.parametrize("movie", HARD, ids=lambda movie: movie.__name__)
def test_a_hard_movie_is_solved_by_default_with_sane_estimates(tmp_path, movie):
    store = stored(tmp_path, *movie(np.random.default_rng(0)))
    report = solve(store, store.detection_set())
    estimates = last_run(store)["estimates"]
    assert last_run(store)["cost"] == "learned"
    assert np.isfinite([report.objective, *estimates.values()]).all()
    rates = [value for name, value in estimates.items() if "per_cell" in name or "per_detection" in name]
    assert len(rates) == 7
    assert 0 < min(rates) <= max(rates) < 0.7


@pytest.mark.parametrize(
    ("movie", "links"),
    [(two_frames, 120), (three_cells, 207), (a_frame_missing, 480), (a_stage_jump, 600), (changing_intervals, 600)],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_cells_of_a_hard_movie_are_followed_and_nobody_divides(tmp_path, movie, links):
    store = stored(tmp_path, *movie(np.random.default_rng(0)))
    report = solve(store, store.detection_set())
    assert (report.links, report.divisions) == (links, 0)


@pytest.mark.parametrize("n", [1, 3, FEWEST - 1])
def test_too_few_detections_get_the_plain_cost_and_are_told_so(tmp_path, n):
    frame = np.arange(n) // 3
    store = stored(tmp_path, frame, np.c_[20.0 * (np.arange(n) % 3), frame])
    said = run("solve", store.path).stderr
    assert f"{n} detections are too few to learn from: priced by the plain cost" in said
    assert last_run(store)["cost"] == "density"
    answer("solve", store.path, "--cost", "learned")  # who asks for it gets it
    assert last_run(store)["cost"] == "learned"


def test_an_unknown_cost_is_refused():
    with pytest.raises(ConfigError, match="one of auto, density, learned, two-distance"):
        SolveConfig(cost="free")
