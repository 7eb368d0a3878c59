"""From logits to probabilities: of the cells of one earlier frame, at most one is the parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY: Final = 1e-6


def parental(logits: Tensor, invalid: Tensor, norm: str) -> Tensor:
    """Return how likely each cell of one frame is the parent of each cell of a later one.

    Parameters
    ----------
    logits : (..., a, b) float32
        Of links from the a cells of the earlier frame.
    invalid : (..., a, b) bool
        Links that cannot be; their probability is 0.
    norm : str
        ``quiet_softmax`` leaves a share to "none of them", as if there were one more parent with logit 0 [1]_;
        ``softmax`` leaves none; ``linear`` divides sigmoids by their sum; ``none`` leaves sigmoids as they are.

    Returns
    -------
    probability : (..., a, b) float32
        0 .. 1.

    References
    ----------
    .. [1] Gallusser & Weigert, "Trackastra", ECCV 2024, Eq. (5).
    """
    if norm in ("linear", "none"):
        share = torch.where(invalid, 0.0, torch.sigmoid(logits))
        return share if norm == "none" else (share / (share.sum(dim=-2, keepdim=True) + TINY)).clamp(0, 1)
    logits = logits.masked_fill(invalid, -torch.inf)
    # of "none of them" too, also where it has no share; nothing is learned through it, or TINY would teach in the
    # place of the logits where a network is sure of what is wrong
    most = logits.detach().amax(dim=-2, keepdim=True).clamp(min=0)
    share = torch.exp(logits - most)
    total = share.sum(dim=-2, keepdim=True) + TINY
    if norm == "quiet_softmax":
        total = total + torch.exp(-most)
    return (share / total).clamp(0, 1)


def frame_blocks(frame: Tensor, max_gap: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows of an earlier, and of a later frame, `max_gap` + 1 frames away at most.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each cell, never falling.
    max_gap : int
        Frames between the two.
    """
    numbers, counts = torch.unique_consecutive(frame, return_counts=True)
    stop = counts.cumsum(0)
    rows = [slice(int(e - c), int(e)) for e, c in zip(stop, counts, strict=True)]
    for i, first in enumerate(numbers.tolist()):
        for j in range(i + 1, len(rows)):
            if int(numbers[j]) - first <= max_gap + 1:
                yield rows[i], rows[j]


def associations(logits: Tensor, frame: Tensor, invalid: Tensor, norm: str) -> Tensor:
    """Return the probability of every link that runs forward in time, 0 for all others.

    Parameters
    ----------
    logits, invalid : (n, n)
        Of the link from row to column, and whether it cannot be.
    frame : (n,) int64
        Frame of each cell, never falling.
    norm : str
        As in `parental`.
    """
    probability = torch.zeros_like(logits)
    for rows, columns in frame_blocks(frame, max_gap=len(frame)):
        probability[rows, columns] = parental(logits[rows, columns], invalid[rows, columns], norm)
    return probability
