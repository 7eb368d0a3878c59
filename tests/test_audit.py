"""The audit: a draw that is a draw, an estimate that is right on average, and nothing told before it is known."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.ingest import ingest
from trackdb.engine.metrics.calibration import ELSEWHERE, wilson
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.stage import posterior
from trackdb.engine.review.audit import audit_of, audit_order, audit_turn, open_cells, sample
from trackdb.engine.review.judged import ENOUGH, Audit, Judged, judge, tempered_shares
from trackdb.storage.decisions import CellPlace, Decision, DecisionKind
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.posteriors import find_posterior, read_outcomes

from .posteriors import outcomes_of

cells = st.lists(st.integers(0, 2**40), unique=True, min_size=2, max_size=30)


def test_about_one_question_in_ten_is_drawn():
    drawn = [audit_turn(3, turn) for turn in range(5_000)]
    assert 430 < sum(drawn) < 570  # 500, and 3.3 standard deviations
    assert drawn == [audit_turn(3, turn) for turn in range(5_000)]
    assert drawn != [audit_turn(4, turn) for turn in range(5_000)]
    assert not any(audit_turn(3, turn, 0.0) for turn in range(100))
    assert all(audit_turn(3, turn, 1.0) for turn in range(100))


@given(cells, st.integers(0, 100), st.data())
def test_which_of_two_cells_is_drawn_first_does_not_depend_on_the_others(numbers, seed, data):
    every = np.array(numbers)
    some = np.array(data.draw(st.lists(st.sampled_from(numbers), unique=True, min_size=1)))
    of_every = every[audit_order(every, seed)].tolist()
    assert some[audit_order(some, seed)].tolist() == [cell for cell in of_every if cell in some]


def test_every_cell_is_drawn_first_as_often_as_the_others():
    numbers = np.arange(100, 120)
    first = Counter(int(numbers[audit_order(numbers, seed)[0]]) for seed in range(4_000))
    expected = 4_000 / 20
    assert sum((first[cell] - expected) ** 2 / expected for cell in numbers.tolist()) < 43.8  # 99.9 % of chi^2 with 19
    place = np.array([audit_order(numbers, seed).argsort()[:2] for seed in range(4_000)])
    assert abs(np.corrcoef(place.T)[0, 1] + 1 / 19) < 0.05  # cells with neighbouring numbers know nothing of each other


def reviewed(rng, seed, n=600, turns=400, share=0.2):
    """A review of n cells, of which the doubtful are wrong more often: which are, and who was asked, by lot or list."""
    doubt = rng.random(n) ** 3
    wrong = rng.random(n) < doubt * 0.8
    listed, order = np.argsort(-doubt), audit_order(np.arange(n), seed)
    ways = {False: iter(listed.tolist()), True: iter(order.tolist())}
    answered = {}
    for turn in range(turns):
        is_drawn = audit_turn(seed, turn, share)
        answered[next(cell for cell in ways[is_drawn] if cell not in answered)] = is_drawn
    return wrong, np.array([*answered]), np.array([*answered.values()])


def test_the_error_rate_of_the_sample_is_that_of_the_solution_and_its_interval_holds_it():
    rng = np.random.default_rng(1)
    off, naive, covered = [], [], []
    for seed in range(300):
        wrong, answered, drawn = reviewed(rng, seed)
        found = wrong[answered[sample(answered, drawn, seed)]]
        low, high = wilson(np.array([found.sum()], dtype=float), np.array([len(found)]))
        off.append(found.mean() - wrong.mean())
        naive.append(wrong[answered[drawn]].mean() - wrong.mean())
        covered.append(low[0] <= wrong.mean() <= high[0])
    standard_error = np.std(off) / np.sqrt(len(off))
    assert abs(np.mean(off)) < 3 * standard_error
    assert np.mean(covered) > 0.93
    assert np.mean(naive) < -10 * np.std(naive) / np.sqrt(len(naive))  # drawn questions alone say too little


def test_the_sample_ends_before_the_last_that_was_drawn():
    numbers = np.arange(50)
    order = audit_order(numbers, 0)
    drawn = np.isin(numbers, order[[4, 9]])
    assert sorted(numbers[sample(numbers, drawn, 0)].tolist()) == sorted(order[:9].tolist())
    assert not sample(numbers, np.zeros(50, dtype=bool), 0).any()


def test_only_cells_that_may_do_several_things_are_drawn():
    outcomes = outcomes_of({1: {(11,): 1.0}, 2: {(12,): 0.7, (): 0.3}, 3: {(13,): 0.99999, (): 0.00001}})
    assert open_cells(outcomes).tolist() == [2]


COUNTED = Audit("ilp-1", "posterior-1", audits=60, needed=0, judged=0, listed=0, wrong=0)


def judged_of(p, right):
    """Answers about cells that go on with probability p by the posterior, as the solution says; some end instead."""
    n = len(p)
    outcomes = outcomes_of({i: {(1_000 + i,): q, (): 1 - q} for i, q in enumerate(p.tolist())})
    rows = {(c, a): row for row, (c, a) in enumerate(zip(outcomes.cell.tolist(), outcomes.a.tolist(), strict=True))}
    reported = np.array([rows[i, 1_000 + i] for i in range(n)])
    true = np.where(right, reported, [rows[i, -1] for i in range(n)])
    return Judged(outcomes, np.arange(n), reported, true, ~right)


@pytest.mark.parametrize("sharp", [0.5, 1.0, 2.0])
def test_the_temperature_is_found_at_which_probabilities_hold(sharp):
    rng = np.random.default_rng(5)
    p = rng.uniform(0.55, 0.95, 4_000)
    hot = p**sharp / (p**sharp + (1 - p) ** sharp)
    told = judge(COUNTED, judged_of(p, rng.random(4_000) < hot))
    assert told.temperature == pytest.approx(1 / sharp, rel=0.15)
    assert told.rate == pytest.approx(1 - hot.mean(), abs=0.02)
    assert told.low < told.rate < told.high
    assert told.expected_wrong == pytest.approx((1 - p).sum())
    assert told.expected_wrong_tempered == pytest.approx(told.wrong, rel=0.07)
    assert told.calibrated
    assert (told.ece > 3 * told.ece_floor) == (sharp != 1)


def test_what_is_wrong_throughout_is_not_called_calibrated():
    right = np.arange(200) % 2 == 0
    judged = judged_of(np.full(200, 0.9), right)
    judged = replace(judged, true=np.where(right, judged.true, ELSEWHERE))  # a daughter that is no candidate
    p = np.full(200, 0.001)
    told = judge(COUNTED, judged_of(p, np.ones(200, dtype=bool)), np.ones(400))
    assert (told.wrong, told.calibrated, told.expected_wrong_left) == (0, False, None)
    assert judge(COUNTED, judged).wrong == 100


def test_wrong_links_left_are_those_of_the_tempered_probabilities():
    rng = np.random.default_rng(2)
    p = rng.uniform(0.5, 1, 3_000)
    judged = judged_of(p, rng.random(3_000) < p)
    contradicted = np.where(judged.outcomes.a < 0, 1.0, 0.0)  # the link to the one that goes on
    told = judge(COUNTED, judged, contradicted)
    assert told.calibrated
    assert told.expected_wrong_left == pytest.approx((1 - p).sum(), rel=0.05)


def test_before_fifty_answers_only_counts_are_told():
    judged = judged_of(np.full(60, 0.8), np.arange(60) % 4 > 0)
    told = judge(replace(COUNTED, audits=49, needed=1), judged, np.ones(120))
    assert (told.judged, told.wrong) == (60, 15)
    assert {told.rate, told.low, told.ece, told.temperature, told.expected_wrong, told.expected_wrong_left} == {None}
    assert judge(COUNTED, judged).rate == 0.25


@given(st.floats(0.1, 10), st.lists(st.floats(1e-9, 1), min_size=2, max_size=5))
def test_tempered_probabilities_sum_to_one_and_keep_their_order(temperature, weights):
    total = sum(weights)
    outcomes = outcomes_of({1: {(10 + i,): w / total for i, w in enumerate(weights)}, 2: {(): 1.0}})
    hot = tempered_shares(outcomes, temperature)
    assert hot[:-1].sum() == pytest.approx(1)
    assert hot[-1] == 1
    assert np.all(np.diff(hot[:-1]) <= 1e-12)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """160 points that move by nearly their spacing, so that a solution errs here and there; cell i becomes 160 + i."""
    folder = tmp_path_factory.mktemp("crowd")
    rng = np.random.default_rng(7)
    first = rng.uniform(0, 200, (160, 2))
    second = first + rng.normal(0, 6, first.shape)
    rows = [f"{t},{y:.3f},{x:.3f}" for t, frame in enumerate((first, second)) for y, x in frame.tolist()]
    (folder / "crowd.csv").write_text("\n".join(["t,y,x", *rows]) + "\n")
    store = DuckDBStore(folder / "crowd.trackdb")
    ingest(folder / "crowd.csv", store)
    solve(store, store.detection_set())
    posterior(store, *store.find_solution())
    return store


def answers_of(store, cells, blind, *, after=0, solution="ilp-1"):
    """True answers about cells of the crowd; detections are numbered from 1 in the order of the table."""
    return [
        Decision(
            seq=after + i + 1,
            key=f"k{after + i}",
            at=datetime(2030, 1, 1) + timedelta(seconds=after + i),
            who="ana",
            kind=DecisionKind.CHOOSE,
            dataset=store.detection_set().movie.name,
            cell=CellPlace(cell, 0),
            daughters=(CellPlace(cell + 160, 1),),
            solution=solution,
            posterior="posterior-1",
            blind=is_blind,
        )
        for i, (cell, is_blind) in enumerate(zip(cells, blind, strict=True))
    ]


def solved_wrong(store, cells):
    """Cells whose daughter in the solution is another than the true one."""
    _, info = store.find_solution()
    links = dict(zip(*(ends.tolist() for ends in store.link_ends(info)), strict=True))
    return {cell for cell in cells if links.get(cell) != cell + 160}


def test_an_audit_of_a_store_counts_what_the_solution_says_wrongly(crowd):
    chosen, info, weighed = find_posterior(crowd)
    outcomes = read_outcomes(crowd, weighed)
    may_be_drawn = open_cells(outcomes)
    order = may_be_drawn[audit_order(may_be_drawn, chosen.dataset_id)].tolist()
    assert len(order) > 60
    drawn = [i % 3 > 0 for i in range(len(order))]
    drawn[58:] = [False] * (len(order) - 58)
    said = answers_of(crowd, order, drawn)
    told = audit_of(crowd, chosen, said)
    last = max(i for i, d in enumerate(drawn) if d)
    assert (told.solution, told.posterior, told.audits) == ("ilp-1", "posterior-1", sum(drawn))
    assert (told.judged, told.listed) == (last, last - sum(drawn) + 1)
    assert told.wrong == len(solved_wrong(crowd, order[:last]))
    assert told.needed == ENOUGH - sum(drawn) > 0
    assert told.rate is None
    everything = audit_of(crowd, chosen, answers_of(crowd, order, [True] * len(order)), info)
    assert everything.needed == 0
    assert everything.rate == len(solved_wrong(crowd, order[:-1])) / (len(order) - 1) > 0.02
    assert set(everything.as_dict()) >= {"rate", "low", "high", "temperature", "calibrated", "expected_wrong_left"}
    source = crowd.link_ends(info)[0]
    sure = float((1 - outcomes.shares[outcomes.first[:-1]]).sum())
    if everything.calibrated:  # all that is open was answered
        assert everything.expected_wrong_left <= min(sure, len(source))


def test_what_does_not_tell_is_not_judged(crowd):
    chosen, info, weighed = find_posterior(crowd)
    may_be_drawn = open_cells(read_outcomes(crowd, weighed))
    order = may_be_drawn[audit_order(may_be_drawn, chosen.dataset_id)].tolist()[:6]
    said = answers_of(crowd, order, [True] * 6)
    assert audit_of(crowd, chosen, said, info).judged == 5
    unsure = [replace(said[0], kind=DecisionKind.UNSURE, daughters=None), *said[1:]]
    assert audit_of(crowd, chosen, unsure, info).judged == 4
    undone = [*said, replace(said[0], key="u", kind=DecisionKind.UNDO, cell=None, daughters=None, undo_of=said[0].key)]
    assert audit_of(crowd, chosen, undone, info).judged == 4
    again = answers_of(crowd, [order[0]], [True], after=10)
    changed = replace(again[0], daughters=())
    mended = audit_of(crowd, chosen, [*undone, changed], info)
    assert (mended.judged, mended.audits) == (5, 6)  # who changes his mind is heard; nobody is asked twice
    false = [replace(said[0], kind=DecisionKind.NOT_A_CELL, daughters=None), *said[1:]]
    assert audit_of(crowd, chosen, false, info).wrong == len(solved_wrong(crowd, order[1:5])) + 1


def test_second_opinions_and_other_solutions_are_no_part_of_the_sample(crowd):
    chosen, info, weighed = find_posterior(crowd)
    may_be_drawn = open_cells(read_outcomes(crowd, weighed))
    order = may_be_drawn[audit_order(may_be_drawn, chosen.dataset_id)].tolist()
    listed = answers_of(crowd, order[20:25], [False] * 5)
    second = [replace(d, who="bob", key=f"b{d.seq}", blind=True) for d in listed]
    assert audit_of(crowd, chosen, [*listed, *second], info) is None
    drawn = answers_of(crowd, order[:4], [True] * 4, after=20)
    assert audit_of(crowd, chosen, [*listed, *second, *drawn], info).judged == 3
    other = [replace(d, solution="ilp-7") for d in drawn]
    assert audit_of(crowd, chosen, other, info) is None
    by_hand = replace(drawn[1], solution=None, blind=False)  # trackdb annotate, since the solution
    assert audit_of(crowd, chosen, [drawn[0], by_hand, *drawn[2:]], info).judged == 3
    before = replace(by_hand, at=datetime(2000, 1, 1))
    assert audit_of(crowd, chosen, [before, drawn[0], *drawn[2:]], info).judged == 2
    assert audit_of(crowd, chosen, [], info) is None
