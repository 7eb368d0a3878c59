"""Questions of posteriors that tell of links alone: whose daughter a cell is, or that it is new."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.check import check
from trackdb.engine.config import Config
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.progress import Recorded
from trackdb.engine.review.asking import ask_first
from trackdb.engine.review.parents import origin_questions
from trackdb.engine.review.queue import Origin
from trackdb.errors import ConfigError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.parents import PossibleParents
from trackdb.storage.posteriors import find_posterior, read_links, read_outcomes

from .command_line import answer, run
from .movies import copied, jostling_cells, write_rows


def parents(told):
    """Return what is told as ``{daughter: {mother: probability}}``, in the order of daughters."""
    rows = sorted((daughter, mother, p) for daughter, each in told.items() for mother, p in each.items())
    daughter, mother, p = (np.array(column) for column in zip(*rows, strict=True))
    return PossibleParents(mother, daughter, p.astype(np.float64), np.full(len(rows), 2, dtype=np.uint8))


# mothers 1 2 3 4; 11 and 12 may both be of 2, 13 is of 3 or new, 14 is of 4 for certain
DRAWN = parents({11: {1: 0.75, 2: 0.25}, 12: {2: 0.5, 1: 0.0}, 13: {3: 0.25}, 14: {4: 1.0}})


def test_the_candidates_of_a_daughter_and_new_exclude_each_other():
    asked = origin_questions(DRAWN)
    assert asked.cell.tolist() == [11, 12, 13, 14]
    assert asked.origins(0) == (Origin((1,), 0.75), Origin((2,), 0.25))
    assert asked.origins(1) == (Origin((), 0.5), Origin((2,), 0.5))
    assert asked.origins(2) == (Origin((), 0.75), Origin((3,), 0.25))
    assert asked.origins(3) == (Origin((4,), 1.0),)


def test_daughters_with_a_mother_in_common_are_in_one_piece():
    piece = origin_questions(DRAWN).piece
    assert piece[0] == piece[1]
    assert len(set(piece.tolist())) == 3


def test_what_a_question_is_worth_in_each_order():
    asked = origin_questions(DRAWN)
    linked = np.array([11, 12, 14])  # daughters in the solution
    np.testing.assert_allclose(asked.worth("error-reduction", linked), [0.25, 0.5, 0.25, 0])
    np.testing.assert_allclose(asked.worth("margin", linked), [0.5, 1, 0.5, 0])
    np.testing.assert_allclose(asked.worth("degree", linked), [0, 0.5, 0.25, 0])
    np.testing.assert_allclose(asked.worth("entropy", linked), [0.8112781, 1, 0.8112781, 0], atol=1e-7)


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=5), min_size=1, max_size=6), st.integers(1, 200))
def test_what_a_daughter_may_be_sums_to_one_and_the_likeliest_comes_first(weights, rest):
    told = {100 + j: {j + i: w / (sum(each) + rest) for i, w in enumerate(each)} for j, each in enumerate(weights)}
    asked = origin_questions(parents(told))
    for row, (daughter, each) in enumerate(told.items()):
        origins = asked.origins(row)
        assert asked.cell[row] == daughter
        assert sum(o.probability for o in origins) == pytest.approx(1)
        assert [o.probability for o in origins] == sorted((o.probability for o in origins), reverse=True)
        assert {o.parents[0]: o.probability for o in origins if o.parents} == pytest.approx(
            {mother: p for mother, p in each.items() if p > 0}
        )


# -- of a store -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unweighed(tmp_path_factory):
    """A store of jostling cells with a solution and no posterior; it is copied, never written."""
    folder = tmp_path_factory.mktemp("parents")
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(write_rows(folder / "movie.csv", jostling_cells(seed=3)), store)
    solve(store, store.detection_set())
    return store


@pytest.fixture
def store(unweighed, tmp_path):
    """A copy of that store."""
    return DuckDBStore(copied(unweighed.path, tmp_path / "movie.trackdb"))


def keep(store, **settings):
    """Compute a posterior and keep it."""
    return posterior(store, *store.find_solution(), Config(posterior=PosteriorConfig(**settings)))


def ask(store, **options):
    return ask_first(store, *find_posterior(store), Config(), **options)


@pytest.mark.parametrize("by", ["error-reduction", "entropy", "margin", "degree"])
@pytest.mark.parametrize("method", ["softmax", "perturb"])
def test_methods_that_look_at_daughters_ask_whose_they_are(store, method, by):
    keep(store, method=method, draws=5)
    asked = ask(store, by=by, top=5)
    assert 2 <= len(asked) <= 5 <= asked.open
    links = {(a, b): p for a, b, p in told_links(store)}
    for item in asked:
        assert (item.view, item.how) == ("parents", "belief")
        assert sum(origin.probability for origin in item.outcomes) == pytest.approx(1)
        for origin in item.outcomes:
            if origin.parents:
                assert origin.probability == pytest.approx(links[origin.parents[0], item.cell], abs=1e-5)
        assert item.chosen is not None
    worth = [value_of(item, by) for item in asked]
    assert worth == sorted(worth, reverse=True)
    assert (by == "error-reduction") == (asked.errors_fewer is not None)


def told_links(store):
    chosen, _, found = find_posterior(store)
    detections, links = store.detections(chosen), read_links(store, found)
    edges = store.candidate_edges(chosen, detections)
    ids = detections.id
    return zip(ids[edges.source].tolist(), ids[edges.target].tolist(), links.probability.tolist(), strict=True)


def value_of(item, by):
    p = [origin.probability for origin in item.outcomes]
    match by:
        case "error-reduction":
            return item.expected_error_reduction
        case "entropy":
            return item.entropy_bits
        case "margin":
            return 1 - p[0] + p[1]
    return round(abs(sum(len(origin.parents) * origin.probability for origin in item.outcomes) - len(item.chosen)), 6)


def test_by_errors_an_answer_is_worth_what_is_expected_of_this_daughter_and_that_is_said(store):
    keep(store, method="softmax")
    notes = Recorded()
    for item in ask(store, progress=notes):
        assert item.expected_error_reduction == pytest.approx(1 - item.outcomes[0].probability)
    assert any("each daughter by herself" in note for note in notes.notes)


def test_a_daughter_whose_parent_was_named_is_not_asked_again(store):
    keep(store, method="softmax")
    annotator = Annotator(store, store.detection_set())
    first, second = ask(store, by="entropy", top=2)
    mother = next(origin.parents[0] for origin in first.outcomes if origin.parents)
    annotator.answer("choose", mother, [first.cell], who="ana")
    annotator.answer("begins", second.cell, None, who="ana")
    notes = Recorded()
    asked = [item.cell for item in ask(store, by="entropy", top=100, progress=notes)]
    assert first.cell not in asked
    assert second.cell not in asked
    assert any("2 annotations since posterior-1" in note for note in notes.notes)


@pytest.mark.parametrize("by", ["error-reduction", "entropy", "margin", "degree"])
def test_solutions_of_perturbed_detections_are_counted_by_what_cells_do(store, by):
    keep(store, method="perturb-assign", draws=8, sigma_px=6.0)
    notes = Recorded()
    asked = ask(store, by=by, top=5, progress=notes)
    assert len(asked) > 0
    assert any("weighed by the costs" in note for note in notes.notes) == (by == "error-reduction")
    for item in asked:
        assert (item.view, item.how) == ("daughters", "sampled")
        for outcome in item.outcomes:
            assert outcome.probability * 8 == pytest.approx(round(outcome.probability * 8), abs=1e-5)
    outcomes = read_outcomes(store, find_posterior(store)[2])
    into = np.concatenate([outcomes.a, outcomes.b])
    share = np.bincount(into[into >= 0], np.tile(outcomes.probability, 2)[into >= 0])
    for _, daughter, p in told_links(store):
        share[daughter] -= p
    np.testing.assert_allclose(share, 0, atol=1e-5)
    assert check(store) == []


def test_tempered_frequencies_of_links_ask_for_parents(store):
    keep(store, method="perturb-assign", draws=8, temperature=2.0)
    assert {item.view for item in ask(store, by="entropy")} == {"parents"}
    assert check(store) == []


@pytest.mark.parametrize(("wrong", "said"), [({"by": "luck"}, "not ordered by luck"), ({"top": 0}, "1 or more")])
def test_a_list_of_nothing_is_refused(store, wrong, said):
    keep(store, method="softmax")
    with pytest.raises(ConfigError, match=said):
        ask(store, **wrong)


def test_the_command_says_that_it_asks_for_parents(store):
    keep(store, method="softmax")
    told = run("uncertain", store.path, "--by", "entropy")
    assert "whose daughter it may be" in told.stdout
    assert "belief, of parents" in told.stdout
    assert "of parents by entropy" in told.stderr
    first = answer("uncertain", store.path)["items"][0]
    assert first["view"] == "parents"
    assert first["outcomes"][0].keys() == {"parents", "probability"}


def test_which_posterior_is_asked_stands_before_its_questions_where_a_newer_one_is_passed_over(store):
    keep(store, method="auto")
    assert "asking" not in run("uncertain", store.path).stderr
    keep(store, method="softmax")
    first = run("uncertain", store.path).stderr.split("\n")[0]
    assert first == (
        "note: asking posterior-1 by auto: the newer posterior-2 by softmax tells of links alone; "
        "--posterior posterior-2 asks it whose daughters cells are"
    )
    assert "asking" not in run("uncertain", store.path, "--posterior", "posterior-2", "--by", "entropy").stderr
    assert "asking" not in run("uncertain", store.path, "-q").stderr


def test_a_solution_that_was_not_weighed_yet_is_named(store):
    keep(store, method="auto")
    assert "not weighed" not in run("uncertain", store.path).stderr
    run("solve", store.path, "--name", "again")
    wanted = "note: again was not weighed yet, older ones are asked: trackdb posterior --solution again\n"
    assert wanted in run("uncertain", store.path).stderr
    keep(store, method="softmax")
    assert "not weighed" not in run("uncertain", store.path).stderr
