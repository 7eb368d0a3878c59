"""Which column of a user's table is what: as the user says, else by well known names.

Names are compared in lower case, with everything but letters and digits as one underscore.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ....errors import ConfigError, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KEYS = ("t", "y", "x", "z", "id", "parent", "label", "track", "area", "source", "target")

KNOWN = {
    "t": ("t", "frame", "frames", "frame_id", "time_point", "timepoint", "time_frame", "time_index", "cmso_frame_id",
          "time"),
    "z": ("z", "position_z", "pos_z", "centroid_z", "z_px", "cmso_z_coord"),
    "y": ("y", "position_y", "pos_y", "centroid_y", "y_px", "cmso_y_coord"),
    "x": ("x", "position_x", "pos_x", "centroid_x", "x_px", "cmso_x_coord"),
    "id": ("id", "spot_id", "node_id", "detection_id", "object_id", "cmso_object_id"),
    "parent": ("parent_id", "parent"),
    "label": ("label", "seg_id", "segmentation_id"),
    "track": ("track", "track_id", "trackid", "tracklet_id"),
    "area": ("area",),
    "source": ("source", "source_id", "source_idx", "spot_source_id", "id_previous"),
    "target": ("target", "target_id", "target_idx", "spot_target_id", "id_current"),
}  # fmt: skip
SKIMAGE = ("centroid_0", "centroid_1", "centroid_2")  # regionprops_table: two of them are (y, x), three (z, y, x)


def map_columns(
    path: Path, there: Sequence[str], asked: Mapping[str, str], *, needed: Sequence[str], welcome: Sequence[str] = ()
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

    Raises
    ------
    ConfigError
        If the user maps a name that we do not have.
    FormatError
        If a column that the user names, or that is needed, is not there.
    """
    if unknown := [key for key in asked if key not in KEYS]:
        raise ConfigError(f"{unknown[0]} is no name of a column here", expected=f"some of {', '.join(KEYS)}")
    mapped = {key: column for key, column in asked.items() if key in (*needed, *welcome)}
    for key, column in mapped.items():
        if column not in there:
            raise FormatError(f"{path} has no column {column} for {key}", got=f"columns {', '.join(there)}")
    guesses = {key: guess_column(key, there) for key in (*needed, *welcome) if key not in mapped}
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


def guess_column(key: str, there: Sequence[str]) -> str | None:
    """Return the first column of a well known name for `key`, None if there is none."""
    by_name = {_plain(name): name for name in reversed(there)}
    known = list(KNOWN[key])
    if key in "zyx":
        axes = [name for name in SKIMAGE if name in by_name]
        known += [axis for letter, axis in zip("zyx"[3 - len(axes) :], axes, strict=True) if letter == key]
    return next((by_name[name] for name in known if name in by_name), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
