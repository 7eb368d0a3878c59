"""Which column of a user's table is what: as the user says, else by well known names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ....errors import ConfigError, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KNOWN = {
    "t": ("t", "frame", "frames", "frame_id", "time_point", "timepoint", "time_frame", "time_index", "cmso_frame_id",
          "spot_frame", "time"),
    "z": ("z", "position_z", "pos_z", "centroid_z", "z_px", "cmso_z_coord", "spot_position_z"),
    "y": ("y", "position_y", "pos_y", "centroid_y", "y_px", "cmso_y_coord", "spot_position_y"),
    "x": ("x", "position_x", "pos_x", "centroid_x", "x_px", "cmso_x_coord", "spot_position_x"),
    "position": ("pos", "position", "positions", "coordinates", "centroid"),
    "id": ("id", "spot_id", "node_id", "detection_id", "object_id", "cmso_object_id"),
    "parent": ("parent_id", "parent"),
    "label": ("label", "seg_id", "segmentation_id"),
    "track": ("track", "track_id", "trackid", "tracklet_id", "particle", "spot_track_id"),
    "parent_track": ("parent_track", "parent_track_id", "parenttrackid"),
    "parent_frame": (),
    "sequence": ("sequence",),
    "area": ("area",),
    "source": ("source", "source_id", "source_idx", "spot_source_id", "id_previous", "link_target_ids_source_spot_id"),
    "target": ("target", "target_id", "target_idx", "spot_target_id", "id_current", "link_target_ids_target_spot_id"),
}  # fmt: skip
PATHS = (("link_id", "cmso_link_id"), ("object_id", "cmso_object_id"))  # names of a table of lists of objects
MERGING = ("spot_source_id", "link_target_ids_source_spot_id")  # TrackMate and Mastodon let cells merge,
KIND = "kind"  # and so does a table that says of each link whether it continues, divides or merges
SKIMAGE = ("centroid_0", "centroid_1", "centroid_2")  # regionprops_table: two of them are (y, x), three (z, y, x)


def map_columns(
    path: Path,
    there: Sequence[str],
    asked: Mapping[str, str],
    *,
    needed: Sequence[str],
    welcome: Sequence[str] = (),
    known: Mapping[str, tuple[str, ...]] = KNOWN,
) -> tuple[dict[str, str], str]:
    """Return the column for each of our names, and a note on what was guessed.

    Parameters
    ----------
    path : Path
        The table, for messages.
    there : sequence of str
        Its columns.
    asked : mapping of str to str
        What the user says; counts in any case.
    needed, welcome : sequence of str
        Our names that the table must have, and those that are taken where they are found.
    known : mapping of str to tuple of str
        Well known columns for each of our names.

    Raises
    ------
    ConfigError
        If the user maps a name that we do not have.
    FormatError
        If a column that the user names, or that is needed, is not there.
    """
    require_keys(asked, known)
    mapped = {key: column for key, column in asked.items() if key in (*needed, *welcome)}
    for key, column in mapped.items():
        if column not in there:
            raise FormatError(f"{path} has no column {column} for {key}", got=f"columns {', '.join(there)}")
    guesses = {key: guess_column(key, there, known) for key in (*needed, *welcome) if key not in mapped}
    guessed = {key: column for key, column in guesses.items() if column is not None}
    found = mapped | guessed
    if lost := [key for key in needed if key not in found]:
        raise FormatError(
            f"{path} has no column that is clearly {' or '.join(lost)}",
            got=f"columns {', '.join(there)}",
            **{"try": "--columns " + ",".join(f"{key}=NAME" for key in lost)},
        )
    note = ", ".join(f"{key}={column}" for key, column in guessed.items())
    return found, f"columns of {path.name} guessed from their names: {note}" if note else ""


def guess_column(key: str, there: Sequence[str], known_names: Mapping[str, tuple[str, ...]] = KNOWN) -> str | None:
    """Return the first column of a well known name for `key`, None if there is none."""
    by_name = {plain_name(name): name for name in reversed(there)}
    known = list(known_names[key])
    if key in "zyx":
        axes = [name for name in SKIMAGE if name in by_name]
        known += [axis for letter, axis in zip("zyx"[3 - len(axes) :], axes, strict=True) if letter == key]
    return next((by_name[name] for name in known if name in by_name), None)


def path_columns(there: Sequence[str]) -> tuple[str, str] | None:
    """Return the columns of a table of lists of objects: number of the list and object; None if it is none."""
    plain = {plain_name(name): name for name in reversed(there)}
    found = [next((plain[name] for name in known if name in plain), None) for known in PATHS]
    return (found[0], found[1]) if found[0] and found[1] else None


def require_keys(asked: Mapping[str, str], known: Mapping[str, tuple[str, ...]] = KNOWN) -> None:
    """Raise ConfigError if the user maps a name that we do not have."""
    if unknown := [key for key in asked if key not in known]:
        raise ConfigError(f"{unknown[0]} is no name of a column here", expected=f"some of {', '.join(known)}")


def dialect_columns(there: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the program whose table this is and what its columns are, where their names alone would mislead.

    CellProfiler numbers objects within an image and names a parent by image and object; btrack's ``ID`` is a track.
    """
    plain = {plain_name(name): name for name in reversed(there)}
    if {"imagenumber", "objectnumber", "location_center_x", "location_center_y"} <= set(plain):
        known = {"t": "imagenumber", "label": "objectnumber", "x": "location_center_x", "y": "location_center_y",
                 "z": "location_center_z", "area": "areashape_area"}  # fmt: skip
        known |= {key: name for name in plain for key, begin in CELLPROFILER.items() if name.startswith(begin)}
        return "CellProfiler", {key: plain[name] for key, name in known.items() if name in plain}
    if set(there) == {"t", "x", "y", "z", "states", "label"}:  # btrack's objects: the label is a class
        return "btrack", {}
    points = {"ID", "t", "x", "y"}
    if points <= set(there) and ("root" in there or set(there) <= {*points, "z"}):
        track = {"track": "ID"}
        return "btrack", track | {"parent_track": "parent"} if "parent" in there else track
    return "", {}


CELLPROFILER = {"parent": "trackobjects_parentobjectnumber", "parent_frame": "trackobjects_parentimagenumber"}


def plain_name(name: str) -> str:
    """Return a name in lower case, with everything but letters and digits as one underscore."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
