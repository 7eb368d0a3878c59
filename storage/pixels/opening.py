"""Movies from a path that a user gives: label masks, or images with their channels, in whatever container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import FormatError
from ..nearby import names_like
from .files import only_channel, open_file, open_folder
from .numbering import is_image
from .ome_zarr import open_zarr_channels
from .zarr_array import is_node

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .frames import Frames

UNNAMED = "image"  # the channel of images that neither the user nor the file names


def open_label_frames(path: Path) -> Frames:
    """Open label masks: a folder of numbered files, or a stack.

    Raises
    ------
    FormatError
        If frames are missing or there twice, or the files are not what they should be.
    """
    return only_channel(_open_container(path, is_label=True), str(path))


def open_channels(images: Mapping[str, Path]) -> dict[str, Frames]:
    """Open images, each channel by its name.

    A container of one channel takes the name that the user gives. Of a container with several, that name chooses one;
    without a name (`UNNAMED`) all of them come, by the names that the container has.

    Parameters
    ----------
    images : mapping of str to Path
        Folder or file for each name.

    Raises
    ------
    FormatError
        If the images are not what they should be, a container lacks the channel wanted, or a name comes twice.
    """
    channels: dict[str, Frames] = {}
    for wanted, path in images.items():
        found = _chosen(_open_container(path, is_label=False), wanted, path)
        for name, frames in found.items():
            if name in channels:
                raise FormatError(
                    f"channel {name} of {path} is there already, in {channels[name].where}",
                    **{"try": "--images NAME=PATH"},
                )
            channels[name] = frames
    return channels


def _chosen(found: Mapping[str, Frames], wanted: str, path: Path) -> dict[str, Frames]:
    """Return the channels of a container that the user wants, by the names that they get."""
    if wanted in found:
        return {wanted: found[wanted]}
    if len(found) == 1:
        own, frames = next(iter(found.items()))
        return {own if own and wanted == UNNAMED else wanted: frames}
    if wanted != UNNAMED:
        raise FormatError(f"{path} has no channel {wanted}", expected=" or ".join(found), got=wanted)
    return dict(found)


def _open_container(path: Path, *, is_label: bool) -> dict[str, Frames]:
    if not path.exists():
        raise FormatError(f"there is nothing at {path}", expected="a folder of images, or a stack", **names_like(path))
    if is_node(path):
        return dict(open_zarr_channels(path))
    if path.is_dir():
        return open_folder(path, is_label=is_label)
    if not (is_image(path) and path.is_file()):
        raise FormatError(f"{path} is no image", expected="a file that ends in .tif, .tiff, .png or .npy")
    return open_file(path, is_label=is_label)
