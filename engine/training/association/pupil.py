"""A network that is taught: one step after the other, and all that the next one follows from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch

from .loss import judge
from .padded import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...models.transformer import AssociationTransformer
    from ..precision import Precision
    from .examples import Example

DECAY: Final = 1e-5
"""Weight decay of the released code of Trackastra."""


class Pupil:
    """A network and its optimiser.

    Parameters
    ----------
    model : AssociationTransformer
        The network, on the device that it shall learn on.
    precision : Precision
        In how many bits.
    clip : float
        Longest gradient; 0 for any.
    """

    def __init__(self, model: AssociationTransformer, precision: Precision, clip: float) -> None:
        self.model, self.precision, self._clip = model, precision, clip
        self._device = next(model.parameters()).device
        self._optimiser = torch.optim.AdamW(model.parameters(), weight_decay=DECAY)
        self._scaler = precision.scaler()

    def learn(self, examples: Sequence[Example], rate: float) -> float:
        """Take one step, and return the loss before it; where that is no number, no step is taken."""
        self.model.train()
        batch = Batch.of(examples).to(self._device)
        self._optimiser.zero_grad(set_to_none=True)
        with self.precision.autocast():
            logits = self.model(batch.places, batch.features, batch.padding)
        loss = judge(logits, batch, self.model.settings.causal_norm).loss
        value = float(loss.detach())
        if not math.isfinite(value):
            return value
        self._scaler.scale(loss).backward()
        if self._clip:
            self._scaler.unscale_(self._optimiser)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._scaler.step(self._optimiser)
        self._scaler.update()
        return value

    def state(self) -> dict[str, Any]:
        """Return what the next step follows from, chance among it."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "chance": torch.get_rng_state(),
            "chance_on_device": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Become what another was when `state` was asked of it."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["chance"])
        if state["chance_on_device"] is not None:
            torch.cuda.set_rng_state(state["chance_on_device"], self._device)
