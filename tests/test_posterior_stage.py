"""How sure a solution is: kept with it, weighed as it was priced, and certain where people decided."""

import numpy as np
import pytest

from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.check import check
from trackdb.engine.config import Config, ScoreConfig, SolveConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import score, solve
from trackdb.engine.posterior.estimate import METHODS, method_named, posterior_of
from trackdb.engine.posterior.problem import weighed
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.progress import Recorded
from trackdb.engine.review.queue import uncertain
from trackdb.errors import ConfigError, MissingRowsError, SolverError, StoreExistsError
from trackdb.solvers.posterior.marginals import estimate
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.posteriors import find_posterior, read_links, read_outcomes
from trackdb.storage.sandbox import ask

from .movies import own_copy, write_rows
from .posteriors import ByTryingAll
from .test_review_queue import small


@pytest.fixture
def store(jostling_over_gaps, tmp_path):
    """A copy of a store of jostling cells with an exact solution over gaps."""
    return own_copy(jostling_over_gaps, tmp_path)


def keep(store, *, solution=None, name=None, progress=None, **settings):
    """Compute a posterior and keep it."""
    chosen, info = store.find_solution(name=solution)
    return posterior(store, chosen, info, Config(posterior=PosteriorConfig(**settings)), name=name, progress=progress)


def told(store, name=None):
    """Return the links, outcomes and movie of a kept posterior."""
    chosen, info, found = find_posterior(store, name=name)
    return read_links(store, found), read_outcomes(store, found), weighed(store, chosen, info, Config(), Recorded())


def test_what_cells_do_and_who_their_mothers_are_agree(store):
    report = keep(store)
    links, outcomes, movie = told(store)
    assert (report.posterior, report.solution, report.method) == ("posterior-1", "ilp-1", "auto")
    assert report.cells == np.count_nonzero(movie.detections.frame < 7) == len(outcomes.first) - 1
    assert sum(report.how.values()) == report.cells
    assert report.links == len(links.edge) == len(movie.edges)
    assert 0.05 < report.mean_entropy_bits < 3
    np.testing.assert_allclose(np.add.reduceat(outcomes.probability, outcomes.first[:-1]), 1, atol=1e-5)
    parents = np.bincount(movie.edges.target, links.probability)
    assert parents.max() <= 1 + 1e-5
    assert check(store) == []


@pytest.mark.parametrize(
    "settings",
    [SolveConfig(), SolveConfig(cost="two-distance"), SolveConfig(window=3)],
    ids=["whole", "pairs", "windows"],
)
def test_the_exact_solution_is_the_maximum_of_the_posterior(store, settings):
    solve(store, store.detection_set(), Config(solve=settings), name="asked")
    chosen, info = store.find_solution(name="asked")
    assert info.proven
    movie = weighed(store, chosen, info, Config(), Recorded())
    cold = estimate(movie.left.problem, method="exact", temperature=0.002)  # but the maximum nothing is left
    assert np.array_equal(cold.link > 0.5, np.isin(movie.edges.id, store.solution(info).edge))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_kept_under_its_name(store, method):
    report = keep(store, method=method.upper(), draws=5, sweeps=50)
    assert report.method == method == find_posterior(store)[2].method
    probability = ask(store.path, "select probability as p from links where solution = 'ilp-1'").rows["p"].to_pylist()
    assert None not in probability
    assert np.mean(probability) > 0.4
    assert check(store) == []


def test_methods_have_the_names_of_the_paper():
    assert [method_named(name) for name in ("SM", "as", "fp", "FP+A", "Exact")] == [
        "softmax",
        "topk",
        "perturb",
        "perturb-assign",
        "exact",
    ]
    with pytest.raises(ConfigError, match=r"no method 'magic'.*known: auto"):
        method_named("magic")


