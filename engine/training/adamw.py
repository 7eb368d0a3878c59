"""Adam with decoupled weight decay: that of `torch.optim`, which takes six seconds to be imported.

References
----------
.. [1] Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, Algorithm 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

KEPT_MEAN: Final = 0.9
KEPT_SQUARE: Final = 0.999
LEAST: Final = 1e-8


class AdamW:
    """Steps that follow from means of gradients and of their squares.

    Parameters
    ----------
    weights : iterable of Tensor
        What is learned.
    decay : float
        Share of each weight, times the rate, that is lost in a step.
    """

    def __init__(self, weights: Iterable[Tensor], decay: float) -> None:
        self._weights, self._decay = list(weights), decay
        self._mean = [torch.zeros_like(weight) for weight in self._weights]
        self._square = [torch.zeros_like(weight) for weight in self._weights]
        self._steps, self.rate = 0, 0.0
        self.param_groups = [{"params": self._weights}]  # by this name a scaler of losses finds gradients

    def forget_gradients(self) -> None:
        """Begin a step."""
        for weight in self._weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step by `rate`; weights without a gradient stay."""
        self._steps += 1
        rows = [i for i, weight in enumerate(self._weights) if weight.grad is not None]
        weights, mean, square = ([of[i] for i in rows] for of in (self._weights, self._mean, self._square))
        if not rows:
            return
        gradients = [weight.grad for weight in weights]
        torch._foreach_mul_(weights, 1 - self.rate * self._decay)
        torch._foreach_lerp_(mean, gradients, 1 - KEPT_MEAN)
        torch._foreach_mul_(square, KEPT_SQUARE)
        torch._foreach_addcmul_(square, gradients, gradients, 1 - KEPT_SQUARE)
        spread = torch._foreach_sqrt(square)
        torch._foreach_div_(spread, math.sqrt(1 - KEPT_SQUARE**self._steps))
        torch._foreach_add_(spread, LEAST)
        torch._foreach_addcdiv_(weights, mean, spread, -self.rate / (1 - KEPT_MEAN**self._steps))

    def state(self) -> dict[str, Any]:
        """Return what the next step follows from."""
        return {"steps": self._steps, "mean": self._mean, "square": self._square}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Become what another was when `state` was asked of it."""
        self._steps = state["steps"]
        for mine, there in ((self._mean, state["mean"]), (self._square, state["square"])):
            for tensor, value in zip(mine, there, strict=True):
                tensor.copy_(value)
