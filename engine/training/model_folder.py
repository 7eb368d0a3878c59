"""The folder of a model while it is taught and when it is done: who may write there, and what it holds in the end."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch
import yaml
from filelock import FileLock, Timeout

from ...errors import FormatError, StoreExistsError, StoreLockedError
from ...storage.folders import appearing_file, flush
from ..models.checkpoint import CONFIG, TRAINING, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from ..models.settings import TransformerSettings

UNFINISHED: Final = "checkpoint.pt"
"""What a training goes on from; it goes when the training is done, and stays where a time limit ended it."""
TABLE: Final = "metrics.csv"
BOARD: Final = "tensorboard"
TRAINED: Final = "trained.json"
"""What the model was taught, by what, and how well it did."""
LOCK: Final = ".lock"
OURS: Final = (CONFIG, WEIGHTS, TRAINING, UNFINISHED, TABLE, TRAINED)


@contextmanager
def opened(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Hold a folder for one training while the block runs; it is made if it is not there.

    Parameters
    ----------
    folder : Path
        A new or empty folder, one with an unfinished training, or with `overwrite` one with a model.
    overwrite : bool
        Whether a finished model may be there; it stays until `clear` is called.

    Raises
    ------
    StoreExistsError
        If it holds a finished model.
    FormatError
        If it holds something else, or is none.
    StoreLockedError
        If another process teaches there.
    """
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder} is a file", expected="a folder for the model, new or empty")
    there = {path.name for path in folder.iterdir() if not _left_behind(path)} if folder.exists() else set()
    begun = UNFINISHED in there
    if WEIGHTS in there and not begun and not overwrite:
        raise StoreExistsError(f"{folder} holds a model", **{"try": "another -o, or --overwrite to give it up"})
    if there and not there & {UNFINISHED, WEIGHTS, TRAINED}:
        raise FormatError(f"{folder} holds something else", there=", ".join(sorted(there)[:4]), expected="a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            for path in folder.iterdir():
                if path.name != LOCK and _left_behind(path):
                    path.unlink()
            yield
            (folder / LOCK).unlink(missing_ok=True)
    except Timeout:
        raise StoreLockedError(
            f"another process teaches in {folder}", **{"try": "wait for it, or another -o"}
        ) from None


def clear(folder: Path) -> None:
    """Remove what a training wrote, and nothing else."""
    for name in OURS:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / BOARD, ignore_errors=True)


def _left_behind(path: Path) -> bool:
    """Tell whether a file is the lock, or one of ours that a killed process was writing."""
    return path.name == LOCK or (path.name.endswith(".partial") and path.name.startswith(tuple(f".{n}." for n in OURS)))


def finish(
    folder: Path,
    settings: TransformerSettings,
    weights: Mapping[str, Tensor],
    training: Mapping[str, str | int | float],
    trained: Mapping[str, object],
) -> None:
    """Write a model as the authors' package and `load_model` read it, and beside it what it was taught.

    Parameters
    ----------
    folder : Path
        Where.
    settings, weights : TransformerSettings, mapping of str to Tensor
        The network.
    training : mapping
        What ``train_config.yaml`` tells.
    trained : mapping
        What ``trained.json`` tells.
    """
    held = io.BytesIO()
    torch.save({name: weight.detach().cpu() for name, weight in weights.items()}, held)
    for name, content in (
        (CONFIG, yaml.safe_dump(settings.as_dict(), sort_keys=False).encode()),
        (TRAINING, yaml.safe_dump(dict(training), sort_keys=False).encode()),
        (WEIGHTS, held.getvalue()),
        (TRAINED, (json.dumps(trained, indent=2) + "\n").encode()),
    ):
        with appearing_file(folder / name) as partial:
            partial.write_bytes(content)
            flush(partial)
    flush(folder)