@pytest.mark.parametrize("seed", range(5))
def test_the_door_weighs_all_selections(seed):
    problem = small(seed)
    whole = ByTryingAll(problem)
    found = posterior_of(problem, PosteriorConfig(method="exact"))
    np.testing.assert_allclose(found.link, whole.link, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.new, whole.new, rtol=0, atol=1e-6)


def test_lists_know_no_pairs_of_daughters_and_say_what_does(store):
    solve(store, store.detection_set(), Config(solve=SolveConfig(cost="two-distance")), name="pairs")
    with pytest.raises(ConfigError, match=r"not of pairs of daughters.*try: --method auto or perturb-map"):
        keep(store, method="topk", solution="pairs")


def test_a_temperature_at_which_messages_lose_themselves_is_refused_unless_all_is_exact(store):
    with pytest.raises(SolverError, match="nothing is left but the optimum"):
        keep(store, method="belief", temperature=0.002)
    assert keep(store, method="exact", temperature=0.002).mean_entropy_bits == pytest.approx(0, abs=1e-3)
    assert check(store) == []


def test_a_higher_temperature_is_less_sure(store):
    cold, plain, hot = (keep(store, temperature=t).mean_entropy_bits for t in (0.2, 1.0, 5.0))
    assert cold < plain < hot


def test_what_people_decided_is_certain(store):
    keep(store)
    links, outcomes, movie = told(store)
    unsure = int(np.argmax(np.minimum(links.probability, 1 - links.probability)))
    ids, edges = movie.detections.id, movie.edges
    mother, daughter = int(ids[edges.source[unsure]]), int(ids[edges.target[unsure]])
    Annotator(store, store.detection_set()).answer("choose", mother, [daughter], who="ana")
    report = keep(store)
    again, outcomes, _ = told(store)
    assert report.pins == 1
    assert again.probability[unsure] == 1
    own = np.flatnonzero(outcomes.cell == mother)
    assert [(outcomes.a[k], outcomes.b[k], outcomes.probability[k]) for k in own] == [(daughter, -1, 1.0)]
    rivals = (edges.source == edges.source[unsure]) ^ (edges.target == edges.target[unsure])
    assert not again.probability[rivals].any()
    far = links.probability == again.probability
    assert far.mean() > 0.3  # other pieces stay as they were
    assert check(store) == []


def test_two_daughters_that_people_named_are_one_outcome(store):
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    near = edges.frames == 1
    mother = int(np.argmax(np.bincount(edges.source[near])))
    daughters = [int(detections.id[row]) for row in edges.target[near & (edges.source == mother)][:2]]
    Annotator(store, chosen).answer("choose", int(detections.id[mother]), daughters[::-1], who="ana")
    keep(store)
    _, outcomes, _ = told(store)
    [k] = np.flatnonzero(outcomes.cell == detections.id[mother])
    assert [outcomes.a[k], outcomes.b[k]] == sorted(daughters)


def test_what_is_no_cell_does_nothing_and_the_last_frame_is_not_asked(store):
    detections = store.detections(store.detection_set())
    false = int(detections.id[30])
    Annotator(store, store.detection_set()).answer("not_a_cell", false, None, who="ana")
    keep(store)
    links, outcomes, movie = told(store)
    assert false not in outcomes.cell
    touching = (movie.edges.source == 30) | (movie.edges.target == 30)
    assert not links.probability[touching].any()
    last = detections.id[detections.frame == detections.frame.max()]
    assert not np.isin(outcomes.cell, last).any()


def test_what_is_drawn_is_drawn_again(store):
    for name in ("one", "two"):
        keep(store, name=name, method="perturb-map", draws=10)
    keep(store, name="other", method="perturb-map", draws=10, seed=1)
    one, two, other = (told(store, name)[0].probability for name in ("one", "two", "other"))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_scores_of_a_table_are_not_drawn_anew(store, tmp_path):
    chosen = store.detection_set()
    detections = store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    rows = zip(detections.id[edges.source].tolist(), detections.id[edges.target].tolist(), strict=True)
    table = write_rows(tmp_path / "own.csv", [(a, b, 0.1) for a, b in rows], header="source,target,score")
    score(store, chosen, ScoreConfig(by=str(table)))
    solve(store, chosen, scores="own", name="by-own")
    with pytest.raises(ConfigError, match="scores own come from a table"):
        keep(store, solution="by-own", method="perturb")
    assert keep(store, solution="by-own").how["exact"]


