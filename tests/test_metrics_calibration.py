"""Calibration: four daughters by hand, brute force over bins, and the laws that hold whatever the probabilities."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackdb.engine.metrics.calibration import (
    ELSEWHERE,
    NEW,
    ParentQuestions,
    answers,
    link_error,
    mean_nll,
    reliability,
    sampling_floor,
    summarise,
    wilson,
)
from trackdb.engine.metrics.parents import ask_parents
from trackdb.engine.metrics.rejection import rejection
from trackdb.errors import SchemaError


def asked(*daughters):
    """Questions from (probabilities, number of the reported candidate, number of the true one)."""
    first, reported, true = [0], [], []
    for probability, said, right in daughters:
        reported.append(first[-1] + said if said >= 0 else said)
        true.append(first[-1] + right if right >= 0 else right)
        first.append(first[-1] + len(probability))
    return ParentQuestions(
        np.array(first), np.array([p for ps, *_ in daughters for p in ps], float), np.array(reported), np.array(true)
    )


# Four daughters: a sure link that is right, an unsure one that is wrong, a cell that is new as reported, and a link
# reported although the true mother is no candidate.
FOUR = [([0.9, 0.05], 0, 0), ([0.5, 0.4], 0, 1), ([0.2], NEW, NEW), ([0.6, 0.2], 0, ELSEWHERE)]


@pytest.fixture
def four():
    return asked(*FOUR)


def entropy(*p):
    return -sum(x * math.log(x) for x in p if x)


def test_four_daughters_by_hand(four):
    judged = answers(four)
    assert judged.confidence == pytest.approx([0.9, 0.5, 0.8, 0.6])
    assert judged.right.tolist() == [True, False, True, False]
    assert judged.true_probability == pytest.approx([0.9, 0.4, 0.8, 0.0])
    assert judged.squares == pytest.approx(
        [
            0.1**2 + 0.05**2 + 0.05**2,
            0.5**2 + 0.6**2 + 0.1**2,
            0.2**2 + 0.2**2,
            0.6**2 + 0.2**2 + 0.2**2 + 1,
        ]
    )
    assert judged.entropy == pytest.approx(
        [entropy(0.9, 0.05, 0.05), entropy(0.5, 0.4, 0.1), entropy(0.2, 0.8), entropy(0.6, 0.2, 0.2)]
    )
    # bins of a fifteenth: 0.5 in the 8th, 0.6 in the 10th, 0.8 in the 13th, 0.9 in the 14th: one daughter each
    assert reliability(judged.confidence, judged.right).error == pytest.approx((0.1 + 0.5 + 0.2 + 0.6) / 4)
    assert mean_nll(judged.true_probability) == pytest.approx(-np.log([0.9, 0.4, 0.8, 1e-6]).mean())


def test_without_new_only_reported_links_are_judged_and_candidates_share_everything(four):
    judged = answers(four, null=False)
    assert judged.confidence == pytest.approx([0.9 / 0.95, 0.5 / 0.9, 0.75])
    assert judged.right.tolist() == [True, False, False]
    assert judged.true_probability == pytest.approx([0.9 / 0.95, 0.4 / 0.9, 0.0])
    assert judged.entropy[2] == pytest.approx(entropy(0.75, 0.25))


def test_a_link_to_a_cell_that_is_new_is_wrong_also_without_the_class():
    assert not answers(asked(([0.7], 0, NEW)), null=False).right[0]


def test_a_daughter_without_any_probability_is_new_for_certain_and_left_out_without_that_class():
    nobody = asked(([0.0, 0.0], 0, 0), ([1.0], 0, 0))
    assert answers(nobody).confidence.tolist() == [0.0, 1.0]
    assert len(answers(nobody, null=False)) == 1


def test_the_risk_of_keeping_by_hand():
    kept = rejection(np.array([0.3, 0.1, 0.2, 0.4]), np.array([False, True, True, False]))
    assert kept.risk.tolist() == [0, 0, 1 / 3, 1 / 2]
    assert kept.area == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert kept.excess == pytest.approx(0)
    assert kept.accuracy_at(0.5) == 1
    assert kept.accuracy_at(0.51) == pytest.approx(2 / 3)
    worst = rejection(np.array([0.1, 0.4, 0.3, 0.2]), np.array([False, True, True, False]))
    assert worst.excess == pytest.approx((1 + 1 + 2 / 3 + 1 / 2) / 4 - (1 / 3 + 1 / 2) / 4)


def test_equal_doubts_are_kept_in_the_order_of_rows():
    assert rejection(np.zeros(3), np.array([True, False, True])).risk.tolist() == [0, 1 / 2, 1 / 3]


def test_the_interval_of_wilson_by_hand():
    """8 of 10: (0.4901, 0.9433), as textbooks have it."""
    low, high = wilson(np.array([8.0]), np.array([10]))
    assert (low[0], high[0]) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(np.array([0.0]), np.array([5]))[0][0] == 0


def test_links_one_by_one(four):
    p = [0.9, 0.05, 0.5, 0.4, 0.2, 0.6, 0.2]
    true = [1, 0, 0, 1, 0, 0, 0]
    brute = {}
    for confidence, right in zip(p, true, strict=True):
        brute.setdefault(int(confidence * 15), []).append((confidence, right))
    error = sum(abs(sum(c for c, _ in b) - sum(r for _, r in b)) for b in brute.values()) / len(p)
    assert link_error(four) == pytest.approx(error)


def test_bins_begin_at_their_lower_end_and_the_last_one_holds_certainty():
    found = reliability(np.array([1.0, 14 / 15 + 1e-9, 0.0, 1 / 3]), np.ones(4, bool), bins=3)
    assert found.count.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": np.array([0.9, np.nan])}, "0 .. 1"),
        ({"probability": np.array([1.2, 0.0])}, "0 .. 1"),
        ({"probability": np.array([0.9, 0.9])}, "sum to 1.8"),
        ({"reported": np.array([2])}, "reported option"),
        ({"true": np.array([-3])}, "true option"),
        ({"first": np.array([0, 0]), "probability": np.zeros(0)}, "needs a candidate"),
        ({"true": np.array([0, 0])}, "differ in length"),
    ],
)
def test_questions_that_do_not_fit_are_refused(change, message):
    whole = {
        "first": np.array([0, 2]),
        "probability": np.array([0.5, 0.5]),
        "reported": np.array([0]),
        "true": np.array([0]),
    }
    with pytest.raises(SchemaError, match=message):
        ParentQuestions(**(whole | change))


def test_nothing_to_judge_is_an_error():
    with pytest.raises(SchemaError, match="no daughter"):
        reliability(np.zeros(0), np.zeros(0, bool))
    with pytest.raises(SchemaError, match="no daughter"):
        rejection(np.zeros(0), np.zeros(0, bool))


# -- laws and oracles -------------------------------------------------------------------------------------------------


@st.composite
def judged_daughters(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 30).map(lambda k: k / 30), st.booleans()), min_size=1, max_size=40))
    confidence, right = zip(*rows, strict=True)
    return np.array(confidence), np.array(right)


@given(judged_daughters(), st.integers(1, 20))
def test_the_error_of_equal_bins_is_that_of_counting_one_by_one(rows, bins):
    confidence, right = rows
    error = 0.0
    for m in range(bins):
        inside = [(c, r) for c, r in zip(confidence, right, strict=True) if min(int(c * bins), bins - 1) == m]
        error += abs(sum(c for c, _ in inside) - sum(r for _, r in inside)) / len(confidence)
    assert reliability(confidence, right, bins=bins).error == pytest.approx(error, abs=1e-12)


@given(judged_daughters(), st.randoms())
def test_curves_do_not_know_the_order_of_rows(rows, random):
    confidence, right = rows
    order = np.array(random.sample(range(len(right)), len(right)))
    for equal_mass in (False, True):
        here = reliability(confidence, right, equal_mass=equal_mass)
        there = reliability(confidence[order], right[order], equal_mass=equal_mass)
        assert here.count.tolist() == there.count.tolist()
        assert here.error == pytest.approx(there.error)


@given(st.lists(st.floats(0, 1), min_size=15, max_size=60, unique=True))
def test_bins_of_equal_mass_differ_by_one_daughter_at_most(confidence):
    count = reliability(np.array(confidence), np.ones(len(confidence), bool), equal_mass=True).count
    assert len(count) == 15
    assert count.max() - count.min() <= 1


@given(judged_daughters())
def test_no_order_has_less_risk_than_that_which_knows_the_errors(rows):
    confidence, right = rows
    assert rejection(-confidence, right).excess >= -1e-12
    assert rejection((~right).astype(float), right).excess == pytest.approx(0, abs=1e-12)
    assert rejection(-confidence, right).risk[-1] == pytest.approx(1 - right.mean())


@given(st.integers(0, 500), st.integers(1, 500))
def test_intervals_hold_the_share_and_solve_their_equation(hits, n):
    """The ends of Wilson's interval lie z standard deviations *of their own* from the share."""
    hits = min(hits, n)
    low, high = (float(end[0]) for end in wilson(np.array([hits]), np.array([n])))
    share, z = hits / n, NormalDist().inv_cdf(0.975)
    assert low <= share + 1e-12
    assert share - 1e-12 <= high
    for end in (low, high):
        assert abs(share - end) == pytest.approx(z * math.sqrt(max(end * (1 - end), 0) / n), abs=1e-6)


