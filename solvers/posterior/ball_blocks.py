"""Blocks of mothers that are redrawn at once: balls around random mothers, narrow enough to be swept exactly.

Blocks that share no daughter, and none of whose cells is a daughter of another, know nothing of each other while all
else stays as it is. They form a group, whose blocks are weighed and drawn together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit
from scipy import sparse

from .components import OPTIONAL, Pieces
from .frontier import rows_of_pieces
from .graph import spans
from .order import ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import ChoiceGraph

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

BLOCK: Final = 40
"""Mothers in a block."""

BLOCK_WIDTH: Final = 12
"""Most daughters that may be open at once in a block; those that need more are halved."""

PARTITIONS: Final = 8


class Group(NamedTuple):
    """Blocks that know nothing of each other: those of block k are ``mother[first[k] : first[k + 1]]``.

    They stand in the order of a sweep; `most` daughters are open at once in the widest.
    """

    first: NDArray[np.int64]
    mother: NDArray[np.int64]
    most: int


def partitions(graph: ChoiceGraph, mothers: Ints, rng: np.random.Generator) -> list[list[Group]]:
    """Cut mothers, who with their daughters are whole pieces, into blocks in several ways; each way by groups."""
    return [_partition(graph, rng.permutation(mothers)) for _ in range(PARTITIONS)]


def _partition(graph: ChoiceGraph, seeds: Ints) -> list[Group]:
    optional = graph.state == OPTIONAL
    blocks = Pieces(
        *_balls(graph.first, graph.target, graph.into_first, graph.source[graph.into], optional, seeds, BLOCK)
    )
    done: list[tuple[Pieces, Ints]] = []
    while len(blocks.mother):
        sweep = ordered(graph, blocks, *_shared(graph, blocks), BLOCK_WIDTH)
        narrow = sweep.width <= BLOCK_WIDTH
        some = np.flatnonzero(narrow)
        done.append((Pieces(*rows_of_pieces(blocks.first, sweep.mother, some)), sweep.width[some]))
        blocks = _halved(Pieces(*rows_of_pieces(blocks.first, blocks.mother, np.flatnonzero(~narrow))))
    size = np.concatenate([np.diff(part.first) for part, _ in done])
    whole = Pieces(np.concatenate([[0], np.cumsum(size)]), np.concatenate([part.mother for part, _ in done]))
    width = np.concatenate([wide for _, wide in done])
    colour = _colours(graph, whole)
    groups = [np.flatnonzero(colour == c) for c in range(int(colour.max()) + 1)]
    return [Group(*rows_of_pieces(whole.first, whole.mother, some), int(width[some].max())) for some in groups]


def _shared(graph: ChoiceGraph, blocks: Pieces) -> tuple[Ints, Ints, Bools]:
    """Return the links to daughters who must be remembered in a block, whose they are, and which mothers are tied."""
    link, step = spans(graph.first, blocks.mother)
    block = np.repeat(np.arange(len(blocks.first) - 1), np.diff(blocks.first))
    key = block[step] * graph.n_cells + graph.target[link]
    found, place, count = np.unique(key, return_inverse=True, return_counts=True)
    own = block * graph.n_cells + blocks.mother
    tied = (graph.state[blocks.mother] == OPTIONAL) & np.isin(own, found)
    shared = ((count > 1) | np.isin(found, own[tied]))[place]
    return link[shared], step[shared], tied


def _halved(blocks: Pieces) -> Pieces:
    """Cut each block in two."""
    middle = blocks.first[:-1] + np.diff(blocks.first) // 2
    return Pieces(np.unique(np.concatenate([blocks.first, middle])), blocks.mother)


def _colours(graph: ChoiceGraph, blocks: Pieces) -> Ints:
    """Give each block the first colour that no block has of which it knows."""
    n = len(blocks.first) - 1
    block = np.repeat(np.arange(n), np.diff(blocks.first))
    link, step = spans(graph.first, blocks.mother)
    optional = graph.state[blocks.mother] == OPTIONAL
    row = np.concatenate([block[step], block[optional]])
    cell = np.concatenate([graph.target[link], blocks.mother[optional]])
    touches = sparse.csr_array((np.ones(len(row), np.int32), (row, cell)), shape=(n, graph.n_cells))
    knows = (touches @ touches.T).tocsr()
    colour = np.full(n, -1, dtype=np.int64)
    for b in range(n):
        others = colour[knows.indices[knows.indptr[b] : knows.indptr[b + 1]]]
        used = np.zeros(len(others) + 1, dtype=bool)
        used[others[(others >= 0) & (others < len(used))]] = True
        colour[b] = int(np.argmin(used))
    return colour


@njit(cache=True, nogil=True)
def _balls(
    first: Ints, target: Ints, into_first: Ints, parent: Ints, optional: Bools, seeds: Ints, size: int
) -> tuple[Ints, Ints]:
    """Grow a ball around each seed that is still free, by common daughters or as mother and daughter."""
    free = np.zeros(len(optional), np.bool_)
    for u in seeds:
        free[u] = True
    starts = np.zeros(len(seeds) + 1, np.int64)
    ball = np.empty(len(seeds), np.int64)
    n_balls, end = 0, 0
    for seed in seeds:
        if not free[seed]:
            continue
        free[seed] = False
        ball[end] = seed
        at = end
        last = end + size
        end += 1
        while at < end and end < last:
            for e in range(first[ball[at]], first[ball[at] + 1]):
                v = target[e]
                for k in range(into_first[v], into_first[v + 1] + 1):
                    u = v if k == into_first[v + 1] else parent[k]
                    if free[u] and end < last and (u != v or optional[v]):
                        free[u] = False
                        ball[end] = u
                        end += 1
            at += 1
        n_balls += 1
        starts[n_balls] = end
    return starts[: n_balls + 1].copy(), ball
