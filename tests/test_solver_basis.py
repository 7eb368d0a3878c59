"""Bases that linear programmes start from: of full rank, of tight options, rooted where a price is 0."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from trackdb.solvers.basis import standing_basis

N = 5  # rows, and as many columns


def ports_of(options):
    """Return the matrix of options given by the ports that each takes."""
    port = [p for taken in options for p in taken]
    by = [k for k, taken in enumerate(options) for _ in taken]
    return sparse.csc_matrix((np.ones(len(port)), (port, by)), shape=(2 * N, len(options)))


def basis_of(options, tight, free):
    is_row = np.arange(2 * N) < N
    return standing_basis(ports_of(options), np.array(tight, dtype=np.int64), is_row, np.isin(np.arange(2 * N), free))


rows, columns = st.integers(0, N - 1), st.integers(N, 2 * N - 1)
links = st.tuples(rows, columns)
ways_out = st.tuples(st.integers(0, 2 * N - 1))
daughters = st.tuples(rows, st.sampled_from([(v, w) for v in range(N, 2 * N) for w in range(v + 1, 2 * N)]))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(links, ways_out), min_size=1, max_size=20), st.sets(st.integers(0, 2 * N - 1)))
def test_a_basis_of_links_has_full_rank(options, free):
    option, slack = basis_of(options, range(len(options)), sorted(free))
    square = np.hstack([ports_of(options).toarray()[:, option], np.eye(2 * N)[:, slack]])
    assert square.shape == (2 * N, 2 * N)
    assert np.linalg.matrix_rank(square) == 2 * N


@settings(deadline=None, max_examples=300)
@given(st.lists(links, max_size=12), st.lists(daughters, min_size=1, max_size=6))
def test_with_pairs_there_are_as_many_as_ports(singles, pairs):
    options = [*singles, *((u, *both) for u, both in pairs)]
    option, slack = basis_of(options, range(len(options)), [])
    assert option.sum() + slack.sum() == 2 * N


def test_only_tight_options_are_in_it_and_earlier_ones_first():
    r"""Two rows and two columns, tied in a ring; one link has to give way, and one more is not tight."""
    ring = [(0, N), (0, N + 1), (1, N), (1, N + 1), (2, N + 2)]
    option, slack = basis_of(ring, [3, 1, 0, 2], [0])
    assert option.tolist() == [True, True, False, True, False]
    assert slack[0], "the tree is rooted where the price is 0"
    assert slack[[1, N, N + 1]].sum() == 0


def test_a_pair_roots_a_tree_unless_it_is_the_sum_of_its_links():
    link, pair = (0, N), (0, N, N + 1)
    option, slack = basis_of([link, pair], [0, 1], [])
    assert option.tolist() == [True, True]  # it roots the column that is left
    assert not slack[N + 1]
    assert slack[[0, N]].sum() == 1
