"""Links and divisions compared: drawn pairs of trackings, laws, and the definitions said again with sets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.metrics.edges import Counts, compare_divisions, compare_links
from trackdb.errors import SchemaError


def links(*pairs):
    """Return sources and targets of links given as pairs of rows."""
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


def counts(truth, ours, compare=compare_links, **options):
    c = compare(*links(*truth), *links(*ours), **options)
    return c.tp, c.fp, c.fn


TRUTH = [(0, 1), (1, 2), (2, 4), (2, 5), (4, 6), (5, 7)]
r"""Cell 2 divides; frames left to right::

    0 -- 1 -- 2 -- 4 -- 6
    3          `-- 5 -- 7
"""


def test_links_are_found_missed_or_made_up():
    assert counts(TRUTH, [(0, 1), (1, 2), (2, 4), (4, 7), (3, 5)]) == (3, 2, 3)


def test_a_link_over_a_gap_is_not_the_two_links_through_the_cell_between():
    assert counts([(0, 1), (1, 2)], [(0, 2)]) == (0, 1, 2)


def test_a_sparse_truth_denies_only_links_that_touch_its_cells():
    annotated = np.array([True] * 8 + [False] * 3)
    ours = [(0, 1), (8, 9), (9, 10), (9, 3), (7, 10)]  # two links outside, one in, one out
    assert counts(TRUTH, ours) == (1, 4, 5)
    assert counts(TRUTH, ours, annotated=annotated) == (1, 2, 5)
    annotated[7] = False  # a track that the annotator broke off
    assert counts(TRUTH, ours, annotated=annotated) == (1, 1, 5)


def test_shares_are_told_with_nan_where_there_is_nothing_to_share():
    some, nothing, silent, false = Counts(3, 1, 2), Counts(0, 0, 0), Counts(0, 0, 4), Counts(0, 2, 0)
    assert (some.precision, some.recall, some.f1) == (3 / 4, 3 / 5, pytest.approx(2 / (4 / 3 + 5 / 3)))
    assert nothing.f1 == 1.0
    assert math.isnan(nothing.precision)
    assert math.isnan(nothing.recall)
    assert (silent.recall, silent.f1, math.isnan(silent.precision)) == (0.0, 0.0, True)
    assert (false.precision, false.f1, math.isnan(false.recall)) == (0.0, 0.0, True)


@pytest.mark.parametrize("compare", [compare_links, compare_divisions])
def test_nothing_against_nothing_is_nothing(compare):
    assert counts([], [], compare) == (0, 0, 0)


def test_a_division_into_three_is_found_by_the_same_three_alone():
    three = [(0, 2), (0, 3), (0, 4)]
    assert counts(three, three, compare_divisions) == (1, 0, 0)
    assert counts(three, three[:2], compare_divisions) == (0, 1, 1)
    assert counts(three, [(0, 2), (0, 3), (0, 5)], compare_divisions) == (0, 1, 1)
    assert counts([*three, (1, 6), (1, 7)], [(1, 6), (1, 7)], compare_divisions) == (1, 0, 1)


def test_a_division_needs_its_mother_and_both_daughters():
    assert counts(TRUTH, TRUTH, compare_divisions) == (1, 0, 0)
    assert counts(TRUTH, [(2, 4), (2, 3)], compare_divisions) == (0, 1, 1)
    assert counts(TRUTH, [(2, 4)], compare_divisions) == (0, 0, 1)
    assert counts([], [(2, 4), (2, 3)], compare_divisions) == (0, 1, 0)


LATE = [(0, 1), (1, 2), (2, 4), (4, 6), (4, 7)]  # 4 takes both daughters one frame late
EARLY = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)]  # 1 divides into 2 and 3


@pytest.mark.parametrize("ours", [LATE, EARLY])
def test_a_division_one_frame_off_is_found_within_a_tolerance_of_one(ours):
    assert counts(TRUTH, ours, compare_divisions) == (0, 1, 1)
    assert counts(TRUTH, ours, compare_divisions, tolerance_frames=1) == (1, 0, 0)
    assert counts(ours, TRUTH, compare_divisions, tolerance_frames=1) == (1, 0, 0)  # and the other way round


def test_a_division_two_frames_off_needs_a_tolerance_of_two():
    truth = [*TRUTH, (6, 8), (7, 9)]
    ours = [*LATE[:-2], (4, 6), (6, 8), (6, 9)]
    assert counts(truth, ours, compare_divisions, tolerance_frames=1) == (0, 1, 1)
    assert counts(truth, ours, compare_divisions, tolerance_frames=2) == (1, 0, 0)


def test_a_late_division_into_other_cells_is_wrong():
    assert counts(TRUTH, [*LATE[:-1], (4, 3)], compare_divisions, tolerance_frames=1) == (0, 1, 1)


ONCE = [(0, 1), (1, 4), (1, 5), (4, 7), (5, 8)], [(0, 2), (0, 3), (2, 4), (3, 5), (1, 6), (6, 7), (6, 8)]
r"""One division in the first, two in the second: early by one in the upper half, late by one in the lower::

              4 -- 7              2 -- 4
    0 -- 1 <                 0 <
              5 -- 8              3 -- 5      1 -- 6 < 7, 8
"""


def test_each_division_is_used_once():
    first, second = ONCE
    assert counts(first, second, compare_divisions, tolerance_frames=1) == (1, 1, 0)
    assert counts(second, first, compare_divisions, tolerance_frames=1) == (1, 0, 1)
    assert counts(first, second, compare_divisions) == (0, 2, 1)


def test_a_sparse_truth_denies_only_divisions_that_touch_its_cells():
    annotated = np.array([True] * 8 + [False] * 3)
    ours = [*TRUTH, (8, 9), (8, 10)]
    assert counts(TRUTH, ours, compare_divisions, annotated=annotated) == (1, 0, 0)
    annotated[9] = True
    assert counts(TRUTH, ours, compare_divisions, annotated=annotated) == (1, 1, 0)


@st.composite
def trackings(draw):
    """Draw two forests over the same 16 cells in 5 frames, the second with some links of the first."""
    frame = np.sort(np.array([i % 5 for i in range(16)]))
    found = []
    for _ in range(2):
        daughters, pairs = [0] * 16, []
        for row in range(16):
            mothers = [r for r in range(row) if frame[r] + 1 == frame[row] and daughters[r] < 2]
            old = [a for pairs_ in found for a, b in pairs_ if b == row and a in mothers]
            mother = draw(st.sampled_from([None, *mothers, *old * 6]))
            if mother is not None:
                pairs.append((mother, row))
                daughters[mother] += 1
        found.append(pairs)
    return found


def divisions_by_hand(pairs):
    sons = {}
    for a, b in pairs:
        sons.setdefault(a, set()).add(b)
    return {(a, frozenset(b)) for a, b in sons.items() if len(b) == 2}, {
        a: min(b) for a, b in sons.items() if len(b) == 1
    }


@settings(max_examples=300, deadline=None)
@given(trackings())
def test_divisions_are_those_of_the_definition(drawn):
    (truth, after_truth), (ours, after_ours) = map(divisions_by_hand, drawn)
    exact = truth & ours
    assert counts(*drawn, compare_divisions) == (len(exact), len(ours - exact), len(truth - exact))
    truth, ours, tp = truth - exact, ours - exact, len(exact)
    late = {d: (after_ours.get(d[0]), frozenset(after_truth.get(x) for x in d[1])) for d in truth}
    early = {d: (after_truth.get(d[0]), frozenset(after_ours.get(x) for x in d[1])) for d in ours}
    for d, moved in late.items():
        if moved in ours:
            truth, ours, tp = truth - {d}, ours - {moved}, tp + 1
    for d, moved in early.items():
        if d in ours and moved in truth:
            truth, ours, tp = truth - {moved}, ours - {d}, tp + 1
    assert counts(*drawn, compare_divisions, tolerance_frames=1) == (tp, len(ours), len(truth))


@settings(max_examples=100, deadline=None)
@given(trackings(), st.randoms(use_true_random=False))
def test_links_are_compared_as_sets_and_swapping_swaps_the_errors(drawn, random):
    truth, ours = map(set, drawn)
    tp, fp, fn = counts(*drawn)
    assert (tp, fp, fn) == (len(truth & ours), len(ours - truth), len(truth - ours))
    random.shuffle(drawn[1])
    assert counts(*drawn) == (tp, fp, fn)
    assert counts(drawn[1], drawn[0]) == (tp, fn, fp)
    everything = np.ones(16, dtype=bool)
    assert counts(*drawn, annotated=everything) == (tp, fp, fn)
    assert counts(*drawn, annotated=~everything) == (tp, 0, fn)


@pytest.mark.parametrize(
    ("truth", "ours", "message"),
    [
        ([(0, 2), (1, 2)], [], "the cell of row 2 has 2 mothers; expected: at most 1"),
    ],
)
def test_what_is_no_forest_has_no_divisions_to_compare(truth, ours, message):
    with pytest.raises(SchemaError, match=message):
        counts(truth, ours, compare_divisions)


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(SchemaError, match="differ in length"):
        compare_links(np.array([0]), np.array([1, 2]), np.array([0]), np.array([1]))
    with pytest.raises(SchemaError, match="links speak of row 2, but `annotated` has 2 rows"):
        counts([(0, 1)], [(0, 2)], annotated=np.ones(2, dtype=bool))