def test_a_name_is_given_once(store):
    keep(store, name="mine", method="softmax")
    with pytest.raises(StoreExistsError, match="posterior named mine"):
        keep(store, name="mine")


@pytest.mark.parametrize("by", ["error-reduction", "entropy", "margin", "degree"])
def test_the_list_asks_one_question_of_a_piece_and_the_worst_first(store, by):
    keep(store)
    chosen, info, found = find_posterior(store)
    asked = uncertain(store, chosen, info, found, Config(), top=5, by=by)
    items = asked.items
    assert [item.rank for item in items] == list(range(1, len(items) + 1))
    assert 2 <= len(items) <= 5
    for item in items:
        assert sum(outcome.probability for outcome in item.outcomes) == pytest.approx(1, abs=1e-12)
        shares = [outcome.probability for outcome in item.outcomes]
        assert shares == sorted(shares, reverse=True)
        assert item.frame == ask(store.path, f"select t from cells where cell = {item.cell}").rows["t"][0].as_py()
    links = ask(store.path, "select source, target from links where solution = 'ilp-1'").rows.to_pylist()
    for item in items:
        assert list(item.chosen) == sorted(link["target"] for link in links if link["source"] == item.cell)
    worth = {
        "error-reduction": [item.expected_error_reduction for item in items],
        "entropy": [item.entropy_bits for item in items],
        "margin": [1 - item.outcomes[0].probability + item.outcomes[1].probability for item in items],
        "degree": [
            abs(sum(len(o.daughters) * o.probability for o in item.outcomes) - len(item.chosen)) for item in items
        ],
    }[by]
    assert worth == sorted(worth, reverse=True)
    assert (by == "error-reduction") == all(item.expected_error_reduction is not None for item in items)


def test_what_is_answered_is_not_asked_again_and_the_answer_takes_errors_away(store):
    keep(store)
    first = uncertain(store, *find_posterior(store), Config(), top=1).items[0]
    annotator = Annotator(store, store.detection_set())
    annotator.answer("unsure", first.cell, None, who="ana")
    assert first.cell not in [item.cell for item in uncertain(store, *find_posterior(store), Config())]
    annotator.answer("choose", first.cell, list(first.outcomes[0].daughters), who="ben")
    assert first.cell not in [item.cell for item in uncertain(store, *find_posterior(store), Config())]


def test_links_alone_are_asked_only_where_no_posterior_tells_of_cells(store):
    keep(store, method="softmax")
    with pytest.raises(MissingRowsError, match="posterior-1 by softmax tells of links alone"):
        uncertain(store, *find_posterior(store), Config())
    keep(store)
    keep(store, method="softmax")
    assert find_posterior(store, of_cells=True)[2].name == "posterior-2"


@pytest.mark.parametrize(("wrong", "said"), [({"by": "luck"}, "not ordered by luck"), ({"top": 0}, "1 or more")])
def test_a_list_of_nothing_is_refused(store, wrong, said):
    keep(store, method="softmax")
    with pytest.raises(ConfigError, match=said):
        uncertain(store, *find_posterior(store), Config(), **wrong)


def test_a_movie_of_one_frame_has_a_posterior_without_questions(tmp_path):
    store = DuckDBStore(tmp_path / "one.trackdb")
    ingest(write_rows(tmp_path / "one.csv", [(0, 10, 10), (0, 30, 30)]), store)
    solve(store, store.detection_set())
    report = keep(store)
    assert (report.cells, report.links, report.mean_entropy_bits) == (0, 0, 0)
    assert len(uncertain(store, *find_posterior(store), Config())) == 0
    assert check(store) == []