def dirichlet_daughters(n, seed, sharpness=1.0):
    """Daughters with three candidates each, whose mothers are drawn from the very probabilities given."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.4), n) ** sharpness
    p /= p.sum(axis=1, keepdims=True)
    true = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    base = 3 * np.arange(n)
    option = np.where(true == 3, NEW, base + true)
    best = p.argmax(axis=1)
    return ParentQuestions(np.arange(n + 1) * 3, p[:, :3].ravel(), np.where(best == 3, NEW, base + best), option), p


def test_probabilities_that_are_drawn_from_are_calibrated():
    """Their accuracy lies in the intervals of its bins as often as these promise, and the ECE is that of chance."""
    inside = total = 0
    for seed in range(8):
        questions, _ = dirichlet_daughters(4000, seed)
        judged = answers(questions)
        for equal_mass in (False, True):
            curve = reliability(judged.confidence, judged.right, equal_mass=equal_mass)
            inside += np.count_nonzero((curve.low <= curve.confidence) & (curve.confidence <= curve.high))
            total += len(curve.count)
        assert reliability(judged.confidence, judged.right).error < 2 * sampling_floor(judged.confidence)
        assert link_error(questions) < 2 * sampling_floor(questions.probability)
    assert inside / total > 0.9


def test_the_floor_is_what_chance_makes_of_the_error():
    errors, floors = [], []
    for seed in range(60):
        judged = answers(dirichlet_daughters(2000, seed)[0])
        errors.append(reliability(judged.confidence, judged.right).error)
        floors.append(sampling_floor(judged.confidence))
    assert np.mean(floors) == pytest.approx(np.mean(errors), rel=0.06)


def test_overconfidence_is_seen_by_all_three():
    honest, p = dirichlet_daughters(6000, 1)
    sharp = p**3 / (p**3).sum(axis=1, keepdims=True)
    boast = ParentQuestions(honest.first, sharp[:, :3].ravel(), honest.reported, honest.true)
    told, boasted = summarise(answers(honest)), summarise(answers(boast))
    assert boasted.ece > 5 * told.ece
    assert boasted.ece_equal_mass > 5 * told.ece_equal_mass
    assert boasted.nll > told.nll
    assert boasted.brier > told.brier
    assert boasted.mean_entropy < told.mean_entropy
    assert boasted.accuracy == told.accuracy


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_taking_all_and_joining_parts_change_nothing(n, seed):
    whole, _ = dirichlet_daughters(n, seed)
    which = np.random.default_rng(seed).random(n) < 0.5
    again = ParentQuestions.concatenate([whole.take(which), whole.take(~which)])
    order = np.argsort(np.r_[np.flatnonzero(which), np.flatnonzero(~which)])
    for name in ("confidence", "right", "true_probability", "squares", "entropy"):
        ours, theirs = getattr(answers(whole), name), getattr(answers(again), name)[order]
        assert np.allclose(ours, theirs)


# -- questions from links ---------------------------------------------------------------------------------------------

# Rows of detections; 0 1 2 in one frame, 3 4 5 6 in the next. Candidates 0-3 1-3 1-4 2-5; 6 has none.
SOURCE, TARGET = np.array([0, 1, 1, 2]), np.array([3, 3, 4, 5])
SAID = np.array([NEW, NEW, NEW, 0, NEW, 2, NEW])
TRUE = np.array([NEW, NEW, NEW, 1, 2, NEW, 0])


def ask(**change):
    given_ = {
        "source": SOURCE,
        "target": TARGET,
        "probability": np.array([0.7, 0.2, 0.4, 0.9]),
        "reported": SAID,
        "true": TRUE,
        "known": np.ones(7, bool),
    } | change
    return ask_parents(**given_)


def test_a_question_for_each_daughter_with_candidates():
    found = ask()
    assert found.daughter.tolist() == [3, 4, 5]
    assert found.questions.first.tolist() == [0, 2, 3, 4]
    assert found.questions.reported.tolist() == [0, NEW, 3]
    assert found.questions.true.tolist() == [1, ELSEWHERE, NEW]
    assert (found.with_mother, found.within_candidates) == (3, 1)
    assert found.candidate_recall == pytest.approx(1 / 3)


def test_cells_that_the_truth_does_not_know_do_not_count():
    known = np.ones(7, bool)
    known[[4, 6]] = False
    found = ask(known=known)
    assert found.daughter.tolist() == [3, 5]
    assert (found.unknown, found.with_mother) == (1, 1)


def test_daughters_that_people_pinned_are_left_out_and_counted():
    pinned = np.zeros(7, bool)
    pinned[3] = True
    found = ask(annotated=pinned)
    assert found.daughter.tolist() == [4, 5]
    assert found.annotated == 1


def test_a_true_mother_that_is_no_detection_is_elsewhere():
    true = TRUE.copy()
    true[3] = ELSEWHERE
    assert ask(true=true).questions.true.tolist()[0] == ELSEWHERE


def test_nobody_known_leaves_no_question():
    found = ask(known=np.zeros(7, bool))
    assert len(found.questions) == 0
    assert np.isnan(found.candidate_recall)


@given(st.permutations(range(4)))
def test_the_order_of_candidates_does_not_matter(order):
    order = np.array(order)
    found = ask(source=SOURCE[order], target=TARGET[order], probability=np.array([0.7, 0.2, 0.4, 0.9])[order])
    assert found.questions.probability.tolist() == [0.7, 0.2, 0.4, 0.9]
    assert order[found.option].tolist() == [0, 1, 2, 3]
    assert found.questions.true.tolist() == [1, ELSEWHERE, NEW]


def test_a_candidate_beyond_the_detections_is_refused():
    with pytest.raises(SchemaError, match="ends at row 9"):
        ask(target=np.array([3, 3, 4, 9]))
