"""How large a step is: the learning rate rises in a line, then falls as a half wave."""

from __future__ import annotations

import math
from typing import Final

FIRST: Final = 0.01
"""Share of the highest rate that a training begins with, as in the released code of Trackastra."""
LAST: Final = 0.001
"""Share of the highest rate that it ends with."""


def share_of_rate(epoch: float, epochs: int, warmup: int) -> float:
    """Return the share of the highest learning rate that holds at a moment of a training.

    Parameters
    ----------
    epoch : float
        Epochs that are done, parts of one too.
    epochs, warmup : int
        Of the whole training, and those in which the rate rises.

    Returns
    -------
    share : float
        `FIRST` at the beginning, 1 after the warm-up, `LAST` at the end.
    """
    if epoch < warmup:
        return FIRST + (1 - FIRST) * epoch / warmup
    done = min((epoch - warmup) / max(epochs - warmup, 1), 1.0)
    return LAST + (1 - LAST) * (1 + math.cos(math.pi * done)) / 2
