"""The cost of Trackastra in a solve, and what a transformer's probabilities are as costs: by hand, through a store."""

import numpy as np
import pytest

from trackdb.engine.association_config import PRESETS, AssociationConfig
from trackdb.engine.config import Config, ScoreConfig, SolveConfig, merge
from trackdb.engine.costs.association import association_problem
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import score, solve
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.progress import Recorded
from trackdb.errors import ConfigError
from trackdb.solvers.ilp import IlpSolver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.sandbox import ask
from trackdb.testing.problems import crowded_movie

from .command_line import answer, refusal
from .movies import write_rows

# A mother and two cells after her, of which she is surely one's; numbers are rows and 1, labels 10 more:
#
#   frame       0     1
#   y = 10            2    p(1 -> 2) = .9, new .1
#   y = 20      1
#   y = 30            3    p(1 -> 3) = .2, new .8
CELLS = [(0, 20, 0, 10), (1, 10, 0, 11), (1, 30, 0, 12)]
PROBABILITIES = [(1, 2, 0.9), (1, 3, 0.2)]


@pytest.fixture
def store(tmp_path):
    made = DuckDBStore(tmp_path / "family.trackdb")
    ingest(write_rows(tmp_path / "family.csv", CELLS, header="t,y,x,label"), made)
    table = write_rows(tmp_path / "net.csv", PROBABILITIES, header="source,target,score")
    score(made, made.detection_set(), ScoreConfig(str(table), scale="probability"))
    return made


def solved(store, *, cost="association", **association):
    config = Config(solve=SolveConfig(cost=cost), association=AssociationConfig(**association))
    return solve(store, store.detection_set(), config, scores="net")


def links(store, name):
    rows = ask(store.path, "select source, target from links where solution = $n", {"n": name}).rows.to_pylist()
    return {(row["source"], row["target"]) for row in rows}


@pytest.mark.parametrize(
    ("preset", "wanted", "objective"),
    [
        # three cells at -10, a beginning .25, two ends .5 each, a division .25, links -1.1
        ("gt", {(1, 2), (1, 3)}, -30 + 0.25 + 1.0 + 0.25 - 1.1),
        # a division at 1 is dearer than a beginning and .2 of a link
        ("rare-divisions", {(1, 2)}, -30 + 0.5 + 1.0 - 0.9),
        ("rare-beginnings", {(1, 2), (1, 3)}, -30 + 0.5 + 1.0 + 0.25 - 1.1),
        # a cell costs .25: the third one pays for itself in no way, the other two by .65 of 1.15
        ("res-tuned", {(1, 2)}, 0.5 + 0.5 - 0.25 - 0.9),
    ],
)
def test_each_preset_by_hand(store, preset, wanted, objective):
    report = solved(store, preset=preset)
    assert links(store, report.solution) == wanted
    info = store.solutions(store.detection_set())[report.solution]
    assert info.objective == pytest.approx(objective)
    assert report.proven


def test_numbers_of_ones_own(store):
    report = solved(store, preset="own", division=0.4, appear=0.1)
    assert links(store, report.solution) == {(1, 2)}
    kept = next(run for run in store.runs() if run.name == report.solution).params["association"]
    assert (kept["preset"], kept["division"], kept["detection"]) == ("own", 0.4, -10.0)


def test_by_their_odds_a_cell_is_new_where_that_is_likelier(store):
    report = solved(store, cost="density")
    assert links(store, report.solution) == {(1, 2)}


def test_a_softmax_over_the_odds_gives_the_probabilities_back(store):
    """What a network leaves to 1 is the class of new cells, which costs 0; so are ends and divisions."""
    report = solved(store, cost="density")
    chosen = store.detection_set()
    posterior(store, chosen, store.solutions(chosen)[report.solution], Config(posterior=PosteriorConfig("softmax")))
    found = ask(store.path, "select source, target, probability p from probabilities", {}).rows.to_pylist()
    assert {(r["source"], r["target"]): pytest.approx(r["p"]) for r in found} == {(1, 2): 0.9, (1, 3): 0.2}


def test_joint_probabilities_of_the_odds_by_hand(store):
    """Ends and divisions are free, so the two daughters know nothing of each other and keep what the network says."""
    report = solved(store, cost="density")
    chosen = store.detection_set()
    posterior(store, chosen, store.solutions(chosen)[report.solution], Config(posterior=PosteriorConfig("exact")))
    found = ask(store.path, "select source, target, probability p from probabilities", {}).rows.to_pylist()
    assert {(r["source"], r["target"]): pytest.approx(r["p"]) for r in found} == {(1, 2): 0.9, (1, 3): 0.2}


def test_a_solution_by_probabilities_as_they_are_is_weighed_by_their_odds(store):
    report, progress = solved(store), Recorded()
    chosen = store.detection_set()
    info = store.solutions(chosen)[report.solution]
    posterior(store, chosen, info, Config(posterior=PosteriorConfig("exact")), progress=progress)
    assert "weighed by their odds" in " ".join(progress.notes)
    found = ask(store.path, "select source, target, probability p from probabilities", {}).rows.to_pylist()
    assert {(r["source"], r["target"]): pytest.approx(r["p"]) for r in found} == {(1, 2): 0.9, (1, 3): 0.2}


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_kept_for_sure_is_what_every_optimum_keeps(preset):
    """Told that a detection must be taken, the solver finds what it finds when it may leave each out."""
    movie = crowded_movie(3, n_frames=3, per_frame=5)
    rng = np.random.default_rng(0)
    costs, probability = PRESETS[preset], rng.random(movie.n_edges)
    told = association_problem(movie.frame, movie.source, movie.target, probability, costs)
    free = association_problem(movie.frame, movie.source, movie.target, probability, costs)
    object.__setattr__(free, "pinned_node", np.zeros(movie.n_nodes, np.int8))
    assert costs.keeps_all == (preset != "res-tuned")
    assert IlpSolver().solve(told).objective == pytest.approx(IlpSolver().solve(free).objective)


def test_scores_that_are_no_probabilities_are_refused(store, tmp_path):
    table = write_rows(tmp_path / "logits.csv", PROBABILITIES, header="source,target,score")
    score(store, store.detection_set(), ScoreConfig(str(table), scale="log-density"))
    config = Config(solve=SolveConfig(cost="association"))
    with pytest.raises(ConfigError, match="reads probabilities; logits is on the scale log_density"):
        solve(store, store.detection_set(), config, scores="logits")
    with pytest.raises(ConfigError, match="as a model tells them, not distances"):
        solve(store, store.detection_set(), config)
    with pytest.raises(ConfigError, match="whole movie at once"):
        solve(store, store.detection_set(), Config(solve=SolveConfig(cost="association", window=2)), scores="net")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"preset": "best"}, "association.preset is 'best', wanted one of gt"),
        ({"division": 0.5}, "association.division is for preset = own"),
        ({"preset": "own", "link": 1e9}, "association.link is 1000000000.0, wanted a number"),
        ({"preset": "own", "link": float("nan")}, "association.link is nan"),
    ],
)
def test_numbers_that_cannot_be_are_named(given, told):
    with pytest.raises(ConfigError, match=told):
        merge(Config(), {"association": given}, "here")


def test_the_command_takes_a_preset(store):
    out = answer("solve", store.path, "--scores", "net", "--cost", "association", "--preset", "rare-divisions")
    assert (out["links"], out["divisions"]) == (1, 0)
    told = refusal("solve", store.path, "--scores", "net", "--preset", "gt", code=2)
    assert "--preset is for --cost association" in told
