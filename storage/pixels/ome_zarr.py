"""Movies in a Zarr folder: OME-Zarr images with their channels and labels, or a plain array.

What a folder may be, and what of it is read:

* an array: its axes by their names, else ``(t, [z,] y, x)``;
* an OME-Zarr image: level 0, each channel by its name; ``labels/NAME`` beside it are label masks;
* a group with one OME-Zarr image (as bioformats2raw writes it), or with exactly one array: that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import zarr

from ...errors import ConfigError, FormatError
from .axes import STACK_AXES, frame_axes
from .frames import FrameHeader
from .naming import channel_names
from .ngff import has_channels, is_labelled, is_multiscale, ome_attributes, read_ngff
from .zarr_array import attributes_of, is_node, open_array, open_node
from .zarr_frames import ZarrFrames

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = "labels"
PIXEL_KEYS = {"multiscales", "plate", "well", "bioformats2raw.layout", LABELS}  # attributes of OME-Zarr
NAMED_AXES = {"t": "t", "time": "t", "c": "c", "channel": "c", "z": "z", "y": "y", "x": "x"}


@dataclass(frozen=True, slots=True)
class ZarrLabels:
    """Label masks found in a Zarr folder.

    Parameters
    ----------
    name : str
        Proposed name of the movie.
    masks : ZarrFrames
        The masks.
    image : Path or None
        The OME-Zarr image that they belong to, where they stand inside it.
    notes : tuple of str
        Which labels were taken.
    """

    name: str
    masks: ZarrFrames
    image: Path | None
    notes: tuple[str, ...]


def holds_pixels(path: Path) -> bool:
    """Tell whether a Zarr folder looks like an array, an image or labels, whole or not, and not like something else."""
    try:
        node = open_node(path)
        if isinstance(node, zarr.Array) or PIXEL_KEYS & set(ome_attributes(attributes_of(node, path))):
            return True
        below = any(isinstance(open_node(child), zarr.Array) or _is_image(child) for child in _below(path))
        return below or bool(_listed_labels(path / LABELS))
    except FormatError:
        return True  # whoever opens it says what is wrong


def open_zarr_channels(path: Path, *, unnamed: str = "") -> dict[str, ZarrFrames]:
    """Open the image in a Zarr folder; every channel by its name.

    Parameters
    ----------
    path : Path
        The folder.
    unnamed : str
        What the only channel of an image is called that does not name it.

    Raises
    ------
    FormatError
        If there is none or several, or it is not what its metadata promise.
    """
    opened = _open_image(_image_in(path), path, is_label=False)
    return {name or unnamed: frames for name, frames in opened.items()}


def open_zarr_labels(path: Path, chosen: str | None = None) -> ZarrLabels:
    """Open the label masks in a Zarr folder: its ``labels/NAME``, or what it holds itself.

    Parameters
    ----------
    path : Path
        An OME-Zarr image, its ``labels``, one of them, or a plain array of labels.
    chosen : str or None
        Which labels, where there are several.

    Raises
    ------
    ConfigError
        If there are several and none was chosen, or not the one that was.
    FormatError
        If there are none, or they are not what their metadata promise.
    """
    found = _image_in(path, or_labels=True)
    folder = found if found.name == LABELS else found / LABELS
    there = _listed_labels(folder)
    if there:
        name = _chosen_label(folder, there, chosen)
        masks = _only(_open_image(_inside(folder, name), path, is_label=True))
        image = folder.parent if _is_image(folder.parent) else None
        return ZarrLabels(_stem(folder.parent), masks, image, (f"detections come from {folder / name}",))
    if chosen is not None:
        raise ConfigError(f"{path} has no labels to choose from", got=chosen)
    attributes = _attributes(found)
    is_own = is_labelled(attributes)
    if is_multiscale(attributes) and has_channels(attributes) and not is_own:
        raise FormatError(
            f"{found} is an image without labels",
            expected=f"label masks in {found / LABELS}",
            **{"try": "trackdb ingest MASKS --images " + str(path)},
        )
    masks = _only(_open_image(found, path, is_label=True))
    image = found.parent.parent if found.parent.name == LABELS and _is_image(found.parent.parent) else None
    said = () if is_own or not is_multiscale(attributes) else (f"{found} does not say so, but is read as label masks",)
    return ZarrLabels(_stem(path), masks, image, said)


def _image_in(path: Path, *, or_labels: bool = False) -> Path:
    """Return the folder of the one image, or array, that a Zarr folder holds."""
    node = open_node(path)
    attributes = attributes_of(node, path)
    if isinstance(node, zarr.Array) or is_multiscale(attributes):
        return path
    if or_labels and (_listed_labels(path) or _listed_labels(path / LABELS)):
        return path
    if "plate" in ome_attributes(attributes):
        raise FormatError(f"{path} is a plate", expected="one field of it, as in plate.zarr/A/1/0")
    below = _below(path)
    images = [child for child in below if _is_image(child)]
    arrays = [child for child in below if isinstance(open_node(child), zarr.Array)]
    found = images or arrays
    if len(found) != 1:
        raise FormatError(
            f"{path} holds {len(found)} {'images' if images else 'arrays'}",
            expected="one, or the path of one",
            got=", ".join(child.name for child in (found or below)[:5]) or "an empty group",
        )
    return found[0]


def _below(path: Path) -> list[Path]:
    """Return the arrays and groups in a group that may be images."""
    return sorted(child for child in path.iterdir() if is_node(child) and child.name not in (LABELS, "OME"))


def _open_image(folder: Path, root: Path, *, is_label: bool) -> dict[str, ZarrFrames]:
    """Open a plain array, or level 0 of an OME-Zarr image; every channel by its name."""
    image = None
    attributes = _attributes(folder)
    if is_multiscale(attributes):
        image = read_ngff(attributes, str(folder))
        folder = _inside(folder, image.path)
    array, missing = open_array(folder, root, is_label=is_label)
    letters, note = (image.axes, "") if image else _plain_axes(array, folder)
    if len(letters) != array.ndim:
        raise FormatError(
            f"{folder} has shape {array.shape}",
            expected=f"{len(letters)} axes, as the metadata say",
            got=str(array.ndim),
        )
    axes = frame_axes(letters, array.shape, str(folder), is_label=is_label)
    scale = image.scale if image else {}
    spatial = tuple(scale.get(axis, 0.0) for axis in "zyx" if axis in axes.names)
    header = FrameHeader(
        axes.frame_shape,
        array.dtype,
        spatial if all(spatial) else None,
        scale.get("t"),
        (*(image.notes if image else ()), *((note,) if note else ()), *missing),
    )
    names = channel_names(image.channels if image else (), axes.n_channels)
    return {name: ZarrFrames(str(folder), header, array, axes, channel, is_label) for channel, name in enumerate(names)}


def _plain_axes(array: zarr.Array[Any], folder: Path) -> tuple[str, str]:
    """Return a letter for each axis of a plain array, by its names or by their number, and a note on the latter."""
    names = getattr(array.metadata, "dimension_names", None) or attributes_of(array, folder).get("_ARRAY_DIMENSIONS")
    if isinstance(names, list | tuple) and len(names) == array.ndim:
        named = "".join(NAMED_AXES.get(str(name).lower(), "?") for name in names)
        if "?" not in named:
            return named, ""
    if array.ndim not in STACK_AXES:
        raise FormatError(
            f"{folder} has {array.ndim} axes without names",
            expected="(y, x), (t, y, x) or (t, z, y, x)",
            got=f"shape {array.shape}",
            **{"try": "dimension_names, or OME-Zarr"},
        )
    letters = STACK_AXES[array.ndim]
    return letters, f"the axes of {folder} have no names and are read as {', '.join(letters)}"


def _listed_labels(folder: Path) -> list[str]:
    """Return the names of the labels in a ``labels`` group: as it lists them, else those that are there."""
    if not is_node(folder) or folder.name != LABELS:
        return []
    listed = ome_attributes(_attributes(folder)).get(LABELS)
    if isinstance(listed, list) and listed:
        return [str(name) for name in listed]
    return sorted(child.name for child in folder.iterdir() if is_node(child))


def _chosen_label(folder: Path, there: list[str], chosen: str | None) -> str:
    if chosen is None and len(there) > 1:
        raise ConfigError(
            f"{folder} holds several label images",
            expected=f"--sequence NAME, or the path {folder / there[0]}",
            got=", ".join(there),
        )
    if chosen is not None and chosen not in there:
        raise ConfigError(f"{folder} holds no labels {chosen}", expected=" or ".join(there), got=chosen)
    return chosen or there[0]


def _inside(folder: Path, name: str) -> Path:
    """Return a place below a folder that metadata name; they may name none elsewhere."""
    relative = PurePosixPath(name)
    if "://" in name or "\\" in name or relative.is_absolute() or ".." in relative.parts or "\0" in name:
        raise FormatError(f"{folder}: the metadata lead to {name!r}", expected="a path inside the folder")
    place = folder / relative
    if not is_node(place):
        raise FormatError(f"{folder}: there is no {name!r}, which the metadata name", expected="a Zarr array or group")
    return place


def _attributes(folder: Path) -> Mapping[str, Any]:
    return attributes_of(open_node(folder), folder) if is_node(folder) else {}


def _is_image(folder: Path) -> bool:
    return is_node(folder) and is_multiscale(_attributes(folder))


def _only(channels: dict[str, ZarrFrames]) -> ZarrFrames:
    """Return the one channel of label masks; `frame_axes` has seen to it that there are no more."""
    return next(iter(channels.values()))


def _stem(path: Path) -> str:
    """Return what a movie in a folder like ``movie.ome.zarr`` is called."""
    return path.resolve().name.split(".")[0] or path.resolve().name
