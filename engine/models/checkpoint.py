"""A model folder: ``config.yaml``, ``model.pt`` and ``train_config.yaml``, read without running what is in them."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
import yaml

from ...errors import ConfigError, FormatError
from .settings import TransformerSettings, settings_from
from .transformer import AssociationTransformer, shape_alone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

CONFIG: Final = "config.yaml"
WEIGHTS: Final = "model.pt"
TRAINING: Final = "train_config.yaml"
FEATURES_READ: Final = "wrfeat"
"""What ``train_config.yaml`` calls the features that trackdb measures."""

NO_BRIGHTNESS: Final = "none"  # what ``train_config.yaml`` tells of a model that was trained without images
FEW: Final = 4  # keys that a message names
LIGHTNING: Final = "model."  # begins the keys of weights that PyTorch Lightning kept


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is told of a model with everything that it scored.

    Parameters
    ----------
    name : str
        Of its folder.
    folder : str
        Where it was read from.
    digest : str
        SHA-256 of ``config.yaml``, then of ``model.pt``.
    settings : TransformerSettings
        Its shape.
    weights : int
        Numbers that were learned.
    training : dict
        What ``train_config.yaml`` tells.
    """

    name: str
    folder: str
    digest: str
    settings: TransformerSettings
    weights: int
    training: dict[str, Any]

    @property
    def knows_brightness(self) -> bool:
        """Whether it was trained on images; one that was not is shown cells of one brightness."""
        return bool(self.training.get("brightness") != NO_BRIGHTNESS)

    def as_dict(self) -> dict[str, Any]:
        """Return the card as a run keeps it."""
        return {
            "name": self.name,
            "folder": self.folder,
            "sha256": self.digest,
            "weights": self.weights,
            "settings": self.settings.as_dict(),
            "training": self.training,
            "method": "Gallusser & Weigert, Trackastra, ECCV 2024",
        }


def load_model(folder: Path, *, device: str = "auto") -> tuple[AssociationTransformer, ModelCard]:
    """Read a model, ready to judge.

    Weights alone are read: a file that would run anything is refused.

    Parameters
    ----------
    folder : Path
        A folder as the authors' package writes it, or PyTorch Lightning under the same name.
    device : str
        ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.

    Raises
    ------
    FormatError
        If the folder lacks a file, or one holds something else; keys and shapes that do not fit are named.
    ConfigError
        If there is no such device.
    """
    where = device_of(device)
    lacking = [name for name in (CONFIG, WEIGHTS, TRAINING) if not (folder / name).is_file()]
    if lacking:
        raise FormatError(f"{folder} lacks {' and '.join(lacking)}", expected=f"{CONFIG}, {WEIGHTS} and {TRAINING}")
    settings = settings_from(_read_yaml(folder / CONFIG), str(folder / CONFIG))
    training = _read_yaml(folder / TRAINING)
    features = training.get("features", FEATURES_READ)
    if settings.feat_dim and features != FEATURES_READ:
        raise FormatError(
            f"{folder / TRAINING}: the model was trained on features {features!r}", expected=FEATURES_READ
        )
    try:
        shape = shape_alone(settings)
    except FormatError as error:
        raise FormatError(f"{folder / CONFIG}: {error.message}", **error.details) from None
    weights = _read_weights(folder / WEIGHTS)
    _require_fit(folder / WEIGHTS, shape.state_dict(), weights)
    model = AssociationTransformer(settings)
    model.load_state_dict(weights)
    card = ModelCard(
        name=folder.resolve().name,
        folder=str(folder.resolve()),
        digest=digest_of_model(folder),
        settings=settings,
        weights=sum(weight.numel() for weight in model.parameters()),
        training={str(key): value for key, value in training.items() if isinstance(value, str | int | float | None)},
    )
    return model.to(where).eval(), card


def digest_of_model(folder: Path) -> str:
    """Return the SHA-256 over the shape and the weights of a model folder."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (folder / name).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def device_of(name: str) -> torch.device:
    """Return a device of this machine.

    Raises
    ------
    ConfigError
        If PyTorch does not see it.
    """
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda" and there:
        return torch.device("cuda")
    if name == "cuda":
        raise ConfigError(
            "there is no CUDA that PyTorch could use",
            torch=torch.__version__,
            **{"try": "--device cpu, or a build of PyTorch for CUDA: https://pytorch.org/get-started/locally/"},
        )
    raise ConfigError(f"there is no device {name!r}", known="auto, cpu, cuda")


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:  # ValueError: no text, no such day
        raise FormatError(f"{file} cannot be read", reason=str(error).split("\n")[0]) from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise FormatError(f"{file} holds no settings", expected="lines of NAME: VALUE")
    return found


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise FormatError(
            f"{file} holds no weights that can be read without running code",
            reason=str(error).strip().split("\n")[0][:200],
            expected="a state_dict, as torch.save writes it",
        ) from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = {str(key).removeprefix(LIGHTNING): weight for key, weight in found["state_dict"].items()}
    if not isinstance(found, dict) or not all(torch.is_tensor(weight) for weight in found.values()):
        raise FormatError(f"{file} holds no weights", expected="a state_dict, as torch.save writes it")
    return {str(key): weight for key, weight in found.items()}


def _require_fit(file: Path, wanted: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    """Raise FormatError unless weights have the keys and shapes that the settings ask for, and are numbers."""
    missing, strange = sorted(set(wanted) - set(got)), sorted(set(got) - set(wanted))
    if missing or strange:
        parts = [f"lacks {_listed(missing)}"] if missing else []
        parts += [f"has {_listed(strange)} too many"] if strange else []
        raise FormatError(f"{file} {', and '.join(parts)}", expected=f"the weights of the model in {CONFIG}")
    for key, weight in wanted.items():
        if got[key].shape != weight.shape:
            raise FormatError(
                f"{file}: {key} does not fit {CONFIG}",
                expected=str(tuple(weight.shape)),
                got=str(tuple(got[key].shape)),
            )
        if not bool(torch.isfinite(got[key]).all()):
            raise FormatError(f"{file}: {key} holds what is no finite number")


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - FEW} more" if len(keys) > FEW else ""
    return ", ".join(keys[:FEW]) + more
