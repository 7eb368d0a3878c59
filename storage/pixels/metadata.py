"""Voxel size, frame interval and channels as tif files tell them: OME, ImageJ, or the plain resolution tags."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from ..units import seconds_per_unit, um_per_unit

if TYPE_CHECKING:
    from tifffile import TiffFile

SANE_UM = (1e-3, 20.0)  # a pixel of 72 dpi measures 353 um: that is a screen, not a microscope
SANE_S = (1e-6, 7 * 86400.0)


def voxel_size(tif: TiffFile, ndim: int) -> tuple[float, ...] | None:
    """Return the voxel size ``([z,] y, x)`` in micrometres, None where the file does not tell a sane one."""
    if tif.ome_metadata:
        size = _ome_voxel_size(tif.ome_metadata)
    elif tif.imagej_metadata:
        size = _resolution(tif, um_per_unit(str(tif.imagej_metadata.get("unit", ""))))
        size["z"] = _number(tif.imagej_metadata.get("spacing")) * size.get("um", 0.0)
    else:
        unit = tif.pages.first.tags.get("ResolutionUnit")
        size = _resolution(tif, {2: 25400.0, 3: 1e4}.get(int(unit.value) if unit else 1))
    scale = tuple(size.get(axis, 0.0) for axis in "zyx"[3 - ndim :])
    return scale if all(SANE_UM[0] <= s <= SANE_UM[1] for s in scale) else None


def frame_interval(tif: TiffFile) -> float | None:
    """Return the seconds between two frames, None where the file does not tell a sane number."""
    seconds = 0.0
    if tif.ome_metadata:
        pixels = _ome_pixels(tif.ome_metadata)
        unit = seconds_per_unit(pixels.get("TimeIncrementUnit", "s"))
        seconds = _number(pixels.get("TimeIncrement")) * (unit or 0.0)
    elif tif.imagej_metadata:
        unit = seconds_per_unit(str(tif.imagej_metadata.get("tunit", "sec")))
        seconds = _number(tif.imagej_metadata.get("finterval")) * (unit or 0.0)
    return seconds if SANE_S[0] <= seconds <= SANE_S[1] else None


def channel_labels(tif: TiffFile, n_channels: int) -> list[str]:
    """Return the names of the channels, empty where the file does not tell them."""
    if tif.ome_metadata:
        image = tif.ome_metadata.partition("</Pixels>")[0]
        elements = re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", image)
        return [unescape(dict(_attributes(element)).get("Name", "")) for element in elements]
    labels = (tif.imagej_metadata or {}).get("Labels")
    return _slice_channels(labels, n_channels) if isinstance(labels, list) and n_channels > 1 else []


def _slice_channels(labels: list[str], n_channels: int) -> list[str]:
    """Return the labels of ImageJ's slices where they name channels: the same few over and over.

    ImageJ runs through channels first. Labels such as ``c:1/2 t:3/9`` number slices, and name nothing.
    """
    names = labels[:n_channels]
    repeated = (names * (len(labels) // n_channels))[: len(labels)]
    is_numbered = any(re.match(r"[ctz]:\d", name) for name in names)
    return names if repeated == labels and not is_numbered and len(set(names)) == n_channels else []


def _resolution(tif: TiffFile, um: float | None) -> dict[str, float]:
    """Return pixel sizes from the resolution tags, which count pixels per unit of `um` micrometres."""
    sizes: dict[str, float] = {"um": um} if um else {}
    for axis, name in (("x", "XResolution"), ("y", "YResolution")):
        tag = tif.pages.first.tags.get(name)
        if um and tag and isinstance(tag.value, tuple) and min(tag.value) > 0:
            sizes[axis] = um * tag.value[1] / tag.value[0]
    return sizes


def _ome_voxel_size(xml: str) -> dict[str, float]:
    pixels = _ome_pixels(xml)
    return {
        axis.lower(): _number(pixels.get(f"PhysicalSize{axis}"))
        * (um_per_unit(pixels.get(f"PhysicalSize{axis}Unit", "um")) or 0.0)
        for axis in "XYZ"
    }


def _ome_pixels(xml: str) -> dict[str, str]:
    """Return the attributes of the first Pixels element; that much needs no XML parser, hence no trust in the file."""
    element = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", xml)
    return dict(_attributes(element[1])) if element else {}


def _attributes(element: str) -> list[tuple[str, str]]:
    return re.findall(r'([\w:]+)\s*=\s*"([^"]*)"', element)


def _number(value: object) -> float:
    """Return a number as metadata hold it, 0 where it is none."""
    try:
        return float(str(value))
    except ValueError:
        return 0.0
