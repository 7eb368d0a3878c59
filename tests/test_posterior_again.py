"""A posterior after annotations: only what they touch is weighed again, and it is the posterior of the whole movie."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trackdb.engine.annotations.answers import Annotator, undo
from trackdb.engine.annotations.pins import decided
from trackdb.engine.check import check
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.estimate import posterior_of
from trackdb.engine.posterior.lifting import lifted
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.posterior_config import PosteriorConfig
from trackdb.engine.progress import Recorded
from trackdb.errors import InfeasibleError, MissingRowsError
from trackdb.solvers.pins import Pins
from trackdb.solvers.posterior.touched import touched_part
from trackdb.storage import posteriors
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.followed import add_followed
from trackdb.storage.posteriors import find_posterior, read_links, read_outcomes
from trackdb.testing.frame_pairs import frame_pair
from trackdb.testing.problems import small_problem, with_every_pair

from .movies import copied

EXACT = PosteriorConfig(method="exact")
LAST_DIGIT = 1e-7  # of what the store keeps, numbers of 4 bytes


def drawn_pins(problem, rng, most=4):
    """Return a few pins at random, in and out, of links and cells."""
    edge, node = np.zeros(problem.n_edges, dtype=np.int8), np.zeros(problem.n_nodes, dtype=np.int8)
    for column in (edge, node):
        some = rng.integers(most)
        if len(column):
            column[rng.integers(len(column), size=some)] = rng.choice([-1, 1], some)
    return Pins(edge, node)


def outcomes(found, cell):
    """Return what a cell may do by what it would take."""
    rows = slice(found.outcomes.first[cell], found.outcomes.first[cell + 1])
    ends = zip(found.outcomes.a[rows].tolist(), found.outcomes.b[rows].tolist(), strict=True)
    return dict(zip(ends, found.outcomes.probability[rows].tolist(), strict=True))


def followed(problem, before, now, config=EXACT):
    """Return links, how, and outcomes of each cell, of which only what pins touch is weighed after them."""
    was, left = decided(problem, before), decided(problem, now)
    part = touched_part(was, left)
    old = lifted(posterior_of(was.problem, config), was)
    new = lifted(posterior_of(part.left.problem, config), part.left)
    link, how = old.link.copy(), old.how.copy()
    link[part.links], how[part.links] = new.link, new.how
    does = [outcomes(old, cell) for cell in range(problem.n_nodes)]
    row = np.append(part.links, -1)
    for place, cell in enumerate(part.cells.tolist()):
        if part.mothers[place]:
            does[cell] = {(row[a], row[b]): p for (a, b), p in outcomes(new, place).items()}
    return link, how, does, part


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000))
def test_pieces_that_pins_touch_and_all_others_as_they_were_are_the_whole(seed):
    rng = np.random.default_rng(seed)
    problem = small_problem(seed, n_frames=2 + seed % 3, per_frame=3)
    problem = with_every_pair(problem, seed) if seed % 2 else problem
    before, now = drawn_pins(problem, rng), drawn_pins(problem, rng)
    try:
        left = decided(problem, now)
        link, how, does, _ = followed(problem, before, now)
    except InfeasibleError:
        return
    whole = lifted(posterior_of(left.problem, EXACT), left)
    np.testing.assert_allclose(link, whole.link, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(how, whole.how)
    for cell in range(problem.n_nodes):
        assert does[cell] == pytest.approx(outcomes(whole, cell), abs=1e-12)


@pytest.mark.parametrize(("step", "tolerance"), [(0.15, 1e-12), (0.3, 1e-6)])
def test_of_a_thousand_cells_few_are_weighed_again_and_cut_ones_are_known_as_before(step, tolerance):
    problem = frame_pair(1000, step, 0).problem
    rng = np.random.default_rng(1)
    before = drawn_pins(problem, rng, most=1)
    config = PosteriorConfig()
    sure = posterior_of(problem, config).link
    edge = np.zeros(problem.n_edges, dtype=np.int8)
    edge[np.flatnonzero((sure > 0.3) & (sure < 0.7))[:2]] = -1
    now = Pins(edge, np.zeros(problem.n_nodes, dtype=np.int8))
    link, how, _, part = followed(problem, before, now, config)
    left = decided(problem, now)
    whole = lifted(posterior_of(left.problem, config), left)
    np.testing.assert_allclose(link, whole.link, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(how, whole.how)
    if step == 0.15:
        assert 0 < part.pieces < 8
        assert len(part.cells) < 100 < part.of_pieces


def test_pins_that_stay_touch_nothing():
    problem = frame_pair(50, 0.2, 0).problem
    pins = drawn_pins(problem, np.random.default_rng(4))
    part = touched_part(decided(problem, pins), decided(problem, pins))
    assert (len(part.cells), len(part.links), part.pieces) == (0, 0, 0)
    assert part.of_pieces > 1


# -- kept in a store ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(jostling, tmp_path):
    """A copy of that store."""
    return DuckDBStore(copied(jostling, tmp_path / "movie.trackdb"))


def keep(store, *, solution=None, name=None, progress=None, afresh=False, **given):
    """Compute a posterior and keep it."""
    chosen, info = store.find_solution(name=solution)
    config = Config(posterior=PosteriorConfig(**given))
    return posterior(store, chosen, info, config, name=name, progress=progress, afresh=afresh)


def doubtful(store, place=0):
    """Return a mother and the daughter of one of her doubtful links."""
    chosen, _, found = find_posterior(store)
    links, detections = read_links(store, found), store.detections(chosen)
    edges = store.candidate_edges(chosen, detections)
    row = np.argsort(np.abs(links.probability - 0.5), kind="stable")[place]
    return int(detections.id[edges.source[row]]), int(detections.id[edges.target[row]])


def require_same(store, one, other):
    """Raise unless two posteriors tell the same, but for the last digit that is kept."""
    (a, b), (c, d) = (
        (read_links(store, info), read_outcomes(store, info))
        for info in (find_posterior(store, name=name)[2] for name in (one, other))
    )
    np.testing.assert_array_equal(a.edge, c.edge)
    np.testing.assert_array_equal(a.how, c.how)
    np.testing.assert_allclose(a.probability, c.probability, rtol=0, atol=LAST_DIGIT)
    np.testing.assert_allclose(a.error, c.error, rtol=0, atol=LAST_DIGIT)
    for column in ("cell", "a", "b", "how"):
        np.testing.assert_array_equal(getattr(b, column), getattr(d, column))
    np.testing.assert_allclose(b.probability, d.probability, rtol=0, atol=LAST_DIGIT)
    np.testing.assert_allclose(b.error, d.error, rtol=0, atol=LAST_DIGIT)


def test_after_an_annotation_the_touched_piece_is_weighed_again_and_its_size_told(store):
    mother, daughter = doubtful(store)
    Annotator(store, store.detection_set()).answer("choose", mother, [daughter], who="ana")
    notes = Recorded()
    report = keep(store, progress=notes)
    assert report.again.base == "posterior-1"
    assert 0 < report.again.cells < report.cells / 2
    assert report.again.pieces < report.again.of_pieces
    assert not any("all is weighed" in note for note in notes.notes)
    whole = keep(store, afresh=True)
    assert whole.again is None
    require_same(store, "posterior-2", "posterior-3")
    assert (report.cells, report.links, report.how, report.pins) == (
        whole.cells,
        whole.links,
        whole.how,
        whole.pins,
    )
    assert report.mean_entropy_bits == pytest.approx(whole.mean_entropy_bits, abs=1e-6)
    assert check(store) == []


SAYING = st.lists(
    st.tuples(st.sampled_from(["choose", "reject", "begins", "not_a_cell", "undo"]), st.integers(0, 10**6)), max_size=4
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=SAYING, then=SAYING)
def test_whatever_people_say_and_take_back_it_is_the_posterior_of_the_whole(jostling, tmp_path_factory, first, then):
    store = DuckDBStore(copied(jostling, tmp_path_factory.mktemp("said") / "movie.trackdb"))
    chosen = store.detection_set()
    edges = store.candidate_edges(chosen, store.detections(chosen))
    for n, words in enumerate((first, then)):
        for kind, number in words:
            say(store, chosen, edges, kind, number)
        assert keep(store, name=f"again-{n}").again is not None
        assert keep(store, name=f"whole-{n}", afresh=True).again is None
        require_same(store, f"again-{n}", f"whole-{n}")


def say(store, chosen, edges, kind, number):
    """Say or take back something about a cell, unless it is excluded."""
    ids = store.detections(chosen).id
    row = number % len(edges)
    mother, daughter = int(ids[edges.source[row]]), int(ids[edges.target[row]])
    try:
        if kind == "undo":
            undo(store, None, who="ana")
        else:
            named = [daughter] if kind in ("choose", "reject") else None
            Annotator(store, chosen).answer(kind, mother, named, who="ana")
    except (InfeasibleError, MissingRowsError):
        pass  # an earlier word excludes it, or there is none to take back


def test_what_was_taken_back_is_the_posterior_of_before(store):
    mother, daughter = doubtful(store)
    Annotator(store, store.detection_set()).answer("choose", mother, [daughter], who="ana")
    keep(store)
    undo(store, None, who="ana")
    report = keep(store)
    assert report.again.base == "posterior-2"
    assert report.again.cells > 0
    assert report.pins == 0
    require_same(store, "posterior-1", "posterior-3")


def test_where_nobody_said_more_nothing_is_weighed(store):
    report = keep(store)
    assert (report.again.pieces, report.again.cells) == (0, 0)
    require_same(store, "posterior-1", "posterior-2")


def fallback(store, **given):
    """Return why all is weighed."""
    notes = Recorded()
    report = keep(store, progress=notes, **given)
    assert report.again is None
    [why] = [note for note in notes.notes if note.startswith("all is weighed: ")]
    return why.removeprefix("all is weighed: ")


def test_other_settings_weigh_all_and_say_so(store):
    assert fallback(store, temperature=2.0) == "temperature is 2, and 1 in posterior-1"
    assert fallback(store, width=3) == "temperature is 1, and 2 in posterior-2"
    assert fallback(store, temperature=2.0, width=3) == "temperature is 2, and 1 in posterior-3"
    assert fallback(store, temperature=2.0, width=4) == "width is 4, and 3 in posterior-4"
    assert fallback(store, method="exact") == "ilp-1 has no posterior by exact yet"
    assert keep(store).again.base == "posterior-1"  # the newest that fits, not the newest


def test_methods_that_look_at_all_together_weigh_all_and_say_so(store):
    keep(store, method="gibbs", sweeps=20)
    assert fallback(store, method="gibbs", sweeps=20) == "gibbs weighs all each time"


def test_what_is_too_cold_for_pieces_weighs_all_and_says_so(store):
    keep(store, temperature=0.01)
    assert fallback(store, temperature=0.01) == "at a temperature below 0.05 all is weighed together"
    keep(store, temperature=0.05)
    assert keep(store, temperature=0.05).again.base == "posterior-4"


def test_the_first_posterior_of_a_movie_weighs_all_and_gives_no_reason(store):
    with store.writing() as connection:
        connection.exec_driver_sql("delete from posterior")
    notes = Recorded()
    assert keep(store, progress=notes).again is None
    assert not any("all is weighed" in note for note in notes.notes)


def test_another_solution_weighs_all_and_says_so(store):
    solve(store, store.detection_set(), name="other")
    assert fallback(store) == "other has no posterior by auto yet"


def test_a_new_candidate_weighs_all_and_says_so(store):
    chosen = store.detection_set()
    detections = store.detections(chosen)
    first = detections.id[detections.frame == 0]
    second = detections.id[detections.frame == 1]
    ends = store.candidate_edges(chosen, detections)
    known = set(zip(detections.id[ends.source].tolist(), detections.id[ends.target].tolist(), strict=True))
    pair = next((a, b) for a in first.tolist() for b in second.tolist() if (a, b) not in known)
    Annotator(store, chosen).answer("choose", pair[0], [pair[1]], who="ana", add_candidate=True)
    assert fallback(store) == "candidates or costs are not those of posterior-1"
    assert keep(store).again.base == "posterior-2"
    undo(store, None, who="ana")
    assert keep(store).again.base == "posterior-1"  # which knows the candidates that have a score


def test_a_posterior_of_another_trackdb_weighs_all_and_says_so(store, monkeypatch):
    from trackdb.engine.posterior import again

    monkeypatch.setattr(again, "code_version", lambda: "0.0.1")
    assert fallback(store) == "posterior-1 is of another version of trackdb"


def test_a_log_that_grew_backwards_weighs_all_and_says_so(store):
    mother, daughter = doubtful(store)
    Annotator(store, store.detection_set()).answer("choose", mother, [daughter], who="ana")
    keep(store, temperature=2.0)
    [line] = next((store.path / "annotations").glob("*.jsonl")).read_text().splitlines()
    copied = line.replace('"who":"ana"', '"who":"ben"').replace('"kind":"choose"', '"kind":"not_a_cell"')
    other = next(cell for cell in store.detections(store.detection_set()).id.tolist() if cell not in (mother, daughter))
    copied = copied.replace(f'"cell":{{"id":{mother},', f'"cell":{{"id":{other},')
    key = copied.split('"key":"')[1].split('"')[0]
    (store.path / "annotations" / "ben-20260101.jsonl").write_text(copied.replace(key, "another") + "\n")
    assert fallback(store, temperature=2.0) == "the log of annotations is not the one that posterior-2 heard"
    assert keep(store).again.base == "posterior-1"  # it had heard nothing


def test_learned_costs_and_pairs_of_daughters_are_followed_too(store):
    solve(store, store.detection_set(), Config(solve=SolveConfig(cost="two-distance")), name="pairs")
    keep(store)
    mother, daughter = doubtful(store)
    Annotator(store, store.detection_set()).answer("choose", mother, [daughter], who="ana")
    assert keep(store).again.base == "posterior-2"
    keep(store, afresh=True)
    require_same(store, "posterior-3", "posterior-4")


def test_the_base_may_not_vanish_meanwhile(store):
    chosen, _, found = find_posterior(store)
    links, told = read_links(store, found), read_outcomes(store, found)
    gone = replace(found, id=99, name="gone")
    with (
        pytest.raises(MissingRowsError, match=r"posterior gone was removed meanwhile.*try: the same again"),
        store.running("posterior", "new", {}, chosen=chosen) as run,
    ):
        add_followed(store, run, replace(found, name="new", run_id=run.id), gone, links, told, told.cell[:0], {})
    assert posteriors.posterior_names(store, chosen) == {"posterior-1"}
