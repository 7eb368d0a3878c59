"""Where the linear programme of a packing starts: at the prices that stand.

Prices that leave no option a reduced cost below 0 are a dual solution, and the options that cost nothing above them
(the *tight* ones) hold a basis of it. From there the dual simplex method has to mend only what surrounds the places
where prices and selection disagree; from nothing it would have to find the whole matching again.

Links, loops and their ports are a graph: a row and a column are tied by each link. A basis is a forest of it in which
each tree has one more member, its *root*: the slack of a port whose price is 0, an option with one port, or a pair.
A pair roots a tree unless it touches both sides of it equally, for then it is a sum of the tree's links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


def standing_basis(
    ports: sparse.csc_matrix, tight: NDArray[np.int64], is_row: NDArray[np.bool_], free: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose a basis of tight options.

    Parameters
    ----------
    ports : (p, k) sparse
        The ports that each of k options takes: one, two or three.
    tight : int64
        Options that cost nothing above the prices; earlier ones are preferred.
    is_row : (p,) bool
        Which ports are rows, the others being columns.
    free : (p,) bool
        Ports whose price is 0.

    Returns
    -------
    option : (k,) bool
        The options that are basic.
    slack : (p,) bool
        The ports whose slack is basic; with the options they are as many as there are ports. Pairs that root each
        other's trees may be dependent, which the simplex method finds and mends.
    """
    size = np.diff(ports.indptr)[tight]
    tight = tight[np.argsort(size == 3, kind="stable")]  # links first: pairs root the trees that these make
    option = np.zeros(ports.shape[1], dtype=bool)
    slack = np.zeros(ports.shape[0], dtype=bool)
    _choose(ports.indptr, ports.indices, tight, is_row, free, option, slack)
    return option, slack


@njit(cache=True, nogil=True)
def _choose(
    indptr: NDArray[np.int32],
    port: NDArray[np.int32],
    tight: Ints,
    is_row: Bools,
    free: Bools,
    option: Bools,
    slack: Bools,
) -> None:
    tree = np.arange(len(slack))
    rooted = np.zeros(len(slack), np.bool_)
    for o in tight:
        begin, end = indptr[o], indptr[o + 1]
        if end - begin == 2:
            a, b = _tree_of(tree, port[begin]), _tree_of(tree, port[begin + 1])
            if a != b and not (rooted[a] and rooted[b]):
                tree[a] = b
                rooted[b] = rooted[a] or rooted[b]
                option[o] = True
            continue
        for x in range(begin, end):
            a = _tree_of(tree, port[x])
            balance = 0
            for y in range(begin, end):
                if _tree_of(tree, port[y]) == a:
                    balance += 1 if is_row[port[y]] else -1
            if balance != 0 and not rooted[a]:
                rooted[a] = True
                option[o] = True
                break
    for only_free in (True, False):
        for p in range(len(slack)):
            a = _tree_of(tree, p)
            if not rooted[a] and (free[p] or not only_free):
                rooted[a] = True
                slack[p] = True


@njit(cache=True, nogil=True)
def _tree_of(tree: Ints, port: int) -> int:
    while tree[port] != port:
        tree[port] = tree[tree[port]]
        port = tree[port]
    return port
