"""Target effectiveness: drawn lives, and the definition said again with sets."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.metrics.targets import NO_TRACKLET, target_effectiveness


def effectiveness(*targets):
    """Return it for targets told by the tracklet that is at each of their cells."""
    target = np.repeat(np.arange(len(targets)), [len(t) for t in targets])
    return target_effectiveness(target, np.array([k for t in targets for k in t], dtype=np.int64))


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([[1, 1, 1, 1]], 1.0),
        ([[1, 1, 2, 2]], 0.5),  # a switch half-way
        ([[1, 1, 2, 2], [2, 2, 1, 1]], 0.5),  # two cells that change places
        ([[1, 1, NO_TRACKLET, 1]], 0.75),  # a cell nobody detected
        ([[1, 2, 3], [4, 4, 4]], 4 / 6),
        ([[7, 7], [7]], 1.0),  # a division that was missed: one tracklet follows both targets
        ([[NO_TRACKLET, NO_TRACKLET]], 0.0),
    ],
)
def test_each_target_has_the_tracklet_with_most_of_its_cells(targets, expected):
    assert effectiveness(*targets) == pytest.approx(expected)


def test_without_targets_there_is_no_effectiveness():
    assert math.isnan(effectiveness())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([NO_TRACKLET, 0, 1, 2, 2**40])), min_size=1))
def test_it_is_what_the_definition_says_in_any_order(cells):
    by_target = {}
    for target, tracklet in cells:
        by_target.setdefault(target, []).append(tracklet)
    best = [max(Counter(t for t in seen if t != NO_TRACKLET).values(), default=0) for seen in by_target.values()]
    target, tracklet = np.array(cells, dtype=np.int64).T
    assert target_effectiveness(target, tracklet) == pytest.approx(sum(best) / len(cells))
