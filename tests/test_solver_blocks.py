"""Blocks of frames that are matched apart: the same optimum, with the same proof, as in one piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import SchemaError
from trackdb.solvers.blocks import match_in_blocks, split_at_seams
from trackdb.solvers.matching import build_entries, match, row_prices
from trackdb.solvers.problem import GridProblem
from trackdb.testing.problems import crowded_movie

from .strategies import tracking_problems


def value_and_bound(entries, matching):
    """Return what a matching costs, and what its prices prove."""
    taken = matching.column_entry[matching.column_entry >= 0]
    bound = entries.base + row_prices(entries, matching.price).sum() + matching.price.sum()
    return entries.base + entries.weight[taken].sum(), bound


def require_matching(entries, matching):
    """Rows and columns agree on what each has."""
    columns = np.flatnonzero(matching.column_entry >= 0)
    assert (entries.column[matching.column_entry[columns]] == columns).all()
    row = np.searchsorted(entries.indptr, matching.column_entry[columns], side="right") - 1
    assert (matching.row_column[row] == columns).all()
    assert np.count_nonzero(matching.row_column >= 0) == len(columns)


@settings(deadline=None)  # kernels are compiled once
@given(tracking_problems(), st.integers(1, 5), st.integers(1, 3))
def test_blocks_of_any_size_find_the_same_value_and_prove_it(problem, frames_per_block, threads):
    entries = build_entries(GridProblem.of(problem))
    found = match_in_blocks(entries, problem.frame, frames_per_block=frames_per_block, threads=threads)
    require_matching(entries, found)
    value, bound = value_and_bound(entries, found)
    assert value == bound == value_and_bound(entries, match(entries))[0]


@pytest.mark.parametrize("frames_per_block", [1, 2, 7, 25, 100])
def test_a_crowded_movie_in_blocks_costs_what_it_costs_in_one_piece(frames_per_block):
    problem = crowded_movie(3, n_frames=40, per_frame=60)
    entries = build_entries(GridProblem.of(problem))
    found = match_in_blocks(entries, problem.frame, frames_per_block=frames_per_block, threads=2)
    require_matching(entries, found)
    assert value_and_bound(entries, found) == value_and_bound(entries, match(entries))
    again = match_in_blocks(entries, problem.frame, frames_per_block=frames_per_block, threads=1)
    assert np.array_equal(again.column_entry, found.column_entry)
    assert np.array_equal(again.price, found.price)


def test_blocks_share_no_column_and_the_seam_holds_the_rest():
    problem = crowded_movie(1, n_frames=12, per_frame=20)
    entries = build_entries(GridProblem.of(problem))
    block = problem.frame // 4
    inner, seam = split_at_seams(entries, block)
    assert sorted(np.concatenate([*inner, seam])) == np.flatnonzero(np.diff(entries.indptr)).tolist()
    for rows in inner:
        columns = np.concatenate([entries.column[entries.indptr[i] : entries.indptr[i + 1]] for i in rows])
        assert len(set(block[columns]) | set(block[rows // 2])) == 1
    assert len(inner) == 3
    assert set(problem.frame[seam // 2]) == {3, 7}


def test_a_block_needs_a_frame_and_every_node_one():
    problem = crowded_movie(0, n_frames=3, per_frame=4)
    entries = build_entries(GridProblem.of(problem))
    with pytest.raises(SchemaError, match="at least one frame, got 0"):
        match_in_blocks(entries, problem.frame, frames_per_block=0)
    with pytest.raises(SchemaError, match="every node needs a frame"):
        match_in_blocks(entries, problem.frame[1:], frames_per_block=2)
