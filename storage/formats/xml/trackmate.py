"""TrackMate and MaMuT: spots with their features, and the tracks that TrackMate shows.

What its own reader (`TmXmlReader`) makes of a file is what comes in: all spots, whether visible or not; of the tracks
those that are listed under ``FilteredTracks``. Spots come as points: of a polygon the area is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError
from ..base import LabelLineage, Points
from ..calibration import SANE, calibrate, interval_of, to_pixels
from ..links import find_repeat, find_rows
from ..options import refuse_options
from ..points import point_source
from .stream import root_of
from .trackmate_file import read_trackmate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import Source, SourceOptions
    from .trackmate_file import TrackMateFile

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

PLACE = ("POSITION_X", "POSITION_Y", "POSITION_Z", "FRAME")
PIXEL = {"POSITION_X": "pixelwidth", "POSITION_Y": "pixelheight", "POSITION_Z": "voxeldepth"}
MADE_UP_NAME = re.compile(r"|Unnamed|Track_\d+")  # as TrackMate names a track that nobody named
MESHES = ".meshes"  # TrackMate 8 keeps the surfaces of 3D cells in a file of this ending beside its own


def is_trackmate(path: Path) -> bool:
    """Tell whether a path is a file whose root element is that of TrackMate, whatever its name."""
    return path.is_file() and root_of(path) == "TrackMate"


def open_trackmate(path: Path, options: SourceOptions) -> Source:
    """Open a TrackMate or MaMuT file.

    Raises
    ------
    FormatError
        If it is broken, an ID is there twice, a spot has no place, or a link ties spots that it cannot; with the line.
    ConfigError
        If the options do not fit it.
    """
    if not path.is_file():
        raise FormatError(f"{path} is no TrackMate file", expected="an .xml file")
    refuse_options(path, "a TrackMate file", options, "columns", "links", "truth", "sequence")
    file = read_trackmate(path)
    spots = file.spots
    _require_unique(path, spots.id, spots.line, "spot ID")
    axes = _axes(path, file)
    calibration = calibrate(len(axes), file.length_unit, _pixel_size(path, file, axes), options.scale_um)
    position = np.column_stack([spots.features[axis] for axis in axes])
    position = to_pixels(position, calibration, lambda row: f"{path} line {spots.line[row]}")
    interval_s, said = interval_of(_frame_step(file), file.time_unit)
    lineage, track, n_turned = _lineage(path, file)
    if n_turned:
        said = (*said, f"links that run backward in time are turned round: {n_turned:,}")
    names = {"name": spots.name, "TRACK_NAME": _track_names(file, track)}
    properties: dict[str, NDArray[np.generic]] = {
        **{key: values for key, values in spots.features.items() if key not in _told_elsewhere(file)},
        **{key: texts for key, texts in names.items() if texts is not None},
    }
    area = spots.area / (calibration.step[-1] * calibration.step[-2])
    return point_source(
        path.stem,
        options,
        spots.frame,
        Points(spots.id, position, area, properties),
        lineages=[lineage] if len(file.tracks.id) else [],
        notes=[*calibration.notes, *said, *_notes(path, file)],
        scale_um=calibration.scale_um,
        interval_s=interval_s,
    )


def _axes(path: Path, file: TrackMateFile) -> tuple[str, ...]:
    """Return the positions that count, ``([z,] y, x)``: a movie of one slice is 2D."""
    features = file.spots.features
    for axis in ("POSITION_X", "POSITION_Y"):
        if axis not in features and len(file.spots.id):
            raise FormatError(f"{path} line {file.spots.line[0]}: {axis} is missing", expected="a place for each spot")
        features.setdefault(axis, np.empty(0))
    z = features.get("POSITION_Z", np.empty(0))
    flat = not len(z) or bool(np.all(z == z[0]))
    if flat and file.image.get("nslices", 1) <= 1:
        return "POSITION_Y", "POSITION_X"
    return "POSITION_Z", "POSITION_Y", "POSITION_X"


def _pixel_size(path: Path, file: TrackMateFile, axes: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the size of a pixel in the unit of the file, ``([z,] y, x)``, None where the file does not tell it."""
    told = [file.image.get(PIXEL[axis]) for axis in axes]
    size = [value for value in told if value is not None]
    for axis, value in zip(axes, told, strict=True):
        if value is not None and not SANE[0] < value < SANE[1]:
            raise FormatError(
                f"{path} line {file.image_line}: {PIXEL[axis]} is wrong", expected="a positive size", got=f"{value:g}"
            )
    return tuple(size) if len(size) == len(told) else None


def _frame_step(file: TrackMateFile) -> float | None:
    """Return the time from frame to frame in the unit of the file; ImageJ writes 0 where it does not know it."""
    return file.image.get("timeinterval") or None


def _told_elsewhere(file: TrackMateFile) -> tuple[str, ...]:
    """Return the features that are no properties, as place and frame tell them; times of their own are kept."""
    step = file.image.get("timeinterval", 1.0)
    times = file.spots.features.get("POSITION_T")
    expected = file.spots.frame * step
    even = times is not None and np.allclose(times, expected, rtol=1e-9, atol=1e-9 * abs(step), equal_nan=False)
    return (*PLACE, "POSITION_T") if even else PLACE


