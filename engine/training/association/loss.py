"""What a network is blamed for: each pair of cells whose association it misjudges.

References
----------
.. [1] Gallusser & Weigert, "Trackastra: Transformer-based cell tracking for live-cell microscopy", ECCV 2024, Eq. (6);
   how examples of a batch are weighed against each other, and logits are bounded, is that of the released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from ...models.parental import parental
from .examples import REACH

if TYPE_CHECKING:
    from .padded import Batch

OF_LOGITS: Final = 0.01
"""Weight of the loss of single logits, the lambda of Eq. (6)."""
BY_SIZE: Final = 0.2
"""An example counts by the number of its pairs to this power."""
LARGEST: Final = 65504.0
"""Logits are bounded to what half precision holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """How a network judged a batch.

    Parameters
    ----------
    loss : () float32
        What it is blamed for; no number where a logit is none.
    probability : (B, T, m, n) float32
        Of each pair, by the frame of the earlier cell.
    """

    loss: Tensor
    probability: Tensor


def judge(logits: Tensor, batch: Batch, norm: str) -> Judgement:
    """Return the loss of logits, and the probabilities that they stand for.

    Parameters
    ----------
    logits : (B, n, n)
        Of each pair, from row to column.
    batch : Batch
        What is right. Pairs count that run one or two frames forward and have a weight.
    norm : str
        As in `parental`; while training, no pair is too far apart to be.
    """
    if bool(logits.isnan().any()):  # of such a probability torch would say that it is beyond 0 .. 1
        nothing = torch.zeros((*batch.rows.shape, logits.shape[-1]), device=logits.device)
        return Judgement(nothing.sum() * torch.nan, nothing)
    logits = batch.by_frame(logits.float().clamp(-LARGEST, LARGEST))
    invalid = batch.absent[..., None] | batch.padding[:, None, None, :]
    probability = parental(logits, invalid, norm)
    right = batch.by_frame(batch.associated).float()
    each = functional.binary_cross_entropy(probability, right, reduction="none")
    each = each + OF_LOGITS * functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
    ahead = frames_ahead(batch)
    weight = batch.by_frame(batch.weight)
    counted = ~invalid & (ahead > 0) & (ahead <= REACH) & (weight > 0)
    blame = torch.where(counted, each * weight, 0.0).sum(dim=(1, 2, 3))
    count = counted.sum(dim=(1, 2, 3)).float()
    share = count**BY_SIZE
    loss = (share * blame / count.clamp(min=1)).sum() / share.sum().clamp(min=1)
    return Judgement(loss, probability)


def frames_ahead(batch: Batch) -> Tensor:
    """Return how many frames each column lies ahead of each row by its frame, (B, T, m, n)."""
    earlier = batch.frame.gather(1, batch.rows.flatten(1)).unflatten(1, batch.rows.shape[1:])
    return batch.frame[:, None, None, :] - earlier[..., None]
