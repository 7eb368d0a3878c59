"""Where a GEFF lies, what its metadata say, and that its files are its own.

The metadata are checked by `geff_spec`, the package of the standard. Metadata older than version 1.0 told less; what
they lack is added before they are checked.
"""

from __future__ import annotations

import json
import os
import re
import stat
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....errors import ConfigError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geff_spec import GeffMetadata

GEFF = "geff"  # key of the metadata among the attributes of the group
DEEPEST = 4  # groups between the folder that is given and the GEFF in it
MOST_FOLDERS = 10_000  # that are looked at on the way


@dataclass(frozen=True, slots=True)
class GeffGroup:
    """A GEFF on disk.

    Parameters
    ----------
    path : Path
        Folder of the group.
    metadata : GeffMetadata
        What it says of itself.
    n_bytes, n_files : Counter of Path
        What lies in each folder below, and in the folders below that.
    """

    path: Path
    metadata: GeffMetadata
    n_bytes: Counter[Path]
    n_files: Counter[Path]

    def names(self, folder: str) -> list[str]:
        """Return the folders in a folder of the group, in order."""
        place = self.path / folder
        return sorted(entry.name for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []


def find_groups(path: Path) -> list[Path]:
    """Return the folders of all GEFFs in a Zarr store; the folder itself may be one."""
    found: list[Path] = []
    level, n_seen = [path], 0
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            n_seen += 1
            if n_seen > MOST_FOLDERS or is_array(folder):
                continue
            if GEFF in _attributes_or_none(folder):
                found.append(folder)
            elif is_zarr(folder) or folder == path:
                below += sorted(Path(entry) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False))
        level = below
    return found


def is_zarr(folder: Path) -> bool:
    """Tell whether a folder says that it is part of a Zarr store."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs"))


def is_array(folder: Path) -> bool:
    """Tell whether a folder is an array of a Zarr store."""
    if (folder / ".zarray").is_file():
        return True
    try:
        return bool(_json(folder / "zarr.json").get("node_type") == "array")
    except FormatError:
        return False


def open_group(path: Path) -> GeffGroup:
    """Open the only GEFF in a folder.

    Raises
    ------
    FormatError
        If there is none or several, the metadata are wrong, or a file lies elsewhere.
    ConfigError
        If the package `geff` is not installed.
    """
    if not path.is_dir():
        raise FormatError(f"{path} is no GEFF", expected="the folder of a Zarr group")
    groups = find_groups(path)
    if len(groups) != 1:
        few = ", ".join(str(group) for group in groups[:5])
        _attributes(path)  # what cannot be read is told first
        raise FormatError(
            f"{path} holds {len(groups) or 'no'} GEFF{'s' if groups else ''}",
            expected=f"one Zarr group with {GEFF!r} among its attributes",
            **({"got": few, "try": "to name one of them"} if groups else {}),
        )
    group = groups[0]
    metadata = _metadata(group)
    n_bytes, n_files = _contents(group, home=path.resolve())
    return GeffGroup(group, metadata, n_bytes, n_files)


def _metadata(group: Path) -> GeffMetadata:
    """Return the metadata of a group, checked by the standard's own package."""
    told = _attributes(group)[GEFF]
    if not isinstance(told, dict):
        raise FormatError(f"{group}: the attribute {GEFF!r} is wrong", expected="metadata", got=type(told).__name__)
    try:
        from geff_spec import GeffMetadata
    except ImportError as error:
        raise ConfigError(
            f"{group} is a GEFF, for which a package is missing", **{"try": 'pip install "trackdb[geff]"'}
        ) from error
    if _is_old(told):
        told = {key: value for key, value in told.items() if key in GeffMetadata.model_fields}
        told |= {"node_props_metadata": {}, "edge_props_metadata": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that nobody knows: what becomes of them is told elsewhere
        try:
            return GeffMetadata.model_validate(told)
        except (ValueError, TypeError, RecursionError) as error:
            raise FormatError(f"{group} breaks the GEFF standard", got=_in_short(error)) from error


def _is_old(told: dict[str, Any]) -> bool:
    """Tell whether metadata are older than version 1.0 of the standard."""
    version = re.match(r"(\d+)\.", str(told.get("geff_version", told.get("version", ""))))
    return int(version[1]) < 1 if version else "node_props_metadata" not in told


def _in_short(error: Exception) -> str:
    """Return the first thing that is wrong in one line."""
    listed = getattr(error, "errors", None)
    if callable(listed):  # of pydantic
        first = listed()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]
    return " ".join(str(error).split())[:300] or type(error).__name__


def _attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes of a Zarr group of either format."""
    if (folder / "zarr.json").is_file():
        told = _json(folder / "zarr.json").get("attributes", {})
        return told if isinstance(told, dict) else {}
    return _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}


def _attributes_or_none(folder: Path) -> dict[str, Any]:
    try:
        return _attributes(folder)
    except FormatError:
        return {}


def _json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file."""
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"{file} cannot be read as JSON", got=_in_short(error)) from error
    if not isinstance(told, dict):
        raise FormatError(f"{file} is wrong", expected="a JSON object", got=type(told).__name__)
    return told


def _contents(group: Path, home: Path) -> tuple[Counter[Path], Counter[Path]]:
    """Count bytes and files in each folder below a group; all of them have to lie inside of `home`."""
    n_bytes: Counter[Path] = Counter()
    n_files: Counter[Path] = Counter()
    for file, size in _files(group, home):
        for folder in file.parents:
            n_bytes[folder] += size
            n_files[folder] += 1
            if folder == group:
                break
    return n_bytes, n_files


def _files(group: Path, home: Path) -> Iterator[tuple[Path, int]]:
    """Return each file below a folder and its size; links have to stay inside of `home`, and count if to files."""
    folders = [group]
    while folders:
        for entry in _entries(folders.pop()):
            path = Path(entry.path)
            if entry.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(home):
                raise FormatError(f"{path} is a link that leads out of {home}", expected="files of its own")
            try:
                fact = entry.stat()
            except OSError as error:
                raise FormatError(f"{path} cannot be read", got=str(error)) from error
            if stat.S_ISREG(fact.st_mode):
                yield path, fact.st_size
            elif not stat.S_ISDIR(fact.st_mode):
                raise FormatError(f"{path} is no file", expected="files and folders in a Zarr store")
            elif not entry.is_symlink():
                folders.append(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise FormatError(f"{folder} cannot be read", got=str(error)) from error
