"""What the metadata of an OME-Zarr image say: which array, its axes, voxel size, frame interval and channels.

OME-NGFF 0.4 keeps them in the attributes of a group, 0.5 under their key ``ome``. Only level 0, the full resolution,
is read. Versions before 0.3 have no axes: theirs are always t, c, z, y, x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import FormatError
from ..units import seconds_per_unit, um_per_unit
from .metadata import SANE_S, SANE_UM

if TYPE_CHECKING:
    from collections.abc import Mapping

UNNAMED_AXES = "tczyx"  # of versions 0.1 and 0.2
LARGEST = 1e30  # no scale
OF_TYPE = {"time": "t", "channel": "c"}


@dataclass(frozen=True, slots=True)
class NgffImage:
    """The metadata of one image.

    Parameters
    ----------
    path : str
        Array of level 0, below the group.
    axes : str
        A letter for each of its axes, as `FrameAxes` has them; ``?`` for one that is neither t, c, z, y nor x.
    scale : dict of str to float
        Size of a pixel along z, y and x in micrometres, and ``t`` in seconds, where told with a unit.
    channels : tuple
        Names of channels, as they are told.
    notes : tuple of str
        What the user should know.
    """

    path: str
    axes: str
    scale: dict[str, float]
    channels: tuple[object, ...]
    notes: tuple[str, ...]


def ome_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a group's attributes that speaks OME."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, dict) else attributes


def is_multiscale(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a group is an image."""
    return "multiscales" in ome_attributes(attributes)


def is_labelled(attributes: Mapping[str, Any]) -> bool:
    """Tell whether an image says of itself that it holds labels."""
    return "image-label" in ome_attributes(attributes)


def has_channels(attributes: Mapping[str, Any]) -> bool:
    """Tell whether an image says how its channels are to be shown, as only intensities do."""
    return "omero" in ome_attributes(attributes)


def read_ngff(attributes: Mapping[str, Any], where: str) -> NgffImage:
    """Read the metadata of an image.

    Parameters
    ----------
    attributes : mapping
        Attributes of its group.
    where : str
        The group, for messages.

    Raises
    ------
    FormatError
        If they do not say which array it is and what its axes are, or say what cannot be.
    """
    ome = ome_attributes(attributes)
    multiscale = _first(ome, "multiscales", where)
    level = _first(multiscale, "datasets", where)
    path = level.get("path")
    if not isinstance(path, str):
        raise _wrong(where, "datasets[0].path", "the path of an array", path)
    letters, units = _axes(multiscale, where)
    scale, notes = _scale(multiscale, level, letters, units, where)
    omero = ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    named = channels if isinstance(channels, list) else []
    labels = tuple(channel.get("label") if isinstance(channel, dict) else None for channel in named)
    several = len(ome["multiscales"])
    if several > 1:
        notes.append(f"{where} lists {several} images; the first is read")
    return NgffImage(path, letters, scale, labels, tuple(notes))


def _axes(multiscale: Mapping[str, Any], where: str) -> tuple[str, list[str]]:
    """Return a letter and the unit of each axis; empty where none is told."""
    axes = multiscale.get("axes")
    if axes is None and multiscale.get("version") in ("0.1", "0.2"):
        return UNNAMED_AXES, [""] * len(UNNAMED_AXES)
    if not isinstance(axes, list) or not all(isinstance(axis, str | dict) for axis in axes) or len(axes) > 5:
        raise _wrong(where, "axes", "a list of 2 to 5 axes", axes)
    told = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]
    return "".join(map(_letter, told)), [str(axis.get("unit") or "").strip().lower() for axis in told]


def _letter(axis: Mapping[str, Any]) -> str:
    """Return what an axis is: by its type where that is enough, else by its name."""
    name = str(axis.get("name")).strip().lower()
    by_type = OF_TYPE.get(str(axis.get("type")).strip().lower(), name)
    return by_type if by_type in tuple(UNNAMED_AXES) else "?"


def _scale(
    multiscale: Mapping[str, Any], level: Mapping[str, Any], letters: str, units: list[str], where: str
) -> tuple[dict[str, float], list[str]]:
    """Return the size of a pixel by axis, and notes on sizes that cannot be used."""
    factors = [1.0] * len(letters)
    told = False
    for owner, name in ((level, "datasets[0].coordinateTransformations"), (multiscale, "coordinateTransformations")):
        for found in _scales(owner.get("coordinateTransformations"), where, name):
            if len(found) != len(letters):
                raise _wrong(where, f"{name} scale", f"one number for each of {len(letters)} axes", found)
            factors = [a * b for a, b in zip(factors, found, strict=True)]
            told = True
    scale, notes = {}, []
    for letter, unit, factor in zip(letters, units, factors, strict=True):
        if letter not in "tzyx" or not told:
            continue
        per_unit, (low, high) = (seconds_per_unit, SANE_S) if letter == "t" else (um_per_unit, SANE_UM)
        of_unit = per_unit(unit)
        size = factor * (of_unit or 0.0)
        assumed = "frames are assumed" if letter == "t" else "pixels are assumed"
        if low <= size <= high:
            scale[letter] = size
        elif of_unit is not None:
            notes.append(f"axis {letter} of {where} has a scale of {factor:g} {unit}, which cannot be: {assumed}")
        elif unit or factor != 1:
            said = f"in {unit!r}, which is no known unit" if unit else "without a unit"
            notes.append(f"axis {letter} of {where} has a scale of {factor:g} {said}: {assumed}")
    return scale, notes


def _scales(transformations: object, where: str, name: str) -> list[list[float]]:
    """Return the factors of all transformations that scale."""
    if transformations is None:
        return []
    if not isinstance(transformations, list) or not all(isinstance(t, dict) for t in transformations):
        raise _wrong(where, name, "a list of transformations", transformations)
    scales = [t.get("scale") for t in transformations if t.get("type") == "scale"]
    for factors in scales:
        if not isinstance(factors, list) or not all(type(f) in (int, float) and 0 < f < LARGEST for f in factors):
            raise _wrong(where, f"{name} scale", "a list of positive numbers", factors)
    return [[float(f) for f in factors] for factors in scales if factors]


def _first(owner: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """Return the first object of a list in the metadata."""
    found = owner.get(name)
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        raise _wrong(where, name, "a list of objects", found)
    return found[0]


def _wrong(where: str, name: str, expected: str, got: object) -> FormatError:
    return FormatError(f"{where}: the metadata have no usable {name}", expected=expected, got=str(got)[:100])
