"""Marginals and outcomes: what they promise is checked when they are made."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.errors import SchemaError
from trackdb.solvers.posterior.marginals import Marginals
from trackdb.solvers.posterior.outcomes import HowWeighed, Outcomes


def outcomes_of(*cells):
    """Return the outcomes of cells, each a list of (a, b, probability)."""
    flat = [outcome for cell in cells for outcome in cell]
    first = np.cumsum([0, *(len(cell) for cell in cells)]).astype(np.int64)
    a, b, p = (np.array([outcome[k] for outcome in flat]) for k in range(3))
    return Outcomes(first, a.astype(np.int64), b.astype(np.int64), p.astype(np.float64))


def marginals_of(link, outcomes):
    n, m = len(outcomes), len(link)
    return Marginals(
        link=np.array(link),
        new=np.zeros(n),
        present=np.ones(n),
        outcomes=outcomes,
        how=np.full(m, HowWeighed.EXACT, dtype=np.uint8),
        error=np.full(m, np.nan),
        dropped=np.zeros(m),
        how_cell=np.full(n, HowWeighed.EXACT, dtype=np.uint8),
        error_cell=np.full(n, np.nan),
        piece=np.full(n, -1),
        log_z=0.0,
    )


def test_outcomes_of_a_cell_sum_to_one_and_fall():
    kept = outcomes_of([(0, 1, 0.7), (0, -1, 0.3)], [(-1, -1, 1.0)])
    assert len(kept) == 2
    with pytest.raises(SchemaError, match=r"cell 1 sum to 0\.9"):
        outcomes_of([(-1, -1, 1.0)], [(0, -1, 0.6), (-1, -1, 0.3)])
    with pytest.raises(SchemaError, match="falling order"):
        outcomes_of([(-1, -1, 0.3), (0, -1, 0.7)])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[(-1, 0, 1.0)]], "as a, not as b"),
        ([[], [(-1, -1, 1.0)]], "by one at least"),
    ],
    ids=["one daughter named second", "a cell that does nothing at all"],
)
def test_outcomes_that_make_no_sense_are_refused(cells, message):
    with pytest.raises(SchemaError, match=message):
        outcomes_of(*cells)


def test_the_falling_order_holds_within_a_cell_only():
    assert len(outcomes_of([(0, -1, 0.9), (-1, -1, 0.1)], [(-1, -1, 1.0)], [(1, -1, 0.5), (-1, -1, 0.5)])) == 3


def test_marginals_fit_together():
    outcomes = outcomes_of([(0, -1, 1.0)])
    found = marginals_of([1.0], outcomes)
    assert found.converged
    with pytest.raises(SchemaError, match=r"new must be \(1,\) float64"):
        replace(found, new=np.zeros(1, dtype=np.float32))
    with pytest.raises(SchemaError, match="link 0 has the probability nan"):
        replace(found, link=np.array([np.nan]))
    with pytest.raises(SchemaError, match=r"present 0 has the probability 1\.5"):
        replace(found, present=np.array([1.5]))
    with pytest.raises(SchemaError, match="beyond row -1"):
        replace(found, link=np.empty(0), how=np.empty(0, np.uint8), error=np.empty(0), dropped=np.empty(0))


def test_ways_of_knowing_have_the_names_and_numbers_of_the_store():
    assert [how.name.lower() for how in HowWeighed] == ["exact", "pruned", "belief", "sampled"]
    assert list(HowWeighed) == [0, 1, 2, 3]
