"""How a training went, epoch by epoch: a table that any spreadsheet reads, and TensorBoard where it is asked for."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...storage.folders import appearing_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Epoch:
    """What came of an epoch.

    Parameters
    ----------
    epoch, step : int
        Epochs and steps that are done.
    lr : float
        Learning rate at its end.
    train_loss, val_loss : float
        Mean over the examples of the epoch, while the network changed; mean over those of the validation.
    val_f1, val_accuracy : float
        Of links to the next frame; of the likeliest parent of cells that have one.
    seconds : float
        Since the training began, without what lay between its lives.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    val_loss: float
    val_f1: float
    val_accuracy: float
    seconds: float

    def as_dict(self) -> dict[str, float]:
        """Return its numbers by name."""
        return asdict(self)


def write_table(file: Path, history: Sequence[Epoch]) -> None:
    """Write the table anew, one line an epoch; nobody ever reads a part of it."""
    with appearing_file(file) as partial, partial.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(field.name for field in fields(Epoch))
        table.writerows([repr(value) for value in epoch.as_dict().values()] for epoch in history)


class Board:
    """TensorBoard, or nobody.

    Parameters
    ----------
    folder : Path or None
        Where its files go; None for nobody.
    begin : int
        Epochs that are told already; what a killed training told of later ones is forgotten.

    Raises
    ------
    ConfigError
        If it is not installed.
    """

    def __init__(self, folder: Path | None, begin: int = 0) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError("TensorBoard is not installed", **{"try": "pip install tensorboard"}) from None
        self._writer = SummaryWriter(str(folder), purge_step=begin + 1)

    def tell(self, epoch: Epoch) -> None:
        """Show the numbers of an epoch."""
        if self._writer is not None:
            for name, value in epoch.as_dict().items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, epoch.epoch)
            self._writer.flush()

    def close(self) -> None:
        """Tell no more."""
        if self._writer is not None:
            self._writer.close()
