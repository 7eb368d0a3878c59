"""How good a network is on examples that it does not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from .loss import frames_ahead, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...models.transformer import AssociationTransformer
    from ..precision import Precision
    from .examples import Example
    from .padded import Batch

LIKELY: Final = 0.5
"""A pair of this probability is a link."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a validation found.

    Parameters
    ----------
    loss : float
        Mean over batches, each by its examples.
    f1 : float
        Of links to the next frame that have a probability of .5 or more.
    accuracy : float
        Share of the cells with a parent in the frame before whose likeliest parent is the right one.
    """

    loss: float
    f1: float
    accuracy: float


def validate(model: AssociationTransformer, batches: Iterable[Sequence[Example]], precision: Precision) -> Figures:
    """Return how a network judges examples; it is left as it was."""
    from .padded import Batch

    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    loss, n = 0.0, 0
    counts = torch.zeros(5, dtype=torch.float64)
    with torch.no_grad():
        for examples in batches:
            batch = Batch.of(examples).to(device)
            with precision.autocast():
                logits = model(batch.places, batch.features, batch.padding)
            judged = judge(logits, batch, model.settings.causal_norm)
            loss, n = loss + float(judged.loss) * len(examples), n + len(examples)
            counts += _counts(judged.probability, batch)
    model.train(was_training)
    hits, told, links, parents_right, parents = counts.tolist()
    return Figures(
        loss / max(n, 1),
        2 * hits / (told + links) if told + links else 1.0,
        parents_right / parents if parents else 1.0,
    )


def _counts(probability: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return links found, told and right; and cells whose parent is found, and that have one."""
    invalid = batch.absent[..., None] | batch.padding[:, None, None, :]
    next_to = ~invalid & (frames_ahead(batch) == 1)
    right = batch.by_frame(batch.associated) & next_to
    told = (probability >= LIKELY) & next_to
    likeliest = torch.where(next_to, probability, -1.0).argmax(dim=2, keepdim=True)  # (B, T, 1, n)
    has_parent = right.any(dim=2)
    found = right.gather(2, likeliest)[:, :, 0] & has_parent
    return torch.stack([part.sum() for part in (told & right, told, right, found, has_parent)]).double().cpu()
