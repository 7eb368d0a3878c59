"""Models that are known by name: where they lie on this machine, and where their authors offer them.

Nothing is fetched unless the user asks (`pull`). What is fetched is compared with its digest before it is opened, and
three files are taken out of it, whatever else it holds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ...errors import FormatError, ModelError, StoreExistsError
from ...storage.folders import appearing

if TYPE_CHECKING:
    from ..progress import Progress

FILES: Final = ("config.yaml", "model.pt", "train_config.yaml")
PLACE: Final = "TRACKDB_MODELS"
"""Environment variable that names the folder of models."""

PATIENCE_S: Final = 30.0
LARGEST: Final = 4 << 30  # bytes of a file of a model
BLOCK: Final = 1 << 20
RELEASES: Final = "https://github.com/weigertlab/trackastra-models/releases/download"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that its authors offer.

    Parameters
    ----------
    name : str
        What it is asked for by.
    about : str
        What it was trained for.
    url : str
        A zip of its folder.
    sha256 : str
        Digest of the zip; empty where none was published.
    """

    name: str
    about: str
    url: str
    sha256: str = ""


KNOWN: Final = {
    model.name: model
    for model in (
        KnownModel(
            "general_2d",
            "Trackastra for flat movies of cells, bacteria and particles (v0.3.0)",
            f"{RELEASES}/v0.3.0/general_2d.zip",
            "35cefd8634860d1dd43bcdcbdef7ae0caa24445f19bcfd35ec6b19039f2cd876",
        ),
        KnownModel(
            "ctc",
            "Trackastra for movies of the Cell Tracking Challenge, 2D and 3D (v0.3.0)",
            f"{RELEASES}/v0.3.0/ctc.zip",
        ),
    )
}


def place() -> Path:
    """Return the folder that models lie in, whether it is there or not."""
    named = os.environ.get(PLACE)
    if named:
        return Path(named)
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "trackdb" / "models"


def is_here(name: str) -> bool:
    """Return whether a model lies in its place."""
    return (place() / name).is_dir()


def find(by: str) -> Path:
    """Return the folder of a model: the one of that path, or the known one of that name.

    Raises
    ------
    ModelError
        If a known model is not on this machine.
    """
    if Path(by).is_dir():
        return Path(by)
    if by in KNOWN and not is_here(by):
        raise ModelError(
            f"the model {by} is not on this machine",
            looked_in=str(place()),
            **{"try": f"trackdb models pull {by}, or --by FOLDER where you have it"},
        )
    return place() / by


def pull(name: str, progress: Progress, *, sha256: str = "") -> Path:
    """Fetch a known model and return its folder.

    Parameters
    ----------
    name : str
        One of `KNOWN`.
    progress : Progress
        Who is told.
    sha256 : str
        Digest that the zip must have, in the place of the known one.

    Raises
    ------
    ModelError
        If there is no model of that name, it cannot be fetched, or it has another digest.
    StoreExistsError
        If it is here already.
    FormatError
        If what was fetched is no model.
    """
    if name not in KNOWN:
        raise ModelError(f"no model {name!r} is known", known=", ".join(KNOWN))
    model, folder = KNOWN[name], place() / name
    if folder.exists():
        raise StoreExistsError(f"{folder} is here already", **{"try": f"remove it first: rm -r {folder}"})
    progress.start(f"fetching {model.url}")
    with appearing(folder) as partial:
        archive = partial / "fetched.zip"
        got = _fetch(model, archive)
        wanted = sha256.lower() or model.sha256
        if wanted and got != wanted:
            raise ModelError(
                f"{model.url} is not the model that was known as {name}",
                expected=f"sha256 {wanted}",
                got=got,
                **{"try": f"where you know better: trackdb models pull {name} --sha256 {got}"},
            )
        if not wanted:
            progress.note(f"no digest of {name} is known to compare with: it has sha256 {got}")
        _unpack(archive, partial, name)
        archive.unlink()
    return folder


def _fetch(model: KnownModel, file: Path) -> str:
    """Write what a URL holds to a file and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(model.url, timeout=PATIENCE_S) as answer, file.open("wb") as stream:
            while block := answer.read(BLOCK):
                digest.update(block)
                stream.write(block)
    except (urllib.error.URLError, TimeoutError, ConnectionError, OSError) as error:
        raise ModelError(
            f"{model.name} could not be fetched from {model.url}",
            reason=str(getattr(error, "reason", error)),
            **{"try": f"without a network: fetch it elsewhere and unpack it as {place() / model.name}"},
        ) from error
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path, name: str) -> None:
    """Take the three files of a model out of a zip, whatever folder they stand in there."""
    try:
        with zipfile.ZipFile(archive) as packed:
            found = {PurePosixPath(info.filename).name: info for info in packed.infolist() if not info.is_dir()}
            lacking = [file for file in FILES if file not in found]
            if lacking:
                raise FormatError(f"the zip of {name} lacks {' and '.join(lacking)}")
            for file in FILES:
                if found[file].file_size > LARGEST:
                    raise FormatError(f"{file} of {name} is larger than {LARGEST >> 30} GiB")
                with packed.open(found[file]) as source, (folder / file).open("wb") as target:
                    shutil.copyfileobj(source, target, BLOCK)
    except zipfile.BadZipFile as error:
        raise FormatError(f"what was fetched as {name} is no zip", reason=str(error)) from error
