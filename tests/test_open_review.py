"""An open review after an answer is the posterior and the list of a store that was told the same and weighed again."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trackdb
from trackdb.engine.review.live import OpenReview
from trackdb.engine.review.questions import questions_of
from trackdb.engine.review.queue import ORDERS
from trackdb.engine.review.standing import Standing
from trackdb.engine.review.written import Reported
from trackdb.errors import ConfigError, InfeasibleError, MissingRowsError
from trackdb.solvers.pins import Pins, pin
from trackdb.solvers.posterior.conditioning import OpenPosterior
from trackdb.storage.decision_log import write_lines
from trackdb.storage.decisions import CellPlace, DecisionKind
from trackdb.storage.posteriors import CellOutcomes
from trackdb.testing.frame_pairs import frame_pair

from .command_line import run
from .movies import copied
from .weighed import coupled_problem

pytestmark = pytest.mark.usefixtures("own_home_and_log")

CLOSE = 1e-4
"""Stored probabilities have few digits, and what was cut is cut elsewhere the next time."""


@pytest.fixture
def db(jostling, tmp_path):
    return trackdb.open(copied(jostling, tmp_path / "movie.trackdb"), write=True)


def opened(db):
    return db.solution().posterior().open()


def probabilities(posterior):
    """Return {cell: {daughters: probability}} of a stored posterior."""
    told = {}
    for row in posterior.outcomes.rows.to_pylist():
        told.setdefault(row["cell"], {})[tuple(row["daughters"])] = row["probability"]
    return told


def require_same(review, posterior):
    """Hold an open review to a stored posterior: every probability, and every list."""
    for cell, told in probabilities(posterior).items():
        found = review.outcomes(cell)
        for daughters in found.keys() | told.keys():
            assert found.get(daughters, 0.0) == pytest.approx(told.get(daughters, 0.0), abs=CLOSE)
    for by in ORDERS:
        mine, fresh = review.uncertain(6, by=by), posterior.uncertain(6, by=by)
        assert mine.open == fresh.open
        if by == "error-reduction":  # of questions that are worth the same either may be listed
            worth = [[item.expected_error_reduction for item in told] for told in (mine, fresh)]
            assert worth[0] == pytest.approx(worth[1], abs=10 * CLOSE)
            continue
        assert [(i.cell, i.frame, i.chosen) for i in mine] == [(i.cell, i.frame, i.chosen) for i in fresh]
        for one, other in zip(mine, fresh, strict=True):
            assert one.entropy_bits == pytest.approx(other.entropy_bits, abs=10 * CLOSE)


def some_answer(db, review, kind):
    """Return the words of an answer of a kind about the cell that is asked first."""
    asked = review.uncertain(1).items[0]
    second = next(outcome.daughters for outcome in asked.outcomes[1:] if outcome.daughters)
    match kind:
        case "choose":
            return asked.cell, second
        case "ends":
            return asked.cell, ()
        case "reject":
            return asked.cell, second[:1]
    return asked.outcomes[0].daughters[0], None


def say(review, kind, cell, daughters):
    match kind:
        case "choose" | "ends":
            return review.choose(cell, daughters)
        case "reject":
            return review.reject(cell, *daughters)
    return getattr(review, kind)(cell)


def test_an_open_review_begins_with_what_is_stored(db):
    require_same(opened(db), db.solution().posterior())


@pytest.mark.parametrize("kind", ["choose", "ends", "reject", "begins", "not_a_cell"])
def test_an_answer_does_what_an_annotation_does(db, kind):
    review = opened(db)
    cell, daughters = some_answer(db, review, kind)
    say(review, kind, cell, daughters)
    stored_kind = "choose" if kind == "ends" else kind
    db.annotate(cell, daughters=daughters, kind=stored_kind, who="ana")
    posterior = db.posterior()
    require_same(review, posterior)
    require_same(posterior.open(), posterior)  # annotations of the store hold in a review that is opened later


def state(review):
    return [column.copy() for column in (*review._standing.doubts, review._told, review._open.link, review._open.new)]


@pytest.mark.parametrize("kind", ["choose", "ends", "reject", "begins", "not_a_cell"])
def test_what_an_answer_does_not_touch_stays_and_undoing_restores(db, kind):
    review = opened(db)
    before, lists = state(review), [review.uncertain(by=by) for by in ORDERS]
    cell, daughters = some_answer(db, review, kind)
    touched = np.isin(review._ids, say(review, kind, cell, daughters))
    assert 0 < np.count_nonzero(touched) < len(touched)
    for old, new in zip(before[:4], state(review)[:4], strict=True):
        assert np.array_equal(old[~touched], new[~touched])
    assert review.uncertain().items != lists[0].items
    assert len(review) == 1
    review.undo()
    assert all(np.array_equal(old, new) for old, new in zip(before, state(review), strict=True))
    assert [review.uncertain(by=by) for by in ORDERS] == lists
    with pytest.raises(MissingRowsError, match="no answer to take back"):
        review.undo()


def test_answers_one_after_the_other_are_those_of_the_store(db):
    review = opened(db)
    for _ in range(4):
        item = review.uncertain(1, by="entropy").items[0]
        review.choose(item.cell, item.outcomes[0].daughters)
        db.annotate(item.cell, daughters=item.outcomes[0].daughters, who="ana")
    require_same(review, db.posterior())


def test_only_pieces_that_changed_are_computed_again(db, monkeypatch):
    review = opened(db)
    review.uncertain(6)
    item = review.uncertain(1).items[0]
    touched = review.choose(item.cell, item.outcomes[0].daughters)
    computed, whole = [], OpenPosterior.error_reductions

    def watched(self, cells):
        computed.extend(review._ids[cells].tolist())
        return whole(self, cells)

    monkeypatch.setattr(OpenPosterior, "error_reductions", watched)
    review.uncertain(6)
    again = set(computed)
    computed.clear()
    opened(db).uncertain(6)
    assert len(again) < len(computed)
    assert again & set(computed) <= set(touched)


def drawn_review(seed, sigma, width):
    """Return an open review of two frames of which nobody said anything."""
    return review_of(frame_pair(150, sigma, seed).problem, width)


def review_of(problem, width, *, optional=False):
    n = problem.n_nodes
    left = pin(problem, Pins(np.zeros(problem.n_edges, np.int8), np.zeros(n, np.int8)))
    no_links, no_cells = np.empty(0, np.int64), np.zeros(n, bool)
    return OpenReview(
        left, np.arange(n), Reported("p", "s", no_links, no_links, no_cells, no_cells, optional), width=width
    )


def answer_something(review, rng):
    """Give an answer of a random kind about a cell of the list, or take one back."""
    kind = rng.choice(["choose", "reject", "begins", "not_a_cell", "undo"], p=[0.5, 0.2, 0.1, 0.1, 0.1])
    if kind == "undo" and len(review):
        return review.undo()
    item = rng.choice(review.uncertain(10, by="entropy").items)
    daughters = [outcome.daughters for outcome in item.outcomes if outcome.daughters]
    try:
        if kind == "choose":
            review.choose(item.cell, item.outcomes[rng.integers(min(3, len(item.outcomes)))].daughters)
        elif kind == "reject" and daughters:
            review.reject(item.cell, daughters[0][0])
        elif kind == "begins" and daughters:
            review.begins(daughters[0][0])
        else:
            review.not_a_cell(item.cell)
    except InfeasibleError:
        return None


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), sigma=st.sampled_from([0.15, 0.3]), width=st.sampled_from([3, 6, 14]))
def test_a_list_after_answers_is_the_list_computed_whole_to_the_last_digit(seed, sigma, width):
    require_same_after_answers(drawn_review(seed, sigma, width), seed)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.sampled_from([3, 6, 14]))
def test_so_is_the_list_of_detections_that_may_be_no_cells(seed, width):
    problem = coupled_problem(seed, gaps=seed % 2 == 0, n_frames=6, per_frame=5, most_links=99)
    require_same_after_answers(review_of(problem, width, optional=True), seed, optional=True)


def require_same_after_answers(review, seed, *, optional=False):
    rng = np.random.default_rng(seed)
    for step in range(8):
        answer_something(review, rng)
        lists = [review.uncertain(8, by=by) for by in ORDERS] if step % 3 == 0 else []
        kept, fresh = review._standing, Standing(review._open, review._told, optional=optional)
        for name, mine, whole in zip(fresh.doubts._fields, kept.doubts, fresh.doubts, strict=True):
            assert np.array_equal(mine, whole), name
        if lists:
            review._standing, review._questions._written = fresh, {}
            known = review._worth._known.copy()
            review._worth._known[:] = np.nan
            assert [review.uncertain(8, by=by) for by in ORDERS] == lists
            every = np.flatnonzero(~np.isnan(known))
            assert np.array_equal(review._worth._found.error_reductions(every), known[every])
            review._standing, review._worth._known = kept, known


@pytest.mark.parametrize("by", ORDERS)
def test_a_list_that_was_kept_through_many_answers_is_one_made_afresh(by):
    review, rng = drawn_review(ORDERS.index(by), 0.3, 6), np.random.default_rng(1)
    for _ in range(30):
        answer_something(review, rng)
        kept = review.uncertain(8, by=by)
        standing, worth = review._standing, review._worth
        review._standing, review._questions._written, review._worth = Standing(review._open, review._told), {}, None
        afresh = review.uncertain(8, by=by)
        review._standing, review._worth = standing, worth
        assert (afresh.items, afresh.open) == (kept.items, kept.open)
    assert len(review) > 15


def pieces(numbers):
    """Return which cells are in one piece."""
    _, first, piece = np.unique(numbers, return_index=True, return_inverse=True)
    return first[piece]


def test_pieces_that_the_posterior_cut_are_put_together_as_the_list_sees_them():
    review, rng = drawn_review(1, 0.3, 3), np.random.default_rng(0)
    for _ in range(25):
        answer_something(review, rng)
        told, listed = np.flatnonzero(review._told), review._questions.told(np.flatnonzero(review._told))
        owner = np.repeat(listed.cell, np.diff(listed.first))
        how = np.zeros(len(owner), np.uint8)
        whole = questions_of(CellOutcomes(owner, listed.a, listed.b, listed.probability, how, np.zeros(len(owner))))
        doubts = review._standing.doubts
        assert np.array_equal(pieces(whole.piece), pieces(doubts.piece[told]))
        assert doubts.entropy[told] == pytest.approx(whole.entropy_bits, abs=1e-12)
        assert doubts.doubt[told] == pytest.approx(whole.doubt, abs=1e-12)
        assert doubts.children[told] == pytest.approx(whole.children, abs=1e-12)
        assert doubts.errors[doubts.piece[told]] == pytest.approx(whole.errors[whole.piece], abs=1e-9)
        assert np.array_equal(doubts.piece >= 0, review._told)
    assert len(review) > 10


def test_what_contradicts_is_refused_in_numbers_of_cells(db):
    review = opened(db)
    item = review.uncertain(1).items[0]
    daughter = item.outcomes[0].daughters[0]
    review.choose(item.cell, [daughter])
    now = state(review)
    for refused in (
        lambda: review.choose(item.cell, []),
        lambda: review.reject(item.cell, daughter),
        lambda: review.begins(daughter),
        lambda: review.not_a_cell(daughter),
    ):
        with pytest.raises(InfeasibleError, match=r"earlier answer.*cell \d+"):
            refused()
    with pytest.raises(MissingRowsError, match="no cell 100000"):
        review.choose(100000, [])
    with pytest.raises(InfeasibleError, match="no candidate"):
        review.choose(1, [1])
    assert all(np.array_equal(old, new) for old, new in zip(now, state(review), strict=True))
    db.annotate(item.cell, daughters=[daughter], who="ana")
    later = opened(db)
    for refused in (
        lambda: later.choose(item.cell, []),
        lambda: later.begins(daughter),
        lambda: later.not_a_cell(daughter),
    ):
        with pytest.raises(InfeasibleError, match="annotation"):
            refused()
    with pytest.raises(ConfigError, match="is by softmax"):
        db.posterior(method="softmax").open()
    with pytest.raises(ConfigError, match="length of 1 or more"):
        later.uncertain(0)


@pytest.mark.parametrize("method", ["exact", "belief", "gibbs"])
def test_a_posterior_that_weighs_all_selections_by_another_method_takes_answers_too(db, method):
    db.posterior(method=method, name="other", temperature=0.7)
    review = opened(db)
    require_same(review, db.posterior(name="same", temperature=0.7))
    cell, daughters = some_answer(db, review, "choose")
    review.choose(cell, daughters)
    assert review.outcomes(cell) == {tuple(daughters): 1.0}
    assert review.uncertain(1).posterior == "other"


def test_a_list_says_how_many_annotations_its_posterior_does_not_know(db):
    path = db._store.path
    item = db.solution().posterior().uncertain(1).items[0]
    assert "since posterior-1" not in run("uncertain", path).stderr
    db.annotate(item.cell, kind="unsure", who="ana")  # pins nothing
    assert "since posterior-1" not in run("uncertain", path).stderr
    db.annotate(item.cell, daughters=item.outcomes[0].daughters, who="ana")
    assert "1 annotation since posterior-1: trackdb posterior again conditions on them" in run("uncertain", path).stderr
    db.undo(who="ana")
    assert "since posterior-1" not in run("uncertain", path).stderr
    db.annotate(item.cell, daughters=item.outcomes[1].daughters, who="ana")
    db.posterior()
    assert "since posterior" not in run("uncertain", path).stderr
    db.undo(who="ana")
    assert "1 annotation since posterior-2" in run("uncertain", path).stderr


def test_a_cell_is_listed_again_where_people_contradict_each_other_and_not_where_it_has_another_number(db):
    store = db._store

    def first():
        return db.solution().posterior().uncertain(1, by="entropy").items[0]

    item = first()
    ana = db.annotate(item.cell, kind="unsure", who="ana").decision
    assert first().cell != item.cell
    shutil.rmtree(store.path / "annotations")
    write_lines(store.path, [replace(ana, cell=replace(ana.cell, id=10**6))])
    assert first().cell != item.cell
    db.undo(who="ana")
    one, other = (
        replace(ana, key=f"k{n}", seq=9 + n, kind=DecisionKind.CHOOSE, daughters=tuple(map(CellPlace, o.daughters)))
        for n, o in enumerate(item.outcomes[:2])
    )
    write_lines(store.path, [one])
    assert first().cell != item.cell
    write_lines(store.path, [replace(other, who="ben")])
    assert first().cell == item.cell
    assert opened(db).uncertain(1, by="entropy").items[0].cell == item.cell


def test_a_review_tells_of_itself(db):
    review = opened(db)
    told = repr(review)
    n = len(db._store.detections(db._store.detection_set()))
    assert told.startswith(f"<review of posterior-1 of ilp-1: {n} cells, ")
    assert told.endswith(" of them in doubt, 0 answers in memory>")
    item = review.uncertain(top=1, by="entropy").items[0]
    review.choose(item.cell, item.outcomes[0].daughters)
    assert repr(review).endswith(" in doubt, 1 answer in memory>")
    assert repr(review) != told.replace("0 answers", "1 answer")  # fewer are in doubt
