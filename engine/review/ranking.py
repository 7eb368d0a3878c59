"""Which questions are worth most, at most one of each piece.

By expected error reduction a question is worth the wrong links that its answer takes away, others of its piece among
them. Pieces are looked at in the order of the errors that are expected in them, which no answer can exceed; as soon as
the list is full of questions that are worth more than the next piece holds, it is final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .questions import CellQuestions

    Reductions = Callable[[NDArray[np.int64]], NDArray[np.float64]]

PER_PIECE: Final = 3  # questions of a piece that are computed again, those of most entropy
AT_ONCE: Final = 4  # times as many questions as are wanted are sorted first
ROUNDS: Final = 5  # of looking at twice as many pieces as questions are wanted
LEAST: Final = 1e-3  # a question that is worth less is none


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
    asked: CellQuestions, doubted: NDArray[np.bool_], top: int, reductions: Reductions
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of the questions whose answers take most errors away, one of each piece, and how many.

    Parameters
    ----------
    asked : CellQuestions
        c questions.
    doubted : (c,) bool
        Those that may be asked.
    top : int
        Most of them.
    reductions : callable
        Returns of rows of questions how many errors the answer of each takes away, as `Rerun.reductions`.
    """
    rows = np.flatnonzero(doubted)
    entropy, errors = asked.entropy_bits, asked.errors[asked.piece]
    rows = rows[np.lexsort((rows, -entropy[rows], asked.piece[rows], -errors[rows]))]  # by piece, the worst first
    begins = np.flatnonzero(np.diff(asked.piece[rows], prepend=-1) != 0)
    worst = errors[rows[begins]]
    worth = np.zeros(len(asked))
    found = rows[:0], worth[:0]
    for start in range(0, min(len(begins), 2 * top * ROUNDS), 2 * top):
        if len(found[0]) == top and worst[start] <= found[1][-1]:
            break
        stops = np.append(begins, len(rows))
        these = [
            rows[first : min(first + PER_PIECE, stop)]
            for first, stop in zip(stops[start : start + 2 * top], stops[start + 1 : start + 2 * top + 1], strict=False)
        ]
        block = np.concatenate(these)
        worth[block] = reductions(block)
        found = best_of_pieces(asked.piece, worth, top)
    return found