def _lineage(path: Path, file: TrackMateFile) -> tuple[LabelLineage, Integers, int]:
    """Return the tracks that TrackMate shows, the row of each spot's track (-1: none), and the links turned round."""
    spots, edges, tracks = file.spots, file.edges, file.tracks
    _require_unique(path, tracks.id, tracks.line, "TRACK_ID")
    source, target, n_turned = _ends(path, file)
    shown = np.ones(len(tracks.id), dtype=bool) if tracks.visible is None else np.isin(tracks.id, tracks.visible)
    kept = np.flatnonzero(shown[edges.track])
    source, target = source[kept], target[kept]
    cells = np.unique(np.concatenate([source, target]))
    track = np.full(len(spots.id), -1, dtype=np.int64)
    track[source] = track[target] = edges.track[kept]
    lineage = LabelLineage(
        name="trackmate",
        origin=str(path),
        frame=spots.frame[cells],
        label=spots.id[cells],
        source=np.searchsorted(cells, source),
        target=np.searchsorted(cells, target),
        merges=True,
    )
    return lineage, track, n_turned


def _ends(path: Path, file: TrackMateFile) -> tuple[Integers, Integers, int]:
    """Return the rows of the spots that each link ties, the earlier one first, and how many links were turned round.

    Links have no direction in TrackMate, and those that people draw run backward now and then.
    """
    spots, edges = file.spots, file.edges
    ends = []
    for ids in (edges.source, edges.target):
        rows = find_rows(spots.id, ids)
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            link = unknown[0]
            raise FormatError(
                f"{path} line {edges.line[link]}: a link to spot {ids[link]}, which is not there",
                expected="the ID of a spot",
            )
        ends.append(rows)
    source, target = ends
    same = np.flatnonzero(spots.frame[target] == spots.frame[source])
    if len(same):
        link = same[0]
        raise FormatError(
            f"{path} line {edges.line[link]}: the link {edges.source[link]} -> {edges.target[link]} lies within frame "
            f"{spots.frame[source[link]]}",
            expected="two frames",
        )
    backward = spots.frame[target] < spots.frame[source]
    source, target = np.where(backward, target, source), np.where(backward, source, target)
    if twice := find_repeat(source, target):
        link, first = twice
        raise FormatError(
            f"{path} line {edges.line[link]}: the link {edges.source[link]} -> {edges.target[link]} is there already",
            got=f"the same in line {edges.line[first]}",
        )
    return source, target, int(np.count_nonzero(backward))


def _require_unique(path: Path, ids: Integers, line: Integers, what: str) -> None:
    if twice := find_repeat(ids):
        row, first = twice
        raise FormatError(
            f"{path} line {line[row]}: {what} {ids[row]} is there already",
            expected="each once",
            got=f"the same in line {line[first]}",
        )


def _track_names(file: TrackMateFile, track: Integers) -> NDArray[np.generic] | None:
    """Return the name of the track of each spot, None where nobody named one."""
    names = file.tracks.name.column()
    if names is None or all(MADE_UP_NAME.fullmatch(name) for name in names.tolist()):
        return None
    found = np.full(len(track), "", dtype=names.dtype)
    found[track >= 0] = names[track[track >= 0]]
    return found


def _notes(path: Path, file: TrackMateFile) -> list[str]:
    """Return what the user should know: what differs from what the file claims, and what is left out."""
    spots, tracks = file.spots, file.tracks
    notes = []
    if file.n_spots not in (None, len(spots.id)):
        notes.append(f"{path.name} claims {file.n_spots:,} spots and holds {len(spots.id):,}")
    frame = spots.features.get("FRAME", spots.frame)
    if n := int(np.count_nonzero(frame != spots.frame)):
        notes.append(f"the FRAME of {n:,} spots is not that of the list which holds them: the list counts")
    hidden = int(np.count_nonzero(spots.features.get("VISIBILITY", np.empty(0)) == 0))
    if hidden:
        notes.append(f"{hidden:,} of {len(spots.id):,} spots are hidden in TrackMate (VISIBILITY 0); they come in too")
    if tracks.visible is None and len(tracks.id):
        notes.append("no list of filtered tracks: all tracks come in")
    elif tracks.visible is not None:
        shown = np.isin(tracks.id, tracks.visible)
        if not shown.all():
            n_links = int(np.count_nonzero(~shown[file.edges.track]))
            notes.append(
                f"{np.count_nonzero(~shown):,} of {len(shown):,} tracks are filtered out in TrackMate: "
                f"their {n_links:,} links are left out"
            )
        if n := int(np.count_nonzero(~np.isin(tracks.visible, tracks.id))):
            notes.append(f"{n:,} filtered tracks are not there")
    return notes + _left_out(path, file)


def _left_out(path: Path, file: TrackMateFile) -> list[str]:
    """Return what the file tells and a store cannot hold."""
    notes = []
    for what, features in (("links", file.edges.features), ("tracks", file.tracks.features)):
        if features:
            few = ", ".join(features[:4]) + (", ..." if len(features) > 4 else "")
            notes.append(f"features of {what} are left out: {few}")
    if n := int(np.count_nonzero(~np.isnan(file.spots.area))):
        notes.append(f"of {n:,} polygons the area is kept, the outline is left out")
    if path.with_name(path.name + MESHES).exists():
        notes.append(f"the surfaces in {path.name + MESHES} are left out")
    return notes
