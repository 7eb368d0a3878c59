"""In how many bits a network is taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class Precision:
    """What products of matrices are computed in; losses and sums stay in single precision.

    Parameters
    ----------
    device : torch.device
        Where it is computed.
    name : str
        ``32``, ``bf16`` or ``16``.
    """

    device: torch.device
    name: str

    @classmethod
    def chosen(cls, name: str, device: torch.device) -> Precision:
        """Return a precision by its name; ``auto`` is half precision on CUDA and single precision elsewhere."""
        if name == "auto":
            name = "32" if device.type != "cuda" else "bf16" if torch.cuda.is_bf16_supported() else "16"
        return cls(device, name)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the block in which a network is run."""
        dtype = {"32": None, "bf16": torch.bfloat16, "16": torch.float16}[self.name]
        found: AbstractContextManager[object] = torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)
        return found

    def scaler(self) -> torch.amp.GradScaler:
        """Return what keeps small gradients of half precision from vanishing; it does nothing for the others."""
        return torch.amp.GradScaler(self.device.type, enabled=self.name == "16")
