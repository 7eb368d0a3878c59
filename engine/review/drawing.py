"""Draws that follow from a seed: which of a person's questions are random ones, and in which order cells are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_drawn(seed: int, turn: int, share: float) -> bool:
    """Return whether a question is a random one.

    Parameters
    ----------
    seed : int
        Of the draws.
    turn : int
        How many questions were answered before.
    share : float
        How often, on average.
    """
    return bool(np.random.default_rng([seed, turn]).random() < share)


def random_order(cells: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the rows of cells in random order, (n,); two cells stand alike whatever others there are.

    Parameters
    ----------
    cells : (n,) int64
        Their numbers.
    seed : int
        Of the draw.
    """
    mixed = cells.astype(np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # the finaliser of splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")
