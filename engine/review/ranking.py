"""Which questions are worth most, at most one of each piece.

By expected error reduction a question is worth the wrong links that its answer takes away, others of its piece among
them. Pieces are looked at in the order of the errors that are expected in them, which an answer hardly exceeds; as soon
as the list is full of questions that are worth more than the next piece holds, it is final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Reductions = Callable[[Ints], Floats]

PER_PIECE: Final = 3  # questions of a piece that are computed again, those of most entropy
AT_ONCE: Final = 4  # times as many questions as are wanted are sorted first
ROUNDS: Final = 5  # of looking at twice as many pieces as questions are wanted
LEAST: Final = 1e-3  # a question that is worth less is none
EQUAL: Final = 1e-9  # answers of a piece that are worth the same but for rounding


def best_of_pieces(
    piece: NDArray[np.int64], worth: NDArray[np.float64], top: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of the questions that are worth most, one of each piece, and what they are worth.

    Parameters
    ----------
    piece : (c,) int64
        Piece of each of c questions.
    worth : (c,) float64
        What each is worth; those of `LEAST` or less are none. Of equals the cell of the lower number comes first.
    top : int
        Most of them.
    """
    every = np.flatnonzero(worth > LEAST)
    value, looked = worth[every], AT_ONCE * top
    while True:  # few of many are wanted: the best are sorted alone
        last = len(every) - looked
        rows = every if last <= 0 else every[value >= np.partition(value, last)[last]]
        rows = rows[np.argsort(-worth[rows], kind="stable")]
        rows = rows[np.sort(np.unique(piece[rows], return_index=True)[1])][:top]
        if last <= 0 or len(rows) == top:
            return rows, worth[rows]
        looked *= AT_ONCE


def most_reducing(
    piece: NDArray[np.int64],
    errors: NDArray[np.float64],
    entropy: NDArray[np.float64],
    doubted: NDArray[np.bool_],
    top: int,
    reductions: Reductions,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of the questions whose answers take most errors away, one of each piece, and how many.

    Parameters
    ----------
    piece : (c,) int64
        Piece of each of c questions.
    errors : (p,) float64
        Errors that are expected in each piece.
    entropy : (c,) float64
        Entropy of each question.
    doubted : (c,) bool
        Those that may be asked.
    top : int
        Most of them.
    reductions : callable
        Returns of rows of questions how many errors the answer of each takes away.
    """
    rows = np.flatnonzero(doubted)
    worst = _worst(piece[rows], errors, 2 * top * ROUNDS)
    place = np.full(len(errors), -1)
    place[worst] = np.arange(len(worst))
    block = _of_most_entropy(place[piece[rows]], entropy[rows], len(worst), PER_PIECE)
    best, worth = rows[:0], np.empty(0)
    for start in range(0, len(worst), 2 * top):
        if len(best) == top and errors[worst[start]] <= worth[-1]:
            break
        asked = block[start : start + 2 * top]
        there = asked >= 0
        value = np.full(asked.shape, -1.0)
        value[there] = reductions(rows[asked[there]])
        most = value.max(axis=1)
        found = np.where(value >= most[:, None] - EQUAL, rows[asked], len(piece)).min(axis=1)
        best, worth = np.append(best, found[most > LEAST]), np.append(worth, most[most > LEAST])
        order = np.lexsort((best, -worth))[:top]
        best, worth = best[order], worth[order]
    return best, worth


def _worst(piece: Ints, errors: Floats, most: int) -> Ints:
    """Return the pieces in which most errors are expected, the worst first, among those named."""
    there = np.zeros(len(errors), dtype=bool)
    there[piece] = True
    names = np.flatnonzero(there)
    if len(names) > most:
        least = np.partition(errors[names], len(names) - most)[len(names) - most]
        names = names[errors[names] >= least]
    return names[np.argsort(-errors[names], kind="stable")][:most]


@njit(cache=True, nogil=True)
def _of_most_entropy(place: Ints, entropy: Floats, n: int, most: int) -> Ints:
    """Return the rows of the questions of most entropy of each of n pieces, (n, most), -1 where it has fewer."""
    best = np.full((n, most), -1)
    for row in range(len(place)):
        p = place[row]
        if p < 0:
            continue
        carried = row
        for k in range(most):
            other = best[p, k]
            if other < 0 or (entropy[other], -other) < (entropy[carried], -carried):  # of equals the first
                best[p, k] = carried
                carried = other
                if other < 0:
                    break
    return best
