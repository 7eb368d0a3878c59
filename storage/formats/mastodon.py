"""Mastodon projects: the spots and links of a ``.mastodon`` zip."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np

from ...errors import FormatError
from ..pixels.frames import MAX_FRAMES
from .archive import open_archive, read_member
from .base import Points
from .calibration import calibrate, flattened, to_pixels
from .lineage import note_crowded
from .mastodon_model import read_model
from .options import refuse_options
from .points import point_source
from .tabular.columns import LONGEST_TEXT
from .tabular.ids import Ids
from .tabular.lineage import linked, note_merges

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Source, SourceOptions

MODEL, PROJECT = "model.raw", "project.xml"


def open_mastodon(path: Path, options: SourceOptions) -> Source:
    """Open a Mastodon project.

    Raises
    ------
    FormatError
        If it is no project, damaged, or a link runs backward.
    ConfigError
        If the options do not fit.
    """
    refuse_options(path, "a Mastodon project", options, "links", "truth", "columns", "sequence")
    with open_archive(path) as archive:
        model = read_model(read_member(archive, MODEL), f"{path} {MODEL}")
        unit = _unit(read_member(archive, PROJECT), path) if PROJECT in archive.namelist() else ""
    spots, links = model.spots, model.links
    frame, position = spots["t"].astype(np.int64), spots["xyz"][:, ::-1].astype(np.float64)
    wrong = np.flatnonzero((frame < 0) | (frame >= MAX_FRAMES))
    if len(wrong):
        raise FormatError(f"{path}: spot {wrong[0]} is in frame {frame[wrong[0]]}", expected=f"0 to {MAX_FRAMES:,}")
    position, notes = flattened(position, "z")
    told = calibrate(position.shape[1], unit, None, options.scale_um)
    position = to_pixels(position, told, lambda spot: f"{path} spot {spot}")
    notes += told.notes
    ids = Ids(np.arange(len(spots)))
    name = path.name.split(".")[0]
    source, target = links["source"].astype(np.int64), links["target"].astype(np.int64)
    lineage = linked(
        source, target, ids, frame, str(path), lambda link: f"{path} link {link}", name="mastodon", merges=True
    )
    notes += [*note_crowded(lineage), *note_merges(lineage, ids)]
    properties: dict[str, NDArray[np.generic]] = {"radius": np.sqrt(np.maximum(spots["radius2"], 0.0))}
    if model.labels is None or model.labels.dtype.itemsize > 4 * LONGEST_TEXT:
        notes.append("labels of spots are not read: they are too long, or written in a way that is not known")
    elif np.any(model.labels != ""):
        properties["name"] = model.labels
    points = Points(ids.label, position, np.full(len(spots), np.nan), properties)
    return point_source(name, options, frame, points, lineages=[lineage], notes=notes, scale_um=told.scale_um)


def is_mastodon(path: Path) -> bool:
    """Tell whether a path is named like a Mastodon project."""
    return path.is_file() and path.name.lower().endswith(".mastodon")


def _unit(xml: bytes, path: Path) -> str:
    """Return the unit of length that a ``project.xml`` names, ``""`` for none."""
    if b"<!" in xml.replace(b"<!--", b""):  # entities have no place in it, and can be made to grow without end
        raise FormatError(f"{path}: {PROJECT} declares entities", expected="plain XML")
    try:
        return (ET.fromstring(xml).findtext("SpaceUnits") or "").strip()
    except ET.ParseError as error:
        raise FormatError(f"{path}: {PROJECT} is no XML", got=str(error)) from error
