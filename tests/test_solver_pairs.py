"""Pairs chosen one to one: drawn, and scipy's assignment as oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from trackdb.solvers.pairs import cheapest_pairs


def pairs_of(*entries):
    """Return the pairs chosen from entries (left, right, cost)."""
    left, right, cost = (np.array(c) for c in zip(*entries, strict=True)) if entries else (np.empty(0, int),) * 3
    return list(zip(*(side.tolist() for side in cheapest_pairs(left, right, cost.astype(float))), strict=True))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], []),
        ([(0, 0, 0.0)], [(0, 0)]),
        ([(0, 0, 3.0), (0, 1, 1.0), (1, 1, 2.0)], [(0, 0), (1, 1)]),  # two pairs, though one would be cheaper
        ([(0, 0, 1.0), (1, 0, 0.5)], [(1, 0)]),
        ([(0, 0, 1.0), (0, 1, 2.0), (1, 0, 1.5), (1, 1, 4.0)], [(0, 1), (1, 0)]),  # 3.5 and not 5
        ([(7, 2, 1.0)], [(7, 2)]),  # most of both sides have nobody near
        ([(k, 0, 1.0 + k) for k in range(9)], [(0, 0)]),
    ],
)
def test_as_many_pairs_as_can_be_then_the_cheapest(entries, expected):
    assert pairs_of(*entries) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 7), st.integers(0, 7)), st.integers(0, 6).map(lambda c: c / 4), max_size=30
    )
)
def test_number_and_cost_are_those_of_scipy(drawn):
    far = 1e6
    table = np.full((8, 8), far)
    for (a, b), cost in drawn.items():
        table[a, b] = cost
    rows, columns = linear_sum_assignment(table)
    best = table[rows, columns][table[rows, columns] < far]
    chosen = pairs_of(*((a, b, cost) for (a, b), cost in drawn.items()))
    assert len(chosen) == len(best)
    assert sum(drawn[pair] for pair in chosen) == pytest.approx(best.sum())
    for side in zip(*chosen, strict=True):
        assert len(set(side)) == len(side)


def test_a_chain_of_many_cells_shifts_as_a_whole():
    """Everyone is near two others, and only the shift by one gives everyone a partner."""
    n = 5_000
    left = np.repeat(np.arange(n), 2)
    right = left + np.tile([0, 1], n)
    keep = right > 0
    a, b = cheapest_pairs(left[keep], right[keep], np.tile([0.1, 1.0], n)[keep])
    assert len(a) == n
    assert np.array_equal(b, a + 1)
