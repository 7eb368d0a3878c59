"""The folder of a model while it is taught and when it is done: who may write there, and what it holds in the end."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import torch
import yaml
from filelock import FileLock, Timeout

from ...errors import FormatError, StoreExistsError, StoreLockedError
from ...storage.folders import appearing_file, make_folder
from ...storage.partials import is_partial, remove_left_behind
from ..models.checkpoint import CONFIG, TRAINING, WEIGHTS
from .unfinished import Checkpoint, differing

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
def opened(folder: Path, follows: Mapping[str, str | int | float | bool], *, overwrite: bool) -> Iterator[None]:
    """Hold a folder for one training while the block runs; it is made if it is not there.

    Parameters
    ----------
    folder : Path
        A new or empty folder, one with an unfinished training, or with `overwrite` one with a model.
    follows : mapping of str to str, int, float or bool
        What the training follows from, as far as that is known before movies are read.
    overwrite : bool
        Whether a finished model, or another training, may be there; it stays until `clear` is called.

    Raises
    ------
    StoreExistsError
        If it holds a finished model, or an unfinished training of other settings; what differs is named.
    FormatError
        If it holds something else, or is none.
    StoreLockedError
        If another process teaches there.
    """
    if folder.exists() and not folder.is_dir():
        raise FormatError(f"{folder} is a file", expected="a folder for the model, new or empty")
    made = not folder.exists()
    make_folder(folder)
    try:
        with FileLock(folder / LOCK, timeout=0):
            try:
                _require_free(folder, follows, overwrite=overwrite)
                remove_left_behind(folder)
                yield
            finally:
                (folder / LOCK).unlink(missing_ok=True)
    except Timeout:
        raise StoreLockedError(
            f"another process teaches in {folder}", **{"try": "wait for it, or another -o"}
        ) from None
    finally:
        if made:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def _require_free(folder: Path, follows: Mapping[str, str | int | float | bool], *, overwrite: bool) -> None:
    """Raise StoreExistsError or FormatError where a folder that is held has what is not to be given up."""
    there = {path.name for path in folder.iterdir() if path.name != LOCK and not is_partial(path)}
    if there and not there & {UNFINISHED, WEIGHTS, TRAINED}:
        raise FormatError(f"{folder} holds something else", there=", ".join(sorted(there)[:4]), expected="a new folder")
    if overwrite:
        return
    if UNFINISHED in there:
        Checkpoint(folder / UNFINISHED, follows).require_alike()
    elif WEIGHTS in there:
        raise StoreExistsError(
            f"{folder} holds a model",
            **_taught_from(folder, follows),
            **{"try": "another -o, or --overwrite to give it up"},
        )


def _taught_from(folder: Path, follows: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    """Return in words what a finished model was taught from, beside what a training follows from."""
    try:
        settings = dict(json.loads((folder / TRAINED).read_text())["settings"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}  # a model of others
    return {"there": differing(settings, follows) or "one of these very settings"}


def clear(folder: Path) -> None:
    """Remove what a training wrote, and nothing else."""
    for name in OURS:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / BOARD, ignore_errors=True)


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
